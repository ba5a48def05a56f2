"""Comparisons of a new model with the one in use: figures, where they are wrong, and the step to either."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from microscope_qc.app.actions.action import Action
from microscope_qc.app.panels.spec import PanelSpec

if TYPE_CHECKING:
    from microscope_qc.app.context import Context


def _make(context: Context, parent: QWidget) -> QWidget:
    from microscope_qc.app.panels.models.comparisons.panel import ComparisonsPanel
    from microscope_qc.app.panels.models.spots import show_spot

    panel = ComparisonsPanel(context.session, context.jobs, context.session.measuring, parent)
    panel.review_requested.connect(lambda: context.navigator.use_workspace("review"))
    panel.spot_requested.connect(partial(show_spot, context))
    return panel


def _open(context: Context) -> None:
    context.navigator.show_panel("comparisons")


ACTIONS = (Action("models.comparisons", "Comparisons of models", "Models", _open, (), "compare"),)
PANEL = PanelSpec(
    "comparisons", "Comparisons", "compare", "bottom", _make, workspaces=("learn",), tab_with="models", actions=ACTIONS
)
