"""An HDF5 file does not decide what else of this machine is read."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from connectomake.errors import SourceError
from connectomake.geometry import Box
from connectomake.sources import SourceOptions, open_source
from connectomake.sources.hdf5_reach import check_reach

SHAPE = (2, 3, 4)
SIZE = 24


def external(file: Any, name: str, place: str | Path) -> None:
    file.create_dataset(name, SHAPE, np.uint8, external=[(str(place), 0, SIZE)])


def virtual(file: Any, name: str, place: str | Path, inner: str = "d") -> None:
    layout = h5py.VirtualLayout(SHAPE, np.uint8)
    layout[:] = h5py.VirtualSource(str(place), inner, SHAPE)
    file.create_virtual_dataset(name, layout)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A folder that was sent, and one that is private."""
    sent, private = tmp_path / "sent", tmp_path / "private"
    for folder in (sent / "below", private):
        folder.mkdir(parents=True)
        (folder / "secret.txt").write_bytes(b"s" * SIZE)
        with h5py.File(folder / "d.h5", "w") as file:
            file["d"] = np.full(SHAPE, 7, np.uint8)
    monkeypatch.chdir(sent)
    return sent, private


def make(sent: Path, private: Path) -> Path:
    """One dataset for each way to refer to a file, near and far."""
    with h5py.File(sent / "nested.h5", "w") as file:
        external(file, "d", private / "secret.txt")
    with h5py.File(sent / "a.h5", "w") as file:
        for name, folder in (("near", sent / "below"), ("far", private)):
            external(file, f"{name}_raw", folder / "secret.txt")
            virtual(file, f"{name}_virtual", folder / "d.h5")
            file[f"{name}_link"] = h5py.ExternalLink(str(folder / "d.h5"), "d")
        external(file, "far_relative", "../private/secret.txt")
        external(file, "near_relative", "below/secret.txt")
        virtual(file, "far_virtual_relative", "../private/d.h5")
        virtual(file, "far_nested", "nested.h5")
        virtual(file, "far_own", ".", "far_raw")
        file["far_soft"] = h5py.SoftLink("/far_raw")
        file["far_link_nested"] = h5py.ExternalLink("nested.h5", "d")
        (sent / "link.txt").symlink_to(private / "secret.txt")
        external(file, "far_symbolic", sent / "link.txt")
        virtual(file, "near_own", ".", "near_raw")
    return sent / "a.h5"


def names(path: Path) -> list[str]:
    with h5py.File(path) as file:
        return list(file)


def test_files_in_the_own_folder_are_read_others_not(places: tuple[Path, Path]) -> None:
    sent, private = places
    path = make(sent, private)
    tried = names(path)
    assert len(tried) == 15
    for name in tried:
        if name.startswith("near"):
            source = open_source(str(path), name, (1, 1, 1))
            assert source.read(Box.of_shape(SHAPE)).max() in (7, ord("s"))
            continue
        with pytest.raises(SourceError, match=r"outside the file's folder, .*source.refers_to: \[") as caught:
            open_source(str(path), name, (1, 1, 1))
        assert "secret.txt" in str(caught.value) or "d.h5" in str(caught.value)


def test_folders_can_be_named(places: tuple[Path, Path]) -> None:
    sent, private = places
    path = make(sent, private)
    for name in names(path):
        source = open_source(str(path), name, (1, 1, 1), options=SourceOptions(refers_to=(str(private),)))
        assert source.read(Box.of_shape(SHAPE)).max() in (7, ord("s"))
    assert SourceOptions.of({"refers_to": [str(private)]}).chosen() == {}, "the result does not depend on it"


@pytest.mark.parametrize("place", ["/etc/passwd", "/proc/version", "/dev/zero"])
def test_files_of_the_system(places: tuple[Path, Path], place: str) -> None:
    with h5py.File("a.h5", "w") as file:
        external(file, "raw", place)
    with pytest.raises(SourceError, match=f"is read from {place} .external raw storage."):
        open_source("a.h5", "raw", (1, 1, 1))


def test_a_file_at_a_url_has_no_folder_here(places: tuple[Path, Path]) -> None:
    sent, private = places
    path = make(sent, private)
    with path.open("rb") as stream, h5py.File(stream, "r") as file:
        with pytest.raises(SourceError, match="an HDF5 file at a URL is read from"):
            check_reach(file["near_raw"], None)
        file_with_all = h5py.File(sent / "below/d.h5")
        check_reach(file_with_all["d"], str(sent / "below/d.h5"))
    with (sent / "below/d.h5").open("rb") as stream, h5py.File(stream, "r") as file:
        check_reach(file["d"], None)


def test_circles_end(places: tuple[Path, Path]) -> None:
    with h5py.File("a.h5", "w") as file:
        virtual(file, "a", "b.h5", "b")
    with h5py.File("b.h5", "w") as file:
        virtual(file, "b", "a.h5", "a")
    with h5py.File("a.h5") as file:
        check_reach(file["a"], "a.h5")
