"""Slides: add, relocate, set the pixel size, remove."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import update

from microscope_qc.core.errors import InputError
from microscope_qc.project import schema
from microscope_qc.project.database import driver
from microscope_qc.project.deltas import Delta, columns_of
from microscope_qc.project.identity import hold_the_same, orientation_at
from microscope_qc.project.parts.adding import PendingSlides, prepare_adding
from microscope_qc.project.parts.removing import PendingRemoval, prepare_removing
from microscope_qc.project.parts.sequence import RecordPart
from microscope_qc.project.records import LogEntry, SlideRecord
from microscope_qc.project.scenes import SceneFacts, read_facts, read_known
from microscope_qc.project.store import Store
from microscope_qc.slides.base import usable_size

NAMED = 20
"""A message lists the names of so many slides at most."""


class Slides(RecordPart[SlideRecord]):
    """The slides of a project in the order they were added."""

    table = "slides"
    noun = "slide"

    def __init__(self, store: Store) -> None:
        super().__init__(store, store.memory.slides)

    def named(self, name: str | None) -> SlideRecord:
        """Return a slide by name; None is the first one.

        Raises
        ------
        InputError
            When there is none; the message lists the names.
        """
        if not self:
            raise InputError(f"There is no slide in {self._store.name} yet.", hint="Add one first.")
        if name is None:
            return self[0]
        for record in self:
            if record.name == name:
                return record
        names = ", ".join(record.name for record in self[:NAMED])
        more = f" and {len(self) - NAMED} more" if len(self) > NAMED else ""
        raise InputError(f"There is no slide {name} in {self._store.name}.", hint=f"Its slides are {names}{more}.")

    def add(self, path: Path | str, *, scene: str | None = None) -> SlideRecord:
        """Add a slide, each of its scenes as a slide of its own unless ``scene`` names one; return the first.

        A slide that is in the project already (same content) is returned as it is; one that was missing gets this
        path.
        """
        self._store.require_writable()
        return self.add_scenes(read_facts(path, scene=scene))

    def add_scenes(self, facts: Sequence[SceneFacts], *, kind: str = "command") -> SlideRecord:
        """Add a slide that was read elsewhere (:func:`read_facts`, in any thread), otherwise as :meth:`add`.

        ``kind`` is that of the step in the history (see :class:`LogEntry`).
        """
        pending = self.prepare_adding([facts], kind=kind)
        pending.write()
        pending.finish()
        return self.by_id(pending.ids[0])

    def add_many(
        self, files: Iterable[Sequence[SceneFacts]], *, again: bool = False, kind: str = "command"
    ) -> list[SlideRecord]:
        """Add any number of slides in one step of undo; return those that are new.

        Parameters
        ----------
        files
            The scenes of each file.
        again
            Add a slide also when another one has the same content; one that lies in the same place is never added
            twice.
        kind
            That of the step in the history (see :class:`LogEntry`).
        """
        pending = self.prepare_adding(files, again=again, kind=kind)
        pending.write()
        return pending.finish()

    def prepare_adding(
        self, files: Iterable[Sequence[SceneFacts]], *, again: bool = False, kind: str = "command"
    ) -> PendingSlides:
        """Begin :meth:`add_many`, and write nothing yet: writing thousands of slides may be left to a thread."""
        self._store.require_writable()
        return prepare_adding(self._store, files, again=again, kind=kind)

    def note_contents(self, contents: Mapping[int, str]) -> None:
        """Store the content of slides (:func:`~microscope_qc.slides.content.content_of`) that was read since.

        It is no change by a user, so that it is neither in the history nor signalled.
        """
        self.write_contents(contents)
        self.take_contents(contents)

    def write_contents(self, contents: Mapping[int, str]) -> None:
        """Write what :meth:`note_contents` stores, in any thread; :meth:`take_contents` lets the project know it."""
        self._store.require_owner()
        rows = [(content, number) for number, content in contents.items()]
        with self._store.database.begin() as connection:
            driver(connection).executemany("UPDATE slides SET content = ? WHERE id = ?", rows)

    def take_contents(self, contents: Mapping[int, str]) -> None:
        """Let the project know contents that were written."""
        records = self._store.memory.slides
        known = {number: content for number, content in contents.items() if number in records.by_id}
        records.renew(known.keys(), [replace(records.by_id[number], content=text) for number, text in known.items()])

    def note_places(self) -> None:
        """Store where the slides lie as seen from the project, which was moved; no step of the history either."""
        self._store.require_owner()
        table = schema.slides
        with self._store.database.begin() as connection:
            for record in self:
                if not record.missing:
                    place = self._place(record.path)
                    connection.execute(update(table).where(table.c.id == record.id).values(**place))
            self._store.memory.renew(connection, {"slides": None})

    def relocate(
        self,
        slide_id: int,
        path: Path | str,
        *,
        force: bool = False,
        facts: SceneFacts | None = None,
        title: str = "",
    ) -> SlideRecord:
        """Set the path of a slide that was moved.

        Parameters
        ----------
        facts
            Those of the slide there, if they were read elsewhere (:func:`read_known`); otherwise they are read here.
        title
            Of the step in the history.

        Raises
        ------
        InputError
            When the file there is another slide (:func:`~microscope_qc.project.identity.are_same`) and ``force`` is
            not set.
        """
        self._store.require_writable()
        record = self.by_id(slide_id)
        facts = facts or read_known(record, path)
        row = self._row(slide_id)
        changes: dict[str, Any] = self._place(facts.path) | {"content": facts.content}
        changes["orientation"] = orientation_at(record, facts)
        if not hold_the_same(record, facts):
            if not force:
                raise InputError(
                    f"{facts.path.name} is not the slide {record.name}: its content differs.",
                    hint="Choose the file the boxes were drawn on.",
                )
            changes |= {"fingerprint": facts.fingerprint, "height_px": facts.shape_px[0], "width_px": facts.shape_px[1]}
        self._store.commit(
            title or f"Find slide {record.name}", [Delta.edited("slides", row, changes)], slide_id=slide_id
        )
        return self.by_id(slide_id)

    def accept(self, slide_id: int, facts: SceneFacts) -> LogEntry | None:
        """Take what the slide's file holds now for the slide (undoable).

        What was found before was found on an earlier version, see
        :func:`microscope_qc.workflows.intake.changes.accept`.
        """
        self._store.require_writable()
        record, row = self.by_id(slide_id), self._row(slide_id)
        height, width = facts.shape_px
        found = {"content": facts.content, "fingerprint": facts.fingerprint, "height_px": height, "width_px": width}
        changes = {name: value for name, value in found.items() if row[name] != value}
        if not changes:
            return None
        title = f"Accept the changed file of {record.name}"
        return self._store.commit(title, [Delta.edited("slides", row, changes)], slide_id=slide_id)

    def set_pixel_size(self, slide_id: int, um: float | tuple[float, float] | None) -> SlideRecord:
        """Set the size of a full-resolution pixel in um: one number, or (y, x); None clears it."""
        self.set_pixel_sizes([slide_id], um)
        return self.by_id(slide_id)

    def set_pixel_sizes(self, slide_ids: Iterable[int], um: float | tuple[float, float] | None) -> None:
        """Set the pixel size of several slides as one step of undo, otherwise as :meth:`set_pixel_size`."""
        self._store.require_writable()
        records = [self.by_id(number) for number in dict.fromkeys(slide_ids)]
        try:
            y, x = (None, None) if um is None else (float(um),) * 2 if isinstance(um, (int, float)) else map(float, um)
        except (TypeError, ValueError) as error:
            raise InputError(f"{um!r} is not a pixel size.", hint="Give one number in um, or y and x.") from error
        if um is not None and (usable_size(y) is None or usable_size(x) is None):
            raise InputError("A pixel size must be a positive number of um.", hint="It is 1e-6 um to 1e5 um.")
        size = None if y is None or x is None else (y, x)
        changed = [record for record in records if record.pixel_size_um != size]
        if not changed:
            return
        before = [_pixel_columns(record.id, record.pixel_size_um) for record in changed]
        after = [_pixel_columns(record.id, size) for record in changed]
        what = changed[0].name if len(changed) == 1 else f"{len(changed)} slides"
        self._store.commit(
            f"Set pixel size of {what}",
            [Delta("slides", columns_of(before), columns_of(after))],
            slide_id=changed[0].id if len(changed) == 1 else None,
        )

    def rename(self, slide_id: int, name: str) -> SlideRecord:
        """Rename a slide (undoable)."""
        self._store.require_writable()
        row = self._row(slide_id)
        name = str(name).strip()
        if not name or any(record.name == name and record.id != slide_id for record in self):
            raise InputError(f"A slide cannot be called {name!r}.", hint="Choose a name no other slide has.")
        deltas = [Delta.edited("slides", row, {"name": name})] if name != row["name"] else []
        self._store.commit(f"Rename slide {row['name']}", deltas, slide_id=slide_id)
        return self.by_id(slide_id)

    def remove(self, slide_id: int) -> None:
        """Remove a slide from the project with its boxes, marks, runs ... (one step of undo).

        The slide's file and the folders of its runs stay where they are.
        """
        self.remove_many([slide_id])

    def remove_many(self, slide_ids: Iterable[int]) -> None:
        """Remove several slides as one step of undo, otherwise as :meth:`remove`."""
        pending = self.prepare_removing(slide_ids)
        pending.write()
        pending.finish()

    def prepare_removing(self, slide_ids: Iterable[int]) -> PendingRemoval:
        """Begin :meth:`remove_many`, and write nothing yet: slides with many findings may be left to a thread.

        Raises
        ------
        InputError
            When there is no such slide, or a detection is running on it.
        """
        self._store.require_writable()
        return prepare_removing(self._store, [self.by_id(number) for number in dict.fromkeys(slide_ids)])

    def _place(self, path: Path) -> dict[str, Any]:
        try:
            relative = Path(os.path.relpath(path, self._store.path)).as_posix()
        except ValueError:  # another drive on Windows
            relative = ""
        return {"path": str(path), "relative_path": relative}


def _pixel_columns(slide_id: int, size: tuple[float, float] | None) -> dict[str, Any]:
    y, x = size or (None, None)
    return {"id": slide_id, "pixel_size_y_um": y, "pixel_size_x_um": x}
