"""The part of a project that is in memory: all records, and the boxes of slides that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any, Protocol, TypeVar, overload

import numpy as np
from sqlalchemy import Connection

from microscope_qc.core.boxes import BoxFilter, BoxTable
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.inclusion import Inclusion
from microscope_qc.core.opinions import OpinionTable
from microscope_qc.core.specimen import SpecimenField
from microscope_qc.project import findings, loading, schema
from microscope_qc.project.deltas import Delta
from microscope_qc.project.following import Attempt, FindingChange, FindingFollower, StoredBoxes
from microscope_qc.project.records import (
    AreaRecord,
    EdxMeasurement,
    Mark,
    MeasurementLink,
    ModelInUse,
    RegistrationRecord,
    RunClass,
    RunRecord,
    SlideRecord,
    Standard,
    StoredSpectrum,
)

_MOST_RENEWED = 500
"""Where more rows of a table have changed, the whole table is read again."""


class _Numbered(Protocol):
    @property
    def id(self) -> int: ...


R = TypeVar("R", bound=_Numbered)


class Records(Sequence[R]):
    """The records of one table in their order, and by id."""

    def __init__(self) -> None:
        self._all: tuple[R, ...] = ()
        self._by_id: dict[int, R] = {}
        self.ids: tuple[int, ...] = ()
        """The ids of the records in their order."""

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[R]:
        return iter(self._all)

    @overload
    def __getitem__(self, place: int) -> R: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[R]: ...

    def __getitem__(self, place: int | slice) -> R | Sequence[R]:
        return self._all[place]

    @property
    def by_id(self) -> Mapping[int, R]:
        """The records by id."""
        return self._by_id

    def replace(self, records: Iterable[R]) -> None:
        """Replace all records."""
        self._all = tuple(records)
        self._by_id = {record.id: record for record in self._all}
        self.ids = tuple(self._by_id)

    def renew(self, ids: Collection[int], records: Iterable[R]) -> None:
        """Take ``records`` in place of those with ``ids``; all are sorted by id."""
        kept = {number: record for number, record in self._by_id.items() if number not in ids}
        kept.update((record.id, record) for record in records)
        self.replace(kept[number] for number in sorted(kept))


def _boxes_of(delta: Delta) -> np.ndarray:
    """Ids of the boxes that a change beside the boxes is about."""
    if delta.table != "measurement_links":
        return delta.ids
    sides = [side["finding_id"].astype(np.int64) for side in (delta.before, delta.after) if "finding_id" in side]
    return np.unique(np.concatenate(sides))


class Memory:
    """What a project keeps in memory; it follows what was committed."""

    def __init__(self, folder: Path) -> None:
        self.slides: Records[SlideRecord] = Records()
        self.fields: Records[SpecimenField] = Records()
        self.classes: Records[DefectClass] = Records()
        self.marks: Records[Mark] = Records()
        self.runs: Records[RunRecord] = Records()
        self.registrations: Records[RegistrationRecord] = Records()
        self.measurements: Records[EdxMeasurement] = Records()
        self.measurement_links: Records[MeasurementLink] = Records()
        self.spectra: Records[StoredSpectrum] = Records()
        self.areas: Records[AreaRecord] = Records()
        self.run_classes: Records[RunClass] = Records()
        self.models: Records[ModelInUse] = Records()
        self.standards: Records[Standard] = Records()
        self.inclusion = Inclusion()
        self.settings: dict[str, Any] = {}
        self.filter = BoxFilter()
        self.tables: dict[int, BoxTable] = {}
        self.opinions: dict[int, OpinionTable] = {}
        """Of the slides whose tables are read."""
        self._changed_at: dict[int, int] = {}
        self.absent: dict[int, np.ndarray] = {}
        """Boxes that are no findings, of slides where this was asked."""
        self.details: dict[str, dict[int, dict[int, str]]] = {name: {} for name in schema.DETAILS}
        self.attribute_texts: dict[int, dict[int, str]] = {}
        """Text that filters search, by slide and box; dropped when an attribute of the slide changes."""
        self._known: dict[str, tuple[Records[Any], Callable[..., list[Any]]]] = {
            "slides": (self.slides, partial(loading.slides, folder=folder)),
            "fields": (self.fields, loading.fields),
            "classes": (self.classes, loading.classes),
            "marks": (self.marks, loading.marks),
            "areas": (self.areas, loading.areas),
            "run_classes": (self.run_classes, loading.run_classes),
            "runs": (self.runs, partial(loading.runs, folder=folder)),
            "registrations": (self.registrations, loading.registrations),
            "measurements": (self.measurements, loading.measurements),
            "measurement_links": (self.measurement_links, loading.measurement_links),
            "spectra": (self.spectra, loading.spectra),
            "model_in_use": (self.models, loading.models_in_use),
            "standards": (self.standards, loading.standards),
        }

    def load(self, connection: Connection) -> None:
        """Read records and settings, and drop the details of boxes; the tables of boxes stay as they are."""
        self.renew(connection, dict.fromkeys((*self._known, "inclusion")))
        self.settings = loading.settings(connection)
        self.filter = loading.filter_from_json(self.settings.get("filter"))
        for known in (*self.details.values(), self.attribute_texts):
            known.clear()

    def renew(self, connection: Connection, touched: Mapping[str, Collection[int] | None]) -> None:
        """Read records again: of each table those with the ids, or all where that is None."""
        for table in touched.keys() & self._known.keys():
            records, read = self._known[table]
            ids = touched[table]
            if ids is None or len(ids) > _MOST_RENEWED or table == "classes":  # classes are sorted by position
                records.replace(read(connection))
            else:
                records.renew(ids, read(connection, ids=ids))
        limit = self.inclusion.confidence_limit
        if "inclusion" in touched:
            limit = loading.confidence_limit(connection)
        self.inclusion = Inclusion(limit, frozenset(run.id for run in self.runs if not run.shown))

    def follow_details(self, delta: Delta) -> None:
        """Bring attributes or outlines up to what was committed."""
        for side in (delta.before, delta.after):
            for slide_id in np.unique(side.get("slide_id", np.zeros(0, np.int32))).tolist():
                known = self.details[delta.table].get(slide_id)
                if delta.table == "attributes":
                    self.attribute_texts.pop(slide_id, None)
                if known is None:
                    continue
                mine = side["slide_id"] == slide_id
                for number, text in zip(side["id"][mine].tolist(), side["data"][mine], strict=True):
                    if side is delta.before:
                        known.pop(number, None)
                    else:
                        known[number] = text

    def read_tables(self, connection: Connection, slide_ids: Sequence[int] | None) -> None:
        """Read the findings of slides that were not read yet; None is every slide."""
        wanted = [slide.id for slide in self.slides] if slide_ids is None else slide_ids
        missing = [slide_id for slide_id in wanted if slide_id not in self.tables]
        if not missing:
            return
        every = len(missing) == len(self.slides)
        hidden = self.inclusion.hidden_runs
        for slide_id, rows, opinions in findings.findings(connection, None if every else missing, hidden_runs=hidden):
            self.tables[slide_id], self.opinions[slide_id] = BoxTable(rows), opinions
        for slide_id in missing:
            if slide_id not in self.tables:
                self.tables[slide_id], self.opinions[slide_id] = BoxTable(), OpinionTable()

    def read_again(self, connection: Connection) -> list[tuple[BoxTable, np.ndarray]]:
        """Read the findings of all slides again that were read before; return their tables and the rows for them."""
        rows_of = dict.fromkeys(self.tables, BoxTable().rows)
        self.opinions = {slide_id: OpinionTable() for slide_id in rows_of}
        self.absent.clear()
        hidden = self.inclusion.hidden_runs
        for slide_id, rows, opinions in findings.findings(connection, list(rows_of), hidden_runs=hidden):
            rows_of[slide_id], self.opinions[slide_id] = rows, opinions
        return [(self.tables[slide_id], rows) for slide_id, rows in rows_of.items()]

    def finding_changes(
        self,
        deltas: Sequence[Delta],
        stored_boxes: StoredBoxes,
        *,
        hidden_runs: Collection[int],
        switched: Collection[int],
        slides: Collection[int],
    ) -> list[tuple[int, FindingChange]]:
        """Work out what a commit makes of the findings of ``slides``, which are in memory; nothing is changed.

        Parameters
        ----------
        hidden_runs
            Runs that are switched off now.
        switched
            Runs that were switched on or off.
        """
        if not slides:
            return []
        deltas_of: dict[int, list[Delta]] = {}  # a change of a thousand slides has a delta for each
        for delta in deltas:
            for slide_id, _ in self._tables_of([delta]) if delta.table in ("boxes", "opinions") else ():
                if slide_id in slides:
                    deltas_of.setdefault(slide_id, []).append(delta)
        known = {run.slide_id for run in self.runs if run.id in switched}.intersection(slides)
        changes = []
        for slide_id in sorted(known | deltas_of.keys()):
            follower = FindingFollower(
                self.tables[slide_id], self.opinions[slide_id], slide_id, hidden_runs=hidden_runs
            )
            change = follower.follow(deltas_of.get(slide_id, []), stored_boxes, switched=switched)
            changes.append((slide_id, change))
        return changes

    def changed_since(self, version: int) -> list[int]:
        """Slides that are in memory and whose findings have changed since a version of the project."""
        latest_first = reversed(self._changed_at.items())
        return [slide_id for slide_id, _ in takewhile(lambda changed: changed[1] > version, latest_first)]

    def note_change(self, slide_ids: Iterable[int], *, version: int) -> None:
        """Note which version changes the findings of some slides."""
        for slide_id in slide_ids:
            self._changed_at.pop(slide_id, None)  # the latest stand last
            self._changed_at[slide_id] = version

    def take_changes(self, changes: Sequence[tuple[int, FindingChange]], attempt: Attempt) -> np.ndarray:
        """Bring the findings up to what was committed; their tables tell their listeners.

        Returns
        -------
        ndarray
            Ids of the findings whose listeners were told.
        """
        for slide_id, change in changes:
            change.apply(attempt)
            # more boxes are no findings, or such a box was changed
            if len(change.come) + len(change.put) < len(change.ids):
                self.absent.pop(slide_id, None)
        return np.concatenate([np.zeros(0, np.int64), *(change.ids for _, change in changes)])

    def touch_boxes(self, deltas: Sequence[Delta], heard: np.ndarray, attempt: Attempt) -> None:
        """Let the tables signal boxes with other attributes, outlines or measurements, except those they did already.

        These are ``heard``.
        """
        changed = np.setdiff1d(np.concatenate([_boxes_of(delta) for delta in deltas]), heard)
        for _, table in self._tables_of(deltas):
            attempt(table.touch, changed[table.has(changed)])

    def _tables_of(self, deltas: Sequence[Delta]) -> Iterator[tuple[int, BoxTable]]:
        """Slides with changed boxes or details, and their tables where these are in memory."""
        sides = [side["slide_id"] for d in deltas for side in (d.before, d.after) if "slide_id" in side]
        for slide_id in np.unique(np.concatenate(sides)).tolist() if sides else ():
            table = self.tables.get(slide_id)
            if table is not None:
                yield slide_id, table
