"""What is counted of one slide: enough for the numbers of any group of slides, without looking at findings again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from microscope_qc.analysis.coverage import Area, SlideCoverage, mm2, why_no_density
from microscope_qc.analysis.drawn import band_of, cells_of, part_in_sample
from microscope_qc.analysis.ranking import size_um
from microscope_qc.core.arrays import Flags, Floats, Ints
from microscope_qc.core.boxes import FindingFlag, ReviewState, has_flag
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.opinions import is_judged

EVERY = -1
"""Key of all classes together."""
CLASS, GROUP, ALL = range(3)
"""Which area findings are counted on: that of their class, that of their class group, or that of all classes."""
UNJUDGED, WRONG = -2, -1
"""Outcomes of a model's finding; others are the place of the class that it is of."""
STRATUM_DTYPE = np.dtype(
    [
        ("model", "i4"),
        ("label", "i4"),
        ("band", "i4"),
        ("outcome", "i4"),
        ("inside", "u1"),
        ("drawn", "u1"),
        ("count", "i8"),
    ]
)
"""Findings of one model: place of the class that it said, band of confidence, outcome, in which areas (a bit each), and
whether they are in a random sample (:func:`~microscope_qc.analysis.drawn.part_in_sample`)."""
COMPLETE = 8
"""Bit of ``inside`` beside those of ``CLASS``, ``GROUP`` and ``ALL``: in an area declared complete for the class."""
CHECKED_DTYPE = np.dtype([("area", "i4"), ("label", "i4"), ("truths", "i8"), ("found", "i8"), ("unjudged", "i8")])
"""Of an area that was drawn at random and searched, and a class: defects, those that models found, and how many
findings of its classes nobody judged."""
_KEY = ("model", "label", "band", "outcome", "inside", "drawn")


Finders = tuple[frozenset[int], float]


@dataclass(slots=True)
class ClassBook:
    """Classes of several projects, the same by their codes, in the order in which they were met; models likewise."""

    classes: list[DefectClass] = field(default_factory=list)
    models: list[str] = field(default_factory=list)

    def places(self, classes: Iterable[DefectClass]) -> dict[int, int]:
        """Return the place of each class by its id, new ones at the end."""
        known = {defect.code: place for place, defect in enumerate(self.classes)}
        places = {}
        for defect in classes:
            if defect.code not in known:
                known[defect.code] = len(self.classes)
                self.classes.append(defect)
            places[defect.id] = known[defect.code]
        return places

    def model(self, name: str) -> int:
        """Return the place of a model."""
        if name not in self.models:
            self.models.append(name)
        return self.models.index(name)

    @property
    def groups(self) -> dict[str, list[int]]:
        """Places of the classes of each class group."""
        found: dict[str, list[int]] = {}
        for place, defect in enumerate(self.classes):
            if defect.group:
                found.setdefault(defect.group, []).append(place)
        return found


@dataclass(frozen=True, slots=True)
class Searched:
    """Where findings of one class, of a class group or of all classes were searched for on a slide.

    Attributes
    ----------
    classes
        Places of those of the classes that were searched for or found.
    area_mm2
        What was searched for all of them; None where it is not known or there is none: ``reason`` says why.
    share
        The area as a share of the slide, 0 to 1.
    """

    classes: frozenset[int]
    area_mm2: float | None
    share: float
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class SlideTally:
    """What is counted of one slide; C is the number of classes in the book when it was counted.

    Attributes
    ----------
    states
        Findings by class and :class:`ReviewState`, shape (C, 3).
    inside
        Kept findings whose centre lies in the area of their class, of its group and of all classes, shape (3, C).
    raw, raw_inside
        What models found before the review, by the class that they said, shape (C,), and as ``inside``.
    known_inside
        As ``inside``, of those that a user drew, named or confirmed.
    kept_ids, kept_classes, kept_known
        Number of each kept finding, place of its class, and whether a user drew, named or confirmed it, shape (N,).
    sizes_um
        Longer side of each kept finding, shape (N,); (0,) without a pixel size.
    strata
        What became of the findings of models (STRATUM_DTYPE).
    unfound
        Known findings that no model has, outside of areas that are complete for their class: all, and as ``inside``;
        shape (4, C).
    checked
        What was found in areas that were drawn at random (CHECKED_DTYPE).
    finders
        By class: places of the models that scanned for it, and the confidence limit.
    reasons
        Rejected findings by class and reason.
    searched
        By class, by class group, and of all classes (``EVERY``).
    slide_mm2
        Area of the whole slide; None without a pixel size.
    """

    states: Ints
    inside: Ints
    known_inside: Ints
    raw: Ints
    raw_inside: Ints
    kept_ids: Ints
    kept_classes: np.ndarray
    kept_known: Flags
    sizes_um: Floats
    strata: np.ndarray
    unfound: Ints
    checked: np.ndarray
    finders: Mapping[int, Finders]
    reasons: Mapping[tuple[int, str], int]
    searched: Mapping[int | str, Searched]
    slide_mm2: float | None


def tally_slide(
    rows: np.ndarray,
    found: np.ndarray,
    coverage: SlideCoverage,
    pixel_size_um: tuple[float, float] | None,
    *,
    book: ClassBook,
    classes: Sequence[DefectClass],
    models: Mapping[int, int],
    confidence_limit: float = 0.0,
    drawn_to: Mapping[int, int] | None = None,
) -> SlideTally:
    """Count the findings of a slide.

    Parameters
    ----------
    rows
        Findings that count (BOX_DTYPE), rejected ones too.
    found
        What models found before the review, see :func:`microscope_qc.core.opinions.as_found`.
    classes
        Those of the project; ``book`` gets those that it does not have.
    models
        Place of the model of each run in the book.
    confidence_limit
        What a model was less sure of is not raw.
    drawn_to
        How far random samples have come, see :func:`~microscope_qc.analysis.drawn.last_drawn`.
    """
    places = book.places(classes)
    now, count = _placed(rows["class_id"], places), len(book.classes)
    if (now < 0).any():  # of a class that the project lost
        rows, found, now = rows[now >= 0], found[now >= 0], now[now >= 0]
    label = _placed(found["class_id"], places)
    kept = rows["state"] != ReviewState.REJECTED
    users = is_judged(rows)
    raw = (label >= 0) & (found["confidence"] >= np.float32(confidence_limit))
    there = {places[number] for number in coverage.class_ids if number in places}
    there |= set(np.flatnonzero(np.bincount(now[kept], minlength=count)).tolist())
    searched = _Searching(coverage, pixel_size_um, book, {places[cls.id]: cls for cls in classes}, there)
    holds = searched.holding((rows["y0"] + rows["y1"]) / 2, (rows["x0"] + rows["x1"]) / 2)
    inside, label_inside = ([holds(level, of) for level in (CLASS, GROUP, ALL)] for of in (now, label))
    complete = _complete(rows, now, coverage, places)
    unfound = kept & users & ~raw & ~complete
    sizes = np.zeros(0) if pixel_size_um is None else size_um(rows, pixel_size_um)[kept]
    return SlideTally(
        states=np.bincount(now * 3 + rows["state"], minlength=3 * count).reshape(count, 3),
        inside=np.array([_per_class(now[kept & here], count) for here in inside]),
        known_inside=np.array([_per_class(now[kept & users & here], count) for here in inside]),
        raw=_per_class(label[raw], count),
        raw_inside=np.array([_per_class(label[raw & here], count) for here in label_inside]),
        kept_ids=rows["id"][kept],
        kept_classes=now[kept].astype(np.int16),
        kept_known=users[kept],
        sizes_um=sizes,
        strata=_strata(
            rows, found, now, label, raw, models=models, inside=inside, complete=complete, drawn_to=drawn_to or {}
        ),
        unfound=np.array([_per_class(now[unfound & here], count) for here in (unfound, *inside)]),
        checked=_checked(rows, now, raw, coverage, places),
        finders=_finders(coverage, places, models, confidence_limit),
        reasons=_reasons(rows, now),
        searched=searched.known,
        slide_mm2=mm2(float(np.prod(coverage.shape_px)), pixel_size_um),
    )


def _placed(class_ids: Ints, places: Mapping[int, int]) -> Ints:
    """Place of each class; -1 of one that is not there."""
    table = np.full(max(places, default=0) + 1, -1, np.int64)
    table[list(places)] = list(places.values())
    return table[np.where((class_ids >= 0) & (class_ids < len(table)), class_ids, 0)]


def _per_class(places: Ints, count: int) -> Ints:
    return np.bincount(places, minlength=count)


class _Searching:
    """Where findings were searched for, by class, class group, and of all classes."""

    def __init__(
        self,
        coverage: SlideCoverage,
        pixel_size_um: tuple[float, float] | None,
        book: ClassBook,
        own: Mapping[int, DefectClass],
        there: Collection[int],
    ) -> None:
        self.known: dict[int | str, Searched] = {}
        self._area_of: dict[int | str, Area] = {}
        self._keys = [(place, defect.group or place, EVERY) for place, defect in enumerate(book.classes)]
        wanted: dict[int | str, list[int]] = {place: [place] for place in own}
        wanted |= {name: [place for place in places if place in there] for name, places in book.groups.items()}
        wanted[EVERY] = sorted(there)
        whole = float(np.prod(coverage.shape_px))
        for key, places in wanted.items():
            classes = [own[place] for place in places]
            area = coverage.of_all(cls.id for cls in classes)
            size = mm2(area.size_px, pixel_size_um) or None
            reason = "" if size else why_no_density(area, coverage, classes)
            self.known[key] = Searched(frozenset(places), size, area.size_px / whole, reason)
            self._area_of[key] = area

    def holding(self, y: Floats, x: Floats) -> Callable[[int, Ints], Flags]:
        """Return a function that says for each point whether it lies in the area of a class, by level and place."""
        areas = list(dict.fromkeys(self._area_of.values()))
        numbers = {area: number for number, area in enumerate(areas)}
        held = np.array([*(area.holds(y, x) for area in areas), np.zeros(len(y), bool)])
        none = len(areas)
        number_of = {key: numbers[area] for key, area in self._area_of.items()}
        area_of = np.array([[number_of.get(key, none) for key in keys] for keys in self._keys]).T
        points = np.arange(len(y))
        return lambda level, places: held[np.where(places >= 0, area_of[level][places], none), points]


def _strata(
    rows: np.ndarray,
    found: np.ndarray,
    now: Ints,
    label: Ints,
    raw: Flags,
    *,
    models: Mapping[int, int],
    inside: Sequence[Flags],
    complete: Flags,
    drawn_to: Mapping[int, int],
) -> np.ndarray:
    """What became of what models found, counted."""
    mine = np.flatnonzero(raw)
    table = np.zeros(max(models, default=0) + 1, np.int64)
    table[list(models)] = list(models.values())
    judged = is_judged(rows)
    outcome = np.where(rows["state"] == ReviewState.REJECTED, WRONG, np.where(judged, now, UNJUDGED))
    said, confidence = found["class_id"][mine], found["confidence"][mine]
    drawn = part_in_sample(
        cells_of(said, confidence), rows["id"][mine], known=judged[mine],
        at_random=judged[mine] & has_flag(rows, FindingFlag.SAMPLED)[mine], last=drawn_to,
    )  # fmt: skip
    where = inside[CLASS] + 2 * inside[GROUP] + 4 * inside[ALL] + COMPLETE * complete
    return _counted([table[found["run_id"][mine]], label[mine], band_of(confidence), outcome[mine], where[mine], drawn])


def _complete(rows: np.ndarray, now: Ints, coverage: SlideCoverage, places: Mapping[int, int]) -> Flags:
    """Which findings lie in an area that a user declared complete for their class."""
    found = np.zeros(len(rows), bool)
    for class_id in frozenset[int]().union(*(area.classes for area in coverage.declared)) & places.keys():
        mine = np.flatnonzero(now == places[class_id])
        found[mine] = coverage.completed.of_class(class_id).holds(*_centres(rows[mine]))
    return found


def _centres(rows: np.ndarray) -> tuple[Floats, Floats]:
    return (rows["y0"] + rows["y1"]) / 2, (rows["x0"] + rows["x1"]) / 2


def _checked(rows: np.ndarray, now: Ints, raw: Flags, coverage: SlideCoverage, places: Mapping[int, int]) -> np.ndarray:
    """What was found in areas that were drawn at random, where models have looked for the class."""
    found = []
    for area in coverage.declared:
        if not area.drawn:
            continue
        here = coverage.completed.drawn(area).holds(*_centres(rows))
        mine, own, has = rows[here], now[here], raw[here]
        users, kept = is_judged(mine), mine["state"] != ReviewState.REJECTED
        wanted = [class_id for class_id in sorted(area.classes) if class_id in places]
        unjudged = int((kept & ~users & np.isin(own, [places[class_id] for class_id in wanted])).sum())
        for class_id in wanted:
            truths = kept & users & (own == places[class_id])
            truths[truths] = coverage.by_runs.of_class(class_id).holds(*_centres(mine[truths]))
            found.append((area.area_id, places[class_id], truths.sum(), (truths & has).sum(), unjudged))
    return np.array(found, CHECKED_DTYPE)


def _finders(
    coverage: SlideCoverage, places: Mapping[int, int], models: Mapping[int, int], limit: float
) -> dict[int, Finders]:
    found: dict[int, set[int]] = {}
    for scan in coverage.scans:
        for class_id in scan.classes & places.keys():
            found.setdefault(places[class_id], set()).add(models.get(scan.run_id, -1))
    return {place: (frozenset(known), limit) for place, known in found.items()}


def merged(strata: Iterable[np.ndarray]) -> np.ndarray:
    """Join strata of several slides (STRATUM_DTYPE): each once, with its count over all of them."""
    joined = np.concatenate([np.zeros(0, STRATUM_DTYPE), *strata])
    return _counted([joined[name].astype(np.int64) for name in _KEY], joined["count"])


def _counted(columns: Sequence[Ints], counts: Ints | None = None) -> np.ndarray:
    """Each combination of values once, with how often it is there."""
    lowest = [int(column.min(initial=0)) for column in columns]
    columns = [column - low for column, low in zip(columns, lowest, strict=True)]
    shape = [int(column.max(initial=0)) + 1 for column in columns]
    keys, place = np.unique(np.ravel_multi_index(tuple(columns), shape), return_inverse=True)
    strata = np.zeros(len(keys), STRATUM_DTYPE)
    for name, column, low in zip(_KEY, np.unravel_index(keys, shape), lowest, strict=True):
        strata[name] = column + low
    strata["count"] = np.bincount(place, weights=counts, minlength=len(keys))
    return strata


def _reasons(rows: np.ndarray, now: Ints) -> dict[tuple[int, str], int]:
    rejected = np.flatnonzero(rows["state"] == ReviewState.REJECTED)
    return dict(Counter(zip(now[rejected].tolist(), rows["reason"][rejected].tolist(), strict=True)))
