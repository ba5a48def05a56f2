"""Going through the pictures of a stack and through channels by keys."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import with_slide
from microscope_qc.slides.display import visible_channels

if TYPE_CHECKING:
    from collections.abc import Callable

    from microscope_qc.app.context import Context

MENU = "View/Planes and channels"


def _with_stack(context: Context) -> str:
    mosaic = context.session.mosaic
    return with_slide(context) or ("" if mosaic is not None and mosaic.stack else "This slide is a single picture.")


def _with_channels(context: Context) -> str:
    mosaic = context.session.mosaic
    several = mosaic is not None and len(mosaic.channels) > 1
    return with_slide(context) or ("" if several else "This slide has only one channel.")


def _turned(step: int) -> Callable[[Context], None]:
    def turn(context: Context) -> None:
        """Show the next or previous picture along the axis that was used last."""
        mosaic, view = context.session.mosaic, context.session.slide_view
        if mosaic is None or not mosaic.stack:
            return
        axis = next((axis for axis in mosaic.stack if axis.key == view.stack_axis), mosaic.stack[0])
        place = view.display.place.within(mosaic.stack)
        index = min(max(place.along(axis.key) + step, 0), axis.size - 1)
        view.set_display(replace(view.display, place=place.moved(axis.key, index)))

    return turn


def _only_channel(step: int) -> Callable[[Context], None]:
    def show(context: Context) -> None:
        """Show only the next or previous channel."""
        mosaic, view = context.session.mosaic, context.session.slide_view
        if mosaic is None:
            return
        count = len(mosaic.channels)
        visible = visible_channels(mosaic, view.display)
        first = 0 if step > 0 else count - 1
        wanted = (visible[0] + step) % count if len(visible) == 1 else first
        show_channels(context, {wanted})

    return show


def show_channels(context: Context, wanted: set[int]) -> None:
    """Show some channels and hide the others."""
    mosaic, view = context.session.mosaic, context.session.slide_view
    if mosaic is not None:
        display = view.display
        for index in range(len(mosaic.channels)):
            display = display.with_channel(index, replace(display.channel(index), visible=index in wanted))
        view.set_display(display)


def _all_channels(context: Context) -> None:
    mosaic = context.session.mosaic
    if mosaic is not None:
        show_channels(context, set(range(len(mosaic.channels))))


PLANE_ACTIONS = (
    Action(
        "plane.next",
        "Next plane or page",
        MENU,
        _turned(1),
        (".",),
        "arrow-down",
        "The next picture of the stack: focus plane, time point or page",
        when=_with_stack,
        group=2,
    ),
    Action(
        "plane.previous", "Previous plane or page", MENU, _turned(-1), (",",), "arrow-up", when=_with_stack, group=2
    ),
    Action(
        "channel.next",
        "Only the next channel",
        MENU,
        _only_channel(1),
        ("Alt+.",),
        "arrow-right",
        when=_with_channels,
        group=2,
    ),
    Action(
        "channel.previous",
        "Only the previous channel",
        MENU,
        _only_channel(-1),
        ("Alt+,",),
        "arrow-left",
        when=_with_channels,
        group=2,
    ),
    Action("channel.all", "All channels", MENU, _all_channels, (), "layers-outline", when=_with_channels, group=2),
)
