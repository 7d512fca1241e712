"""Errors name the config's key that they are about, where somebody knows the config: algorithms do not."""

import ast
import re
from pathlib import Path

import pytest

from connectomake import geometry
from connectomake.agglomeration import Rule
from connectomake.components import WatershedRule
from connectomake.components.threshold import threshold_for
from connectomake.config.load import schema
from connectomake.errors import ConfigError
from connectomake.geometry import Box
from connectomake.geometry.lattice import PatchLattice
from connectomake.octree import Adjacency

LIBRARY = Path(geometry.__file__).parents[1]
ALGORITHMS = ("geometry", "components", "octree", "agglomeration", "measures", "segmentation", "pyramid")


def dotted_keys(part, name=""):
    """All keys of the config that have a dot, such as ``merge.fan_out``."""
    found = {name} if "." in name else set()
    for key, value in part.get("properties", {}).items():
        found |= dotted_keys(value, f"{name}.{key}".strip("."))
    return found


@pytest.mark.parametrize("package", ALGORITHMS)
def test_algorithms_know_no_keys_of_the_config(package):
    keys = dotted_keys(schema())
    assert len(keys) > 60
    pattern = re.compile(rf"(?<![\w.])({'|'.join(map(re.escape, sorted(keys, key=len, reverse=True)))})\b")
    for path in sorted((LIBRARY / package).glob("*.py")):
        constants = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
        found = [text for text in constants if isinstance(text, str) and pattern.search(text)]
        assert not found, f"{path} names keys of the config; whoever calls it knows them: {found}"


def test_what_algorithms_refuse_is_said_in_plain_words():
    roi = Box.of_shape((4, 4, 4))
    refused = [
        (lambda: PatchLattice(roi, (4, 0, 4), (0, 0, 0)), "the output patch must be at least 1 along y, got 0"),
        (lambda: PatchLattice(roi, (4, 4, 4), (0, 0, 4)), "the overlap must be at least 0 and less than the output patch"),
        (lambda: threshold_for(1, "uint8"), "the threshold must be at least 0 and below 1, got 1"),
        (lambda: threshold_for(0.5, "int16"), "components are made of float32 or uint8 values, got int16"),
        (lambda: WatershedRule(0.5, 0.4), "t_low 0.5 must be above 0 and below t_high 0.4, at most 2"),
        (lambda: WatershedRule(0.1, 0.4).bounds("int16"), "a watershed is made of float32 or uint8 affinities, got int16"),
        (lambda: Rule(0.5, "uint8", large_voxels=9), "needs both their voxels and a threshold"),
        (lambda: Rule(0.5, "uint8", large_voxels=9, large_threshold=0.2), "large segments, 0.2, is below that of all, 0.5"),
        (lambda: Adjacency(8), "the connectivity must be 6, 18 or 26, got 8"),
    ]
    for call, text in refused:
        with pytest.raises(ConfigError, match=text):
            call()
