"""A short tour of the window: where things are, in a few steps that point at them. It can be left at any time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QPoint, QRect, Qt, Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.base.signals import link
from microscope_qc.app.base.turns import Later

if TYPE_CHECKING:
    from microscope_qc.app.context import Context
    from microscope_qc.app.shell.navigator import WindowNavigator

WIDTH = 340
RING_PX = 3
SAMPLE = "file.sample"


@dataclass(frozen=True, slots=True)
class TourStep:
    """What is pointed at (a panel, "canvas", "workspaces", or "" for the whole window), and what is said of it.

    ``{ID}`` in ``words`` stands for the keys of that action.
    """

    place: str
    title: str
    words: str


STEPS = (
    TourStep(
        "canvas", "The slide",
        "The wheel zooms, holding Space pans. Every box is a finding: dashed, nobody has judged it yet; solid, it is "
        "confirmed. {tool.draw} draws a new one.",
    ),
    TourStep(
        "gallery", "Findings, worst first",
        "Click one, then go on without the mouse: {review.confirm} confirms, {review.reject} and a letter rejects, a "
        "digit gives its class, {review.choose} sends it to the SEM. Nothing needs saving; {edit.undo} has no end.",
    ),
    TourStep(
        "detect", "Let a model look",
        "A detection scans the slide in the background and says beforehand how long it takes. Findings can be judged "
        "while it runs.",
    ),
    TourStep(
        "suggestions", "Let it learn from you",
        "Label about twenty defects and press {suggest.learn}: what looks like them is suggested all over the slide.",
    ),
    TourStep(
        "workspaces", "Five workspaces",
        "Review shows one finding at a time, Learn trains a model on your labels, Statistics has the numbers with "
        "their areas and intervals, SEM the coordinates.",
    ),
    TourStep(
        "", "Help is a key away",
        "{help.manual} opens the manual at the page of what you are working in. {edit.palette} finds every command, "
        "and {help.shortcuts} shows all keys.",
    ),
)  # fmt: skip


class Tour(QFrame):
    """A card beside what it speaks of, which gets a ring; neither takes the keyboard from the work."""

    ended = Signal()

    def __init__(self, navigator: WindowNavigator) -> None:
        super().__init__(navigator.window)
        self._navigator = navigator
        self.setObjectName("tour")
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setAutoFillBackground(True)
        self.setFixedWidth(WIDTH)
        self._ring = QFrame(navigator.window)
        self._ring.setObjectName("tourRing")
        self._ring.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._ring.hide()
        self.at = 0
        self._place_soon = Later(self, self._place, after_ms=50)
        self.title, self.words, self.count = QLabel(), QLabel(), QLabel()
        font = self.title.font()
        font.setBold(True)
        self.title.setFont(font)
        self.words.setWordWrap(True)
        self.count.setProperty("quiet", True)
        self.skip, self.back, self.next = QPushButton("Skip"), QPushButton("Back"), QPushButton("Next")
        self.next.setProperty("primary", True)
        for button, act in ((self.skip, self.end), (self.back, self._on_back), (self.next, self._on_next)):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.clicked.connect(lambda _=False, act=act: act())
        row = QHBoxLayout()
        row.setSpacing(theme.STEP)
        row.addWidget(self.count)
        row.addStretch(1)
        for button in (self.skip, self.back, self.next):
            row.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP)
        column.setSpacing(theme.STEP)
        for part in (self.title, self.words):
            column.addWidget(part)
        column.addLayout(row)
        navigator.window.installEventFilter(self)
        link(self, navigator.context.session.project_changed, self.end)
        self.hide()

    def begin(self) -> None:
        """Show the first step."""
        self._navigator.use_workspace("annotate")
        self.at = 0
        self._show_step()

    def end(self) -> None:
        """Leave, wherever it is."""
        if self.isVisible():
            self.hide()
            self._ring.hide()
            self.ended.emit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: follow the size of the window."""
        if event.type() == QEvent.Type.Resize and self.isVisible():
            self._place_soon.soon()
        return False

    def _on_next(self) -> None:
        if self.at + 1 == len(STEPS):
            self.end()
        else:
            self.at += 1
            self._show_step()

    def _on_back(self) -> None:
        self.at = max(0, self.at - 1)
        self._show_step()

    def _show_step(self) -> None:
        step, book = STEPS[self.at], self._navigator.book
        keys = {entry.id: book.native_keys(entry, "\n").split("\n")[0] or entry.text for entry in book.entries}
        words = step.words
        for action_id, said in keys.items():
            words = words.replace(f"{{{action_id}}}", said)
        self.title.setText(step.title)
        self.words.setText(words)
        self.count.setText(f"{self.at + 1} of {len(STEPS)}")
        self.back.setEnabled(self.at > 0)
        self.next.setText("Done" if self.at + 1 == len(STEPS) else "Next")
        if step.place in self._navigator.docks:
            self._navigator.show_panel(step.place)
        colours = theme.current()
        self._ring.setStyleSheet(
            f"#tourRing {{ border: {RING_PX}px solid {colours.accent}; background: transparent; }}"
        )
        self.setStyleSheet(f"#tour {{ background: {colours.base}; border: 1px solid {colours.accent}; }}")
        self.show()
        self._place()
        self._place_soon.soon()  # panels move after this event

    def _target(self) -> QWidget | None:
        place = STEPS[self.at].place
        if place == "canvas":
            return self._navigator.context.canvas
        if place == "workspaces":
            return self._navigator.workspaces.buttons
        return self._navigator.docks.get(place)

    def _place(self) -> None:
        """Put the ring around what is spoken of and the card beside it, all of it within the window."""
        if not self.isVisible():
            return
        self.setFixedHeight(self.heightForWidth(WIDTH) if self.hasHeightForWidth() else self.sizeHint().height())
        window, target = self._navigator.window, self._target()
        whole = window.rect()
        self._ring.setVisible(target is not None and target.isVisible())
        if target is None or not target.isVisible():
            self.move(whole.center() - self.rect().center())
        else:
            around = QRect(target.mapTo(window, QPoint(0, 0)), target.size()).intersected(whole)
            self._ring.setGeometry(around)
            self._ring.raise_()
            self.move(beside(around, self.size().width(), self.size().height(), whole))
        self.raise_()


def beside(around: QRect, width: int, height: int, whole: QRect) -> QPoint:
    """Where a card of a size covers none of a rectangle, or else as little as can be."""
    gap = theme.STEP
    middle_y = around.center().y() - height // 2
    middle_x = around.center().x() - width // 2
    choices = (
        QPoint(around.left() - gap - width, middle_y),
        QPoint(around.right() + gap, middle_y),
        QPoint(middle_x, around.top() - gap - height),
        QPoint(middle_x, around.bottom() + gap),
        QPoint(around.right() - gap - width, around.bottom() - gap - height),
    )
    inside = [
        QPoint(
            min(max(place.x(), whole.left()), max(whole.right() - width, whole.left())),
            min(max(place.y(), whole.top()), max(whole.bottom() - height, whole.top())),
        )
        for place in choices
    ]

    def covered(place: QPoint) -> int:
        common = QRect(place.x(), place.y(), width, height).intersected(around)
        return max(0, common.width()) * max(0, common.height())

    return min(inside, key=covered)


def show_tour(navigator: WindowNavigator, context: Context) -> None:
    """Begin the tour, on the sample where no project is open; that it was seen is remembered."""
    tour = navigator.only(Tour, lambda: _remembering(Tour(navigator), navigator, context))
    if context.session.project is not None:
        tour.begin()
        return
    _when_open(context, tour.begin)
    navigator.trigger(SAMPLE)


def remember_tour(navigator: WindowNavigator, context: Context) -> None:
    """Do not offer it again."""
    if not context.settings.tour_seen:
        context.settings.tour_seen = True
        navigator.save_settings()


def _remembering(tour: Tour, navigator: WindowNavigator, context: Context) -> Tour:
    tour.ended.connect(lambda: remember_tour(navigator, context))
    return tour


def _when_open(context: Context, act: Callable[[], None]) -> None:
    """Do something once, when the next slide is on screen."""
    session = context.session

    def once() -> None:
        if session.project is not None and session.mosaic is not None:
            session.mosaic_changed.disconnect(once)
            act()

    session.mosaic_changed.connect(once)
