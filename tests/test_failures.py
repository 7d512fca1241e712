"""The table of what failed at the end of a run."""

import re
from pathlib import Path

import h5py
import pytest

from connectomake import failures
from connectomake.failures import Failure, table_of
from tests.flow import MODEL, Flow

REFUSES = """        if not x.any():
            raise ValueError("there is nothing to see")
"""


@pytest.fixture
def log(tmp_path: Path) -> str:
    path = tmp_path / "2a.log"
    path.write_text("read\nconnectomake: error: the weights do not fit the model\n")
    return str(path)


def test_the_log_tells_why_else_the_cluster(log: str) -> None:
    assert Failure("a", "", log, "Slurm job 7 ended with exit code 1").sentence == "the weights do not fit the model"
    assert Failure("a", "", f"{log}.none", "Slurm job 7 ran out of memory").sentence == "Slurm job 7 ran out of memory"
    assert Failure("a", "", None).sentence == "its log names no error"


def test_rows_are_in_order_and_below_each_other(log: str) -> None:
    failed = [
        Failure.of("merge", {"level": "1", "node": "0"}, None, "x"),
        Failure.of("affinity", {"block": "2a", "at": ""}, log),
    ]
    lines = table_of(failed, 1200).splitlines()
    assert lines[0] == "2 jobs failed, 1,200 more did not run:"
    assert lines[2].startswith("affinity  block=2a        ")
    assert lines[2].endswith("2a.log  the weights do not fit the model")
    assert lines[3].split() == ["merge", "level=1", "node=0", "-", "x"]
    assert len({line.index(word) for line, word in zip(lines[1:], ("why", "the weights", "x"), strict=True)}) == 1


def test_a_long_table_is_cut() -> None:
    failed = [Failure("a", f"block={i:04x}", None, "x") for i in range(failures.MOST + 1234)]
    assert table_of(failed, 0).splitlines()[-1] == "… and 1,234 more"


@pytest.mark.slow
def test_at_the_end_of_a_run(tmp_path: Path) -> None:
    """One block fails; with keep-going the others are made, and the table names it."""
    flow = Flow(tmp_path / "run").make()
    (flow.folder / "model.py").write_text(MODEL.replace("        return", REFUSES + "        return"))
    with h5py.File(flow.folder / "raw.h5", "r+") as file:
        file["raw"][:16, :22, :22] = 0
    flow.write()
    code, text = flow.run("--keep-going", check=False)
    assert code
    at = text.index("1 job failed, ")
    assert re.search(
        r"failed, \d+ more did not run:\nrule +wildcards +log +why\naffinity +block=0 +out/logs/affinity/0.log  .*nothing",
        text[at:],
    )
    made = {path.stem for path in (flow.folder / "out/affinity").rglob("*.shard")}
    assert len(made) == 7
