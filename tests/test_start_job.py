"""What a cluster's job imports of Snakemake, and that what stands for the rest does the same."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from snakemake.persistence import MetadataRecord

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow

RECORDS = [
    {},
    {"rule": "merge", "input": ["a", "b"], "params": ["{'level': 1}"], "starttime": 1.5, "incomplete": True},
    {"rule": "merge", "input_checksums": {"a": "sha256:0"}, "of_a_later_version": 7},
]


def in_a_job(program: Any) -> Any:
    """What a fresh process prints that has read start_job.py, as JSON."""
    head = "import json, runpy, sys; job = runpy.run_path('workflow/start_job.py', run_name='job')\n"
    ended = subprocess.run([sys.executable, "-c", head + program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_records_without_the_database_are_the_same() -> None:
    here = [MetadataRecord.model_validate(values) for values in RECORDS]
    program = f"""
job["without_database"](sys.modules)
from snakemake.persistence import MetadataRecord
records = [MetadataRecord.model_validate(values) for values in {RECORDS!r}]
empty = MetadataRecord()
empty.input_checksums["a"] = "of one record only"
print(json.dumps([sorted(name for name in sys.modules if name in ("sqlmodel", "sqlalchemy", "pydantic")),
                  [dict(record.items()) for record in records], [record["rule"] for record in records],
                  [record.get("no such", 3) for record in records], MetadataRecord().input_checksums]))
"""
    loaded, items, rules, absent, checksums = in_a_job(program)
    assert loaded == [], "nothing of the database was imported"
    assert items == [dict(record.items()) for record in here]
    assert rules == [record["rule"] for record in here]
    assert absent == [3, 3, 3]
    assert checksums == {}, "records do not share their values"


def test_the_database_itself_serves_where_its_stand_in_does_not_suffice() -> None:
    program = """
def fail(*args, **values):
    raise TypeError("asked for more than there is")
job["Record"].__init_subclass__ = fail
job["without_database"](sys.modules)
from snakemake.persistence import MetadataRecord, db
import sqlmodel
print(json.dumps([issubclass(MetadataRecord, sqlmodel.SQLModel), db.DbPersistence.__name__]))
"""
    assert in_a_job(program) == [True, "DbPersistence"]


def test_what_is_loaded_later_is_whole() -> None:
    program = """
job["load_later"](sys.modules)
before = "urllib3" in sys.modules
import requests
print(json.dumps([before, requests.get.__name__, issubclass(requests.exceptions.HTTPError, OSError), "urllib3" in sys.modules]))
"""
    assert in_a_job(program) == [False, "get", True, True]
