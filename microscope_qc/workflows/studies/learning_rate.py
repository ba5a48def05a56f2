"""Which learning rate suits a network and a data set."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from microscope_qc.core.jobs import Job
from microscope_qc.core.wording import things
from microscope_qc.ml.architectures.base import architecture
from microscope_qc.workflows.learning.train import prepare, train_settings
from microscope_qc.workflows.studies.table import Kind, StudyColumn, StudyTable, line_of, lines_plot


def learning_rate_study(
    dataset: Path | str | Sequence[Path | str],
    *,
    task: str = "detect",
    network: str | None = None,
    slide_ids: Collection[int] | None = None,
    keep_bad: bool = False,
    tell: Callable[[str], None] = lambda sentence: None,
    **settings: Any,
) -> Job[StudyTable]:
    """Train with rising learning rates until the loss diverges; a row for every step, and a suggestion in the notes.

    Parameters
    ----------
    dataset, task, network, slide_ids, keep_bad, tell, settings
        As for :func:`microscope_qc.workflows.learning.train.train`.

    Raises
    ------
    InputError
        When the task, the network or a setting is wrong.
    ExchangeError, ModelError
        When the data set cannot be used, or the network is not trained in steps.
    """
    chosen = train_settings(task, network, settings)
    prepared = yield from prepare(dataset, None, chosen, None, slide_ids, tell, keep_bad=keep_bad)
    from microscope_qc.ml.training.rate_finder import find_rate

    found = yield from find_rate(prepared.data, prepared.settings, tell=tell)
    rows = [
        {"rate": rate, "loss": loss, "smoothed": smoothed}
        for rate, loss, smoothed in zip(found.rates, found.losses, found.smoothed, strict=True)
    ]
    notes = ["The loss diverged there." if found.diverged else "The loss did not diverge."]
    if found.suggestion is None:
        notes.append("The loss never fell: no learning rate can be suggested.")
    else:
        notes.append(f"Suggested learning rate: {found.suggestion:g}, a tenth of the one with the lowest loss.")
    columns = [
        StudyColumn("rate", "Learning rate", Kind.RATE), StudyColumn("loss", "Loss", Kind.NUMBER),
        StudyColumn("smoothed", "Loss, smoothed", Kind.NUMBER),
    ]  # fmt: skip
    title = architecture(chosen.network).title
    charts = lines_plot(
        "rate", "Loss", "learning rate", "loss, smoothed", [line_of(title, rows, "rate", "smoothed")], log_x=True,
        pointer=found.suggestion,
    )  # fmt: skip
    said = things(len(rows), "step")
    return StudyTable(f"Learning rate of {title}", said, columns, rows, notes, charts)
