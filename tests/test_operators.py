"""docs/operators.md: every operator of the programs that it compares has a row, and every row names what is there."""

import ast
import re
from functools import cache

import pytest

from connectomake.cli.app import app
from connectomake.config import schema
from tests.flow import ROOT

PAGE = (ROOT / "docs" / "operators.md").read_text()
CHUNKFLOW = """
create-bbox generate-tasks debug adjust-bbox skip-task-by-file skip-task-by-blocks-in-volume mark-complete skip-all-zero
skip-none setup-env cleanup create-info fetch-task-from-file fetch-task-from-sqs aggregate-skeleton-fragments
create-chunk load-synapses save-points save-synapses load-npy load-json save-nrrd load-png load-tif save-tif load-h5
save-h5 save-pngs delete-task-in-queue delete-var load-precomputed load-skeleton save-swc load-zarr save-zarr
evaluate-segmentation downsample downsample-upload gaussian-filter log-summary normalize-intensity normalize-contrast
normalize-section-shang plugin connected-components copy-var inference multiply mask mask-out-objects crop-margin mesh
mesh-manifest download-mesh napari neuroglancer quantize save-precomputed threshold channel-voting view
"""
IGNEOUS = """
image_downsample image_xfer image_roi image_reorder image_rm image_create image_voxels_count image_voxels_sum
image_contrast_clahe image_contrast_histogram image_contrast_equalize image_ccl_faces image_ccl_links
image_ccl_calc-labels image_ccl_relabel image_ccl_clean image_ccl_auto mesh_xfer mesh_forge mesh_merge
mesh_merge-sharded mesh_rm mesh_clean mesh_spatial-index_create mesh_spatial-index_db skeleton_forge skeleton_merge
skeleton_merge-sharded skeleton_rm skeleton_xfer skeleton_clean skeleton_spatial-index_create skeleton_spatial-index_db
skeleton_convert design_bounds design_ds-memory design_ds-shape view execute queue_wait queue_rezero queue_status
queue_release queue_cp queue_mv queue_purge license
"""
SYNAPTOR = """
setup_run asynet_pass chunk_anchors chunk_ccs chunk_edges chunk_overlaps chunk_seg_map create_index dedup_chunk_segs
dispatcher init_db match_contins merge_ccs merge_dups merge_edges merge_overlaps merge_seginfo pick_edge remap_ids
seg_graph_ccs
"""


def rows(section: str) -> list[tuple[str, str, str]]:
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    found = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in text.splitlines() if line.startswith("| `")]
    assert found
    return found  # type: ignore[return-value]


ROWS = [row for section in ("chunkflow", "igneous", "Synaptor") for row in rows(section)]


@pytest.mark.parametrize(
    ("section", "names"),
    [
        ("chunkflow", CHUNKFLOW.split()),
        ("igneous", [name.replace("_", " ") for name in IGNEOUS.split()]),
        ("Synaptor", SYNAPTOR.split()),
    ],
)
def test_every_operator_has_a_row(section: str, names: list[str]) -> None:
    listed = [name for row in rows(section) for name in re.findall(r"`([^`]+)`", row[0])]
    assert set(names) <= set(listed)


@cache
def functions_of(name: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / name).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip("`").replace("`, `", ", ")[:40])
def test_a_row_names_a_test_and_what_is_there(row: tuple[str, str, str]) -> None:
    _, here, test = row
    if not test:
        assert here.startswith("— not there"), "what is there has a test"
        return
    for named in re.findall(r"`([^`]+)`", test):
        file, _, function = named.partition("::")
        assert not function or function in functions_of(file)
        assert (ROOT / "tests" / file).exists()
    for named in re.findall(r"`([^`]+)`", here):
        assert is_there(named), named


def is_there(named: str) -> bool:
    """Whether a key of the config, a filter, a command with its options, or an attribute of the library is there."""
    if named.startswith("connectomake "):
        return command_is_there(named.split()[1:])
    if named.startswith("connectomake."):
        return hasattr(__import__("connectomake"), named.partition(".")[2])
    if named.startswith(("snakemake", "-")) or named in {"voxels", "info"}:  # not ours, an option, a column, a file
        return True
    properties = schema()["properties"]
    if named in properties["source"]["properties"]["filters"]["items"]["properties"]:
        return True
    for part in named.split("."):
        if part not in properties:
            return False
        properties = properties[part].get("properties", {})
    return True


def command_is_there(words: list[str]) -> bool:
    from typer.main import get_command

    command = get_command(app)
    while words and not words[0].startswith("-"):
        command = command.commands.get(words.pop(0))  # type: ignore[attr-defined]
        if command is None:
            return False
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return all(word in options for word in words if word.startswith("-"))
