"""Files that are no targets, such as a network and its weights, a filter, a table: remote workers fetch them by their hash."""

import hashlib
import re
from pathlib import Path, PurePosixPath

from connectomake.errors import QueueError, StorageError
from connectomake.planning.plan import Plan
from connectomake.sources import is_url
from connectomake.storage.refusals import explaining
from connectomake.storage.stores import Store

FOLDER = ".connectomake/files"
_SHA = re.compile("[0-9a-f]{64}")


def files_of(plan: Plan) -> dict[str, str]:
    """Return the SHA-256 of each file that a plan knows by its hash, by path; those beside a Python file that it uses, too.

    Raises
    ------
    QueueError
        If a hash is none.
    """
    section = plan.config["inference"] or {}
    found: dict[str | None, str | None] = {section.get("model"): plan.model, section.get("weights"): plan.weights}
    folder = PurePosixPath(section.get("model") or "").parent
    found |= {str(folder / name): sha for name, sha in plan.modules.items()}
    for step in plan.source.options.filters:
        found.update(step.files())
    if plan.table is not None:
        found[plan.table.path] = plan.table.sha256
    files = {path: sha for path, sha in found.items() if path is not None and sha is not None}
    for path, sha in files.items():
        if not _SHA.fullmatch(sha):
            raise QueueError(
                f"the plan of a task names the file {path!r} by {sha[:80]!r}, which is not a SHA-256; fill the queue again"
            )
    return files


def share(plan: Plan, store: Store) -> None:
    """Upload a plan's files to the store, each under its hash, unless they are there."""
    with explaining(store.url):
        for path, sha in files_of(plan).items():
            if store.mtime(f"{FOLDER}/{sha}") is None:
                store.upload(Path(path), f"{FOLDER}/{sha}")


def provide(plan: Plan, store: Store, scratch: Path, places: list[Path], cache: Path, *, table: bool = True) -> None:
    """Make a plan's files, and a source or a mask named by a relative path, appear in a scratch folder.

    Parameters
    ----------
    plan
        The plan.
    store
        Where `share` put them.
    scratch
        The job's folder.
    places
        Folders in which the files may lie already.
    cache
        Folder for files that were fetched.
    table
        Whether the job reads the table over labels, which may be large; only one does.

    Raises
    ------
    StorageError
        If a file is nowhere, or not the one that the plan was made with.
    QueueError
        If a name leads out of the scratch folder.
    """
    for path, sha in files_of(plan).items():
        unread = plan.table is not None and path == plan.table.path and not table
        if unread or PurePosixPath(path).is_absolute():
            continue
        _link(scratch, path, _find(path, sha, places) or _fetch(path, sha, store, cache))
    _link_volume(scratch, plan.source.path, places)
    if plan.mask is not None:
        _link_volume(scratch, plan.mask.volume.path, places)


def _link_volume(scratch: Path, path: str, places: list[Path]) -> None:
    if not is_url(path) and not PurePosixPath(path).is_absolute():
        for place in places:
            if (place / path).exists():
                _link(scratch, path, place / path)
                break


def _link(scratch: Path, name: str, target: Path) -> None:
    """Make a file appear in a scratch folder.

    Raises
    ------
    QueueError
        If its name leads out of the folder.
    """
    link = scratch / name
    if ".." in link.parts or not link.parent.resolve().is_relative_to(scratch.resolve()):
        raise QueueError(f"a task names the file {name!r}; files are relative to the run's folder")
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.symlink_to(target.absolute())


def _find(path: str, sha: str, places: list[Path]) -> Path | None:
    return next((p / path for p in places if (p / path).is_file() and _sha(p / path) == sha), None)


def _fetch(path: str, sha: str, store: Store, cache: Path) -> Path:
    place = cache / sha
    if not place.exists():
        with explaining(store.url):
            if store.mtime(f"{FOLDER}/{sha}") is None:
                raise StorageError(f"{path} is neither here nor in {store.url}/{FOLDER}; fill the queue again, or copy it here")
            store.download(f"{FOLDER}/{sha}", place)
    if _sha(place) != sha:
        raise StorageError(f"{store.url}/{FOLDER}/{sha} is not the {path} that the plan was made with; delete it, fill again")
    return place


def _sha(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
