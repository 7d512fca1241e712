"""Settings of inference: patch shapes, channels, output dtype, and everything else that the output's bits depend on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from connectomake.errors import ConfigError
from connectomake.geometry.box import Box, Vec, as_vec
from connectomake.geometry.lattice import PatchLattice

_CHOICES: dict[str, tuple[str, ...]] = {
    "dtype": ("uint8", "float32"),
    "layout": ("channels_last_3d", "contiguous"),
    "autocast": ("none", "bfloat16", "float16"),
    "kind": ("auto", "pytorch", "universal", "torchscript"),
    "augment": ("none", "8", "16", "48"),
    "activation": ("none", "sigmoid"),
}
_LATER = ("activation", "constant", "allow_nondeterministic")
"""Keys that came later: at their defaults they are left out of what results depend on, so that older results stay valid."""


@dataclass(frozen=True, slots=True)
class InferenceSpec:
    """How patches are cut, run and blended.

    Parameters
    ----------
    patch
        Shape of the network's input, in voxels.
    output_patch
        Shape of the part of its output that is used: at most `patch`, and centred in it.
    overlap
        Voxels that neighbouring output patches share, per axis.
    channels
        Channels of the network's output.
    dtype
        Of the blended output: 'uint8', which is floor(255 p + .5) cut to 0…255, or 'float32'.
    batch
        Patches per forward pass. The last batch of a block is filled up with its last patch.
    threads
        Threads that torch uses on the CPU.
    device
        'auto' (a CUDA device if there is one), 'cpu', 'cuda' or 'cuda:N'.
    layout
        Memory layout of the network's tensors: 'channels_last_3d' (twice as fast on CPUs) or 'contiguous'.
    autocast
        'none', or the lower precision to which torch may turn the network's operations.
    allow_train_mode
        Whether a network may stay in the mode its file leaves it in; its output may then depend on the batch.
    kind
        Form of the model file; 'auto' detects it from what the file defines.
    augment
        Views of a patch whose answers are averaged: 'none', '8' (flips), '16' (and y and x swapped), '48' (any order of axes).
    affinities
        Channels that are affinities to the lower neighbour in z, y and x; the others are taken as probabilities of voxels.
    activation
        'sigmoid' turns the network's logits into probabilities, after `post_process`; 'none' takes them as they are.
    constant
        Output, 0 to 1, of patches whose channels have one value each, instead of the network's; None asks the network.
    allow_nondeterministic
        Whether a network may give another output when run again.

    Raises
    ------
    ConfigError
        If a value is out of range or contradicts another.
    """

    patch: Vec
    output_patch: Vec
    overlap: Vec
    channels: int = 1
    dtype: str = "uint8"
    batch: int = 1
    threads: int = 1
    device: str = "auto"
    layout: str = "channels_last_3d"
    autocast: str = "none"
    allow_train_mode: bool = False
    kind: str = "auto"
    augment: str = "none"
    affinities: Vec | None = None
    activation: str = "none"
    constant: float | None = None
    allow_nondeterministic: bool = False

    def __post_init__(self) -> None:
        """Refuse values out of range and patches that do not fit each other."""
        for name in ("channels", "batch", "threads"):
            if getattr(self, name) < 1:
                raise ConfigError(f"inference.{name} must be at least 1, got {getattr(self, name)}")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ConfigError(f"inference.{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        if self.device not in {"auto", "cpu", "cuda"} and not self.device.removeprefix("cuda:").isdigit():
            raise ConfigError(f"inference.device must be auto, cpu, cuda or cuda:N, got {self.device!r}")
        if self.constant is not None and not 0 <= self.constant <= 1:
            raise ConfigError(f"inference.constant must be from 0 to 1, as probabilities are, or null, got {self.constant}")
        self._check_patches()
        self._check_augment()

    def _check_augment(self) -> None:
        if self.affinities is not None and (len(set(self.affinities)) < 3 or max(self.affinities) >= self.channels):
            raise ConfigError(
                f"inference.affinities must be three of the {self.channels} channels (inference.channels), for z, y and x, got "
                f"{list(self.affinities)}"
            )
        for patch in (self.patch, self.output_patch):
            sides = {"16": patch[1:], "48": patch}.get(self.augment, (1,))
            if len(set(sides)) > 1:
                raise ConfigError(
                    f"inference.augment {self.augment} swaps axes, but the patch {list(patch)} has other lengths along them: "
                    "make them equal, or take 8"
                )

    def _check_patches(self) -> None:
        for name, patch, output, overlap in zip("zyx", self.patch, self.output_patch, self.overlap, strict=True):
            if output < 1 or patch < output or (patch - output) % 2:
                raise ConfigError(
                    f"inference.patch must exceed inference.output_patch by an even number of voxels, 0 or more, along "
                    f"{name}; got {patch} and {output}"
                )
            if not 0 <= overlap < output:
                raise ConfigError(
                    f"inference.overlap must be at least 0 and less than the output patch ({output}) along {name}, "
                    f"got {overlap}"
                )

    @classmethod
    def from_config(cls, section: Mapping[str, Any]) -> "InferenceSpec":
        """Take the keys of this class from the config's `inference` section; `output_patch` defaults to `patch`."""
        known = {f.name for f in fields(cls)}
        values = {key: value for key, value in section.items() if key in known and value is not None}
        values.setdefault("output_patch", values.get("patch"))
        for name in ("patch", "output_patch", "overlap", "affinities"):
            if name in values:
                values[name] = as_vec(values[name])
        values["augment"] = str(values.get("augment", "none"))
        if "constant" in values:
            values["constant"] = float(values["constant"])
        return cls(**values)

    def values(self) -> dict[str, Any]:
        """Return all that the output depends on, plain."""
        defaults = {f.name: f.default for f in fields(self)}
        return {k: v for k, v in asdict(self).items() if k not in _LATER or v != defaults[k]}

    @property
    def void(self) -> str:
        """The setting that voids the promise that results do not depend on the blocks, or ''."""
        keys = [key for key in ("allow_train_mode", "allow_nondeterministic") if getattr(self, key)]
        return " and ".join(f"inference.{key}" for key in keys)

    @property
    def void_note(self) -> str:
        """A sentence on what voids the promise, or ''."""
        return f"{self.void} is set: the promise that results do not depend on the blocks is void" if self.void else ""

    @property
    def views(self) -> int:
        """How often the network sees each patch."""
        return 1 if self.augment == "none" else int(self.augment)

    @property
    def margin(self) -> Vec:
        """Voxels of input context on each side of the output patch."""
        z, y, x = ((p - o) // 2 for p, o in zip(self.patch, self.output_patch, strict=True))
        return (z, y, x)

    def lattice(self, roi: Box) -> PatchLattice:
        """Return the patch lattice of this spec over a region of interest."""
        return PatchLattice(roi, self.output_patch, self.overlap)
