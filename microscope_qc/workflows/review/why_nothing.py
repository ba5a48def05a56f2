"""What to say, and to offer, where nothing is shown."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace

from microscope_qc.core.boxes import BoxFilter
from microscope_qc.core.hiding import Hidden, Hider, Hiding, hidden, least_hiding, without
from microscope_qc.core.search import search_fault
from microscope_qc.core.wording import confidence_text, listed, plural, things
from microscope_qc.project import Project


@dataclass(frozen=True, slots=True)
class WhyNothing:
    """Why some slides show no findings.

    Attributes
    ----------
    total
        Findings there are.
    text
        What is searched for.
    fault
        Why the search cannot be read, "" where it can.
    hiding
        What hides the findings that the search finds; None where it finds none.
    """

    total: int
    text: str
    fault: str
    hiding: Hiding | None


def why_nothing(project: Project, slide_ids: Sequence[int]) -> WhyNothing:
    """Find out why slides show no findings."""
    looking = looking_why(project, slide_ids)
    while True:
        try:
            next(looking)
        except StopIteration as end:
            found: WhyNothing = end.value
            return found


def looking_why(project: Project, slide_ids: Sequence[int]) -> Generator[None, None, WhyNothing]:
    """:func:`why_nothing`, one slide at each step, for a window that must not wait for a thousand of them."""
    text = project.filters.current.text
    found, total = Hidden(), 0
    for slide_id in slide_ids:
        found += _hidden(project, slide_id)
        total += len(project.boxes.table(slide_id).rows)
        yield
    return WhyNothing(total, text, search_fault(text, project.filters.known()), least_hiding(found))


def why_words(project: Project, why: WhyNothing, where: str = "here") -> str:
    """One sentence: what would be found, and what hides it.

    Parameters
    ----------
    where
        The slides that are meant, such as "on this slide".
    """
    if why.fault:
        return why.fault
    if why.hiding is not None:
        count, hiders = why.hiding.count, _hider_words(project, why)
        found = things(count, "finding")
        if why.text:
            return f"{found} {plural(count, 'fits', 'fit')} “{why.text}”, but {hiders}."
        many = "All " if 1 < count == why.total else ""
        return f"{many}{found} {plural(count, 'is', 'are')} hidden: {hiders}."
    if not why.total:
        return f"There are no findings {where} yet."
    if not why.text:
        return f"Nothing hides the {things(why.total, 'finding')} {where}."
    return f"None of the {things(why.total, 'finding')} {where} fits “{why.text}”."


def elsewhere(project: Project, slide_ids: Sequence[int]) -> Iterator[tuple[int, int]]:
    """For each of some slides, one after the other: its id, and how many findings the search finds on it.

    Findings that are hidden there are counted too: the slide says then what hides them.
    """
    for slide_id in slide_ids:
        yield slide_id, _hidden(project, slide_id).total()


def why_hidden(project: Project, box_id: int) -> str:
    """What hides one finding, as a sentence begins: ``the confidence limit 0.50 hides it``; "" where nothing does.

    Raises
    ------
    InputError
        When there is no such finding.
    """
    slide_id = project.boxes.slide_of(box_id)
    table, shown = project.boxes.table(slide_id), project.filters.current
    row, facts = table.get([box_id]), project.boxes.facts(slide_id)
    (by,) = hidden(row, project.inclusion.current, replace(shown, text=""), facts)
    said = [] if replace(BoxFilter(), text=shown.text).mask(row, facts=facts).all() else [f"the search “{shown.text}”"]
    said += _hider_names(project, by)
    return f"{listed(said)} {plural(len(said), 'hides', 'hide')} it" if said else ""


def lift(project: Project, by: Hider, slide_ids: Sequence[int]) -> None:
    """Lift what hides findings of some slides, and nothing else; limit and runs are steps that undo takes back."""
    if Hider.RUNS in by:
        wanted = set(slide_ids)
        project.runs.show_all([run.id for run in project.runs if not run.shown and run.slide_id in wanted])
    if Hider.LIMIT in by:
        project.inclusion.set_limit(0.0)
    new = without(project.filters.current, by)
    if new != project.filters.current:
        project.filters.set(new)


def _hidden(project: Project, slide_id: int) -> Hidden:
    rows, facts = project.boxes.table(slide_id).rows, project.boxes.facts(slide_id)
    return hidden(rows, project.inclusion.current, project.filters.current, facts)


def _hider_words(project: Project, why: WhyNothing) -> str:
    assert why.hiding is not None
    by, names = why.hiding.by, _hider_names(project, why.hiding.by)
    one = len(names) == 1 and not (by == Hider.RUNS and len(project.inclusion.current.hidden_runs) > 1)
    return f"{listed(names)} {'hides' if one else 'hide'} {'it' if why.hiding.count == 1 else 'them'}"


def _hider_names(project: Project, by: Hider) -> list[str]:
    counted, shown = project.inclusion.current, project.filters.current
    off = len(counted.hidden_runs)
    said = {
        Hider.RUNS: f"{plural(off, 'a detection that is', 'detections that are')} switched off",
        Hider.LIMIT: f"the confidence limit {confidence_text(counted.confidence_limit)}",
        Hider.CONFIDENCE: f"the filter by confidence ({shown.min_confidence:.2f} to {shown.max_confidence:.2f})",
        Hider.CLASSES: "the choice of classes",
        Hider.STATES: "the choice of states",
        Hider.FINDERS: "the choice of “found by”",
        Hider.CHOSEN: "“chosen” (for the SEM)",
        Hider.SIZE: "the filter by size",
        Hider.LIST: "the list",
        Hider.OPINIONS: listed(
            [
                name
                for name, on in (
                    ("“models disagree”", shown.only_disputed),
                    ("“found again”", shown.only_again),
                )
                if on
            ]
        ),
    }
    return [name for hider, name in said.items() if hider in by]
