"""Studies: networks side by side on the project's labels, curves, and two detectors over all cross-sections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from microscope_qc.app.actions.action import Action
from microscope_qc.app.panels.spec import PanelSpec

if TYPE_CHECKING:
    from microscope_qc.app.context import Context


def _make(context: Context, parent: QWidget) -> QWidget:
    from microscope_qc.app.panels.learn.studies.panel import StudiesPanel

    return StudiesPanel(context.session, context.jobs, context.settings, parent)


def _open(context: Context) -> None:
    context.navigator.show_panel("studies")


ACTIONS = (Action("models.studies", "Compare networks", "Models", _open, (), "table-large"),)
PANEL = PanelSpec(
    "studies", "Studies", "table-large", "bottom", _make, workspaces=("learn",), tab_with="models", actions=ACTIONS
)
