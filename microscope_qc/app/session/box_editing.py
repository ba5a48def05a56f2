"""Editing boxes: draw, move, delete, copy, cut, paste, duplicate. Each is one entry of the history."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.app.session.clipboard import MOST, CopiedBoxes
from microscope_qc.core.boxes import ReviewState, make_rows
from microscope_qc.core.errors import InputError
from microscope_qc.core.wording import things
from microscope_qc.project.parts.boxes import DRAWING

if TYPE_CHECKING:
    from microscope_qc.app.session.state import SessionState
    from microscope_qc.app.session.writing import Writing
    from microscope_qc.project import Project
    from microscope_qc.project.records import LogEntry

Box = tuple[float, float, float, float]
FEW = 500
NUDGES_S = 1.0
"""Nudges within this time of each other are undone together."""


class BoxEditing:
    """Edits boxes of the slide on screen."""

    def __init__(self, session: SessionState, writing: Writing) -> None:
        self._session, self._writing = session, writing
        self._nudged: tuple[Project, LogEntry | None, np.ndarray, float] | None = None

    def _project(self) -> Project:
        if self._session.project is None or self._session.slide is None:
            raise InputError("No slide is open.", hint="Open a slide first.")
        return self._session.project

    def delete(self, ids: np.ndarray) -> None:
        """Delete boxes (can be undone)."""
        if len(ids):
            self._project().boxes.delete(ids, carry_out=self._writing.carry_out)

    # -- clipboard ---------------------------------------------------------------------------------------------------

    def copied(self, ids: np.ndarray) -> CopiedBoxes:
        """Return what goes on the clipboard: of the slide on screen.

        Raises
        ------
        InputError
            If there are too many to copy.
        """
        session, project = self._session, self._project()
        if len(ids) > MOST:
            raise InputError("At most 100 000 findings can be copied at once.", hint="Select fewer, or export them.")
        rows = session.table.get(session.on_screen(ids))
        slide = session.slide
        assert slide is not None
        numbers = rows["id"].tolist()
        if len(numbers) <= FEW:  # do not read those of all other boxes of the slide
            attributes = {number: found for number in numbers if (found := project.attributes.get(number))}
            outlines = {number: shape for number in numbers if (shape := project.outlines.get(number)) is not None}
        else:
            attributes, outlines = project.attributes.of_slide(slide.id), project.outlines.of_slide(slide.id)
        codes = {item.id: item.code for item in session.classes}
        return CopiedBoxes(
            np.stack([rows[name] for name in ("y0", "x0", "y1", "x1")], axis=1),
            tuple(codes.get(class_id, "?") for class_id in rows["class_id"].tolist()),
            tuple(rows["note"].tolist()),
            session.pixel_size_um,
            {place: attributes[number] for place, number in enumerate(numbers) if number in attributes},
            {place: outlines[number] for place, number in enumerate(numbers) if number in outlines},
        )

    def cut(self, ids: np.ndarray) -> None:
        """Delete boxes that were copied."""
        if len(ids):
            title = f"Cut {things(len(ids), 'finding')}"
            self._project().boxes.delete(ids, title=title, carry_out=self._writing.carry_out)

    def paste(self, copied: CopiedBoxes, *, y: float, x: float) -> np.ndarray:
        """Paste copied boxes around a position of the slide on screen, inside it, and select them; returns their ids.

        Raises
        ------
        InputError
            If the project lacks one of their classes, or they do not fit on the slide.
        """
        session, project = self._session, self._project()
        slide = session.slide
        assert slide is not None
        by_code = {item.code: item.id for item in session.classes}
        lost = sorted({code for code in copied.codes if code not in by_code})
        if lost:
            raise InputError(
                f"This project does not have the class {', '.join(lost[:5])}.",
                hint="Add it in the panel Classes, then paste again.",
            )
        placed = copied.around(y, x, pixel_size_um=session.pixel_size_um)
        placed = placed.moved(*self._into_slide(placed.corners))
        rows = make_rows(len(placed), class_id=[by_code[code] for code in placed.codes], note=list(placed.notes))
        for name, side in zip(("y0", "x0", "y1", "x1"), placed.corners.T, strict=True):
            rows[name] = side
        made = project.boxes.add_many(
            {slide.id: rows},
            title=f"Paste {things(len(rows), 'finding')}",
            attributes={slide.id: placed.attributes},
            outlines={slide.id: placed.outlines},
        )[slide.id]
        session.selection.set(made)
        return made

    def duplicate(self, ids: np.ndarray, *, dy_px: float, dx_px: float) -> None:
        """Add copies next to the originals on the slide on screen (inside it), and select them."""
        ids = self._session.on_screen(ids)
        if len(ids) == 0:
            return
        rows = self._session.table.get(ids)
        corners = np.stack([rows[name] for name in ("y0", "x0", "y1", "x1")], axis=1)
        shift = np.round([dy_px, dx_px])
        back = self._into_slide(corners + np.tile(shift, 2))
        if any(back):  # at the edge of the slide the copies go to the other side
            shift = -shift
            back = self._into_slide(corners + np.tile(shift, 2))
        made = self._project().boxes.duplicate(
            ids,
            dy_px=float(shift[0] + back[0]),
            dx_px=float(shift[1] + back[1]),
            title=f"Duplicate {things(len(ids), 'finding')}",
        )
        self._session.selection.set(made)

    # -- drawing and moving ------------------------------------------------------------------------------------------

    def draw(self, y0: float, x0: float, y1: float, x1: float) -> int:
        """Add a box of the class to draw and select it; returns its id."""
        session, project = self._session, self._project()
        slide = session.slide
        assert slide is not None
        rows = make_rows(
            1,
            class_id=session.draw_class_id,
            y0=y0,
            x0=x0,
            y1=y1,
            x1=x1,
            state=ReviewState.CONFIRMED,  # drawn by a user: it needs no confirmation
        )
        code = session.class_of(session.draw_class_id).code
        box_id = int(project.boxes.add(slide.id, rows, title=f"{DRAWING}{code}")[0])
        session.drawn_last = box_id
        session.selection.set([box_id])
        return box_id

    def move(self, box_id: int, y0: float, x0: float, y1: float, x1: float, *, resized: bool = False) -> None:
        """Move or resize a box."""
        title = "Resize 1 finding" if resized else "Move 1 finding"
        self._project().boxes.edit([box_id], title=title, y0=y0, x0=x0, y1=y1, x1=x1)

    def click_size_px(self) -> tuple[float, float] | None:
        """Height and width of the box that one click makes; None if the class to draw has no default size."""
        session = self._session
        size_um = session.class_of(session.draw_class_id).box_size_um
        if size_um is None or session.pixel_size_um is None:
            return None
        return max(1.0, round(size_um / session.pixel_size_um[0])), max(1.0, round(size_um / session.pixel_size_um[1]))

    def click_box(self, y: float, x: float) -> Box | None:
        """The box that a click at a position makes, clipped to the slide; None if a click makes none."""
        size, slide = self.click_size_px(), self._session.slide
        if size is None or slide is None:
            return None
        (height, width), (slide_height, slide_width) = size, slide.shape_px
        y0, x0 = float(round(y - height / 2)), float(round(x - width / 2))
        box = max(y0, 0.0), max(x0, 0.0), min(y0 + height, float(slide_height)), min(x0 + width, float(slide_width))
        return box if box[2] > box[0] and box[3] > box[1] else None

    def nudge(self, ids: np.ndarray, dy_px: float, dx_px: float) -> None:
        """Move boxes a little; steps in quick succession are one entry of the history."""
        project, now = self._project(), time.monotonic()
        last, self._nudged = self._nudged, None
        goes_on = last is not None and last[0] is project and now - last[3] <= NUDGES_S and np.array_equal(last[2], ids)
        if self.move_by(ids, dy_px, dx_px, amends=last[1] if last is not None and goes_on else None):
            self._nudged = project, project.history.undo_entry, ids.copy(), now

    def move_by(self, ids: np.ndarray, dy_px: float, dx_px: float, *, amends: LogEntry | None = None) -> bool:
        """Move boxes of the slide on screen together, as far as all stay on it; returns whether they moved.

        ``amends`` is the previous command, if this one continues it.
        """
        ids = self._session.on_screen(ids)
        if len(ids) == 0:
            return False
        rows = self._session.table.get(ids)
        dy, dx = self.possible_move(rows, dy_px, dx_px)
        if dy == 0 and dx == 0:
            return False
        self._project().boxes.edit(
            ids,
            amends=amends,
            title=f"Move {things(len(ids), 'finding')}",
            y0=rows["y0"] + dy,
            y1=rows["y1"] + dy,
            x0=rows["x0"] + dx,
            x1=rows["x1"] + dx,
        )
        return True

    def possible_move(self, rows: np.ndarray, dy_px: float, dx_px: float) -> tuple[float, float]:
        """How far boxes can be moved together; those beyond the edge of the slide can only move back."""
        slide = self._session.slide
        if slide is None or len(rows) == 0:
            return 0.0, 0.0
        height, width = slide.shape_px
        return (
            _held(dy_px, float(rows["y0"].min()), float(rows["y1"].max()), height),
            _held(dx_px, float(rows["x0"].min()), float(rows["x1"].max()), width),
        )

    def _into_slide(self, corners: np.ndarray) -> tuple[float, float]:
        """The move that brings all of some boxes onto the slide."""
        slide = self._session.slide
        assert slide is not None
        low, high = corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)
        moves = []
        for axis in (0, 1):
            if high[axis] - low[axis] > slide.shape_px[axis]:
                raise InputError(
                    "These findings do not fit on this slide.", hint="Select fewer, or open another slide."
                )
            moves.append(float(max(-low[axis], 0.0) - max(high[axis] - slide.shape_px[axis], 0.0)))
        return moves[0], moves[1]


def _held(step: float, low: float, high: float, end: float) -> float:
    return min(step, max(end - high, 0.0)) if step > 0 else max(step, min(-low, 0.0))
