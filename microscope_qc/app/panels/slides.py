"""Slides of the project with their thumbnails and counts."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QPoint, QSize, Qt, QTimer
from qtpy.QtGui import QColor, QIcon, QImage, QPainter, QPixmap
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.base.slide_files import containing_slide, slide_filter
from microscope_qc.app.panels.spec import PanelSpec
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.errors import InputError
from microscope_qc.core.wording import count_text
from microscope_qc.project.scenes import SceneFacts
from microscope_qc.workflows.intake.identity import located_facts

if TYPE_CHECKING:
    from microscope_qc.app.context import Context
    from microscope_qc.project import Project, SlideRecord
    from microscope_qc.slides import Mosaic

PICTURE = QSize(64, 48)
PICTURE_PX = 160


class SlidesDock(QWidget):
    """Lists the slides; a click shows one."""

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._context = context
        self._session = context.session
        self._project = self._session.project
        self._pictures: dict[int, QIcon] = {}
        self._asked: set[int] = set()
        self.items = QListWidget()
        self.items.setIconSize(PICTURE)
        self.items.setSpacing(2)
        self.items.setWordWrap(False)
        self.items.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.items.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.items.currentItemChanged.connect(self._on_current_item_changed)
        self.items.customContextMenuRequested.connect(self._on_menu_requested)
        self.add_button = QPushButton("Add slide…")
        self.add_button.clicked.connect(lambda: context.navigator.trigger("file.add_slide"))
        self.locate_button = QPushButton("Locate…")
        self.locate_button.setToolTip("Say where the slide is now")
        self.locate_button.setProperty("primary", True)
        self.locate_button.clicked.connect(lambda: locate(context, self._current_id()))
        row = QHBoxLayout()
        row.setContentsMargins(theme.STEP, theme.STEP // 2, theme.STEP, theme.STEP)
        row.addWidget(self.add_button, 1)
        row.addWidget(self.locate_button, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.items, 1)
        column.addLayout(row)
        self._counts: dict[int, tuple[int, int]] = {}  # shown, and those not reviewed yet
        self._watched: set[int] = set()
        self._due = Refresh(self, self._refresh_texts, after_ms=150)
        session = self._session
        for signal in (session.slides_changed, session.project_changed):
            link(self, signal, self._fill)
        link(self, session.boxes_changed, self._on_boxes_changed)
        link(self, session.filter_changed, self._on_all_changed)
        link(self, session.runs_changed, self._on_all_changed)
        link(self, session.slide_changed, self._show_current)
        link(self, session.mosaic_changed, self._show_current)
        context.canvas.thumbnail_ready.connect(self._on_thumbnail_ready)
        self._fill()

    def sizeHint(self) -> QSize:
        """Qt: about three slides."""
        return QSize(232, 220)

    def _slides(self) -> list[SlideRecord]:
        return list(self._session.project.slides) if self._session.project is not None else []

    def _current_id(self) -> int:
        item = self.items.currentItem()
        return int(item.data(Qt.ItemDataRole.UserRole)) if item is not None else 0

    def _fill(self) -> None:
        slides = self._slides()
        if self._session.project is not self._project:
            self._project = self._session.project
            self._pictures.clear()
            self._asked.clear()
            self._watched.clear()
        self._counts.clear()
        self.items.blockSignals(True)
        self.items.clear()
        for slide in slides:
            item = QListWidgetItem(self._pictures.get(slide.id, _blank()), "")
            item.setData(Qt.ItemDataRole.UserRole, slide.id)
            item.setToolTip(str(slide.path))
            self.items.addItem(item)
        self.items.blockSignals(False)
        self.add_button.setEnabled(self._session.can_write)
        self.add_button.setToolTip("" if self._session.can_write else "Open a project for writing first.")
        self._due.now()
        self._show_current()
        QTimer.singleShot(600, self._ask_for_pictures)  # the slide on screen comes first

    def _on_boxes_changed(self, _change: object) -> None:
        if self._session.slide is not None:
            self._on_slide_boxes_changed(self._session.slide.id)

    def _on_slide_boxes_changed(self, slide_id: int, _change: object = None) -> None:
        self._counts.pop(slide_id, None)
        self._due.soon()

    def _on_all_changed(self) -> None:
        self._counts.clear()
        self._due.soon()

    def _count(self, slide_id: int) -> tuple[int, int]:
        """Number of shown findings of a slide, and of those not reviewed yet."""
        project, session = self._session.project, self._session
        assert project is not None
        if slide_id not in self._counts:
            table = project.boxes.table(slide_id)
            here = session.slide is not None and session.slide.id == slide_id
            if slide_id not in self._watched:  # undo and imports also change slides that are not on screen
                self._watched.add(slide_id)
                link(self, table.changed, partial(self._on_slide_boxes_changed, slide_id))
            if here:
                by_state = session.shown.counts().sum(axis=0)
            else:
                by_state = np.bincount(table.states[project.boxes.shown(slide_id)], minlength=len(ReviewState))
            self._counts[slide_id] = int(by_state.sum()), int(by_state[ReviewState.UNREVIEWED])
        return self._counts[slide_id]

    def _refresh_texts(self) -> None:
        project = self._session.project
        for place, slide in enumerate(self._slides()):
            item = self.items.item(place)
            if item is None or project is None:
                continue
            shown, left = self._count(slide.id)
            found = f"{count_text(shown)} findings"
            if left:
                found = f"{count_text(left)} of {count_text(shown)} left"
            height, width = slide.shape_px
            size = f"{count_text(width)} × {count_text(height)} px"
            second = "not found: locate it" if slide.missing else found
            item.setText(f"{slide.name}\n{size}\n{second}")
            judged = f"{count_text(shown)} findings shown, {count_text(left)} not reviewed yet"
            item.setToolTip(f"{slide.path}\n{judged}")
            item.setForeground(self.palette().placeholderText() if slide.missing else self.palette().text())

    def _show_current(self) -> None:
        slide = self._session.slide
        self.items.blockSignals(True)
        for place, record in enumerate(self._slides()):
            if slide is not None and record.id == slide.id:
                self.items.setCurrentRow(place)
        self.items.blockSignals(False)
        lost = slide is not None and (slide.missing or self._session.mosaic_error is not None)
        self.locate_button.setVisible(bool(lost) and self._session.can_write)

    def _on_current_item_changed(self, item: QListWidgetItem | None, _before: object) -> None:
        if item is not None:
            self._session.show_slide(int(item.data(Qt.ItemDataRole.UserRole)))

    def _on_menu_requested(self, place: QPoint) -> None:
        if self.items.itemAt(place) is None:
            return
        menu = QMenu(self)
        for action in self._context.navigator.menu_actions(("slide.info", "slide.pixel_size", "slide.remove")):
            menu.addAction(action)
        menu.addAction(
            theme.icon("folder-search-outline"), "Locate…", lambda: locate(self._context, self._current_id())
        )
        viewport = self.items.viewport()
        menu.exec((viewport or self.items).mapToGlobal(place))

    # -- pictures ----------------------------------------------------------------------------------------------------

    def _on_thumbnail_ready(self, mosaic: Mosaic, pixels: np.ndarray) -> None:
        slide = self._session.slide
        if slide is not None and mosaic is self._session.mosaic:
            self._take_picture(slide.id, pixels)

    def _ask_for_pictures(self) -> None:
        shown = self._session.slide
        for slide in self._slides():
            if slide.missing or slide.id in self._asked or (shown is not None and slide.id == shown.id):
                continue
            self._asked.add(slide.id)
            self._context.jobs.call(
                partial(read_picture, slide),
                on_done=partial(self._take_picture, slide.id),
                on_failed=lambda error: None,  # the error is shown when the slide is opened
            )

    def _take_picture(self, slide_id: int, pixels: np.ndarray | None) -> None:
        if pixels is None:
            return
        self._pictures[slide_id] = _picture(pixels)
        for place in range(self.items.count()):
            item = self.items.item(place)
            if item is not None and item.data(Qt.ItemDataRole.UserRole) == slide_id:
                item.setIcon(self._pictures[slide_id])


def locate(context: Context, slide_id: int) -> None:
    """Ask where a slide is now."""
    project = context.session.project
    if project is None or slide_id == 0:
        return
    slide = next(record for record in project.slides if record.id == slide_id)
    folder = slide.path.parent
    start = str(folder if folder.exists() else project.path.parent)
    window = context.navigator.window
    chosen, _ = QFileDialog.getOpenFileName(window, f"Where is {slide.path.name}?", start, slide_filter())
    if not chosen:
        return
    place = containing_slide(Path(chosen))
    context.session.notice.emit(f"Checking whether {place.name} is {slide.name} …")
    context.jobs.run(
        located_facts(slide, place),
        f"Find {slide.name} again",
        on_done=lambda facts: _relocate(context, project, slide_id, facts),
        on_failed=_raise,
    )


def _raise(error: BaseException) -> None:
    raise error  # what cannot be opened here is shown as of any click


def _relocate(context: Context, project: Project, slide_id: int, facts: SceneFacts) -> None:
    if project is not context.session.project or not any(record.id == slide_id for record in project.slides):
        return  # closed, or the slide was removed, in the meantime
    try:
        project.slides.relocate(slide_id, facts.path, facts=facts)
    except InputError as error:
        answer = QMessageBox.question(
            context.navigator.window, "Another slide", f"{error}\n\nUse it anyway? The boxes keep their positions."
        )
        if answer == QMessageBox.StandardButton.Yes:
            project.slides.relocate(slide_id, facts.path, facts=facts, force=True)


def read_picture(slide: SlideRecord) -> np.ndarray | None:
    """Thumbnail of a slide (worker thread); None if reading it would take long."""
    from microscope_qc.app.session.pixels import open_mosaic
    from microscope_qc.core.geometry import Region
    from microscope_qc.slides.preview import needs_conversion
    from microscope_qc.slides.tile_cache import TileSource

    mosaic = open_mosaic(slide)
    if needs_conversion(mosaic):
        return None  # it is made when the slide is opened
    height, width = mosaic.shape
    factor = PICTURE_PX / max(height, width)
    return TileSource(mosaic).read_scaled(
        Region(0, 0, height, width), (max(1, round(height * factor)), max(1, round(width * factor)))
    )


def _picture(pixels: np.ndarray) -> QIcon:
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    inner = QPixmap.fromImage(image).scaled(
        PICTURE * 2, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    )
    whole = QPixmap(PICTURE * 2)
    whole.fill(Qt.GlobalColor.transparent)
    painter = QPainter(whole)
    painter.drawPixmap((whole.width() - inner.width()) // 2, (whole.height() - inner.height()) // 2, inner)
    painter.end()
    whole.setDevicePixelRatio(2)
    icon = QIcon(whole)
    icon.addPixmap(whole, QIcon.Mode.Selected)
    return icon


def _blank() -> QIcon:
    whole = QPixmap(PICTURE)
    whole.fill(QColor(128, 128, 128, 60))
    return QIcon(whole)


PANEL = PanelSpec("slides", "Slides", "image-multiple-outline", "left", SlidesDock, ("annotate", "sem"))
