"""The network in training: a step, the moving average of its weights, its state."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from connectomake.errors import ModelError, RunError
from connectomake.networks.precision import lowered
from connectomake.networks.rsunet import RSUNet, load_rsunet
from connectomake.training.batch import Batch
from connectomake.training.spec import NEAREST, TrainingSpec

LAST_STAYS = "the last checkpoint stays. A smaller learning_rate, a longer warm_up or autocast: none may help"


def begin_with(network: Any, path: Path) -> None:
    """Give a network the weights of an earlier training; channels that the earlier one lacks begin at zero.

    Random ones would send random gradients into all that the others have learned.

    Raises
    ------
    ModelError
        If the file is no RSUNet, or one of another structure.
    """
    earlier = load_rsunet(path)
    for key in ("in_channels", "widths", "pooling", "variant"):
        if earlier.settings[key] != network.settings[key]:
            raise ModelError(
                f"initial_weights {path}: {key} is {earlier.settings[key]}, the network to be trained has "
                f"{network.settings[key]}; change network, or take other weights"
            )
    check_weights(earlier.state_dict(), f"initial_weights {path}", "take other weights")
    with torch.no_grad():
        for own, other in zip(network.state_dict().values(), earlier.state_dict().values(), strict=True):
            shared = slice(min(len(own), len(other))) if own.ndim else ...
            if own.ndim:
                own.zero_()
            own[shared] = other[shared]


def check_weights(state: Mapping[str, Any], what: str, way_out: str) -> None:
    """Refuse weights with NaN or infinity.

    Raises
    ------
    ModelError
        Naming the first such tensor.
    """
    for name, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ModelError(f"{what}: {name} holds values that are not finite; {way_out}")


class Trainer:
    """A network, its optimiser and the moving average of its weights and statistics.

    Parameters
    ----------
    spec
        All settings.
    device
        Of `connectomake.networks.device.prepare_device`.
    """

    def __init__(self, spec: TrainingSpec, device: torch.device) -> None:
        self.spec = spec
        self.device = device
        self.step = 0
        torch.manual_seed(spec.seed)
        self.network = self._place(RSUNet(1, len(spec.offsets), **spec.network, sigmoid=False))
        if spec.initial_weights is not None:
            begin_with(self.network, Path(spec.initial_weights))
        self.averaged = self._place(RSUNet(1, len(spec.offsets), **spec.network, sigmoid=False)).eval()
        self.averaged.load_state_dict(self.network.state_dict())
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": spec.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.99), fused=True)

    def _place(self, network: RSUNet) -> Any:
        placed: Any = network.to(self.device)
        return placed.to(memory_format=self._format)

    @property
    def _format(self) -> torch.memory_format:
        return torch.channels_last_3d if self.spec.layout == "channels_last_3d" else torch.contiguous_format

    def rate(self, step: int) -> float:
        """Return the learning rate of a step: it rises linearly, then falls as half a cosine."""
        spec = self.spec
        rise = min((step + 1) / max(spec.warm_up, 1), 1.0)
        return spec.learning_rate * rise * (0.5 + 0.5 * math.cos(math.pi * min(step / spec.steps, 1.0)))

    def learn(self, batch: Batch) -> float:
        """Take one step and return its loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(self.step)
        self.network.train()
        batch = self._placed(batch)
        loss = batch.loss(self._outputs(self.network, batch))
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.spec.clip or math.inf)
        self._check(loss.detach(), norm)
        self.optimizer.step()
        self.step += 1
        self._average()
        return float(loss.detach())

    def _check(self, loss: torch.Tensor, norm: torch.Tensor) -> None:
        """Stop before a step that would spoil the weights."""
        values = {"loss": float(loss), "norm of the gradient": float(norm)}
        for name, value in values.items():
            if not math.isfinite(value):
                raise RunError(f"the {name} of step {self.step} is {value}, so the training ends here; {LAST_STAYS}")

    def validate(self, batches: Sequence[Batch]) -> tuple[float, float]:
        """Return loss and balanced error rate of the nearest affinities (at .5), of the averaged weights."""
        losses, errors = [], []
        with torch.inference_mode():
            for batch in map(self._placed, batches):
                outputs = self._outputs(self.averaged, batch)
                losses.append(float(batch.loss(outputs)))
                wrong = ((outputs > 0) != batch.joined)[:, : len(NEAREST)]
                weights = batch.voxel_weights[:, : len(NEAREST)]
                errors.append(float((wrong * weights).sum() / weights.sum().clamp_min(1e-9)))
        if not np.isfinite(losses).all():
            raise RunError(
                f"the loss on the held-out boxes is {losses} after step {self.step}, so the training ends here; {LAST_STAYS}"
            )
        return float(np.mean(losses)), float(np.mean(errors))

    def probabilities(self, batch: Batch) -> NDArray[np.float32]:
        """Return what the averaged weights make of a batch's first sample: (c, z, y, x) in [0, 1]."""
        with torch.inference_mode():
            return self._outputs(self.averaged, self._placed(batch))[0].sigmoid().cpu().numpy()

    def _placed(self, batch: Batch) -> Batch:
        return batch.to(self.device, self._format)

    def _outputs(self, network: Any, batch: Batch) -> torch.Tensor:
        with lowered(self.device.type, self.spec.autocast):
            return network(batch.images).float()  # type: ignore[no-any-return]

    def _average(self) -> None:
        """Move the average towards the weights; at first faster, so that the beginning is forgotten."""
        share = 1 - min(self.spec.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            own, averaged = self.network.state_dict(), self.averaged.state_dict()
            moving = [name for name, value in averaged.items() if value.is_floating_point()]
            torch._foreach_lerp_([averaged[name] for name in moving], [own[name] for name in moving], share)
            for name in averaged.keys() - set(moving):
                averaged[name].copy_(own[name])

    def state(self) -> dict[str, Any]:
        """Return all that changes, as tensors and plain containers."""
        return {
            "step": self.step,
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to what `state` returned.

        Raises
        ------
        ModelError
            If weights are not finite.
        """
        check_weights(state["network"], "the checkpoint", "delete it to start over")
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])

    def inference_network(self) -> Any:
        """Return the network to be used: averaged weights, nearest affinities only, with a sigmoid, on the CPU."""
        network: Any = RSUNet(1, len(NEAREST), **self.spec.network, sigmoid=True)
        state = {name: value.to("cpu", copy=True) for name, value in self.averaged.state_dict().items()}
        for name in ("weight", "bias"):
            last = f"exit.{len(network.exit) - 1}.{name}"
            state[last] = state[last][: len(NEAREST)].clone()
        network.load_state_dict(state)
        return network.to(memory_format=torch.contiguous_format).eval()
