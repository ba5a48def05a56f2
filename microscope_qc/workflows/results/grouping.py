"""Numbers of groups of slides, over any projects: by what is said of their specimens, by slide or by project."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from microscope_qc.analysis.counts import density
from microscope_qc.analysis.drawn import cells_of, last_drawn
from microscope_qc.analysis.groups import group_numbers
from microscope_qc.analysis.stack import CountedClasses, TalliedSlide
from microscope_qc.analysis.tally import ALL, CLASS, EVERY, GROUP, ClassBook, tally_slide
from microscope_qc.core.arrays import Ints, Rows
from microscope_qc.core.boxes import FindingFlag, ReviewState, has_flag
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.numbers import natural, short_text
from microscope_qc.core.opinions import as_found, is_judged
from microscope_qc.core.specimen import SpecimenField, find_field
from microscope_qc.core.wording import listed
from microscope_qc.project import Project
from microscope_qc.project.records import RunRecord, SlideRecord
from microscope_qc.project.wording import included_words
from microscope_qc.workflows.detection.coverage import AreaSources, all_area_sources, read_areas

SLIDE, PROJECT, BY_CLASS, BY_CLASS_GROUP = "slide", "project", "class", "class-group"
IMPORTED = "imported"
"""Model of what was imported with a confidence."""
_OWN = (SLIDE, PROJECT, BY_CLASS, BY_CLASS_GROUP)


@dataclass(frozen=True, slots=True, eq=False)
class SlideToCount:
    """What is counted of a slide; taken at once, so that another thread may count it (:func:`counted`)."""

    project: str
    sources: AreaSources
    rows: Rows
    found: Rows
    classes: tuple[DefectClass, ...]
    models: Mapping[int, str]
    confidence_limit: float
    drawn_to: Mapping[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class CountedSlide:
    """A slide with its tally, what is said of its specimen, by the name of the field, and its shown ``runs``."""

    project: str
    fields: Mapping[str, Any]
    section: TalliedSlide
    area_source: str
    warnings: tuple[str, ...]
    runs: tuple[RunRecord, ...] = ()
    pixel_size_um: tuple[float, float] | None = None


@dataclass(slots=True)
class CountedSlides:
    """Slides of any projects, counted; groups of them are made without looking at findings again.

    Attributes
    ----------
    heads
        Name of each project, and what counts in it, in words.
    fields
        What can be said of a specimen in any of the projects.
    """

    book: ClassBook = field(default_factory=ClassBook)
    slides: list[CountedSlide] = field(default_factory=list)
    heads: list[dict[str, str]] = field(default_factory=list)
    fields: list[SpecimenField] = field(default_factory=list)
    _total: tuple[int, int, dict[str, Any]] | None = None

    @property
    def total(self) -> dict[str, Any]:
        """The numbers of all slides, worked out once: groups of the same slides are asked for again and again."""
        state = len(self.slides), len(self.book.classes)
        if self._total is None or self._total[:2] != state:
            self._total = *state, _numbers(self.slides, self.book)
        return self._total[2]

    def take(self, project: Project, slide_ids: Collection[int] | None = None) -> list[SlideToCount]:
        """Take what is to be counted of a project (:func:`counted`), and note its name and fields."""
        words = included_words(project).removeprefix("counted: ")
        self.heads.append({"project": project.name, "included": words})
        names = {known.name for known in self.fields}
        self.fields += [known for known in project.fields.known if known.name not in names]
        return slides_to_count(project, slide_ids)


def slides_to_count(project: Project, slide_ids: Collection[int] | None = None) -> list[SlideToCount]:
    """Take what is counted of the slides of a project, of all or of some."""
    slides = []
    wanted = [record.id for record in project.slides if slide_ids is None or record.id in slide_ids]
    project.boxes.load(wanted)
    known = project.inclusion.current
    models: dict[int, dict[int, str]] = {}
    for run in project.runs:
        models.setdefault(run.slide_id, {})[run.id] = _model(run)
    classes, chosen = tuple(project.classes), set(wanted)
    drawn: list[tuple[Ints, Ints]] = []
    drawn_to: dict[int, int] = {}
    for sources in all_area_sources(project):
        if (number := sources.slide.id) in chosen:
            rows, included = project.boxes.table(number).rows, project.boxes.included(number)
            rows = rows[np.flatnonzero(included)]  # a copy
            found = as_found(rows, project.opinions.of_slide(number), hidden_runs=known.hidden_runs)
            finders = {0: IMPORTED} | models.get(number, {})
            limit = known.confidence_limit
            slides.append(SlideToCount(project.name, sources, rows, found, classes, finders, limit, drawn_to))
            at_random = np.flatnonzero(has_flag(rows, FindingFlag.SAMPLED) & is_judged(rows))
            cells = cells_of(found["class_id"][at_random], found["confidence"][at_random])
            drawn.append((cells, rows["id"][at_random]))
    drawn_to |= last_drawn(drawn)  # of all slides together: a sample may have passed one that has few
    return slides


def _model(run: RunRecord) -> str:
    return run.plan.weights or run.plan.model_name or run.plan.model


def counted(known: SlideToCount, book: ClassBook) -> CountedSlide:
    """Count the findings of a slide; ``book`` gets its classes and models."""
    record, areas = known.sources.slide, read_areas(known.sources)
    tally = tally_slide(
        known.rows, known.found, areas.coverage, record.pixel_size_um, book=book, classes=known.classes,
        models={run: book.model(name) for run, name in known.models.items()}, confidence_limit=known.confidence_limit,
        drawn_to=known.drawn_to,
    )  # fmt: skip
    section = TalliedSlide(record.name, specimen_of(record), tally)
    return CountedSlide(
        known.project, record.fields, section, areas.source(areas.coverage.class_ids), areas.problems,
        tuple(run for run, _ in known.sources.runs), record.pixel_size_um,
    )  # fmt: skip


def specimen_of(slide: SlideRecord) -> str:
    """The specimen on a slide, "" where nobody named it; those of different batches may be called alike."""
    name, batch = (str(slide.fields.get(field) or "") for field in ("specimen", "batch"))
    return f"{batch}: {name}" if name and batch else name


def count_slides(projects: Iterable[Project], slide_ids: Collection[int] | None = None) -> Job[CountedSlides]:
    """Count the findings of projects that are opened one after the other.

    Parameters
    ----------
    slide_ids
        Only these slides, of each project; None takes all.
    """
    found = CountedSlides()
    for project in projects:
        slides = found.take(project, slide_ids)
        for number, known in enumerate(slides):
            yield Progress(number, len(slides), "slides", f"counting {known.sources.slide.name}")
            found.slides.append(counted(known, found.book))
    return found


def grouped_statistics(known: CountedSlides, by: Sequence[str] = ()) -> dict[str, Any]:
    """Work out the numbers of groups of slides.

    Parameters
    ----------
    by
        Fields of specimens by name or title, ``slide`` or ``project``; slides that agree in all are a group. ``class``
        and ``class-group`` leave the rows of classes or of class groups only. Nothing: all slides are one group.

    Returns
    -------
    dict
        ``projects`` (name, and what counts, in words), ``by``, ``groups`` (each with ``group``: the values, and
        ``slide_names``, and the numbers, see :func:`~microscope_qc.analysis.groups.group_numbers`), ``slides`` (counts
        and density of each, and its group) and ``total`` (the numbers of all slides).

    Raises
    ------
    InputError
        When there is no such field.
    """
    fields = field_names(known, by)
    keys = [name for name in fields if name not in (BY_CLASS, BY_CLASS_GROUP)]
    left_out = [other for own, other in ((BY_CLASS, "class_groups"), (BY_CLASS_GROUP, "classes")) if own in fields]
    total = known.total
    groups = []
    for values, mine in members_of(known, keys):
        numbers = total if len(mine) == len(known.slides) else _numbers(mine, known.book)
        head = {"group": values, "slide_names": [slide.section.name for slide in mine]}
        groups.append(head | {name: value for name, value in numbers.items() if name not in left_out})
    slides = [_slide(slide, keys) for slide in known.slides]
    return {"projects": known.heads, "by": fields, "groups": groups, "slides": slides, "total": total}


def field_names(known: CountedSlides, by: Sequence[str]) -> list[str]:
    """Return the names of what slides are grouped by, each once.

    Raises
    ------
    InputError
        When there is no such field.
    """
    return [name if name in _OWN else _field(known.fields, name).name for name in dict.fromkeys(by)]


def slide_keys(known: CountedSlides, by: Sequence[str]) -> list[str]:
    """Return the names of what groups of slides are made by, where these are what is asked for.

    Raises
    ------
    InputError
        When there is no such field, or it is none of slides.
    """
    keys = field_names(known, by)
    if not keys or {BY_CLASS, BY_CLASS_GROUP} & set(keys):
        raise InputError("Groups of slides are wanted.", hint="Name a field of specimens, slide or project.")
    return keys


def classes_named(name: str, book: ClassBook) -> CountedClasses:
    """Return a class by its code, a class group by its name, or all classes.

    Raises
    ------
    InputError
        When there is no such class or group.
    """
    if name == "all":
        return CountedClasses("all", tuple(range(len(book.classes))), EVERY, ALL)
    for place, defect in enumerate(book.classes):
        if defect.code == name:
            return CountedClasses(name, (place,), place, CLASS)
    if name in book.groups:
        return CountedClasses(name, tuple(book.groups[name]), name, GROUP)
    raise InputError(
        f"{name} is neither a class nor a class group of these projects.",
        hint=f"There are {listed([*(defect.code for defect in book.classes), *book.groups, 'all'])}.",
    )


def members_of(known: CountedSlides, keys: Sequence[str]) -> list[tuple[dict[str, Any], list[CountedSlide]]]:
    """Return groups of slides that agree in fields, or in slide or project: the values, and the slides."""
    members: dict[tuple[Any, ...], list[CountedSlide]] = {}
    for slide in known.slides:
        members.setdefault(tuple(_value(slide, key) for key in keys), []).append(slide)
    order = sorted(members, key=lambda values: [value_order(value) for value in values])
    return [(dict(zip(keys, values, strict=True)), members[values]) for values in order]


def group_words(values: Mapping[str, Any]) -> str:
    """Return what the slides of a group have in common: ``batch A, view top``."""
    named = [(key.replace("_", " "), value) for key, value in values.items()]
    words = [f"no {name}" if value is None else f"{name} {value_text(value)}" for name, value in named]
    return ", ".join(words) or "All slides"


def value_text(value: Any) -> str:
    """Return a value of a group as it is said: ``A``, ``2018-01``, ``10``."""
    return short_text(value) if isinstance(value, float) else str(value)


def statistics_by(
    projects: Iterable[Project], by: Sequence[str] = (), slide_ids: Collection[int] | None = None
) -> Job[dict[str, Any]]:
    """Count the findings of projects and work out the numbers of groups; see :func:`grouped_statistics`."""
    found = yield from count_slides(projects, slide_ids)
    return grouped_statistics(found, by)


def _field(fields: Sequence[SpecimenField], name: str) -> SpecimenField:
    found = find_field(fields, name)
    if found is None:
        known = listed([*(known.name for known in fields), *_OWN])
        raise InputError(f"There is nothing called {name} to group by.", hint=f"Group by {known}.")
    return found


def _value(slide: CountedSlide, key: str) -> Any:
    return {SLIDE: slide.section.name, PROJECT: slide.project}.get(key, slide.fields.get(key))


def value_order(value: Any) -> tuple[int, float, tuple[tuple[int, int, str], ...]]:
    """Key to sort by: numbers by size, then texts with batch 2 before batch 10; what is not known comes last."""
    if value is None:
        return 2, 0.0, ()
    return (0, float(value), ()) if isinstance(value, int | float) else (1, 0.0, natural(str(value)))


def _numbers(slides: Sequence[CountedSlide], book: ClassBook) -> dict[str, Any]:
    return group_numbers([slide.section for slide in slides], book)


def _slide(slide: CountedSlide, keys: Sequence[str]) -> dict[str, Any]:
    """Counts of all classes on a slide, and its density."""
    tally = slide.section.tally
    searched = tally.searched[EVERY]
    states = tally.states.sum(axis=0).tolist()
    inside = int(tally.inside[ALL].sum())
    known = density(inside, searched.area_mm2) if searched.area_mm2 else None
    return {
        "project": slide.project,
        "slide": slide.section.name,
        "group": {key: _value(slide, key) for key in keys},
        "kept": sum(states) - states[ReviewState.REJECTED],
        "states": {state.word: states[state] for state in ReviewState},
        "in_area": inside,
        "area_mm2": searched.area_mm2,
        "area_share": searched.share,
        "area_source": slide.area_source,
        "per_mm2": None if known is None else known.per_mm2,
        "per_mm2_interval": None if known is None else list(known.interval),
        "per_mm2_reason": searched.reason or None,
        "warnings": list(slide.warnings),
    }
