"""A source edited in place is noticed; a copy, a touch and a move are not taken for an edit; what cannot be known is asked."""

import copy
import json
import os
import shutil
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
import pytest

from connectomake.errors import ContentError, ModelError, SourceError
from connectomake.pipeline.job import Job
from connectomake.pipeline.registry import Stages
from connectomake.planning import content
from connectomake.planning.content import Rule, Settled, settle
from connectomake.planning.ledger import Ledger
from connectomake.planning.modules import neighbours
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import check_models, prepare_plan, resolve
from connectomake.sources import hashing, identity, open_source
from connectomake.sources.identity import as_identity
from tests.test_sources import MAKERS, volume
from tests.tiny_run import CONFIG, write_inputs

LARGE = Rule(below=0)


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Samples so few that most of a small file lies between them, as most of a real image does; ledgers in their own folder."""
    monkeypatch.setattr(identity, "_PIECES", 2)
    monkeypatch.setattr(identity, "_PIECE", 8)
    monkeypatch.setattr(identity, "_SAMPLED", 2)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def flip(path: Path, place: int | None = None, keep_time: bool = True) -> None:
    """Change one byte of a file where it lies; size and inode stay, and the time of change too if it is set back."""
    before = path.stat()
    with path.open("r+b") as stream:
        stream.seek(before.st_size // 2 if place is None else place)
        byte = stream.read(1)
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes([byte[0] ^ 1]))
    if keep_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def grown(path: Path, seconds: int = 10) -> None:
    """Set a file's times back, as if it had been written long ago."""
    then = path.stat().st_mtime_ns - seconds * 10**9
    os.utime(path, ns=(then, then))


def seen(path: str, options: dict[str, Any], rule: Rule | None = None) -> Settled:
    return settle(path, path, as_identity(open_source(path, **options).identity), rule or Rule())


def files_of(path: str, options: dict[str, Any]) -> list[Path]:
    return [cast("Path", item.place) for item in as_identity(open_source(path, **options).identity).items]


@pytest.mark.parametrize("keep_time", [True, False])
@pytest.mark.parametrize("name", MAKERS)
def test_one_byte_changed_in_place_is_noticed(tmp_path: Path, name: str, keep_time: bool) -> None:
    make, dtypes, _ = MAKERS[name]
    path, options, _ = make(tmp_path, volume(dtypes[0]))
    first = seen(path, options)
    assert (first.identity, first.changed) == (open_source(path, **options).identity, ())
    edited = max((p for p in files_of(path, options) if p.suffix != ".json"), key=lambda p: p.stat().st_size)
    place = edited.stat().st_size - 20 if name == "tiff folder" else None  # among the pixels
    flip(edited, place, keep_time)
    now = seen(path, options)
    assert now.identity != first.identity
    assert now.changed == ("",) or now.changed[0].endswith(edited.name)
    assert seen(path, options).changed == (), "it is said once"
    assert seen(path, options).identity == now.identity
    flip(edited, place)
    assert seen(path, options).identity == first.identity, "the old content is the old image again"


@pytest.mark.parametrize("name", MAKERS)
def test_touches_copies_and_moves_change_nothing(tmp_path: Path, name: str) -> None:
    make, dtypes, _ = MAKERS[name]
    (tmp_path / "one").mkdir()
    path, options, _ = make(tmp_path / "one", volume(dtypes[0]))
    first = seen(path, options)
    for file in files_of(path, options):
        grown(file)
    assert seen(path, options) == first
    for file in files_of(path, options):
        data = file.read_bytes()
        file.unlink()
        file.write_bytes(data)  # another inode
    assert seen(path, options) == first
    shutil.copytree(tmp_path / "one", tmp_path / "two", copy_function=shutil.copyfile)
    assert seen(path.replace("/one", "/two"), options).identity == first.identity
    (tmp_path / "one").rename(tmp_path / "three")
    assert seen(path.replace("/one", "/three"), options).identity == first.identity


def test_a_section_replaced_by_another_of_its_size(tmp_path: Path) -> None:
    stack = tmp_path / "sections"
    stack.mkdir()
    import imagecodecs

    for z in range(40):
        image = np.random.default_rng(z).integers(0, 256, (20, 20), np.uint8)
        (stack / f"{z:03}.tif").write_bytes(_tiff(image))
        (tmp_path / f"{z:03}.png").write_bytes(imagecodecs.png_encode(image))
    options = {"voxel_size": (1, 1, 1)}
    names = {seen(str(stack), options).identity}
    for z in range(1, 39):
        other = np.random.default_rng(100 + z).integers(0, 256, (20, 20), np.uint8)
        (stack / f"{z:03}.tif").write_bytes(_tiff(other))
        now = seen(str(stack), options)
        assert now.changed == (f"{z:03}.tif",)
        names.add(now.identity)
    assert len(names) == 39, "each is another image"


def _tiff(image: np.ndarray) -> bytes:
    import io

    import tifffile

    stream = io.BytesIO()
    tifffile.imwrite(stream, image)
    return stream.getvalue()


def test_files_that_did_not_move_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, dtypes, _ = MAKERS["tiff folder"]
    path, options, _ = make(tmp_path, volume(dtypes[0]))
    monkeypatch.setattr(content, "YOUNG_NS", -(10**12))
    read: list[Any] = []
    real = hashing.hash_items

    def noting(items: Any, progress: Any = None) -> Any:
        read.extend(items)
        return real(items, progress)

    monkeypatch.setattr(hashing, "hash_items", noting)
    first = seen(path, options)
    assert len(read) == len(files_of(path, options))
    read.clear()
    assert seen(path, options) == first
    assert read == []
    touched = files_of(path, options)[1]
    touched.touch()
    assert seen(path, options) == first
    assert [item.place for item in read] == [touched]


def test_a_file_that_was_just_written_is_read_again(tmp_path: Path) -> None:
    """Its times may not move when it is written once more within a tick of the clock."""
    path, options, _ = MAKERS["hdf5"][0](tmp_path, volume("uint8"))
    seen(path, options)
    ((mark, digest),) = json.loads(next(Path(".connectomake/sources").glob("place-*")).read_text())["files"].values()
    assert (mark, len(digest)) == ([], 32)


@pytest.fixture
def large(tmp_path: Path) -> tuple[str, dict[str, Any], Settled]:
    """A source that is too large to be read at its first start."""
    path, options, _ = MAKERS["hdf5"][0](tmp_path, volume("uint8"))
    return path, options, seen(path, options, LARGE)


def test_what_was_never_read_is_asked(large: tuple[str, dict[str, Any], Settled]) -> None:
    path, options, first = large
    assert first.content is None
    assert seen(path, options, LARGE) == first
    flip(Path(path))
    for rule in (LARGE, Rule(below=0), Rule(), Rule(below=0, deep=True)):
        with pytest.raises(
            ContentError, match=r"was modified or replaced.*verify --deep --source.*check --deep --source-is same"
        ):
            seen(path, options, rule)
    assert seen(path, options, Rule(below=0, source_is="same")) == first
    assert seen(path, options, LARGE) == first


def test_the_answer_changed_makes_it_another_image(large: tuple[str, dict[str, Any], Settled]) -> None:
    path, options, first = large
    Path(path).touch()
    now = seen(path, options, Rule(below=0, source_is="changed"))
    assert now.identity != first.identity
    assert seen(path, options, LARGE).identity == now.identity
    deep = seen(path, options, Rule(below=0, deep=True))
    assert deep.identity == now.identity
    assert deep.content is not None


def test_what_check_deep_has_read_is_known(large: tuple[str, dict[str, Any], Settled]) -> None:
    path, options, first = large
    deep = seen(path, options, Rule(below=0, deep=True))
    assert (deep.identity, deep.content is None) == (first.identity, False)
    Path(path).touch()
    assert seen(path, options, LARGE).identity == first.identity
    flip(Path(path))
    assert seen(path, options, LARGE).identity != first.identity


def test_a_container_of_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_LISTED", 5)
    folder = tmp_path / "chunks"
    folder.mkdir()
    for i in range(9):
        (folder / f"{i}").write_bytes(bytes(100 + i))

    def look(**rule: Any) -> Settled:
        return settle("chunks", "chunks", identity.of_folder(folder, {}), Rule(**rule))

    assert "first 5 of its files" in identity.of_folder(folder, {}).unseen
    first = look()
    assert first.content is None
    assert look(deep=True).identity == first.identity
    flip(folder / "7")
    assert look().identity == first.identity, "it lies beyond what each start looks at"
    now = look(deep=True)
    assert now.identity != first.identity
    assert look().identity == now.identity
    flip(folder / "3")
    assert look().identity not in (first.identity, now.identity)


def test_a_damaged_ledger_is_no_error(tmp_path: Path) -> None:
    path, options, _ = MAKERS["hdf5"][0](tmp_path, volume("uint8"))
    first = seen(path, options)
    for damage in (b"", b"{", b"[]", b'{"format": 1}', b'{"format":1,"files":{"":3},"changed":[]}', b"\xff\xfe"):
        for note in Path(".connectomake/sources").iterdir():
            note.write_bytes(damage)
        assert seen(path, options).identity == first.identity


def test_a_file_written_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(1000))
    item = identity.item_of(path)
    path.write_bytes(bytes(999))
    with pytest.raises(SourceError, match=r"written|shorter"):
        list(hashing.hash_items([item]))


def test_checksums_do_not_depend_on_threads_or_pieces_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "PIECE", 64)
    monkeypatch.setattr(hashing, "READ", 10)
    rng = np.random.default_rng(0)
    items = []
    for i, size in enumerate([0, 1, 63, 64, 65, 1000, 0, 128]):
        (tmp_path / str(i)).write_bytes(rng.bytes(size))
        items.append(identity.item_of(tmp_path / str(i), str(i)))
    told = []
    found = list(hashing.hash_items(items, lambda done, total: told.append((done, total))))
    assert told[-1] == (1321, 1321)
    assert found == [next(hashing.hash_items([item])) for item in items]
    monkeypatch.setattr(hashing, "READ", 7)
    monkeypatch.setattr(hashing, "WAITING", 1)
    assert list(hashing.hash_items(items)) == found
    assert len(set(found)) == 7, "only the two empty files are alike"


def test_hdf5_files_that_a_dataset_refers_to(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "part.h5", "w") as file:
        file["raw"] = np.zeros((4, 30, 30), np.uint8)
    layout = h5py.VirtualLayout((4, 30, 30), np.uint8)
    layout[:] = h5py.VirtualSource("part.h5", "raw", (4, 30, 30))
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("virtual", layout)
        file["linked"] = h5py.ExternalLink("part.h5", "raw")
        (tmp_path / "pixels").write_bytes(bytes(3600))
        file.create_dataset("external", (4, 30, 30), np.uint8, external=[(str(tmp_path / "pixels"), 0, 3600)])
    for dataset, edited in (("virtual", "part.h5"), ("linked", "part.h5"), ("external", "pixels")):
        options = {"dataset": dataset, "voxel_size": (1, 1, 1)}
        first = seen(str(tmp_path / "virtual.h5"), options, Rule(ledger=Ledger(tmp_path / dataset)))
        flip(tmp_path / edited)
        now = seen(str(tmp_path / "virtual.h5"), options, Rule(ledger=Ledger(tmp_path / dataset)))
        assert now.identity != first.identity, dataset


@pytest.fixture
def inputs() -> dict[str, Any]:
    """Image, truth and model of a small run in the working directory."""
    write_inputs(Path())
    return copy.deepcopy(CONFIG)


def fingerprints(config: dict[str, Any]) -> dict[str, str]:
    stages = Stages(resolve(copy.deepcopy(config)))
    return {name: stages.fingerprint(name) for name in stages.names}


def test_an_edited_image_outdates_what_was_made_from_it(inputs: dict[str, Any]) -> None:
    before = fingerprints(inputs)
    flip(Path("raw.h5"))
    now = fingerprints(inputs)
    assert {name for name in before if before[name] == now[name]} == {"ground_truth", "pyramid_ground_truth"}
    flip(Path("raw.h5"))
    assert fingerprints(inputs) == before


def test_an_edited_ground_truth_outdates_the_scores_only(inputs: dict[str, Any]) -> None:
    before = fingerprints(inputs)
    flip(Path("truth.h5"))
    now = fingerprints(inputs)
    outdated = {name for name in before if before[name] != now[name]}
    assert outdated == {"ground_truth", "pyramid_ground_truth", "contingency", "evaluation"}


def test_the_head_says_what_has_changed(inputs: dict[str, Any]) -> None:
    assert prepare_plan(copy.deepcopy(inputs)) is None
    Path("raw.h5").touch()
    assert prepare_plan(copy.deepcopy(inputs)) is None
    flip(Path("raw.h5"))
    resolve(copy.deepcopy(inputs))  # as a command in between does
    said = prepare_plan(copy.deepcopy(inputs))
    assert said == "the source raw.h5 has changed: what was made from it is outdated and will be remade."
    assert prepare_plan(copy.deepcopy(inputs)) is None
    flip(Path("truth.h5"))
    said = prepare_plan(copy.deepcopy(inputs))
    assert said is not None
    assert "the ground truth truth.h5 has changed" in said


def test_the_head_stops_where_nobody_knows(inputs: dict[str, Any]) -> None:
    inputs["source"]["checksum_below"] = 0
    prepare_plan(copy.deepcopy(inputs))
    flip(Path("raw.h5"))
    with pytest.raises(ContentError, match=r"^raw.h5 was modified or replaced since it was last looked at"):
        prepare_plan(copy.deepcopy(inputs))


def test_jobs_know_the_image_of_a_plan(inputs: dict[str, Any]) -> None:
    no_rule: Any = None
    job = Job(Stages(resolve(copy.deepcopy(inputs))), no_rule, None, None, None)
    flip(Path("raw.h5"), Path("raw.h5").stat().st_size // 3)
    later = Job(Stages(resolve(copy.deepcopy(inputs))), no_rule, None, None, None)
    assert later.plan.source.identity != job.plan.source.identity
    later.open_source()
    later.open_truth()
    assert Plan.from_json(json.loads(json.dumps(later.plan.to_json()))) == later.plan
    with h5py.File("raw.h5", "r+") as file:
        file["raw"][:] = 255 - file["raw"][:]
        file["more"] = np.zeros(1000)
    for stale in (job, later):
        with pytest.raises(SourceError, match="has changed since the plan was made"):
            stale.open_source()


MODEL = """
import torch
from layers import Plain
import parts.deep
from parts import other as renamed

def load_model(path):
    import late
    return Plain()

SETTINGS = "settings.json"
"""


@pytest.fixture
def network(inputs: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """A model file that uses files beside it."""
    folder = Path("net")
    (folder / "parts/inner").mkdir(parents=True)
    texts = {
        "model.py": MODEL, "layers.py": "import importlib\nb = importlib.import_module('base')\n", "base.py": "", "late.py": "",
        "parts/__init__.py": "", "parts/deep.py": "from .inner import leaf\nfrom ..layers import Plain\n", "parts/other.py": "",
        "parts/inner/__init__.py": "", "parts/inner/leaf.py": "", "settings.json": "{}", "unused.py": "", "notes.txt": "",
    }  # fmt: skip
    for name, text in texts.items():
        (folder / name).write_text(text)
    inputs["inference"]["model"] = "net/model.py"
    return inputs, {*texts} - {"unused.py", "notes.txt", "model.py"}


def test_files_beside_a_model_that_it_uses(network: tuple[dict[str, Any], set[str]]) -> None:
    _, used = network
    assert set(neighbours("net/model.py")) == used
    assert neighbours("model.py") == {}
    Path("net/base.py").write_text("import (")
    Path("net/layers.py").write_bytes(b"\0\xff")
    assert set(neighbours("net/model.py")) == used - {"base.py"}, "what cannot be parsed is said when it is run"


def test_an_edited_neighbour_of_the_model_outdates_the_affinity(network: tuple[dict[str, Any], set[str]]) -> None:
    config, used = network
    plan = resolve(copy.deepcopy(config))
    before, names = fingerprints(config), set()
    for name in used:
        with Path("net", name).open("a") as stream:
            stream.write("# edited\n")
        now = fingerprints(config)
        names.add(now["affinity"])
        assert now["image"] == before["image"]
        with pytest.raises(ModelError, match=r"which inference.model 'net/model.py' uses, has changed"):
            check_models(plan)
    assert len(names | {before["affinity"]}) == len(used) + 1
    Path("net/unused.py").write_text("# edited\n")
    assert fingerprints(config)["affinity"] in names
    Path("net").rename("moved")
    config["inference"]["model"] = "moved/model.py"
    assert fingerprints(config)["affinity"] in names
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_a_model_alone_is_called_as_ever(inputs: dict[str, Any]) -> None:
    plan = resolve(inputs)
    assert plan.modules == {}
    assert "modules" not in Stages(plan).param("affinity")
    assert "modules" not in plan.to_json()
