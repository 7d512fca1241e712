"""Check that a network is deterministic: the same output when run again and when loaded again."""

import contextlib
import random
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from connectomake.errors import ModelError

_SEED = 20110531
_VOID = "set inference.allow_nondeterministic: true, which voids the promise"


class Askable(Protocol):
    """The part of a network's interface needed to run it again."""

    path: str
    """The model's file, named in errors."""

    def forward(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run (n, c, z, y, x) float32 of the input patch; return (n, c, z, y, x) float32 of the output patch."""
        ...

    @property
    def once(self) -> "Askable":
        """The network that is asked about one view of a patch: itself, unless it averages several."""
        ...


@contextlib.contextmanager
def other_chance() -> Iterator[None]:
    """Let all usual random numbers be others than before, and go on with the former ones afterwards."""
    import torch

    states = random.getstate(), np.random.get_state()  # noqa: NPY002  (a model file may use it)
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    with torch.random.fork_rng(devices):
        random.seed(_SEED)
        np.random.seed(_SEED)  # noqa: NPY002
        torch.manual_seed(_SEED)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002


def check_repeatable(
    network: Askable,
    again: Callable[[], Askable],
    batch: NDArray[np.float32],
    place: int,
    output: NDArray[np.float32] | None = None,
    noise: int = 0,
) -> None:
    """Compare, bit for bit, what a network says of a patch with what it says when loaded anew.

    The new one has been asked less often, sees no other patch in the batch, and draws other random numbers. So one pass tells
    of weights drawn at load, of dropout, of counted calls and of patches that mix within a batch.

    Parameters
    ----------
    network
        That has been asked at least once before.
    again
        Loads it anew.
    batch
        (n, c, z, y, x).
    place
        Of the patch in the batch.
    output
        What the network said of the batch, (n, c, z, y, x), if it was asked before; else it is asked now.
    noise
        How often the new one is asked about noise first, where the network has been asked about nothing but this batch.

    Raises
    ------
    ModelError
        If the bits differ; it names what seems to be the cause, and the way out.
    """
    asked = network.once
    said = output if output is not None and asked is network else asked.forward(batch)
    alone = np.repeat(batch[place : place + 1], len(batch), axis=0)
    with other_chance():
        fresh = _fresh(again, asked)
        for _ in range(noise):
            fresh.forward(np.random.default_rng(0).random(alone.shape, np.float32))
        heard = fresh.forward(alone)
        if not _equal(said[place], heard[place]):
            raise ModelError(f"{network.path}: {_cause(asked, fresh, batch, alone, place)}, or {_VOID}")


def _fresh(again: Callable[[], Askable], asked: Askable) -> Askable:
    """Return the network loaded anew, or the same if its file cannot be run twice in a process."""
    try:
        return again().once
    except ModelError:
        return asked


def _equal(a: NDArray[np.float32], b: NDArray[np.float32]) -> bool:
    return np.array_equal(a, b, equal_nan=True)


def _cause(asked: Askable, fresh: Askable, batch: NDArray[np.float32], alone: NDArray[np.float32], place: int) -> str:
    """Return what the network is sensitive to, and what to do about it."""
    first, second = (asked.forward(alone)[place] for _ in range(2))
    if not _equal(first, second):
        return (
            f"the network is not deterministic: asked twice about one patch, its answers differ by up to "
            f"{_difference(first, second)}: turn off dropout (trace TorchScript after eval()), random numbers, counts of calls"
        )
    if not _equal(asked.forward(batch)[place], first):
        return (
            "the network's answer to a patch depends on the other patches of its batch: normalise each patch by itself, set "
            "inference.batch: 1"
        )
    other = fresh.forward(alone)[place]
    name = _first_difference(asked, fresh)
    what = f" ({name} differs)" if name else ""
    return (
        f"the network is not deterministic: loaded twice, its answers differ by up to {_difference(first, other)}{what}: "
        "save weights that are drawn when it is loaded, and name them in inference.weights"
    )


def _difference(a: NDArray[np.float32], b: NDArray[np.float32]) -> str:
    with np.errstate(invalid="ignore"):
        return f"{float(np.nanmax(np.abs(a - b), initial=0)):.3g}"


def _first_difference(asked: Any, fresh: Any) -> str | None:
    """Return the name of the first weight that two loads of a torch network do not share."""
    import torch

    modules = [getattr(network, "module", None) for network in (asked, fresh)]
    if not all(isinstance(module, torch.nn.Module) for module in modules):
        return None
    a, b = (module.state_dict() for module in modules)  # type: ignore[union-attr]
    return next((name for name in a if name not in b or not torch.equal(a[name], b[name])), None)
