"""What the user and the models say of a finding; a click on another class takes it over."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QSizePolicy, QToolButton, QVBoxLayout, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.widgets.class_chip import chip_icon
from microscope_qc.app.widgets.parts import heading, note
from microscope_qc.core.boxes import BOX_DTYPE, FindingFlag, ReviewState
from microscope_qc.core.opinions import class_is_users
from microscope_qc.core.wording import confidence_text

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session


@dataclass(frozen=True, slots=True)
class SaidClass:
    """One opinion: a class, how sure a model is of it (NaN: the user), who says so, and whether it is the one shown."""

    class_id: int
    confidence: float
    who: str
    leads: bool


def said_of(session: Session, row: np.void) -> list[SaidClass]:
    """What is said of a finding: the user first, then the models, the most confident first."""
    project = session.project
    if project is None:
        return []
    mine = bool(class_is_users(np.array([row], BOX_DTYPE)).all())
    said = [SaidClass(int(row["class_id"]), math.nan, f"you, {_deed(row)}", True)] if mine else []
    opinions = project.opinions.of_finding(int(row["id"]))
    for opinion in opinions[np.argsort(-opinions["confidence"], kind="stable")]:
        run = project.runs.by_id(int(opinion["run_id"]))
        who = [run.title, str(run.started)[:10], *(["switched off"] if not run.shown else [])]
        leads = not mine and run.id == int(row["run_id"])
        said.append(SaidClass(int(opinion["class_id"]), float(opinion["confidence"]), ", ".join(who), leads))
    return said


def _deed(row: np.void) -> str:
    """How a class became the user's."""
    if row["state"] != ReviewState.UNREVIEWED:
        return ReviewState(int(row["state"])).word
    return "drawn or imported" if row["flags"] & FindingFlag.DRAWN else "class set"


class OpinionList(QWidget):
    """One line for each opinion: class, confidence, and below it who says so."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._shown: tuple[object, ...] = ()
        self.lines: list[QToolButton] = []
        self.title = heading("Opinions")
        self.differ = note()
        self._list = QVBoxLayout()
        self._list.setSpacing(0)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.STEP // 2)
        for part in (self.title, self.differ):
            column.addWidget(part)
        column.addLayout(self._list)

    def show_finding(self, row: np.void | None) -> None:
        """Show what is said of a finding; nothing where only its user said something, or for None."""
        said = [] if row is None else said_of(self._session, row)
        models = [one for one in said if not math.isnan(one.confidence)]
        self.setVisible(bool(models))
        shown = (None if row is None else int(row["id"]), tuple(map(repr, said)), self._session.can_write)
        if shown == self._shown or row is None:
            return
        self._shown = shown
        differ = len({one.class_id for one in said}) > 1
        self.differ.setText("They differ. Press a class to take it." if differ else "")
        self.differ.setVisible(differ)
        for line in self.lines:
            self._list.removeWidget(line)
            line.deleteLater()
        self.lines = [self._line(int(row["id"]), int(row["class_id"]), one) for one in said]
        for line in self.lines:
            self._list.addWidget(line)

    def _line(self, finding_id: int, class_id: int, said: SaidClass) -> QToolButton:
        item = self._session.class_of(said.class_id)
        line = QToolButton()
        sure = "" if math.isnan(said.confidence) else f"   {confidence_text(said.confidence)}"
        mark = "   ✓ shown" if said.leads else ""
        line.setText(f"{item.code}  {item.name}{sure}\n{said.who}{mark}".replace("&", "&&"))
        line.setIcon(chip_icon(item.colour))
        line.setIconSize(QSize(14, 14))
        line.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        line.setAutoRaise(True)
        line.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        line.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        line.setProperty("opinion", "true")  # legible when it cannot be pressed, too
        line.setAccessibleName(f"{item.code}, {said.who}{sure}")
        same = said.class_id == class_id
        why_not = "The finding has this class." if same else self._session.why_not_write()
        line.setEnabled(not why_not)
        line.setToolTip(why_not or f"Give the finding the class {item.code}  {item.name}")
        line.clicked.connect(partial(self._take, finding_id, said.class_id))
        return line

    def _take(self, finding_id: int, class_id: int, _checked: bool = False) -> None:
        self._session.judging.relabel(np.array([finding_id]), class_id)
