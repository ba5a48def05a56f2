"""The switch "Learn from my labels", and what it says: what it does now, and how good it is."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.widgets.job_bar import JobBar
from microscope_qc.app.widgets.parts import note, sentence
from microscope_qc.core.wording import duration_text, progress_text, things
from microscope_qc.workflows.suggestions.so_far import judged_words

if TYPE_CHECKING:
    from microscope_qc.app.session.label_learning import LabelLearning
    from microscope_qc.app.session.session import Session

WHAT = (
    "Label about twenty defects: what looks like them is then suggested all over the slide, dotted. Confirm what is "
    "right, reject what is wrong, and it has learned that too. The slide is read once in the background; nothing "
    "leaves this computer, and suggestions count nowhere until you confirm them."
)
WAITS = (
    "Draw or confirm some defects. It learns after every five judgements, or when you pause for ten seconds; about "
    "twenty labels make a good start."
)


def doing_words(learning: LabelLearning) -> str:
    """What it does now; "" while it does nothing."""
    handle = learning.handle
    if handle is None:
        return ""
    progress, parts = handle.progress, [handle.title]
    if handle.cancelling:
        return f"{handle.title}: stopping …"
    if progress.note and progress.note != "starting":
        parts.append(progress.note)
    words = ": ".join(parts)
    if progress.total > 0:
        words += f", {progress_text(progress.fraction)}"
    if handle.seconds_left is not None:
        words += f", {duration_text(handle.seconds_left)} left"
    return f"{words}."


class LearnSwitch(QWidget):
    """A check box and some lines; ``compact`` shows the box and one line."""

    def __init__(self, session: Session, parent: QWidget | None = None, *, compact: bool = False) -> None:
        super().__init__(parent)
        self._session, self._learning, self._compact = session, session.learning, compact
        self.box = QCheckBox("Learn from my labels")
        self.box.setToolTip("Suggests what looks like the defects that you have labelled")
        self.box.clicked.connect(self._learning.set_on)
        self.story, self.good, self.left_out, self.bar = sentence(), note(), note(), JobBar()
        self.good.setTextFormat(Qt.TextFormat.RichText)
        self.pause, self.go_on = QPushButton("Pause"), QPushButton("Continue")
        self.pause.setToolTip("What was computed is kept")
        self.pause.clicked.connect(self._learning.pause)
        self.go_on.clicked.connect(self._learning.go_on)
        self._lay_out()
        self._due = Refresh(self, self._refresh, after_ms=50)
        self._learning.changed.connect(self._due.soon)
        for signal in (session.project_changed, session.history_changed, session.suggested.changed):
            link(self, signal, self._due.soon)
        self._refresh()

    def _lay_out(self) -> None:
        if self._compact:
            row = QHBoxLayout(self)
            row.setContentsMargins(0, 0, 0, 0)
            row.addWidget(self.box)
            self.story.setWordWrap(False)
            row.addWidget(self.story, 1)
            return
        buttons = QHBoxLayout()
        buttons.addWidget(self.bar, 1)
        buttons.addWidget(self.pause)
        buttons.addWidget(self.go_on)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.box)
        column.addWidget(self.story)
        column.addLayout(buttons)
        column.addWidget(self.good)
        column.addWidget(self.left_out)

    def _refresh(self) -> None:
        session, learning = self._session, self._learning
        project = session.project
        self.box.setEnabled(session.can_write)
        self.box.setChecked(learning.on)
        stopped = bool(learning.paused or learning.failed)
        self.story.setText(self._story())
        handle = learning.handle
        shown = handle is not None and not self._compact
        self.bar.setVisible(shown)
        if handle is not None and handle.progress.total > 0:
            self.bar.setRange(0, 1000)
            self.bar.setValue(round(1000 * handle.progress.fraction))
        elif handle is not None:
            self.bar.setRange(0, 0)
        self.pause.setVisible(shown and not stopped)
        self.go_on.setVisible(learning.on and stopped and not self._compact)
        self.go_on.setText("Try again" if learning.failed else "Continue")
        good = [] if project is None or not learning.on else [judged_words(project), *learning.how_good[0]]
        lines = [escape(line) for line in good if line]
        if lines and learning.how_good[1]:
            lines.append(f"As of {escape(learning.how_good[1][:16].replace('T', ' '))}.")
        self.good.setText("<br>".join(lines))
        self.good.setToolTip("\n".join(good))  # a low panel shows the beginning only
        self.good.setVisible(bool(lines) and not self._compact)
        left_out = list(learning.left_out.values()) if learning.on else []
        self.left_out.setText("Left out: " + "\n".join(left_out))
        self.left_out.setVisible(bool(left_out) and not self._compact)

    def _story(self) -> str:
        learning, found = self._learning, self._session.suggested.found
        if self._session.project is None:
            return "" if self._compact else WHAT
        if not self._session.can_write:
            return self._session.why_not_write()
        if not learning.on:
            return "" if self._compact else WHAT
        if learning.failed:
            return learning.failed
        if learning.paused:
            return "Paused. What was computed is kept."
        doing = doing_words(learning)
        if doing:
            return doing
        if not found.labels:
            return WAITS
        return f"Learned from {things(found.labels, 'label')}."
