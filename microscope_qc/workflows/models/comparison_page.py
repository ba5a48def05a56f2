"""The page of HTML about two models on the same places: figures of both, and pictures of where they are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import confidence_text, things
from microscope_qc.reports.page import Page, Section, Shown, write_page
from microscope_qc.workflows.learning.place_pictures import FOUND_COLOUR, OTHER_COLOUR, TRUE_COLOUR, place_picture
from microscope_qc.workflows.models.compare import ModelComparison
from microscope_qc.workflows.models.comparison_text import SEVERAL, class_table, figure_table, measured_text
from microscope_qc.workflows.models.wrong_places import KINDS, WrongPlace

MOST_SHOWN = 24
"""Pictures of each kind."""


def write_comparison_page(path: Path | str, done: ModelComparison) -> Job[Path]:
    """Write the page; pictures that cannot be read are left out of the galleries.

    Raises
    ------
    WriteError
        When the file cannot be written.
    """
    by_kind = {kind: _ranked([one for one in done.wrong if one.kind == kind]) for kind in KINDS}
    total = sum(min(MOST_SHOWN, len(places)) for places in by_kind.values())
    galleries: list[Section] = []
    number = 0
    for kind, places in by_kind.items():
        pictures: list[Shown] = []
        for place in places[:MOST_SHOWN]:
            yield Progress(number, total, "pictures", "cutting pictures of where they are wrong")
            number += 1
            shown = _shown(done, place)
            pictures += [] if shown is None else [shown]
        if places:
            galleries.append(_gallery(done, kind, len(places), pictures))
    names = done.new.card.name, done.old.card.name
    subtitle = f"{things(done.new.pictures, 'picture or place', 'pictures or places')} of {Path(done.dataset).name}"
    document = done.document()
    sections = [
        Section("Figures", [measured_text(document)], *figure_table(document)),
        Section("Classes", [SEVERAL] if len(done.classes) > 1 else [], *class_table(document)), *galleries,
    ]  # fmt: skip
    warnings = [done.verdict, *done.sentences]
    return write_page(path, Page(f"{names[0]} compared with {names[1]}", subtitle, sections, warnings=warnings))


def _gallery(done: ModelComparison, kind: str, count: int, pictures: Sequence[Shown]) -> Section:
    some = f", {len(pictures)} of them shown" if count > len(pictures) else ""
    notes = [
        f"{things(count, 'place')}{some}. Green: true boxes. Orange: what {done.new.card.name} found. "
        f"Blue: what {done.old.card.name} found."
    ]
    words = done.kind_words(kind)
    return Section(words[0].upper() + words[1:], notes, pictures=pictures)


def _ranked(places: list[WrongPlace]) -> list[WrongPlace]:
    """The surest false findings, the largest true defects first."""
    return sorted(places, key=lambda one: -(_area(one) if one.confidence is None else one.confidence))


def _area(place: WrongPlace) -> float:
    y0, x0, y1, x1 = place.box
    return (y1 - y0) * (x1 - x0)


def _shown(done: ModelComparison, place: WrongPlace) -> Shown | None:
    image = done.images[place.image]
    new, old = (measured.report.outcomes[place.image] for measured in (done.new, done.old))
    sure = "" if place.confidence is None else f" {confidence_text(place.confidence)}"
    marks = [(OTHER_COLOUR, old.boxes), (FOUND_COLOUR, new.boxes), (TRUE_COLOUR, new.truth)]
    return place_picture(image, np.array(place.box), marks, f"{place.code}{sure}, {image.path.name}")
