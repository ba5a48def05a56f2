"""What the models of a study are measured on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import Job
from microscope_qc.ml.datasets import Dataset
from microscope_qc.ml.library import load_card
from microscope_qc.ml.tasks.kinds import TASKS
from microscope_qc.workflows.learning.kept_apart import to_measure_on
from microscope_qc.workflows.learning.reading import read_dataset
from microscope_qc.workflows.models.compare import without_learned_places


def unknown_places(dataset: Path | str, part: str, models: Mapping[str, Path]) -> Job[tuple[Dataset, list[str]]]:
    """What no model has learned from, with the classes of the first one, and what is to be said of it.

    Parameters
    ----------
    dataset, part
        As for :func:`microscope_qc.workflows.learning.evaluate.evaluate`.
    models
        Their folders by what they are called, at least one; all have the same pixel size.

    Raises
    ------
    ModelError
        When nothing is left.
    """
    card = load_card(next(iter(models.values())))
    read = yield from read_dataset(dataset, model_um=card.pixel_size_um)
    data, told = to_measure_on(read, part)
    said = [*read.sentences(), *told]
    for name, folder in models.items():
        data, more = yield from without_learned_places(data, name, folder)
        said += more
    if not data.images:
        raise ModelError(
            "There is nothing to measure on: every place was learned from.",
            hint="Give pictures to measure on, or keep some for the test.",
        )
    if TASKS.get(card.task).one_class:
        return data.as_one_class(card.classes[0]), said
    return data.known_to(list(card.classes))[0], said
