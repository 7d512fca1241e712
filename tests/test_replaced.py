"""What is put in place of parts of Snakemake: one list tells all of it, and each part is as it was when that was written."""

import ast
import importlib
import importlib.util
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from snakemake.exceptions import WorkflowError

from connectomake.errors import StorageError
from connectomake.storage.stores import Stored
from connectomake_snakemake.attributes import BY_PLACE, PLUGINS, REPLACED
from connectomake_snakemake.inventory import ASK, Inventory, first_of_group
from connectomake_snakemake.replaced import Attribute, instead, parameters_of, replace, version
from connectomake_snakemake.report import before_report, hide_passwords

ROOT = Path(__file__).parents[1]
PACKAGES = ("connectomake", "connectomake_snakemake", "connectomake_heads")


@pytest.mark.parametrize("attribute", REPLACED, ids=lambda attribute: attribute.place)
def test_each_attribute_is_as_it_was_when_its_replacement_was_written(attribute: Attribute) -> None:
    if importlib.util.find_spec(attribute.module.partition(".")[0]) is None:
        pytest.skip(f"{attribute.package} is not installed")
    importlib.import_module("snakemake.api")  # its modules can be imported in this order only
    assert attribute.fault() is None
    way_out = f"look at what replaces {attribute.place}, then add the version"
    assert version(attribute.package).startswith(attribute.tried), way_out
    assert attribute.why


def test_an_attribute_is_listed_once() -> None:
    assert len(BY_PLACE) == len(REPLACED)


def foreign_names(tree: Any) -> set[str]:
    """Names that a module imports of Snakemake and its plugins."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    theirs = [
        node
        for node in nodes
        for name in [getattr(node, "module", None) or node.names[0].name]
        if re.match(r"snakemake(\.|$|_interface|_storage_plugin|_executor_plugin_(slurm|kubernetes))", name)
    ]
    return {(alias.asname or alias.name).partition(".")[0] for node in theirs for alias in node.names}


def assigned(tree: Any) -> Iterator[tuple[str, int]]:
    """What attributes are assigned to: the name at their beginning, and the line."""
    for node in ast.walk(tree):
        targets: list[Any] = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setattr":
            targets = [ast.Attribute(node.args[0], "")]
        for target in targets:
            root = target
            while isinstance(root, ast.Attribute):
                root = root.value
            if isinstance(target, ast.Attribute) and isinstance(root, ast.Name):
                yield root.id, root.lineno


def replaced_in(text: str) -> list[int]:
    tree = ast.parse(text)
    names = foreign_names(tree)
    return [line for name, line in assigned(tree) if name in names]


@pytest.mark.parametrize(
    "text",
    [
        "from snakemake.dag import DAG\nDAG.update = print",
        "import snakemake.script\nsnakemake.script.get_source = print",
        "from snakemake import jobs as j\nsetattr(j.Job, 'x', 1)",
    ],
)
def test_a_replacement_is_seen(text: str) -> None:
    assert replaced_in(text) == [2]


def test_nothing_is_replaced_past_the_list() -> None:
    for package in PACKAGES:
        for path in (ROOT / "src" / package).rglob("*.py"):
            assert replaced_in(path.read_text()) == [], path
    for path in (ROOT / "workflow").rglob("*.py"):
        assert replaced_in(path.read_text()) == [], path


def test_rules_put_nothing_in_place_themselves() -> None:
    for path in (ROOT / "workflow").rglob("*.smk"):
        assert not re.search(r"^\s*[\w.]+\.\w+ = |setattr\(", path.read_text(), re.M), path


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module as Snakemake might have it."""
    made = ModuleType("snakemake_of_tests")

    class Job:
        SECONDS = 1

        def run(self, path: str, edit: bool = False) -> str:
            return path

        @property
        def flags(self) -> dict[str, Any]:
            return {}

    vars(made).update(Job=Job, tell=lambda error: error)
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made


def listed(monkeypatch: pytest.MonkeyPatch, *attributes: tuple[str, tuple[str, ...] | None]) -> list[str]:
    for place, parameters in attributes:
        found = Attribute(f"snakemake_of_tests:{place}", parameters, "faster", ("1.",))
        monkeypatch.setitem(BY_PLACE, found.place, found)
    return [f"snakemake_of_tests:{place}" for place, _ in attributes]


def test_functions_properties_and_values_are_replaced(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    places = listed(
        monkeypatch,
        ("Job.run", ("self", "path", "edit")),
        ("Job.flags", ("self",)),
        ("Job.SECONDS", None),
        ("tell", ("error",)),
    )
    twice = lambda own: lambda self, path, edit=False: own(self, path) * 2  # noqa: E731
    new = [twice, instead(property(lambda self: {"a": 1})), instead(0), lambda own: lambda error: f"{own(error)}!"]
    assert replace(dict(zip(places, new, strict=True)), pytest.fail)
    job = module.Job()
    assert (job.run("x"), job.flags, job.SECONDS, module.tell("x")) == ("xx", {"a": 1}, 0, "x!")
    assert replace({places[0]: twice}, pytest.fail), "what the package had is wrapped again, not what was put there"
    assert job.run("x") == "xx"


@pytest.mark.parametrize(
    ("place", "parameters", "says"),
    [
        ("Job.gone", ("self",), "snakemake_of_tests:Job.gone is not there any more in snakemake-of-tests"),
        ("Job.run", ("self", "path"), r"Job.run takes \(self, path, edit\) and not \(self, path\) in"),
        ("Job.SECONDS", ("self",), r"takes no parameters and not \(self\) in"),
        ("None.run", ("self",), "is not there any more"),
    ],
)
def test_what_is_not_as_expected_stays_and_is_named(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, place: str, parameters: tuple[str, ...], says: str
) -> None:
    """And nothing is put in place of what belongs to it."""
    said: list[Any]
    places, said = listed(monkeypatch, ("tell", ("error",)), (place, parameters)), []
    before = module.tell
    assert not replace(dict.fromkeys(places, instead(None)), said.append)
    assert module.tell is before
    (text,) = said
    assert re.search(says, text)
    assert re.search(r"stays as it is \(faster\); look at it, then correct connectomake_snakemake.attributes", text)


def test_what_is_not_listed_cannot_be_replaced(module: ModuleType) -> None:
    with pytest.raises(KeyError, match=r"Job\.run"):
        replace({"snakemake_of_tests:Job.run": instead(None)}, pytest.fail)


def test_a_module_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Attribute("snakemake_nowhere.x:Job.run", ("self",), "faster", ("1.",))
    assert "snakemake_nowhere.x:Job.run is not there any more in snakemake-nowhere" in str(gone.fault())


@pytest.mark.parametrize("provider", PLUGINS)
def test_each_listed_method_of_a_plugin_gets_something_and_no_other(provider: str) -> None:
    results: Any = None
    wraps = Inventory(results, ASK[provider]).wraps(provider)
    assert {f"{PLUGINS[provider]}:StorageObject.{name}" for name in wraps} == {
        place for place in BY_PLACE if place.startswith(PLUGINS[provider])
    }
    for name, wrap in wraps.items():
        listed = BY_PLACE[f"{PLUGINS[provider]}:StorageObject.{name}"].parameters
        taken = parameters_of(wrap(lambda self: None))
        assert listed is not None
        assert taken is not None
        assert len(taken) == len(listed)


class Item:
    """An object of a plugin."""

    query = "s3://lab/run/out/a"

    def local_path(self) -> str:
        return "storage/out/a"


def methods(
    head: bool = True, answers: Sequence[Stored | None] = (), objects: dict[str, Stored] | None = None
) -> tuple[dict[str, Callable[..., Any]], list[Stored | None]]:
    """Return the methods of a plugin's object, and what asks the store."""
    left = list(answers)
    results: Any = SimpleNamespace(
        head=head,
        plan=SimpleNamespace(outdir="out"),
        name=lambda path: f"storage/{path}",
        run=None if objects is None else SimpleNamespace(objects=objects),
    )
    wraps = Inventory(results, lambda item: left.pop(0)).wraps("s3")
    return {name: wrap(lambda item: None) for name, wrap in wraps.items()}, left


FOUND = Stored("e", 7, 3.0)


def test_one_answer_tells_whether_an_object_is_there_and_all_of_it() -> None:
    made, left = methods(answers=[FOUND])
    item = Item()
    assert (made["exists"](item), made["size"](item), made["mtime"](item), left) == (True, 7, 3.0, [])
    assert (made["is_dir"](item), made["bucket_exists"](item)) == (False, True)


@pytest.mark.parametrize(("head", "asked"), [(True, 2), (False, 1)])
def test_a_job_asks_once_for_what_is_there_and_the_head_anew(head: bool, asked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made, left = methods(head, [FOUND, FOUND])
    item, now = Item(), time.monotonic()
    assert made["exists"](item)
    monkeypatch.setattr(time, "monotonic", lambda: now + 60)
    assert made["exists"](item)
    assert len(left) == 2 - asked


def test_what_changes_an_object_makes_it_unknown() -> None:
    made, left = methods(answers=[None, FOUND])
    item = Item()
    assert not made["exists"](item)
    made["store_object"](item)
    assert made["exists"](item)
    assert left == []


def test_a_refusal_names_the_object() -> None:
    results: Any = SimpleNamespace(head=True)

    def refuse(item: Item) -> None:
        raise RuntimeError("An error occurred (ExpiredToken)")

    made = Inventory(results, refuse).wraps("s3")["exists"](None)
    with pytest.raises(StorageError, match="the credentials for s3://lab/run/out/a have expired"):
        made(Item())


def test_the_listing_is_noted_once() -> None:
    import asyncio

    class Known(dict[str, Any]):
        def __init__(self) -> None:
            super().__init__()
            self.has_inventory: set[Any] = set()

    cache = SimpleNamespace(exists_in_storage=Known(), mtime={}, size={})
    made, _ = methods(objects={"out/a": FOUND})
    for _ in range(2):
        asyncio.run(made["inventory"](Item(), cache))
    assert cache.exists_in_storage == {"storage/out/a": True}
    assert cache.size == {"storage/out/a": 7}
    assert cache.mtime["storage/out/a"].storage() == 3.0
    assert made["get_inventory_parent"](Item()) in cache.exists_in_storage.has_inventory
    before = SimpleNamespace(exists_in_storage=Known(), mtime={}, size={})
    made, _ = methods(head=False)
    asyncio.run(made["inventory"](Item(), before))
    assert before.exists_in_storage == {}, "a job lists nothing"


def test_of_several_errors_the_first_is_told() -> None:
    told = []
    show = first_of_group(lambda error, linemaps: told.append(error))
    inner = ValueError("x")
    show(ExceptionGroup("many", [ExceptionGroup("some", [inner, KeyError("y")]), OSError("z")]))
    show(inner, {})
    assert told == [inner, inner]


def test_a_report_that_could_show_passwords_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    place = "snakemake.report:ConfigfileRecord.__post_init__"
    monkeypatch.setitem(BY_PLACE, place, Attribute(place, ("self", "path"), "no password", ("9.",)))
    with pytest.raises(WorkflowError, match=r"a report could show passwords: .* takes \(self, configfile\) and not"):
        hide_passwords()


def test_a_report_of_what_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    targets: Any = SimpleNamespace(plan=SimpleNamespace(outdir="out"), reported=lambda: ["out/a"], reports={"page": "out/b"})
    monkeypatch.setattr("sys.argv", ["snakemake", "--report", "reports"])
    with pytest.raises(WorkflowError, match=r"out/a is not there yet, which the report shows \(2 such file\(s\)\)"):
        before_report(targets, lambda path: False)
    monkeypatch.setattr("sys.argv", ["snakemake", "-n"])
    before_report(targets, pytest.fail)
