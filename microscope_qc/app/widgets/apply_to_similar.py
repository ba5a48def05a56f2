"""Judge similar findings the same way: shows them before it does."""

from __future__ import annotations

import math

import numpy as np
from qtpy.QtCore import QSize
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QLabel, QListView, QVBoxLayout, QWidget

from microscope_qc.app.session.review_order import FindingModel
from microscope_qc.app.session.session import Session
from microscope_qc.app.widgets.crop_list import CropList
from microscope_qc.core.arrays import Flags
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.wording import class_of, confidence_text, things

SIZE_PX = QSize(760, 520)


def similar_findings(session: Session, box_id: int) -> np.ndarray:
    """Ids of the shown unreviewed findings of the same class that are at least as clear-cut as ``box_id``.

    After a rejection these are those with at most its confidence; otherwise those with at least its confidence. The
    finding itself is included while it is unreviewed.
    """
    this = session.row_of(box_id)
    if this is None:
        return np.empty(0, np.int64)
    rows = session.scoped.shown.rows()
    like: Flags = (rows["class_id"] == this["class_id"]) & (rows["state"] == ReviewState.UNREVIEWED)
    if not math.isnan(this["confidence"]):
        rejected = this["state"] == ReviewState.REJECTED
        near = rows["confidence"] <= this["confidence"] if rejected else rows["confidence"] >= this["confidence"]
        like &= near
    return rows["id"][like]


def _where(session: Session) -> str:
    return f" on {session.scope.words}" if session.scoped.several else ""


class SimilarDialog(QDialog):
    """Count, rule and crops; nothing is judged before the button is pressed."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("similarDialog")
        self.setWindowTitle("Apply to similar findings")
        self._session = session
        model = session.findings
        current = session.selection.current
        this = None if current is None else model.box(current)
        self.ids = np.empty(0, np.int64) if current is None or this is None else similar_findings(session, current)
        self._rejecting = this is not None and this["state"] == ReviewState.REJECTED
        self._reason = "" if this is None else str(this["reason"])
        self.rule = QLabel()
        self.rule.setWordWrap(True)
        order = model.order_ids()[np.isin(model.order_ids(), self.ids)].tolist()
        self.crops = CropList(session, order, self)
        self.crops.setSelectionMode(QListView.SelectionMode.NoSelection)
        verb = f"Reject {len(self.ids)}" if self._rejecting else f"Confirm {len(self.ids)}"
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.accept_button = self.buttons.addButton(verb, QDialogButtonBox.ButtonRole.AcceptRole)
        self._alone = len(self.ids) == 0 or self.ids.tolist() == [current]
        self.rule.setText(self._rule_text(model, this))
        self.accept_button.setEnabled(not self._alone)
        self.buttons.button(QDialogButtonBox.StandardButton.Cancel).setIcon(QIcon())
        self.accept_button.setDefault(True)
        self.accept_button.setFocus()
        self.buttons.accepted.connect(self._on_accepted)
        self.buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 16)
        column.setSpacing(8)
        column.addWidget(self.rule)
        column.addWidget(self.crops, 1)
        column.addWidget(self.buttons)
        self.resize(SIZE_PX)

    def _rule_text(self, model: FindingModel, this: np.void | None) -> str:
        if this is None:
            return "Select a finding first."
        found = class_of(model.classes, this)
        verb = f"Reject as “{self._reason}”" if self._rejecting else "Confirm"
        rule = f"{found.code} ({found.name}), unreviewed, shown by the filter{_where(self._session)}"
        if not math.isnan(this["confidence"]):
            side = "at most" if self._rejecting else "at least"
            rule += f", confidence {side} {confidence_text(float(this['confidence']))}"
        if self._alone:
            return f"<b>There are no similar findings.</b><br>{rule}"
        return f"<b>{verb} {things(len(self.ids), 'finding')} at once?</b><br>{rule}. One undo reverts it."

    def _on_accepted(self) -> None:
        try:
            if self._rejecting:
                self._session.judging.reject(self.ids, self._reason)
            else:
                self._session.judging.confirm(self.ids)
        except MicroscopeQCError as error:
            self._session.notice.emit(str(error))
        self.accept()
