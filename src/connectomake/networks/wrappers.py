"""Names of weights without the prefixes that wrappers of the network added when the checkpoint was saved."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

import torch

_WRAPPERS = ("_orig_mod", "module")
"""Parts of names: of torch.compile, and of DataParallel and its distributed kin."""
_USUAL = ("model", "net", "network", "generator", "backbone")
"""Names that trainers, Lightning's modules among them, give to the network they train, the most usual first."""

State = dict[str, torch.Tensor]


def unwrapped(state: State, own: AbstractSet[str], needed: AbstractSet[str]) -> State:
    """Return weights under the names of the network, where they fit it but for wrappers; else what comes nearest.

    Tried in order: the names as they are; without the parts that torch.compile and DataParallel add, in either; the weights
    below a prefix, such as Lightning's ``model.``, beside which a checkpoint may hold a loss or another network; and the
    names of a network that is itself one part of a wrapper. Only a prefix below which lie all names of the network, and no
    others, fits.

    Parameters
    ----------
    state
        Of the checkpoint.
    own
        Names of the network's weights.
    needed
        Those of them that must be there.
    """
    nearest = state
    for candidate in _candidates(state, own):
        if needed <= candidate.keys() <= own:
            return candidate
        if len(own & candidate.keys()) > len(own & nearest.keys()):
            nearest = candidate
    return nearest


def _candidates(state: State, own: AbstractSet[str]) -> Iterator[State]:
    yield state
    plain_own = {_plain(name): name for name in own}
    plain = {_plain(name): value for name, value in state.items()}
    if len(plain_own) < len(own) or len(plain) < len(state):  # two names that only a wrapper tells apart
        plain_own, plain = {name: name for name in own}, state
    inner = [plain, *_below(plain)]
    for found in (*inner, *(_above(part, plain_own.keys()) for part in inner)):
        yield {plain_own.get(name, name): value for name, value in found.items()}


def _plain(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _below(state: State) -> Iterator[State]:
    """Yield the weights below each prefix that is usual, or that all share: the usual ones first, then the shortest."""
    prefixes = {name[: at + 1] for name in state for at, letter in enumerate(name) if letter == "."}
    places = {f"{name}.": place for place, name in enumerate(_USUAL)}
    for prefix in sorted(prefixes, key=lambda p: (places.get(p, len(places)), p.count("."), p)):
        below = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        if len(below) == len(state) or set(prefix.split(".")[:-1]) <= set(_USUAL):
            yield below


def _above(state: State, own: AbstractSet[str]) -> State:
    """Return the weights with a prefix of usual names put before them that all names of the network share."""
    first, *others = [name.split(".")[:-1] for name in own] or [[]]
    for other in others:
        alike = next((at for at, (a, b) in enumerate(zip(first, other, strict=False)) if a != b), len(other))
        first = first[:alike]
    for length in range(1, len(first) + 1):
        longer = {".".join([*first[:length], name]): value for name, value in state.items()}
        if set(first[:length]) <= set(_USUAL) and longer.keys() & own:
            return longer
    return state
