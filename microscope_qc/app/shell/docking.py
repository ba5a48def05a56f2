"""The panels around the canvas as one table; each is built when it is first seen."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QDockWidget, QLabel, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from microscope_qc.app.shell.main_window import MainWindow

Factory = Callable[["MainWindow", QWidget], QWidget]

AREAS = {
    "left": Qt.DockWidgetArea.LeftDockWidgetArea,
    "right": Qt.DockWidgetArea.RightDockWidgetArea,
    "bottom": Qt.DockWidgetArea.BottomDockWidgetArea,
}
WORKSPACES = ("annotate", "review", "sem")


@dataclass(frozen=True, slots=True)
class DockSpec:
    """One panel: where it stands and in which workspaces it is seen at first.

    ``tab_with`` names the panel it shares its place with.
    """

    name: str
    title: str
    icon: str
    area: str
    factory: Factory
    workspaces: tuple[str, ...] = ()
    tab_with: str = ""


def _slides(window: MainWindow, parent: QWidget) -> QWidget:
    from microscope_qc.app.panels.slides import SlidesDock

    return SlidesDock(window, parent)


def _classes(window: MainWindow, parent: QWidget) -> QWidget:
    from microscope_qc.app.panels.classes.panel import ClassesDock

    dock = ClassesDock(window.session, parent)
    dock.manage_requested.connect(window.exchange.manage_classes)
    return dock


def _card(window: MainWindow, parent: QWidget) -> QWidget:
    from microscope_qc.app.panels.finding.panel import CardDock

    return CardDock(window.session, parent)


def _table(window: MainWindow, parent: QWidget) -> QWidget:
    from microscope_qc.app.panels.table import TableDock

    return TableDock(window.session, parent)


def _history(window: MainWindow, parent: QWidget) -> QWidget:
    from microscope_qc.app.panels.history import HistoryDock

    dock = HistoryDock(window.session, parent)
    dock.export_requested.connect(lambda: window.trigger("file.history"))
    return dock


def _jobs(window: MainWindow, parent: QWidget) -> QWidget:
    from microscope_qc.app.panels.jobs import JobsDock

    return JobsDock(window.jobs, parent)


def _log(window: MainWindow, parent: QWidget) -> QWidget:
    from microscope_qc.app.panels.log import LogDock

    return LogDock(window.log, parent)


def _layers(window: MainWindow, parent: QWidget) -> QWidget:
    return window.canvas.picture.layers_panel(parent)


def _gallery(window: MainWindow, parent: QWidget) -> QWidget:
    from microscope_qc.app.panels.gallery.panel import GalleryDock

    gallery = GalleryDock(window.session, parent)
    gallery.detect_requested.connect(lambda: window.show_dock("detect"))
    gallery.open_requested.connect(lambda: window.trigger("file.open"))
    return gallery


def _detect(window: MainWindow, parent: QWidget) -> QWidget:
    from microscope_qc.app.panels.detect.panel import DetectDock

    dock = DetectDock(window.session, window.jobs, parent, viewport=lambda: window.canvas.view.bounds)
    window.canvas.view_changed.connect(dock.on_view_changed)
    dock.run_details.show_on(window.canvas)
    dock.show_on(window.canvas)
    return dock


def _sem(window: MainWindow, parent: QWidget) -> QWidget:
    from microscope_qc.app.panels.sem.panel import SemDock

    sem = SemDock(window.session, window.jobs, parent)
    sem.gallery_requested.connect(lambda: window.show_dock("gallery"))
    return sem


def _display(window: MainWindow, parent: QWidget) -> QWidget:
    from microscope_qc.app.panels.display.panel import DisplayDock

    dock = DisplayDock(window.session, window.jobs, parent)
    dock.open_requested.connect(lambda: window.trigger("file.open"))
    return dock


def _bookmarks(window: MainWindow, parent: QWidget) -> QWidget:
    from microscope_qc.app.panels.bookmarks import BookmarksDock

    dock = BookmarksDock(window.session, parent)
    dock.add_requested.connect(lambda: window.trigger("bookmark.add"))
    dock.chosen.connect(window.look.go_to_bookmark)
    return dock


DOCKS: tuple[DockSpec, ...] = (
    DockSpec("slides", "Slides", "image-multiple-outline", "left", _slides, ("annotate", "sem")),
    DockSpec("classes", "Classes", "shape-outline", "left", _classes, ("annotate",)),
    DockSpec("layers", "Layers", "layers-outline", "left", _layers, tab_with="classes"),
    DockSpec("bookmarks", "Bookmarks", "bookmark-multiple-outline", "left", _bookmarks, tab_with="slides"),
    DockSpec("card", "Defect", "card-text-outline", "right", _card, ("annotate",)),
    DockSpec("detect", "Detect", "radar", "right", _detect, ("annotate",)),
    DockSpec("sem", "SEM", "microscope", "right", _sem, ("sem",)),
    DockSpec("display", "Brightness and contrast", "contrast-circle", "right", _display, tab_with="card"),
    DockSpec("history", "History", "history", "right", _history),
    DockSpec("gallery", "Gallery", "view-grid-outline", "bottom", _gallery, ("annotate",)),
    DockSpec("table", "Table", "table", "bottom", _table, ("annotate", "sem"), tab_with="gallery"),
    DockSpec("jobs", "Jobs", "progress-clock", "bottom", _jobs, tab_with="gallery"),
    DockSpec("log", "Log", "text-box-outline", "bottom", _log, tab_with="gallery"),
)


def available_docks() -> list[DockSpec]:
    """The table, without panels whose module is not installed."""
    optional = {"gallery", "detect", "sem"}
    package = "microscope_qc.app.panels"
    return [
        spec
        for spec in DOCKS
        if spec.name not in optional or importlib.util.find_spec(f"{package}.{spec.name}") is not None
    ]


class LazyDock(QDockWidget):
    """A panel whose content is made when it is first seen."""

    built = Signal(str)

    def __init__(self, spec: DockSpec, window: MainWindow) -> None:
        super().__init__(spec.title, window)
        self.spec = spec
        self._window = window
        self.content: QWidget | None = None
        self.setObjectName(f"dock.{spec.name}")
        self.setAllowedAreas(Qt.DockWidgetArea.AllDockWidgetAreas)
        self._holder = QWidget(self)
        layout = QVBoxLayout(self._holder)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        self.setWidget(self._holder)
        if spec.area == "bottom":
            self.setTitleBarWidget(QWidget(self))  # the tabs say it already, and a low screen needs the room
        self.visibilityChanged.connect(self._on_visibility_changed)

    def build(self) -> QWidget:
        """The content, made now if need be; a panel that fails says so and leaves the window alive."""
        if self.content is None:
            layout = self._holder.layout()
            assert layout is not None
            try:
                self.content = self.spec.factory(self._window, self._holder)
            except Exception as error:  # the panel alone is lost, and the person hears why
                self.content = QLabel(f"{self.spec.title} could not be opened.\nThe log says why.")
                self.content.setAlignment(Qt.AlignmentFlag.AlignCenter)
                self._window.errors.take(error)
            layout.addWidget(self.content)
            self.built.emit(self.spec.name)
        return self.content

    def _on_visibility_changed(self, visible: bool) -> None:
        if visible:
            self.build()
