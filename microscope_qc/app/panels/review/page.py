"""The review page: one large finding, its position, its details, and the next ones. Nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from microscope_qc.analysis.sampling import estimate_words
from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.panels.review.crop import BigCrop, SlideMap, looked_at
from microscope_qc.app.panels.review.source import ReviewSource
from microscope_qc.app.session.orders import ORDERS
from microscope_qc.app.session.session import Session
from microscope_qc.app.widgets.crop_list import StripView
from microscope_qc.app.widgets.crop_slides import follow_slides
from microscope_qc.app.widgets.crops import CropProvider
from microscope_qc.app.widgets.review_end import ReviewEnd
from microscope_qc.app.widgets.review_keys import HINTS, ReviewKeys
from microscope_qc.app.widgets.scope_switch import ScopeSwitch, left_words
from microscope_qc.app.widgets.suggestion_grid import SuggestionGrid
from microscope_qc.core.wording import (
    class_of,
    confidence_text,
    count_text,
    plural,
    position_text,
    size_text,
    state_text,
    things,
)

STRIP_SIDE_PX = 88
HISTORY_LINES = 4


class ReviewPane(QWidget):
    """Page of the Review workspace; the same keys as in the gallery."""

    export_requested = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("review")
        self.setWindowTitle("Review")
        self._session = session
        self.model = session.findings
        self.crops = CropProvider(self, cache_bytes=128 << 20)
        follow_slides(self, self.crops, session)
        self.picture = BigCrop(session, self.model, self.crops)
        self.map = SlideMap(session, self.model, self.crops)
        self.map.place_clicked.connect(self._on_place_clicked)
        self.strip = StripView(session)
        self.strip.set_side(STRIP_SIDE_PX)
        self.source = ReviewSource(session)
        self.suggestions = SuggestionGrid(session, one_row=True)
        self.suggestions.set_side(STRIP_SIDE_PX)
        self.suggestions.hide()
        self.source.changed.connect(self._on_source_changed)
        self.scope = ScopeSwitch(session)
        self.title = _label(wrap=True)
        self.facts = _label(wrap=True)
        self.history = _label(wrap=True)
        self.progress = _label(wrap=True)
        self.end = ReviewEnd(session)
        self.end.export_requested.connect(self.export_requested)
        self.end.shown_changed.connect(lambda shown: self.picture.setVisible(not shown))
        self._lay_out()
        self.keys = ReviewKeys(session, self.strip, self.picture)
        self.suggestion_keys = ReviewKeys(session, self.suggestions, self.picture)
        self.setFocusProxy(self.strip)
        self.picture.setFocusProxy(self.strip)
        self._due = Refresh(self, self._refresh)
        for signal in (session.mosaic_changed, session.slide_changed):
            link(self, signal, self._on_mosaic_changed)
        for signal in (session.scoped.changed, session.boxes_changed, session.selection.changed,
                       session.history_changed, session.suggested.current_changed):  # fmt: skip
            link(self, signal, self._due.soon)
        for signal in (session.classes_changed, session.slides_changed):
            link(self, signal, self._due.soon)
        self.model.modelReset.connect(self._due.soon)
        self.model.order_changed.connect(self._due.soon)
        self._on_mosaic_changed()

    def close_crops(self) -> None:
        """Stop the threads that read crops (the window is closing)."""
        self.crops.close()
        self.strip.crops.close()
        self.suggestions.crops.close()

    def showEvent(self, event: QShowEvent) -> None:
        """Qt: start with the first finding if none is current."""
        super().showEvent(event)
        if self._session.selection.current is None and self.model.count:
            self._session.selection.set(self.model.order_ids()[:1])
        self._due.soon()

    def _lay_out(self) -> None:
        side = QVBoxLayout()
        side.setSpacing(12)
        for widget in (self.scope, self.map, self.title, self.facts, self.history):
            side.addWidget(widget)
        side.addStretch(1)
        side.addWidget(self.progress)
        holder = QWidget()
        holder.setLayout(side)
        holder.setFixedWidth(288)
        side.setContentsMargins(12, 12, 12, 8)
        upper = QHBoxLayout()
        upper.setSpacing(0)
        upper.addWidget(self.picture, 1)
        upper.addWidget(self.end, 1)
        upper.addWidget(holder)
        hints = QLabel("&nbsp;&nbsp;&nbsp;&nbsp; ".join(f"<b>{escape(k)}</b>&nbsp; {escape(w)}" for k, w in HINTS))
        hints.setContentsMargins(12, 4, 12, 4)
        hints.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(upper, 1)
        column.addWidget(self.source)
        column.addWidget(self.strip)
        column.addWidget(self.suggestions)
        column.addWidget(hints)

    def _on_source_changed(self, suggested: bool) -> None:
        self.strip.setVisible(not suggested)
        self.suggestions.setVisible(suggested)
        view = self.suggestions if suggested else self.strip
        self.setFocusProxy(view)
        self.picture.setFocusProxy(view)
        view.setFocus()
        if suggested:
            self.end.leave()
        self._due.soon()

    def _on_mosaic_changed(self) -> None:
        self.map.update()
        self._due.soon()

    def _refresh(self) -> None:
        self.picture.update()
        self.map.update()
        self._show_progress()
        row = looked_at(self._session, self.model)
        if row is None:
            for label in (self.title, self.facts, self.history):
                label.setText("")
            return
        found = class_of(self.model.classes, row)
        self.title.setText(
            f"<span style='font-size: x-large'><span style='color: {found.colour}'>■</span> "
            f"<b>{escape(found.code)}</b></span><br>{escape(found.name)}"
        )
        if not row["id"]:
            self.facts.setText(self._suggested_facts(row))
            self.history.setText("")
            return
        self.facts.setText(self._facts(row))
        self.history.setText(self._history(int(row["id"])))

    def _facts(self, row: np.void) -> str:
        size = self._session.pixel_size_of(int(row["id"]))
        slide = self._session.slide_of(int(row["id"])) if self._session.scoped.several else None
        lines = [
            ("Confidence", confidence_text(float(row["confidence"]))),
            ("Size", size_text(row, size)),
            ("State", state_text(row)),
            ("For the SEM", "chosen" if row["chosen"] else "no"),
            ("Position", position_text(row, size)),
        ]
        if slide is not None:
            lines.insert(0, ("Slide", slide.name))
        if row["note"]:
            lines.append(("Note", str(row["note"])))
        return _table(lines)

    def _suggested_facts(self, row: np.void) -> str:
        size = self._session.pixel_size_um
        lines = (
            ("State", "suggested: right (Enter) or wrong (N)?"), ("Size", size_text(row, size)),
            ("How sure", confidence_text(float(row["confidence"]))), ("Position", position_text(row, size)),
        )  # fmt: skip
        return _table(lines)

    def _history(self, box_id: int) -> str:
        project = self._session.project
        if project is None:
            return ""
        entries = [entry for entry in project.history.entries(200) if box_id in entry.box_ids and not entry.undone]
        lines = [f"{str(entry.time)[:16].replace('T', ' ')}&nbsp; {escape(entry.title)}" for entry in entries]
        return "<small>" + "<br>".join(lines[:HISTORY_LINES]) + "</small>" if lines else ""

    def _show_progress(self) -> None:
        ids = self.model.order_ids()
        if len(ids) == 0:
            self.progress.setText("")
            return
        judged = int(np.count_nonzero(self.model.states()))
        place = self.model.row_of(self._session.selection.current)
        where = f"<b>{count_text(place + 1)}</b> of {count_text(len(ids))}" if place is not None else ""
        left = left_words(self._session)
        lines = [
            where,
            f"{count_text(judged)} of {count_text(len(ids))} judged",
            left,
            self._estimate(len(ids) - judged),
        ]
        self.progress.setText("<br>".join(filter(None, lines)))

    def _estimate(self, left: int) -> str:
        """What the judgements say of the findings that are not judged, or that they say nothing."""
        if self.model.order == "sample":
            return estimate_words(self.model.estimate())
        if not left:
            return ""
        return (
            f"<small>{ORDERS[self.model.order]}: that says nothing of the {things(left, 'finding')} that "
            f"{plural(left, 'is', 'are')} not judged. For an estimate choose the order “{ORDERS['sample']}”.</small>"
        )

    def _on_place_clicked(self, y: float, x: float) -> None:
        """Select the shown finding that is nearest to a position on the slide of the current one."""
        scoped, current = self._session.scoped, self._session.selection.current
        rows = scoped.shown.rows()
        slide = None if current is None else self._session.slide_of(current)
        if scoped.several and (slide := slide or self._session.slide) is not None:
            rows = rows[scoped.slides_of(rows["id"]) == slide.id]
        if len(rows):
            distance = np.hypot((rows["y0"] + rows["y1"]) / 2 - y, (rows["x0"] + rows["x1"]) / 2 - x)
            self._session.navigation.select_and_centre(int(rows["id"][int(np.argmin(distance))]))


def _table(lines: Iterable[tuple[str, str]]) -> str:
    cells = "".join(
        f"<tr><td style='padding-right: 12px'>{escape(name)}</td><td><b>{escape(value)}</b></td></tr>"
        for name, value in lines
    )
    return f"<table cellspacing='2'>{cells}</table>"


def _label(*, wrap: bool) -> QLabel:
    label = QLabel()
    label.setWordWrap(wrap)
    return label
