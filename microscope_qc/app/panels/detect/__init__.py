"""Detections: model, scan area, time, and their results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import with_slide, writing_slide
from microscope_qc.app.panels.spec import PanelSpec

if TYPE_CHECKING:
    from microscope_qc.app.context import Context


def _make(context: Context, parent: QWidget) -> QWidget:
    from microscope_qc.app.panels.detect.panel import DetectDock

    canvas = context.canvas
    dock = DetectDock(context.session, context.jobs, parent, viewport=lambda: canvas.view.bounds)
    canvas.view_changed.connect(dock.on_view_changed)
    dock.run_details.show_on(canvas)
    dock.show_on(canvas)
    return dock


def _open(context: Context) -> None:
    context.navigator.show_panel("detect")


def _find_unusual(context: Context) -> None:
    from microscope_qc.app.panels.detect.panel import DetectDock

    dock = context.navigator.show_panel("detect")
    if isinstance(dock, DetectDock):
        dock.find_unusual()


ACTIONS = (
    Action("detect.open", "Detect…", "Detect", _open, ("Ctrl+D",), "radar", when=with_slide),
    Action(
        "detect.unusual", "Find what is unusual", "Detect", _find_unusual, when=writing_slide,
        tooltip="Learns what is normal on this slide, and shows the rest; no label is needed",
    ),
)  # fmt: skip
PANEL = PanelSpec("detect", "Detect", "radar", "right", _make, ("annotate",), actions=ACTIONS)
