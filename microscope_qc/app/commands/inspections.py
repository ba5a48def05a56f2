"""Blind inspections: begin one, end it, give it up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import writing_slide

if TYPE_CHECKING:
    from microscope_qc.app.context import Context


def _begin(context: Context) -> None:
    context.navigator.show_canvas()
    context.session.inspecting.begin(context.canvas.view.bounds)
    if context.session.tool != "draw":
        context.session.set_tool("draw")
    context.navigator.refresh_actions()
    context.canvas.setFocus()


def _end(context: Context) -> None:
    context.session.inspecting.end()
    context.session.set_tool("select")
    context.navigator.refresh_actions()


def _give_up(context: Context) -> None:
    context.session.inspecting.give_up()
    context.session.set_tool("select")
    context.navigator.refresh_actions()


def _can_begin(context: Context) -> str:
    if context.session.inspecting.running:
        return "An inspection is running: end it first."
    return writing_slide(context) or ("" if context.canvas.isVisible() else "Go to the slide first.")


def _is_running(context: Context) -> str:
    return writing_slide(context) or ("" if context.session.inspecting.running else "Begin an inspection first.")


ACTIONS = (
    Action(
        "inspect.begin",
        "Inspect blind",
        "Review",
        _begin,
        (),
        "eye-off-outline",
        when=_can_begin,
        group=4,
        tooltip="Hides all findings: draw every defect of the picked area, or of what is in view. It is timed, and "
        "matched with what models found",
    ),
    Action(
        "inspect.end",
        "Inspection is done",
        "Review",
        _end,
        (),
        "eye-check-outline",
        when=_is_running,
        group=4,
        tooltip="Every defect in the area is drawn: says what you, what models and what both found",
    ),
    Action(
        "inspect.give_up",
        "Give the inspection up",
        "Review",
        _give_up,
        (),
        "eye-remove-outline",
        when=_is_running,
        group=4,
        tooltip="Shows all findings again; what was drawn stays",
    ),
)
