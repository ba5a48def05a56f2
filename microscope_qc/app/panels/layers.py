"""napari's own list of layers and their controls, for users who add their own layers to the slide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from microscope_qc.app.panels.spec import PanelSpec

if TYPE_CHECKING:
    from microscope_qc.app.context import Context


def _make(context: Context, parent: QWidget) -> QWidget:
    return context.canvas.picture.layers_panel(parent)


PANEL = PanelSpec("layers", "Layers", "layers-outline", "left", _make, tab_with="classes")
