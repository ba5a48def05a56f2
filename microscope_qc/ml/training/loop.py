"""Trains any network that has a recipe; an interrupted training continues as if it had not been interrupted."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from microscope_qc.core.errors import ModelError
from microscope_qc.core.files import FolderWatch, atomic_write
from microscope_qc.core.jobs import Job, Progress, TimedProgress, retold
from microscope_qc.ml.architectures.base import architecture
from microscope_qc.ml.architectures.recipe import TrainSettings
from microscope_qc.ml.cards import WEIGHTS_NAME, ModelCard, write_card
from microscope_qc.ml.datasets.learned import LearnedShare, learned_share, write_learned
from microscope_qc.ml.datasets.parts import GUARD_PX, DataPart, divide, read_parts, write_parts
from microscope_qc.ml.datasets.records import Dataset
from microscope_qc.ml.datasets.share import share_of
from microscope_qc.ml.devices import choose_device, use_threads
from microscope_qc.ml.evaluation.report import Report
from microscope_qc.ml.tasks.familiar import describe_data
from microscope_qc.ml.tasks.kinds import TASKS
from microscope_qc.ml.training import CHECKPOINT_NAME
from microscope_qc.ml.training.ahead import BatchesAhead
from microscope_qc.ml.training.checkpoint import load_checkpoint, save_checkpoint
from microscope_qc.ml.training.course import Course
from microscope_qc.ml.training.examples import Examples
from microscope_qc.ml.training.memory import InPieces
from microscope_qc.ml.training.start import START_NAME, StartModel
from microscope_qc.ml.weights import load_weights, save_weights

_CHECKPOINT_SECONDS = 60.0
_LARGEST_GRADIENT = 10.0
_LONGEST_MEMORY = 0.996
"""Decay of the moving average of the weights, in the long run."""
_LUCK = 0.03
"""Of a score: on a few pictures an earlier model can be that much better by chance."""


def train_network(
    dataset: Dataset,
    out: Path,
    settings: TrainSettings,
    *,
    validation: Dataset | None = None,
    start: StartModel | None = None,
    trained_on: str = "",
    end_now: Callable[[], bool] = lambda: False,
    tell: Callable[[str], None] = lambda sentence: None,
) -> Job[ModelCard]:
    """Train, choose the default confidence on the validation part, write the model.

    When the job is closed, everything since the last step is kept in the checkpoint: it is continued from there.

    Parameters
    ----------
    dataset, validation : Dataset
        Without a validation set, part of the data set is held out.
    out : Path
        Model folder: model.json, weights.safetensors, metrics.json, curve.csv, examples.json, learned.json with the
        places that were learned from, and parts.json with those that were held out, which stay so when the model is
        trained again; checkpoint.pt, and start.json about the model that it starts from, while unfinished.
    settings : TrainSettings
    start
        Model whose weights it starts from; None starts as the network's recipe says.
    trained_on : str
        One line for the card.
    end_now
        Asked after every step: whether the training ends here, with the best weights so far.
    tell
        Called with sentences for the user about what had to be changed.

    Raises
    ------
    ModelError
        When the network cannot be trained, or not from this model, there is nothing to learn from, or the folder
        contains another unfinished training.
    """
    if start is None:
        settings = architecture(settings.network).suited(settings, dataset)
    else:
        start.require_fitting(settings)
    task = TASKS.get(architecture(settings.network).task)
    needs_boxes = task.learns_from_boxes
    if not dataset.images:
        raise ModelError("There is no picture to learn from.", hint="Choose pictures that show the material.")
    if needs_boxes and not task.examples(dataset):
        raise ModelError("The data set has no boxes.", hint="Draw some first.")
    if validation is None:
        known = start.parts if start is not None and start.parts.parts else read_parts(out)
        division = divide(
            dataset, {DataPart.VALIDATION: settings.validation_share}, seed=settings.seed,
            guard_px=_guard_px(dataset, settings.pixel_size_um), known=known,
        )  # fmt: skip
        dataset, validation = division.parts[DataPart.TRAIN], division.parts[DataPart.VALIDATION]
        if needs_boxes and not all(task.examples(part) for part in (dataset, validation)):
            raise ModelError("The data set is too small to hold out a part.", hint="Give a separate validation set.")
        yield Progress(0, 0, "steps", division.words)
        out.mkdir(parents=True, exist_ok=True)
        write_parts(division.table, out)  # what was measured on is not learned from when the model is trained again
    else:
        validation = validation.with_classes(dataset.classes)
    dataset = share_of(dataset, settings.data_share, seed=settings.seed)
    if needs_boxes and not task.examples(dataset):
        raise ModelError("There is no box in this share of the pictures.", hint="Learn from more of them.")
    out.mkdir(parents=True, exist_ok=True)
    training = _Training(dataset, validation, out, settings, start, end_now=end_now, tell=tell)
    yield from training.learn()
    return (yield from training.finish(trained_on))


def _guard_px(dataset: Dataset, model_um: float | None) -> float:
    """The strip between parts in the pixels of the images, of which the finest count."""
    sizes = [min(image.pixel_size_um) for image in dataset.images if image.pixel_size_um is not None]
    return GUARD_PX if model_um is None or not sizes else GUARD_PX * model_um / min(sizes)


def _common_size(dataset: Dataset) -> float | None:
    """Middle pixel size of the images; None where one has none."""
    sizes = [math.sqrt(math.prod(image.pixel_size_um)) for image in dataset.images if image.pixel_size_um is not None]
    return float(np.median(sizes)) if sizes and len(sizes) == len(dataset.images) else None


class _Best:
    """The weights with the highest score so far, and the epoch after which they were measured."""

    def __init__(self) -> None:
        self.score = -math.inf
        self.epoch = 0
        self.state: dict[str, Tensor] | None = None

    def offer(self, score: float, epoch: int, state: dict[str, Tensor], *, last: bool) -> None:
        """Keep these weights if they are better; the last ones, which have learned most, unless they are worse."""
        if score > self.score - (_LUCK if last else 0.0):
            kept = {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
            self.score, self.epoch, self.state = score, epoch, kept


class _Training:
    """A training: the network, its recipe and everything that a checkpoint stores."""

    def __init__(
        self,
        dataset: Dataset,
        validation: Dataset,
        out: Path,
        settings: TrainSettings,
        start: StartModel | None,
        *,
        end_now: Callable[[], bool],
        tell: Callable[[str], None],
    ) -> None:
        self.began = time.monotonic()
        use_threads()
        self.out, self.settings, self.start, self.tell = out, settings, start, tell
        self.place = FolderWatch(out)
        self.dataset, self.validation = dataset, validation
        kind = architecture(settings.network)
        recipe = kind.recipe(settings, dataset)
        if recipe is None:
            raise ModelError(f"This version cannot train the network {kind.name}.")
        if start is not None:
            recipe.adopt(start.card)
        self.recipe = recipe
        self.course = Course(
            recipe.steps_per_epoch, settings.epochs, None if settings.minutes is None else 60 * settings.minutes,
            settings.validate_every,
        )  # fmt: skip
        torch.manual_seed(settings.seed)
        network: nn.Module = kind.build(kind.checked(settings.network_settings), len(dataset.classes))
        self.network = network.to(choose_device(settings.device)).to(memory_format=torch.channels_last)
        self.network.train()  # a new network says that it is in training, but has not left out what stays as it is
        self.optimisers = self.recipe.optimisers(self.network)
        self.highest = [[float(group["lr"]) for group in optimiser.param_groups] for optimiser in self.optimisers]
        self.average = AveragedModel(self.network, multi_avg_fn=_average, use_buffers=True)
        self.sums: dict[str, float] = {}  # losses of the round that has begun
        self.taken = 0
        self.curve: list[dict[str, float]] = []
        self.best = _Best()
        self.pieces = InPieces(self.recipe, tell)
        self.end_now = end_now
        self.examples = Examples(out, validation, settings)
        self._resume()

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def _parts(self) -> dict[str, Any]:
        """Everything with a state, by its name in a checkpoint."""
        parts: dict[str, Any] = {"network": self.network, "average": self.average}
        return parts | {f"optimiser {number}": optimiser for number, optimiser in enumerate(self.optimisers)}

    def _resume(self) -> None:
        state = load_checkpoint(self.out)
        if state is None:
            return
        if state.get("identity") != self._identity():
            raise ModelError(
                f"{self.out} contains an unfinished training with other data or settings.",
                hint=f"Choose another folder, or delete its {CHECKPOINT_NAME}.",
            )
        for name, part in self._parts().items():
            part.load_state_dict(state["parts"][name])
        self.course.go_on_from(state["course"])
        self.began -= self.course.seconds
        self.curve = state["curve"]
        self.sums, self.taken, self.pieces.count = state["sums"], state["taken"], state["pieces"]
        self.best.score, self.best.epoch, self.best.state = state["best"]

    def _identity(self) -> str:
        fixed = self.settings.model_dump(exclude={"device"})
        start = [] if self.start is None else [self.start.sha256]
        # earlier versions wrote other checkpoints: their trainings start again
        known = [4, fixed, self.dataset.fingerprint(), self.validation.fingerprint(), *start]
        return json.dumps(known, sort_keys=True)

    def _save(self) -> None:
        self.place.require()
        best = (self.best.score, self.best.epoch, self.best.state)
        save_checkpoint(
            self.out,
            {
                "identity": self._identity(), "course": self.course.state(), "curve": self.curve,
                "sums": self.sums, "taken": self.taken, "pieces": self.pieces.count, "best": best,
                "parts": {name: part.state_dict() for name, part in self._parts().items()},
            },
        )  # fmt: skip

    # -- learning ----------------------------------------------------------------------------------------------------

    def learn(self) -> Job[None]:
        """Do the remaining training, with validation after every round that needs it."""
        if self.course.step == 0:
            yield from self._begin()
        if not self.optimisers:
            return
        batches = BatchesAhead(self.recipe)
        try:
            yield from self._steps(batches)
        except GeneratorExit:
            if self.course.step:
                self._save()
            raise
        finally:
            batches.close()

    def _begin(self) -> Job[None]:
        """Give the network what it starts with."""
        if self.start is None:
            yield from self.recipe.fit_once(self.network)
            for sentence in self.recipe.notes():
                self.tell(sentence)
            return
        yield Progress(0, 0, "steps", f"loading {self.start.card.name}")
        self.start.keep(self.out)
        self.recipe.take_over(self.network, self.start.network(), self.start.card)

    def _steps(self, batches: BatchesAhead[Any]) -> Job[None]:
        course, saved = self.course, time.monotonic()
        while True:
            if course.closed < course.rounds:
                yield from self._end_round(measured=course.measures)
                self._save()
                saved = time.monotonic()
            if self._is_over():
                break
            begun = time.monotonic()
            losses = self._one_step(batches.take(course.step))
            self.sums = {name: self.sums.get(name, 0.0) + loss for name, loss in losses.items()}
            self.taken += 1
            course.stepped(time.monotonic() - begun)
            course.seconds = time.monotonic() - self.began
            if time.monotonic() - saved > _CHECKPOINT_SECONDS:
                self._save()
                saved = time.monotonic()
            loss = sum(self.sums.values()) / self.taken
            yield TimedProgress(
                course.step, course.steps, "steps", f"{course.words}, loss {loss:.3f}", course.seconds_left
            )
        if self.best.state is None:  # it was ended before anything was measured
            if not course.step:
                raise ModelError(
                    "The training was ended before it had learned anything.", hint="Let it go on for some minutes."
                )
            yield from self._end_round(measured=True)
            self._save()

    def _is_over(self) -> bool:
        tired = self.settings.patience * self.settings.validate_every
        waits = self.course.limit_s is None and len(self.curve) - self.best.epoch >= tired
        return self.course.done or waits or self.end_now()

    def _one_step(self, batch: Any) -> dict[str, float]:
        """Let every optimiser take its turn; returns the losses by name."""
        # a network draws the same random numbers again after an interruption
        torch.manual_seed(int(np.random.SeedSequence((self.settings.seed, self.course.step)).generate_state(1)[0]))
        if not self.network.training:  # going through all modules takes its time
            self.network.train()
        self.recipe.before_step(self.network, self.course.share)
        rate = self.recipe.rate(self.course.share)
        told: dict[str, float] = {}
        for turn, (optimiser, highest) in enumerate(zip(self.optimisers, self.highest, strict=True)):
            for group, peak in zip(optimiser.param_groups, highest, strict=True):
                group["lr"] = peak * rate
            losses = self.pieces.backward(self.network, batch, turn)
            parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
            nn.utils.clip_grad_norm_(parameters, _LARGEST_GRADIENT)
            optimiser.step()
            told |= losses
        self.average.update_parameters(self.network)
        return told

    def _end_round(self, *, measured: bool) -> Job[None]:
        """Add a point to the curve, and measure the model where that is due."""
        self.place.require()
        course = self.course
        losses = {name: value / max(1, self.taken) for name, value in self.sums.items()}
        row: dict[str, float] = {"epoch": course.passed, "loss": sum(losses.values()), **losses}
        row["seconds"] = course.seconds
        if measured:
            yield Progress(course.step, course.steps, "steps", f"{course.words}: validation")
            begun, averaged = time.monotonic(), self.average.module
            self.recipe.settle(averaged)
            report: Report = yield from _quietly(self.recipe.validate(averaged, self.validation))
            row |= _known(report.figures)
            self.examples.show(self.recipe, averaged, epoch=course.passed, confidence=report.confidence)
            self.best.offer(
                self.recipe.score(report), math.ceil(course.passed), averaged.state_dict(), last=course.done
            )
            course.seconds = time.monotonic() - self.began
            course.measured(time.monotonic() - begun)
        self.curve.append({name: round(float(value), 5) for name, value in row.items()})
        self.sums, self.taken, course.closed = {}, 0, course.rounds
        _write_curve(self.out / "curve.csv", self.curve)

    # -- the end -----------------------------------------------------------------------------------------------------

    def finish(self, trained_on: str) -> Job[ModelCard]:
        """Write the best model, measured in its stored form."""
        network = copy.deepcopy(self.network)
        if self.best.state is not None:
            network.load_state_dict(self.best.state)
        steps = self.course.step
        yield Progress(steps, steps, "steps", "choosing the default confidence")
        draft: ModelCard = yield from _quietly(self.recipe.finish(network, self.validation))
        self.place.require()
        save_weights(network.state_dict(), self.out / WEIGHTS_NAME)
        load_weights(network, self.out / WEIGHTS_NAME)
        report: Report = yield from _quietly(self.recipe.measure(network, self.validation))
        training = {
            "settings": self.settings.model_dump(mode="json"), "pictures": len(self.dataset.images),
            "boxes": self.dataset.counts(), "validation_images": len(self.validation.images),
            "best_epoch": self.best.epoch, "steps": steps, "minutes": round((time.monotonic() - self.began) / 60, 1),
            "left_out": self.dataset.left_out.counts(),
        } | draft.training  # fmt: skip
        if self.start is not None:
            training |= yield from self._about_start(self.start, training.get("backbone"))
        known = {
            "name": self.out.name, "trained_on": trained_on, "confidence": report.confidence,
            "metrics": _known(report.metrics()), "fingerprint": self.dataset.fingerprint(), "training": training,
            "trained_at_um": _common_size(self.dataset),
        }  # fmt: skip
        card = ModelCard.model_validate(draft.model_dump() | known)
        familiar = yield from _quietly(describe_data(network, card, self.dataset))
        card = card.model_copy(update={"familiar": familiar})
        document = {"validation": report.document(), "curve": self.curve, "training": training}
        atomic_write(self.out / "metrics.json", json.dumps(document, ensure_ascii=False, indent=2) + "\n")
        self.place.require()
        before = None if self.start is None else self.start.learned
        yield from _quietly(write_learned(self.dataset, self.out, before=before))
        write_card(card, self.out)
        for name in (CHECKPOINT_NAME, START_NAME):
            (self.out / name).unlink(missing_ok=True)
        return card

    def _about_start(self, start: StartModel, own_terms: object) -> Job[dict[str, Any]]:
        """What the card says of the model that it started from, and of the weights that this one had started from."""
        known: LearnedShare = yield from _quietly(learned_share(self.validation, start.learned))
        for sentence in start.known_words(known):
            self.tell(sentence)
        terms = [said for said in (start.card.training.get("backbone"), own_terms) if isinstance(said, str) and said]
        about: dict[str, Any] = {"start": start.document(known)}
        return about | ({"backbone": " ".join(dict.fromkeys(terms))} if terms else {})


@torch.no_grad()
def _average(averaged: Sequence[Tensor], current: Sequence[Tensor], updates: Tensor | int) -> None:
    """Exponential moving average (Polyak and Juditsky, 1992), faster at the start; integers are copied."""
    count = int(updates)
    share = 1 - min(_LONGEST_MEMORY, (1 + count) / (10 + count))
    if averaged[0].dtype.is_floating_point:  # all of one call are alike
        torch._foreach_lerp_(list(averaged), list(current), share)
    else:
        torch._foreach_copy_(list(averaged), list(current))


def _quietly(job: Job[Any]) -> Job[Any]:
    """Run a nested job; the progress of the training stays visible, and it can be cancelled in between."""
    return retold(job, lambda _: Progress(0, 0, "", "validation"))


def _known(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Without figures that are not known, because nothing was divided by: a card holds none of them."""
    return {
        name: _known(value) if isinstance(value, Mapping) else value
        for name, value in figures.items()
        if not isinstance(value, float) or math.isfinite(value)
    }


def _write_curve(path: Path, curve: list[dict[str, float]]) -> None:
    names = list(dict.fromkeys(name for row in curve for name in row))
    lines = [",".join(names)] + [",".join(str(row.get(name, "")) for name in names) for row in curve]
    atomic_write(path, "\n".join(lines) + "\n")
