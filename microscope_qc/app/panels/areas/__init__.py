"""Densities of the slide on screen with the areas they count, and the areas that users declared complete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import with_project
from microscope_qc.app.panels.spec import PanelSpec

if TYPE_CHECKING:
    from microscope_qc.app.context import Context


def _make(context: Context, parent: QWidget) -> QWidget:
    from microscope_qc.app.panels.areas.panel import DensitiesPanel

    panel = DensitiesPanel(context.session, parent)
    panel.tool_requested.connect(lambda: context.navigator.trigger("tool.area"))
    panel.declared.draw_requested.connect(lambda: context.navigator.trigger("area.draw"))
    panel.declared.go_to_requested.connect(lambda bounds: _go_to(context, bounds))
    return panel


def _go_to(context: Context, bounds: tuple[float, float, float, float]) -> None:
    canvas = context.canvas
    context.navigator.show_canvas()
    canvas.set_view(canvas.view.fitted(*bounds, margin=1.2))


def _open(context: Context) -> None:
    context.navigator.show_panel("areas")


ACTIONS = (
    Action(
        "areas.open",
        "Densities",
        "Review",
        _open,
        (),
        "chart-box-outline",
        when=with_project,
        group=5,
        tooltip="Findings per mm² for each class, the area they were looked for in, and who says so",
    ),
)
PANEL = PanelSpec(
    "areas", "Densities", "chart-box-outline", "bottom", _make, ("annotate",), tab_with="gallery", actions=ACTIONS
)
