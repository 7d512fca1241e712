"""Reading weights without running code, and fitting them to a network."""

import pickle
from pathlib import Path
from typing import Any

import torch

from connectomake.errors import ModelError
from connectomake.networks.words import first_words

_NESTED = ("state_dict", "model_state_dict")
_PREFIX = "module."
_FORGIVEN = "num_batches_tracked"  # absent from checkpoints of torch < 0.4.1; not used in evaluation


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict, unnested from 'state_dict' and freed of the 'module.' that data parallelism adds.

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
        raise ModelError(f"{path}: cannot be read as torch weights ({first_words(error)}): save it again") from error


def state_dict_of(content: Any, path: Path) -> dict[str, torch.Tensor]:
    """Return the state dict in what a file holds.

    Raises
    ------
    ModelError
        If there is none.
    """
    for key in _NESTED:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not content or not all(isinstance(v, torch.Tensor) for v in content.values()):
        raise ModelError(f"{path}: holds no state dict (names and tensors): save network.state_dict()")
    while all(key.startswith(_PREFIX) for key in content):
        content = {key.removeprefix(_PREFIX): value for key, value in content.items()}
    return dict(content)


def fit(module: Any, state: dict[str, torch.Tensor], path: Path) -> None:
    """Put weights into a network; every name and shape must agree.

    Raises
    ------
    ModelError
        Naming the first weights that are missing, not expected, or of another shape.
    """
    own = module.state_dict()
    missing = [key for key in own if key not in state and not key.endswith(_FORGIVEN)]
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
