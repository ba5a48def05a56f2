"""Networks side by side: each trained on the same part of a data set, measured on the same places, and timed."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.errors import InputError, MicroscopeQCError, ModelError
from microscope_qc.core.files import atomic_write
from microscope_qc.core.jobs import Job, Progress, TimedProgress, retold
from microscope_qc.core.wording import listed, things
from microscope_qc.ml.architectures.base import architecture
from microscope_qc.ml.architectures.loading import open_task, parameter_count
from microscope_qc.ml.cards import CARD_NAME, ModelCard
from microscope_qc.ml.datasets import Dataset
from microscope_qc.ml.datasets.stored import place_from
from microscope_qc.ml.evaluation.report import WEAKEST, Report
from microscope_qc.ml.library import load_card
from microscope_qc.ml.tasks.kinds import TASKS
from microscope_qc.reports.plot_values import Plot
from microscope_qc.workflows.learning.train import train, train_settings
from microscope_qc.workflows.studies.places import unknown_places
from microscope_qc.workflows.studies.rival import START, Rival
from microscope_qc.workflows.studies.speed import devices_to_time, hardware_words, seconds_per_picture
from microscope_qc.workflows.studies.table import Kind, StudyColumn, StudyTable, figures_of, line_of, lines_plot

TABLE_NAME, ASKED_NAME, MODELS = "table.json", "asked.json", "models"
TIMED = 20
"""Pictures that the time for one is a mean of."""
_LEARNING = 0.9
"""Share of the work that the trainings are."""
_FIGURES = {
    "map50_11": "mAP (11 points)", "map50": "mAP50", "accuracy": "Accuracy", "precision": "Precision",
    "recall": "Recall", "f1": "F1", "auroc": "AUROC", "auprc": "AUPRC",
}  # fmt: skip
_OF_CLASS = {"ap50": "AP50", "f1": "F1"}
_DATA_SHARE = "data_share"


@dataclass(frozen=True, slots=True)
class _Learned:
    """A candidate, and its model; ``problem`` says why there is none."""

    candidate: Rival
    folder: Path
    card: ModelCard | None
    problem: str = ""


def compare_networks(
    dataset: Path | str,
    out: Path | str,
    candidates: Sequence[Rival],
    *,
    task: str = "detect",
    test: Path | str | None = None,
    validation: Path | str | None = None,
    part: str = "",
    shares: Sequence[float] = (),
    timed: int = TIMED,
    device: str = "auto",
    fresh: bool = False,
    slide_ids: Collection[int] | None = None,
    **settings: Any,
) -> Job[StudyTable]:
    """Train every candidate on the same places, measure all of them on the same others, and time them.

    What is measured on is, of ``test`` or else of ``dataset``, the test part, else the validation part, else all, less
    what any of the models has learned from. Begun in the same folder again, it goes on: models that are finished are
    kept, and candidates may be added. One that cannot be trained has a row that says why.

    Parameters
    ----------
    dataset, validation, slide_ids
        As for :func:`microscope_qc.workflows.learning.train.train`.
    out
        Folder: ``models``, a folder for each candidate; ``table.json``, ``table.csv`` and ``table.html``.
    task
        What the networks are for.
    part
        What is measured on, see :func:`microscope_qc.workflows.learning.kept_apart.to_measure_on`.
    shares
        Shares of the pictures to learn from: each candidate is trained on each, and a chart shows the curve.
    timed
        Pictures, the first ones, whose mean time is told; 0 times none.
    device
        What trains and measures; with "auto" both processor and graphics card are timed, where there is one.
    fresh
        Begin again, without the models that are there.
    **settings
        Those of :class:`microscope_qc.ml.architectures.recipe.TrainSettings` that are the same for all.

    Raises
    ------
    InputError
        When there is no candidate, a setting is wrong, or ``out`` holds a study of something else.
    ExchangeError, ModelError
        When the data set cannot be used, or no candidate could be trained.
    """
    rivals = _rivals(candidates, shares)
    common = {name: value for name, value in settings.items() if value is not None} | {"device": device}
    for rival in rivals:
        _check(task, rival, common)
    folder = Path(out)
    asked = {
        "dataset": place_from(Path(dataset), folder), "task": task, "settings": common,
        "validation": None if validation is None else place_from(Path(validation), folder),
        "slides": None if slide_ids is None else sorted(slide_ids),
    }  # fmt: skip
    _begin(folder, asked, fresh=fresh)
    learned: list[_Learned] = []
    clock = _Clock(len(rivals))
    for rival in rivals:
        place = folder / MODELS / rival.name
        job = train(
            dataset, place, task=task, validation=validation, slide_ids=slide_ids, overwrite=True,
            **rival.asked(common),
        )  # fmt: skip
        learned.append((yield from _learn(rival, place, job, partial(clock.tell, rival.name))))
        clock.next()
    models = {one.candidate.name: one.folder for one in learned if one.card is not None}
    if not models:
        raise ModelError(f"None of the networks could be trained. {learned[0].problem}")
    data, said = yield from unknown_places(test or dataset, part, models)
    rows = yield from _measured(learned, data, timed=timed, device=device)
    table = _table(task, data, learned, rows, said, timed=min(timed, len(data.images)), device=device)
    for name in (TABLE_NAME, "table.csv", "table.html"):
        table.write(folder / name)
    return table


# -- what is asked for -------------------------------------------------------------------------------------------------


def _rivals(candidates: Sequence[Rival], shares: Sequence[float]) -> list[Rival]:
    if not candidates:
        raise InputError("There is no network to compare.", hint="Name one or more.")
    if any(not 0 < share <= 1 for share in shares):
        raise InputError("A share of the pictures is above 0 and at most 1.")
    rivals = list(candidates)
    if shares:
        rivals = [one.with_settings(**{_DATA_SHARE: share}) for one in candidates for share in sorted(set(shares))]
    names = [rival.name for rival in rivals]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"{twice[0]} is there twice.", hint="Name each network once, or with different settings.")
    return rivals


def _check(task: str, rival: Rival, common: Mapping[str, Any]) -> None:
    """Refuse now what would fail after the trainings before it."""
    asked = rival.asked(common)
    if START not in asked:
        train_settings(task, asked.pop("network"), asked)


def _begin(folder: Path, asked: Mapping[str, Any], *, fresh: bool) -> None:
    path = folder / ASKED_NAME
    text = json.dumps(asked, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    if path.exists() and not fresh and path.read_text(encoding="utf-8") != text:
        raise InputError(
            f"{folder} holds a study of other data, or with other settings.",
            hint="Choose another folder, or begin again (--fresh on the command line).",
        )
    if (folder / CARD_NAME).exists():
        raise InputError(f"{folder} is a model.", hint="Choose another folder.")
    if fresh and path.exists():
        shutil.rmtree(folder / MODELS, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(path, text)


# -- training ----------------------------------------------------------------------------------------------------------


def _learn(
    rival: Rival, folder: Path, train_job: Job[ModelCard], tell: Callable[[Progress], Progress]
) -> Job[_Learned]:
    """Train a candidate, unless that is done."""
    if (folder / CARD_NAME).exists() and not _unreadable(folder):
        train_job.close()
        return _Learned(rival, folder, load_card(folder))
    try:
        card: ModelCard = yield from retold(train_job, tell)
    except MicroscopeQCError as error:
        return _Learned(rival, folder, None, str(error))
    return _Learned(rival, folder, card)


def _unreadable(folder: Path) -> bool:
    try:
        load_card(folder)
    except ModelError:
        return True
    return False


class _Clock:
    """How far all trainings together are, and how long the rest takes: as long as those that were done, and this."""

    def __init__(self, count: int) -> None:
        self._count, self._number = count, 0
        self._took: list[float] = []
        self._begun, self._worked, self._share = time.monotonic(), False, 0.0

    def next(self) -> None:
        """The next one begins."""
        if self._worked:
            self._took.append(time.monotonic() - self._begun)
        self._number += 1
        self._begun, self._worked, self._share = time.monotonic(), False, 0.0

    def tell(self, name: str, told: Progress) -> TimedProgress:
        """Progress of the whole from that of the training of this name."""
        self._worked = True
        own = told.seconds_left if isinstance(told, TimedProgress) else None
        left = None
        if own is not None:
            each = float(np.mean([*self._took, time.monotonic() - self._begun + own]))
            left = own + (self._count - self._number - 1) * each
        if told.unit == "steps":  # and not pictures that are read before
            self._share = max(self._share, told.fraction)
        done = _LEARNING * (self._number + self._share)
        return TimedProgress(round(done, 3), self._count, "networks", f"{name}: {told.note or told.unit}", left)


# -- measuring ---------------------------------------------------------------------------------------------------------


def _measured(learned: Sequence[_Learned], data: Dataset, *, timed: int, device: str) -> Job[list[dict[str, Any]]]:
    from microscope_qc.ml.devices import use_threads

    use_threads()
    count = len(learned)
    rows = []
    for number, one in enumerate(learned):

        def tell(told: Progress, number: int = number, name: str = one.candidate.name) -> Progress:
            done = _LEARNING * count + (1 - _LEARNING) * number
            return Progress(round(done, 3), count, "networks", f"{name}: {told.note or 'measuring'}")

        found = {} if one.card is None else (
            yield from retold(_row(one, one.card, data, timed=timed, device=device), tell)
        )  # fmt: skip
        rows.append(_about(one) | found)
    return rows


def _row(one: _Learned, card: ModelCard, data: Dataset, *, timed: int, device: str) -> Job[dict[str, Any]]:
    """Figures and seconds of one model."""
    ordered = data.with_classes(list(card.classes))
    kind = TASKS.get(card.task)
    task = open_task(one.folder, device=device, threshold=WEAKEST)
    report: Report = yield from kind.measure(task, ordered, confidence=card.confidence)
    found = figures_of(report, list(_FIGURES))
    for code in card.classes:
        for name, value in figures_of(report, list(_OF_CLASS), code=code).items():
            found[f"{code} {name}"] = value
    for where in devices_to_time(device) if timed else ():
        task = open_task(one.folder, device=where, threshold=card.confidence)
        found[f"seconds {where}"] = round((yield from seconds_per_picture(task, ordered.images[:timed])), 4)
    return found


def _about(one: _Learned) -> dict[str, Any]:
    row: dict[str, Any] = {
        "network": one.candidate.network, "title": architecture(one.candidate.network).title,
        "settings": one.candidate.words, "model": str(one.folder), "problem": one.problem or None,
        _DATA_SHARE: one.candidate.settings.get(_DATA_SHARE, 1.0),
    }  # fmt: skip
    if one.card is None:
        return row
    training = one.card.training
    return row | {
        "parameters": parameter_count(one.card) or None, "pictures": training.get("pictures"),
        "steps": training.get("steps"), "epochs": training.get("best_epoch") or None,
        "minutes": training.get("minutes"),
        "starts_from": _starts_from(one.card),
    }  # fmt: skip


def _starts_from(card: ModelCard) -> str | None:
    """The model, the weights of a whole detector, or those of a backbone that a training began with."""
    start = card.training.get("start")
    if isinstance(start, dict):
        return f"model {start.get('name')}"
    source = card.network.get("detector") or card.network.get("backbone")
    return None if source is None else Path(str(source)).name


# -- the table ---------------------------------------------------------------------------------------------------------


def _table(
    task: str, data: Dataset, learned: Sequence[_Learned], rows: Sequence[Mapping[str, Any]], said: Sequence[str],
    *, timed: int, device: str,
) -> StudyTable:  # fmt: skip
    devices = devices_to_time(device) if timed else []
    places = things(len(data.images), "picture or place", "pictures or places")
    notes = [
        f"Measured on {places}, the same for all; in brackets 95 % intervals, by drawing places again.",
        *dict.fromkeys(said),
    ]
    if devices:
        notes.append(
            f"Seconds per picture: mean of {timed}, one by one, with reading and merging. {hardware_words(devices)}."
        )
    prints: dict[object, set[str]] = {}
    for one in learned:
        if one.card is not None:
            share = one.candidate.settings.get(_DATA_SHARE, 1.0)
            prints.setdefault(share, set()).add(one.card.fingerprint)
    if any(len(known) > 1 for known in prints.values()):
        notes.append("Not all learned from the same labels: some were judged in between. Begin again for a fair table.")
    notes += [f"{one.candidate.name} could not be trained: {one.problem}" for one in learned if one.problem]
    title = f"Networks side by side: {TASKS.get(task).title.lower()}"
    return StudyTable(title, places, _columns(rows, data.classes, devices), rows, notes, _charts(rows))


def _columns(rows: Sequence[Mapping[str, Any]], classes: Sequence[str], devices: Sequence[str]) -> list[StudyColumn]:
    """Those of which a row has something."""
    columns = [
        StudyColumn("network", "Network"), StudyColumn("settings", "Settings"),
        StudyColumn("starts_from", "Starts from"), StudyColumn("parameters", "Parameters", Kind.COUNT),
        StudyColumn("pictures", "Pictures learned", Kind.COUNT),
        StudyColumn("epochs", "Epochs to the best", Kind.NUMBER),
        StudyColumn("minutes", "Minutes", Kind.NUMBER),
        *(StudyColumn(name, words, Kind.SHARE) for name, words in _FIGURES.items()),
    ]  # fmt: skip
    for code in classes:
        columns += [StudyColumn(f"{code} {name}", f"{words} {code}", Kind.SHARE) for name, words in _of_class(rows)]
    columns += [StudyColumn(f"seconds {where}", f"s per picture, {where}", Kind.NUMBER) for where in devices]
    columns.append(StudyColumn("problem", "Why not"))
    return [column for column in columns if any(row.get(column.key) not in (None, "") for row in rows)]


def _of_class(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The figure of each class that these models have: average precision, else F1."""
    for name, words in _OF_CLASS.items():
        if any(key.endswith(f" {name}") for row in rows for key in row):
            return [(name, words)]
    return []


def _charts(rows: Sequence[Mapping[str, Any]]) -> list[Plot]:
    """The score over the pictures that were learned from, where several shares were."""
    if len({row[_DATA_SHARE] for row in rows}) < 2:
        return []
    figure = next((name for name in _FIGURES if any(row.get(name) is not None for row in rows)), None)
    lines: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if figure is not None and row.get(figure) is not None and row.get("pictures"):
            said = [part for part in str(row["settings"]).split(", ") if not part.startswith(_DATA_SHARE)]
            lines.setdefault(listed([row["network"], *filter(None, said)]), []).append(row)
    if figure is None:
        return []
    return lines_plot(
        "data-size", "Score and number of pictures learned from", "pictures learned from", _FIGURES[figure],
        [line_of(name, own, "pictures", figure, number=n) for n, (name, own) in enumerate(lines.items())],
    )  # fmt: skip
