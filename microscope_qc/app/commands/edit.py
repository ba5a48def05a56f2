"""Undo, clipboard, selection and tools."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtWidgets import QApplication

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import selected, with_project, with_slide, writing, writing_slide
from microscope_qc.app.commands import clipboard
from microscope_qc.core.wording import things

if TYPE_CHECKING:
    from microscope_qc.app.context import Context
    from microscope_qc.app.session.session import Session

DUPLICATE_POINTS = 16
"""Offset of copies from their originals, in points on the screen."""

# -- undo --------------------------------------------------------------------------------------------------------------


def _undo(context: Context) -> None:
    context.session.undoing.undo()


def _redo(context: Context) -> None:
    context.session.undoing.redo()


def _undoable(context: Context) -> str:
    project = context.session.project
    return "Nothing to undo." if project is None or not project.history.can_undo else writing(context)


def _redoable(context: Context) -> str:
    project = context.session.project
    return "Nothing to redo." if project is None or not project.history.can_redo else writing(context)


def _undo_words(context: Context) -> str:
    project = context.session.project
    title = project.history.undo_title if project is not None and project.history.can_undo else ""
    return f"Undo: {title}" if title else ""


def _redo_words(context: Context) -> str:
    project = context.session.project
    title = project.history.redo_title if project is not None and project.history.can_redo else ""
    return f"Redo: {title}" if title else ""


# -- clipboard ---------------------------------------------------------------------------------------------------------


def copy(context: Context) -> None:
    """Put the selected findings on the clipboard as table and boxes, or the measured length."""
    session = context.session
    if session.slide_view.measurement is not None and (session.tool == "length" or not len(session.selection)):
        copy_length(context)
        return
    ids = session.selection.ids
    if len(ids):
        clipboard.put_findings(session, ids)
        session.notice.emit(f"{things(len(ids), 'finding')} copied.")


def _cut(context: Context) -> None:
    """Cut those on the slide on screen: only these can be pasted."""
    ids = context.session.on_screen(context.session.selection.ids)
    if len(ids):
        clipboard.put_findings(context.session, ids)
        context.session.editing.cut(ids)


def _paste(context: Context) -> None:
    """Paste the findings on the clipboard at the mouse."""
    y, x = context.canvas.place_under_mouse()
    context.session.editing.paste(clipboard.findings(), y=y, x=x)


def _duplicate(context: Context) -> None:
    away = DUPLICATE_POINTS / context.canvas.view.zoom
    context.session.editing.duplicate(context.session.selection.ids, dy_px=away, dx_px=away)


def copy_length(context: Context) -> None:
    """Put the measured length and angle on the clipboard."""
    session, board = context.session, QApplication.clipboard()
    measured = session.slide_view.measurement
    if measured is not None and board is not None:
        words = measured.words(session.pixel_size_um)
        board.setText(words.replace("   ", "\t"))
        session.notice.emit(f"Copied: {words}")


def _delete(context: Context) -> None:
    session = context.session
    count, words = len(session.selection), _counted(session)
    session.editing.delete(session.selection.ids)
    if count > 1:
        session.notice.emit(f"{words} deleted. Undo brings them back.")


def _counted(session: Session) -> str:
    """How many findings are selected, and on how many slides if on several."""
    ids = session.selection.ids
    slides = np.unique(session.scoped.slides_of(ids))
    where = f" on {things(len(slides), 'slide')}" if len(slides) > 1 else ""
    return f"{things(len(ids), 'finding')}{where}"


def _copyable(context: Context) -> str:
    session = context.session
    if session.slide_view.measurement is not None:
        return ""
    return with_project(context) or ("" if len(session.selection) else "Select findings or measure a line first.")


def _measured(context: Context) -> str:
    return "" if context.session.slide_view.measurement is not None else "Measure a line first."


# -- selection and tools -----------------------------------------------------------------------------------------------


def _select_all(context: Context) -> None:
    """Select all findings that are shown in the lists; on the slide on screen alone if they work over it alone."""
    session = context.session
    session.selection.set(session.scoped.shown.rows()["id"].copy())
    if session.scoped.several:
        session.notice.emit(f"{_counted(session)} selected.")


def _select_none(context: Context) -> None:
    """Cancel a gesture, else remove the measured line, else put the tool away, else clear the selection."""
    session = context.session
    if context.canvas.cancel_gesture():
        return
    if session.slide_view.measurement is not None:
        session.slide_view.set_measurement(None)
    elif session.tool != "select":
        session.set_tool("select")
    else:
        session.suggested.select(None)
        session.selection.clear()


def _use_tool(tool: str, context: Context) -> None:
    """Choose a tool; choosing the current one again puts it away."""
    session = context.session
    session.set_tool("select" if tool == session.tool else tool)
    context.navigator.refresh_actions()
    context.canvas.setFocus()


def _is_current(tool: str, context: Context) -> bool:
    return context.session.tool == tool


def _tool(name: str, text: str, key: str, icon: str, tooltip: str, *, writes: bool = False) -> Action:
    return Action(
        f"tool.{name}",
        text,
        "Edit",
        partial(_use_tool, name),
        (key,),
        icon,
        tooltip,
        when=writing_slide if writes else with_slide,
        group=4,
        toolbar=True,
        checked=partial(_is_current, name),
    )


ACTIONS = (
    Action("edit.undo", "Undo", "Edit", _undo, ("Ctrl+Z",), "undo", when=_undoable, toolbar=True, words=_undo_words),
    Action(
        "edit.redo",
        "Redo",
        "Edit",
        _redo,
        ("Ctrl+Shift+Z", "Ctrl+Y"),
        "redo",
        when=_redoable,
        toolbar=True,
        words=_redo_words,
    ),
    Action(
        "edit.copy",
        "Copy findings",
        "Edit",
        copy,
        ("Ctrl+C",),
        "content-copy",
        when=_copyable,
        group=1,
        tooltip="As a table for other programs and as boxes for pasting; or the measured length, if there is a line",
    ),
    Action("edit.cut", "Cut findings", "Edit", _cut, ("Ctrl+X",), "content-cut", when=selected, group=1),
    Action(
        "edit.paste",
        "Paste findings",
        "Edit",
        _paste,
        ("Ctrl+V",),
        "content-paste",
        when=writing_slide,
        group=1,
        tooltip="At the mouse, on this slide or another one",
    ),
    Action(
        "edit.duplicate",
        "Duplicate findings",
        "Edit",
        _duplicate,
        ("Ctrl+J",),
        "content-duplicate",
        when=selected,
        group=1,
    ),
    Action("edit.delete", "Delete findings", "Edit", _delete, ("Delete",), "delete-outline", when=selected, group=1),
    Action(
        "edit.select_all",
        "Select all shown findings",
        "Edit",
        _select_all,
        ("Ctrl+A",),
        "select-all",
        when=with_slide,
        group=2,
    ),
    Action("edit.select_none", "Clear the selection", "Edit", _select_none, ("Esc",), "select-off", group=2),
    _tool(
        "select",
        "Select and move",
        "V",
        "cursor-default-outline",
        "Click a finding; drag to pan; Ctrl-drag selects an area",
    ),
    _tool(
        "draw",
        "Draw boxes",
        "B",
        "vector-square-plus",
        "Drag a box around a defect; a click makes one if the class has a default size",
        writes=True,
    ),
    _tool(
        "mark",
        "Place a mark",
        "M",
        "map-marker-plus-outline",
        "Click a point that you will recognise in the SEM",
        writes=True,
    ),
    _tool(
        "length",
        "Measure a length",
        "L",
        "arrow-expand-horizontal",
        "Drag from end to end; Shift snaps to steps of 15°; Ctrl C copies the length, Esc removes the line",
    ),
    Action("edit.copy_length", "Copy measured length", "", copy_length, (), "content-copy", when=_measured),
)
