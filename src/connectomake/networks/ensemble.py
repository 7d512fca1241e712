"""Several RSUNets as one network, whose output is the mean of theirs, so that errors of a single one count less.

Deep ensembles: Lakshminarayanan, Pritzel, Blundell, arXiv 1612.01474. The members are trained independently, or have
other widths; what they see and what they say must be alike.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from connectomake.errors import ModelError
from connectomake.networks.rsunet import RSUNet, content_of, network_of
from connectomake.networks.weights import read_checkpoint

_MEMBERS = "members"


class Mean(nn.Module):
    """The mean of the outputs of several networks.

    Parameters
    ----------
    members
        One or more; each takes (n, in_channels, z, y, x) and gives (n, out_channels, z, y, x).

    Raises
    ------
    ModelError
        If there is none, or their channels differ.
    """

    def __init__(self, members: Sequence[RSUNet]) -> None:
        super().__init__()
        forms = {(m.settings["in_channels"], m.settings["out_channels"], m.settings["sigmoid"]) for m in members}
        if len(forms) != 1:
            raise ModelError(
                f"a mean needs networks that are alike in (in_channels, out_channels, sigmoid), got {sorted(forms)}: leave out "
                "those that differ"
            )
        self.members = nn.ModuleList(members)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean, summed in the members' order."""
        first, *others = self.members
        total = first(x)
        for member in others:
            total = total + member(x)
        return total / len(self.members)  # type: ignore[no-any-return]


def save_mean(path: str | Path, members: Sequence[RSUNet], half: bool = False) -> None:
    """Save several networks as one file, which `load_mean` and ``models/rsunet.py`` read.

    Parameters
    ----------
    path
        File to be written.
    members
        Networks whose outputs are to be averaged.
    half
        Whether convolution weights are stored as float16, in half the bytes; the network still computes in float32.

    Raises
    ------
    ModelError
        If the members do not fit each other.

    Examples
    --------
    ``save_mean("mean.pt", [load_rsunet("one.pt"), load_rsunet("other.pt")])``
    """
    contents = [content_of(member) for member in Mean(members).members]  # type: ignore[arg-type]
    if half:
        for content in contents:
            weights = content["state_dict"]
            content["state_dict"] = {k: v.half() if v.is_floating_point() and v.ndim > 1 else v for k, v in weights.items()}
    torch.save({_MEMBERS: contents}, path)


def load_mean(path: str | Path | None) -> RSUNet | Mean:
    """Build what `connectomake.networks.rsunet.save_rsunet` or `save_mean` wrote.

    Raises
    ------
    ModelError
        If the file is neither.
    """
    if path is None:
        raise ModelError("RSUNet needs inference.weights: a file that save_rsunet or save_mean wrote")
    content: Any = read_checkpoint(Path(path))
    if isinstance(content, dict) and isinstance(content.get(_MEMBERS), list):
        return Mean([network_of(member, Path(path)) for member in content[_MEMBERS]])
    return network_of(content, Path(path))
