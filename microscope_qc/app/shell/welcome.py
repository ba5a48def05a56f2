"""The page at the start: open a slide, open the sample, recent projects, what the program does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QFont, QImage, QPainter, QPaintEvent
from qtpy.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.core.errors import InputError
from microscope_qc.core.resources import resource

if TYPE_CHECKING:
    from microscope_qc.app.base.settings import AppSettings

DOES = (
    ("annotate", "magnify-scan", "Find", "A model scans the whole slide and marks possible defects."),
    (
        "review",
        "check-all",
        "Judge",
        "You confirm or reject the findings one by one, worst first, with a single key.",
    ),
    (
        "sem",
        "microscope",
        "Drive there",
        "Three marks align the slide with the SEM stage; the list takes you to each defect.",
    ),
)
PICTURE_WIDTH = 280


class Screenshot(QWidget):
    """A picture of the window, small and sharp on any screen, with a thin border."""

    def __init__(self, path: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._image = QImage(str(path))
        self._scaled = QImage()
        width, height = max(self._image.width(), 1), self._image.height()
        self.setFixedSize(PICTURE_WIDTH, round(PICTURE_WIDTH * height / width))

    @property
    def is_there(self) -> bool:
        """Whether the file could be read."""
        return not self._image.isNull()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw."""
        size = self.size() * self.devicePixelRatioF()
        if self._scaled.size() != size:
            smooth, shape = Qt.TransformationMode.SmoothTransformation, Qt.AspectRatioMode.IgnoreAspectRatio
            self._scaled = self._image.scaled(size, shape, smooth)
            self._scaled.setDevicePixelRatio(self.devicePixelRatioF())
        painter = QPainter(self)
        painter.drawImage(0, 0, self._scaled)
        painter.setPen(QColor(theme.current().line))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()


class WelcomePage(QWidget):
    """Signals say what the user wants; ``recent_chosen`` carries the path."""

    open_requested = Signal()
    sample_requested = Signal()
    recent_chosen = Signal(str)
    tour_requested = Signal()
    tour_declined = Signal()

    def __init__(self, settings: AppSettings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self._icons: list[tuple[QLabel, str]] = []
        self.open_button = QPushButton("Open a slide or project…")
        self.open_button.setProperty("primary", True)
        self.open_button.clicked.connect(self.open_requested)
        self.sample_button = QPushButton("Open the sample")
        self.sample_button.clicked.connect(self.sample_requested)
        for button in (self.open_button, self.sample_button):
            button.setMinimumHeight(36)
        self._recent_title = QLabel("Recent projects")
        self._recent_title.setProperty("quiet", True)
        self.recent = QListWidget()
        self.recent.setIconSize(QSize(20, 20))
        self.recent.itemActivated.connect(lambda item: self.recent_chosen.emit(item.data(Qt.ItemDataRole.UserRole)))
        self.recent.itemClicked.connect(lambda item: self.recent_chosen.emit(item.data(Qt.ItemDataRole.UserRole)))
        self.first_time = self._first_time()
        self._lay_out()
        self.refresh()

    def _first_time(self) -> QWidget:
        """The offer of a tour, until it was taken or declined."""
        words = QLabel("New here? A tour on the sample shows in a minute where things are.")
        self.tour_button, self.no_tour_button = QPushButton("Show me"), QPushButton("No, thanks")
        self.tour_button.clicked.connect(self.tour_requested)
        self.no_tour_button.clicked.connect(self.tour_declined)
        line = QWidget()
        row = QHBoxLayout(line)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.STEP)
        for widget in (words, self.tour_button, self.no_tour_button):
            row.addWidget(widget)
        row.addStretch(1)
        return line

    def _lay_out(self) -> None:
        title = QLabel("microscope-qc")
        font = QFont(self.font())
        font.setPointSizeF(font.pointSizeF() * 2.1)
        font.setWeight(QFont.Weight.DemiBold)
        title.setFont(font)
        subtitle = QLabel("Review polished cross-sections: find defects, judge them, measure them, drive to them.")
        subtitle.setProperty("quiet", True)
        subtitle.setWordWrap(True)
        hint = QLabel("or drop CZI, OME-Zarr, TIFF, PNG, JPEG, a folder of them or .mqc here")
        hint.setProperty("quiet", True)
        buttons = QHBoxLayout()
        buttons.setSpacing(theme.STEP)
        buttons.addWidget(self.open_button)
        buttons.addWidget(self.sample_button)
        buttons.addSpacing(theme.STEP)
        buttons.addWidget(hint)
        buttons.addStretch(1)
        inner = QWidget()
        inner.setMaximumWidth(3 * PICTURE_WIDTH + 6 * theme.STEP + 64)
        column = QVBoxLayout(inner)
        column.setContentsMargins(32, 32, 32, 32)
        column.setSpacing(theme.STEP)
        column.addWidget(title)
        column.addWidget(subtitle)
        column.addSpacing(2 * theme.STEP)
        column.addLayout(buttons)
        column.addWidget(self.first_time)
        column.addSpacing(3 * theme.STEP)
        column.addLayout(self._what_it_does())
        column.addSpacing(3 * theme.STEP)
        column.addWidget(self._recent_title)
        column.addWidget(self.recent, 3)
        column.addStretch(1)
        outer = QHBoxLayout(self)
        outer.addStretch(1)
        outer.addWidget(inner, 6)
        outer.addStretch(1)

    def _what_it_does(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(3 * theme.STEP)
        grid.setVerticalSpacing(theme.STEP // 2)
        for place, (file, icon_name, name, words) in enumerate(DOES):
            picture = _picture(file)
            if picture is not None:
                grid.addWidget(picture, 0, place)
            icon = QLabel()
            self._icons.append((icon, icon_name))
            head = QLabel(name)
            font = QFont(head.font())
            font.setBold(True)
            head.setFont(font)
            line = QHBoxLayout()
            line.setContentsMargins(0, theme.STEP, 0, 0)
            line.setSpacing(theme.STEP)
            line.addWidget(icon)
            line.addWidget(head, 1)
            text = QLabel(words)
            text.setWordWrap(True)
            text.setProperty("quiet", True)
            text.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
            grid.addLayout(line, 1, place)
            grid.addWidget(text, 2, place)
            grid.setColumnStretch(place, 1)
        return grid

    def refresh(self) -> None:
        """Show the recent projects in the colours of the theme."""
        self.first_time.setVisible(not self._settings.tour_seen)
        for label, name in self._icons:
            label.setPixmap(theme.icon(name, theme.current().accent).pixmap(22, 22))
        self.recent.clear()
        for text in self._settings.recent:
            path = Path(text)
            item = QListWidgetItem(theme.icon("folder-outline"), f"{path.stem}    {path.parent}")
            item.setData(Qt.ItemDataRole.UserRole, text)
            item.setToolTip(text)
            if not path.exists():
                item.setText(f"{path.stem}    (not found) {path.parent}")
                item.setForeground(self.palette().placeholderText())
            self.recent.addItem(item)
        empty = self.recent.count() == 0
        lines = self.recent.count() * max(self.recent.sizeHintForRow(0), 1)
        self.recent.setMaximumHeight(lines + 2 * self.recent.frameWidth())  # no empty space below the last one
        self.recent.setVisible(not empty)
        self._recent_title.setVisible(not empty)


def _picture(name: str) -> Screenshot | None:
    """One of the bundled pictures of the window; None if the installation lacks it."""
    try:
        picture = Screenshot(resource("welcome", f"{name}.png"))
    except InputError:
        return None
    return picture if picture.is_there else None
