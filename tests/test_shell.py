"""Every command that is printed to be copied does with odd names what it says, and nothing else."""

import shlex
import subprocess
from pathlib import Path

import pytest

from connectomake.cli import common, summary
from connectomake.planning.bucket_records import _why_unshipped
from connectomake.shell import command
from tests.queue_help import make_plan

ODD = [
    "my run.yaml",
    "a;touch x.yaml",
    "$(touch x).yaml",
    "it's.yaml",
    "`touch x`.yaml",
    "a&b|c>d.yaml",
    'q"uote.yaml',
    "st*r?.yaml",
    "~.yaml",
]


@pytest.mark.parametrize("name", ODD)
def test_odd_names_stay_one_word(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = subprocess.run(["/bin/sh", "-c", command("printf", "%s\n", name, "x")], capture_output=True, text=True, check=True)
    assert shown.stdout == f"{name}\nx\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ODD)
def test_printed_commands_are_quoted(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shlex.split(common.run_command(name))[-2:] == ["--configfile", name]
    assert shlex.split(common.run_command(name, "kept reports"))[-4:] == ["kept", "reports", "--configfile", name]
    rows = dict(summary._where_to_look(make_plan(), name))
    assert shlex.split(rows["check"])[-3:] == ["verify", name, "--deep"]
    assert shlex.split(rows["look"].partition("  (")[0])[-2:] == ["view", name]
    (tmp_path / name).write_text("x")
    told = _why_unshipped(name)
    assert shlex.split((told or "").partition(": `")[2].rpartition("`; ")[0]) == ["git", "add", name]


def test_a_plain_command_is_not_quoted() -> None:
    assert common.run_command("config.yaml").endswith("snakemake --profile profiles/local")
    assert common.run_command("a/b.yaml", "kept").endswith("--profile profiles/local kept --configfile a/b.yaml")


def test_commands_of_the_pods_executor() -> None:
    from snakemake_executor_plugin_pods.api import ApiError, explain

    for kind in ("login", "busy"):
        assert "`kubectl get pods -n 'a;b'`" in explain(ApiError(kind, "no"), "a;b")
