"""The slides of the project: searched, sorted, chosen, opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QEvent, QObject, QPoint, QSize, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.base.signals import link
from microscope_qc.app.panels.slides.locating import locate
from microscope_qc.app.panels.slides.model import SlidesModel
from microscope_qc.app.panels.slides.numbers import SlideNumbers
from microscope_qc.app.panels.slides.thumbnails import Thumbnails
from microscope_qc.app.panels.slides.view import SlidesView
from microscope_qc.app.widgets.delete_key import DeleteKey
from microscope_qc.app.widgets.gating import allow
from microscope_qc.app.widgets.parts import EmptyPage
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.wording import count_text, things
from microscope_qc.workflows.intake.changes import is_changed

if TYPE_CHECKING:
    from microscope_qc.app.context import Context
    from microscope_qc.slides import Mosaic

MENU = (
    ("slide.rename", "slide.pixel_size", "slide.fields"),
    ("slide.info", "slide.folder", "slide.locate"),
    ("slide.remove",),
)


class SlidesDock(QWidget):
    """Lists the slides. A click or Enter opens one; those that are selected are what "selected slides" means."""

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._context = context
        self._session = context.session
        self.thumbnails = Thumbnails(context.jobs, self)
        self.numbers = SlideNumbers(context, self)
        self.model = SlidesModel(self.thumbnails.icon, self._rename, self)
        self.view = SlidesView(self.model)
        self.view.installEventFilter(self)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search slides")
        self.search.setClearButtonEnabled(True)
        self.search.setToolTip("Words in the names, files and specimens of slides")
        self.columns_button = QToolButton()
        self.columns_button.setIcon(theme.icon("view-column-outline"))
        self.columns_button.setToolTip("Choose the columns")
        self.count = QLabel()
        self.count.setProperty("quiet", True)
        self.add_button = QToolButton()
        self.add_button.setIcon(theme.icon("image-plus-outline"))
        self.add_button.setToolTip("Add slides…")
        self.locate_button = QPushButton("Locate…")
        self.locate_button.setToolTip("Say where the slide is now")
        self.locate_button.setProperty("primary", True)
        self.empty = EmptyPage()
        self.pages = QStackedWidget()
        self._taking = False
        self._filling = False
        self._kept: list[int] = []
        self._columns: list[str] = []
        self._lay_out()
        self._connect()
        self._on_project_changed()

    def sizeHint(self) -> QSize:
        """Qt: about five slides."""
        return QSize(248, 280)

    def _lay_out(self) -> None:
        self.pages.addWidget(self.view)
        self.pages.addWidget(self.empty)
        top = QHBoxLayout()
        top.setContentsMargins(theme.STEP, theme.STEP // 2, theme.STEP // 2, theme.STEP // 2)
        top.setSpacing(theme.STEP // 2)
        top.addWidget(self.search, 1)
        top.addWidget(self.columns_button)
        top.addWidget(self.add_button)
        row = QHBoxLayout()
        row.setContentsMargins(theme.STEP, 0, theme.STEP, 0)
        row.setSpacing(theme.STEP)
        row.addWidget(self.count, 1)
        row.addWidget(self.locate_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(top)
        column.addWidget(self.pages, 1)
        column.addLayout(row)

    def _connect(self) -> None:
        session, context = self._session, self._context
        self.search.textChanged.connect(self._on_search_changed)
        self.search.installEventFilter(self)
        self.columns_button.clicked.connect(self._on_columns_clicked)
        self.add_button.clicked.connect(lambda: context.navigator.trigger("file.add_slide"))
        self.locate_button.clicked.connect(self._on_locate_clicked)
        self.empty.button.clicked.connect(self._on_empty_clicked)
        self.view.opened.connect(session.show_slide)
        self.view.customContextMenuRequested.connect(self._on_menu_requested)
        self.view.columns_chosen.connect(self._on_columns_chosen)
        self.view.sorted_by.connect(self._on_sorted_by)
        selection = self.view.selectionModel()
        if selection is not None:
            selection.selectionChanged.connect(self._on_selection_changed)
        self.model.modelAboutToBeReset.connect(self._on_model_about_to_be_reset)
        self.model.modelReset.connect(self._on_model_reset)
        self.thumbnails.ready.connect(self.model.tell_changed)
        self.numbers.changed.connect(self._on_numbers_changed)
        DeleteKey(self.view, lambda: context.navigator.trigger("slide.remove"))
        link(self, session.slides_changed, self._on_slides_changed)
        link(self, session.project_changed, self._on_project_changed)
        link(self, session.slide_changed, self._on_slide_changed)
        link(self, session.mosaic_changed, self._show_buttons)
        link(self, session.scope.changed, self._take_chosen)
        context.canvas.thumbnail_ready.connect(self._on_thumbnail_ready)

    # -- what is listed ----------------------------------------------------------------------------------------------

    def _on_project_changed(self) -> None:
        self.thumbnails.clear()
        self._filling = True  # ids of one project mean nothing in another
        self.view.clearSelection()
        self.search.clear()
        self._fill()
        self._filling = False
        order = self._context.settings.slide_order
        self.view.sort_by(order[0], downwards=order[1])
        self._on_slide_changed()
        self._take_chosen()

    def _on_slides_changed(self) -> None:
        project = self._session.project
        for record in project.slides if project is not None else ():
            before = self.model.record(record.id)
            if before is not None and (before.path, before.fingerprint) != (record.path, record.fingerprint):
                self.thumbnails.forget(record.id)
        self._fill()

    def _fill(self) -> None:
        project = self._session.project
        self.model.editable = self._session.can_write
        self.model.set_slides(
            () if project is None else list(project.slides), () if project is None else project.fields.known
        )
        slides = () if project is None else project.slides
        self.model.set_other_files(frozenset(r.id for r in slides if project is not None and is_changed(project, r)))
        names = [column.name for column in self.model.columns]
        if names != self._columns:
            self._columns = names
            self._show_columns()
        self._show_page()
        self._show_buttons()

    def _show_columns(self) -> None:
        names = self._context.settings.slide_columns
        self.numbers.want_shares("coverage" in names)
        self.view.show_columns(names)

    def _show_page(self) -> None:
        shown, total = len(self.model.ids), self.model.total
        if not total:
            what = "No slides in this project yet." if self._session.project is not None else "No slides yet."
            self.empty.say(
                f"{what}\nOpen one, or a folder of them.", "Add slides…" if self._session.can_write else "Open…"
            )
        elif not shown:
            self.empty.say(f"None of {things(total, 'slide')} has “{self.search.text().strip()}”.", "Show all")
        self.pages.setCurrentWidget(self.view if shown else self.empty)
        self._show_count()

    def _show_count(self) -> None:
        shown, total, chosen = len(self.model.ids), self.model.total, len(self.view.chosen_ids())
        words = things(total, "slide") if shown == total else f"{count_text(shown)} of {things(total, 'slide')}"
        self.count.setText(f"{words}, {count_text(chosen)} selected" if chosen > 1 else words)
        self.count.setVisible(chosen > 1 or shown != total)  # otherwise the field for the search says it
        self.search.setPlaceholderText(f"Search {things(total, 'slide')}" if total > 1 else "Search slides")

    def _show_buttons(self) -> None:
        slide = self._session.slide
        lost = slide is not None and (slide.missing or self._session.mosaic_error is not None)
        self.locate_button.setVisible(bool(lost) and self._session.can_write)
        allow(self._session, self.add_button)

    def _on_numbers_changed(self) -> None:
        numbers = self.numbers
        self.model.set_numbers(numbers.counts, numbers.shares, counted=numbers.counted)

    def _on_slide_changed(self) -> None:
        slide = self._session.slide
        self.model.set_current(0 if slide is None else slide.id)
        if slide is not None and slide.id not in self.view.chosen_ids():
            self.view.choose([slide.id], current=slide.id)
        self._show_buttons()

    def _on_thumbnail_ready(self, mosaic: Mosaic, pixels: np.ndarray) -> None:
        slide = self._session.slide
        if slide is not None and mosaic is self._session.mosaic:
            self.thumbnails.take(slide, pixels)

    def _on_search_changed(self, text: str) -> None:
        self.model.search(text)
        self._show_page()

    def _on_columns_clicked(self) -> None:
        self.view.column_menu().exec(self.columns_button.mapToGlobal(QPoint(0, self.columns_button.height())))

    def _on_columns_chosen(self, names: list[str]) -> None:
        self._context.settings.slide_columns = names
        self.numbers.want_shares("coverage" in names)
        self._context.navigator.save_settings()

    def _on_sorted_by(self, name: str, downwards: bool) -> None:
        self._context.settings.slide_order = (name, downwards)
        self._context.navigator.save_settings()

    def _on_empty_clicked(self) -> None:
        if self.model.total:
            self.search.clear()
        else:
            self._context.navigator.trigger("file.add_slide" if self._session.can_write else "file.open")

    # -- which are chosen --------------------------------------------------------------------------------------------

    def _on_selection_changed(self, *_: object) -> None:
        if not self._taking and not self._filling:
            self._session.scope.set_chosen(self.view.chosen_ids())
        self._show_count()

    def _take_chosen(self) -> None:
        """Select what the scope says is chosen, after undo or in a project that is opened."""
        chosen = self._session.scope.chosen_ids
        listed = [number for number in chosen if self.model.place_of(number) is not None]
        if listed and set(listed) != set(self.view.chosen_ids()):
            self._taking = True
            self.view.choose(listed)
            self._taking = False
            self._show_count()

    def _on_model_about_to_be_reset(self) -> None:
        self._kept = [] if self._filling else self.view.chosen_ids()
        self._taking = True

    def _on_model_reset(self) -> None:
        slide = self._session.slide
        self.view.choose(self._kept, current=None if slide is None else slide.id)
        self._taking = False
        self._on_selection_changed()

    # -- what can be done --------------------------------------------------------------------------------------------

    def _on_menu_requested(self, place: QPoint) -> None:
        index = self.view.indexAt(place)
        number = self.view.id_at(index)
        if number is None:
            return
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        menu.addAction("Open", lambda: self._session.show_slide(number))
        for ids in MENU:
            for action in self._context.navigator.menu_actions(ids):
                menu.addAction(action)
            menu.addSeparator()
        menu.addMenu(self.view.column_menu())
        viewport = self.view.viewport()
        menu.exec((viewport or self.view).mapToGlobal(place))

    def _on_locate_clicked(self) -> None:
        if self._session.slide is not None:
            locate(self._context, self._session.slide.id)

    def rename_current(self) -> None:
        """Edit the name of the current slide in its row."""
        chosen, current = self.view.chosen_ids(), self.view.id_at(self.view.currentIndex())
        wanted = current if current in chosen or not chosen else chosen[0]
        place = None if wanted is None else self.model.place_of(wanted)
        if place is None:
            self._session.notice.emit("Choose a slide in the list first.")
            return
        index = self.model.index(place, 0)
        self.view.setFocus()
        self.view.scrollTo(index)
        self.view.edit(index)

    def _rename(self, slide_id: int, name: str) -> bool:
        project = self._session.project
        if project is None:
            return False
        try:
            project.slides.rename(slide_id, name)
        except MicroscopeQCError as error:
            self._session.notice.emit(str(error))
            return False
        return True

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: Enter is a key of the list while it has the focus, not one of the review; Down goes from search to it."""
        if isinstance(event, QKeyEvent):
            enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
            escape = event.key() == Qt.Key.Key_Escape and bool(self.search.text())
            own = (watched is self.view and enter) or (watched is self.search and escape)
            if own and event.type() == QEvent.Type.ShortcutOverride:
                event.accept()
                return True
            if watched is self.search and event.type() == QEvent.Type.KeyPress:
                if event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.model.ids:
                    self.view.setFocus()
                    if not self.view.currentIndex().isValid() or event.key() != Qt.Key.Key_Down:
                        self.view.setCurrentIndex(self.model.index(0, 0))
                    return True
                if escape:
                    self.search.clear()
                    return True
        return False
