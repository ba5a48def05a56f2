"""The models at hand: what they find and how well, which is in use, and how a new one compares with it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from microscope_qc.app.actions.action import Action
from microscope_qc.app.panels.spec import PanelSpec

if TYPE_CHECKING:
    from pathlib import Path

    from microscope_qc.app.context import Context


def _make(context: Context, parent: QWidget) -> QWidget:
    from microscope_qc.app.panels.models.panel import ModelsPanel
    from microscope_qc.app.panels.models.spots import show_spot

    def show_comparison(folder: Path) -> None:
        context.navigator.show_panel("comparisons")
        context.session.measuring.show_comparison(folder)

    panel = ModelsPanel(context.session, context.jobs, context.session.measuring, parent)
    panel.review_requested.connect(lambda: context.navigator.use_workspace("review"))
    panel.spot_requested.connect(partial(show_spot, context))
    panel.comparison_requested.connect(show_comparison)
    return panel


def _open(context: Context) -> None:
    context.navigator.show_panel("models")


ACTIONS = (Action("models.list", "Models", "Models", _open, (), "brain"),)
PANEL = PanelSpec(
    "models", "Models", "brain", "bottom", _make, workspaces=("learn",), tab_with="gallery", actions=ACTIONS
)
