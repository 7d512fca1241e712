"""No other user's code is run: what numba reads back lies in a folder that is ours alone."""

import os
import pickle
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import connectomake
from connectomake.compiled import use_cache_of_this_source
from connectomake.private_folder import make_private, writable_by_others

ROOT = os.getuid() == 0
OTHER = 12345
AS_ROOT = pytest.mark.skipif(not ROOT, reason="only root can give folders to others")
PRINT = "import os, connectomake.compiled as c; c.use_cache_of_this_source(); print(os.environ['NUMBA_CACHE_DIR'])"


def cache_of(**environment: Any) -> Any:
    """The folder that a new process takes, and what it says."""
    plain = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    done = subprocess.run([sys.executable, "-c", PRINT], env=plain | environment, capture_output=True, text=True, check=True)
    return Path(done.stdout.strip()), done.stderr


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.slow
def test_the_users_cache_is_taken(tmp_path: Path) -> None:
    folder, said = cache_of(HOME=str(tmp_path))
    assert (folder.parent, said) == (tmp_path / ".cache/connectomake", "")
    assert mode(folder) == mode(folder.parent) == 0o700
    assert cache_of(HOME=str(tmp_path)) == (folder, "")
    assert cache_of(HOME="/dev/null", XDG_CACHE_HOME=str(tmp_path / ".cache")) == (folder, "")


@pytest.mark.slow
def test_without_a_home_an_own_folder_in_the_temporary_one(tmp_path: Path) -> None:
    folder, said = cache_of(HOME="/dev/null", TMPDIR=str(tmp_path))
    assert (folder.parent, said) == (tmp_path / f"connectomake-{os.getuid()}", "")
    assert mode(folder) == mode(folder.parent) == 0o700


def poison(folder: Path) -> None:
    """Write a pickle into a folder that would leave a trace if it were run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.nbi").write_bytes(pickle.dumps("x"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", ["world", "link", pytest.param("owner", marks=AS_ROOT), pytest.param("parent", marks=AS_ROOT), "file"]
)
def test_a_folder_that_others_prepared_is_not_used(tmp_path: Path, how: str) -> None:
    place = tmp_path / f"connectomake-{os.getuid()}"
    if how == "link":
        poison(tmp_path / "theirs")
        place.symlink_to(tmp_path / "theirs")
    elif how == "file":
        place.write_text("x")
    else:
        poison(place)
        if how == "world":
            place.chmod(0o777)
        else:
            os.chown(place if how == "owner" else tmp_path, OTHER, OTHER)
    folder, said = cache_of(HOME="/dev/null", TMPDIR=str(tmp_path))
    assert place not in (folder, *folder.parents)
    assert folder.name.startswith("connectomake-numba-")
    assert not folder.exists(), "removed at the end"
    assert "compiled functions are not kept" in said
    assert str(tmp_path) in said
    assert len(said.splitlines()) == 1


@pytest.mark.slow
def test_a_folder_of_the_users_own_choice(tmp_path: Path) -> None:
    assert cache_of(NUMBA_CACHE_DIR=str(tmp_path / "new")) == (tmp_path / "new", "")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    folder, said = cache_of(NUMBA_CACHE_DIR=str(tmp_path / "shared"), HOME=str(tmp_path))
    assert folder.parent == tmp_path / ".cache/connectomake"
    assert "shared can be written by other users, so NUMBA_CACHE_DIR is not used" in said
    folder, said = cache_of(NUMBA_CACHE_DIR="/dev/null/x", HOME=str(tmp_path))
    assert folder.parent == tmp_path / ".cache/connectomake"
    assert "cannot be used" in said


def test_what_an_image_brings_compiled_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is not root, in an image whose folder only root can change."""
    (tmp_path / "image/src_1").mkdir(parents=True)
    (tmp_path / "image/src_1/f.nbi").write_text("x")
    access = os.access
    monkeypatch.setattr("os.access", lambda path, how: access(path, how) and not (how & os.W_OK and Path(path).name == "image"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "image"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    use_cache_of_this_source()
    folder = Path(os.environ["NUMBA_CACHE_DIR"])
    assert folder.parent == tmp_path / "cache/connectomake"
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*")] == ["src_1", "src_1/f.nbi"]


def test_reasons(tmp_path: Path) -> None:
    folder = tmp_path / "a/b"
    assert make_private(folder) is None
    folder.chmod(0o755)
    assert make_private(folder) is None
    assert mode(folder) == 0o700
    folder.parent.chmod(0o777)
    assert writable_by_others(folder) == f"{folder.parent} can be written by other users"
    folder.parent.chmod(0o1777)
    assert writable_by_others(folder) is None, "nobody can move what is another's in a sticky folder"
    folder.chmod(0o1777)
    assert "can be written" in (writable_by_others(folder) or "")
    (tmp_path / "link").symlink_to(folder.parent)
    folder.chmod(0o700)
    assert writable_by_others(tmp_path / "link/b") is None, "a link of ours on the way"
    assert "is a link" in (writable_by_others(tmp_path / "link") or "")
    assert "cannot be made" in (make_private(Path("/dev/null/x")) or "")


WATCHED = """
import os, sys
before, opened = dict(os.environ), []
sys.addaudithook(lambda event, args: opened.append((event, str(args[0]))) if event in ("open", "os.mkdir") else None)
import connectomake, connectomake.cli.app, connectomake.planning.plan, connectomake.jobs
assert dict(os.environ) == before, set(os.environ) ^ set(before)
assert not [args for event, args in opened if event == "os.mkdir" and "pycache" not in args], opened
loaded = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
names = {os.path.abspath(path) for event, path in opened if event == "open" and path.endswith(".py")}
assert {name for name in names if "/connectomake/" in name} <= loaded, names - loaded
assert "numba" not in sys.modules
import connectomake.components
import numba
assert os.environ["NUMBA_CACHE_DIR"] == numba.config.CACHE_DIR != "", numba.config.CACHE_DIR
"""


@pytest.mark.parametrize("first", ["", "import numba\n"])
def test_the_import_has_no_side_effects(first: str, tmp_path: Path) -> None:
    """It hashed its own source, made a folder and set a variable; now that is done where compiled functions are loaded."""
    plain = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")} | {"HOME": str(tmp_path)}
    code = WATCHED.replace('assert "numba" not in sys.modules\n', "") if first else WATCHED
    subprocess.run([sys.executable, "-c", first + code], env=plain, check=True)
    assert (tmp_path / ".cache/connectomake").is_dir()


def test_all_compiled_functions_are_kept_there() -> None:
    library = Path(connectomake.__file__).parent
    direct = [path for path in library.rglob("*.py") if re.search(r"^\s*(from|import) numba\b", path.read_text(), re.MULTILINE)]
    assert direct == [library / "compiled.py"], "take njit of connectomake.compiled"
