"""Cross-validation: the same training several times, each measured on another part, for one or many settings.

The folds share most of what they learn from, so that their figures differ less than those of independent trainings
would: intervals are those of Nadeau and Bengio, "Inference for the Generalization Error", Machine Learning 52 (2003)
239, whose variance of the mean is 1/k + 1/(k - 1) times that of the folds where each of k parts is measured on once.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.errors import InputError
from microscope_qc.core.files import atomic_write
from microscope_qc.core.jobs import Job, Progress, retold
from microscope_qc.core.sheets import write_sheet
from microscope_qc.core.wording import listed, things
from microscope_qc.ml.architectures.base import architecture
from microscope_qc.ml.architectures.recipe import TrainSettings
from microscope_qc.ml.cards import CARD_NAME, ModelCard, read_card
from microscope_qc.ml.datasets import Dataset
from microscope_qc.ml.datasets.folds import folds_of
from microscope_qc.ml.training.start import StartModel
from microscope_qc.reports.charts import COLOURS, share_text
from microscope_qc.reports.plot_values import Plot, PlotMark, Series, Shape
from microscope_qc.workflows.learning.starting import chosen_start
from microscope_qc.workflows.learning.train import prepare, train_settings
from microscope_qc.workflows.studies.table import Kind, StudyColumn, StudyTable

RESULT_NAME, TABLE_NAME = "folds.json", "folds.csv"
STUDY_NAMES = ("table.json", "table.html")
FOLDS, MOST_FOLDS = 5, 100
LEAST_FOLDS = 3
"""Of fewer no interval is estimated."""
_SHARE = 0.95
FIGURES = {
    "map50": "mAP50", "accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1": "F1",
    "auroc": "AUROC", "auprc": "AUPRC",
}  # fmt: skip
CHOSEN_ON_IT = (
    "Each network was ended, and its default confidence chosen, by the part that it is measured on: on pictures that "
    "played no part in that, expect a little less."
)


@dataclass(frozen=True, slots=True)
class FoldFigures:
    """Figures of all folds with the same settings.

    Attributes
    ----------
    settings
        Those that were varied.
    figures
        Values of each fold by the name of the figure; NaN where one is not known.
    """

    settings: Mapping[str, Any]
    figures: Mapping[str, Sequence[float]]

    @property
    def words(self) -> str:
        """``alpha 3, gamma 2``; "" where nothing was varied."""
        return ", ".join(f"{name} {_short(value)}" for name, value in self.settings.items())

    def mean(self, name: str) -> float:
        """Of the folds where the figure is known."""
        known = self._known(name)
        return float(known.mean()) if len(known) else float("nan")

    def spread(self, name: str) -> float:
        """Standard deviation over the folds; NaN of fewer than two."""
        known = self._known(name)
        return float(known.std(ddof=1)) if len(known) > 1 else float("nan")

    def interval(self, name: str) -> tuple[float, float] | None:
        """95 % interval of the mean; None of fewer than three folds, and where all are alike."""
        from scipy.stats import t

        known = self._known(name)
        count = len(known)
        if count < LEAST_FOLDS or np.ptp(known) == 0:
            return None
        reach = float(t.ppf((1 + _SHARE) / 2, count - 1)) * self.spread(name) * math.sqrt(1 / count + 1 / (count - 1))
        return max(0.0, self.mean(name) - reach), min(1.0, self.mean(name) + reach)

    def _known(self, name: str) -> np.ndarray:
        values = np.array(self.figures[name], float)
        known: np.ndarray = values[np.isfinite(values)]
        return known


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """The result: one row for each choice of settings."""

    network: str
    folds: int
    pictures: int
    rows: list[FoldFigures]

    def document(self) -> dict[str, Any]:
        """Everything, as values that JSON can store; None for what is not known."""
        return {
            "network": self.network, "folds": self.folds, "pictures": self.pictures, "note": CHOSEN_ON_IT,
            "rows": [
                {
                    "settings": dict(row.settings),
                    "figures": {
                        name: {"mean": _known(row.mean(name)), "sd": _known(row.spread(name)),
                               "interval": _sides(row.interval(name)), "folds": [_known(value) for value in values]}
                        for name, values in row.figures.items()
                    },
                }
                for row in self.rows
            ],
        }  # fmt: skip

    def table(self) -> tuple[list[str], list[list[str | float | None]]]:
        """A heading, and the mean and the standard deviation of each figure for each choice of settings."""
        varied = list(dict.fromkeys(name for row in self.rows for name in row.settings))
        names = list(dict.fromkeys(name for row in self.rows for name in row.figures))
        header = [*varied, *(part for name in names for part in (name, f"{name}_sd"))]
        lines: list[list[str | float | None]] = []
        for row in self.rows:
            numbers = [_known(value) for name in names for value in (row.mean(name), row.spread(name))]
            lines.append([*(_short(row.settings.get(name, "")) for name in varied), *numbers])
        return header, lines

    def study(self) -> StudyTable:
        """The means with their intervals, and a chart of them."""
        varied = list(dict.fromkeys(name for row in self.rows for name in row.settings))
        names = [name for name in FIGURES if any(name in row.figures for row in self.rows)]
        columns = [
            *(StudyColumn(name, name) for name in varied),
            *(StudyColumn(name, FIGURES[name], Kind.SHARE) for name in names),
        ]  # fmt: skip
        rows: list[dict[str, Any]] = []
        for row in self.rows:
            line: dict[str, Any] = {name: _short(value) for name, value in row.settings.items()}
            for name in row.figures:
                line |= {name: _known(row.mean(name)), f"{name}_interval": _sides(row.interval(name))}
            rows.append(line)
        notes = ["In brackets 95 % intervals of the mean, with what the folds have in common.", CHOSEN_ON_IT]
        title = f"{architecture(self.network).title}: {self.folds} folds"
        subtitle = things(self.pictures, "picture or place", "pictures or places")
        return StudyTable(title, subtitle, columns, rows, notes, self._charts(names))

    def _charts(self, names: Sequence[str]) -> list[Plot]:
        """A bar for each figure and choice of settings."""
        places = [row.words or self.network for row in self.rows]
        series = []
        for number, name in enumerate(names):
            marks = []
            for place, row in enumerate(self.rows):
                mean = row.mean(name) if name in row.figures else float("nan")
                if math.isfinite(mean):
                    sides = row.interval(name)
                    tip = f"{places[place]}: {FIGURES[name]} {share_text(mean, {name: sides}, name)}"
                    marks.append(PlotMark(places[place], place, mean, interval=sides, tip=tip))
            if marks:
                series.append(Series(FIGURES[name], COLOURS[number % len(COLOURS)], marks))
        shape = Shape.BESIDE
        return [Plot("folds", "Mean of the folds", shape, "", "score", series, places, of_findings=False)]

    def words(self) -> list[str]:
        """Lines to show the user."""
        lines = [
            f"{self.network}, {self.folds} folds of {self.pictures} pictures, mean ± standard deviation [95 % interval "
            "of the mean]:"
        ]
        for row in self.rows:
            said = [f"{words} {_with_spread(row, name)}" for name, words in FIGURES.items() if name in row.figures]
            lines.append("  " + ": ".join(filter(None, (row.words, "  ".join(said)))))
        return [*lines, CHOSEN_ON_IT]


def cross_validate(
    dataset: Path | str | Sequence[Path | str],
    out: Path | str,
    *,
    folds: int = FOLDS,
    grid: Mapping[str, Sequence[Any]] | None = None,
    task: str = "classify",
    network: str | None = None,
    start: Path | str | None = None,
    slide_ids: Collection[int] | None = None,
    keep_bad: bool = False,
    tell: Callable[[str], None] = lambda sentence: None,
    **settings: Any,
) -> Job[CrossValidation]:
    """Train on all folds but one, and measure on that, in turn; an interrupted one is continued.

    Parameters
    ----------
    dataset, task, network, start, slide_ids, keep_bad, tell, settings
        As for :func:`microscope_qc.workflows.learning.train.train`. What is kept for the test is left aside.
    out
        Folder for the models, and for the result as ``folds.json`` and ``folds.csv``, and as a study:
        ``table.json`` and ``table.html``.
    grid
        Values of settings that are varied: all their combinations are tried with the same folds. The loss is then the
        one that has them, unless it is given.

    Raises
    ------
    InputError
        When a setting is wrong, or ``out`` contains other trainings.
    ExchangeError, ModelError
        When the data set cannot be used, or divided into so many folds.
    """
    if not 2 <= folds <= MOST_FOLDS:
        raise InputError(f"There can be 2 to {MOST_FOLDS} folds, not {folds}.")
    target, varied = Path(out), dict(grid or {})
    if settings.get("loss") is None:
        settings["loss"] = "focal" if "gamma" in varied else "weighted" if "alpha" in varied else None
    begun = None if start is None else chosen_start(start, target)
    chosen = [
        (combination, train_settings(task, network, {**settings, **combination}, begun))
        for combination in (dict(zip(varied, values, strict=True)) for values in itertools.product(*varied.values()))
    ]
    read = yield from prepare(dataset, None, chosen[0][1], begun, slide_ids, tell, keep_bad=keep_bad)
    data = replace(read.data, images=[*read.data.images, *(read.held.images if read.held is not None else ())])
    parts = folds_of(data, folds, seed=chosen[0][1].seed)
    rows = []
    for number, (combination, wanted) in enumerate(chosen):
        asked = wanted.model_copy(update={"pixel_size_um": read.settings.pixel_size_um})
        row = FoldFigures(combination, {})
        folder = target / (row.words or "folds")
        cards = []
        for fold, (learned, measured) in enumerate(parts):
            name = f"{row.words}{', ' if row.words else ''}fold {fold + 1} of {folds}"
            of_all = partial(_of_all, done=number * folds + fold, total=len(chosen) * folds, name=name)
            job = _fold(folder / f"fold {fold + 1}", learned, measured, asked, begun)
            cards.append((yield from retold(job, of_all)))
        rows.append(replace(row, figures=_figures(cards)))
    result = CrossValidation(chosen[0][1].network, folds, len(data.images), rows)
    atomic_write(target / RESULT_NAME, json.dumps(result.document(), ensure_ascii=False, indent=1) + "\n")
    write_sheet(target / TABLE_NAME, *result.table())
    for name in STUDY_NAMES:
        result.study().write(target / name)
    return result


def _fold(
    folder: Path, learned: Dataset, measured: Dataset, settings: TrainSettings, begun: StartModel | None
) -> Job[ModelCard]:
    """Train one fold, unless it was trained before."""
    from microscope_qc.ml.training.loop import train_network

    if (folder / CARD_NAME).exists():
        card = read_card(folder)
        used = settings if begun is not None else architecture(settings.network).suited(settings, learned)
        same = card.training.get("settings") == used.model_dump(mode="json")
        if not same or card.fingerprint != learned.fingerprint():
            raise InputError(
                f"{folder.parent.parent} contains a cross-validation of other data or settings.",
                hint="Choose another folder.",
            )
        return card
    return (yield from train_network(learned, folder, settings, validation=measured, start=begun))


def _of_all(progress: Progress, *, done: int, total: int, name: str) -> Progress:
    """Progress of all trainings from that of one."""
    return Progress(done + progress.fraction, total, "trainings", f"{name}: {progress.note}")


def _figures(cards: Sequence[ModelCard]) -> dict[str, list[float]]:
    names = [name for name in FIGURES if any(name in card.metrics for card in cards)]
    return {name: [_number(card.metrics.get(name)) for card in cards] for name in names}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _sides(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else [round(side, 5) for side in interval]


def _known(value: float) -> float | None:
    return round(value, 5) if np.isfinite(value) else None


def _with_spread(row: FoldFigures, name: str) -> str:
    mean, spread = row.mean(name), row.spread(name)
    if np.isnan(mean):
        return "–"
    sides = row.interval(name)
    said = "" if sides is None else f" [{sides[0]:.3f}, {sides[1]:.3f}]"
    return f"{mean:.3f}" + ("" if np.isnan(spread) else f" ± {spread:.3f}") + said


def _short(value: Any) -> str:
    """A value of a setting, as it stands in the name of a folder."""
    if isinstance(value, Mapping):
        return listed([f"{code} {weight:g}" for code, weight in value.items()])
    return f"{value:g}" if isinstance(value, int | float) else str(value)
