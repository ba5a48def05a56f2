"""One model measured several times, each time with another value of a setting that its weights do not depend on.

How many proposals a two-stage detector looks at, and by how much a classifier of windows steps from one to the next:
more of either finds more and takes longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from microscope_qc.core.errors import InputError, ModelError
from microscope_qc.core.jobs import Job, Progress, retold
from microscope_qc.core.matching import require_shares
from microscope_qc.core.wording import things
from microscope_qc.ml.architectures.base import architecture
from microscope_qc.ml.architectures.loading import open_task
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.datasets import Dataset
from microscope_qc.ml.evaluation.report import WEAKEST
from microscope_qc.ml.library import load_card, model_folder
from microscope_qc.ml.tasks.windows import with_step
from microscope_qc.reports.plot_values import Plot
from microscope_qc.workflows.studies.networks import TIMED
from microscope_qc.workflows.studies.places import unknown_places
from microscope_qc.workflows.studies.speed import devices_to_time, hardware_words, seconds_per_picture
from microscope_qc.workflows.studies.table import Kind, StudyColumn, StudyTable, figures_of, line_of, lines_plot

PROPOSALS = (50, 100, 300, 1000, 2000, 3000, 6000)
STEPS = (0.75, 0.5)
"""Of a window: neighbouring windows share the rest."""
_SETTING = "proposals"
_FIGURES = {
    "map50_11": "mAP (11 points)", "map50": "mAP50", "precision": "Precision", "recall": "Recall", "f1": "F1",
}  # fmt: skip


def proposals_curve(
    model: str | Path,
    dataset: Path | str,
    counts: Sequence[int] = PROPOSALS,
    *,
    part: str = "",
    timed: int = TIMED,
    device: str = "auto",
) -> Job[StudyTable]:
    """Measure a two-stage detector with several numbers of proposals.

    Parameters
    ----------
    model
        Name of a bundled model, or a folder.
    dataset, part
        As for :func:`microscope_qc.workflows.learning.evaluate.evaluate`; what the model has learned from is left out.
    timed, device
        As for :func:`microscope_qc.workflows.studies.networks.compare_networks`.

    Raises
    ------
    InputError
        When a number is wrong.
    ModelError
        When the network makes no proposals, or model or data set cannot be used.
    """
    card = load_card(model)
    kind = architecture(card.architecture)
    if _SETTING not in kind.settings.model_fields:
        raise ModelError(f"The network of {card.name} makes no proposals.", hint="Choose a two-stage detector.")
    cards = []
    for count in sorted(set(counts)):
        network = {**card.network, _SETTING: count}
        try:
            kind.checked(network)
        except ModelError as error:
            raise InputError(f"{count} is no number of proposals: {error.message}") from error
        cards.append((float(count), card.model_copy(update={"network": network})))
    column = StudyColumn("value", "Proposals", Kind.COUNT)
    return (yield from _study(model, dataset, cards, column, part=part, iou=0.5, timed=timed, device=device))


def window_steps(
    model: str | Path,
    dataset: Path | str,
    steps: Sequence[float] = STEPS,
    *,
    iou: float = 0.1,
    part: str = "",
    timed: int = TIMED,
    device: str = "auto",
) -> Job[StudyTable]:
    """Measure what a model that slides windows finds with several steps from one window to the next.

    Parameters
    ----------
    steps
        Shares of a window's side, above 0 and at most 1; the nearest multiples of the network's stride are taken.
    iou
        Overlap at which a box counts as found; boxes of windows are coarse.
    model, dataset, part, timed, device
        As for :func:`proposals_curve`.

    Raises
    ------
    InputError
        When a number is wrong.
    ModelError
        When the model slides no windows, or model or data set cannot be used.
    """
    require_shares(iou=iou)
    card = load_card(model)
    if card.windows is None:
        raise ModelError(f"{card.name} slides no windows.", hint="Choose a classifier of windows or an anomaly model.")
    kind, cards = architecture(card.architecture), {}
    stride_px = kind.stride_px(kind.checked(card.network))
    for step in sorted(set(steps), reverse=True):
        if not 0 < step <= 1:
            raise InputError(f"A step is above 0 and at most 1 window, not {step:g}.")
        try:
            changed = ModelCard.model_validate(with_step(card, step, stride_px=stride_px).model_dump())
        except ValueError as error:
            raise InputError(f"The step {step:g} is too small for the windows of {card.name}.") from error
        assert changed.windows is not None
        # as near to what was asked for as windows can share their features
        cards[round(changed.windows.stride_px / changed.windows.window_px, 3)] = changed
    column = StudyColumn("value", "Step, windows", Kind.NUMBER)
    found = list(cards.items())
    return (yield from _study(model, dataset, found, column, part=part, iou=iou, timed=timed, device=device))


def _study(
    model: str | Path, dataset: Path | str, cards: Sequence[tuple[float, ModelCard]], column: StudyColumn,
    *, part: str, iou: float, timed: int, device: str,
) -> Job[StudyTable]:  # fmt: skip
    if not cards:
        raise InputError(f"There is nothing to compare: {column.title.lower()}.", hint="Give one value or more.")
    name = cards[0][1].name
    data, said = yield from unknown_places(dataset, part, {name: model_folder(model)})
    from microscope_qc.ml.devices import use_threads

    use_threads()
    rows = []
    for number, (value, card) in enumerate(cards):

        def tell(told: Progress, number: int = number, words: str = f"{column.title} {value:g}") -> Progress:
            return Progress(round(number + told.fraction, 3), len(cards), "values", words)

        row: dict[str, Any] = yield from retold(_row(model, card, data, iou=iou, timed=timed, device=device), tell)
        rows.append({"value": value} | row)
    devices = devices_to_time(device) if timed else []
    places = things(len(data.images), "picture or place", "pictures or places")
    notes = [f"Measured on {places}, a box found at an IoU of {iou:g}; in brackets 95 % intervals.", *said]
    if devices:
        shown = min(timed, len(data.images))
        notes.append(f"Seconds per picture: mean of {shown}, one by one. {hardware_words(devices)}.")
    columns = [
        column, *(StudyColumn(name, words, Kind.SHARE) for name, words in _FIGURES.items()),
        StudyColumn("finds", "Found", Kind.COUNT), StudyColumn("truth", "Marked", Kind.COUNT),
        *(StudyColumn(f"seconds {where}", f"s per picture, {where}", Kind.NUMBER) for where in devices),
    ]  # fmt: skip
    title = f"{name}: {column.title.lower()}"
    return StudyTable(title, places, columns, rows, notes, _charts(rows, column, devices))


def _row(
    model: str | Path, card: ModelCard, data: Dataset, *, iou: float, timed: int, device: str
) -> Job[dict[str, Any]]:
    """Figures of what is found, and seconds, with the settings of a card."""
    from microscope_qc.ml.evaluation.on_slides import detection_report, tally_dataset
    from microscope_qc.ml.tasks.images import TaskFinder

    task = open_task(model, device=device, threshold=WEAKEST, card=card)
    tally = yield from tally_dataset(TaskFinder(task), data)
    report = detection_report(tally, confidence=card.confidence, iou=iou, complete=True)
    found = figures_of(report, [*_FIGURES, "finds", "truth"])
    for where in devices_to_time(device) if timed else ():
        task = open_task(model, device=where, threshold=card.confidence, card=card)
        found[f"seconds {where}"] = round((yield from seconds_per_picture(task, data.images[:timed])), 4)
    return found


def _charts(rows: Sequence[dict[str, Any]], column: StudyColumn, devices: Sequence[str]) -> list[Plot]:
    """Recall and precision, and seconds, over the value."""
    if len(rows) < 2:
        return []
    x = column.title.lower()
    shown = [name for name in ("map50_11", "recall") if all(row.get(name) is not None for row in rows)]
    lines = [line_of(_FIGURES[name], rows, "value", name, number=n) for n, name in enumerate(shown)]
    times = [line_of(where, rows, "value", f"seconds {where}", number=n) for n, where in enumerate(devices)]
    return [*lines_plot("score", "Score", x, "score", lines), *lines_plot("time", "Time", x, "s per picture", times)]
