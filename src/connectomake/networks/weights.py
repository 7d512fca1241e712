"""Reading weights without running code, and fitting them to a network."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from connectomake.errors import ModelError
from connectomake.networks.error_summary import error_summary
from connectomake.networks.wrappers import unwrapped

_NESTED = (
    "state_dict", "model_state_dict", "model_state", "model", "net", "network", "net_state_dict", "network_state_dict",
    "module", "weights", "model_weights", "params",
)  # fmt: skip
"""Keys under which trainers put the network's weights, beside those of optimizers and the like."""
_FORGIVEN = "num_batches_tracked"  # absent from checkpoints of torch < 0.4.1; not used in evaluation


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict, which may lie within a checkpoint of other things.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or holds anything but tensors and plain containers.
    """
    return state_dict_of(read_checkpoint(path), path)


def read_checkpoint(path: Path) -> Any:
    """Read what a file holds, if that is only tensors and plain containers.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or holds anything else.
    """
    if not path.is_file():
        raise ModelError(f"inference.weights {str(path)!r} is not a file: give the path of a state dict")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: holds Python objects other than tensors, which may run code when read: save network.state_dict() instead"
        ) from error
    except Exception as error:  # damaged bytes raise whatever the reader trips over
        raise ModelError(f"{path}: cannot be read as torch weights ({error_summary(error)}): save it again") from error


def state_dict_of(content: Any, path: Path) -> dict[str, torch.Tensor]:
    """Return the state dict in what a file holds: the whole, or what lies under a key that trainers use, or alone in it.

    Raises
    ------
    ModelError
        If there is none, or several under keys that say nothing.
    """
    while isinstance(content, Mapping) and not _is_state_dict(content):
        parts = {key: part for key, part in content.items() if isinstance(part, Mapping) and _holds_weights(part)}
        known = [key for key in _NESTED if key in parts]
        if not parts:
            break
        if not known and len(parts) > 1:
            raise ModelError(
                f"{path}: holds several state dicts, {', '.join(map(str, parts))}: save the one that is meant in its own file"
            )
        content = parts[known[0] if known else next(iter(parts))]
    if not _is_state_dict(content):
        raise ModelError(f"{path}: holds no state dict (names and tensors): save network.state_dict()")
    return dict(content)


def _is_state_dict(content: Any) -> bool:
    if not isinstance(content, Mapping) or not content:
        return False
    return all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in content.items())


def _holds_weights(content: Mapping[Any, Any]) -> bool:
    """Whether a mapping is a state dict or holds one under a key that trainers use."""
    nested = (content.get(key) for key in _NESTED)
    return _is_state_dict(content) or any(isinstance(part, Mapping) and _holds_weights(part) for part in nested)


def fit(module: Any, state: dict[str, torch.Tensor], path: Path) -> None:
    """Put weights into a network; every name and shape must agree, but for prefixes that wrappers add.

    Raises
    ------
    ModelError
        Naming the first weights that are missing, not expected, or of another shape.
    """
    own = module.state_dict()
    needed = {key for key in own if not key.endswith(_FORGIVEN)}
    state = unwrapped(state, set(own), needed)
    missing = [key for key in own if key in needed and key not in state]
    unknown = [key for key in state if key not in own]
    if missing or unknown:
        raise ModelError(
            f"{path}: does not fit the network: {_some('lacks', missing)}{' and ' if missing and unknown else ''}"
            f"{_some('has the unknown', unknown)}: use the weights of this network, or the network of these weights"
        )
    for key, value in state.items():
        if own[key].shape != value.shape:
            raise ModelError(
                f"{path}: does not fit the network: {key} has shape {tuple(value.shape)}, the network's has "
                f"{tuple(own[key].shape)}: use the weights of this network"
            )
    module.load_state_dict(state, strict=False)


def _some(what: str, keys: list[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return f"{what} {', '.join(keys[:3])}{more}"
