"""The panels around the canvas; each is built when it is first shown."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QDockWidget, QLabel, QMainWindow, QVBoxLayout, QWidget

from microscope_qc.app.actions.table import ActionTable
from microscope_qc.app.base.turns import Later
from microscope_qc.app.panels.spec import PanelSpec
from microscope_qc.core.plugins import PluginProblem, Registry

if TYPE_CHECKING:
    from microscope_qc.app.context import Context

log = logging.getLogger(__name__)

AREAS = {
    "left": Qt.DockWidgetArea.LeftDockWidgetArea,
    "right": Qt.DockWidgetArea.RightDockWidgetArea,
    "bottom": Qt.DockWidgetArea.BottomDockWidgetArea,
}


@runtime_checkable
class ReadsCrops(Protocol):
    """Content with threads of its own."""

    def close_crops(self) -> None:
        """Stop the threads that read crops (the window is closing)."""


class LazyDock(QDockWidget):
    """A panel whose content is made when it is first shown, and the window has a moment for it.

    While panels are arranged, those behind others are in front for an instant: they are not made for that.
    """

    built = Signal(str)

    def __init__(self, spec: PanelSpec, context: Context, window: QMainWindow) -> None:
        super().__init__(spec.title, window)
        self.spec = spec
        self._context = context
        self.content: QWidget | None = None
        self.setObjectName(f"dock.{spec.name}")
        self.setAllowedAreas(Qt.DockWidgetArea.AllDockWidgetAreas)
        self._holder = QWidget(self)
        layout = QVBoxLayout(self._holder)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        self.setWidget(self._holder)
        if spec.area == "bottom":
            self.setTitleBarWidget(QWidget(self))  # the tabs show the title already, and low screens need the space
        self._in_front = False
        self._build_soon = Later(self, self._build_in_turn)
        self.visibilityChanged.connect(self._on_visibility_changed)
        self.hide()

    def build(self) -> QWidget:
        """Return the content, made now if needed; a panel that fails says so, and the window stays usable."""
        if self.content is None:
            layout = self._holder.layout()
            assert layout is not None
            try:
                self.content = self.spec.factory(self._context, self._holder)
            except Exception as error:  # only this panel is lost, and the user is told why
                self.content = QLabel(f"{self.spec.title} could not be opened.\nSee the log for the reason.")
                self.content.setAlignment(Qt.AlignmentFlag.AlignCenter)
                self._context.errors.take(error)
            layout.addWidget(self.content)
            self.built.emit(self.spec.name)
        return self.content

    def _on_visibility_changed(self, visible: bool) -> None:
        self._in_front = visible
        if visible and self.content is None:
            self._build_soon.soon()

    def _build_in_turn(self) -> None:
        if self._in_front:
            self.build()


def built_in_panels(registry: Registry[PanelSpec], table: ActionTable) -> list[PanelSpec]:
    """Return the built-in panels, after registering their actions in the table."""
    panels = [registry.get(name) for name in registry if not registry.package_of(name)]
    for spec in panels:
        table.register(spec.actions)
    return panels


def plugin_panels(registry: Registry[PanelSpec], table: ActionTable) -> tuple[list[PanelSpec], list[PluginProblem]]:
    """Return the panels of other packages, after registering their actions, and those that are left out."""
    panels, clashing = [], []
    for name, spec in registry.items():
        package = registry.package_of(name)
        if not package:
            continue
        try:
            table.register(spec.actions)
        except ValueError as error:
            clashing.append(PluginProblem(registry.group, name, package, f"{error}."))
            log.warning("%s", clashing[-1])
        else:
            panels.append(spec)
    return panels, [*registry.problems, *clashing]
