"""The documentation says what is: its config page, its links, its configs, its commands."""

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from docs import structure_picture

from connectomake.config import check_config, load_config, normalise, schema
from tests.test_imports import FLOOR_OF, arrows

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md"))]
CONFIGS = [ROOT / "config.yaml", *sorted(ROOT.glob("configs/*.yaml"))]


def keys(part: dict[str, Any], prefix: str = "", groups: bool = True) -> Iterator[str]:
    """The keys of a schema; those within sections have the section in front; groups within sections may be left out."""
    for key, sub in part["properties"].items():
        if groups or not (prefix and "properties" in sub):
            yield prefix + key
        if "properties" in sub:
            yield from keys(sub, f"{prefix}{key}.", groups)


def keys_of(value: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, sub in value.items():
        yield prefix + key
        if isinstance(sub, dict):
            yield from keys_of(sub, f"{prefix}{key}.")


def value_of(value: dict[str, Any], key: str) -> Any:
    for part in key.split("."):
        value = value[part]
    return value


def fenced(language: str) -> list[Any]:
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.DOTALL | re.MULTILINE)
    return [
        pytest.param(text, id=f"{page.name}-{i}") for page in PAGES for i, text in enumerate(pattern.findall(page.read_text()))
    ]


def commands_in(page: Path) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_config_page_is_up_to_date() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "make_config.py"))["page"]()
    assert page == (ROOT / "docs" / "config.md").read_text(), "run: python docs/make_config.py"


def test_the_config_page_has_every_key() -> None:
    text = (ROOT / "docs" / "config.md").read_text()
    sections = {key for key, sub in schema()["properties"].items() if "properties" in sub}
    for key in set(keys(schema(), groups=False)):
        section, _, rest = key.partition(".")
        assert f"`{rest if section in sections and rest else key}`" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{page.name} links to {link}, which is not there"
        assert not anchor or anchor in anchors(target), f"{page.name} links to {link}, which has no such heading"


def test_the_demos_config_names_every_key() -> None:
    config = load_config(ROOT / "config.yaml")
    named = set(keys_of(config))
    none = {key for key in named if value_of(config, key) is None}
    left_out = {key for key in keys(schema()) if any(key.startswith(f"{section}.") for section in none)}
    assert named == set(keys(schema())) - left_out


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.name)
def test_configs_are_valid(path: Path) -> None:
    check_config(normalise(load_config(path)))


@pytest.mark.parametrize("text", fenced("yaml"))
def test_configs_in_the_pages_are_valid(text: str) -> None:
    rest = {"outdir": "results/x", "source": {"path": "x.h5"}, "block": [128, 128, 128], "meshes": {"enabled": False}}
    for value in yaml.safe_load_all(text):
        check_config(normalise(rest | value))


@pytest.mark.parametrize("text", fenced("python"))
def test_python_in_the_pages_compiles(text: str) -> None:
    compile(text, "page", "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_exist(page: Path) -> None:
    from typer.main import get_command

    from connectomake.cli.app import app

    group: Any = get_command(app)
    commands = group.commands
    for name in re.findall(r"^connectomake ([a-z]+)", "".join(commands_in(page)), re.MULTILINE):
        assert name in commands, f"{page.name} names connectomake {name}"
    makefile = (ROOT / "Makefile").read_text()
    for name in re.findall(r"\bmake (demo|cluster|test[a-z-]*|bench|lint|fib25|clean|lock)\b", page.read_text()):
        assert re.search(rf"^{name}:", makefile, re.MULTILINE)


def test_the_picture_of_the_structure_is_as_the_imports_are() -> None:
    again = "python -m docs.structure_picture draws it again"
    assert structure_picture.PICTURE.read_text() == structure_picture.draw(), again
    boxes = structure_picture.places()
    imports = {package: {*arrows(package)} for package in FLOOR_OF}
    drawn = list(structure_picture.shown(imports))
    assert all(boxes[package][1] < boxes[other][1] for package, other in drawn), "no arrow runs up"
    reached = {package: {package} for package in boxes}
    for package in sorted(boxes, key=FLOOR_OF.__getitem__):
        reached[package].update(*(reached[other] for other in (b for a, b in drawn if a == package)))
    assert all(others <= reached[package] for package, others in imports.items()), "what is left out follows from the others"


def test_pictures_are_small() -> None:
    for picture in (ROOT / "docs" / "pictures").glob("*.png"):
        assert picture.stat().st_size <= 500_000


@pytest.mark.parametrize("name", ["schema.yaml", "training.yaml"])
def test_no_key_of_a_schema_stands_twice(name: str) -> None:
    """YAML takes the last of two equal keys without a word."""

    class Strict(yaml.SafeLoader):
        pass

    def mapping(loader: Any, node: Any) -> dict[str, Any]:
        keys = [loader.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), sorted(k for k in keys if keys.count(k) > 1)
        return dict(loader.construct_mapping(node, deep=True))

    Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    yaml.load(Path("src/connectomake/config", name).read_text(), Strict)
