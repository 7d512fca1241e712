"""Networks as the engine sees them: arrays in, arrays out, in evaluation mode, with checked forms."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from connectomake.errors import ModelError
from connectomake.geometry.box import Vec
from connectomake.inference.constant import CONSTANT_WAY_OUT, constant_patches
from connectomake.inference.processing import PreProcess, Transform, as_tensor
from connectomake.inference.spec import InferenceSpec
from connectomake.networks.device import prepare_device
from connectomake.networks.error_summary import error_summary
from connectomake.networks.precision import lowered, precision_on


def configure_torch(spec: InferenceSpec) -> torch.device:
    """Fix all that the network's bits depend on (threads, algorithms, precision) and return the device to run on.

    Raises
    ------
    ModelError
        If the config asks for a device that is not there.
    """
    device = prepare_device(spec.device, spec.threads, "inference.device")
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    return device


def describe_torch(device: torch.device) -> dict[str, Any]:
    """Return what the bits of a result depend on: torch's version, the device and its name, the instruction set."""
    cuda = device.type == "cuda"
    return {
        "torch": torch.__version__,
        "device": device.type,
        "device_name": torch.cuda.get_device_name(device) if cuda else "cpu",
        "isa": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }


def enforce_eval(modules: Iterable[Any], spec: InferenceSpec, path: str) -> None:
    """Put modules into evaluation mode, unless the config lets them stay as their file leaves them.

    Raises
    ------
    ModelError
        If a module refuses, or is a batch normalisation without running statistics, whose output depends on the batch.
    """
    if spec.allow_train_mode:
        return
    for module in modules:
        module.eval()
        refuse_train_mode(module, path)


def refuse_train_mode(module: Any, path: str) -> None:
    """Raise if any part of a module depends on the batch.

    Raises
    ------
    ModelError
        Naming the part.
    """
    way_out = "make it evaluate, or set inference.allow_train_mode, which voids the promise of equal results"
    for name, part in module.named_modules():
        label = f"{name or 'the network'} ({type(part).__name__})"
        if part.training:
            raise ModelError(f"{path}: {label} is in training mode although eval() was called: {way_out}")
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm) and part.running_mean is None:
            raise ModelError(f"{path}: {label} keeps no running statistics, so it uses those of each batch: {way_out}")


def out_of_memory(spec: InferenceSpec, device: torch.device) -> str:
    """Return the way out for a network that does not fit the device's memory."""
    free, total = (value / 1e9 for value in torch.cuda.mem_get_info(device))
    smaller = f"set inference.batch to {spec.batch // 2} or less" if spec.batch > 1 else "make inference.patch smaller"
    return f"{free:.1f} of the device's {total:.1f} GB are free now: {smaller}, or run it on a device that nothing else uses"


class _Base:
    """Shared by both kinds of network: the record, the checks of the output's shape and dtype, batches of constant size."""

    weighted = False

    def __init__(self, spec: InferenceSpec, device: torch.device, path: str) -> None:
        self.spec = spec
        self.device = device
        self.path = path
        self.batch = spec.batch

    def forward(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the network's output for a batch of input patches, (n, c, z, y, x)."""
        raise NotImplementedError

    def steady_batch(self, image_channels: int) -> int:
        """Return the batch size, or 1 if a patch's output depends on its place in the batch.

        Vectorised operations may treat the last voxels of a batch differently from those of an earlier patch. One
        forward pass of equal patches tells; it is the same for all blocks, so all choose the same.
        """
        if self.spec.batch > 1:
            noise = np.random.default_rng(0).random((1, image_channels, *self.spec.patch), np.float32)
            outputs = self.forward(np.repeat(noise, self.spec.batch, axis=0))
            equal = all(np.array_equal(o, outputs[0], equal_nan=True) for o in outputs[1:])
            self.batch = self.spec.batch if equal else 1
        return self.batch

    def record(self) -> dict[str, Any]:
        """Return what the bits of this network's output depend on, for the record of a block."""
        spec = self.spec
        record = describe_torch(self.device) | {
            "batch": self.batch,
            "layout": spec.layout,
            "autocast": precision_on(self.device.type, spec.autocast),
            "train_mode": spec.allow_train_mode,
        }
        return record | ({"nondeterministic": True} if spec.allow_nondeterministic else {})

    @property
    def once(self) -> "_Base":
        """The network that is asked about one view of a patch: itself."""
        return self

    def _guarded(self, run: Callable[[Any], Any], batch: Any) -> Any:
        try:
            return run(batch)
        except ModelError:
            raise
        except Exception as error:  # the network is the user's: whatever it raises is about the model
            raise ModelError(
                f"{self.path}: the network failed on a batch of shape {tuple(batch.shape)} (n, c, z, y, x): "
                f"{type(error).__name__}: {error_summary(error)}; {self._way_out(error, batch)}"
            ) from error

    def _way_out(self, error: Exception, batch: Any) -> str:
        if isinstance(error, torch.OutOfMemoryError):
            return out_of_memory(self.spec, self.device)
        if "view size is not compatible" in str(error) and self.spec.layout != "contiguous":
            return "the network needs inference.layout: contiguous, or reshape in place of view"
        if constant_patches(as_array(batch) if isinstance(batch, torch.Tensor) else batch):
            return f"a patch of it is constant: {CONSTANT_WAY_OUT}"
        return "check inference.patch and the image's channels"

    def _check_form(self, shape: tuple[int, ...], count: int, spatial: list[Vec]) -> None:
        if len(shape) != 5 or shape[0] != count:
            raise ModelError(
                f"{self.path}: the network's output has shape {shape}, but ({count}, c, z, y, x) is needed: return one "
                f"5-D tensor, for instance from post_process"
            )
        if shape[1] != self.spec.channels:
            raise ModelError(
                f"{self.path}: the network's output has {shape[1]} channels, but inference.channels is "
                f"{self.spec.channels}: change it, or pick channels in post_process"
            )
        if shape[2:] not in spatial:
            fits = all(o <= p and (p - o) % 2 == 0 for p, o in zip(self.spec.patch, shape[2:], strict=True))
            way_out = f"set inference.output_patch to {list(shape[2:])}" if fits else "make it return one of these"
            raise ModelError(
                f"{self.path}: the network turns patches of {list(self.spec.patch)} into {list(shape[2:])}, not into "
                f"inference.patch or inference.output_patch {list(self.spec.output_patch)}: {way_out}"
            )


class TorchNetwork(_Base):
    """A torch module with optional pre- and post-processing of tensors."""

    def __init__(
        self,
        module: Any,
        spec: InferenceSpec,
        device: torch.device,
        path: str,
        pre_process: Transform | None = None,
        post_process: Transform | None = None,
    ) -> None:
        super().__init__(spec, device, path)
        self.module = module
        layout = torch.channels_last_3d if spec.layout == "channels_last_3d" else torch.contiguous_format
        self._pre = PreProcess(pre_process, device, layout)
        self._post = post_process or _identity
        enforce_eval([module], spec, path)

    def forward(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run (n, c, z, y, x) float32 of the input patch; return (n, c, z, y, x) float32 of the output patch.

        Raises
        ------
        ModelError
            If the network fails, returns something else than a tensor of that form, or leaves evaluation mode.
        """
        return as_array(self.answer(torch.from_numpy(batch)))

    def answer(self, batch: torch.Tensor) -> torch.Tensor:
        """Run a batch as `forward` does, but take a tensor on any device and return one of float32 on the network's.

        Raises
        ------
        ModelError
            As `forward`.
        """
        output = self.answer_whole(batch)
        if tuple(output.shape[2:]) != self.spec.output_patch:
            output = output[(slice(None), slice(None), *_central(self.spec))]
        return output

    def answer_whole(self, batch: torch.Tensor) -> torch.Tensor:
        """Run a batch as `answer` does, but return all that the network gives: the output patch or the input patch.

        Raises
        ------
        ModelError
            As `forward`.
        """
        output = self._guarded(self._run, batch)
        if not isinstance(output, torch.Tensor):
            raise ModelError(
                f"{self.path}: the network returned {type(output).__name__}, not a tensor: pick one in post_process"
            )
        self._check_form(tuple(output.shape), len(batch), [self.spec.output_patch, self.spec.patch])
        if not self.spec.allow_train_mode:
            refuse_train_mode(self.module, self.path)
        return output.to(torch.float32)

    def _run(self, batch: torch.Tensor) -> Any:
        with torch.inference_mode(), lowered(self.device.type, self.spec.autocast):
            return self._activated(as_tensor(self._post(self.module(self._pre(batch))), self.device))

    def _activated(self, output: Any) -> Any:
        """Return the output's sigmoid, in float32 over the whole batch, if the config asks for it."""
        if self.spec.activation == "none" or not isinstance(output, torch.Tensor):
            return output
        return torch.sigmoid(output.to(torch.float32).contiguous())


class UniversalNetwork(_Base):
    """chunkflow's `universal` form: an object called with a 5-D array that returns it already weighted."""

    weighted = True

    def __init__(self, inferencer: Any, spec: InferenceSpec, device: torch.device, path: str) -> None:
        super().__init__(spec, device, path)
        self.inferencer = inferencer
        parts = getattr(inferencer, "__dict__", {}).values()
        self._modules = [part for part in parts if isinstance(part, torch.nn.Module)]
        enforce_eval(self._modules, spec, path)

    def forward(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run (n, c, z, y, x) float32 of the input patch; return the weighted (n, c, z, y, x) float32 output patch.

        Raises
        ------
        ModelError
            If the inferencer fails, returns something else than an array of that form, or leaves evaluation mode.
        """
        with torch.inference_mode():
            output = self._guarded(self.inferencer, batch.copy())
        if not isinstance(output, np.ndarray):
            raise ModelError(f"{self.path}: PatchInferencer returned {type(output).__name__}, not a numpy array")
        self._check_form(output.shape, len(batch), [self.spec.output_patch])
        if not self.spec.allow_train_mode:
            for module in self._modules:
                refuse_train_mode(module, self.path)
        return np.ascontiguousarray(output, np.float32)


def as_array(tensor: torch.Tensor) -> NDArray[np.float32]:
    """Return a tensor on any device as an array of float32."""
    result: NDArray[np.float32] = tensor.to("cpu", torch.float32).contiguous().numpy()
    return result


def _identity(value: Any) -> Any:
    return value


def _central(spec: InferenceSpec) -> tuple[slice, slice, slice]:
    z, y, x = (slice(m, m + o) for m, o in zip(spec.margin, spec.output_patch, strict=True))
    return z, y, x
