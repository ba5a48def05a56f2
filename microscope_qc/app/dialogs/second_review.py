"""A second review: findings one by one, without how they were judged before; then how well both agree."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QCloseEvent, QColor, QKeyEvent, QKeySequence, QPainter, QPaintEvent, QShortcut, QWheelEvent
from qtpy.QtWidgets import (
    QDialog,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.analysis.pace import PAUSE_S
from microscope_qc.app.base import theme
from microscope_qc.app.panels.review.crop import CONTEXT, CONTEXT_RANGE, paint_scale_bar
from microscope_qc.app.widgets.crop_slides import follow_slides
from microscope_qc.app.widgets.crops import CropProvider, CropSpec
from microscope_qc.app.widgets.finding_paint import BoxStyle, box_of, paint_box, paint_crop
from microscope_qc.core.boxes import REJECT_REASONS, ReviewState
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.wording import size_text, things
from microscope_qc.project.owner import user_name
from microscope_qc.workflows.results.second_agreement import again_words, compared_again
from microscope_qc.workflows.review import second_review
from microscope_qc.workflows.review.second_review import SecondReview, SecondVerdict

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session
    from microscope_qc.project.records import SlideRecord

ABOUT = (
    "Somebody else judges findings of {scope} again that were judged before. How they were judged is not to be seen "
    "here, and stays as it is; they come in an order of chance. At the end this says how well both agree."
)
T = TypeVar("T")
_BOX = QColor("#ffffff")
_COLUMNS, _ENTRY_PX = 2, 420


class BlindCrop(QWidget):
    """A finding with its surroundings, with the same box whatever was said of it; the wheel shows more or less."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumSize(320, 240)
        self._session, self._context = session, CONTEXT
        self.crops = CropProvider(self, cache_bytes=64 << 20)
        follow_slides(self, self.crops, session)
        self.crops.ready.connect(lambda _specs: self.update())
        self._row: np.void | None = None
        self._slide: SlideRecord | None = None

    def show_finding(self, row: np.void | None, slide: SlideRecord | None) -> None:
        """Show a finding of a slide; nothing for None."""
        self._row, self._slide, self._context = row, slide, CONTEXT
        self.update()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Qt: more or less of the surroundings."""
        context = (self._context + 0.5) * 1.2 ** (-event.angleDelta().y() / 120) - 0.5
        self._context = min(max(context, CONTEXT_RANGE[0]), CONTEXT_RANGE[1])
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Qt: picture, box, scale bar."""
        painter, target = QPainter(self), QRectF(self.rect())
        painter.fillRect(target, QColor(24, 24, 26))
        if self._row is None or self._slide is None:
            return
        ratio = self.devicePixelRatioF()
        size = max(1, round(self.height() * ratio)), max(1, round(self.width() * ratio))
        spec = CropSpec.around(
            box_of(self._row), shape_px=size, context=self._context, within=self._slide.shape_px,
            slide_id=self._slide.id,
        )  # fmt: skip
        paint_crop(painter, target, spec, self.crops.get(spec))
        paint_box(painter, target, spec, box_of(self._row), BoxStyle(_BOX, ReviewState.CONFIRMED, 2.0))
        if self._slide.pixel_size_um is not None:
            paint_scale_bar(painter, target, target.width() / spec.region.shape[1] / self._slide.pixel_size_um[1])


class SecondReviewDialog(QDialog):
    """Begins a second review, or goes on with the one that has not ended."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Second review")
        self.setWindowFlag(Qt.WindowType.WindowMaximizeButtonHint)
        self._session = session
        self.known: SecondReview | None = None
        self.place = 0
        self._since = time.monotonic()
        self.different: list[int] = []
        self.pages = QStackedWidget()
        self._make_start()
        self._make_work()
        self._make_end()
        column = QVBoxLayout(self)
        column.addWidget(self.pages)
        self.resize(self.screen().availableSize() * 0.9)
        project = session.project
        there = next((one for one in second_review.second_reviews(project) if one.is_open), None) if project else None
        if there is not None:
            self._show_work(there)

    # -- pages -------------------------------------------------------------------------------------------------------

    def _make_start(self) -> None:
        self.user, self.count, self.begin = QLineEdit(user_name()), QSpinBox(), QPushButton("Begin")
        about = QLabel(ABOUT.format(scope=self._session.scope.words))
        self.why_not = QLabel()
        for label in (about, self.why_not):
            label.setWordWrap(True)
        judged = len(self._judged())
        self.count.setRange(min(1, judged), min(judged, second_review.MOST))
        self.count.setValue(min(judged, 100))
        self.count.setSuffix(f" of {things(judged, 'judged finding')}, drawn at random")
        for entry in (self.user, self.count):
            entry.setMaximumWidth(_ENTRY_PX)
        self.begin.setDefault(True)
        self.begin.clicked.connect(self._on_begin)
        why = self._session.why_not_write() or ("" if judged else second_review.NO_JUDGED)
        self.begin.setEnabled(not why)
        self.why_not.setText(why)
        form = QFormLayout()
        form.addRow("Judged again by", self.user)
        form.addRow("Findings", self.count)
        page = QWidget()
        column = QVBoxLayout(page)
        column.setSpacing(theme.STEP)
        column.addWidget(about)
        column.addLayout(form)
        column.addWidget(self.why_not)
        column.addWidget(self.begin, 0, Qt.AlignmentFlag.AlignLeft)
        column.addStretch(1)
        self.pages.addWidget(page)

    def _make_work(self) -> None:
        self.crop, self.progress, self.facts = BlindCrop(self._session), QLabel(), QLabel()
        self.back, self.finish = QPushButton("← Back"), QPushButton("Done")
        self.back.clicked.connect(lambda: self._go(self.place - 1))
        self.finish.clicked.connect(self._on_finish)
        self.finish.setToolTip("What is not judged by then is no part of it")
        self.buttons: dict[SecondVerdict, QPushButton] = {}
        page, side = QWidget(), QVBoxLayout()
        for label in (self.progress, self.facts):
            label.setWordWrap(True)
            side.addWidget(label)
        side.addWidget(QLabel("<b>It is a defect of class</b>"))
        side.addLayout(self._grid([
            (defect.key, f"{defect.key}  {defect.code}".strip(), defect.name, SecondVerdict(True, defect.id))
            for defect in (self._session.project.classes if self._session.project else ())
        ]))  # fmt: skip
        side.addWidget(QLabel("<b>It is none</b>"))
        side.addLayout(self._grid([
            (letter.upper(), f"{letter.upper()}  {reason}", "", SecondVerdict(False, 0, reason))
            for letter, reason in REJECT_REASONS.items()
        ], columns=1))  # fmt: skip
        side.addStretch(1)
        side.addWidget(self.back)
        side.addWidget(self.finish)
        holder = QWidget()
        holder.setLayout(side)
        holder.setFixedWidth(320)
        row = QHBoxLayout(page)
        row.addWidget(self.crop, 1)
        row.addWidget(holder)
        self.pages.addWidget(page)

    def _grid(self, choices: list[tuple[str, str, str, SecondVerdict]], columns: int = _COLUMNS) -> QGridLayout:
        grid = QGridLayout()
        for number, (key, text, tip, verdict) in enumerate(choices):
            button = QPushButton(text)
            button.setToolTip(tip)
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.clicked.connect(lambda _=False, verdict=verdict: self._judge(verdict))
            grid.addWidget(button, *divmod(number, columns))
            self.buttons[verdict] = button
            if key:
                # a shortcut finds Shift+1 whatever the layout types for it, and only while its button can be seen
                shortcut = QShortcut(QKeySequence(key), button)
                shortcut.setAutoRepeat(False)  # a key held down would judge findings that nobody looked at
                shortcut.activated.connect(button.click)
        return grid

    def _make_end(self) -> None:
        self.words, self.show_different = QLabel(), QPushButton("Show the differences")
        self.words.setWordWrap(True)
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.show_different.clicked.connect(self._on_show_different)
        self.show_different.setToolTip("Leaves only these findings in gallery, table and on the slides")
        page = QWidget()
        column = QVBoxLayout(page)
        column.addWidget(self.words)
        column.addWidget(self.show_different, 0, Qt.AlignmentFlag.AlignLeft)
        column.addStretch(1)
        self.pages.addWidget(page)

    # -- beginning ---------------------------------------------------------------------------------------------------

    def _judged(self) -> np.ndarray:
        rows = self._session.scoped.table.rows
        found: np.ndarray = rows["id"][rows["state"] != ReviewState.UNREVIEWED]
        return found

    def _on_begin(self) -> None:
        project = self._session.project
        if project is None:
            return
        made = self._try(
            lambda: second_review.begin(
                project, self._judged(), count=self.count.value(), user=self.user.text().strip()
            )
        )
        if made is not None:
            self._show_work(made)

    def _show_work(self, known: SecondReview) -> None:
        self.known = known
        self.pages.setCurrentIndex(1)
        order = known.findings.tolist()
        self._go(order.index(known.left[0]) if known.left else len(order) - 1)
        self.setFocus()

    # -- judging -----------------------------------------------------------------------------------------------------

    def _go(self, place: int) -> None:
        """Show the finding at a place of the order."""
        known, project = self.known, self._session.project
        if known is None or project is None:
            return
        self.place = min(max(place, 0), len(known.findings) - 1)
        number = int(known.findings[self.place])
        self.back.setEnabled(self.place > 0)
        self.progress.setText(
            f"<b>{self.place + 1}</b> of {len(known.findings)}, {len(known.second)} judged again by {known.user}"
        )
        said = known.second.get(number)
        self._mark_said(said)
        self._since = time.monotonic()
        try:
            slide = project.slides.by_id(project.boxes.slide_of(number))
            row = project.boxes.table(slide.id).get(np.array([number]))[0]
        except MicroscopeQCError:
            self.crop.show_finding(None, None)
            self.facts.setText("This finding was deleted.")
            return
        self.crop.show_finding(row, slide)
        self.facts.setText(f"{slide.name}, {size_text(row, slide.pixel_size_um)}")

    def _mark_said(self, said: SecondVerdict | None) -> None:
        """Show what was said in this review of the finding, as when going back."""
        for verdict, button in self.buttons.items():
            button.setDown(verdict == said)

    def _judge(self, verdict: SecondVerdict) -> None:
        known, project = self.known, self._session.project
        if known is None or project is None:
            return
        number = int(known.findings[self.place])
        seconds = min(time.monotonic() - self._since, PAUSE_S)
        made = self._try(lambda: second_review.judge(project, known.number, {number: verdict}, seconds=seconds))
        if made is None:
            return
        self.known = made
        if self.place + 1 < len(made.findings):
            self._go(self.place + 1)
        elif made.left:
            self._go(made.findings.tolist().index(made.left[0]))
        else:
            self._on_finish()

    def _on_finish(self) -> None:
        known, project = self.known, self._session.project
        if known is None or project is None:
            return
        self.known = self._try(lambda: second_review.end(project, known.number)) or known
        found = self._try(lambda: compared_again(project, known.number))
        if found is None:
            return
        self.different = [one["finding"] for one in found["each"] if one["differs"]]
        self.words.setText("\n".join(again_words(found)))
        self.show_different.setEnabled(bool(self.different))
        self.pages.setCurrentIndex(2)

    def _on_show_different(self) -> None:
        ids, session = np.array(sorted(self.different), np.int64), self._session
        session.clear_filter()
        session.set_filter(numbers=frozenset(ids.tolist()))
        session.selection.set(ids[session.has(ids)][:1])
        self.accept()

    def _try(self, act: Callable[[], T]) -> T | None:
        try:
            return act()
        except MicroscopeQCError as error:
            self._session.notice.emit(str(error))
            self.facts.setText(str(error))
            return None

    # -- Qt ----------------------------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: the left arrow goes back."""
        if self.pages.currentIndex() == 1 and event.key() == Qt.Key.Key_Left:
            self._go(self.place - 1)
            return
        super().keyPressEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Qt: stop the threads that read pictures; what was judged is kept, and can be gone on with."""
        self.crop.crops.close()
        super().closeEvent(event)

    def done(self, result: int) -> None:
        """Qt: as when it is closed."""
        self.crop.crops.close()
        super().done(result)
