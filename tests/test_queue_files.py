"""Workers get the files beside a model or a filter that it uses, or are told that they lack them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectomake.errors import ModelError, QueueError, StorageError
from connectomake.inference.modelfile import import_model_file
from connectomake.planning.bucket_records import unshipped
from connectomake.planning.filter_files import check_files
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import check_models, resolve
from connectomake.planning.segment_table import table_info
from connectomake.queueing.files import files_of, provide, share
from connectomake.storage.stores import open_store
from tests.tiny_run import CONFIG, MODEL, write_inputs

FILES = {
    "nets/net.py": f"from parts.layers import WIDTH\nfrom near import DEPTH\n{MODEL}\nNAME = 'numbers.txt'\n",
    "nets/near.py": "DEPTH = 2\n",
    "nets/parts/__init__.py": "",
    "nets/parts/layers.py": "from .deeper import WIDTH\n",
    "nets/parts/deeper.py": "WIDTH = 3\n",
    "nets/numbers.txt": "1 2 3\n",
    "own/clean.py": "from helper import WEIGHT\n\ndef less(image):\n    return image // WEIGHT\n",
    "own/helper.py": "import numpy as np\n\nWEIGHT = np.uint8(2)\n",
}


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    write_inputs(home)
    for name, text in FILES.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    step = {"python": {"file": "own/clean.py", "function": "less", "halo": [0, 0, 0]}}
    config: dict[str, Any] = {
        **CONFIG,
        "source": {**CONFIG["source"], "filters": [step]},
        "inference": {**CONFIG["inference"], "model": "nets/net.py"},
    }
    return resolve(config)


def given(plan: Plan, tmp_path: Path) -> Path:
    """A worker's folder with what the store holds; nothing else is there."""
    scratch, cache = tmp_path / "scratch", tmp_path / "cache"
    for folder in (scratch, cache):
        folder.mkdir()
    provide(plan, open_store(f"file://{tmp_path / 'store'}"), scratch, [], cache)
    return scratch


def test_files_beside_model_and_filter_reach_workers(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(files_of(plan)) == set(FILES)
    share(plan, open_store(f"file://{tmp_path / 'store'}"))
    monkeypatch.chdir(given(plan, tmp_path))
    for name, text in FILES.items():
        assert Path(name).read_text() == text
    check_models(plan)
    check_files(plan.source.options.filters[0])
    module = import_model_file(Path("nets/net.py"))
    assert (module.WIDTH, module.DEPTH) == (3, 2)


@pytest.mark.parametrize("name", ["nets/parts/deeper.py", "own/helper.py"])
def test_a_neighbour_that_is_nowhere_is_named(plan: Plan, tmp_path: Path, name: str) -> None:
    store = open_store(f"file://{tmp_path / 'store'}")
    share(plan, store)
    (tmp_path / "store/.connectomake/files" / files_of(plan)[name]).unlink()
    with pytest.raises(StorageError, match=f"{name} is neither here nor in"):
        given(plan, tmp_path)


def test_a_neighbour_of_another_content_is_not_taken(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share(plan, open_store(f"file://{tmp_path / 'store'}"))
    monkeypatch.chdir(given(plan, tmp_path))
    Path("nets/near.py").unlink()
    Path("nets/near.py").write_text("DEPTH = 3\n")
    with pytest.raises(ModelError, match=r"near.py, which inference.model 'nets/net.py' uses, has changed"):
        check_models(plan)


def test_names_that_lead_out_and_hashes_that_are_none_are_refused(plan: Plan, tmp_path: Path) -> None:
    share(plan, open_store(f"file://{tmp_path / 'store'}"))
    sha = plan.modules["near.py"]
    with pytest.raises(QueueError, match="not a SHA-256"):
        files_of(replace(plan, modules={"near.py": "../../out"}))
    with pytest.raises(QueueError, match="relative to the run's folder"):
        given(replace(plan, modules={"../../near.py": sha}), tmp_path)


def test_a_table_over_labels_reaches_the_one_job_that_reads_it(plan: Plan, tmp_path: Path) -> None:
    Path("table.csv").write_text("1,2\n")
    info = table_info({"table": {"path": "table.csv", "dataset": None}})
    assert any(text.startswith("table.csv is not under git") for text in unshipped(replace(plan, table=info)))
    with_table, store = replace(plan, table=info), open_store(f"file://{tmp_path / 'store'}")
    share(with_table, store)
    for reads in (True, False):
        scratch, cache = tmp_path / f"scratch{reads}", tmp_path / f"cache{reads}"
        scratch.mkdir()
        cache.mkdir()
        provide(with_table, store, scratch, [], cache, table=reads)
        assert (scratch / "table.csv").exists() == reads
    assert (tmp_path / "scratchTrue/table.csv").read_text() == "1,2\n"
