"""Nothing changes for users unasked: what a plan makes of each pinned config is as stored; see `tests.pins`."""

import copy
import itertools
import json
from typing import Any

import pytest

from connectomake.pipeline.registry import RULES
from tests import pins
from tests.pins.__main__ import all_pins
from tests.pins.cases import cases
from tests.pins.text import differences, dumps, summary

NAMES = sorted(cases())
HINT = "if users shall get this, write it down with `python -m tests.pins`, and say why in the commit"
SHOWN = 12


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Any]]:
    """What is found today, of all configs: one process of Snakemake for all of them."""
    return all_pins(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_nothing_changes_for_users_unasked(name: str, found: dict[str, dict[str, Any]]) -> None:
    lines = list(itertools.islice(differences(pins.stored(name), found[name]), SHOWN))
    assert not lines, "\n".join([f"the pins of {name} changed; {HINT}", *lines])


@pytest.mark.slow
def test_every_rule_is_in_a_pin(found: dict[str, dict[str, Any]]) -> None:
    seen = {rule for pin in found.values() for rule in pin["jobs"]["rules"]}
    assert seen >= RULES.keys(), "a config of tests/pins/cases.py must have it"


def test_every_stored_file_is_of_a_config() -> None:
    assert sorted(path.stem for path in pins.FOLDER.glob("*.json")) == NAMES


CHANGES: dict[str, tuple[tuple[Any, ...], Any, str]] = {
    "a param": (("stages", "components", "param", "segmentation", "t_low"), 0.03, "t_low is 0.03; it was 0.02"),
    "a path": (("jobs", "rules", "affinity", "output", 13), "elsewhere/0d.shard", "item 13, elsewhere/0d.shard"),
    "an input": (("jobs", "rules", "components", "input", 26), "one.shard", "item 26, one.shard"),
    "memory": (("demands", "affinity"), "1, 2, 4 MB; 5, 6, 7 min", "demands > affinity is 1, 2, 4 MB"),
    "memory of a job": (("jobs", "rules", "merge", "resources", 0, "mem_mb"), 7, '"mem_mb": 7'),
    "memory on a cluster": (("jobs", "cluster", "image", 2, "mem_mb"), 9, '"mem_mb": 9'),
    "a printed line": (("printed", "plan", 0), "another word", "item 0, another word"),
    "what is temporary": (("jobs", "rules", "image", "temp", 5), ["x.shard"], '["x.shard"]'),
    "a task of the queue": (("jobs", "queue", "image", "tasks", 2), "{}", "item 2, {}"),
    "what is verified": (("verify", "merge", 1), "other.h5 {}", "now with other.h5 {}"),
    "a version": (("stages", "meshes", "param", "version"), 5, "version is 5; it was 4"),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_named(what: str, found: dict[str, dict[str, Any]]) -> None:
    place, value, expected = CHANGES[what]
    changed = copy.deepcopy(found["demo"])
    part: Any = changed
    for key in place[:-1]:
        part = part[key]
    assert part[place[-1]] != value
    part[place[-1]] = value
    text = "\n".join(differences(pins.stored("demo"), changed))
    assert expected in text, text
    assert text.count("\n") == 0, "one change, one line"


def test_what_comes_and_goes_is_named() -> None:
    before: dict[str, Any] = {"files": ["a", "b", "c", "d", "e", "f"], "old": 1, "alike": ["x"] * 9}
    found = {"files": ["a", "b", "d", "e", "f", "g"], "new": ["y"], "alike": ["x"] * 8 + ["z"]}
    lines = list(differences(summary(before), found))
    assert [line.partition(";")[0] for line in lines] == [
        "files: 6 items, 6 before", "old is gone", "alike: 9 items, 9 before", 'new is new: ["y"]',
    ]  # fmt: skip
    fewer = list(differences(summary(before), {**before, "files": before["files"][:-1]}))
    assert fewer == ["files: 5 items, 6 before; other than before are items that no digits tell"]
    assert not list(differences(summary(before), before))


def test_stored_text_is_json() -> None:
    value = summary({"a": list(range(400)), "b": {"c": "µ" * 200, "d": [], "e": {}}, "f": [["x" * 150]]})
    assert json.loads(dumps(value)) == value
    assert all(len(line) < 1000 for line in dumps(value).splitlines())
