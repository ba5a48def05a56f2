"""Slides that are being added, any number of them in one step."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from microscope_qc.core.boxes import BoxTable
from microscope_qc.core.opinions import OpinionTable
from microscope_qc.core.wording import things
from microscope_qc.project.deltas import Delta
from microscope_qc.project.identity import KnownSlides, hold_the_same, orientation_at
from microscope_qc.project.records import SlideRecord
from microscope_qc.project.scenes import SceneFacts, slide_stem
from microscope_qc.project.store import PendingCommand, Store

MOST_FOLDERS = 3
"""So many folders may stand before the name of a slide to tell it from others of that name."""


@dataclass(slots=True, eq=False)
class PendingSlides:
    """Slides ready to be written: ``write`` may run in any thread, ``finish`` in that of the project.

    Written, ``ids`` holds the slide of each scene, in the order they were given, whether it is new or was there.
    """

    store: Store
    command: PendingCommand
    files: Sequence[Sequence[SceneFacts]]
    again: bool
    ids: list[int] = field(default_factory=list)
    _tables: dict[int, BoxTable] = field(default_factory=dict)

    def write(self) -> None:
        """Write everything in one transaction; when it fails, nothing is written and the project is free again."""
        try:
            rows, found = self._sort()
            edited = [
                Delta.edited("slides", self.store.row("slides", number, what="slide"), place)
                for number, place in found.items()
            ]
            self.command.deltas = [delta for delta in (*edited, Delta.inserted("slides", rows)) if delta]
            self.command.title = _title(rows, found, self.files)
            self.command.slide_id = self.ids[0] if len(self.files) == 1 else None
            # nothing was found on them yet: nobody need look into the database for it
            self._tables = {row["id"]: BoxTable() for row in rows}
        except BaseException:
            self.command.give_up()
            raise
        self.command.write()

    def finish(self) -> list[SlideRecord]:
        """Update memory to what was written, notify the listeners, and return the new slides."""
        memory = self.store.memory
        if not self.store.closed:
            memory.tables.update(self._tables)
            memory.opinions.update({number: OpinionTable() for number in self._tables})
        self.command.finish()
        return [memory.slides.by_id[number] for number in self._tables if number in memory.slides.by_id]

    def _sort(self) -> tuple[list[dict[str, Any]], dict[int, dict[str, Any]]]:
        """Rows of new slides, and the places of those that had been missing, by id."""
        store, records = self.store, self.store.memory.slides
        known = KnownSlides[SlideRecord | SceneFacts](records)
        id_of = {id(record): record.id for record in records}  # of what is known, which lives until the end
        names, places = _Names(self.files, (record.name for record in records)), _Places(store.path)
        rows: list[dict[str, Any]] = []
        found: dict[int, dict[str, Any]] = {}
        for scene in (scene for scenes in self.files for scene in scenes):
            there = known.at(scene)
            if there is None or not hold_the_same(there, scene):
                there = None if self.again else known.like(scene)
            if there is None:
                number = store.next_id("slides") + len(rows)
                rows.append({"id": number, "name": names.of(scene), **columns_of(scene, places)})
                known.add(scene)
                id_of[id(scene)] = number
            else:
                number = id_of[id(there)]
                if isinstance(there, SlideRecord) and there.missing:
                    now = {"orientation": orientation_at(there, scene)}
                    found.setdefault(number, places.of(scene.path) | now)
            self.ids.append(number)
        return rows, found


def prepare_adding(store: Store, files: Iterable[Sequence[SceneFacts]], *, again: bool, kind: str) -> PendingSlides:
    """Begin to add slides; see :meth:`Slides.prepare_adding <microscope_qc.project.parts.slides.Slides>`."""
    files = [list(scenes) for scenes in files if scenes]
    command = store.prepare("Add slides", [], kind=kind)
    command.drops_redo = True  # undone commands could not be redone on top of other slides
    return PendingSlides(store, command, files, again)


def columns_of(facts: SceneFacts, places: _Places) -> dict[str, Any]:
    """The columns of a new slide, without its id and name."""
    y, x = facts.pixel_size_um or (None, None)
    return {
        **places.of(facts.path),
        "scene": facts.scene,
        "fingerprint": facts.fingerprint,
        "height_px": int(facts.shape_px[0]),
        "width_px": int(facts.shape_px[1]),
        "pixel_size_y_um": None if y is None else float(y),
        "pixel_size_x_um": None if x is None else float(x),
        "content": facts.content,
        "fields": "{}",
        "orientation": facts.orientation,
    }


def _title(rows: list[dict[str, Any]], found: dict[int, Any], files: Sequence[Sequence[SceneFacts]]) -> str:
    if not rows:
        what = files[0][0].path.name if len(files) == 1 else things(len(found), "slide")
        return f"Find {what} again"
    if len(files) == 1 or len(rows) == 1:
        return f"Add slide {rows[0]['name']}"
    return f"Add {things(len(rows), 'slide')}"


class _Places:
    """Columns for where a slide lies; the way from the project to a folder is looked up once."""

    def __init__(self, project: Path) -> None:
        self._project = project
        self._ways: dict[Path, str | None] = {}

    def of(self, path: Path) -> dict[str, Any]:
        folder = path.parent
        if folder not in self._ways:
            try:
                self._ways[folder] = Path(os.path.relpath(folder, self._project)).as_posix()
            except ValueError:  # another drive on Windows
                self._ways[folder] = None
        way = self._ways[folder]
        return {"path": str(path), "relative_path": "" if way is None else f"{way}/{path.name}"}


class _Names:
    """A name for each slide that no other one has: that of its file, told from others by the folders above it."""

    def __init__(self, files: Sequence[Sequence[SceneFacts]], taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._next: dict[str, int] = {}
        paths = list(dict.fromkeys(scenes[0].path for scenes in files))
        count = Counter(slide_stem(path) for path in paths)
        alike: dict[str, list[Path]] = {}
        for path in paths:
            if count[slide_stem(path)] > 1:
                alike.setdefault(slide_stem(path), []).append(path)
        self._stems = {path: name for group in alike.values() for path, name in _told_apart(group).items()}

    def of(self, facts: SceneFacts) -> str:
        stem = self._stems.get(facts.path) or slide_stem(facts.path)
        name = one_line(f"{stem} {facts.scene}" if facts.scene else stem) or "Slide"
        candidate, number = name, self._next.get(name, 2)
        while candidate in self._taken:
            candidate, number = f"{name} ({number})", number + 1
        self._next[name] = number
        self._taken.add(candidate)
        return candidate


def _told_apart(paths: Sequence[Path]) -> dict[Path, str]:
    names: dict[Path, str] = {}
    for folders in range(1, MOST_FOLDERS + 1):
        names = {path: " ".join((*path.parent.parts[-folders:], slide_stem(path))) for path in paths}
        if len(set(names.values())) == len(paths):
            return names
    return names if len(set(names.values())) > 1 else {}


def one_line(name: str) -> str:
    """A name without what cannot be seen, such as the end of a line."""
    return "".join(letter if letter.isprintable() else " " for letter in name).strip()
