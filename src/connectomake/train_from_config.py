"""From a training config to trained weights: reads the config and the volumes, then trains."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from connectomake.config import load_config, normalise
from connectomake.config.load import TRAINING
from connectomake.errors import ConfigError, SourceError
from connectomake.geometry import Box, as_vec
from connectomake.keys import Section, naming
from connectomake.sources import Source, SourceOptions
from connectomake.sources.labels import open_unsized
from connectomake.sources.places import alike, check_places
from connectomake.sources.source import VoxelSize

if TYPE_CHECKING:
    from connectomake.training.volumes import TrainingVolume


def train_from_config(path: str, say: Callable[[str], None]) -> Path:
    """Train as a config file says, from its last checkpoint on, and return the path of the weights.

    Parameters
    ----------
    path
        Training config.
    say
        Takes lines about the progress.

    Raises
    ------
    ConfigError, SourceError, RunError, ModelError
        If the config, a volume or a checkpoint is wrong.
    """
    config = load_training(path)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # on a busy machine spinning threads take five times as long
    from connectomake.training.run import train
    from connectomake.training.spec import TrainingSpec

    TrainingSpec.from_config(config)  # before anything is read
    return train(config, open_volumes(config, say), reporter(say))


def load_training(path: str) -> dict[str, Any]:
    """Read a training config and fill in its defaults.

    Raises
    ------
    ConfigError
        If it is missing, no YAML, or has an unknown, missing or wrong key.
    """
    return normalise(load_config(path), TRAINING)


def open_volumes(config: dict[str, Any], say: Callable[[str], None] | None = None) -> list["TrainingVolume"]:
    """Read the volumes of a normalised training config; `say` is called with what the network will see of each.

    Raises
    ------
    SourceError, ConfigError, RunError
        If one cannot be read, or image and labels do not fit each other.
    """
    return [_volume(section, f"volumes[{index}]", say) for index, section in enumerate(config["volumes"])]


def _volume(section: dict[str, Any], key: str, say: Callable[[str], None] | None) -> "TrainingVolume":
    from connectomake.training.intensity import check_image, image_note
    from connectomake.training.spec import box_of
    from connectomake.training.volumes import TrainingVolume, as_labels

    if section["labels"].get("range") is not None:
        raise ConfigError(f"{key}.labels.range {section['labels']['range']} does not apply to labels; give it to the image")
    image, image_size = _open(section["image"], f"{key}.image")
    labels, labels_size = _open(section["labels"], f"{key}.labels")
    name = f"{key} ({section['image']['path']})"
    if image_size and labels_size and not alike(image_size, labels_size):
        raise ConfigError(
            f"{name}: the image has voxels of {list(image_size)} nm, the labels of {list(labels_size)}; name scales of one "
            "voxel size"
        )
    both = _both(image, labels, name, key)
    box = box_of(section["start"], section["stop"], both)
    if box.empty or not both.contains(box):
        raise ConfigError(f"{name}: start and stop give {box}, which is not within {both}; correct them")
    _check(image, labels, name)
    grey, ids = _grey(image.read(box)[0]), labels.read(box)[0]
    check_image(grey, box, name)
    _check_labels(ids, box, name)
    if say is not None:
        for note in (*image.notes, *labels.notes):
            say(f"{key}: {note}")
        say(f"{name}: {box}, {image_note(grey, image.dtype)}; {_label_note(ids)}")
        for note in dict.fromkeys(image.notes + labels.notes):
            say(f"! {note}")
    return TrainingVolume(
        name,
        grey,
        as_labels(ids, section["unlabelled"]),
        tuple(_held_out(part, box, name) for part in section["validation"]),
        section["weight"],
    )


def _check_labels(ids: np.ndarray, box: Box, name: str) -> None:
    if ids.dtype.kind == "i" and ids.size and ids.min() < 0:
        place = np.unravel_index(int(ids.argmin()), ids.shape)
        z, y, x = (int(a) + b for a, b in zip(place, box.start, strict=True))
        raise ConfigError(f"{name}: the label {ids.min()} at z, y, x = {z}, {y}, {x} is negative; labels are 0 and above")


def _label_note(ids: np.ndarray) -> str:
    count = len(np.unique(ids[ids > 0]))
    share = 100 * np.count_nonzero(ids) / max(ids.size, 1)
    text = f"{count:,} objects in {share:.0f} % of the voxels"
    return text if count > 1 else f"{text}: without a second object no boundary between two can be learned"


def _open(section: dict[str, Any], key: str) -> tuple[Source, VoxelSize | None]:
    """Open an image or labels and return it with its voxel size, if it has one; errors name its keys in the config."""
    with naming(Section(key)):
        return open_unsized(section["path"], section["dataset"], section["scale"], SourceOptions.of(section))


def _both(image: Source, labels: Source, name: str, key: str) -> Box:
    """Return the box of the labels that the image has, too: all of it where both have the same bounds."""
    if image.bounds != labels.bounds and image.place == labels.place == "unknown":
        raise ConfigError(
            f"{name}: the image has {image.bounds}, the labels {labels.bounds}; say where the labels' first voxel lies "
            f"({key}.labels.offset, and {key}.image.offset: [0, 0, 0]), or cut one of them"
        )
    try:
        check_places((f"{name}: the image", image), ("the labels", labels), (f"{key}.image.offset", f"{key}.labels.offset"))
    except SourceError as error:
        raise ConfigError(str(error)) from error
    both = image.bounds.intersect(labels.bounds)
    if both.empty:
        raise ConfigError(
            f"{name}: the image has {image.bounds}, the labels {labels.bounds}, no voxel in common; correct {key}.labels.offset"
        )
    return both


def _check(image: Source, labels: Source, name: str) -> None:
    if image.channels != 1 or labels.channels != 1:
        raise ConfigError(f"{name}: the image has {image.channels} channels, the labels {labels.channels}; both must have one")
    if np.dtype(labels.dtype).kind not in "iu":
        raise ConfigError(f"{name}: the labels are {labels.dtype}, not whole numbers; is this the image?")


def _held_out(part: dict[str, Any], box: Box, name: str) -> Box:
    held = Box(as_vec(part["start"]), as_vec(part["stop"]))
    if held.empty or not box.contains(held):
        raise ConfigError(f"{name}: the validation box {held} is not within {box}, which is used; correct it")
    z, y, x = box.start
    return held.translate((-z, -y, -x))


def _grey(image: np.ndarray) -> np.ndarray:
    """Return an image as uint8, or as float32 in [0, 1]: integers over their dtype's maximum."""
    from connectomake.inference.context import scale_into

    if image.dtype == np.uint8:
        return image  # a quarter of the memory; divided by 255 where samples are cut
    grey = np.empty(image.shape, np.float32)
    scale_into(grey, image)
    return grey


def reporter(say: Callable[[str], None], seconds: float = 10.0) -> Callable[[int, int, float, float, float], None]:
    """Return a function that says, every so many seconds, how far a training is and when it will end."""
    import time

    said = -seconds

    def report(step: int, steps: int, loss: float, step_seconds: float, waited: float) -> None:
        nonlocal said
        now = time.perf_counter()
        if now - said < seconds and step < steps:
            return
        said = now
        left = step_seconds * (steps - step) / 60
        say(
            f"step {step} of {steps}, loss {loss:.4f}, {step_seconds:.2f} s a step ({100 * waited:.1f} % waiting for samples), "
            f"{left:.0f} min to go"
        )

    return report
