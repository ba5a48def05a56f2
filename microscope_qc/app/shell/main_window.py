"""The window: canvas in the middle, panels around it, everything held together by the session."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QByteArray, QSize, Qt, QTimer
from qtpy.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QShowEvent
from qtpy.QtWidgets import (
    QApplication,
    QMainWindow,
    QMenu,
    QStackedWidget,
    QToolBar,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.actions.menus import ActionBook
from microscope_qc.app.actions.table import action_by_id
from microscope_qc.app.base import theme
from microscope_qc.app.base.jobs import JobHandle, JobRunner
from microscope_qc.app.base.key_guard import KeyGuard
from microscope_qc.app.base.log import LogKeeper
from microscope_qc.app.base.settings import Settings, apply_cache_limit, load_settings, save_settings
from microscope_qc.app.canvas.canvas import Canvas
from microscope_qc.app.canvas.seen_watch import LookWatch
from microscope_qc.app.commands.exchange import ExchangeCommands
from microscope_qc.app.commands.files import FileCommands
from microscope_qc.app.commands.look import LookCommands
from microscope_qc.app.commands.review import ReviewCommands
from microscope_qc.app.commands.slides import SlideCommands
from microscope_qc.app.dialogs.palette import CommandPalette
from microscope_qc.app.panels.review.keys import RejectStrip
from microscope_qc.app.session.session import Session
from microscope_qc.app.shell.conversion import Conversions, OfferBar
from microscope_qc.app.shell.docking import DockSpec, LazyDock, available_docks
from microscope_qc.app.shell.feedback import ErrorSink, MessageBar, Toast
from microscope_qc.app.shell.read_only import ReadOnlyBar
from microscope_qc.app.shell.status import StatusLine
from microscope_qc.app.shell.welcome import WelcomePage
from microscope_qc.app.shell.workspaces import Workspaces
from microscope_qc.core.errors import MicroscopeQCError

if TYPE_CHECKING:
    from microscope_qc.app.panels.review.page import ReviewPane

log = logging.getLogger(__name__)


class _Pages(QStackedWidget):
    """Asks for no more room than the page in sight needs (Qt: than the largest page needs, seen or not)."""

    def minimumSizeHint(self) -> QSize:
        """Qt: what the page in sight needs."""
        page = self.currentWidget()
        return super().minimumSizeHint() if page is None else page.minimumSizeHint()


class MainWindow(QMainWindow):
    """One window, one project."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__()
        self.setObjectName("mainWindow")
        self.setDockOptions(
            QMainWindow.DockOption.AllowTabbedDocks
            | QMainWindow.DockOption.AllowNestedDocks
            | QMainWindow.DockOption.AnimatedDocks
        )
        self.setAcceptDrops(True)
        self.setMinimumSize(900, 560)
        self.log = LogKeeper(self)
        self.errors = ErrorSink(self)
        settings_words = ""
        if settings is None:
            settings, settings_words = load_settings()
        self.settings = settings
        apply_cache_limit(settings)
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        self._app = app
        theme.apply_theme(app, settings.theme)
        self.jobs = JobRunner(self)
        self.session = Session(self.jobs)
        self.canvas = Canvas(self.session)
        LookWatch(self.session, self.canvas, settings)
        self.offer_bar = OfferBar()
        self.conversions = Conversions(self.session, self.jobs, self.offer_bar)
        self.slides = SlideCommands(self)
        self.files = FileCommands(self)
        self.look = LookCommands(self)
        self.exchange = ExchangeCommands(self)
        self._commands: tuple[object, ...] = (
            self.files,
            self.look,
            ReviewCommands(self),
            self.exchange,
            self.slides,
            self,
        )
        self.book = ActionBook(self, self.session, settings, self._resolve)
        self._review: ReviewPane | None = None
        self._palette: CommandPalette | None = None
        self._fresh = QTimer(self)
        self._fresh.setSingleShot(True)
        self._fresh.timeout.connect(self._refresh_actions)
        self._build_middle()
        self.status = StatusLine(self.session, self.canvas, self.jobs, self)
        self.setStatusBar(self.status)
        self.docks: dict[str, LazyDock] = {}
        for spec in available_docks():
            self.register_dock(spec.factory, spec.name, spec.area, spec.workspaces, spec=spec)
        self.workspaces = Workspaces(self)
        self._build_bars()
        self._listen()
        self._restore()
        if settings_words:
            self.session.notice.emit(settings_words)

    # -- putting together --------------------------------------------------------------------------------------------

    def _build_middle(self) -> None:
        middle = QWidget()
        column = QVBoxLayout(middle)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.message_bar = MessageBar()
        self._with_project = False
        self.pages = _Pages()
        self.welcome = WelcomePage(self.settings)
        self.pages.addWidget(self.welcome)
        self.pages.addWidget(self.canvas)
        self.read_only_bar = ReadOnlyBar(self.session, open_for_writing=self.files.open_for_writing)
        column.addWidget(self.read_only_bar)
        column.addWidget(self.message_bar)
        column.addWidget(self.offer_bar)
        column.addWidget(self.pages, 1)
        self.setCentralWidget(middle)
        self.toast = Toast(middle)
        self.reasons = RejectStrip(self.canvas)
        self.reasons.chosen.connect(self._commands[2].reject_because)  # type: ignore[attr-defined]

    def _build_bars(self) -> None:
        bar = self.menuBar()
        assert bar is not None
        self.book.build_menus(bar)
        places = self.book.menus["View/Bookmarks"]
        places.aboutToShow.connect(partial(self.look.fill_bookmark_menu, places, len(places.actions())))
        panels = QMenu("Panels", self)
        for name, dock in self.docks.items():
            toggle = dock.toggleViewAction()
            if name == "layers":
                self.book.menus["View"].addAction(toggle)
            else:
                panels.addAction(toggle)
        self.book.menus["View"].addMenu(panels)
        bar.setCornerWidget(self.workspaces.buttons, Qt.Corner.TopRightCorner)
        self.tools = tools = QToolBar("Tools", self)
        tools.setObjectName("toolBar")
        tools.setMovable(False)
        tools.setIconSize(QSize(20, 20))
        tools.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        self.book.build_tool_bar(tools)
        self.addToolBar(Qt.ToolBarArea.TopToolBarArea, tools)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)
        self._take_theme()

    def register_dock(
        self,
        factory: Callable[[MainWindow, QWidget], QWidget],
        name: str,
        area: str,
        workspaces: tuple[str, ...],
        *,
        title: str = "",
        spec: DockSpec | None = None,
    ) -> LazyDock:
        """Add a panel whose content ``factory`` makes when it is first seen."""
        spec = spec or DockSpec(name, title or name.capitalize(), "", area, factory, workspaces)
        dock = LazyDock(spec, self)
        dock.hide()
        self.docks[name] = dock
        return dock

    def _listen(self) -> None:
        session = self.session
        for signal in (session.project_changed, session.slide_changed, session.mosaic_changed, session.slides_changed):
            signal.connect(self._on_place_changed)
        for signal in (
            session.selection.changed,
            session.history_changed,
            session.boxes_changed,
            session.classes_changed,
        ):
            signal.connect(self.book_refresh_soon)
        session.slide_view.measurement_changed.connect(self._on_measurement_changed)
        session.slide_view.veil_changed.connect(self.book_refresh_soon)
        session.mosaic_changed.connect(self._ask_pixel_size_once)
        session.tool_changed.connect(self._on_tool_changed)
        session.notice.connect(self._on_notice)
        session.line_drawn.connect(self.slides.set_size_from_line)
        session.centre_requested.connect(self._on_centre_requested)
        self.errors.person_error.connect(self._on_person_error)
        self.errors.program_error.connect(self._on_program_error)
        self.jobs.failed.connect(self._on_job_failed)
        self.canvas.read_failed.connect(self._on_person_error)
        self.canvas.menu_requested.connect(self._on_menu_requested)
        self.welcome.open_requested.connect(lambda: self.trigger("file.open"))
        self.welcome.sample_requested.connect(lambda: self.trigger("file.sample"))
        self.welcome.recent_chosen.connect(lambda path: self.files.open_paths([path]))
        hints = self._app.styleHints()
        if hints is not None and hasattr(hints, "colorSchemeChanged"):
            hints.colorSchemeChanged.connect(self._on_system_theme_changed)
        self._guard = KeyGuard(self._app, self)

    def _restore(self) -> None:
        self.resize(1366, 768)
        if self.settings.geometry:
            self.restoreGeometry(QByteArray.fromHex(QByteArray(self.settings.geometry.encode("ascii"))))
        self.workspaces.use(self.settings.workspace if self.settings.workspace in ("annotate", "sem") else "annotate")
        self.workspaces.show_or_hide()
        self.canvas.legend.set_wanted(self.settings.legend)
        self._on_place_changed()

    # -- actions -----------------------------------------------------------------------------------------------------

    def _resolve(self, name: str) -> Callable[..., object]:
        for commands in self._commands:
            method: Callable[..., object] | None = getattr(commands, name, None)
            if callable(method):
                return method
        raise AttributeError(f"no command {name}")

    def trigger(self, action_id: str) -> None:
        """Do an action of the table."""
        self.book.trigger(action_by_id(action_id))

    def book_refresh_soon(self, *_: object) -> None:
        """Enable and disable actions now, put them into words after the event that is being handled."""
        self.book.enable()
        if not self._fresh.isActive():
            self._fresh.start(30)

    def _refresh_actions(self) -> None:
        self.book.refresh()
        steps = None if self.session.project is None else self.session.project.history
        for action_id, word, title in (
            ("edit.undo", "Undo", steps.undo_title if steps is not None and steps.can_undo else ""),
            ("edit.redo", "Redo", steps.redo_title if steps is not None and steps.can_redo else ""),
        ):
            self.book.actions[action_id].setText(f"{word}: {title}" if title else word)
        for key in "1234567890":
            item = next((item for item in self.session.classes if item.key == key), None)
            words = f"{item.code}  {item.name}" if item is not None else action_by_id(f"class.{key}").text
            self.book.actions[f"class.{key}"].setText(words)
        for tool in ("select", "draw", "mark", "length"):
            self.book.actions[f"tool.{tool}"].setChecked(self.session.tool == tool)
        self.book.actions["view.legend"].setChecked(self.canvas.legend.wanted)
        self.book.actions["view.veil"].setChecked(self.session.slide_view.veil)

    def palette_popup(self) -> CommandPalette:
        """The command palette."""
        if self._palette is None:
            self._palette = CommandPalette(self.book, self.session, self)
        return self._palette

    def show_dock(self, name: str) -> QWidget | None:
        """Open a panel and return its content; None when it is not installed."""
        dock = self.docks.get(name)
        if dock is None:
            self.session.notice.emit("This panel is not installed.")
            return None
        if self.workspaces.current == "review" and name != "review":
            self.workspaces.use("sem" if name == "sem" else "annotate")
        content = dock.build()
        dock.show()
        dock.raise_()
        return content

    def save_settings(self) -> None:
        """Write the settings; a failure is said, not raised."""
        words = save_settings(self.settings)
        if words:
            self.session.notice.emit(words)

    # -- what is in the middle ---------------------------------------------------------------------------------------

    def show_page(self) -> None:
        """Welcome page without a project, else the page of the workspace."""
        if self.session.project is None and self.session.ahead is not None:
            self.pages.setCurrentWidget(self.canvas)
        elif self.session.project is None:
            self.welcome.refresh()
            self.pages.setCurrentWidget(self.welcome)
        elif self.workspaces.current == "review":
            page = self._review_page()
            self.pages.setCurrentWidget(page)
            page.setFocus()
        else:
            self.pages.setCurrentWidget(self.canvas)
            self.canvas.setFocus()

    def _review_page(self) -> QWidget:
        if self._review is None:
            from microscope_qc.app.panels.review.page import ReviewPane

            self._review = ReviewPane(self.session, self)
            self.pages.addWidget(self._review)
        return self._review

    def _on_place_changed(self) -> None:
        project, slide = self.session.project, self.session.slide
        words = ["microscope-qc"]
        if project is not None:
            words.insert(0, project.name + (" (read only)" if project.read_only else ""))
            if slide is not None and slide.name != project.name:
                words.insert(0, slide.name)
        self.setWindowTitle(" – ".join(words))
        if (project is not None) != self._with_project:
            self._with_project = project is not None
            self.workspaces.show_or_hide()
            self.show_page()
        self.status.refresh()
        self.book_refresh_soon()

    def _ask_pixel_size_once(self) -> None:
        project, slide = self.session.project, self.session.slide
        if project is None or slide is None or self.session.mosaic is None or project.read_only:
            return
        if self.message_bar.shows_error:
            return  # a question must not take an error away; it comes when the slide is shown again
        asked = project.settings.get("asked_pixel_size", [])
        if slide.pixel_size_um is None and slide.id not in asked:
            project.settings.set("asked_pixel_size", [*asked, slide.id])
            self.message_bar.ask(
                f"The file does not say how large a pixel of {slide.name} is.",
                "Sizes in µm and detections need it: give a number, or draw along the scale bar.",
                "Set pixel size…",
                lambda: self.trigger("slide.pixel_size"),
            )

    def _on_centre_requested(self, _box_id: int) -> None:
        self.status.refresh()

    def _on_tool_changed(self, tool: str) -> None:
        if tool == "mark":
            self.show_dock("sem")  # it asks for the stage position of what is placed
        self.book_refresh_soon()

    def _on_measurement_changed(self) -> None:
        self.canvas.update_later()
        self.book_refresh_soon()

    def _on_menu_requested(self, place: Any) -> None:
        menu = QMenu(self)
        names: tuple[str, ...] = ("review.confirm", "review.reject", "review.unreview", "review.choose", "edit.delete")
        names += ("edit.copy", "edit.cut", "edit.duplicate")
        if len(self.session.selection):
            for name in names:
                menu.addAction(self.book.actions[name])
            classes = menu.addMenu("Class")
            for item in self.session.classes:
                words = f"{item.code}  {item.name}" + (f"\t{item.key}" if item.key else "")
                classes.addAction(words, partial(self._relabel, item.id)).setEnabled(self.session.can_write)
            menu.addSeparator()
        menu.addAction(self.book.actions["edit.paste"])
        if self.session.slide_view.measurement is not None:
            menu.addAction(self.book.actions["edit.copy_length"])
        for name in ("tool.draw", "tool.length", "view.fit_slide", "view.go_to"):
            menu.addAction(self.book.actions[name])
        menu.exec(place)

    def _relabel(self, class_id: int) -> None:
        self.session.relabel(self.session.selection.ids, class_id)

    # -- saying things -----------------------------------------------------------------------------------------------

    def _on_notice(self, words: str) -> None:
        log.info("%s", words)
        self.toast.say(words)

    def _on_person_error(self, error: MicroscopeQCError) -> None:
        self.message_bar.show_error(error)

    def _on_program_error(self, sentence: str, details: str) -> None:
        self.message_bar.show_program_error(sentence, details)

    def _on_job_failed(self, handle: JobHandle) -> None:
        if handle.error is not None:
            self.errors.take(handle.error)

    # -- looks -------------------------------------------------------------------------------------------------------

    def use_theme(self, choice: str) -> None:
        """Follow the system, or be light or dark."""
        self.settings.theme = choice  # type: ignore[assignment]
        self.save_settings()
        self._take_theme()

    def _on_system_theme_changed(self, *_: object) -> None:
        if self.settings.theme == "system":
            self._take_theme()

    def _take_theme(self) -> None:
        colours = theme.apply_theme(self._app, self.settings.theme)
        self.book.refresh_icons()
        self.welcome.refresh()
        self.status.refresh_icons()
        self.offer_bar.refresh_look()
        self.read_only_bar.refresh_look()
        self.canvas.picture.set_background(colours.canvas)

    # -- Qt's events -------------------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        """Qt: the first time, catch errors from here on."""
        super().showEvent(event)
        self.errors.install()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Qt: files may be dropped anywhere."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Qt: open or add what was dropped."""
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        event.acceptProposedAction()
        if paths:
            # after the drop: an error message must not hold the other program's drag
            QTimer.singleShot(0, lambda: self.files.dropped(paths))

    def closeEvent(self, event: QCloseEvent) -> None:
        """Qt: stop the work, close the project, keep the settings."""
        self.workspaces.remember()
        self.settings.geometry = bytes(self.saveGeometry().toHex().data()).decode("ascii")
        self.jobs.close()
        for dock in self.docks.values():
            _close_crops(dock.content)
        _close_crops(self._review)
        self.session.set_project(None)
        self.canvas.close_canvas()
        save_settings(self.settings)
        self._guard.close()
        self.errors.uninstall()
        self.log.close()
        event.accept()


def _close_crops(widget: QWidget | None) -> None:
    close = getattr(widget, "close_crops", None)
    if callable(close):
        close()
