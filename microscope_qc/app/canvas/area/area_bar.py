"""The bar above the canvas while areas are declared complete: for which classes, and the two areas of one click."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QSize, Qt, Signal
from qtpy.QtGui import QAction, QMouseEvent
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QMenu, QPushButton, QSizePolicy, QToolButton, QVBoxLayout
from superqt import QElidingLabel, QFlowLayout

from microscope_qc.app.base import theme
from microscope_qc.core.wording import things

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from microscope_qc.app.session.session import Session

WHAT = (
    "<b>I have looked at all of this.</b> Drag a rectangle, or click corners, around an area in which every defect "
    "is marked."
)


class AreaBar(QFrame):
    """What the tool takes besides outlines.

    ``close_requested`` asks to close the outline, ``view_requested`` to declare what is in view.
    """

    close_requested = Signal()
    view_requested = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("areaBar")
        self._session = session
        self.words = QLabel(WHAT)
        self.words.setTextFormat(Qt.TextFormat.RichText)
        self.words.setWordWrap(True)
        self.words.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.done = _button("Done", "", "Put the tool away (Esc)")
        self.classes = QToolButton()
        self.menu = _StayingMenu(self.classes)
        self.whole = _button("Whole slide", "select-all", "Declare the whole slide complete for these classes")
        self.view = _button("What is in view", "monitor-eye", "Declare complete what of the slide is on screen now")
        self.close_outline = _button("Close outline", "vector-polygon", "Enter, a double click or a click on the start")
        self.state = QElidingLabel()
        self._build()
        self.done.clicked.connect(lambda: session.set_tool("select"))
        self.whole.clicked.connect(lambda _=False: session.declaring.declare_slide())
        self.view.clicked.connect(self.view_requested)
        self.close_outline.clicked.connect(self.close_requested)
        self.menu.aboutToShow.connect(self._fill_menu)
        self.hide()

    def _build(self) -> None:
        self.classes.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.classes.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.classes.setIcon(theme.icon("shape-outline"))
        self.classes.setIconSize(QSize(18, 18))
        self.classes.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.classes.setToolTip("Of which classes every defect is marked in what you declare")
        self.classes.setMenu(self.menu)
        head = QHBoxLayout()
        head.setSpacing(theme.STEP)
        head.addWidget(self.words, 1)
        head.addWidget(self.done, 0, Qt.AlignmentFlag.AlignTop)
        flow = QFlowLayout()
        flow.setContentsMargins(0, 0, 0, 0)
        flow.setHorizontalSpacing(theme.STEP)
        flow.setVerticalSpacing(theme.STEP // 2)
        for part in (self.classes, self.whole, self.view, self.close_outline):
            flow.addWidget(part)
        # always there, so that the image does not move under the pointer
        self.state.setProperty("quiet", True)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 6, theme.STEP, 6)
        column.setSpacing(4)
        column.addLayout(head)
        column.addLayout(flow)
        column.addWidget(self.state)

    def begin(self) -> None:
        """Show the bar."""
        self._colour()
        self.show()

    def changeEvent(self, event: QEvent) -> None:
        """Qt: another theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._colour()

    def _colour(self) -> None:
        colours = theme.current()
        style = (
            f"#areaBar {{ background: {colours.base}; border: none; border-left: 4px solid {colours.accent};"
            f" border-bottom: 1px solid {colours.line}; }} #areaBar QLabel {{ background: transparent; }}"
        )
        if style != self.styleSheet():  # setting it changes the palette again
            self.setStyleSheet(style)

    def refresh(self, corners: int) -> None:
        """Say for which classes, and how far the outline is."""
        declaring = self._session.declaring
        self.classes.setText(f"Complete for: {declaring.class_words(declaring.class_ids)} ")
        self.close_outline.setEnabled(corners > 2)
        if corners:
            self.state.setText(
                f"{things(corners, 'corner')}. Enter or a double click closes the outline, Backspace takes the last "
                "corner back, Esc drops it."
            )
        else:
            count = sum(bool(area.class_ids) for area in declaring.areas())
            self.state.setText(f"{things(count, 'area') if count else 'No area'} of this slide declared complete.")

    def _fill_menu(self) -> None:
        self.menu.clear()
        chosen, classes = self._session.declaring.class_ids, self._session.classes
        everything = self._tick(self.menu.addAction("All classes"), chosen is None)
        everything.triggered.connect(self._on_everything)
        self.menu.addSeparator()
        for item in classes:
            action = self._tick(self.menu.addAction(f"{item.code}  {item.name}"), chosen is None or item.id in chosen)
            action.setData(item.id)
            action.triggered.connect(self._on_ticked)

    def _tick(self, action: QAction, on: bool) -> QAction:
        action.setCheckable(True)
        action.setChecked(on)
        return action

    def _lines(self) -> list[QAction]:
        return [action for action in self.menu.actions() if action.data() is not None]

    def _on_everything(self, checked: bool) -> None:
        for action in self._lines():
            action.setChecked(checked)
        self._session.declaring.choose_classes(None if checked else frozenset())

    def _on_ticked(self) -> None:
        ticked = frozenset(action.data() for action in self._lines() if action.isChecked())
        everything = len(ticked) == len(self._lines())
        self.menu.actions()[0].setChecked(everything)
        self._session.declaring.choose_classes(None if everything else ticked)


class _StayingMenu(QMenu):
    """Stays open while several lines are ticked."""

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        action = self.actionAt(event.position().toPoint())
        if action is not None and action.isCheckable():
            action.trigger()
        else:
            super().mouseReleaseEvent(event)


def _button(text: str, icon: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    if icon:
        button.setIcon(theme.icon(icon))
    button.setToolTip(tip)
    button.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # keys stay with the canvas
    return button
