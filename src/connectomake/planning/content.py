"""Detection of changed sources: file marks (size, times, inode) are compared at each start, checksums where a mark has changed.

The decision, with its price: docs/decisions/0025-identity-of-the-source.md.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from connectomake.atomic import canonical_json
from connectomake.errors import ContentError
from connectomake.planning.ledger import Ledger, Place
from connectomake.sources import hashing
from connectomake.sources.identity import Identity, Item

CHECKSUM_BELOW = 4_000_000_000
"""Bytes of a source that is read as a whole when it is first seen."""
YOUNG_NS = 2_000_000_000
"""A file written so shortly before it was read may be written again without its times moving: FAT counts two seconds."""
NAMED = 3


@dataclass(frozen=True)
class Rule:
    """How carefully to look.

    Parameters
    ----------
    below
        A source of at most so many bytes is read as a whole when it is first seen.
    deep
        Whether to read all that was never read, whatever its size.
    source_is
        What the user says of files that were written to and never read: "same" or "changed"; "" if nothing.
    ledger
        Where notes lie.
    progress
        Returns, for a source's name, a function that is called with the number of bytes read.
    """

    below: int = CHECKSUM_BELOW
    deep: bool = False
    source_is: str = ""
    ledger: Ledger = field(default_factory=Ledger)
    progress: Callable[[str], hashing.Progress] = hashing.said


@dataclass(frozen=True)
class Settled:
    """The identity of a source in the plan.

    Parameters
    ----------
    identity
        The name of its content: the cheap fingerprint of the first content that was met with it.
    first
        Of the first content that was seen at this place.
    changed
        Files that differ from what was seen before.
    last
        Files that differed when the content last became another.
    content
        Checksum of the whole content; None if it was never read as a whole.
    unseen
        What of the content is not looked at; "" if all is.
    size
        Bytes of what is looked at.
    """

    identity: str
    first: str
    changed: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    content: str | None = None
    unseen: str = ""
    size: int = 0


def settle(place: str, key: str, identity: Identity, rule: Rule) -> Settled:
    """Compare a source with what was seen of it before, and note what is there now.

    Parameters
    ----------
    place
        Where it lies, as the user wrote it; named in errors.
    key
        What its notes are found by: absolute path, dataset, scale.
    identity
        The cheap fingerprint with the files that it stands for.
    rule
        How carefully to look.

    Raises
    ------
    ContentError
        If a file that was never read in full has been written to, so that it is unknown whether its content has changed.
    SourceError
        If a file cannot be read.
    """
    known = rule.ledger.place(key)
    seen = _look(place, identity, known, rule)
    name = _name(identity, seen, known, rule)
    changed = _changed(seen, known) if known is not None and name != known.identity else ()
    first = known.first if known is not None else name
    files = {item.name: (seen.marks[item.name], seen.digests.get(item.name)) for item in identity.items}
    kept = changed or (known.changed if known is not None else ())
    rule.ledger.keep(key, Place(place, str(identity), name, first, seen.content, files, seen.rest, kept))
    return Settled(name, first, changed, kept, seen.content, identity.unseen, sum(i.size for i in identity.items))


def accept(key: str, identity: Identity, name: str, ledger: Ledger) -> None:
    """Let the content that lies at a place now be called `name`, and no other content: results were compared with it.

    Parameters
    ----------
    key, identity
        As `settle`, which has been called for it.
    name
        What the results call it.
    ledger
        Where notes lie.
    """
    known = ledger.place(key)
    if known is None:
        return
    for cheap in {str(identity), name, known.first}:
        contents = ledger.contents(cheap)
        ours = {known.content: name} if known.content and cheap == str(identity) else {}
        others = {d: _named(cheap, d) if called == name else called for d, called in contents.items() if d not in ours}
        if ours or others:
            ledger.keep_contents(cheap, others | ours)
    ledger.keep(key, replace(known, identity=name, changed=()))


@dataclass(frozen=True, slots=True)
class _Seen:
    marks: dict[str, tuple[int | str, ...]]
    digests: dict[str, str]
    rest: str
    content: str | None


def _look(place: str, identity: Identity, known: Place | None, rule: Rule) -> _Seen:
    """Read what must be read: what has moved since its checksum was taken, or all that was never read if that is to be."""
    notes = {} if known is None else known.files
    moved = [i for i in identity.items if i.name not in notes or notes[i.name][0] != i.mark]
    before, visible = known is not None and known.read, known is None or known.cheap != str(identity)
    if moved and not (before or visible or rule.source_is):
        raise ContentError(_question(place, moved, rule.below))
    gone = {i.name for i in moved}
    digests = {i.name: text for i in identity.items if i.name not in gone and (text := notes[i.name][1]) is not None}
    marks = {i.name: i.mark for i in identity.items}
    if before or rule.deep or _fits(identity, rule.below):
        wanted, began = [i for i in identity.items if i.name not in digests], time.time_ns()
        digests |= zip((i.name for i in wanted), hashing.hash_items(wanted, rule.progress(place)), strict=True)
        marks |= {i.name: () for i in wanted if _is_young(i, began)}
    rest = _rest(place, identity, rule) if rule.deep else (known.rest if known is not None else "")
    whole = bool(digests) and len(digests) == len(identity.items)
    content = hashing.joined([*digests.items(), *([("/", rest)] if rest else [])]) if whole else None
    return _Seen(marks, digests, rest, content)


def _fits(identity: Identity, below: int) -> bool:
    """Whether a source is small enough, and near enough, to be read as a whole at once."""
    local = all(isinstance(i.place, Path) for i in identity.items)
    return local and not identity.unseen and sum(i.size for i in identity.items) <= below


def _rest(place: str, identity: Identity, rule: Rule) -> str:
    """Return the checksum of the files beyond those that are looked at each time, a thousand at a time."""
    digest, some = hashlib.blake2b(digest_size=16), False
    rest = identity.rest()
    while items := [item for item, _ in zip(rest, range(1000), strict=False)]:
        some = True
        for item, text in zip(items, hashing.hash_items(items, rule.progress(place)), strict=True):
            digest.update(f"{item.name}\0{text}\0".encode())
    return digest.hexdigest() if some else ""


def _is_young(item: Item, now: int) -> bool:
    return any(isinstance(t, int) and t > now - YOUNG_NS for t in item.mark[1:3])


def _name(identity: Identity, seen: _Seen, known: Place | None, rule: Rule) -> str:
    """Return what the content is called in plans."""
    cheap, prior = str(identity), known if known is not None and known.cheap == identity else None
    if seen.content is None:
        return _name_unread(cheap, seen, known, prior, rule.source_is)
    contents = rule.ledger.contents(cheap)
    if rule.source_is == "same" and known is not None:
        name = known.identity
    elif seen.content in contents and rule.source_is != "changed":
        return contents[seen.content]
    elif prior is not None and not prior.read and rule.source_is != "changed":
        name = prior.identity  # read for the first time, and not written to since it was first seen
    else:
        name = _named(cheap, seen.content) if contents or prior else cheap
    rule.ledger.keep_contents(cheap, {**contents, seen.content: name})
    return name


def _name_unread(cheap: str, seen: _Seen, known: Place | None, prior: Place | None, source_is: str) -> str:
    if source_is == "same" and known is not None:
        return known.identity
    if source_is == "changed" and known is not None:
        return _named(known.identity, canonical_json(sorted(seen.marks.items())))
    return cheap if prior is None else prior.identity


def _named(cheap: str, content: str) -> str:
    return hashlib.sha256(canonical_json([cheap, content]).encode()).hexdigest()


def _changed(seen: _Seen, known: Place | None) -> tuple[str, ...]:
    """Return the names of the files that are new, or whose checksum is another."""
    notes = {} if known is None else known.files
    now = {name: seen.digests.get(name) for name in seen.marks}
    found = [n for n in now if n not in notes or notes[n][1] is None or notes[n][1] != now[n]]
    return tuple(sorted(found or set(notes) - set(now)))


def files_text(names: tuple[str, ...]) -> str:
    """Write the names of some files; "" if the source is one file."""
    shown = [name for name in names if name]
    more = len(shown) - NAMED
    return ", ".join(shown[:NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _question(place: str, unknown: list[Item], below: int) -> str:
    names = files_text(tuple(item.name for item in unknown))
    what = f"{place} ({names})" if names else place
    return (
        f"{what} was modified or replaced since it was last looked at, and was never read in full (source.checksum_below "
        f"is {below:,} bytes): it may hold another image; `connectomake verify --deep --source` compares it with what blocks "
        "were made from, `connectomake check --deep --source-is same` keeps them all, `--source-is changed` has them made anew"
    )
