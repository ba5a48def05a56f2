"""The window: canvas in the middle, panels around it, everything held together by its context."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from qtpy.QtCore import QByteArray, QSize, Qt, QTimer
from qtpy.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QShowEvent
from qtpy.QtWidgets import QApplication, QMainWindow, QMenu, QToolBar, QVBoxLayout, QWidget

from microscope_qc.app.actions.book import ActionBook
from microscope_qc.app.actions.table import ActionTable
from microscope_qc.app.base import theme
from microscope_qc.app.base.error_sink import ErrorSink
from microscope_qc.app.base.jobs import JobHandle, JobRunner
from microscope_qc.app.base.key_guard import KeyGuard
from microscope_qc.app.base.settings import AppSettings, apply_cache_limit, load_settings, save_settings
from microscope_qc.app.canvas.area.area_tool import AreaTool
from microscope_qc.app.canvas.canvas import Canvas
from microscope_qc.app.canvas.seen_watch import SeenWatch
from microscope_qc.app.commands import files, save_as_new, slides
from microscope_qc.app.commands.table import ACTIONS
from microscope_qc.app.context import Context
from microscope_qc.app.panels import bookmarks
from microscope_qc.app.panels.spec import panel_registry
from microscope_qc.app.session.session import Session
from microscope_qc.app.shell.ahead import ModulesAhead
from microscope_qc.app.shell.contents import ContentReader
from microscope_qc.app.shell.context_menu import show_canvas_menu
from microscope_qc.app.shell.conversion import Conversions, OfferBar
from microscope_qc.app.shell.detector import DetectorReadiness
from microscope_qc.app.shell.displaced_bar import DisplacedBar
from microscope_qc.app.shell.dividers import Dividers
from microscope_qc.app.shell.docking import LazyDock, ReadsCrops, built_in_panels, plugin_panels
from microscope_qc.app.shell.feedback import MessageBar, Toast
from microscope_qc.app.shell.help import DialogHelp
from microscope_qc.app.shell.hourly_backup import HourlyBackup
from microscope_qc.app.shell.navigator import WindowNavigator
from microscope_qc.app.shell.offers import Offers
from microscope_qc.app.shell.own_actions import own_actions
from microscope_qc.app.shell.pages import Pages
from microscope_qc.app.shell.read_only import ReadOnlyBar
from microscope_qc.app.shell.slide_watch import SlideWatch
from microscope_qc.app.shell.status import StatusLine
from microscope_qc.app.shell.theme_switcher import ThemeSwitcher
from microscope_qc.app.shell.tour import remember_tour
from microscope_qc.app.shell.welcome import WelcomePage
from microscope_qc.app.shell.workspaces import Workspaces
from microscope_qc.core.errors import ChangedSlideError, DisplacedProjectError, MicroscopeQCError
from microscope_qc.core.plugins import PluginProblem
from microscope_qc.project.records import SlideRecord

log = logging.getLogger(__name__)

IN_VIEW_MENU = "layers"
"""The panel that is listed in the View menu itself; the others are in its submenu Panels."""


class MainWindow(QMainWindow):
    """One window, one project."""

    def __init__(self, settings: AppSettings | None = None) -> None:
        super().__init__()
        self.setObjectName("mainWindow")
        self.setDockOptions(
            QMainWindow.DockOption.AllowTabbedDocks
            | QMainWindow.DockOption.AllowNestedDocks
            | QMainWindow.DockOption.AnimatedDocks
        )
        self.setAcceptDrops(True)
        self.setMinimumSize(900, 560)
        self.errors = ErrorSink(self)
        settings_words = ""
        if settings is None:
            settings, settings_words = load_settings()
        self.settings = settings
        apply_cache_limit(settings)
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        self.theme_switcher = ThemeSwitcher(app, settings, self._save_settings, self)
        self.jobs = JobRunner(self)
        self.session = Session(self.jobs)
        self.canvas = Canvas(self.session)
        SeenWatch(self.session, self.canvas, settings)
        AreaTool(self.canvas)
        self.offer_bar = OfferBar()
        self.offers = Offers(self.session)
        self.contents = ContentReader(self.session, self.jobs, self)
        self.slide_watch = SlideWatch(self.session, self.jobs, self, tell=self._on_slides_changed)
        HourlyBackup(self.session, self.jobs, self)
        DetectorReadiness(self.session, self.jobs, settings, self)
        ModulesAhead(self.session, self.jobs, self)
        self.learning = self.session.learning
        self.conversions = Conversions(self.session, self.jobs, self.offer_bar)
        self._with_project = self._said_of_project = False
        self._build_middle()
        self._build_context()
        self.status = StatusLine(self.session, self.canvas, self.jobs, self)
        self.setStatusBar(self.status)
        self._build_bars()
        self._listen(app)
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
        self.welcome = WelcomePage(self.settings)
        self.pages = Pages(self.session, self.jobs, self.settings, self.welcome, self.canvas)
        self.read_only_bar = ReadOnlyBar(self.session, open_for_writing=self._open_for_writing)
        self.displaced_bar = DisplacedBar(self.session, save_as_new=self._save_as_new)
        column.addWidget(self.displaced_bar)
        column.addWidget(self.read_only_bar)
        column.addWidget(self.message_bar)
        column.addWidget(self.offer_bar)
        column.addWidget(self.offers.bar)
        column.addWidget(self.pages, 1)
        self.setCentralWidget(middle)
        self.toast = Toast(middle)

    def _build_context(self) -> None:
        """Make the context, and what depends on it: panels, actions, workspaces."""
        navigator = self.navigator = WindowNavigator(
            self, self.session, self.settings, self.pages, message_bar=self.message_bar, offers=self.offers
        )
        context = self.context = Context(self.session, self.jobs, self.canvas, self.settings, self.errors, navigator)
        registry, table = panel_registry(), ActionTable()
        panels = built_in_panels(registry, table)
        table.register(ACTIONS)
        own = own_actions(navigator, self.theme_switcher, refused=lambda: self._problems)
        table.register((self.conversions.action(), *own))
        further, problems = plugin_panels(registry, table)
        self.book = ActionBook(self, table, context)
        self.docks = {spec.name: LazyDock(spec, context, self) for spec in (*panels, *further)}
        self.dividers = Dividers(self.settings, self)
        for dock in self.docks.values():
            dock.built.connect(lambda name: self.dividers.watch(name, self.docks[name].build()))
        self.workspaces = Workspaces(self, self.docks, self.session, self.settings, show_page=navigator.show_page)
        navigator.take(context, self.book, self.docks, self.workspaces, self.dividers)
        self._panel_problems, self._problems = problems, list[PluginProblem]()

    def _build_bars(self) -> None:
        bar = self.menuBar()
        assert bar is not None
        self.book.build_menus(bar)
        places = self.book.menus[bookmarks.MENU]
        places.aboutToShow.connect(partial(bookmarks.fill_menu, self.context, places, len(places.actions())))
        panels = QMenu("Panels", self)
        for name, dock in self.docks.items():
            menu = self.book.menus["View"] if name == IN_VIEW_MENU else panels
            menu.addAction(dock.toggleViewAction())
        self.book.menus["View"].addMenu(panels)
        bar.setCornerWidget(self.workspaces.buttons, Qt.Corner.TopRightCorner)
        self.tools = tools = QToolBar("Tools", self)
        tools.setObjectName("toolBar")
        tools.setMovable(False)
        tools.setIconSize(QSize(20, 20))
        tools.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        self.book.build_tool_bar(tools)
        self.addToolBar(Qt.ToolBarArea.TopToolBarArea, tools)
        self.workspaces.bars.append(tools)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)
        self.theme_switcher.follow(
            self.book.refresh_icons,
            self.welcome.refresh,
            self.status.refresh_icons,
            self.offer_bar.refresh_theme,
            self.offers.bar.refresh_theme,
            self.message_bar.refresh_theme,
            self.read_only_bar.refresh_theme,
            self.displaced_bar.refresh_theme,
            lambda: self.canvas.picture.set_background(theme.current().canvas),
        )
        self.theme_switcher.apply()

    def _listen(self, app: QApplication) -> None:
        session, context = self.session, self.context
        for signal in (session.project_changed, session.slide_changed, session.mosaic_changed, session.slides_changed):
            signal.connect(self._on_place_changed)
        for signal in (
            session.selection.changed,
            session.history_changed,  # each change of findings is followed by it
            session.classes_changed,
            session.filter_changed,
            session.scope.changed,
        ):
            signal.connect(self.book.refresh_soon)
        session.slide_view.measurement_changed.connect(self._on_measurement_changed)
        session.slide_view.veil_changed.connect(self.book.refresh_soon)
        for changed in (session.suggested.changed, session.suggested.current_changed):
            changed.connect(self.book.refresh_soon)
        self.learning.changed.connect(self.book.refresh_soon)
        session.project_changed.connect(self._on_project_changed)
        session.mosaic_changed.connect(self._on_mosaic_changed)
        session.tool_changed.connect(self._on_tool_changed)
        session.notice.connect(self._on_notice)
        self.pages.zoomed.connect(self.status.show_review_zoom)
        self.canvas.legend.fold_button.clicked.connect(self._on_legend_folded)
        session.line_drawn.connect(self._on_line_drawn)
        session.centre_requested.connect(self._on_centre_requested)
        self.errors.user_error.connect(self._on_user_error)
        self.errors.program_error.connect(self._on_program_error)
        self.jobs.failed.connect(self._on_job_failed)
        self.canvas.read_failed.connect(self._on_user_error)
        self.canvas.view_changed.connect(self.jobs.detector.hold_off)
        self.canvas.menu_requested.connect(partial(show_canvas_menu, context))
        self.pages.export_requested.connect(partial(self.book.trigger, "file.export"))
        self.pages.label_requested.connect(partial(self.navigator.use_workspace, "annotate"))
        self.pages.canvas_requested.connect(self.navigator.show_canvas)
        self.pages.detect_requested.connect(self._on_model_used)
        self.pages.model_used.connect(self._on_model_used)
        self.pages.model_requested.connect(self._on_model_requested)
        self.pages.comparison_requested.connect(self._on_comparison_requested)
        self.pages.folds_requested.connect(self._on_folds_requested)
        self.welcome.open_requested.connect(partial(self.book.trigger, "file.open"))
        self.welcome.sample_requested.connect(partial(self.book.trigger, "file.sample"))
        self.welcome.tour_requested.connect(partial(self.book.trigger, "help.tour"))
        self.welcome.tour_declined.connect(self._on_tour_declined)
        self.welcome.recent_chosen.connect(lambda path: files.open_paths(context, [path]))
        self._guard = KeyGuard(app, self)
        self._dialog_help = DialogHelp(app, self.navigator)

    def _restore(self) -> None:
        self.resize(1366, 768)
        if self.settings.geometry:
            self.restoreGeometry(QByteArray.fromHex(QByteArray(self.settings.geometry.encode("ascii"))))
        self.workspaces.use(self.settings.workspace if self.settings.workspace in ("annotate", "sem") else "annotate")
        self.workspaces.show_or_hide()
        self.canvas.legend.set_folded(self.settings.legend_folded)
        self.canvas.legend.set_wanted(self.settings.legend)
        self.session.declaring.show(self.settings.declared_areas)
        self._on_place_changed()
        self.name_left_out(self._panel_problems)

    def _save_settings(self) -> None:
        self.navigator.save_settings()

    def _on_tour_declined(self) -> None:
        remember_tour(self.navigator, self.context)
        self.welcome.refresh()

    def _open_for_writing(self, place: Path) -> None:
        files.open_for_writing(self.context, place)

    def _save_as_new(self) -> None:
        save_as_new.save_as_new(self.context)

    # -- what the session says ---------------------------------------------------------------------------------------

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
            self.navigator.show_page()
        self.message_bar.withdraw()
        self.status.refresh()
        self.book.refresh_soon()

    def _on_project_changed(self) -> None:
        """What was said about a project goes with it."""
        if self._said_of_project:
            self.message_bar.hide()
            self.toast.hide()
        self._said_of_project = self.session.project is not None

    def _on_mosaic_changed(self) -> None:
        slides.ask_pixel_size_once(self.context)

    def _on_line_drawn(self, length_px: float) -> None:
        slides.take_line(self.context, length_px)

    def _on_centre_requested(self, _box_id: int) -> None:
        self.status.refresh()

    def _on_tool_changed(self, tool: str) -> None:
        if tool == "mark":
            self.navigator.show_panel("sem")  # it asks for the stage position of the mark
        self.book.refresh_soon()

    def _on_measurement_changed(self) -> None:
        self.canvas.update_later()
        self.book.refresh_soon()

    def name_left_out(self, problems: Sequence[PluginProblem]) -> None:
        """Say which plugins cannot be used: these, and those that were named before."""
        self._problems += problems
        if problems:
            self.errors.take(MicroscopeQCError("\n".join(str(problem) for problem in self._problems)))

    def _on_model_used(self) -> None:
        self.workspaces.use("annotate")
        self.navigator.show_panel("detect")

    def _on_model_requested(self, folder: Path) -> None:
        self.navigator.show_panel("models")
        self.session.measuring.show_all(folder)

    def _on_comparison_requested(self, folder: Path) -> None:
        self.navigator.show_panel("comparisons")
        self.session.measuring.show_comparison(folder)

    def _on_folds_requested(self, network: str, minutes: int) -> None:
        from microscope_qc.app.panels.learn.studies.panel import StudiesPanel

        panel = self.navigator.show_panel("studies")
        if isinstance(panel, StudiesPanel):
            panel.show_folds(network, minutes)

    def _on_legend_folded(self) -> None:
        self.settings.legend_folded = self.canvas.legend.folded
        self._save_settings()

    # -- saying things -----------------------------------------------------------------------------------------------

    def _on_slides_changed(self, changed: Sequence[SlideRecord]) -> None:
        slides.say_changed(self.context, changed)

    def _on_notice(self, words: str) -> None:
        log.info("%s", words)
        self.toast.say(words)

    def _on_user_error(self, error: MicroscopeQCError) -> None:
        if isinstance(error, DisplacedProjectError):
            self.displaced_bar.show_error(error)
        elif isinstance(error, ChangedSlideError):
            slides.ask_to_accept(self.context, error, self.message_bar.ask)
        else:
            self.message_bar.show_error(error)

    def _on_program_error(self, sentence: str, details: str) -> None:
        self.message_bar.show_program_error(sentence, details)

    def _on_job_failed(self, handle: JobHandle) -> None:
        if handle.error is not None:
            self.errors.take(handle.error)

    # -- Qt's events -------------------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        """Qt: start catching errors."""
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
            # after the drop: an error message must not block the other program's drag
            QTimer.singleShot(0, lambda: files.dropped(self.context, paths))

    def closeEvent(self, event: QCloseEvent) -> None:
        """Qt: stop the work, close the project, keep the settings."""
        if not save_as_new.may_leave(self.context):
            event.ignore()
            return
        self.workspaces.remember()
        self.settings.geometry = bytes(self.saveGeometry().toHex().data()).decode("ascii")
        self.jobs.close()
        self.learning.close()
        for content in (*self.pages.with_threads(), *(dock.content for dock in self.docks.values())):
            if isinstance(content, ReadsCrops):
                content.close_crops()
        self.session.set_project(None)
        self.canvas.close_canvas()
        save_settings(self.settings)
        self._guard.close()
        self._dialog_help.close()
        self.errors.uninstall()
        event.accept()
