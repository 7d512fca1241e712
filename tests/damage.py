"""Ways to damage a file, all of which a disk, a copy or a hand has done to somebody."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def flip(place: float) -> Callable[..., Any]:
    """Flip one bit at a share of the file's length."""

    def damage(path: Any) -> None:
        data = bytearray(path.read_bytes())
        data[min(int(len(data) * place), len(data) - 1)] ^= 0x10
        path.write_bytes(data)

    return damage


def not_utf8(path: Any) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + b"\xff" + data[len(data) // 2 :])


def folder(path: Path, *names: str) -> None:
    path.unlink()
    path.mkdir()
    for name in names:
        (path / name).write_text("of somebody")


def link(path: Path, target: str = "nowhere") -> None:
    path.unlink()
    path.symlink_to(target)


WAYS: dict[str, Any] = {
    "emptied": lambda path: path.write_bytes(b""),
    "cut in half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "last byte cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "flipped at the head": flip(0),
    "flipped in the middle": flip(0.5),
    "flipped at the tail": flip(1),
    "not UTF-8": not_utf8,
    "other text": lambda path: path.write_bytes(b"[1, 2]\n"),
    "an empty folder": folder,
    "a folder with a file": lambda path: folder(path, "note.txt"),
    "unreadable": lambda path: path.chmod(0),
    "a link to nowhere": link,
    "a link to itself": lambda path: link(path, path.name),
    "missing": os.unlink,
}
