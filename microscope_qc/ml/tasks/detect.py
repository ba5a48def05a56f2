"""Detection: defects as boxes with a class and a confidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microscope_qc.core.jobs import Job
from microscope_qc.core.wording import things
from microscope_qc.ml.evaluation.report import figure_words
from microscope_qc.ml.tasks.kinds import TaskKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from microscope_qc.ml.datasets.records import Dataset
    from microscope_qc.ml.evaluation.report import Report
    from microscope_qc.ml.tasks.base import Task


_SHOWN = (
    ("precision", "precision"), ("recall", "recall"), ("f1", "F1"),
    ("map50", "mAP50"), ("map50_11", "mAP50 (11 points)"), ("map", "mAP50-95"),
)  # fmt: skip


class Detection(TaskKind):
    """Boxes around defects."""

    name, title, does, model = "detect", "Detection", "finds defects", "a detector"
    headline = {"precision": "precision", "recall": "recall", "map50": "mAP50"}  # noqa: RUF012 - not changed
    on_lattice = True

    def measure(
        self, task: Task, dataset: Dataset, *, confidence: float | None = None, iou: float = 0.5
    ) -> Job[Report]:
        """Precision, recall, F1, average precision and confusion of boxes; see :class:`TaskKind`."""
        from microscope_qc.ml.evaluation.on_slides import detection_report, tally_dataset
        from microscope_qc.ml.tasks.images import TaskFinder

        tally = yield from tally_dataset(TaskFinder(task), dataset)
        return detection_report(tally, confidence=confidence, iou=iou, complete=True)

    def words(self, report: Report) -> list[str]:
        """See :class:`TaskKind`."""
        of = report.figures
        lines = [
            f"at confidence {report.confidence:g}, IoU {of['iou']:g}, {of['truth']:g} boxes in "
            f"{things(int(of['places']), 'place')}:",
            *("  ".join(f"{words} {figure_words(of, report.intervals, name)}" for name, words in row)
              for row in (_SHOWN[:3], _SHOWN[3:])),
        ]  # fmt: skip
        lines += [_class_words(code, own) for code, own in report.per_class.items()]
        return lines + [
            f"{name:<16} AP50 {own['ap50']:.3f}  ({things(int(own['truth']), 'box', 'boxes')})"
            for name, own in report.by_size.items()
            if own["truth"]
        ]


def _class_words(code: str, own: Mapping[str, float]) -> str:
    """One class; what nothing was divided by is not known, and not 0."""
    precision = f"{own['precision']:.3f}" if own["finds"] else "–"
    recall, average = (f"{own[name]:.3f}" if own["truth"] else "–" for name in ("recall", "ap50"))
    count = things(int(own["truth"]), "box", "boxes")
    return f"{code:<16} precision {precision:<5}  recall {recall:<5}  AP50 {average:<5}  ({count})"


DETECT = Detection()
