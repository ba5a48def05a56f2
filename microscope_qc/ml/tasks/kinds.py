"""What models are for, and the registry of all tasks there are.

The command line lists them in its help: neither torch nor numpy is imported here, nor by the modules named here.
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
    """What a model is for.

    An instance is registered in the group ``microscope_qc.tasks`` under its name.

    Attributes
    ----------
    name
        What cards and the command line call it.
    title, does, model
        For users: "Detection", "finds defects", "a detector".
    headline
        The figures of a report that a user sees first, and their words: {"map50": "mAP50"}.
    on_lattice
        Whether tiles begin at multiples of the network's stride, so that a place is answered for alike wherever the
        region of a run begins. Windows that slide over tiles have a lattice of their own.
    learns_from_boxes
        Whether a data set without boxes teaches nothing.
    """

    name: str
    title: str
    does: str
    model: str
    headline: Mapping[str, str] = {}
    on_lattice = False
    learns_from_boxes = True

    def check(self, card: ModelCard) -> None:
        """Check what a card of this task must hold.

        Raises
        ------
        ValueError
            With the reason, when something is missing or does not fit.
        """

    def measure(
        self, task: Task, dataset: Dataset, *, confidence: float | None = None, iou: float = 0.5
    ) -> Job[Report]:
        """Compare what a model finds with a data set, where models of this task can be measured.

        Parameters
        ----------
        confidence
            Threshold; the best one for this data set where it is None.
        iou
            Overlap from which a box counts as found, where boxes are what is compared.
        """
        raise NotImplementedError

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
                f"Models for the task {self.name} cannot be measured by this version.",
                hint=f"Choose {_either(kind.model for kind in TASKS.values() if kind.measurable)}.",
            )

    def words(self, report: Report) -> list[str]:
        """Lines that tell a user what a report says."""
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
    """``a detector, a classifier of windows or an anomaly model``: what can be run over slides."""
    return _either(kind.model for kind in TASKS.values())


def _either(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last
