"""Classification: a network classifies windows that are slid over a slide."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from microscope_qc.core.jobs import Job
from microscope_qc.core.wording import things
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.evaluation.report import figure_words
from microscope_qc.ml.tasks.kinds import TaskKind

if TYPE_CHECKING:
    from microscope_qc.ml.datasets.records import Dataset
    from microscope_qc.ml.evaluation.report import Report
    from microscope_qc.ml.tasks.base import Task


_SHOWN = (
    (("accuracy", "accuracy"), ("f1", "macro F1"), ("f1_micro", "micro F1")),
    (("precision", "precision"), ("recall", "recall"), ("auroc", "AUROC"), ("auprc", "AUPRC")),
)


class WindowScores(TaskKind):
    """A task whose models score windows."""

    def measure(
        self, task: Task, dataset: Dataset, *, confidence: float | None = None, iou: float = 0.5
    ) -> Job[Report]:
        """Accuracy, F1, AUROC and AUPRC of windows or pictures, see :class:`TaskKind`; no box is compared."""
        from microscope_qc.ml.evaluation.on_windows import tally_windows
        from microscope_qc.ml.tasks.images import TaskScorer

        tally = yield from tally_windows(TaskScorer(task), dataset)
        return tally.report(confidence=task.card.confidence if confidence is None else confidence)

    def words(self, report: Report) -> list[str]:
        """See :class:`TaskKind`."""
        of = report.figures
        lines = [
            f"at confidence {report.confidence:g}, {of['count']:g} windows or pictures, {of['truth']:g} of them with a "
            f"defect, in {things(int(of['places']), 'place')}:"
        ]
        lines += [
            "  ".join(f"{words} {figure_words(of, report.intervals, name)}" for name, words in row) for row in _SHOWN
        ]
        return lines + [
            f"{code:<16} " + "  ".join(f"{words} {_number(own[name])}" for name, words in _SHOWN[1])
            + f"  F1 {_number(own['f1'])}  ({own['truth']:g})"
            for code, own in report.per_class.items()
        ]  # fmt: skip


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "–"


class Classification(WindowScores):
    """Scores of windows, a map of them, and boxes from class activation maps."""

    name, title, does, model = "classify", "Classification of windows", "classifies windows", "a classifier of windows"
    headline = {"accuracy": "accuracy", "f1": "macro F1", "auroc": "AUROC"}  # noqa: RUF012 - not changed
    learns_from_pictures = True

    def check(self, card: ModelCard) -> None:
        """See :class:`TaskKind`."""
        check_windows(card)


def check_windows(card: ModelCard) -> None:
    """Check that the windows of a card fit into its tiles, and that the tiles cover all windows.

    Raises
    ------
    ValueError
        When they do not.
    """
    if card.windows is None:
        raise ValueError("a model of this task needs windows")
    largest = max(card.windows.scales)
    if card.tile_px < card.windows.window_px * largest:
        raise ValueError("a tile is smaller than a window")
    if card.overlap_px < (card.windows.window_px - card.windows.stride_px) * largest:
        raise ValueError("tiles overlap too little: windows between them would be missed")


CLASSIFY = Classification()
