"""What models found and missed where everything is known: in areas that users declared complete."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from microscope_qc.analysis.shares import Share, pooled_share
from microscope_qc.core.arrays import Flags, Ints
from microscope_qc.core.box_rows import SAYS_NOTHING, ReviewState
from microscope_qc.core.opinions import class_is_users
from microscope_qc.core.wording import count_text, percent_text, things
from microscope_qc.reports.charts import COLOURS
from microscope_qc.reports.plot_values import Plot, PlotMark, Series, Shape
from microscope_qc.workflows.results.counted_findings import CountedFindings, FoundOnSlide
from microscope_qc.workflows.results.plot_parts import PlotChoice, wanted_classes

FOUND, OTHER, MISSED, FALSE, OPEN = range(5)
OUTCOMES = (
    ("found", COLOURS[2]), ("found, as another class", COLOURS[4]), ("missed", COLOURS[1]),
    ("false positive", COLOURS[5]), ("not judged", COLOURS[7]),
)  # fmt: skip
NO_TRUTH = "No area that a model scanned was declared complete: inspect one, or draw areas at random and search them."


def truth(found: CountedFindings, choice: PlotChoice) -> Plot:
    """True positives, false positives and false negatives by class, a bar for each: a click shows them as a gallery."""
    title, book = "What models found and missed in complete areas", found.known.book
    wanted = wanted_classes(found, choice.of)
    outcome, places, numbers, owner = _known(found, wanted.places)
    if not len(numbers):
        return Plot("truth", title, Shape.STACKED, why_not=NO_TRUTH)
    there = np.unique(places).tolist()
    series = []
    for number, (name, colour) in enumerate(OUTCOMES):
        marks = []
        for at, place in enumerate(there):
            mine = numbers[(outcome == number) & (places == place)]
            if len(mine):
                code = book.classes[place].code
                marks.append(PlotMark(code, at, len(mine), mine, tip=f"{code}, {name}: {count_text(len(mine))}"))
        if marks:
            series.append(Series(name, colour, marks))
    names = [book.classes[place].code for place in there]
    notes = list(_notes(outcome, owner, len(found.slides)))
    return Plot("truth", title, Shape.STACKED, "class", "findings", series, names, notes=notes)


def _known(found: CountedFindings, wanted: Sequence[int]) -> tuple[Ints, Ints, Ints, Ints]:
    """Outcome, class, number and slide of each finding where models scanned and users declared all complete."""
    parts: list[tuple[Ints, ...]] = [tuple(np.zeros(0, np.int64) for _ in range(4))]
    for order, slide in enumerate(found.slides):
        if not slide.coverage.declared:
            continue
        outcome, places = _outcomes(slide)
        known = (outcome >= 0) & np.isin(places, [*wanted]) & _complete(slide, places)
        parts.append((outcome[known], places[known], slide.rows["id"][known], np.full(int(known.sum()), order)))
    every = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return every[0], every[1], every[2], every[3]


def _outcomes(slide: FoundOnSlide) -> tuple[Ints, Ints]:
    """What became of each finding, -1 of what says nothing, and the place of its true class, or of what was said."""
    rows, said = slide.rows, slide.labels >= 0
    judged, rejected = class_is_users(rows), rows["state"] == ReviewState.REJECTED
    aside = rejected & np.isin(rows["reason"].astype(str), [*SAYS_NOTHING])
    conditions = [
        aside,
        said & ~judged,
        said & rejected,
        said & (slide.places == slide.labels),
        said,
        judged & ~rejected,
    ]
    outcome: Ints = np.select(conditions, [-1, OPEN, FALSE, FOUND, OTHER, MISSED], default=-1)
    return outcome, np.where(np.isin(outcome, (FALSE, OPEN)), slide.labels, slide.places)


def _complete(slide: FoundOnSlide, places: Ints) -> Flags:
    """Boolean for each finding: whether its class was declared complete, and scanned by a model, where it lies."""
    rows = slide.rows
    y, x = (rows["y0"] + rows["y1"]) / 2, (rows["x0"] + rows["x1"]) / 2
    complete = np.zeros(len(rows), bool)
    for place in np.unique(places[places >= 0]).tolist():
        number, mine = slide.id_of.get(place), places == place
        if number is not None:
            complete[mine] = slide.coverage.completed.of_class(number).holds(y[mine], x[mine])
            complete[mine] &= slide.coverage.by_runs.of_class(number).holds(y[mine], x[mine])
    return complete


def _notes(outcome: Ints, owner: Ints, slides: int) -> Iterator[str]:
    def shares(of: Sequence[int], within: Sequence[int]) -> Share | None:
        counts, totals = (
            np.bincount(owner[np.isin(outcome, kinds)], minlength=slides) for kinds in (of, [*of, *within])
        )
        there = totals > 0
        return pooled_share(counts[there], totals[there])

    for share, words, where in (
        (shares([FOUND, OTHER], [MISSED]), "Models found", "defects"),
        (shares([FOUND, OTHER], [FALSE]), "True are", "judged findings of models"),
    ):
        if share is not None:
            low, high = map(percent_text, share.interval)
            yield f"{words} {percent_text(share.value)} (95 %: {low} to {high}) of {count_text(share.of)} {where}."
    left = int((outcome == OPEN).sum())
    if left:
        yield f"{things(left, 'finding')} of models {'is' if left == 1 else 'are'} not judged yet."
