"""Loading a network: chunkflow's two forms of Python file, or TorchScript."""

import itertools
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from connectomake.errors import ModelError
from connectomake.inference.augment import AugmentedNetwork
from connectomake.inference.bump import blend_weights
from connectomake.inference.chance import other_chance
from connectomake.inference.modelfile import UNIVERSAL_NAME, anew, form_of, guarded, import_model_file
from connectomake.inference.networks import TorchNetwork, UniversalNetwork, configure_torch
from connectomake.inference.spec import InferenceSpec
from connectomake.networks.error_summary import error_summary
from connectomake.networks.weights import fit, read_state_dict

SCRIPT_SUFFIXES = (".pt", ".pth", ".ts")


def load_network(
    model: str | Path, weights: str | Path | None, spec: InferenceSpec
) -> TorchNetwork | UniversalNetwork | AugmentedNetwork:
    """Load a model file and its weights, ready for `infer_block`.

    Forms, told by the file's suffix and what it defines:

    - ``pytorch``: a Python file with ``load_model(weights_path)`` or ``InstantiatedModel`` (a module, into which
      `weights` are loaded), and optionally ``pre_process`` and ``post_process``, which take and return tensors.
    - ``universal``: a Python file with a class ``PatchInferencer(weights_path, output_patch_mask)`` whose instances
      take a 5-D float32 array and return the output patch as an array, already multiplied by the mask.
    - TorchScript: ``.pt``, ``.pth`` or ``.ts``.

    The Python file is run: use only files that you trust. Weights are read without running code.

    Parameters
    ----------
    model
        The model file.
    weights
        State dict, or None where the model has its own.
    spec
        Patches, channels, device, threads, layout, mode and augmentation.

    Raises
    ------
    ModelError
        One sentence on what is wrong with the file, its weights or the device.
    """
    network = _load(model, weights, spec)
    return network if spec.augment == "none" else AugmentedNetwork(network, spec)


def reloading(
    model: str | Path, weights: str | Path | None, spec: InferenceSpec
) -> Callable[[], TorchNetwork | UniversalNetwork | AugmentedNetwork] | None:
    """Return what loads the network anew, for `infer_block` to compare; None if the config takes any answer.

    The file is run again as if for the first time, with its neighbours, and with other random numbers.
    """
    if spec.void:
        return None

    def load() -> TorchNetwork | UniversalNetwork | AugmentedNetwork:
        with other_chance(), anew(Path(model)):
            return load_network(model, weights, spec)

    return load


def _load(model: str | Path, weights: str | Path | None, spec: InferenceSpec) -> TorchNetwork | UniversalNetwork:
    path = Path(model)
    weights_path = None if weights is None else Path(weights)
    if weights_path is not None and not weights_path.is_file():
        raise ModelError(f"inference.weights {str(weights_path)!r} is not a file: give the path of a state dict")
    device = configure_torch(spec)
    if spec.kind == "torchscript" or (spec.kind == "auto" and path.suffix in SCRIPT_SUFFIXES):
        return _torchscript(path, weights_path, spec, device)
    file = import_model_file(path)
    if form_of(file, path, spec.kind) == "universal":
        return _universal(file, path, weights_path, spec, device)
    module = _module_of(file, path, weights_path)
    transforms = (getattr(file, "pre_process", None), getattr(file, "post_process", None))
    return TorchNetwork(_place(module, spec, device, path), spec, device, str(path), *transforms)


def _module_of(file: Any, path: Path, weights: Path | None) -> torch.nn.Module:
    """Return the module of a `pytorch` file with its weights."""
    if hasattr(file, "load_model"):
        given = None if weights is None else str(weights)
        hint = "" if weights else "; inference.weights is not set"
        module: torch.nn.Module = guarded(lambda: file.load_model(given), path, "load_model", hint)
        _check_module(module, path, "load_model returned")
        return module
    module = file.InstantiatedModel
    _check_module(module, path, "InstantiatedModel is")
    if weights is not None:
        fit(module, read_state_dict(weights), weights)
    return module


def _check_module(module: Any, path: Path, what: str) -> None:
    if not isinstance(module, torch.nn.Module):
        name = module.__name__ if isinstance(module, type) else type(module).__name__
        raise ModelError(f"{path}: {what} {name}, not a torch.nn.Module instance: make it one")


def _universal(file: Any, path: Path, weights: Path | None, spec: InferenceSpec, device: Any) -> UniversalNetwork:
    mask = blend_weights(spec.output_patch, spec.overlap)
    given = None if weights is None else str(weights)
    if spec.activation != "none":
        raise ModelError(
            f"{path}: inference.activation {spec.activation} cannot be used with a PatchInferencer, which weights its own "
            "output: set it to none, and put the sigmoid before the mask"
        )
    inferencer = guarded(lambda: getattr(file, UNIVERSAL_NAME)(given, mask), path, UNIVERSAL_NAME)
    if not callable(inferencer):
        raise ModelError(f"{path}: {UNIVERSAL_NAME} has no __call__: it must take a 5-D array and return one")
    return UniversalNetwork(inferencer, spec, device, str(path))


def _torchscript(path: Path, weights: Path | None, spec: InferenceSpec, device: Any) -> TorchNetwork:
    if not path.is_file():
        raise ModelError(f"inference.model {str(path)!r} is not a file: give the path of a model file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            module: Any = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError, EOFError, OSError) as error:
        raise ModelError(f"{path}: {_why_no_script(path, error)}") from error
    if weights is not None:
        fit(module, read_state_dict(weights), weights)
    if device.type == "cuda":  # else the first passes, which only watch, differ in rounding from those after, which are fused
        torch.jit.set_fusion_strategy([("STATIC", 0), ("DYNAMIC", 0)])
    return TorchNetwork(_place(module, spec, device, path), spec, device, str(path))


def _why_no_script(path: Path, error: BaseException) -> str:
    """Return why TorchScript cannot be read from a file, and the way out."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            if file.read(2) == b"PK":
                return f"is damaged ({error_summary(error)}): copy it again"
    elif any(Path(name).name == "constants.pkl" for name in zipfile.ZipFile(path).namelist()):
        return f"is TorchScript, but cannot be loaded: {error_summary(error)}: save it with torch {torch.__version__} or older"
    return (
        "is not TorchScript; a state dict goes to inference.weights, beside the Python file of its network as inference.model"
    )


def _place(module: Any, spec: InferenceSpec, device: torch.device, path: Path) -> Any:
    """Move a module to the device, and its tensors of five dimensions into the layout of the config; others have none."""
    module = guarded(lambda: module.to(device), path, f"moving the network to the device {device.type}")
    if spec.layout == "channels_last_3d" and not isinstance(module, torch.jit.ScriptModule):
        for tensor in itertools.chain(module.parameters(), module.buffers()):
            if not torch.nn.parameter.is_lazy(tensor) and tensor.ndim == 5:
                tensor.data = tensor.data.to(memory_format=torch.channels_last_3d)
    return module
