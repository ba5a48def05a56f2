"""The list of slides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from microscope_qc.app.panels.spec import PanelSpec

if TYPE_CHECKING:
    from microscope_qc.app.context import Context


def _make(context: Context, parent: QWidget) -> QWidget:
    from microscope_qc.app.panels.slides.panel import SlidesDock

    return SlidesDock(context, parent)


PANEL = PanelSpec(
    "slides", "Slides", "image-multiple-outline", "left", _make, ("annotate", "learn", "statistics", "sem")
)
