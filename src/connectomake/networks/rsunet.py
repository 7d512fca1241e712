"""The residual symmetric U-Net of 3-D electron microscopy, in its two published forms.

Structure (Lee, Zung, Li, Jain, Seung: Superhuman accuracy on the SNEMI3D connectomics challenge, arXiv 1706.00120): a
(1, 5, 5) convolution into the first width; a U-Net whose blocks are residual, whose skips are summed and whose
upsampling is a fixed bilinear transposed convolution; a (1, 5, 5) convolution out. All else is batch normalisation,
ReLU, 3³ convolution, in this order and without bias.
"""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from connectomake.errors import ModelError
from connectomake.geometry.box import Vec, as_vec
from connectomake.networks.weights import fit, read_checkpoint, state_dict_of

IO_KERNEL = (1, 5, 5)
VARIANTS = ("rsunet", "rsunet3")
_METADATA = "rsunet"


def _conv(inputs: int, outputs: int, kernel: Vec, bias: bool = False) -> nn.Conv3d:
    padding = tuple(k // 2 for k in kernel)
    layer = nn.Conv3d(inputs, outputs, kernel, padding=padding, bias=bias)  # type: ignore[arg-type]
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return layer


def _activated(inputs: int, outputs: int, kernel: Vec = (3, 3, 3), bias: bool = False) -> nn.Sequential:
    """Batch normalisation, ReLU, convolution."""
    return nn.Sequential(nn.BatchNorm3d(inputs), nn.ReLU(inplace=True), _conv(inputs, outputs, kernel, bias))


class Residual(nn.Module):
    """Two activated convolutions and the input added to their output."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(_activated(width, width), _activated(width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n, c, z, y, x), as the input."""
        return x + self.convs(x)  # type: ignore[no-any-return]


def _block(inputs: int, outputs: int, variant: str) -> nn.Sequential:
    """Return the block of a level: 'rsunet' changes the width by a 3³ convolution, 'rsunet3' by a 1³ before it."""
    if variant == "rsunet":
        return nn.Sequential(_activated(inputs, outputs), Residual(outputs), _activated(outputs, outputs))
    change = [] if inputs == outputs else [_conv(inputs, outputs, (1, 1, 1))]
    return nn.Sequential(*change, Residual(outputs), _activated(outputs, outputs))


class BilinearUp(nn.Module):
    """Upsampling by a transposed convolution with a fixed tent, one channel at a time.

    Per axis with factor f the kernel has 2 f - (f mod 2) weights; for 2 they are ¼, ¾, ¾, ¼. The weights are no
    parameters and are not saved. Factors of 1 and 2 go axis by axis, as weighted sums of a voxel and its neighbours:
    the same up to rounding, and on CPUs five to fifteen times faster than the transposed convolution.
    """

    tent: torch.Tensor

    def __init__(self, width: int, factor: Vec) -> None:
        super().__init__()
        self.factor = factor
        tent = torch.ones(())
        for f in factor:
            tent = tent[..., None] * _tent(f)
        self.register_buffer("tent", tent.expand(width, 1, *tent.shape).contiguous(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n, c, z, y, x), larger by the factor per axis."""
        if max(self.factor) > 2:
            return self.transposed_convolution(x)
        if x.is_contiguous(memory_format=torch.channels_last_3d):
            return self._doubled(x.movedim(1, -1), first=1).movedim(-1, 1)
        return self._doubled(x, first=2)

    def transposed_convolution(self, x: torch.Tensor) -> torch.Tensor:
        """Return what `forward` returns, up to rounding, for any factor."""
        padding = [f // 2 for f in self.factor]
        return nn.functional.conv_transpose3d(x, self.tent, stride=self.factor, padding=padding, groups=self.tent.shape[0])

    def _doubled(self, x: torch.Tensor, first: int) -> torch.Tensor:
        """Double the axes of factor 2; z is axis `first`."""
        for axis, f in enumerate(self.factor, first):
            if f == 2:
                x = _doubled_along(x, axis)
        return x


def _doubled_along(x: torch.Tensor, axis: int) -> torch.Tensor:
    """Double an axis by the tent ¼, ¾, ¾, ¼, with zeros beyond its ends."""
    size = x.shape[axis]
    padded = nn.functional.pad(x, [0, 0] * (x.ndim - 1 - axis) + [1, 1])
    pair = [torch.lerp(x, padded.narrow(axis, start, size), 0.25) for start in (0, 2)]
    return torch.stack(pair, axis + 1).flatten(axis, axis + 1)


def _tent(factor: int) -> torch.Tensor:
    size = 2 * factor - factor % 2
    position = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
    return 1 - position.abs() / factor


class RSUNet(nn.Module):
    """Residual symmetric U-Net.

    Parameters
    ----------
    in_channels, out_channels
        Channels of the image and of the output.
    widths
        Channels per level, the finest first.
    pooling
        Downsampling per axis (z, y, x): one for all steps between levels, or one per step. Patches must be multiples of
        their product.
    variant
        'rsunet3': per level, two convolutions with a residual and one more, widths changed by 1³ convolutions; with
        widths 16, 32, 64, 128 and one channel in and out it has 2,222,465 parameters. 'rsunet': per level, one
        convolution that changes the width, two with a residual and one more: the affinity network of the paper's group.
    sigmoid
        Whether to end with a sigmoid, so that the output is a probability.

    Raises
    ------
    ModelError
        If the variant is unknown or the poolings do not fit the widths.

    Notes
    -----
    Going up, the 1³ convolution precedes the upsampling, where the published networks have it behind: both are linear
    and commute, but this way half the work is saved.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        widths: Sequence[int] = (16, 32, 64, 128),
        pooling: Sequence[int] | Sequence[Sequence[int]] = (1, 2, 2),
        variant: str = "rsunet3",
        sigmoid: bool = False,
    ) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ModelError(f"RSUNet's variant must be one of {', '.join(VARIANTS)}, got {variant!r}")
        factors = _per_step(pooling, len(widths) - 1)
        self.settings: dict[str, Any] = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "widths": [int(w) for w in widths],
            "pooling": [list(f) for f in factors],
            "variant": variant,
            "sigmoid": sigmoid,
        }
        steps = list(itertools.pairwise(widths))
        self.entry = _conv(in_channels, widths[0], IO_KERNEL)
        self.top = _block(widths[0], widths[0], variant)
        self.pools = nn.ModuleList(nn.MaxPool3d(f) for f in factors)
        self.downs = nn.ModuleList(_block(a, b, variant) for a, b in steps)
        self.lifts = nn.ModuleList(
            nn.Sequential(_conv(b, a, (1, 1, 1)), BilinearUp(a, f)) for (a, b), f in zip(steps, factors, strict=True)
        )
        self.ups = nn.ModuleList(_block(a, a, variant) for a, _ in steps)
        self.exit = _activated(widths[0], out_channels, IO_KERNEL, bias=True)
        self.sigmoid = nn.Sigmoid() if sigmoid else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Turn (n, in_channels, z, y, x) into (n, out_channels, z, y, x) of the same size."""
        x = self.top(self.entry(x))
        skips = []
        for pool, down in zip(self.pools, self.downs, strict=True):
            skips.append(x)
            x = down(pool(x))
        for lift, up in self._upward():
            x = up(lift(x) + skips.pop())
        return self.sigmoid(self.exit(x))  # type: ignore[no-any-return]

    def _upward(self) -> Iterator[tuple[nn.Module, nn.Module]]:
        return zip(reversed(list(self.lifts)), reversed(list(self.ups)), strict=True)


def _per_step(pooling: Sequence[int] | Sequence[Sequence[int]], steps: int) -> list[Vec]:
    if len(pooling) and all(isinstance(f, int) for f in pooling):  # none: what one level alone is saved with
        return [as_vec(pooling)] * steps  # type: ignore[arg-type]
    factors = [as_vec(f) for f in pooling]
    if len(factors) != steps:
        raise ModelError(f"RSUNet needs one pooling per step between levels: {steps}, got {len(factors)}")
    return factors


def content_of(network: RSUNet) -> dict[str, Any]:
    """Return what is saved of a network: its weights and the settings that rebuild it, as plain containers and tensors."""
    return {"state_dict": network.state_dict(), _METADATA: network.settings}


def network_of(content: Any, path: Path) -> RSUNet:
    """Build the network of what `content_of` returned.

    Raises
    ------
    ModelError
        If there are no settings of an RSUNet or its weights do not fit them.
    """
    if not isinstance(content, dict) or not isinstance(content.get(_METADATA), dict):
        raise ModelError(
            f"{path}: has no settings of one RSUNet: write it with connectomake.networks.rsunet.save_rsunet (a mean of several "
            "is for inference alone)"
        )
    network = RSUNet(**content[_METADATA])
    fit(network, state_dict_of(content, path), path)
    return network


def save_rsunet(path: str | Path, network: RSUNet) -> None:
    """Save a network, for `load_rsunet` and ``models/rsunet.py``."""
    torch.save(content_of(network), path)


def load_rsunet(path: str | Path | None) -> RSUNet:
    """Build the network that `save_rsunet` wrote.

    Raises
    ------
    ModelError
        If the file has no settings of an RSUNet or its weights do not fit them.
    """
    if path is None:
        raise ModelError("RSUNet needs a file that save_rsunet wrote")
    return network_of(read_checkpoint(Path(path)), Path(path))
