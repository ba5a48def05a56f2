"""Train a detector; an interrupted training goes on as if there had been no interruption."""

from __future__ import annotations

import copy
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from microscope_qc.core.errors import ModelError
from microscope_qc.core.files import atomic_write
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.architectures import build_detector
from microscope_qc.ml.architectures.ssd.loss import Loss, Target, detection_loss
from microscope_qc.ml.cards import WEIGHTS_NAME, ModelCard, write_card
from microscope_qc.ml.datasets.crops import Crop, CropSampler
from microscope_qc.ml.datasets.records import Dataset, split
from microscope_qc.ml.devices import autocast, choose_device, use_threads
from microscope_qc.ml.evaluation.detection import Tally
from microscope_qc.ml.evaluation.on_slides import tally_dataset
from microscope_qc.ml.tasks.detect import Detector
from microscope_qc.ml.training.average import AverageWeights
from microscope_qc.ml.training.calibration import apply_calibration, fit_calibration
from microscope_qc.ml.training.checkpoint import NAME as CHECKPOINT_NAME
from microscope_qc.ml.training.checkpoint import load_checkpoint, save_checkpoint
from microscope_qc.ml.training.settings import TrainSettings
from microscope_qc.ml.weights import fits_half, save_weights

_WARM_UP = 0.06
_CHECKPOINT_SECONDS = 60.0
_LARGEST_GRADIENT = 10.0


def train_detector(
    dataset: Dataset, out: Path, settings: TrainSettings, *, validation: Dataset | None = None, trained_on: str = ""
) -> Job[ModelCard]:
    """Train, choose the default confidence on the validation part, write the model.

    Parameters
    ----------
    dataset, validation : Dataset
        Without a validation set a part of the data set is set aside.
    out : Path
        Model folder: model.json, weights.safetensors, metrics.json, curve.csv; checkpoint.pt while it is unfinished.
    settings : TrainSettings
    trained_on : str
        One line for the card.

    Raises
    ------
    ModelError
        When there is nothing to learn from, or the folder holds another unfinished training.
    """
    if sum(dataset.counts().values()) == 0:
        raise ModelError("The data set has no boxes.", hint="Draw some first.")
    if validation is None:
        dataset, validation = split(dataset, share=settings.validation_share, seed=settings.seed)
        if not all(sum(part.counts().values()) for part in (dataset, validation)):
            raise ModelError("The data set is too small to set a part aside.", hint="Give a validation set of its own.")
    else:
        validation = validation.with_classes(dataset.classes)
    out.mkdir(parents=True, exist_ok=True)
    training = _Training(dataset, validation, out, settings)
    yield from training.steps()
    return (yield from training.finish(trained_on))


class _Training:
    def __init__(self, dataset: Dataset, validation: Dataset, out: Path, settings: TrainSettings) -> None:
        use_threads()
        self.out, self.settings = out, settings
        self.dataset, self.validation = dataset, validation
        self.device = choose_device(settings.device)
        self.model_um = settings.pixel_size_um
        self.sampler = CropSampler(dataset, side=settings.crop_px, model_um=self.model_um, seed=settings.seed)
        self.per_epoch = max(1, math.ceil(self.sampler.crops_per_epoch / settings.batch))
        self.total = self.per_epoch * settings.epochs
        pixels = self.sampler.sample_pixels().astype(float) / 255
        red, green, blue = (round(float(value), 4) for value in pixels.mean(0))
        self.mean = (red, green, blue)
        red, green, blue = (max(0.01, round(float(value), 4)) for value in pixels.std(0))
        self.std = (red, green, blue)
        torch.manual_seed(settings.seed)
        network = build_detector(settings.network, settings.network_settings, classes=len(dataset.classes))
        self.network = network.to(self.device).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(
            _parameter_groups(self.network, settings.weight_decay), lr=settings.learning_rate
        )
        self.average = AverageWeights(self.network)
        self.default, self.levels = self.network.default_boxes(self.sampler.side, self.sampler.side)
        self.step, self.seconds = 0, 0.0
        self.curve: list[dict[str, float]] = []
        self.best: dict[str, Any] = {"score": -1.0, "epoch": 0, "state": None}
        self._resume()

    def _resume(self) -> None:
        state = load_checkpoint(self.out)
        if state is None:
            return
        if state["identity"] != self._identity():
            raise ModelError(
                f"{self.out} holds an unfinished training with other data or settings.",
                hint=f"Choose another folder, or delete its {CHECKPOINT_NAME}.",
            )
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.load(state["average"], state["updates"])
        self.step, self.seconds, self.curve, self.best = state["step"], state["seconds"], state["curve"], state["best"]

    def _identity(self) -> str:
        fixed = self.settings.model_dump(exclude={"device"})
        return json.dumps([fixed, self.dataset.fingerprint(), self.validation.fingerprint()], sort_keys=True)

    def _save(self) -> None:
        save_checkpoint(
            self.out,
            {
                "identity": self._identity(), "step": self.step, "seconds": self.seconds, "curve": self.curve,
                "best": self.best,
                "network": self.network.state_dict(), "optimizer": self.optimizer.state_dict(),
                "average": self.average.state, "updates": self.average.updates,
            },
        )  # fmt: skip

    def steps(self) -> Job[None]:
        """All steps that are still to be done, with validation after every epoch that asks for it."""
        started, saved = time.monotonic() - self.seconds, time.monotonic()
        sums = np.zeros(4)
        while self.step < self.total:
            loss = self._one_step()
            sums += (float(loss.total.detach()), loss.classify, loss.locate, 1)
            self.step += 1
            self.seconds = time.monotonic() - started
            epoch, rest = divmod(self.step, self.per_epoch)
            note = f"epoch {min(epoch + 1, self.settings.epochs)}, loss {sums[0] / sums[3]:.3f}"
            if rest == 0:
                yield from self._end_epoch(epoch, sums / sums[3])
                sums[:] = 0
                if epoch - self.best["epoch"] >= self.settings.patience * self.settings.validate_every:
                    self.step = self.total
            if rest == 0 or time.monotonic() - saved > _CHECKPOINT_SECONDS:
                self._save()
                saved = time.monotonic()
            yield Progress(self.step, self.total, "steps", note)

    def _one_step(self) -> Loss:
        rate = self.settings.learning_rate * _schedule(self.step / self.total)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        crops = self.sampler.batch(self.step, self.settings.batch)
        pictures = torch.from_numpy(np.stack([crop.pixels for crop in crops])).to(self.device)
        pictures = pictures.permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)
        mean, std = (torch.tensor(v, device=self.device).view(1, 3, 1, 1) * 255 for v in (self.mean, self.std))
        self.network.train()
        with autocast(self.device):
            logits, offsets = self.network((pictures - mean) / std)
        loss = detection_loss(
            logits, offsets, default=self.default, levels=self.levels, targets=[_target(crop) for crop in crops]
        )
        if not math.isfinite(float(loss.total.detach())):
            raise ModelError("Training broke down: the loss is no number.", hint="Use a smaller --learning-rate.")
        self.optimizer.zero_grad(set_to_none=True)
        loss.total.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), _LARGEST_GRADIENT)
        self.optimizer.step()
        self.average.update(self.network)
        return loss

    def _end_epoch(self, epoch: int, losses: np.ndarray) -> Job[None]:
        row = {"epoch": epoch, "loss": losses[0], "classify": losses[1], "locate": losses[2], "seconds": self.seconds}
        if epoch % self.settings.validate_every == 0 or epoch == self.settings.epochs:
            yield Progress(self.step, self.total, "steps", f"epoch {epoch}: validation")
            tally = yield from _quietly(tally_dataset(self._detector(self.average.state), self.validation))
            report = tally.report(confidence=tally.best_confidence())
            row |= {name: report[name] for name in ("precision", "recall", "f1", "map50", "map")}
            score = report["f1"] + 0.5 * report["map50"]
            if score > self.best["score"]:
                state = {name: tensor.detach().cpu().clone() for name, tensor in self.average.state.items()}
                self.best = {"score": score, "epoch": epoch, "state": state}
        self.curve.append({name: round(float(value), 5) for name, value in row.items()})
        _write_curve(self.out / "curve.csv", self.curve)

    def _detector(self, state: dict[str, Tensor], confidence: float = 0.5) -> Detector:
        network = copy.deepcopy(self.network)
        network.load_state_dict(state)
        return Detector(self._card(confidence), network, device=str(self.device))

    def _card(self, confidence: float, **further: Any) -> ModelCard:
        settings = self.settings
        return ModelCard(
            name=self.out.name, task="detect", architecture=settings.network, network=self.network.settings.as_dict(),
            classes=self.dataset.classes, class_names=self.dataset.names, pixel_size_um=self.model_um,
            tile_px=settings.tile_px, overlap_px=min(settings.overlap_px, settings.tile_px // 2),
            mean=self.mean, std=self.std, confidence=confidence, **further,
        )  # fmt: skip

    def finish(self, trained_on: str) -> Job[ModelCard]:
        """Write the best model, measured as it is stored."""
        state = self.best["state"] if self.best["state"] is not None else self.average.state
        yield Progress(self.total, self.total, "steps", "choosing the default confidence")
        tally: Tally = yield from _quietly(tally_dataset(self._detector(state), self.validation))
        calibration = fit_calibration(tally)
        if calibration is not None:
            state = apply_calibration(state, calibration)
        save_weights(state, self.out / WEIGHTS_NAME)
        stored = {name: _as_stored(name, tensor) for name, tensor in state.items()}
        tally = yield from _quietly(tally_dataset(self._detector(stored), self.validation))
        confidence = tally.best_confidence()
        report = tally.report(confidence=confidence)
        metrics = {name: value for name, value in report.items() if name != "confusion"}
        counts = self.dataset.counts()
        training = {
            "settings": self.settings.model_dump(), "pictures": len(self.dataset.pictures), "boxes": counts,
            "validation_pictures": len(self.validation.pictures), "best_epoch": self.best["epoch"],
            "minutes": round(self.seconds / 60, 1),
            "calibration": None if calibration is None else [calibration.slope, *calibration.offsets],
        }  # fmt: skip
        card = self._card(
            confidence,
            trained_on=trained_on,
            metrics=metrics,
            fingerprint=self.dataset.fingerprint(),
            training=training,
        )
        document = {"validation": report, "curve": self.curve, "training": training}
        atomic_write(self.out / "metrics.json", json.dumps(document, ensure_ascii=False, indent=2) + "\n")
        write_card(card, self.out)
        (self.out / CHECKPOINT_NAME).unlink(missing_ok=True)
        return card


def _schedule(done: float) -> float:
    """Learning rate relative to its highest: a linear warm-up, then half a cosine."""
    if done < _WARM_UP:
        return 0.05 + 0.95 * done / _WARM_UP
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (done - _WARM_UP) / (1 - _WARM_UP)))


def _parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for filters only: decaying normalisations and biases does harm."""
    filters = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    return [{"params": filters, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _target(crop: Crop) -> Target:
    def xyxy(boxes: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(boxes[:, [1, 0, 3, 2]], np.float32))

    return Target(xyxy(crop.boxes), torch.from_numpy(crop.labels.astype(np.int64)), xyxy(crop.ignore))


def _as_stored(name: str, tensor: Tensor) -> Tensor:
    return tensor.half().to(tensor.dtype) if fits_half(name, tensor) else tensor


def _quietly(job: Job[Any]) -> Job[Any]:
    """Drive a nested job to its end; training's own progress stays on show, and cancelling works in between."""
    while True:
        try:
            next(job)
        except StopIteration as stop:
            return stop.value
        yield Progress(0, 0, "", "validation")


def _write_curve(path: Path, curve: list[dict[str, float]]) -> None:
    names = ["epoch", "loss", "classify", "locate", "seconds", "precision", "recall", "f1", "map50", "map"]
    lines = [",".join(names)] + [",".join(str(row.get(name, "")) for name in names) for row in curve]
    atomic_write(path, "\n".join(lines) + "\n")
