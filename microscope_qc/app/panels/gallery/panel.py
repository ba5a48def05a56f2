"""The gallery: every shown finding as a crop, worst first, judged by keyboard."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

import numpy as np
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from microscope_qc.app.base.signals import link
from microscope_qc.app.panels.gallery.header import GalleryHeader
from microscope_qc.app.session.session import Session
from microscope_qc.app.widgets.crop_list import FindingView
from microscope_qc.app.widgets.parts import EmptyPage
from microscope_qc.app.widgets.review_keys import ReviewKeys
from microscope_qc.core.wording import plural, things

SIDE_PX = 112


class Emptiness(Enum):
    """Why the gallery is empty, which decides what to suggest."""

    NOTHING_OPEN = "nothing open"
    NO_FINDINGS = "no findings"
    CONFIDENCE = "hidden by confidence"
    RUNS = "hidden runs"
    FILTER = "hidden by the filter"


def emptiness(session: Session) -> Emptiness:
    """Why the gallery is empty (asked only when it is)."""
    if session.slide is None:
        return Emptiness.NOTHING_OPEN
    rows, counted = session.table.rows, session.inclusion
    if len(rows) == 0:
        return Emptiness.NO_FINDINGS
    if not replace(counted, confidence_limit=0.0).mask(rows, rejected=True).any():
        return Emptiness.RUNS
    if counted.confidence_limit > 0 and _below_limit(session):
        return Emptiness.CONFIDENCE
    return Emptiness.FILTER


def _below_limit(session: Session) -> int:
    """How many findings the filter would show if the confidence limit were 0."""
    counted = replace(session.inclusion, confidence_limit=0.0).mask(session.table.rows, rejected=True)
    return int(np.count_nonzero(counted & session.filter.mask(session.table.rows)))


class GalleryDock(QWidget):
    """Header, crops, and a page that says what to do when there are none."""

    detect_requested = Signal()
    open_requested = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("gallery")
        self.setWindowTitle("Gallery")
        self._session = session
        self.model = session.findings
        self.header = GalleryHeader(session, self.model)
        self.view = FindingView(session)
        self.empty = EmptyPage()
        self.empty.button.clicked.connect(self._on_empty_clicked)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.view)
        self.pages.addWidget(self.empty)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.header)
        column.addWidget(self.pages, 1)
        self.keys = ReviewKeys(session, self.view, self.pages)
        self.setFocusProxy(self.view)
        self.header.side_changed.connect(self.view.set_side)
        self.header.crop_size.setValue(SIDE_PX)
        self._why = Emptiness.NOTHING_OPEN
        self._show_page_soon = QTimer(self)
        self._show_page_soon.setSingleShot(True)
        self._show_page_soon.timeout.connect(self._show_page)
        for signal in (self.model.modelReset, self.model.rowsInserted, self.model.rowsRemoved):
            signal.connect(lambda *_: self._show_page_soon.start(0))
        link(self, session.boxes_changed, self._on_boxes_changed)
        link(self, session.slide_changed, self._show_page)
        self._show_page()

    def close_crops(self) -> None:
        """Stop the threads that read crops (the window is closing)."""
        self.view.crops.close()
        self.model.close()

    def focus_filter(self) -> None:
        """Go to the search field."""
        self.header.search.setFocus()
        self.header.search.selectAll()

    def _on_boxes_changed(self, _change: object) -> None:
        if not self.model.count and not self._show_page_soon.isActive():
            self._show_page_soon.start(0)

    def _show_page(self) -> None:
        if self.model.count:
            self.pages.setCurrentWidget(self.view)
            return
        self._why = emptiness(self._session)
        rows = self._session.table.rows
        count = things(len(rows), "finding")
        confidence = f"{self._session.inclusion.confidence_limit:.2f}"
        says = {
            Emptiness.NOTHING_OPEN: ("Open a slide: its findings appear here as crops, worst first.", "Open a slide…"),
            Emptiness.NO_FINDINGS: (
                "No findings yet. Run a detection, or draw boxes on the slide (B).",
                "Run a detection…",
            ),
            Emptiness.CONFIDENCE: (
                f"All {self._hidden_by_confidence()} hidden: the model is less sure of them than {confidence}.",
                "Show all",
            ),
            Emptiness.RUNS: (f"{count} hidden: their detections are switched off.", "Show them"),
            Emptiness.FILTER: (f"None of the {count} passes the filter.", "Clear the filter"),
        }
        self.empty.say(*says[self._why])
        self.pages.setCurrentWidget(self.empty)

    def _hidden_by_confidence(self) -> str:
        count = _below_limit(self._session)
        return f"{things(count, 'finding')} {plural(count, 'is', 'are')}"

    def _on_empty_clicked(self) -> None:
        project = self._session.project
        if self._why is Emptiness.NOTHING_OPEN:
            self.open_requested.emit()
        elif self._why is Emptiness.NO_FINDINGS:
            self.detect_requested.emit()
        elif self._why is Emptiness.CONFIDENCE:
            self._session.set_confidence_limit(0.0)
        elif self._why is Emptiness.RUNS and project is not None:
            for run in project.runs:
                if not run.shown:
                    project.runs.show(run.id, True)
        else:
            self._session.clear_filter()
