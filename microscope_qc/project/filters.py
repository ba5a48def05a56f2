"""Filters kept by name with the project."""

from __future__ import annotations

import math
from typing import Any

from microscope_qc.core.boxes import BoxFilter
from microscope_qc.core.errors import InputError
from microscope_qc.project import loading
from microscope_qc.project.base import ProjectBase

_KEY = "saved_filters"
LONGEST_NAME = 100


class SavedFilters(ProjectBase):
    """The named filters of a project; like the filter itself they are no part of undo."""

    @property
    def saved_filters(self) -> dict[str, BoxFilter]:
        """The filters by name, sorted; which detections are switched on is not part of them."""
        stored = self.setting(_KEY, {})
        return {name: loading.filter_from_json(stored[name]) for name in sorted(stored, key=str.casefold)}

    def save_filter(self, name: str, box_filter: BoxFilter | None = None) -> None:
        """Keep a filter (the one that is on, unless another is given) under a name; one of this name is replaced.

        Raises
        ------
        InputError
            When the name is empty or too long, or a range of the filter is upside down.
        """
        name = str(name).strip()
        if not name or len(name) > LONGEST_NAME:
            raise InputError("A filter needs a name of at most 100 characters.")
        chosen = check_filter(self.filter if box_filter is None else box_filter)
        self._store({**self.setting(_KEY, {}), name: loading.filter_to_json(chosen)})

    def use_filter(self, name: str) -> BoxFilter:
        """Turn on a filter that was saved."""
        found = self.saved_filters.get(name)
        if found is None:
            raise self._unknown(name)
        self.set_filter(found)
        return self.filter

    def delete_filter(self, name: str) -> None:
        """Forget a filter."""
        stored = dict(self.setting(_KEY, {}))
        if name not in stored:
            raise self._unknown(name)
        del stored[name]
        self._store(stored)

    def _store(self, filters: dict[str, Any]) -> None:
        self.set_setting(_KEY, filters)
        self.events.saved_filters_changed.emit()

    def _unknown(self, name: str) -> InputError:
        known = ", ".join(self.saved_filters) or "none yet"
        return InputError(f"There is no filter {name}.", hint=f"The saved filters are: {known}.")


def check_filter(box_filter: BoxFilter) -> BoxFilter:
    """Return the filter when its ranges make sense.

    Raises
    ------
    InputError
        When a limit is no number, or the lower one is the larger.
    """
    ranges = {"confidence": (box_filter.min_confidence, box_filter.max_confidence), "size": box_filter.size_um}
    for what, limits in ranges.items():
        if limits is not None and (any(map(math.isnan, limits)) or limits[0] > limits[1]):
            raise InputError(f"The range of the {what} is upside down.", hint="Give the smaller number first.")
    return box_filter
