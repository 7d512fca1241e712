"""A training from its first or last checkpoint to its end."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from connectomake.atomic import atomic_path
from connectomake.networks.device import prepare_device
from connectomake.networks.rsunet import save_rsunet
from connectomake.training.batch import Batch
from connectomake.training.checkpoint import load_checkpoint, save_checkpoint, settings_text
from connectomake.training.journal import Journal
from connectomake.training.samples import Prefetch, Sampler, validation_samples
from connectomake.training.spec import TrainingSpec
from connectomake.training.trainer import Trainer
from connectomake.training.volumes import TrainingVolume

CHECKPOINT = "checkpoint.pt"
WEIGHTS = "weights.pt"
ALL_CHANNELS = "all_channels.pt"

StepCallback: TypeAlias = Callable[[int, int, float, float, float], None]
"""Takes step, steps, loss, seconds per step and the fraction of them spent waiting for samples."""


def train(config: dict[str, Any], volumes: Sequence[TrainingVolume], report: StepCallback | None = None) -> Path:
    """Train a network, going on from a checkpoint if there is one, and return the path of its weights.

    Parameters
    ----------
    config
        Normalised training config.
    volumes
        To learn from and to validate on.
    report
        Called with messages about progress.

    Returns
    -------
    Path
        ``<outdir>/weights.pt``, which ``models/rsunet.py`` reads; beside it log.csv, loss.png, samples, checkpoint.pt.

    Raises
    ------
    RunError
        If the checkpoint is damaged or was made with other settings, or the volumes do not fit.

    Notes
    -----
    Stopped at any moment and called again, the result is the same, bit for bit, on the same CPU with the same threads.
    `steps` may be changed between two calls, which bends the learning rate's course; the checkpoint notes when.
    """
    run = _Run(config, volumes)
    run.resume()
    try:
        run.go(report)
    finally:
        run.close()
    return run.folder / WEIGHTS


class _Run:
    def __init__(self, config: dict[str, Any], volumes: Sequence[TrainingVolume]) -> None:
        self.folder = Path(config["outdir"])
        self.every = config["every"]
        self.settings = settings_text(config)
        self.contents = [volume.content() for volume in volumes]
        self.spec = TrainingSpec.from_config(config)
        self.sampler = Sampler(volumes, self.spec)
        self.held_out = [Batch.of([sample]) for sample in validation_samples(volumes, self.spec)]
        self.trainer = Trainer(self.spec, prepare_device(self.spec.device, self.spec.threads, "device"))
        self.journal = Journal(self.folder, [])
        self.seconds = 0.0
        self.history: list[list[int]] = []  # from which step on which number of steps was wanted
        self._prefetch: Prefetch[Batch] | None = None
        self._recent: list[tuple[float, float, float]] = []  # loss, seconds, of them waited

    def resume(self) -> None:
        path = self.folder / CHECKPOINT
        if path.exists():
            content = load_checkpoint(path, self.settings, self.contents)
            self.trainer.restore(content["learner"])
            self.journal.rows = content["rows"]
            self.seconds = content["seconds"]
            self._recent = [tuple(row) for row in content["recent"]]
            self.history = content["history"]
        if not self.history or self.history[-1][1] != self.spec.steps:
            self.history.append([self.trainer.step, self.spec.steps])

    def go(self, report: StepCallback | None) -> None:
        spec = self.spec
        self._prefetch = Prefetch(self._batch, self.trainer.step, spec.steps, spec.workers or self._workers())
        while self.trainer.step < spec.steps:
            self._step()
            if report is not None:
                loss, seconds, waited = (sum(values) / len(self._recent) for values in zip(*self._recent, strict=True))
                report(self.trainer.step, spec.steps, loss, seconds, waited / max(seconds, 1e-9))
            self._due()
        self._export()

    def _batch(self, step: int) -> Batch:
        numbers = range(step * self.spec.batch, (step + 1) * self.spec.batch)
        return Batch.of([self.sampler.sample(n) for n in numbers], pinned=self.trainer.device.type == "cuda")

    def _workers(self) -> int:
        """One beside a CPU that trains; beside a GPU all processors but one, up to 16."""
        return 1 if self.trainer.device.type == "cpu" else min(max(len(os.sched_getaffinity(0)) - 1, 1), 16)

    def _step(self) -> None:
        began = time.perf_counter()
        batch = self._prefetch.next()  # type: ignore[union-attr]
        waited = time.perf_counter() - began
        loss = self.trainer.learn(batch)
        seconds = time.perf_counter() - began
        self.seconds += seconds
        self._recent.append((loss, seconds, waited))
        if self.trainer.step == self.spec.steps or self.trainer.step % self.every["picture"] == 0:
            image, targets = batch.images[0, 0].numpy(), batch.joined[0].numpy().astype(np.float32)
            self.journal.picture(self.trainer.step, image, targets, self.trainer.probabilities(batch))

    def _due(self) -> None:
        step, last = self.trainer.step, self.trainer.step == self.spec.steps
        validated = bool(self.held_out) and (last or step % self.every["validate"] == 0)
        if last or validated or step % self.every["log"] == 0:
            self._log(validated)
        if last or step % self.every["checkpoint"] == 0:
            self.journal.write()
            self.journal.plot()
            rows, recent = self.journal.rows, [list(row) for row in self._recent]
            state = {"config": self.settings, "rows": rows, "seconds": self.seconds, "recent": recent, "history": self.history}
            state |= {"learner": self.trainer.state(), "contents": self.contents}
            save_checkpoint(self.folder / CHECKPOINT, state)
            self._export()

    def _log(self, validated: bool) -> None:
        validation, error = self.trainer.validate(self.held_out) if validated else (None, None)
        count = len(self._recent)
        self.journal.add(
            step=self.trainer.step,
            loss=sum(row[0] for row in self._recent) / count if count else None,
            validation=validation,
            nearest_error=error,
            learning_rate=self.trainer.rate(self.trainer.step - 1),
            seconds=round(self.seconds, 1),
            waited=sum(row[2] for row in self._recent) / max(sum(row[1] for row in self._recent), 1e-9),
        )
        self._recent = []

    def _export(self) -> None:
        for name, network in ((WEIGHTS, self.trainer.inference_network()), (ALL_CHANNELS, self.trainer.averaged)):
            with atomic_path(self.folder / name) as temporary:
                save_rsunet(temporary, network)

    def close(self) -> None:
        if self._prefetch is not None:
            self._prefetch.close()
