"""The areas of a slide that users declared complete: a list to go to them and to take them back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QListWidget, QListWidgetItem, QPushButton, QVBoxLayout, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.session.declaring import signed, size_px
from microscope_qc.app.widgets.delete_key import DeleteKey
from microscope_qc.app.widgets.parts import heading
from microscope_qc.core.wording import area_text, share_text

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session
    from microscope_qc.project.records import AreaRecord

NONE = "None on this slide. Only what a detection scanned counts."
AREA = Qt.ItemDataRole.UserRole


class DeclaredAreas(QWidget):
    """Lists the declared areas of the slide on screen, newest first.

    ``go_to_requested`` carries bounds y0, x0, y1, x1; ``tool_requested`` asks for the tool that declares,
    ``draw_requested`` for areas drawn at random.
    """

    go_to_requested = Signal(object)
    tool_requested = Signal()
    draw_requested = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.items = QListWidget()
        self.items.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.items.setAlternatingRowColors(True)
        self.items.setStyleSheet("QListWidget::item { padding: 4px 2px; }")
        DeleteKey(self.items, self._on_remove)
        self.none = QLabel(NONE)
        self.none.setWordWrap(True)
        self.none.setProperty("quiet", True)
        self.none.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.declare = self._button("Declare…", "shape-polygon-plus")
        self.go_to = self._button("Go to", "crosshairs-gps")
        self.remove = self._button("Remove", "delete-outline")
        self.draw = self._button("Draw at random", "dice-multiple-outline")
        self.searched = self._button("Searched", "check-all")
        row = QHBoxLayout()
        row.setSpacing(theme.STEP // 2)
        for button in (self.declare, self.go_to, self.remove):
            row.addWidget(button)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.STEP, theme.STEP // 2, theme.STEP, theme.STEP // 2)
        column.setSpacing(theme.STEP // 2)
        column.addWidget(heading("Declared complete"))
        column.addWidget(self.items, 1)
        column.addWidget(self.none, 1)
        column.addLayout(row)
        below = QHBoxLayout()
        below.setSpacing(theme.STEP // 2)
        for button in (self.draw, self.searched):
            below.addWidget(button)
        below.addStretch(1)
        column.addLayout(below)
        self.items.currentItemChanged.connect(self._on_current_changed)
        self.items.itemClicked.connect(self._on_current_changed)
        self.items.itemDoubleClicked.connect(lambda _item: self._on_go_to())
        self.declare.clicked.connect(self.tool_requested)
        self.go_to.clicked.connect(self._on_go_to)
        self.remove.clicked.connect(self._on_remove)
        self.draw.clicked.connect(self.draw_requested)
        self.searched.clicked.connect(self._on_searched)
        self._due = Refresh(self, self._fill)
        changes = (session.areas_changed, session.slide_changed, session.slides_changed, session.classes_changed)
        for signal in (*changes, session.project_changed, session.history_changed):
            link(self, signal, self._due.soon)
        self._due.now()

    def _button(self, text: str, icon: str) -> QPushButton:
        button = QPushButton(theme.icon(icon), text)
        button.setAutoDefault(False)
        button.setStyleSheet("padding: 4px 8px;")
        return button

    def _fill(self) -> None:
        session = self._session
        kept, areas = session.declaring.picked, session.declaring.areas()[::-1]
        self.items.blockSignals(True)
        self.items.clear()
        for area in areas:
            item = QListWidgetItem(self.words_of(area))
            item.setData(AREA, area)
            item.setToolTip(self.words_of(area))
            self.items.addItem(item)
        place = next((n for n, area in enumerate(areas) if area.id == kept), -1)
        self.items.setCurrentRow(place)
        self.items.blockSignals(False)
        self.items.setVisible(bool(areas))
        self.none.setVisible(not areas)
        self._on_current_changed()

    def words_of(self, area: AreaRecord) -> str:
        """Two lines: how large and for which classes; by whom and when."""
        session, slide = self._session, self._session.slide
        if slide is None:
            return ""
        size = size_px(area, slide.shape_px)
        share = share_text(size / (slide.shape_px[0] * slide.shape_px[1]))
        words = f"{area_text(size, slide.pixel_size_um)}, {share} of the slide"
        if not area.class_ids:
            return f"{words}\ndrawn at random, to be searched · {signed(area)}"
        return f"{words}\n{session.declaring.class_words(area.class_ids)} · {signed(area)}"

    def _area(self) -> AreaRecord | None:
        item = self.items.currentItem()
        area: AreaRecord | None = None if item is None else item.data(AREA)
        return area

    def _on_current_changed(self, *_: object) -> None:
        area, why = self._area(), self._session.why_not_write()
        self._session.declaring.pick(None if area is None else area.id)
        first = "" if area is not None else "Choose an area first."
        self.go_to.setEnabled(not first)
        self.go_to.setToolTip(first or "Show all of it")
        self.remove.setEnabled(not (first or why))
        self.remove.setToolTip(why or first or "Take the declaration back (Del)")
        to_search = self._session.declaring.to_search
        self.searched.setEnabled(not why and to_search is not None)
        self.searched.setToolTip(why or "Every defect in the chosen area, drawn at random, is marked")
        self.draw.setEnabled(not why and self._session.slide is not None)
        self.draw.setToolTip(why or "Areas to search for what models missed: how much that is, statistics then say")
        self.declare.setEnabled(not why and self._session.slide is not None)
        self.declare.setToolTip(why or "Outline an area in which every defect is marked (A)")

    def _on_go_to(self) -> None:
        area = self._area()
        if area is not None:
            self.go_to_requested.emit(area.outline.bounds)

    def _on_searched(self) -> None:
        area = self._session.declaring.to_search
        if area is not None and self._session.can_write:
            self._session.declaring.searched(area)

    def _on_remove(self) -> None:
        area = self._area()
        if area is not None and self._session.can_write:
            self._session.declaring.remove(area.id)
