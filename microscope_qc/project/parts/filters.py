"""Which boxes views show, and filters kept by name; like settings they are not part of undo."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from microscope_qc.core.box_facts import NO_FACTS, Known
from microscope_qc.core.boxes import BoxFilter
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import InputError
from microscope_qc.project import loading
from microscope_qc.project.parts.settings import StoredSettings
from microscope_qc.project.records import RunRecord, SlideRecord
from microscope_qc.project.store import Store

_KEY, _SAVED_KEY = "filter", "saved_filters"
LONGEST_NAME = 100


class Filters:
    """The filter that is on, and the saved ones."""

    def __init__(self, store: Store, settings: StoredSettings) -> None:
        self._store = store
        self._settings = settings
        self._known = Known()
        self._known_of: tuple[tuple[DefectClass, ...], tuple[SlideRecord, ...], tuple[RunRecord, ...]] = (), (), ()

    @property
    def current(self) -> BoxFilter:
        """Which of the boxes that count are shown."""
        return self._store.memory.filter

    def set(self, new: BoxFilter) -> None:
        """Change what is shown; kept with the project, in memory only when it is open for reading."""
        if not self._store.read_only:
            self._settings.set(_KEY, loading.filter_to_json(new))
        self._store.memory.filter = replace(new, facts=NO_FACTS)  # they belong to one slide
        self._store.events.filter_changed.emit()

    def known(self) -> Known:
        """Return what a search in this project may name."""
        memory = self._store.memory
        records = tuple(memory.classes), tuple(memory.slides), tuple(memory.runs)
        if records != self._known_of:  # asked for once for each of a thousand slides
            classes, slides, runs = self._known_of = records
            self._known = Known(
                tuple(defect.code for defect in classes),
                tuple(slide.name for slide in slides),
                tuple(run.id for run in runs),
            )
        return self._known

    @property
    def saved(self) -> dict[str, BoxFilter]:
        """The saved filters by name, sorted."""
        stored = self._settings.get(_SAVED_KEY, {})
        return {name: loading.filter_from_json(stored[name]) for name in sorted(stored, key=str.casefold)}

    def save(self, name: str, box_filter: BoxFilter | None = None) -> None:
        """Keep a filter (the one that is on, unless another is given) under a name; one of this name is replaced.

        Raises
        ------
        InputError
            When the name is empty or too long, or a range of the filter is reversed.
        """
        name = str(name).strip()
        if not name or len(name) > LONGEST_NAME:
            raise InputError("A filter needs a name of at most 100 characters.")
        chosen = check_filter(self.current if box_filter is None else box_filter)
        self._store_saved({**self._settings.get(_SAVED_KEY, {}), name: loading.filter_to_json(chosen)})

    def use(self, name: str) -> BoxFilter:
        """Turn on a filter that was saved."""
        found = self.saved.get(name)
        if found is None:
            raise self._unknown(name)
        self.set(found)
        return self.current

    def delete(self, name: str) -> None:
        """Delete a saved filter."""
        stored = dict(self._settings.get(_SAVED_KEY, {}))
        if name not in stored:
            raise self._unknown(name)
        del stored[name]
        self._store_saved(stored)

    def _store_saved(self, filters: dict[str, Any]) -> None:
        self._settings.set(_SAVED_KEY, filters)
        self._store.events.saved_filters_changed.emit()

    def _unknown(self, name: str) -> InputError:
        known = ", ".join(self.saved) or "none yet"
        return InputError(f"There is no filter {name}.", hint=f"The saved filters are: {known}.")


def check_filter(box_filter: BoxFilter) -> BoxFilter:
    """Return the filter if its ranges are valid.

    Raises
    ------
    InputError
        When a limit is not a number, or the lower one is the larger.
    """
    ranges = {"confidence": (box_filter.min_confidence, box_filter.max_confidence), "size": box_filter.size_um}
    for what, limits in ranges.items():
        if limits is not None and (any(map(math.isnan, limits)) or limits[0] > limits[1]):
            raise InputError(f"The range of the {what} is reversed.", hint="Give the smaller number first.")
    return box_filter
