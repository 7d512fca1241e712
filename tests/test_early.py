"""What Snakemake says where a target was typed after ``--configfile``, or a config is none."""

import subprocess
import sys
from pathlib import Path

import pytest
from snakemake.common.configfile import load_configfile
from snakemake_interface_common.exceptions import WorkflowError

from snakemake_executor_plugin_pods.early import explained

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no config"),
        (b"\x00\xaf\xfe", "cannot be read as a config"),
        (b"a: [", "cannot be read as a config"),
        (b"- a\n- b\n", "cannot be read as a config"),
    ],
)
def test_a_target_taken_for_a_config_is_named_with_the_way_out(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "out of it.shard"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WorkflowError) as caught:
        explained(load_configfile)(path)
    assert f"{words} {path}" in str(caught.value) or f"{path} {words}" in str(caught.value)
    assert f"--configfile CONFIG -- '{path}'" in str(caught.value)


def test_a_config_is_read_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("a: 1\n")
    assert explained(load_configfile)(path) == load_configfile(path)


@pytest.mark.slow
def test_snakemake_says_so(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "-s",
        str(ROOT / "Snakefile"),
        "-n",
        "--configfile",
        str(ROOT / "config.yaml"),
        "a.shard",
    ]
    ended = subprocess.run([*command, "a.shard"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "there is no config a.shard; if it is a target, put -- before it" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
