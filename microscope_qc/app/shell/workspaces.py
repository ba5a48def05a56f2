"""Five arrangements of the panels, each remembered as it was left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from qtpy.QtCore import QByteArray, QRect, Qt, QTimer
from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QMainWindow, QPushButton, QTabBar, QTabWidget, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.panels.spec import WORKSPACES
from microscope_qc.app.shell.docking import AREAS, LazyDock

if TYPE_CHECKING:
    from microscope_qc.app.base.settings import AppSettings
    from microscope_qc.app.session.session import Session

TITLES = {"annotate": "Annotate", "review": "Review", "learn": "Learn", "statistics": "Statistics", "sem": "SEM"}
TIPS = {
    "annotate": "Slide, classes, detection and gallery",
    "review": "One finding at a time, nothing else",
    "learn": "Train the detector with what was confirmed, drawn and rejected",
    "statistics": "Numbers and plots of groups of slides",
    "sem": "Marks, alignment and the list of places to visit",
}
WITH_PAGE = ("review", "learn", "statistics")
"""Workspaces with a page in the place of the canvas."""
LAYOUT_VERSION = 5
SEM_WIDTH = 464
"""Wide enough for every column of the marks and of the travel list."""


class Workspaces:
    """Switches panels and the page in the middle.

    Parameters
    ----------
    show_page
        Shows the page that belongs in the middle.
    """

    def __init__(
        self,
        window: QMainWindow,
        docks: Mapping[str, LazyDock],
        session: Session,
        settings: AppSettings,
        *,
        show_page: Callable[[], None],
    ) -> None:
        self._window, self._docks = window, docks
        self._session, self._settings, self._show_page = session, settings, show_page
        self.current = ""
        self._shown = False
        self.buttons = WorkspaceButtons(window)
        self.buttons.chosen = self.use
        self.bars: list[QWidget] = [self.buttons]  # visible only with a project

    def use(self, name: str) -> None:
        """Switch to a workspace; the arrangement of the one before is remembered."""
        if name not in WORKSPACES or name == self.current:
            return
        self.remember()
        self.current = name
        self._settings.workspace = name
        self.buttons.check(name)
        if self._session.project is not None:
            if name in WITH_PAGE:  # the canvas is not shown while panels move: it would be drawn again for each
                self._show_page()
            self._show()
            if name not in WITH_PAGE:
                self._show_page()

    def show_or_hide(self) -> None:
        """Show panels only with a project: the welcome page has none."""
        with_project = self._session.project is not None
        if with_project and not self._shown:
            self._show()
        elif not with_project:
            self.remember()
            self._shown = False
            for dock in self._docks.values():
                dock.hide()
        # after the layout was saved or restored: the tool bar is part of it
        for bar in self.bars:
            bar.setVisible(with_project)

    def _show(self) -> None:
        name = self.current
        self._shown = True
        self._give_corner(name)
        state = self._settings.layouts.get(name)
        restored = bool(state) and self._window.restoreState(
            QByteArray.fromHex(QByteArray(str(state).encode("ascii"))), LAYOUT_VERSION
        )
        if not restored:
            self._arrange(name)
            return
        QTimer.singleShot(0, self._hide_left_tabs)
        QTimer.singleShot(0, lambda: self._resize(name))
        for dock in self._docks.values():
            if (
                self._window.dockWidgetArea(dock) == Qt.DockWidgetArea.NoDockWidgetArea
            ):  # not part of the saved arrangement
                self._place(dock)
                dock.hide()

    def remember(self) -> None:
        """Remember the arrangement of the current workspace."""
        if self._shown:
            state = self._window.saveState(LAYOUT_VERSION)
            sizes = {
                name: (dock.width(), dock.height() + self._height_of_tabs(dock)) for name, dock in self._seen().items()
            }
            if sizes:
                self._settings.dock_sizes = {**self._settings.dock_sizes, self.current: sizes}
            self._settings.layouts = {
                **self._settings.layouts,
                self.current: bytes(state.toHex().data()).decode("ascii"),
            }

    def _resize(self, name: str) -> None:
        """Give panels their sizes back: Qt shrinks those that it restores while they are hidden."""
        if not (self._shown and self.current == name):
            return
        kept = self._settings.dock_sizes.get(name, {})
        sizes = {dock: kept[panel] for panel, dock in self._seen().items() if panel in kept}
        if sizes:
            docks = list(sizes)
            self._window.resizeDocks(docks, [wide for wide, _ in sizes.values()], Qt.Orientation.Horizontal)
            self._window.resizeDocks(docks, [high for _, high in sizes.values()], Qt.Orientation.Vertical)

    def _seen(self) -> dict[str, LazyDock]:
        """Panels with a place in the window, of each group of tabs the one in front: the others have old sizes."""
        return {
            name: dock
            for name, dock in self._docks.items()
            if not dock.isFloating() and not dock.visibleRegion().isEmpty()
        }

    def _height_of_tabs(self, dock: LazyDock) -> int:
        """The height of the tab bar of a panel: Qt counts it where it gives sizes."""
        if all(other.isHidden() for other in self._window.tabifiedDockWidgets(dock)):
            return 0
        beside = [bar for bar in self._tab_bars() if _touch(bar.geometry(), dock.geometry())]
        return max((bar.height() for bar in beside if dock.windowTitle() in _titles(bar)), default=0)

    def _tab_bars(self) -> list[QTabBar]:
        """The tab bars of panels that are on screen."""
        bars = self._window.findChildren(QTabBar, options=Qt.FindChildOption.FindDirectChildrenOnly)
        return [bar for bar in bars if bar.isVisible() and self._window.rect().intersects(bar.geometry())]

    def _hide_left_tabs(self) -> None:
        """Hide tab bars of an earlier arrangement: Qt leaves some of them over the panels when all panels move."""
        layout = self._window.layout()
        if layout is not None:
            layout.activate()
        shown = {dock.windowTitle(): dock for dock in self._docks.values() if dock.isVisible()}
        for bar in self._tab_bars():
            titles = _titles(bar) & shown.keys()
            if not any(_touch(bar.geometry(), shown[title].geometry()) for title in titles):
                bar.hide()

    def reset(self) -> None:
        """Restore the default arrangement of this workspace."""
        settings, current = self._settings, self.current
        settings.layouts = {name: state for name, state in settings.layouts.items() if name != current}
        settings.dock_sizes = {name: sizes for name, sizes in settings.dock_sizes.items() if name != current}
        self._arrange(current)
        self._show_page()

    def _give_corner(self, name: str) -> None:
        """Let the right panels reach the bottom, as they need the height; in review the strip takes the width."""
        area = AREAS["bottom"] if name == "review" else AREAS["right"]
        self._window.setCorner(Qt.Corner.BottomRightCorner, area)

    def _arrange(self, name: str) -> None:
        window = self._window
        QTimer.singleShot(0, self._hide_left_tabs)
        self._give_corner(name)
        docks = self._docks
        for dock in docks.values():
            if dock.isFloating():
                dock.setFloating(False)
            window.addDockWidget(AREAS[dock.spec.area], dock)
            dock.hide()
        window.setTabPosition(AREAS["bottom"], QTabWidget.TabPosition.North)
        for dock in docks.values():
            if dock.spec.tab_with in docks:
                window.tabifyDockWidget(docks[dock.spec.tab_with], dock)
        shown = [dock for dock in docks.values() if name in dock.spec.workspaces]
        for dock in shown:
            dock.show()
        for dock in shown:
            if not dock.spec.tab_with:
                dock.raise_()
        self._give_usual_sizes(name)
        # once more when the window has laid itself out: before, it has no room to give
        QTimer.singleShot(0, lambda: self._give_usual_sizes(name))

    def _give_usual_sizes(self, name: str) -> None:
        if not (self._shown and self.current == name):
            return
        window = self._window
        shown = [dock for dock in self._docks.values() if name in dock.spec.workspaces and not dock.isHidden()]
        # those behind a tab have the size of the one in front
        names = {dock.spec.name for dock in shown}
        front = [dock for dock in shown if dock.spec.tab_with not in names]
        by_area = {area: [dock for dock in front if dock.spec.area == area] for area in AREAS}
        if by_area["left"]:
            window.resizeDocks(by_area["left"], [236] * len(by_area["left"]), Qt.Orientation.Horizontal)
            window.resizeDocks(by_area["left"], [220, 320][: len(by_area["left"])], Qt.Orientation.Vertical)
        if by_area["right"]:
            wide = SEM_WIDTH if name == "sem" else 276
            window.resizeDocks(by_area["right"], [wide] * len(by_area["right"]), Qt.Orientation.Horizontal)
            window.resizeDocks(by_area["right"], [330, 460][: len(by_area["right"])], Qt.Orientation.Vertical)
        if by_area["bottom"]:
            high = max(216, round(window.height() * 0.24))
            window.resizeDocks(by_area["bottom"], [high] * len(by_area["bottom"]), Qt.Orientation.Vertical)

    def _place(self, dock: LazyDock) -> None:
        self._window.addDockWidget(AREAS[dock.spec.area], dock)
        beside = self._docks.get(dock.spec.tab_with)
        if beside is not None:
            self._window.tabifyDockWidget(beside, dock)


def _titles(bar: QTabBar) -> set[str]:
    return {bar.tabText(place) for place in range(bar.count())}


def _touch(bar: QRect, dock: QRect) -> bool:
    """Whether a tab bar lies along a panel."""
    return bar.adjusted(-1, -1, 1, 1).intersects(dock) and not bar.adjusted(1, 1, -1, -1).intersects(dock)


class WorkspaceButtons(QWidget):
    """Annotate | Review | Learn | Statistics | SEM, at the right of the menu bar."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.chosen: Callable[[str], object] = lambda _name: None
        self._group = QButtonGroup(self)
        self._group.setExclusive(True)
        self.buttons: dict[str, QPushButton] = {}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 2, theme.STEP, 2)
        row.setSpacing(2)
        for name in WORKSPACES:
            button = QPushButton(TITLES[name])
            button.setCheckable(True)
            button.setProperty("segment", True)
            button.setToolTip(TIPS[name])
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.clicked.connect(lambda _checked=False, name=name: self.chosen(name))
            self._group.addButton(button)
            self.buttons[name] = button
            row.addWidget(button)

    def check(self, name: str) -> None:
        """Mark the current workspace."""
        self.buttons[name].setChecked(True)
