"""Threads that run alongside the network: one reads the next input, one writes the last output."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_END = object()


class ReadAhead(Generic[T]):
    """Makes items in a thread, in order: one while the one before it is in use, so never more than two exist.

    Iterate over it once, as a context manager. What making an item raises is raised where that item was awaited.

    Parameters
    ----------
    items
        Its steps run in the thread.
    """

    def __init__(self, items: Iterator[T]) -> None:
        self.busy_seconds = 0.0
        self.waited_seconds = 0.0
        self._items = items
        self._made: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._wanted = threading.Semaphore(1)
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="read-ahead", daemon=True)

    def __enter__(self) -> "ReadAhead[T]":
        self._thread.start()
        return self

    def __iter__(self) -> Iterator[T]:
        while True:
            began = time.perf_counter()
            item, error = self._made.get()
            self.waited_seconds += time.perf_counter() - began
            if error is not None:
                raise error
            if item is _END:
                return
            self._wanted.release()
            yield item
            del item

    def _run(self) -> None:
        item: Any = None
        error: BaseException | None = None
        while item is not _END and error is None:
            self._wanted.acquire()
            if self._stopped:
                return
            began = time.perf_counter()
            try:
                item = next(self._items, _END)
            except BaseException as raised:  # it is raised again where the item is awaited
                item, error = None, raised
            self.busy_seconds += time.perf_counter() - began
            self._made.put((item, error))
            if item is not _END:
                item = None  # the one who waits has it

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop. The step in progress is waited for, since others may use what it uses, unless the process is to end."""
        self._stopped = True
        self._wanted.release()
        if error is None or isinstance(error, Exception):
            self._thread.join()


class WriteBehind:
    """Writes items in a thread, in order: one while the next is made, so never more than two exist.

    Use as a context manager: its end waits until all is written, or, after an error, until the write in progress has ended.

    Parameters
    ----------
    write
        Runs in the thread; what it raises is raised by the next `put` or at the end.
    """

    def __init__(self, write: Callable[..., None]) -> None:
        self.busy_seconds = 0.0
        self.waited_seconds = 0.0
        self._write = write
        self._given: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._free = threading.Semaphore(1)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="write-behind", daemon=True)

    def __enter__(self) -> "WriteBehind":
        self._thread.start()
        return self

    def put(self, *arguments: Any) -> None:
        """Hand on what is to be written, once the item before has been."""
        self._wait()
        if self._error is not None:
            raise self._error
        self._given.put(arguments)

    def _wait(self) -> None:
        began = time.perf_counter()
        self._free.acquire()
        self.waited_seconds += time.perf_counter() - began

    def _run(self) -> None:
        while (arguments := self._given.get()) is not _END:
            began = time.perf_counter()
            try:
                self._write(*arguments)
            except BaseException as raised:  # it is raised again in the thread that computes
                self._error = raised
            del arguments
            self.busy_seconds += time.perf_counter() - began
            self._free.release()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._given.put(_END)
        began = time.perf_counter()
        self._thread.join()
        self.waited_seconds += time.perf_counter() - began
        if error is None and self._error is not None:
            raise self._error
