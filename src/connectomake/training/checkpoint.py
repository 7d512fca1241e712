"""Checkpoints: everything that a training needs to go on as if it had never stopped."""

from pathlib import Path
from typing import Any

import torch

from connectomake.atomic import atomic_path, canonical_json
from connectomake.errors import ModelError, RunError
from connectomake.networks.weights import read_checkpoint

FORM = "connectomake training 1"


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Atomically write a checkpoint of tensors and plain containers."""
    with atomic_path(path) as temporary:
        torch.save({"form": FORM, **content}, temporary)


def load_checkpoint(path: Path, config: str, contents: list[str]) -> dict[str, Any]:
    """Read a checkpoint, without running code.

    Parameters
    ----------
    path
        The checkpoint.
    config
        The settings of today, from `settings_text`.
    contents
        Checksums of the volumes of today.

    Raises
    ------
    RunError
        If it is damaged, or was made with another config or from other volumes; the message says how to begin anew.
    """
    way_out = f"delete {path.parent} to start over, or use another outdir"
    try:
        content = read_checkpoint(path)
    except ModelError as error:
        raise RunError(f"the checkpoint {path} cannot be read ({error}); {way_out}") from error
    if not isinstance(content, dict) or content.get("form") != FORM:
        raise RunError(f"{path} is not a checkpoint of this version; {way_out}")
    if content["config"] != config:
        raise RunError(f"the checkpoint {path} was made with other settings; {way_out}")
    other = [i for i, (was, now) in enumerate(zip(content.get("contents", ()), contents, strict=False)) if was != now]
    if other:
        raise RunError(f"the checkpoint {path} was made from other voxels than volumes[{other[0]}] holds now; {way_out}")
    return content


def settings_text(config: dict[str, Any]) -> str:
    """Return what of a config the result depends on, as canonical JSON, but for `steps`, which a checkpoint counts apart."""
    return canonical_json({key: value for key, value in config.items() if key not in ("outdir", "every", "steps", "workers")})
