"""Pods and secrets of runs that have ended: deleted, and waited for until they are gone, so that no job runs twice at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from connectomake_heads import Note, read_notes
from snakemake_executor_plugin_pods.api import ApiError, PodApi
from snakemake_executor_plugin_pods.spec import RUN_LABEL
from snakemake_executor_plugin_pods.watch import Fatal

GONE_SECONDS = 60.0  # how long to wait until deleted pods are gone
_PAUSE, _DELETE_SECONDS = 1.0, 10.0


class Clock(Protocol):
    """A clock that can wait."""

    @property
    def clock(self) -> Callable[[], float]:
        """Return seconds."""

    @property
    def sleep(self) -> Callable[[float], None]:
        """Wait some seconds."""


def delete_run(api: PodApi, run: str, times: Clock) -> int:
    """Delete pods and secret of a run; return how many pods are still there. A server that is away is asked again for a minute.

    Raises
    ------
    ApiError
        If it stays away, or refuses.
    """
    until, next_time, selector = times.clock() + GONE_SECONDS, times.clock(), f"{RUN_LABEL}={run}"
    while True:
        over = times.clock() >= until
        try:
            left = len(api.pods(selector))
            if left and times.clock() >= next_time:  # again: a pod may have been made meanwhile
                api.delete_pods(selector)
                next_time = times.clock() + _DELETE_SECONDS
            if over or not left:
                api.delete_secret(secret_of(run))
                return left
        except ApiError as error:
            if error.kind != "busy" or over:
                raise
        times.sleep(_PAUSE)


def clean_leftovers(api: PodApi, folder: Path, logger: Any, times: Clock) -> None:
    """Delete pods and secrets of runs of this folder whose process was killed; wait until the pods are gone.

    Raises
    ------
    Fatal
        If a pod does not go: two copies of a job must not run at once.
    ApiError
        If the server does not answer, or refuses.
    """
    for note in list(read_notes(folder, lambda run, why: logger.warning(f"{why}; if it left pods: {_command(run)}"))):
        if not note.here:
            logger.warning(f"run {note.run} was started on {note.host}; if it is dead: {by_hand(note)}")
        elif not note.alive:
            if left := delete_run(PodApi(api.core, note.place, api.reconnect), note.run, times):
                text = f"{left} pod(s) of the killed run {note.run} are still there; delete them: {by_hand(note)}"
                raise Fatal(f"{text} (with --force --grace-period=0, if their node is lost)")
            note.remove(folder)
            logger.info(f"Deleted the pods and the secret that the killed run {note.run} left.")


def secret_of(run: str) -> str:
    """Return the name of a run's secret."""
    return f"connectomake-{run}"


def by_hand(note: Note) -> str:
    """Return the command that deletes what a run made."""
    return _command(note.run, note.place)


def _command(run: str, place: str = "NAMESPACE") -> str:
    return f"kubectl delete pod,secret -n {place} -l {RUN_LABEL}={run}"
