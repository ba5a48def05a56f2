"""The class that the composition of the selected finding means, why, and the button that takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.widgets.gating import allow
from microscope_qc.app.widgets.parts import note
from microscope_qc.core.errors import MicroscopeQCError

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session


class ProposalLine(QWidget):
    """One sentence; the button is there where the finding has another class."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._finding: int | None = None
        self._adds = False
        self.words, self.take = note(), QPushButton()
        self.take.setIcon(theme.icon("flask-outline"))
        self.take.setAutoDefault(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.STEP // 2)
        column.addWidget(self.words)
        column.addWidget(self.take)
        self.take.clicked.connect(self._on_take_clicked)

    def show_finding(self, row: np.void) -> None:
        """Show what the rules say of a finding; nothing where they say nothing."""
        from microscope_qc.workflows.stage.edx_classes import proposal, rules_of

        project = self._session.project
        self._finding = int(row["id"])
        try:
            found = None if project is None else proposal(project, self._finding, rules_of(project))
        except MicroscopeQCError as error:  # rules of another hand
            self.setVisible(True)
            self.words.setText(str(error))
            self.take.hide()
            return
        self.setVisible(found is not None)
        if found is None:
            return
        code, now = found.code, self._session.class_of(int(row["class_id"])).code
        self._adds = code not in {defect.code for defect in self._session.classes}
        name = f"{code}  {found.held[0].rule.class_name}".strip()
        self.words.setText(found.words + (f" It has the class {code}." if code and code == now else ""))
        self.take.setVisible(bool(code) and code != now)
        self.take.setText(f"Add the class {code} and take it" if self._adds else f"Class {code}  (T)")
        self.take.setToolTip(f"Give the finding the class {name}")
        allow(self._session, self.take)

    def _on_take_clicked(self) -> None:
        if self._finding is not None:
            self._session.judging.take_measured_class(np.array([self._finding]), add_classes=self._adds)
