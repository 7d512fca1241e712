"""Summary of a run (config, software, speed): a self-contained HTML page, and the same as a table."""

import csv
import html
import io
import json
import platform
import statistics
import zlib
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from connectomake import __version__
from connectomake.layers.records import comment_of
from connectomake.pipeline.targets import Targets
from connectomake.planning.plan import Plan
from connectomake.reporting.benchmarks import measured
from connectomake.reporting.blocks import block_seconds
from connectomake.reporting.stage_files import StageFiles, stage_files, stages_of_files
from connectomake.reporting.texts import bytes_text, seconds_text, shape_text, voxels_text

PACKAGES = (
    "snakemake", "numpy", "numba", "torch", "tensorstore", "cloud-volume", "h5py", "pyarrow", "zmesh", "DracoPy",
)  # fmt: skip
SLOWEST = 10
LARGEST = 10
COLUMNS = ("stage", "files", "size", "jobs measured", "time of all jobs", "voxels/s per job", "most memory of a job")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #282c34; max-width: 1100px; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; margin: .5em 0 1.5em; } th, td { padding: .25em .9em .25em 0; text-align: left; }
th { border-bottom: 1px solid #999; } td.number { text-align: right; font-variant-numeric: tabular-nums; }
tr:nth-child(even) td { background: #f5f6f8; } pre { background: #f5f6f8; padding: 1em; overflow-x: auto; }
"""


def stage_rows(plan: Plan) -> list[list[str]]:
    """Return a row of `COLUMNS` for each stage."""
    return [_stage_row(plan, stage) for stage in stages_of_files(plan, stage_files(plan))]


def _stage_row(plan: Plan, stage: StageFiles) -> list[str]:
    files = f"{stage.there:,}" if stage.done or stage.temporary else f"{stage.there:,} of {stage.total:,}"
    row = [stage.stage, files, bytes_text(stage.bytes)]
    timed = measured(plan.outdir, stage.stage)
    if timed is None:
        return [*row, "", "", "", ""]
    speed = plan.roi.volume * timed.jobs / stage.total / timed.seconds if timed.seconds else None
    memory = "" if timed.memory_mb is None else bytes_text(timed.memory_mb * 2**20)
    return [*row, f"{timed.jobs:,}", seconds_text(timed.seconds), "" if speed is None else f"{voxels_text(speed)}/s", memory]


def slowest_rows(plan: Plan) -> list[list[str]]:
    """Return the slowest jobs of blocks: stage, block, where it begins, seconds, how many times the stage's median."""
    times = [(s, stage, block) for block, found in block_seconds(plan).items() for stage, s in found.items()]
    medians = {stage: statistics.median(s for s, name, _ in times if name == stage) for stage in {t[1] for t in times}}
    rows = []
    for seconds, stage, block in sorted(times, key=lambda t: (-t[0], t[1], t[2]))[:SLOWEST]:
        start = ", ".join(map(str, plan.grid.box(block).start))
        times_median = seconds / medians[stage] if medians[stage] else 1.0
        rows.append([stage, plan.grid.name(block), start, seconds_text(seconds), f"{times_median:.1f} x"])
    return rows


def run_rows(plan: Plan) -> list[list[str]]:
    """Return what was run: names and values."""
    source = plan.source
    rows = [
        ["source", f"{source.path}{f' [{source.dataset}]' if source.dataset else ''}, {source.kind}, {source.dtype}"],
        ["region", f"{plan.roi.start} to {plan.roi.stop}: {shape_text(plan.roi.shape)}, {voxels_text(plan.roi.volume)}"],
        ["voxel size", f"{shape_text(source.voxel_size)} nm (z, y, x)"],
        ["blocks", f"{shape_text(plan.grid.shape)} = {plan.grid.count:,} of {shape_text(plan.block)}"],
    ]
    if plan.inference is not None:
        section = plan.config["inference"]
        rows.append(
            ["network", f"{section['model']} (SHA-256 {str(plan.model)[:12]}…), patch {shape_text(plan.inference.patch)}"]
        )
        rows += [["promise", plan.inference.void_note]] if plan.inference.void else []
    return [*rows, *_object_rows(plan)]


def _object_rows(plan: Plan) -> list[list[str]]:
    from connectomake.objects import overview

    path = Path(Targets(plan).objects)
    if not path.exists():
        return []
    found = overview(path, LARGEST)
    share = 100 * found.voxels / plan.roi.volume
    largest = ", ".join(f"{i} ({voxels_text(int(n))})" for i, n in zip(found.ids, found.sizes, strict=True))
    return [["objects", f"{found.count:,}, {share:.1f} % of the voxels"], ["largest", largest or "none"]]


def version_rows() -> list[list[str]]:
    """Return the versions of what a run is made with."""
    rows = [["connectomake", __version__], ["Python", platform.python_version()], ["system", platform.platform()]]
    for name in PACKAGES:
        try:
            rows.append([name, metadata.version(name)])
        except metadata.PackageNotFoundError:
            continue
    return rows


def place_rows(plan: Plan) -> list[list[str]]:
    """Return where the layers lie, and how to look at them."""
    names = [n for n in plan.layers if n.startswith(("components", "segmentation")) or plan.keeps(n)]
    rows = [[name, str(Path(plan.outdir, name).absolute())] for name in names]
    rows.append(["object table", str(Path(Targets(plan).objects).absolute())])
    return [*rows, ["look at them", "connectomake view CONFIG"]]


def stages_csv(plan: Plan) -> str:
    """Return the stages as CSV."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([COLUMNS, *stage_rows(plan)])
    return stream.getvalue()


def _config_text(plan: Plan) -> str:
    """Return the config as YAML; Snakemake hands over its mappings as a kind of its own, which YAML does not know."""
    return yaml.safe_dump(json.loads(json.dumps(plan.config)), sort_keys=False)


def page(plan: Plan, record: dict[str, Any] | None = None) -> str:
    """Return the page, which ends in a comment with the record."""
    parts = [
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{html.escape(plan.outdir)}</title>",
        f"<style>{_STYLE}</style></head><body><h1>{html.escape(plan.outdir)}</h1>",
        _table("What was run", None, run_rows(plan)),
        _table("Stages", COLUMNS, stage_rows(plan)),
        _table("Slowest blocks", ("stage", "block", "from z, y, x", "time", "of the stage's median"), slowest_rows(plan)),
        _table("Where it lies", None, place_rows(plan)),
        _table("Made with", None, version_rows()),
        f"<h2>Config</h2><pre>{html.escape(_config_text(plan))}</pre></body></html>",
    ]
    text = "\n".join(parts) + "\n"
    if record is None:
        return text
    written = text.encode()
    return text + comment_of(record | {"content": [len(written), zlib.crc32(written)]})


def _table(title: str, head: Sequence[str] | None, rows: Iterable[Sequence[str]]) -> str:
    lines = [f"<h2>{html.escape(title)}</h2><table>"]
    if head is not None:
        lines.append(f"<tr>{''.join(f'<th>{html.escape(name)}</th>' for name in head)}</tr>")
    lines += [f"<tr>{''.join(_cell(value) for value in row)}</tr>" for row in rows]
    return "\n".join([*lines, "</table>"])


def _cell(value: str) -> str:
    number = value[:1].isdigit() and len(value) < 16
    return f"<td{' class=number' if number else ''}>{html.escape(value)}</td>"
