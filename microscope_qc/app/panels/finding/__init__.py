"""Panel with the details of the selected finding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from microscope_qc.app.panels.spec import PanelSpec

if TYPE_CHECKING:
    from microscope_qc.app.context import Context


def _make(context: Context, parent: QWidget) -> QWidget:
    from microscope_qc.app.panels.finding.panel import FindingDock

    return FindingDock(context.session, parent)


PANEL = PanelSpec("card", "Finding", "card-text-outline", "right", _make, ("annotate",))
