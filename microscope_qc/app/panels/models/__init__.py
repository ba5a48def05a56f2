"""The models at hand: what they find and how well, which is in use, and how a new one compares with it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from microscope_qc.app.actions.action import Action
from microscope_qc.app.panels.spec import PanelSpec

if TYPE_CHECKING:
    from microscope_qc.app.context import Context
    from microscope_qc.workflows.learning.which_findings import Spot


def _make(context: Context, parent: QWidget) -> QWidget:
    from microscope_qc.app.panels.models.panel import ModelsPanel

    panel = ModelsPanel(context.session, context.jobs, context.session.measuring, parent)
    panel.review_requested.connect(lambda: context.navigator.use_workspace("review"))
    panel.spot_requested.connect(partial(_show_spot, context))
    return panel


def _show_spot(context: Context, spot: Spot) -> None:
    """Show a place where there is no finding, on its slide."""
    context.navigator.show_canvas()
    context.session.show_slide(spot.slide)
    canvas = context.canvas
    canvas.set_view(canvas.view.fitted(*spot.box, margin=6.0))


def _open(context: Context) -> None:
    context.navigator.show_panel("models")


ACTIONS = (Action("models.list", "Models", "Models", _open, (), "brain"),)
PANEL = PanelSpec(
    "models", "Models", "brain", "bottom", _make, workspaces=("learn",), tab_with="gallery", actions=ACTIONS
)
