"""Boxes: read, add, edit, duplicate, delete."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from microscope_qc.core.arrays import Flags, Rows
from microscope_qc.core.box_facts import BoxFacts
from microscope_qc.core.boxes import (
    BOX_DTYPE,
    EDITABLE_COLUMNS,
    OF_USER,
    BoxTable,
    FindingFlag,
    ReviewState,
    has_flag,
    make_rows,
)
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import InputError
from microscope_qc.core.opinions import is_judged
from microscope_qc.core.outline import Outline
from microscope_qc.project.commands import CarryOut, at_once
from microscope_qc.project.deltas import BOX_COLUMNS, Delta, box_columns, columns_of
from microscope_qc.project.parts.box_rows import SIDES, assign, check_rows, differs
from microscope_qc.project.parts.class_rows import new_class_rows
from microscope_qc.project.parts.details import Attributes, Ids, Outlines, attributes_to_json
from microscope_qc.project.parts.filters import Filters
from microscope_qc.project.parts.inclusion import InclusionPart
from microscope_qc.project.parts.measurements import Measurements
from microscope_qc.project.parts.slides import Slides
from microscope_qc.project.parts.tables import ReadTables, Tables
from microscope_qc.project.records import LogEntry
from microscope_qc.project.store import PendingCommand, Store

DRAWING = "Draw "
"""Titles of steps in which users draw findings begin with it."""


class Boxes:
    """The boxes of a project, slide by slide."""

    def __init__(
        self,
        store: Store,
        *,
        slides: Slides,
        tables: Tables,
        attributes: Attributes,
        outlines: Outlines,
        measurements: Measurements,
        filters: Filters,
        inclusion: InclusionPart,
    ) -> None:
        self._store = store
        self._slides = slides
        self._tables = tables
        self._attributes = attributes
        self._outlines = outlines
        self._measurements = measurements
        self._filters = filters
        self._inclusion = inclusion

    # -- reading ----------------------------------------------------------------------------------------------------

    def table(self, slide_id: int) -> BoxTable:
        """Return the live table of a slide's boxes, read at first use.

        Raises
        ------
        InputError
            When there is no such slide.
        """
        return self._tables.table(slide_id)

    @property
    def version(self) -> int:
        """Grows with every change of what is in memory of the project."""
        return self._store.version

    def changed_since(self, version: int) -> list[int]:
        """Return the slides in memory whose boxes have changed since :attr:`version` was this one."""
        return self._store.memory.changed_since(version)

    def unread(self, slide_ids: Iterable[int]) -> list[int]:
        """Return those of some slides whose boxes are not in memory yet."""
        return self._tables.unread(slide_ids)

    def rows_in_memory(self) -> dict[int, Rows]:
        """Return the rows of the slides that are in memory, by slide id; not copies (:attr:`BoxTable.rows`)."""
        return self._tables.rows_in_memory()

    def reading(self, slide_ids: Iterable[int]) -> Callable[[], ReadTables]:
        """Return a function that reads the boxes of slides in any thread; :meth:`take` gets its result."""
        return self._tables.reading(slide_ids)

    def take(self, read: ReadTables) -> bool:
        """Keep what was read, unless the project was changed meanwhile: then False, and it must be read again."""
        return self._tables.take(read)

    def rows(self, slide_id: int | None = None, *, shown: bool = False, every: bool = False) -> np.ndarray:
        """Return copies of the box rows that count, of one slide or of all slides one after the other.

        Rejected ones are included: they count as rejected.

        Parameters
        ----------
        shown
            Of those that count, only what the view filter shows.
        every
            Also those that do not count.
        """
        wanted = [slide.id for slide in self._slides] if slide_id is None else [slide_id]
        self.load(wanted)
        parts = []
        for number in wanted:
            rows = self.table(number).rows
            parts.append(rows if every else rows[self.shown(number) if shown else self.included(number)])
        if len(parts) == 1 and not every:  # a copy already; making another takes as long again
            return parts[0]
        return np.concatenate([np.zeros(0, BOX_DTYPE), *parts])

    def load(self, slide_ids: Sequence[int] | None = None) -> None:
        """Read the findings of several slides at once, as far as they are not in memory; None is every slide."""
        self._tables.load(slide_ids)

    def slide_of(self, box_id: int) -> int:
        """Return the id of a box's slide.

        Raises
        ------
        InputError
            When there is no such box.
        """
        return self._tables.slide_of(box_id)

    @property
    def last_number(self) -> int:
        """The highest number that a box was given so far, also one that was deleted since; 0 before the first."""
        return self._store.next_id("boxes") - 1

    def read_facts(self, slide_ids: Iterable[int]) -> None:
        """Read at once what :meth:`facts` needs of many slides."""
        self._tables.read_details("attributes", slide_ids)

    def facts(self, slide_id: int) -> BoxFacts:
        """Return what a filter needs to know about the boxes of a slide besides their rows."""
        classes, slide = self._store.memory.classes, self._slides.by_id(slide_id)
        codes, names = {cls.id: cls.code for cls in classes}, {cls.id: cls.name for cls in classes}
        texts = self._attributes.texts(slide_id)
        said = self._tables.opinions(slide_id)
        return BoxFacts(
            slide.pixel_size_um,
            codes,
            texts,
            names,
            slide.name,
            self._filters.known,
            said,
            self._measurements.compositions,
        )

    def included(self, slide_id: int) -> Flags:
        """Boolean for each row of a slide's table: whether it counts; rejected ones count as rejected."""
        return self._inclusion.current.mask(self.table(slide_id).rows, rejected=True)

    def shown(self, slide_id: int) -> Flags:
        """Boolean for each row of a slide's table: whether it counts and the view filter shows it."""
        known = self._filters.current
        rows = self.table(slide_id).rows
        facts = self.facts(slide_id) if known.needs_facts else None
        return self.included(slide_id) & known.mask(rows, facts=facts)

    # -- adding -----------------------------------------------------------------------------------------------------

    def add(self, slide_id: int, rows: np.ndarray, *, title: str = f"{DRAWING}box") -> np.ndarray:
        """Add boxes to a slide; their ``id`` is set here.

        Returns
        -------
        ndarray
            The new ids, in the order of ``rows``.

        Raises
        ------
        InputError
            When a box is empty or not finite, or its class or slide does not exist.
        """
        return self.add_many({slide_id: rows}, title=title)[slide_id]

    def add_many(
        self,
        rows_of: Mapping[int, np.ndarray],
        *,
        title: str = "Import boxes",
        classes: Sequence[DefectClass] = (),
        attributes: Mapping[int, Mapping[int, Mapping[str, Any]]] | None = None,
        outlines: Mapping[int, Mapping[int, Outline]] | None = None,
    ) -> dict[int, np.ndarray]:
        """Add boxes to several slides, with classes that are new, as one command.

        Parameters
        ----------
        rows_of
            Rows for each slide id.
        classes
            New classes. Rows refer to them by a negative ``class_id``: -1 is the first one of this list.
        attributes, outlines
            For each slide id, those of some rows, by the row's index.

        Returns
        -------
        dict
            The new box ids for each slide id.
        """
        pending, ids_of = self.prepare(rows_of, title=title, classes=classes, attributes=attributes, outlines=outlines)
        pending.write()
        pending.finish()
        return ids_of

    def prepare(
        self,
        rows_of: Mapping[int, np.ndarray],
        *,
        title: str = "Import boxes",
        classes: Sequence[DefectClass] = (),
        attributes: Mapping[int, Mapping[int, Mapping[str, Any]]] | None = None,
        outlines: Mapping[int, Mapping[int, Outline]] | None = None,
    ) -> tuple[PendingCommand, dict[int, np.ndarray]]:
        """Prepare :meth:`add_many` without writing: for so many boxes that writing would block a window.

        Returns
        -------
        PendingCommand, dict
            To be written and finished, and the ids that the boxes will have.
        """
        store = self._store
        store.require_writable()
        new_classes = new_class_rows(store.memory.classes, classes, first_id=store.next_id("classes"))
        deltas = [Delta.inserted("classes", new_classes)]
        ids_of: dict[int, np.ndarray] = {}
        first = store.next_id("boxes")
        for slide_id, given in rows_of.items():
            self._slides.by_id(slide_id)
            rows = given[np.arange(len(given))]  # a copy, ten times as fast as .copy()
            rows["id"] = np.arange(first, first + len(rows))
            if rows["run_id"].any():
                raise InputError("What a user draws or imports belongs to no run.")
            rows["flags"] = OF_USER
            first += len(rows)
            for place, row in enumerate(new_classes, start=1):
                rows["class_id"][given["class_id"] == -place] = row["id"]
            check_rows(store, rows, new_classes=[row["id"] for row in new_classes])
            deltas.append(Delta("boxes", columns_of([]), box_columns(rows, slide_id)))
            ids = ids_of[slide_id] = rows["id"].copy()
            texts = {
                int(ids[n]): attributes_to_json(found) for n, found in (attributes or {}).get(slide_id, {}).items()
            }
            deltas += self._attributes.adding(slide_id, {n: text for n, text in texts.items() if text})
            shapes = {int(ids[n]): found.to_json() for n, found in (outlines or {}).get(slide_id, {}).items()}
            deltas += self._outlines.adding(slide_id, shapes)
        filled = [slide_id for slide_id, ids in ids_of.items() if len(ids)]
        slide_of_all = filled[0] if len(filled) == 1 else None
        return store.prepare(title, deltas, slide_id=slide_of_all, size=sum(map(len, ids_of.values()))), ids_of

    def describing(
        self, slide_id: int, attributes: Mapping[int, Mapping[str, Any]], outlines: Mapping[int, Outline]
    ) -> list[Delta]:
        """Deltas that set attributes and first outlines of boxes of a slide, by box id."""
        shapes = {number: outline.to_json() for number, outline in outlines.items()}
        return [*self._attributes.changing(slide_id, attributes), *self._outlines.adding(slide_id, shapes)]

    def duplicate(
        self, ids: Ids, *, dy_px: float, dx_px: float, slide_id: int | None = None, title: str = ""
    ) -> np.ndarray:
        """Copy boxes, shifted by ``dy_px``, ``dx_px``, on their slide or to another one; return the new ids.

        Copies count as drawn by the user: unreviewed, without confidence, not chosen. They keep class, note, attributes
        and outline.
        """
        self._store.require_writable()
        wanted = np.unique(np.asarray(ids, np.int64))
        rows_of: dict[int, list[np.ndarray]] = {}
        attributes: dict[int, dict[int, dict[str, Any]]] = {}
        outlines: dict[int, dict[int, Outline]] = {}
        for source, places in self._tables.by_slide(wanted):
            target = source if slide_id is None else slide_id
            rows = self.table(source).get(wanted[places])
            start = sum(map(len, rows_of.get(target, [])))
            for place, number in enumerate(rows["id"].tolist(), start=start):
                if found := self._attributes.get(number):
                    attributes.setdefault(target, {})[place] = found
                if outline := self._outlines.get(number):
                    outlines.setdefault(target, {})[place] = outline.moved(dy_px, dx_px)
            corners = {name: rows[name] + (dy_px if name[0] == "y" else dx_px) for name in SIDES}
            copies = make_rows(len(rows), class_id=rows["class_id"], note=rows["note"], **corners)
            rows_of.setdefault(target, []).append(copies)
        count = len(wanted)
        joined = {target: np.concatenate(parts) for target, parts in rows_of.items()}
        title = title or ("Duplicate box" if count == 1 else f"Duplicate {count} boxes")
        made = self.add_many(joined, title=title, attributes=attributes, outlines=outlines)
        return np.concatenate([np.zeros(0, np.int64), *made.values()])

    # -- changing and deleting --------------------------------------------------------------------------------------

    def edit(
        self,
        ids: Ids,
        *,
        title: str = "",
        amends: LogEntry | None = None,
        at_random: bool = False,
        **columns: object,
    ) -> None:
        """Change columns of boxes; a value is one for all or one for each.

        ``amends`` is the newest command: where it changed the same columns of the same boxes, both become one entry.
        ``at_random`` says that boxes which nobody had judged were next in a random sample (``FindingFlag.SAMPLED``).

        A box that is no longer rejected loses its reason, unless ``reason`` is given too. The outline of a box that
        moves is moved too; that of a box that changes its size is dropped.

        Raises
        ------
        InputError
            When a box, column or class does not exist, or a box would become empty.
        """
        at_once(self.prepare_edit(ids, title=title, amends=amends, at_random=at_random, **columns))

    def prepare_edit(
        self,
        ids: Ids,
        *,
        title: str = "",
        amends: LogEntry | None = None,
        at_random: bool = False,
        **columns: object,
    ) -> PendingCommand:
        """Prepare :meth:`edit` without writing: for so many boxes that writing would block a window."""
        unknown = sorted(set(columns) - set(EDITABLE_COLUMNS))
        if unknown:
            raise InputError(f"A box has no {unknown[0]} that could be changed.")
        wanted = np.array(ids, np.int64).reshape(-1)

        def build(command: PendingCommand) -> None:
            if len(np.unique(wanted)) != len(wanted):
                raise InputError("A box cannot be changed twice in one step.")
            deltas: list[Delta] = []
            owners = []
            count = 0
            for slide_id, places in self._tables.by_slide(wanted):
                before, after, changed = self._edited(slide_id, wanted, places, columns, at_random=at_random)
                if len(after):
                    check_rows(self._store, after, names=changed)
                    old, new = (box_columns(rows, slide_id, names=changed) for rows in (before, after))
                    deltas.append(Delta("boxes", old, new))
                    owners.append(slide_id)
                    count += len(after)
                    if not columns.keys().isdisjoint(SIDES):
                        deltas += self._outlines.following(slide_id, before, after)
            command.deltas, command.slide_id = deltas, owners[0] if len(owners) == 1 else None
            command.title = title or ("Change box" if count == 1 else f"Change {count} boxes")

        return self._store.prepare(title or "Change boxes", build=build, size=len(wanted), amends=amends)

    def _edited(
        self, slide_id: int, wanted: np.ndarray, places: np.ndarray, columns: Mapping[str, object], *, at_random: bool
    ) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Rows of the boxes of a slide before and after a change, and the columns that may differ."""
        table = self.table(slide_id)
        before, after = table.get(wanted[places]), table.get(wanted[places])
        for name, value in columns.items():
            assign(after, name, value, places, len(wanted))
        changed = list(columns)
        if "state" in columns and "reason" not in columns:
            after["reason"][after["state"] != ReviewState.REJECTED] = ""
            changed.append("reason")
        other = differs(before, after, changed)
        if not other.all():
            before, after = before[other], after[other]
        if at_random:
            after["flags"][~is_judged(before)] |= np.uint8(FindingFlag.SAMPLED)
        if "state" in columns:  # what is no longer judged was not judged at random either
            after["flags"][~is_judged(after)] &= ~np.uint8(FindingFlag.SAMPLED)
        changed += _claim(after, columns, more={"flags"} if (before["flags"] != after["flags"]).any() else set())
        return before, after, changed

    def delete(self, ids: Ids, *, title: str = "", carry_out: CarryOut = at_once) -> None:
        """Delete boxes. Their places stay deleted: what a model finds there again does not count.

        Raises
        ------
        InputError
            When one of them does not exist.
        """
        wanted = np.unique(np.asarray(ids, np.int64))
        title = title or ("Delete box" if len(wanted) == 1 else f"Delete {len(wanted)} boxes")

        def build(command: PendingCommand) -> None:
            deltas: list[Delta] = []
            owners = []
            for slide_id, places in self._tables.by_slide(wanted):
                before = self.table(slide_id).get(wanted[places])
                after = before[np.arange(len(before))]
                after["flags"] |= np.uint8(FindingFlag.DELETED)
                deltas += self.details_dropped(slide_id, before["id"])
                names = ("class_id", *SIDES, "flags")  # as they are now, whatever models say later
                deltas.append(Delta("boxes", *(box_columns(rows, slide_id, names=names) for rows in (before, after))))
                owners.append(slide_id)
            command.deltas, command.slide_id = deltas, owners[0] if len(owners) == 1 else None

        carry_out(self._store.prepare(title, build=build, size=len(wanted)))

    # -- for commands on classes and runs ----------------------------------------------------------------------------

    def leaving(self, slide_id: int, rows: np.ndarray) -> Iterator[Delta]:
        """Deltas that take boxes of a slide away, with their attributes and outlines; their places are not deleted."""
        yield from self.details_dropped(slide_id, rows["id"])
        yield Delta("boxes", box_columns(rows, slide_id), columns_of([]))

    def keeping(self, slide_id: int, rows: np.ndarray) -> Iterator[Delta]:
        """Deltas that make class and box of findings a user's, as models will no longer say anything of them."""
        after = rows[np.arange(len(rows))]
        after["flags"] |= np.uint8(FindingFlag.CLASS | FindingFlag.BOX)
        names = ("class_id", *SIDES, "flags")
        yield Delta("boxes", *(box_columns(found, slide_id, names=names) for found in (rows, after)))

    def described(self, slide_id: int) -> set[int]:
        """Return the ids of a slide's boxes that have attributes, and of all boxes that have measurements."""
        return {*self._attributes.stored(slide_id), *self._measurements.by_finding}

    def details_dropped(self, slide_id: int, ids: np.ndarray) -> Iterator[Delta]:
        """Deltas that take the attributes and outlines of boxes away, and unlink their measurements."""
        yield from self._attributes.dropping(slide_id, ids)
        yield from self._outlines.dropping(slide_id, ids)
        yield from self._measurements.unlinking(ids)


def _claim(after: np.ndarray, columns: Collection[str], *, more: set[str]) -> list[str]:
    """Make class and box a user's where the change of ``columns`` says so; return what else is stored because of it.

    What is judged keeps the class and box that it was judged with. ``more`` has changed already.
    """
    if "class_id" in columns:
        after["flags"] |= np.uint8(FindingFlag.CLASS)
        more |= {"flags"}
    if not set(SIDES).isdisjoint(columns):
        after["flags"] |= np.uint8(FindingFlag.BOX)
        more |= {*SIDES, "flags"}
    if "state" in columns and not (after["flags"] & OF_USER == OF_USER).all():
        more |= {"class_id", *SIDES}
    if not {"state", "class_id", *SIDES}.isdisjoint(columns) and has_flag(after, FindingFlag.DELETED).any():
        after["flags"] &= ~np.uint8(FindingFlag.DELETED)  # it was deleted and found again: this takes it back
        more |= {"class_id", *SIDES, "flags"}
    return [name for name in BOX_COLUMNS if name in more and name not in columns]
