"""What is put in place of parts of Snakemake gives the answers of what it replaces."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from snakemake import __version__
from snakemake.exceptions import ChildIOException

from connectomake_snakemake.attributes import SNAKEMAKE as TRIED

# A small workflow with temporary, nested, named and aggregated files, and a rule that reads what it writes.
SNAKEFILE = """
from connectomake_snakemake.tuning.resources import same_at_first, same_for_all
if config.get("tuned"):
    from connectomake_snakemake.tuning import ending, files, folders, graph, inputs, jobs, lists, measures, resources
    known = folders.Folders()
    for part in (files, lists, inputs, jobs, resources, graph, measures):
        part.replace()
    folders.replace(known)
    ending.leave_at_end(workflow)
envvars: "PATH"
rule all:
    input: [f"up/3/{n}.txt" for n in "ab"], "kept/all.txt", "odd/a b.txt", "named/a.txt", "grouped/b.txt"
rule first:
    output: data=temp("up/0/{node}.txt"), other="other/{node}.h5"
    log: "logs/first/{node}.log"
    benchmark: "benchmarks/first/{node}.tsv"
    params: what=lambda wildcards: f"of {wildcards.node}"
    conda: "environment.yaml"
    resources: mem_mb=lambda wildcards, attempt: 100 * attempt + (wildcards.node == "b"), runtime=7
    shell: "echo {params.what} > {output.data}; cp {output.data} {output.other}"
rule up:
    input: down=lambda w: f"up/{int(w.level) - 1}/{w.node}.txt", others=lambda w: [f"other/{n}.h5" for n in "abc"]
    output: "up/{level,[1-9]}/{node}.txt"
    params: lambda wildcards, input, threads: len(input.others) + threads, fixed="{level}%s"
    resources: mem_mb=same_for_all(lambda wildcards, attempt: 70 * attempt), disk_mb=3
    shell: "cat {input.down} {input.others[1]} > {output}; echo {params[0]} {params.fixed} >> {output}"
rule collect:
    input: lambda w: [f"other/{n}.h5" for n in "abcd"] + ["up/2/c.txt"]
    output: protected("kept/all.txt")
    shell: "cat {input} > {output}"
rule odd:
    input: ancient("other/{node}.h5")
    output: "odd/{node} b.txt"
    shell: "cat {input} > '{output}'"
rule named:
    input: unpack(lambda w: {"one": f"other/{w.node}.h5", "both": [f"up/1/{n}.txt" for n in "ab"]})
    output: "named/{node}.txt", directory("named/{node}.folder")
    resources: mem_mb=same_at_first(lambda wildcards, input, attempt: attempt * max(9, *(10 * Path(p).exists() for p in input)))
    shell: "cat {input.one} {input.both} > {output[0]}; mkdir {output[1]}"
rule grouped:
    input: lambda w: Path(f"up/1/{w.node}.txt")
    output: "grouped/{node}.txt"
    group: "some"
    priority: 3
    shell: "cat {input} > {output}"
"""


def run(folder: Any, *options: Any, tuned: Any) -> Any:
    words = [sys.executable, "-m", "snakemake", "--cores", "2", "--config", f"tuned={int(tuned)}", "--nocolor", *options]
    path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, env=os.environ | path)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


RUNS = {
    "new": ("-n",),
    "a run": (),
    "finished": ("-n",),
    "one file lost": ("-n",),
    "quiet": ("-n", "--quiet", "rules"),
    "a log": ("-n", "logs/first/d.log"),
    "forced": ("-n", "--forceall"),
    "a rule forced": ("-n", "--forcerun", "first"),
    "until": ("-n", "--until", "first", "--forceall"),
}


def told(output: str) -> list[Any]:
    """What a dry run says of its jobs, whatever the order of jobs, lines and sets."""
    lines = [line.strip() for line in output.split("Building DAG")[1].splitlines() if "jobid" not in line]
    # empty lines and times stand between jobs that are told of in different seconds
    return sorted(sorted(re.split("[:,;] ", line)) for line in lines if line and not line.startswith("["))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = {}
    for tuned in (False, True):
        folder = tmp_path_factory.mktemp(f"tuned{int(tuned)}")
        (folder / "Snakefile").write_text(SNAKEFILE)
        (folder / "environment.yaml").write_text("dependencies: []\n")
        made[tuned] = {"folder": folder}
        for name, options in RUNS.items():
            if name == "one file lost":
                (folder / "up/3/a.txt").unlink()
            made[tuned][name] = run(folder, *options, tuned=tuned)
    return made


def test_the_version_is_one_that_was_tried() -> None:
    assert __version__.startswith(TRIED), "look at each replacement in connectomake_snakemake.tuning, then add the version"


@pytest.mark.slow
@pytest.mark.parametrize("part", [name for name in RUNS if name != "a run"])
def test_a_tuned_graph_has_the_same_jobs_for_the_same_reasons(both: Any, part: str) -> None:
    assert told(both[True][part]) == told(both[False][part])
    assert ("Nothing to be done" in both[False][part]) == (part in ("finished", "a log"))


@pytest.mark.slow
def test_a_tuned_run_leaves_the_same_files_and_notes(both: Any) -> None:
    def left(folder: Path) -> dict[str, Any]:
        return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.txt")}

    def notes(folder: Path) -> dict[str, Any]:
        found = {path.name: json.loads(path.read_text()) for path in (folder / ".snakemake/metadata").iterdir()}
        return {n: {k: v for k, v in note.items() if not k.endswith("time") and k != "job_hash"} for n, note in found.items()}

    assert left(both[True]["folder"]) == left(both[False]["folder"])
    assert notes(both[True]["folder"]) == notes(both[False]["folder"])


@pytest.mark.slow
def test_an_output_in_an_output_is_still_refused(tmp_path: Path) -> None:
    text = """
from connectomake_snakemake.tuning import graph
graph.replace()
rule all:
    input: "a", "a/b"
rule one:
    output: directory("a")
    shell: "mkdir a"
rule two:
    output: "a/b"
    shell: "touch a/b"
"""
    (tmp_path / "Snakefile").write_text(text)
    done = subprocess.run([sys.executable, "-m", "snakemake", "-n"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert ChildIOException.__name__ in done.stderr + done.stdout
