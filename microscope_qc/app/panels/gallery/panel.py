"""The gallery: every shown finding as a crop, worst first, judged by keyboard."""

from __future__ import annotations

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from microscope_qc.app.base.signals import link
from microscope_qc.app.panels.gallery.header import GalleryHeader
from microscope_qc.app.session.session import Session
from microscope_qc.app.widgets.crop_list import FindingView
from microscope_qc.app.widgets.nothing_found import NothingFound
from microscope_qc.app.widgets.review_end import ReviewEnd
from microscope_qc.app.widgets.review_keys import ReviewKeys

SIDE_PX = 112


class GalleryDock(QWidget):
    """Header, crops, and a page that says what to do when there are none."""

    detect_requested = Signal()
    open_requested = Signal()
    export_requested = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("gallery")
        self.setWindowTitle("Gallery")
        self._session = session
        self.model = session.findings
        self.header = GalleryHeader(session, self.model)
        self.view = FindingView(session)
        self.empty = NothingFound(
            session, "Open a slide: its findings appear here as crops, worst first.", by_field=True
        )
        self.empty.detect_requested.connect(self.detect_requested)
        self.empty.open_requested.connect(self.open_requested)
        self.end = ReviewEnd(session, compact=True)
        self.end.export_requested.connect(self.export_requested)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.view)
        self.pages.addWidget(self.empty)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.header)
        column.addWidget(self.end)
        column.addWidget(self.pages, 1)
        self.keys = ReviewKeys(session, self.view, self.pages)
        self.setFocusProxy(self.view)
        self.header.side_changed.connect(self.view.set_side)
        self.header.crop_size.setValue(SIDE_PX)
        self._show_page_soon = QTimer(self)
        self._show_page_soon.setSingleShot(True)
        self._show_page_soon.timeout.connect(self._show_page)
        for signal in (self.model.modelReset, self.model.rowsInserted, self.model.rowsRemoved):
            signal.connect(self._on_rows_changed)  # a method goes with its widget, a lambda would outlive the timer
        link(self, session.scoped.changed, self._on_boxes_changed)
        for changed in (session.slide_changed, session.scoped.loading_changed):
            link(self, changed, self._show_page)
        self._show_page()

    def close_crops(self) -> None:
        """Stop the threads that read crops (the window is closing)."""
        self.view.crops.close()
        self.model.close()

    def focus_filter(self) -> None:
        """Go to the search field."""
        self.header.search.setFocus()
        self.header.search.selectAll()

    def _on_rows_changed(self, *_: object) -> None:
        self._show_page_soon.start(0)

    def _on_boxes_changed(self, _change: object) -> None:
        if not self.model.count and not self._show_page_soon.isActive():
            self._show_page_soon.start(0)

    def _show_page(self) -> None:
        if self.model.count:
            self.pages.setCurrentWidget(self.view)
            return
        self.empty.refresh()
        self.pages.setCurrentWidget(self.empty)
