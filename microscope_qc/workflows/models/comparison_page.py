"""The page of HTML about two models on the same places: figures of both, and pictures of where they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import confidence_text, count_text, things
from microscope_qc.reports.charts import share_text
from microscope_qc.reports.page import Page, Section, Shown, write_page
from microscope_qc.workflows.learning.place_pictures import FOUND_COLOUR, OTHER_COLOUR, TRUE_COLOUR, place_picture
from microscope_qc.workflows.models.compare import KINDS, Disagreement, ModelComparison, difference_words, p_text

MOST_SHOWN = 24
"""Pictures of each kind of disagreement."""
_FIGURES = {"map50": "mAP50", "f1": "F1", "precision": "Precision", "recall": "Recall"}
_OF_CLASS = {"ap50": "AP50", "precision": "precision", "recall": "recall"}


def write_comparison_page(path: Path | str, done: ModelComparison) -> Job[Path]:
    """Write the page; pictures that cannot be read are left out of the galleries.

    Raises
    ------
    WriteError
        When the file cannot be written.
    """
    by_kind = {kind: _ranked([one for one in done.disagreements if one.kind == kind]) for kind in KINDS}
    total = sum(min(MOST_SHOWN, len(places)) for places in by_kind.values())
    galleries: list[Section] = []
    number = 0
    for kind, places in by_kind.items():
        pictures: list[Shown] = []
        for place in places[:MOST_SHOWN]:
            yield Progress(number, total, "pictures", "cutting pictures of disagreements")
            number += 1
            shown = _shown(done, place)
            pictures += [] if shown is None else [shown]
        if places:
            galleries.append(_gallery(done, kind, len(places), pictures))
    names = done.new.card.name, done.old.card.name
    subtitle = f"{things(done.new.pictures, 'picture or place', 'pictures or places')} of {Path(done.dataset).name}"
    sections = [_figures(done), _classes(done), *galleries]
    warnings = [done.verdict, *done.sentences]
    return write_page(path, Page(f"{names[0]} compared with {names[1]}", subtitle, sections, warnings=warnings))


def _figures(done: ModelComparison) -> Section:
    models, found = (done.new, done.old), done.paired.found
    names = [measured.card.name for measured in models]
    differences = {name: difference_words(of) for name, of in done.paired.differences.items()}
    rows = [
        [words, *(_share(of.report.figures, of.report.intervals, name) for of in models), differences.get(name, "")]
        for name, words in _FIGURES.items()
    ]
    rows.append(["Found by this model only", count_text(found.only_first), count_text(found.only_second), ""])
    rows.append(["Time", *(measured.speed_words for measured in models), ""])
    notes = [
        f"{things(found.truths, 'true defect')} in {things(done.paired.places, 'place')}: {found.both} found by both, "
        f"{found.neither} by none; McNemar's exact p {p_text(found.p)}.",
        "In brackets: 95 % intervals, by drawing places again; each model at its own default confidence.",
    ]
    return Section("Figures", notes, ["", *names, "Difference"], rows)


def _classes(done: ModelComparison) -> Section:
    models = (done.new, done.old)
    head = ["Class", *(f"{words}, {measured.card.name}" for words in _OF_CLASS.values() for measured in models)]
    rows = [
        [code, *(
            _share(of.report.per_class[code], of.report.class_intervals.get(code, {}), name)
            for name in _OF_CLASS for of in models
        )]
        for code in done.classes
    ]  # fmt: skip
    return Section("Classes", head=head, rows=rows)


def _share(figures: Mapping[str, float], intervals: Mapping[str, tuple[float, float] | None], name: str) -> str:
    known = figures["finds" if name == "precision" else "truth"]
    return share_text(figures[name] if known else None, intervals, name)


def _gallery(done: ModelComparison, kind: str, count: int, pictures: Sequence[Shown]) -> Section:
    some = f", {len(pictures)} of them shown" if count > len(pictures) else ""
    notes = [
        f"{things(count, 'place')}{some}. Green: true boxes. Orange: what {done.new.card.name} found. "
        f"Blue: what {done.old.card.name} found."
    ]
    words = done.kind_words(kind)
    return Section(words[0].upper() + words[1:], notes, pictures=pictures)


def _ranked(places: list[Disagreement]) -> list[Disagreement]:
    """The surest false findings, the largest true defects first."""
    return sorted(places, key=lambda one: -(_area(one) if one.confidence is None else one.confidence))


def _area(place: Disagreement) -> float:
    y0, x0, y1, x1 = place.box
    return (y1 - y0) * (x1 - x0)


def _shown(done: ModelComparison, place: Disagreement) -> Shown | None:
    image = done.images[place.image]
    new, old = (measured.report.outcomes[place.image] for measured in (done.new, done.old))
    sure = "" if place.confidence is None else f" {confidence_text(place.confidence)}"
    marks = [(OTHER_COLOUR, old.boxes), (FOUND_COLOUR, new.boxes), (TRUE_COLOUR, new.truth)]
    return place_picture(image, np.array(place.box), marks, f"{place.code}{sure}, {image.path.name}")
