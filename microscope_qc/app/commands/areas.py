"""Declaring areas complete: the tool, the two areas of one click, and whether declared areas are outlined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import with_slide, writing_slide

if TYPE_CHECKING:
    from microscope_qc.app.context import Context

TOOL = "area"


def _use_tool(context: Context) -> None:
    """Take the tool up, or put it away."""
    session = context.session
    context.navigator.show_canvas()
    session.set_tool("select" if session.tool == TOOL else TOOL)
    context.navigator.refresh_actions()
    context.canvas.setFocus()


def _in_hand(context: Context) -> bool:
    return context.session.tool == TOOL


def _declare_slide(context: Context) -> None:
    context.session.declaring.declare_slide()


def _declare_view(context: Context) -> None:
    context.session.declaring.declare_view(context.canvas.view.bounds)


def _draw(context: Context) -> None:
    context.session.declaring.draw()


def _next_to_search(context: Context) -> None:
    context.navigator.show_canvas()
    context.session.declaring.go_to_next()


def _searched(context: Context) -> None:
    area = context.session.declaring.to_search
    if area is not None:
        context.session.declaring.searched(area)


def _to_search(context: Context) -> str:
    picked = context.session.declaring.to_search is not None
    return writing_slide(context) or ("" if picked else "Go to an area that was drawn at random first.")


def _with_view(context: Context) -> str:
    return writing_slide(context) or ("" if context.canvas.isVisible() else "Go to the slide first.")


def _toggle_shown(context: Context) -> None:
    """Outline declared areas on the canvas, or not."""
    settings = context.settings
    settings.declared_areas = not settings.declared_areas
    context.session.declaring.show(settings.declared_areas)
    context.navigator.save_settings()
    context.navigator.refresh_actions()


def _shown(context: Context) -> bool:
    return context.session.declaring.shown


ACTIONS = (
    Action(
        "tool.area",
        "I have looked at all of this",
        "Review",
        _use_tool,
        ("A",),
        "shape-polygon-plus",
        when=writing_slide,
        group=3,
        toolbar=True,
        checked=_in_hand,
        tooltip="Outline an area in which every defect is marked: densities then count it",
    ),
    Action(
        "area.slide",
        "Declare the whole slide complete",
        "Review",
        _declare_slide,
        (),
        "select-all",
        when=writing_slide,
        group=3,
        tooltip="For the classes chosen in the tool; undo takes it back",
    ),
    Action(
        "area.view",
        "Declare what is in view complete",
        "Review",
        _declare_view,
        (),
        "monitor-eye",
        when=_with_view,
        group=3,
        tooltip="For the classes chosen in the tool; undo takes it back",
    ),
    Action(
        "area.draw",
        "Draw areas to search at random",
        "Review",
        _draw,
        (),
        "dice-multiple-outline",
        when=writing_slide,
        group=4,
        tooltip="Ten squares where models scanned: what they missed there says how much they miss",
    ),
    Action(
        "area.next",
        "Next area to search",
        "Review",
        _next_to_search,
        (),
        "skip-next-outline",
        when=with_slide,
        group=4,
    ),
    Action(
        "area.searched",
        "This area is searched",
        "Review",
        _searched,
        (),
        "check-all",
        when=_to_search,
        group=4,
        tooltip="Every defect of the classes chosen in the tool is marked in the area that was drawn at random",
    ),
    Action(
        "view.areas",
        "Declared areas",
        "View",
        _toggle_shown,
        ("Shift+A",),
        "vector-polygon",
        when=with_slide,
        group=3,
        checked=_shown,
        tooltip="Outlines areas that were declared complete on the canvas",
    ),
)
