"""Full disks, lost rights, expired keys, lost connections: the sentence names the file or object; it is not called damaged."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from connectomake import atomic
from connectomake.atomic import write_text
from connectomake.errors import ConnectomakeError, LayerError, SourceError, StorageError
from connectomake.layers import read_tables, write_columns, write_tables
from connectomake.os_errors import is_transient, storage_error
from connectomake.planning.freshness import is_stale
from connectomake.storage.ranges import explained
from connectomake.storage.refusals import of_store
from connectomake.verify.faults import VerifyReport
from tests.s3_server import S3Server

WRITERS = {
    "text": lambda path: write_text(path, "x"),
    "tables": lambda path: write_tables(path, {"a": np.zeros(9)}, {}),
    "columns": lambda path: write_columns(path, {"a": np.zeros(9)}, {}),
}
SAYS = {
    errno.ENOSPC: "its disk is full.*make room, then rerun",
    errno.EDQUOT: "quota.*then rerun",
    errno.EROFS: "mount it for writing",
    errno.EIO: "disk or file server failed.*rerun",
    errno.ESTALE: "disk or file server failed.*rerun",
    errno.ECONNRESET: "disk or file server failed.*rerun",
    errno.EACCES: "permit it to this user",
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("number", SAYS)
def test_what_the_system_refuses_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, writer: str
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    path = tmp_path / "deep" / "file.parquet"
    with pytest.raises(StorageError, match=f"{path} cannot be written .{os.strerror(number)}.: .*{SAYS[number]}"):
        WRITERS[writer](path)
    assert list(path.parent.iterdir()) == [], "no part of it is left"


def test_a_real_full_disk() -> None:
    """Writes to /dev/full fail as those to a full disk."""
    error = _error_of(lambda: Path("/dev/full").write_bytes(b"x" * 10**6))
    assert "/dev/full cannot be written" in str(storage_error("/dev/full", error, "written"))


def _error_of(action: Callable[..., Any]) -> Any:
    with pytest.raises(OSError, match="space") as caught:
        action()
    return caught.value


def test_libraries_that_only_say_it_in_words(tmp_path: Path) -> None:
    for text in ("[Errno 28] Can't write data", "unable to flush: errno = 28, error message = 'No space left on device'"):
        assert "its disk is full" in str(storage_error(tmp_path / "x", RuntimeError(text)))
    assert storage_error(tmp_path / "x", ValueError("bad magic")) is None


def test_errors_of_other_files_keep_their_names(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="other"), atomic.atomic_path(tmp_path / "x"):
        (tmp_path / "other").read_bytes()
    with pytest.raises(LayerError, match="mine"), atomic.atomic_path(tmp_path / "x"):
        raise LayerError(errno.ENOSPC, "mine")


def test_a_folder_or_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(StorageError, match="a folder lies where a file should be"):
        write_text(tmp_path / "x", "text")
    (tmp_path / "y").write_text("a file")
    with pytest.raises(StorageError, match="a file lies where a folder should be"):
        write_text(tmp_path / "y" / "z", "text")


def test_a_failing_disk_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read today is not called corrupted, and is not for `--repair` to delete."""
    path = tmp_path / "a.h5"
    write_tables(path, {"a": np.zeros(9)}, {})

    def refuse(*_: Path | str, **__: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("h5py.File", refuse)
    with pytest.raises(StorageError, match="disk or file server failed") as caught:
        read_tables(path)
    assert is_transient(caught.value)
    report = VerifyReport()
    report.add(str(path), caught.value)
    assert [fault.kind for fault in report.faults] == ["refused"]
    assert not is_stale(tmp_path / "none", "f")


ANSWERS = {
    "An error occurred (ExpiredToken) when calling the GetObject operation: The token has expired.": "have expired.*renew",
    "An error occurred (RequestExpired)": "have expired.*renew",
    "PERMISSION_DENIED: HTTP response code: 403 <Code>ExpiredToken</Code>": "have expired.*renew",
    "An error occurred (InvalidAccessKeyId) when calling the PutObject operation": "does not accept the credentials",
    "An error occurred (AccessDenied) when calling the GetObject operation": "is denied",
    "HTTP response code: 403": "is denied",
    "An error occurred (SlowDown) when calling the PutObject operation": "overloaded",
    "Connection was closed before we received a valid response from endpoint URL": "broke off",
    "('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))": "broke off",
    "CURL error Could not resolve host": "broke off",
    "9 bytes were asked for, 3 came": "broke off",
    "Read timeout on endpoint URL": "broke off",
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_what_a_store_answers_names_the_object(answer: str) -> None:
    assert of_store("s3://lab/x", RuntimeError("something else")) is None

    def fetch(start: int, stop: int) -> bytes:
        raise RuntimeError(answer)

    with pytest.raises(SourceError, match=f"s3://lab/x.*{ANSWERS[answer]}.*rerun") as caught:
        explained("s3://lab/x", fetch)(0, 1)
    assert isinstance(caught.value, ConnectomakeError)


@pytest.mark.parametrize(
    ("status", "code", "says"), [(400, "ExpiredToken", "have expired"), (403, "AccessDenied", "is denied")]
)
def test_a_real_client_whose_rights_end_while_it_reads(
    monkeypatch: pytest.MonkeyPatch, status: int, code: str, says: str
) -> None:
    from connectomake.storage.opening import open_url

    with S3Server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        client = server.client()
        client.create_bucket(Bucket="lab")
        client.put_object(Bucket="lab", Key="x.h5", Body=b"data")
        stream = open_url("s3://lab/x.h5")
        server.refuse = (status, code)
        with pytest.raises(SourceError, match=rf"s3://lab/x\.h5.*{says}.*rerun"):
            stream.read()
