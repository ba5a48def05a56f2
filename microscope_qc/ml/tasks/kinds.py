"""The tasks that models are for, and their registry.

The command line lists them in its help: neither this module nor the ones it registers import torch or numpy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import Job
from microscope_qc.core.plugins import Registry
from microscope_qc.ml.cards import ModelCard

if TYPE_CHECKING:
    from microscope_qc.ml.datasets.records import Dataset
    from microscope_qc.ml.evaluation.report import Report
    from microscope_qc.ml.tasks.base import Task


class TaskKind:
    """A task that models are for.

    An instance is registered in the group ``microscope_qc.tasks`` under its name.

    Attributes
    ----------
    name
        Its name in cards and on the command line.
    title, does, model
        Words for the user: "Detection", "finds defects", "a detector".
    headline
        The most important metrics of a report, and their names for the user: {"map50": "mAP50"}.
    on_lattice
        Whether tiles start at multiples of the network's stride, so that the result at a place does not depend on where
        the region of a run starts. Windows slid over tiles have a lattice of their own.
    learns_from_boxes
        Whether a data set that says nowhere that there is a defect is useless.
    learns_from_pictures
        Whether it is enough that it says so of whole pictures.
    one_class
        Whether all classes of a data set are one to it: something that is not normal.
    """

    name: str
    title: str
    does: str
    model: str
    headline: Mapping[str, str] = {}
    on_lattice = False
    learns_from_boxes = True
    learns_from_pictures = False
    one_class = False

    def check(self, card: ModelCard) -> None:
        """Check what a card of this task must contain.

        Raises
        ------
        ValueError
            With the reason, when something is missing or invalid.
        """

    def measure(
        self, task: Task, dataset: Dataset, *, confidence: float | None = None, iou: float = 0.5
    ) -> Job[Report]:
        """Compare the results of a model with a data set, where models of this task can be measured.

        Parameters
        ----------
        confidence
            Threshold; None takes the best one for this data set.
        iou
            Smallest overlap at which a box counts as found, where boxes are compared.
        """
        raise NotImplementedError

    def examples(self, dataset: Dataset) -> int:
        """Number of defects, and of pictures with one where their classes are enough, that there are to learn from."""
        pictures = sum(dataset.pictures_by_class().values()) if self.learns_from_pictures else 0
        return sum(dataset.counts().values()) + pictures

    @property
    def measurable(self) -> bool:
        """Whether models of this task can be measured."""
        return type(self).measure is not TaskKind.measure

    def require_measurable(self) -> None:
        """Check that models of this task can be measured.

        Raises
        ------
        ModelError
            When they cannot.
        """
        if not self.measurable:
            raise ModelError(
                f"This version cannot measure models for the task {self.name}.",
                hint=f"Choose {_either(kind.model for kind in TASKS.values() if kind.measurable)}.",
            )

    def words(self, report: Report) -> list[str]:
        """Lines that summarise a report for the user."""
        return ["  ".join(f"{name} {value:.3f}" for name, value in report.figures.items())]


def _a_kind(thing: object) -> TaskKind:
    if not isinstance(thing, TaskKind):
        raise TypeError(f"{thing!r} is not a task")
    for attribute in ("name", "title", "does", "model"):
        if not isinstance(getattr(thing, attribute, None), str) or not getattr(thing, attribute):
            raise TypeError(f"the task has no {attribute}")
    return thing


TASKS: Registry[TaskKind] = Registry(
    "tasks",
    _a_kind,
    {
        "detect": "microscope_qc.ml.tasks.detect:DETECT",
        "classify": "microscope_qc.ml.tasks.classify:CLASSIFY",
        "anomaly": "microscope_qc.ml.tasks.anomaly:ANOMALY",
    },
    what="task",
)


def known_models() -> str:
    """``a detector, a classifier of windows or an anomaly model``: the models that can be run over slides."""
    return _either(kind.model for kind in TASKS.values())


def _either(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last
