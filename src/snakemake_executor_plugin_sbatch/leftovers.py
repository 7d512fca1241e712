"""Jobs of a run that has ended: cancelled, and waited for until they are gone, so that no job ever runs twice at once."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from connectomake_heads import Note, read_notes
from snakemake_executor_plugin_sbatch.slurm import Slurm, SlurmError

LEFT_SECONDS = 300.0  # how long jobs of a killed run may take to go
_PAUSE = 1.0


class Left(Exception):  # noqa: N818
    """Jobs of another run stand in the way; the message says which, and what to do."""


class Clock(Protocol):
    """A clock that can wait."""

    @property
    def clock(self) -> Callable[[], float]:
        """Return seconds."""

    @property
    def sleep(self) -> Callable[[float], None]:
        """Wait some seconds."""


def cancel_and_wait(slurm: Slurm, name: str, seconds: float, patience: float, times: Clock) -> list[str]:
    """Cancel all jobs of a name.

    Parameters
    ----------
    seconds
        How long to wait until they are gone.
    patience
        How long to let them end by themselves before.

    Returns
    -------
    list[str]
        Ids and states of those that are still there.

    Raises
    ------
    SlurmError
        If Slurm does not answer.
    """
    left = _wait(slurm, name, patience, times)
    if left:
        slurm.cancel_all(name)
        left = _wait(slurm, name, seconds, times)
    return left


def _wait(slurm: Slurm, name: str, seconds: float, times: Clock) -> list[str]:
    until, pause = times.clock() + seconds, _PAUSE
    while (left := slurm.left(name)) and times.clock() < until:
        times.sleep(pause)
        pause = min(1.5 * pause, 5.0)
    return left


def clean_leftovers(slurm: Slurm, folder: Path, logger: Any, times: Clock) -> None:
    """Cancel the jobs of runs of this folder whose process was killed, and wait until they are gone.

    Raises
    ------
    Left
        If they do not go, or Slurm does not answer, or they may belong to a run that lives on another machine.
    """
    for note in list(read_notes(folder, lambda run, why: logger.warning(f"{why}; if it left jobs: scancel --name={run}"))):
        if note.here and note.alive:
            continue
        by_hand = f"scancel --name={note.run}"
        try:
            _clean(slurm, note, folder, logger, times)
        except SlurmError as error:
            text = (
                f"Slurm does not answer ({error}), and the killed run {note.run} may have left jobs; start again when it does"
            )
            raise Left(f"{text}, or, if it has none: rm {folder / note.run}.json") from error
        except Left as error:
            raise Left(f"{error}: {by_hand}, wait until `squeue --name={note.run}` lists none, and start again") from None


def _clean(slurm: Slurm, note: Note, folder: Path, logger: Any, times: Clock) -> None:
    if not note.here:
        if left := slurm.left(note.run):
            raise Left(f"run {note.run}, started on {note.host}, has {len(left)} job(s) in Slurm; if it is dead")
        return
    if slurm.left(note.run):
        logger.info(f"Cancelling the jobs that the killed run {note.run} left.")
        if left := cancel_and_wait(slurm, note.run, LEFT_SECONDS, 0, times):
            raise Left(f"{len(left)} job(s) of the killed run {note.run} are still there ({left[0]})")
    note.remove(folder)
    remove_folder(folder / note.run)


def remove_folder(folder: Path) -> None:
    """Remove the end notes of a run."""
    shutil.rmtree(folder, ignore_errors=True)
