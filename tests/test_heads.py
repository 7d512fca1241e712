"""Notes of who leads a run on a cluster: what older versions wrote is read, what is none is named and set aside."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from connectomake_heads import Note, read_notes
from snakemake_executor_plugin_sbatch.leftovers import clean_leftovers

VALUES: dict[str, Any] = {"run": "dead", "place": "em", "host": "h", "pid": 7, "born": "boot 12"}
NO_NOTES = [
    ("", "Expecting value"),
    ("[1]", "its field 'run' is None"),
    ('{"run": "dead"}', "its field 'place' is None"),
    (json.dumps(VALUES | {"pid": "7"}), "its field 'pid' is '7'"),
    (json.dumps(VALUES | {"pid": True}), "its field 'pid' is True"),
    (json.dumps(VALUES | {"run": "other"}), "it is of run 'other'"),
    ("[" * 100_000, "recursion"),
    ("\udcff", "utf-8"),
]


def put(folder: Path, text: str) -> None:
    (folder / "dead.json").write_bytes(text.encode(errors="surrogateescape"))


def test_a_note_is_read_as_it_was_written(tmp_path: Path) -> None:
    note = Note.own("r1", "em")
    note.write(tmp_path)
    assert list(read_notes(tmp_path)) == [note]
    assert (note.here, note.alive) == (True, True)
    note.remove(tmp_path)
    assert list(read_notes(tmp_path)) == []


def test_notes_of_other_versions_are_read(tmp_path: Path) -> None:
    """The first called the place `namespace`; a later one may have more fields."""
    old = {"namespace" if name == "place" else name: value for name, value in VALUES.items()}
    put(tmp_path, json.dumps(old))
    assert list(read_notes(tmp_path)) == [Note(**VALUES)]
    put(tmp_path, json.dumps(VALUES | {"colour": "red"}))
    assert list(read_notes(tmp_path)) == [Note(**VALUES)]


@pytest.mark.parametrize(("text", "words"), NO_NOTES)
def test_what_is_no_note_is_named_once_and_set_aside(tmp_path: Path, text: str, words: str) -> None:
    put(tmp_path, text)
    Note.own("r1", "em").write(tmp_path)
    told = []
    assert [note.run for note in read_notes(tmp_path, lambda *said: told.append(said))] == ["r1"]
    assert [run for run, _ in told] == ["dead"]
    assert words in told[0][1]
    assert "was set aside as dead.json.unread" in told[0][1]
    assert [note.run for note in read_notes(tmp_path, lambda *said: told.append(said))] == ["r1"]
    assert len(told) == 1
    assert (tmp_path / "dead.json.unread").exists()


def test_slurm_names_the_jobs_of_a_note_that_cannot_be_read(tmp_path: Path) -> None:
    put(tmp_path, "{")
    told: list[Any] = []
    nothing: Any = None
    clean_leftovers(nothing, tmp_path, SimpleNamespace(warning=told.append), nothing)
    assert "if it left jobs: scancel --name=dead" in told[0]
