"""Damage that `connectomake verify` finds: one sentence that names the file and the way out; nothing is touched."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from connectomake.cli import main
from connectomake.layers import read_block, read_record, read_tables, write_block, write_tables
from connectomake.layers.records import append_record
from connectomake.objects import read_parquet
from connectomake.pipeline.registry import Stages
from connectomake.pipeline.targets import Targets
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import resolve
from connectomake.verify import expected
from connectomake.verify.faults import VerifyReport
from connectomake.verify.report import _Run
from tests.bad_input_cases import cut
from tests.test_bad_input import check_sentence, tree
from tests.tiny_run import CONFIG

CHANGED: dict[str, Any] = {**CONFIG, "segmentation": {"threshold": 0.6, "min_size": 5}}


@pytest.fixture
def plan(copied_run: Plan) -> Plan:
    return copied_run


def flip(path: Path, place: float = 0.5) -> None:
    """Flip one bit, by default in the middle."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 1
    path.write_bytes(data)


def flip_table(path: Path) -> None:
    """Flip one bit in the first table of an HDF5 file."""
    with h5py.File(path) as file:
        names = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) and item.size else None)
        place = file[names[0]].id.get_chunk_info(0).byte_offset
    data = bytearray(path.read_bytes())
    data[place + 3] ^= 1
    path.write_bytes(data)


def lose_table(path: Path) -> None:
    """Leave one table out."""
    tables = read_tables(path)
    record = read_record(path)
    del tables[sorted(tables)[0]]
    write_tables(path, tables, record)


def of_another_run(path: Path) -> None:
    """The same block, made with another threshold."""
    plan, other = resolve(CONFIG), Stages(resolve(CHANGED))
    write_block(path, plan.layers["components"], 1, read_block(path, plan.layers["components"], 1), other.record("components"))


def without_record(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: -len(json.dumps(read_record(path)))])


def garbage(path: Path) -> None:
    record = read_record(path)
    path.write_bytes(b"garbage" * 5)
    append_record(path, record)


def other_place(path: Path) -> None:
    """Another block's file under this name."""
    shutil.copy(path.with_name(path.name.replace("1", "0", 1)), path)


def info(path: Path) -> None:
    value = json.loads(path.read_text())
    value["scales"][0]["voxel_offset"] = [1, 2, 3]
    path.write_text(json.dumps(value))


SHARD, TABLES = "out/{}/10_10_20/1.shard", "out/{}/10_10_20/1.h5"
AFFINITY, COMPONENTS, FINAL = (SHARD.format(name) for name in ("affinity", "components", "segmentation"))
UP, DOWN, PACK, MESH = "out/merge/1/0.up.h5", "out/merge/1/0.down.h5", "out/fragments/0/0.pack", "out/segmentation/mesh/0.shard"
PARQUET, PROPERTIES = "out/objects/objects.parquet", "out/segmentation/properties/info"
DELETE = ("delete", "rerun")
CASES: dict[str, tuple[str, Callable[[Path], object], *tuple[str, ...]]] = {
    "final shard, a bit flipped": (FINAL, flip, "corrupted", *DELETE),
    "final shard truncated": (FINAL, lambda p: cut(p, 0.6), "truncated", *DELETE),
    "final shard empty": (FINAL, lambda p: cut(p, 0), "truncated", *DELETE),
    "final shard deleted": (FINAL, Path.unlink, "is missing", "snakemake --profile profiles/local"),
    "final shard garbage": (FINAL, garbage, *DELETE),
    "final shard without record": (FINAL, without_record, *DELETE),
    "kept affinity, a bit flipped": (AFFINITY, flip, "corrupted", *DELETE),
    "kept affinity deleted": (AFFINITY, Path.unlink, "is missing", "snakemake --profile"),
    "kept image deleted": (SHARD.format("image"), Path.unlink, "is missing", "snakemake --profile"),
    "components of another run": (COMPONENTS, of_another_run, "made with other settings", *DELETE),
    "faces, a bit flipped": (TABLES.format("components"), flip_table, "corrupted", *DELETE),
    "faces truncated": (TABLES.format("components"), lambda p: cut(p, 0.5), "truncated", *DELETE),
    "faces without a table": (TABLES.format("components"), lose_table, "missing", *DELETE),
    "halo, a bit flipped": (TABLES.format("segmentation"), flip_table, "corrupted", *DELETE),
    "up file, a bit flipped": (UP, flip_table, "corrupted", *DELETE),
    "look-up without a table": (DOWN, lose_table, "has no table", *DELETE),
    "object table, a bit flipped": (PARQUET, lambda p: flip(p, 0.01), "corrupted", *DELETE),
    "object table truncated": (PARQUET, lambda p: cut(p, 0.5), "damaged", *DELETE),
    "object table deleted": (PARQUET, Path.unlink, "is missing", "snakemake --profile"),
    "properties of other objects": (PROPERTIES, lambda p: p.write_text(p.read_text().replace('"#', '"#9')), "fit", *DELETE),
    "mesh pack, a bit flipped": (PACK, flip, "corrupted", *DELETE),
    "mesh shard, a bit flipped": (MESH, flip, "corrupted", *DELETE),
    "mesh shard truncated": (MESH, lambda p: cut(p, 0.5), "truncated", *DELETE),
    "mesh shard deleted": (MESH, Path.unlink, "is missing", "snakemake --profile"),
    "info of another layer": ("out/segmentation/info", info, "describes another layer", *DELETE),
    "info not JSON": ("out/affinity/info", lambda p: p.write_text("{"), "not JSON", *DELETE),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_damage(plan: Plan, capsys: pytest.CaptureFixture[str], name: str) -> None:
    path, damage, *says = CASES[name]
    damage(Path(path))
    before = tree(Path())
    with pytest.raises(SystemExit) as ended:
        main(["verify", "--deep"])
    out, err = capsys.readouterr()
    *problems, summary = out.splitlines()
    assert ended.value.code == 1
    assert summary.startswith("✗ ")
    assert "Traceback" not in out + err
    for problem in problems:
        assert "rerun" in problem or "makes it" in problem
    check_sentence(next(p for p in problems if path in p), tuple(says))
    assert tree(Path()) == before


def content(plan: Plan, file: Any) -> Any:
    """What a reader gets from a file."""
    if file.path.endswith(".h5"):
        return {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in read_tables(file.path).items()}
    if file.path.endswith(".parquet"):
        return {name: column.tobytes() for name, column in read_parquet(file.path).items()}
    if file.layer is not None:
        return read_block(file.path, plan.layers[file.layer], file.block).tobytes()
    return None


@pytest.mark.slow
def test_any_flipped_bit_is_found_or_without_effect(plan: Plan) -> None:
    """Bits without effect lie in unused space of HDF5, or in times and names that gzip and Parquet note."""
    rng = np.random.default_rng(7)
    largest: dict[Any, Any] = {}
    for file in (f for f in expected(plan) if f.needed):
        kind = (file.stage, "".join(Path(file.path).suffixes))
        if kind not in largest or Path(file.path).stat().st_size > Path(largest[kind].path).stat().st_size:
            largest[kind] = file
    found: Counter[Any] = Counter()
    for kind, file in largest.items():
        path = Path(file.path)
        data, good = path.read_bytes(), content(plan, file)
        for place in rng.choice(len(data), min(len(data), 60), replace=False):
            spoilt = bytearray(data)
            spoilt[place] ^= 1 << int(rng.integers(8))
            path.write_bytes(spoilt)
            run = _Run(plan, VerifyReport(), True)
            run.look(file)
            found[kind] += bool(run.report.problems)
            assert all(p.isprintable() and file.path in p and "rerun" in p for p in run.report.problems)
            if not run.report.problems and good is not None:
                assert content(plan, file) == good, f"{file.path}: byte {place}"
        path.write_bytes(data)
    assert all(found.values())
    assert {found["fragments", ".pack"], found["meshes", ".shard"]} == {60}


def test_jobs_refuse_damaged_tables(plan: Plan) -> None:
    """What `verify` would find, a job finds too when it reads the file."""
    for path in (TABLES.format("components"), UP, DOWN):
        flip_table(Path(path))
        with pytest.raises(OSError, match="is corrupted; delete it and rerun"):
            read_tables(path)


def test_another_config_is_noticed(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.yaml").write_text(yaml.safe_dump(CHANGED))
    with pytest.raises(SystemExit):
        main(["verify"])
    problems = capsys.readouterr().out.splitlines()
    assert (
        f"{Targets(plan).shard('components', 0)} was made with other settings than the config's; delete it and rerun"
        in problems
    )
    assert not any("/affinity/" in p for p in problems)
