"""Brightness, contrast, channels and white balance of the slide on screen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import with_slide
from microscope_qc.app.panels.display.planes import PLANE_ACTIONS
from microscope_qc.app.panels.spec import PanelSpec
from microscope_qc.slides.display import DisplaySettings, visible_channels
from microscope_qc.slides.plane import Plane

if TYPE_CHECKING:
    from microscope_qc.app.context import Context
    from microscope_qc.slides.histogram import Histogram


def _make(context: Context, parent: QWidget) -> QWidget:
    from microscope_qc.app.panels.display.panel import DisplayDock

    dock = DisplayDock(context.session, context.jobs, parent)
    dock.open_requested.connect(lambda: context.navigator.trigger("file.open"))
    return dock


def _open(context: Context) -> None:
    context.navigator.show_panel("display")


def auto_contrast(context: Context) -> None:
    """Set black and white to the darkest and brightest 0.1 % of the channels that are shown."""
    from microscope_qc.slides.histogram import histogram

    session = context.session
    mosaic, view = session.mosaic, session.slide_view
    if mosaic is None:
        return
    shown = visible_channels(mosaic, view.display)
    picture = mosaic.on(Plane(view.display.place.within(mosaic.stack)))

    def take(made: list[Histogram]) -> None:
        if mosaic is session.mosaic:
            display = view.display
            for channel, counts in zip(shown, made, strict=True):
                display = display.with_channel(channel, replace(display.channel(channel), window=counts.auto_window))
            view.set_display(display)

    context.jobs.call(lambda: [histogram(picture, channel) for channel in shown], on_done=take)


def _reset(context: Context) -> None:
    view = context.session.slide_view
    view.set_display(DisplaySettings(place=view.display.place))


def _pick_grey_place(context: Context) -> None:
    context.navigator.show_panel("display")
    context.session.set_tool("grey")


def _rgb_slide(context: Context) -> str:
    mosaic = context.session.mosaic
    return with_slide(context) or ("" if mosaic is not None and mosaic.rgb else "Only for RGB slides.")


ACTIONS = (
    Action(
        "view.display",
        "Brightness and contrast",
        "View",
        _open,
        ("C",),
        "contrast-circle",
        when=with_slide,
        group=2,
        tooltip="Black, white, gamma, channels, white balance; for display only",
    ),
    Action(
        "view.auto_contrast",
        "Automatic contrast",
        "View",
        auto_contrast,
        ("Shift+C",),
        "auto-fix",
        when=with_slide,
        group=2,
    ),
    Action(
        "view.reset_display", "Reset brightness and contrast", "View", _reset, (), "restore", when=with_slide, group=2
    ),
    Action(
        "view.grey_place",
        "Pick a grey area for the white balance",
        "",
        _pick_grey_place,
        (),
        "eyedropper-variant",
        when=_rgb_slide,
    ),
    *PLANE_ACTIONS,
)
PANEL = PanelSpec(
    "display", "Brightness and contrast", "contrast-circle", "right", _make, tab_with="card", actions=ACTIONS
)
