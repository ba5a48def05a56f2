"""The finding that shows what a class means: its crop, and how to choose one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QHBoxLayout, QLabel, QListView, QPushButton, QVBoxLayout, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.session.review_order import BOX_ID
from microscope_qc.app.widgets.crop_list import CropList
from microscope_qc.app.widgets.crops import CropSpec, to_image
from microscope_qc.app.widgets.gating import allow
from microscope_qc.core.errors import InputError, MicroscopeQCError
from microscope_qc.core.wording import things
from microscope_qc.slides.tile_cache import TileSource

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session
    from microscope_qc.core.defect_class import DefectClass
    from microscope_qc.project.records import SlideRecord
    from microscope_qc.slides import Mosaic

log = logging.getLogger(__name__)

CROP_PX = QSize(168, 126)
MOST_SHOWN = 300


class ExampleField(QWidget):
    """Crop of the example with the buttons that choose another one. ``chosen`` carries a box id, 0 for none."""

    chosen = Signal(int)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._item: DefectClass | None = None
        self._shown: tuple[int, int] | None = None
        self._generation = 0
        self.crop = QLabel()
        self.crop.setFixedSize(CROP_PX)
        self.crop.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.crop.setWordWrap(True)
        self.crop.setProperty("quiet", True)
        self.choose = QPushButton(theme.icon("image-search-outline"), "Choose…")
        self.take_selected = QPushButton(theme.icon("cursor-default-outline"), "Selected finding")
        self.go_there = QPushButton(theme.icon("crosshairs-gps"), "Go there")
        self.remove = QPushButton(theme.icon("close"), "No example")
        self.choose.setToolTip("Choose among the findings of this class on the slide on screen")
        self.take_selected.setToolTip("Take the finding that is selected on the slide")
        title = QLabel("Example")
        column = QVBoxLayout()
        column.setSpacing(theme.STEP // 2)
        for button in (self.choose, self.take_selected, self.go_there, self.remove):
            button.setAutoDefault(False)
            button.setStyleSheet("text-align: left;")
            column.addWidget(button)
        column.addStretch(1)
        row = QHBoxLayout()
        row.setSpacing(2 * theme.STEP)
        row.addWidget(self.crop)
        row.addLayout(column)
        row.addStretch(1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(theme.STEP)
        whole.addWidget(title)
        whole.addLayout(row)
        self.choose.clicked.connect(self._on_choose_clicked)
        self.take_selected.clicked.connect(self._on_take_selected_clicked)
        self.go_there.clicked.connect(self._on_go_there_clicked)
        self.remove.clicked.connect(lambda: self.chosen.emit(0))

    def show_class(self, item: DefectClass) -> None:
        """Show the example of a class; its crop is read in the background."""
        self._item = item
        self.refresh()
        project = self._session.project
        if item.example_box == 0 or project is None:
            self._shown = None
            self._say("No example yet.\nChoose a finding that shows what is meant.")
            return
        if self._shown == (item.id, item.example_box):
            return
        self._shown = (item.id, item.example_box)
        try:
            slide_id = project.boxes.slide_of(item.example_box)
        except InputError:
            self._say("The finding that was the example has been deleted.")
            return
        slide = next(slide for slide in project.slides if slide.id == slide_id)
        row = project.boxes.table(slide_id).get([item.example_box])[0]
        self._read(slide, row)

    def refresh(self) -> None:
        """Enable what can be done now."""
        item, session = self._item, self._session
        there = item is not None and item.example_box != 0
        of_class = item is not None and bool((session.table.rows["class_id"] == item.id).any())
        allow(session, self.choose, unless="" if of_class else "This class has no findings on this slide.")
        fitting = self._selected() is not None
        allow(session, self.take_selected, unless="" if fitting else "Select a finding of this class first.")
        allow(session, self.remove, unless="" if there else "There is no example.")
        self.go_there.setEnabled(there)

    def _selected(self) -> int | None:
        current = self._session.selection.current
        if current is None or self._item is None or current not in self._session.table:
            return None
        return current if int(self._session.table.get([current])[0]["class_id"]) == self._item.id else None

    def _say(self, words: str) -> None:
        self._generation += 1
        self.crop.setPixmap(QPixmap())
        self.crop.setText(words)
        self._frame("dashed")

    def _read(self, slide: SlideRecord, row: np.void) -> None:
        self._say("…")
        generation = self._generation
        box = (float(row["y0"]), float(row["x0"]), float(row["y1"]), float(row["x1"]))
        ratio = self.devicePixelRatioF()
        shape = (round(CROP_PX.height() * ratio), round(CROP_PX.width() * ratio))
        spec = CropSpec.around(box, shape_px=shape, within=slide.shape_px)
        mine = self._session.slide is not None and self._session.slide.id == slide.id
        mosaic = self._session.mosaic if mine else None
        jobs = self._session.jobs
        if jobs is None:
            self._on_read(generation, _read_crop(mosaic, slide, spec))
        else:
            jobs.call(
                lambda: _read_crop(mosaic, slide, spec),
                on_done=lambda image: self._on_read(generation, image),
                on_failed=lambda error: self._on_failed(generation, error),
            )

    def _on_read(self, generation: int, image: QImage) -> None:
        if generation != self._generation:
            return
        ratio = self.devicePixelRatioF()
        picture = QPixmap.fromImage(image).scaled(
            CROP_PX * ratio,
            Qt.AspectRatioMode.KeepAspectRatioByExpanding,
            Qt.TransformationMode.SmoothTransformation,
        )
        picture.setDevicePixelRatio(ratio)
        self._frame("")
        self.crop.setPixmap(picture)

    def _frame(self, kind: str) -> None:
        if self.crop.property("frame") != kind:
            self.crop.setProperty("frame", kind)
            theme.polish(self.crop)

    def _on_failed(self, generation: int, error: BaseException) -> None:
        if generation != self._generation:
            return
        if not isinstance(error, MicroscopeQCError):
            log.error("example cannot be read", exc_info=error)
        self._say("Its slide cannot be read.")

    def _on_choose_clicked(self) -> None:
        if self._item is None:
            return
        dialog = ExamplePicker(self._session, self._item, self)
        if dialog.exec() and dialog.chosen_id():
            self.chosen.emit(dialog.chosen_id())

    def _on_take_selected_clicked(self) -> None:
        selected = self._selected()
        if selected is not None:
            self.chosen.emit(selected)

    def _on_go_there_clicked(self) -> None:
        if self._item is not None and self._item.example_box:
            self._session.navigation.show_boxes([self._item.example_box])


class ExamplePicker(QDialog):
    """Crops of the findings of a class on the slide on screen, most confident first."""

    def __init__(self, session: Session, item: DefectClass, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Example of {item.code}, {item.name}")
        rows = session.table.rows
        rows = rows[rows["class_id"] == item.id]
        order = np.argsort(-np.nan_to_num(rows["confidence"], nan=2.0), kind="stable")[:MOST_SHOWN]
        ids = rows["id"][order].tolist()
        words = QLabel(
            f"{things(len(rows), 'finding')} on this slide"
            + (f", the {MOST_SHOWN} most confident of them" if len(rows) > MOST_SHOWN else "")
            + ". Double-click one."
        )
        words.setProperty("quiet", True)
        self.crops = CropList(session, ids, self)
        self.crops.setSelectionMode(QListView.SelectionMode.SingleSelection)
        self.crops.doubleClicked.connect(lambda _index: self.accept())
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self._take = buttons.addButton("Take as example", QDialogButtonBox.ButtonRole.AcceptRole)
        self._take.setEnabled(False)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        self.crops.selectionModel().selectionChanged.connect(lambda *_: self._take.setEnabled(self.chosen_id() != 0))
        self.finished.connect(lambda _result: self.crops.crops.close())
        column = QVBoxLayout(self)
        column.setContentsMargins(2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP)
        column.setSpacing(theme.STEP)
        column.addWidget(words)
        column.addWidget(self.crops, 1)
        column.addWidget(buttons)
        self.resize(680, 460)

    def chosen_id(self) -> int:
        """The chosen finding, 0 for none."""
        found = self.crops.selectionModel().selectedRows()
        return int(found[0].data(BOX_ID)) if found else 0


def _read_crop(mosaic: Mosaic | None, slide: SlideRecord, spec: CropSpec) -> QImage:
    """Read pixels (any thread)."""
    from microscope_qc.app.session.pixels import open_mosaic

    return to_image(TileSource(mosaic or open_mosaic(slide)).read_scaled(spec.region, spec.shape_px))
