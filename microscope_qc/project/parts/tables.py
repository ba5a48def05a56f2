"""The live table of each slide's boxes, and the slide of each box."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import select

from microscope_qc.core.arrays import Rows
from microscope_qc.core.boxes import BoxTable
from microscope_qc.core.errors import InputError
from microscope_qc.core.opinions import OpinionTable
from microscope_qc.project import findings, loading, schema
from microscope_qc.project.database import Database, readable
from microscope_qc.project.parts.slides import Slides
from microscope_qc.project.store import Store

FEW_SLIDES = 8
AT_A_TIME = 10_000
_TOGETHER = 50
"""So many slides are read with one statement."""


@dataclass(frozen=True, slots=True)
class ReadTables:
    """Findings of some slides, and their attributes, as they were stored when the project was at ``version``."""

    version: int
    rows: Mapping[int, tuple[np.ndarray, OpinionTable]]
    attributes: Mapping[int, dict[int, str]]


class Tables:
    """Boxes and their details, read slide by slide at first use."""

    def __init__(self, store: Store, slides: Slides) -> None:
        self._store = store
        self._slides = slides
        self._latest = 0

    def table(self, slide_id: int) -> BoxTable:
        """Return the live table of a slide's boxes.

        Raises
        ------
        InputError
            When there is no such slide.
        """
        self._slides.by_id(slide_id)
        if slide_id not in self._store.memory.tables:
            self.load([slide_id])
        return self._store.memory.tables[slide_id]

    def opinions(self, slide_id: int) -> OpinionTable:
        """Return what models say of a slide's findings.

        Raises
        ------
        InputError
            When there is no such slide.
        """
        self.table(slide_id)
        return self._store.memory.opinions[slide_id]

    def load(self, slide_ids: Sequence[int] | None = None) -> None:
        """Read the tables of several slides at once, as far as they are not in memory; None is every slide."""
        if not self.unread(self._slides.ids if slide_ids is None else slide_ids):
            return  # nobody waits for the database while a large command is being written
        with self._store.database.begin() as connection, readable(self._store.name):
            self._store.memory.read_tables(connection, slide_ids)

    # -- many slides at once ----------------------------------------------------------------------------------------

    def unread(self, slide_ids: Iterable[int]) -> list[int]:
        """Return those of some slides whose boxes are not in memory."""
        tables = self._store.memory.tables
        return [slide_id for slide_id in slide_ids if slide_id not in tables]

    def rows_in_memory(self) -> dict[int, Rows]:
        """Return the rows of the slides that are in memory, by slide id; not copies."""
        return {slide_id: table.rows for slide_id, table in self._store.memory.tables.items()}

    def reading(self, slide_ids: Iterable[int]) -> Callable[[], ReadTables]:
        """Return a function that reads the boxes of slides; it may run in any thread, and :meth:`take` gets its result.

        It reads through a connection of its own, so that no command waits for it, and stops after the slides with which
        it has read :data:`AT_A_TIME` findings: ask again for the others.
        """
        version, wanted, folder = self._store.version, list(slide_ids), self._store.path
        hidden = self._store.memory.inclusion.hidden_runs

        def read() -> ReadTables:
            rows: dict[int, tuple[np.ndarray, OpinionTable]] = {}
            texts: dict[int, dict[int, str]] = {}
            count = 0
            database = Database(folder, read_only=True)
            try:
                with database.begin() as connection, readable(database.name):
                    for start in range(0, len(wanted), _TOGETHER):
                        part = wanted[start : start + _TOGETHER]
                        rows.update({slide_id: (BoxTable().rows, OpinionTable()) for slide_id in part})
                        for slide_id, found, opinions in findings.findings(connection, part, hidden_runs=hidden):
                            rows[slide_id] = found, opinions
                            count += len(found)
                        texts.update({number: loading.details(connection, "attributes", number) for number in part})
                        if count >= AT_A_TIME:
                            break
            finally:
                database.close()
            return ReadTables(version, rows, texts)

        return read

    def take(self, read: ReadTables) -> bool:
        """Keep what was read, unless the project was changed meanwhile: then False, and it must be read again."""
        store = self._store
        if store.version != read.version or store.is_writing:
            return False
        for slide_id, (rows, opinions) in read.rows.items():
            if slide_id not in store.memory.tables:
                store.memory.tables[slide_id], store.memory.opinions[slide_id] = BoxTable(rows), opinions
            store.memory.details["attributes"].setdefault(slide_id, read.attributes[slide_id])
        return True

    def read_details(self, name: str, slide_ids: Iterable[int]) -> None:
        """Read the attributes or outlines of many slides at once; :meth:`details` then has them."""
        known = self._store.memory.details[name]
        missing = [slide_id for slide_id in slide_ids if slide_id not in known]
        if len(missing) <= FEW_SLIDES:  # each is read when it is needed
            return
        stored = schema.metadata.tables[name].c
        statement = select(stored.slide_id, stored.id, stored.data)
        found: dict[int, dict[int, str]] = {slide_id: {} for slide_id in missing}
        with self._store.database.begin() as connection:
            for slide_id, number, data in connection.execute(statement):
                if slide_id in found:
                    found[slide_id][number] = data
        known.update(found)

    def details(self, name: str, slide_id: int) -> Mapping[int, str]:
        """Return the attributes or outlines of a slide, as JSON text by box id."""
        known = self._store.memory.details[name]
        if slide_id not in known:
            with self._store.database.begin() as connection:
                known[slide_id] = loading.details(connection, name, slide_id)
        return known[slide_id]

    def slide_of(self, box_id: int) -> int:
        """Return the id of a box's slide.

        Raises
        ------
        InputError
            When there is no such box.
        """
        tables = self._store.memory.tables
        latest = tables.get(self._latest)
        if latest is not None and box_id in latest:  # successive edits are mostly on one slide
            return self._latest
        # memory first: the database is locked while a large command is being written
        found = next(
            (number for number, table in list(tables.items()) if table.spans(box_id) and box_id in table), None
        )
        if found is None:
            with self._store.database.begin() as connection:
                found = findings.slide_of(connection, int(box_id))
        if found is None:
            raise self._unknown(box_id)
        self._latest = int(found)
        return self._latest

    def by_slide(self, ids: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """Return slide ids, and the indices in ``ids`` of their boxes.

        Raises
        ------
        InputError
            When there is no such box.
        """
        left = np.ones(len(ids), bool)
        places: dict[int, np.ndarray] = {}
        while left.any():
            if len(places) == FEW_SLIDES:  # for many slides one look at all boxes in memory is faster
                for slide_id, mine in self._owners(ids, left).items():
                    places[slide_id] = mine
                    left[mine] = False
                continue
            first = int(ids[left.argmax()])
            slide_id = self.slide_of(first)
            mine = self.table(slide_id).has(ids) & left
            if not mine.any():  # stored by another process, or by a command that is not finished
                raise self._unknown(first)
            places[slide_id] = np.flatnonzero(mine)
            left &= ~mine
        return [(slide_id, places[slide_id]) for slide_id in sorted(places)]

    def _owners(self, ids: np.ndarray, wanted: np.ndarray) -> dict[int, np.ndarray]:
        """Slides of boxes whose tables are in memory, and the indices in ``ids`` of those that are wanted."""
        tables = {number: table for number, table in list(self._store.memory.tables.items()) if len(table)}
        known = np.concatenate([table.rows["id"] for table in tables.values()])
        slides = np.repeat(np.fromiter(tables, np.int64, len(tables)), [len(table) for table in tables.values()])
        order = np.argsort(known, kind="stable")
        at = np.flatnonzero(wanted)
        near = order[np.minimum(np.searchsorted(known, ids[at], sorter=order), len(known) - 1)]
        there = known[near] == ids[at]
        at, owner = at[there], slides[near[there]]
        by_owner = np.argsort(owner, kind="stable")
        parts = np.split(by_owner, np.flatnonzero(np.diff(owner[by_owner])) + 1) if len(at) else []
        return {int(owner[part[0]]): at[part] for part in parts}

    def _unknown(self, box_id: int) -> InputError:
        return InputError(f"There is no box {box_id} in {self._store.name}.")
