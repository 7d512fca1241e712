"""Which file a job reads, noted where the process above it can see it: a job that a signal ends cannot say it any more.

The note is a page of memory that both share: anonymous where the job is a fork, that of a small file where it is started anew.
"""

import atexit
import contextlib
import mmap
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

FOLDER = "CONNECTOMAKE_LAST_FILES"
"""Environment variable: folder of the files that are pages of jobs, each named after the job's script."""
_OWNER = "CONNECTOMAKE_LAST_FILES_OF"
_HALF = 4096
_SIZE = 2 * _HALF
_STOPPED = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE}
_page: mmap.mmap | None = None


def new_page() -> mmap.mmap:
    """Return an empty page that a fork will share."""
    return mmap.mmap(-1, _SIZE)


def use(page: mmap.mmap | None) -> None:
    """Note on this page from now on; None: nowhere."""
    global _page  # noqa: PLW0603  (of the process, which is one job)
    _page = page


def adopt() -> None:
    """Use the page that the process above keeps for this script, if it keeps one."""
    folder = os.environ.get(FOLDER)
    if _page is not None or not folder:
        return
    with contextlib.suppress(OSError, ValueError), Path(folder, Path(sys.argv[0]).name).open("r+b") as stream:
        use(mmap.mmap(stream.fileno(), _SIZE))


def reading(path: str | os.PathLike[str]) -> None:
    """Note that the job reads a file now."""
    if _page is not None:
        _write(0, os.fsencode(path))


def logging_to(path: str | os.PathLike[str]) -> None:
    """Note where the job's log is."""
    if _page is not None:
        _write(_HALF, os.fsencode(Path(path).absolute()))


def _write(start: int, text: bytes) -> None:
    kept = text[: _HALF - 1] + b"\0"
    if _page is not None:
        _page[start : start + len(kept)] = kept


def _read(page: mmap.mmap, start: int) -> str:
    return os.fsdecode(page[start : start + _HALF].partition(b"\0")[0])


def report_signal(page: mmap.mmap, code: int) -> str:
    """Say how a job ended, if a signal ended it that nobody sends to stop a job; append it to the job's log, too.

    Parameters
    ----------
    page
        The job's.
    code
        Its exit code; a signal's is its number, negative or as a shell has it, plus 128.

    Returns
    -------
    str
        One sentence, or nothing.
    """
    number = -code if code < 0 else code - 128
    if number <= 0 or number not in set(signal.Signals) or number in _STOPPED:
        return ""
    text = f"connectomake: error: {_sentence(signal.Signals(number), _read(page, 0))}"
    log = _read(page, _HALF)
    if log:
        with contextlib.suppress(OSError), Path(log).open("a", errors="backslashreplace") as stream:
            stream.write(f"{text}\n")
    return text


def _sentence(number: signal.Signals, path: str) -> str:
    file = f"the last file it opened is {path}" if path else "it had opened no file yet"
    if number == signal.SIGKILL:
        return f"the job was killed (signal 9), most often for lack of memory; {file}; give it more memory (mem_mb), then rerun"
    way_out = "look for damage with `connectomake verify --deep`, delete what it names and rerun; else report this with the log"
    return f"the job was ended by signal {int(number)} ({number.name}); {file}; {way_out}"


@contextlib.contextmanager
def shared_page(script: str | os.PathLike[str]) -> Iterator[mmap.mmap]:
    """Keep a page for a script that is about to be started as another program, which adopts it."""
    path = Path(_folder(), Path(script).name)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.ftruncate(handle, _SIZE)
        with mmap.mmap(handle, _SIZE) as page:
            yield page
    finally:
        os.close(handle)
        path.unlink(missing_ok=True)


def _folder() -> str:
    """Return the folder of pages of this process, its own even if a process above it has one."""
    if os.environ.get(_OWNER) != str(os.getpid()):
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="connectomake-pages-")
        os.environ[_OWNER] = str(os.getpid())
        atexit.register(shutil.rmtree, os.environ[FOLDER], ignore_errors=True)
    return os.environ[FOLDER]
