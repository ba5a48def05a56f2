"""The tallies of several slides as arrays, from which the numbers of a group are summed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from microscope_qc.analysis.counts import independent
from microscope_qc.analysis.tally import ALL, CHECKED_DTYPE, CLASS, EVERY, GROUP, ClassBook, SlideTally, merged
from microscope_qc.core.arrays import Flags, Floats, Ints


@dataclass(frozen=True, slots=True, eq=False)
class TalliedSlide:
    """A slide as groups are made of it; ``specimen`` is "" where nobody named it."""

    name: str
    specimen: str
    tally: SlideTally


@dataclass(frozen=True, slots=True)
class CountedClasses:
    """A class, a class group or all classes: name, places of the classes, key of their area, level they count on."""

    name: str
    places: tuple[int, ...]
    key: int | str
    level: int


@dataclass(frozen=True, slots=True, eq=False)
class SearchedOver:
    """Where findings of one class, of a group or of all classes were searched for, over slides.

    Attributes
    ----------
    classes
        Places of the classes that were searched for on any of the slides.
    known
        Shape (slides,): on which all of them were, so that the area counts.
    areas_mm2
        Of these slides.
    reasons
        Why others have no area.
    """

    classes: frozenset[int]
    known: Flags
    areas_mm2: Floats
    reasons: tuple[str, ...]


class Stack:
    """Slides of a group, one after the other, brought to the same number of classes (C).

    Attributes
    ----------
    states, inside, known_inside, raw, raw_inside, unfound
        As in :class:`~microscope_qc.analysis.tally.SlideTally`, with the slides as first axis.
    strata
        What became of what models found, over all slides.
    """

    def __init__(self, sections: Sequence[TalliedSlide], count: int) -> None:
        self.sections = sections
        self.count = count
        self.states = self._together("states", count, 3)
        self.inside = self._together("inside", 3, count)
        self.known_inside = self._together("known_inside", 3, count)
        self.raw = self._together("raw", count)
        self.raw_inside = self._together("raw_inside", 3, count)
        self.unfound = self._together("unfound", 4, count)
        self.strata = merged(section.tally.strata for section in sections)
        self._searched: dict[tuple[int | str, bool], SearchedOver] = {}

    def _together(self, name: str, *shape: int) -> Ints:
        stacked = np.zeros((len(self.sections), *shape), np.int64)
        for number, section in enumerate(self.sections):
            part = getattr(section.tally, name)
            stacked[number][tuple(map(slice, part.shape))] = part
        return stacked

    @cached_property
    def checked(self) -> np.ndarray:
        """What was found in areas that were drawn at random (CHECKED_DTYPE); each has a number of its own."""
        parts, first = [np.zeros(0, CHECKED_DTYPE)], 0
        for section in self.sections:
            mine = section.tally.checked.copy()
            areas, mine["area"] = np.unique(mine["area"], return_inverse=True)
            mine["area"] += first
            first += len(areas)
            parts.append(mine)
        return np.concatenate(parts)

    def found_alike(self, places: Sequence[int]) -> bool:
        """Whether the same models looked for each of these classes at the same confidence, wherever any did."""
        finders = [section.tally.finders for section in self.sections]
        return all(len({known[place] for known in finders if place in known}) <= 1 for place in places)

    def searched(self, key: int | str, *, in_mm2: bool = True) -> SearchedOver:
        """Return where findings were searched for: by the key of the area, on slides with a pixel size or on all."""
        if (key, in_mm2) not in self._searched:
            found = [section.tally.searched.get(key) for section in self.sections]
            there = [one is not None and bool(one.area_mm2 if in_mm2 else one.share) for one in found]
            classes = [one.classes for one, here in zip(found, there, strict=True) if one is not None and here]
            every = frozenset[int]().union(*set(classes))
            known = np.array(
                [here and one is not None and every <= one.classes for one, here in zip(found, there, strict=True)],
                bool,
            )
            areas = np.array(
                [one.area_mm2 or 0.0 for one, here in zip(found, known, strict=True) if one is not None and here], float
            )
            reasons = tuple(dict.fromkeys(one.reason for one in found if one is not None and one.reason))
            self._searched[key, in_mm2] = SearchedOver(every, known, areas, reasons)
        return self._searched[key, in_mm2]

    def wanted(self, book: ClassBook) -> tuple[list[CountedClasses], list[CountedClasses], CountedClasses]:
        """Return the classes that were found or searched for, the class groups that they belong to, and all of them."""
        there = [place for place in range(len(book.classes)) if self._is_there(place)]
        classes = [CountedClasses(book.classes[place].code, (place,), place, CLASS) for place in there]
        mine = {name: tuple(place for place in places if place in there) for name, places in book.groups.items()}
        groups = [CountedClasses(name, places, name, GROUP) for name, places in mine.items() if places]
        return classes, groups, CountedClasses("all", tuple(there), EVERY, ALL)

    def _is_there(self, place: int) -> bool:
        return bool(self.states[:, place].any() or self.searched(place, in_mm2=False).known.any())

    def specimens(self, where: Flags | None = None) -> list[str]:
        """Specimen of each slide, or of some of them."""
        if where is None:
            return [section.specimen for section in self.sections]
        return [section.specimen for section, here in zip(self.sections, where, strict=True) if here]

    @cached_property
    def slide_mm2(self) -> float | None:
        """Area of all slides together; None where a pixel size is not known."""
        areas = [section.tally.slide_mm2 for section in self.sections]
        return None if None in areas else float(sum(area or 0.0 for area in areas))

    def sizes(self, places: Sequence[int]) -> tuple[Floats, Ints]:
        """Sizes (um) of the kept findings of some classes, and the number of the specimen or slide of each."""
        sizes, units, starts = self._sizes
        if len(places) == self.count:
            return sizes, units
        parts = [slice(starts[place], starts[place + 1]) for place in places]
        if len(parts) == 1:
            return sizes[parts[0]], units[parts[0]]
        return _joined(sizes, parts), _joined(units, parts)

    @cached_property
    def _sizes(self) -> tuple[Floats, Ints, Ints]:
        """Sizes sorted by class, the unit of each, and where each class begins."""
        tallies = [section.tally for section in self.sections]
        sizes = np.concatenate([np.zeros(0), *(tally.sizes_um for tally in tallies)])
        classes = np.concatenate(
            [np.zeros(0, np.int16), *(tally.kept_classes[: len(tally.sizes_um)] for tally in tallies)]
        )
        unit = np.repeat(independent(self.specimens())[0], [len(tally.sizes_um) for tally in tallies])
        order = np.argsort(classes, kind="stable")  # of so small numbers by their digits, in one pass
        starts = np.r_[0, np.cumsum(np.bincount(classes, minlength=self.count))]
        return sizes[order], unit[order], starts

    def rejections(self, places: Sequence[int]) -> dict[str, Ints]:
        """Rejected findings of some classes on each slide, by reason."""
        slides, classes, numbers, counts, names = self._reasons
        mine = np.isin(classes, list(places))
        shape = (len(names), len(self.sections))
        table = np.zeros(shape, np.int64)
        np.add.at(table, (numbers[mine], slides[mine]), counts[mine])
        return {name: row for name, row in zip(names, table, strict=True) if row.any()}

    @cached_property
    def _reasons(self) -> tuple[Ints, Ints, Ints, Ints, list[str]]:
        """Slide, class, place of the reason and count of everything that was rejected, and the reasons."""
        names: dict[str, int] = {}
        rows = [
            (number, place, names.setdefault(why, len(names)), count)
            for number, section in enumerate(self.sections)
            for (place, why), count in section.tally.reasons.items()
        ]
        slides, classes, numbers, counts = np.array(rows, np.int64).reshape(-1, 4).T
        return slides, classes, numbers, counts, list(names)


def _joined(values: np.ndarray, parts: Sequence[slice]) -> np.ndarray:
    return np.concatenate([values[:0], *(values[part] for part in parts)])
