"""Context menu of the canvas."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QMenu

if TYPE_CHECKING:
    from microscope_qc.app.context import Context

ON_FINDINGS = (
    "review.confirm", "review.reject", "review.unreview", "review.choose", "edit.delete", "edit.copy", "edit.cut",
    "edit.duplicate",
)  # fmt: skip
ANYWHERE = ("tool.draw", "tool.length", "view.fit_slide", "view.go_to")


def show_canvas_menu(context: Context, place: QPoint) -> None:
    """Open the menu at a global position: what can be done with the selection, and what can be done anywhere."""
    session, navigator = context.session, context.navigator
    menu = QMenu(navigator.window)
    if len(session.selection):
        menu.addActions(navigator.menu_actions(ON_FINDINGS))
        classes = menu.addMenu("Class")
        for item in session.classes:
            words = f"{item.code}  {item.name}" + (f"\t{item.key}" if item.key else "")
            classes.addAction(words, partial(_relabel, context, item.id)).setEnabled(session.can_write)
        menu.addSeparator()
    menu.addActions(navigator.menu_actions(("edit.paste",)))
    if session.slide_view.measurement is not None:
        menu.addActions(navigator.menu_actions(("edit.copy_length",)))
    menu.addActions(navigator.menu_actions(ANYWHERE))
    menu.exec(place)


def _relabel(context: Context, class_id: int) -> None:
    context.session.judging.relabel(context.session.selection.ids, class_id)
