"""Brightness and contrast: what is shown as black and white, per channel, live. Models do not use it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap, QShowEvent
from qtpy.QtWidgets import (
    QColorDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSizePolicy,
    QSlider,
    QStackedLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.base.number_entry import NumberEntry
from microscope_qc.app.base.signals import link
from microscope_qc.app.panels.display.histogram import HistogramView
from microscope_qc.app.panels.display.stack import StackSliders
from microscope_qc.app.widgets.parts import EmptyPage, column_of, heading, note, scrolled
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.numbers import Quantity
from microscope_qc.slides.display import NEUTRAL, ChannelView, DisplaySettings, visible_channels
from microscope_qc.slides.histogram import Histogram, grey_place, grey_world, histogram
from microscope_qc.slides.plane import Plane, StackPlace

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.session.session import Session
    from microscope_qc.slides import Mosaic

GAMMA_ENDS = (0.2, 5.0)
GAMMA_STEPS = 100
DIGITS = 6
COUNT_MS = 250


class DisplayDock(QWidget):
    """Changes the display settings of the slide on screen; ``open_requested`` asks for a slide."""

    open_requested = Signal()

    def __init__(self, session: Session, jobs: JobRunner, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("display")
        self._session, self._jobs, self._view = session, jobs, session.slide_view
        self._mosaic: Mosaic | None = None
        self._histograms: dict[tuple[int, StackPlace], Histogram] = {}
        self._last: dict[int, Histogram] = {}  # by channel, while the one of the picture on screen is being counted
        self._asked: set[tuple[int, StackPlace]] = set()
        self._count_soon = QTimer(self, singleShot=True, interval=COUNT_MS)
        self.channel = 0
        self.empty = EmptyPage()
        self.stack = StackSliders()
        self.channels = QListWidget()
        self.colour = QPushButton(theme.icon("palette-outline"), "Colour…")
        self.histogram = HistogramView()
        self.black, self.white = (NumberEntry(Quantity(words), step=1.0, digits=DIGITS) for words in ("Black", "White"))
        self.gamma_slider = QSlider(Qt.Orientation.Horizontal)
        self.gamma = NumberEntry(Quantity("Gamma", "", *GAMMA_ENDS), step=0.05, digits=3)
        self.auto = QPushButton(theme.icon("auto-fix"), "Auto")
        self.reset = QPushButton(theme.icon("restore"), "Reset")
        self.pick_grey = QPushButton(theme.icon("eyedropper-variant"), "Pick")
        self.auto_grey = QPushButton(theme.icon("auto-fix"), "Auto")
        self.no_balance = QPushButton("None")
        self.factors = note()
        self._build()
        self._connect()
        self._on_mosaic_changed()

    # -- putting together --------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.channels.setAlternatingRowColors(False)
        self.channels.setMaximumHeight(132)
        self.channels.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        for box in (self.black, self.white, self.gamma):
            box.setMinimumWidth(64)  # the widest number would make the panel too wide
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.gamma_slider.setRange(-GAMMA_STEPS, GAMMA_STEPS)
        self.gamma_slider.setToolTip("To the left dark tones become lighter, to the right deeper")
        self.auto.setToolTip("Black and white at the darkest and brightest 0.1 % of the slide")
        self.reset.setToolTip("Reset everything to the values of the file")
        self.pick_grey.setCheckable(True)
        self.pick_grey.setToolTip("Then click an area of the slide that is really grey")
        self.auto_grey.setToolTip("Makes the average of the slide grey")
        self.no_balance.setToolTip("The colours of the file")
        limits = QGridLayout()
        limits.setHorizontalSpacing(theme.STEP // 2)
        limits.setVerticalSpacing(theme.STEP // 2)
        for place, (words, box) in enumerate((("Black", self.black), ("White", self.white), ("Gamma", self.gamma))):
            label = QLabel(words)
            label.setProperty("quiet", True)
            label.setBuddy(box)
            row, side = divmod(place, 2)
            limits.addWidget(label, row, 3 * side, Qt.AlignmentFlag.AlignVCenter)
            limits.addWidget(box, row, 3 * side + 1)
        limits.addWidget(self.gamma_slider, 1, 2, 1, 3)
        limits.setColumnMinimumWidth(2, theme.STEP // 2)
        limits.setColumnStretch(1, 1)
        limits.setColumnStretch(4, 1)
        buttons = QHBoxLayout()
        buttons.setSpacing(theme.STEP)
        buttons.addWidget(self.auto, 1)
        buttons.addWidget(self.reset, 1)
        self._balance = QWidget()
        grey = QHBoxLayout()
        grey.setSpacing(theme.STEP // 2)
        for button in (self.pick_grey, self.auto_grey, self.no_balance):
            grey.addWidget(button, 1)
        balance = column_of(heading("White balance"), grey, self.factors)
        balance.setContentsMargins(0, theme.STEP, 0, 0)
        self._balance.setLayout(balance)
        self._several = QWidget()
        several = column_of(self.channels, self.colour)
        several.setContentsMargins(0, 0, 0, 0)
        self._several.setLayout(several)
        self._hint = note("For display only: detections always use the values of the file.")
        self._hint.setProperty("quiet", True)
        column = column_of(self.stack, self._several, self.histogram, limits, buttons, self._balance, self._hint)
        column.setSpacing(theme.STEP)
        column.addStretch(1)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self.empty)
        self._stack.addWidget(scrolled(column, self))

    def _connect(self) -> None:
        session, view = self._session, self._view
        link(self, session.mosaic_changed, self._on_mosaic_changed)
        link(self, session.slide_changed, self._on_mosaic_changed)
        link(self, session.tool_changed, self._on_tool_changed)
        view.display_changed.connect(self._on_display_changed)
        view.grey_place_picked.connect(self._on_grey_place_picked)
        self._count_soon.timeout.connect(self._ask_histogram)
        self.stack.place_chosen.connect(self._on_place_chosen)
        self.channels.currentRowChanged.connect(self._on_channel_chosen)
        self.channels.itemChanged.connect(self._on_channel_ticked)
        self.channels.itemDoubleClicked.connect(self._on_colour_clicked)
        self.colour.clicked.connect(self._on_colour_clicked)
        self.histogram.limits_dragged.connect(self._set_window)
        self.black.valueChanged.connect(self._on_black_changed)
        self.white.valueChanged.connect(self._on_white_changed)
        self.gamma.valueChanged.connect(self._set_gamma)
        self.gamma_slider.valueChanged.connect(self._on_slider_moved)
        self.auto.clicked.connect(self._on_auto_clicked)
        self.reset.clicked.connect(lambda: view.set_display(DisplaySettings(place=view.display.place)))
        self.pick_grey.clicked.connect(self._on_pick_clicked)
        self.auto_grey.clicked.connect(self._on_auto_grey_clicked)
        self.no_balance.clicked.connect(lambda: self._set_balance(NEUTRAL))
        self.empty.button.clicked.connect(self.open_requested)

    def showEvent(self, event: QShowEvent) -> None:
        """Qt: compute the histogram, which waits while the panel is hidden."""
        super().showEvent(event)
        self._ask_histogram()

    # -- the slide ---------------------------------------------------------------------------------------------------

    def _on_mosaic_changed(self) -> None:
        mosaic = self._session.mosaic
        if self._session.slide is None:
            self.empty.say("Brightness and contrast of the slide on screen.", "Open slide or project…")
        elif mosaic is None and self._session.mosaic_error is not None:
            self.empty.say("This slide cannot be read, so there is nothing to adjust.")
        elif mosaic is None:
            self.empty.say("The slide is being opened…")
        self._stack.setCurrentIndex(0 if mosaic is None else 1)
        if mosaic is self._mosaic:
            return
        self._mosaic, self.channel = mosaic, 0
        self._histograms.clear()
        self._last.clear()
        self._asked.clear()
        if mosaic is None:
            return
        self.stack.set_stack(mosaic.stack)
        self._several.setVisible(len(mosaic.channels) > 1)
        self._balance.setVisible(mosaic.rgb)
        self._fill_channels()
        self.refresh()
        self._ask_histogram()

    def _fill_channels(self) -> None:
        assert self._mosaic is not None
        with QSignalBlocker(self.channels):
            self.channels.clear()
            for channel in self._mosaic.channels:
                item = QListWidgetItem(channel.name)
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
                item.setToolTip("Check box: shown or hidden. Double-click: colour.")
                self.channels.addItem(item)
            self.channels.setCurrentRow(0)
        rows = min(len(self._mosaic.channels), 5)
        self.channels.setFixedHeight(rows * max(18, self.channels.sizeHintForRow(0)) + 4)

    @property
    def _place(self) -> StackPlace:
        return StackPlace() if self._mosaic is None else self._view.display.place.within(self._mosaic.stack)

    @property
    def _known(self) -> Histogram | None:
        """The histogram of the channel, of the picture on screen where it is counted already."""
        return self._histograms.get((self.channel, self._place), self._last.get(self.channel))

    def _ask_histogram(self) -> None:
        mosaic, channel, place = self._mosaic, self.channel, self._place
        if mosaic is None or not self.isVisible():
            return
        if self._known is None:
            self.histogram.say("Counting…")
        else:
            self.histogram.set_histogram(self._known)
        if (channel, place) in self._asked:
            return
        self._asked.add((channel, place))
        self._jobs.call(
            lambda: histogram(mosaic.on(Plane(place)), channel),
            on_done=lambda made: self._on_histogram(mosaic, channel, place, made),
            on_failed=lambda error: self._on_histogram_failed(mosaic, error),
        )

    def _on_histogram(self, mosaic: Mosaic, channel: int, place: StackPlace, made: Histogram) -> None:
        if mosaic is self._mosaic:
            self._histograms[channel, place] = self._last[channel] = made
            if (channel, place) == (self.channel, self._place):
                self.histogram.set_histogram(made)
                self.refresh()

    def _on_histogram_failed(self, mosaic: Mosaic, error: BaseException) -> None:
        if not isinstance(error, MicroscopeQCError):
            raise error
        if mosaic is self._mosaic:
            self.histogram.say(error.message)

    # -- showing what is set -----------------------------------------------------------------------------------------

    @property
    def _channel(self) -> ChannelView:
        return self._view.display.channel(self.channel)

    def _limits(self) -> tuple[float, float] | None:
        known = self._known
        return self._channel.window or (known.own_window if known is not None else None)

    def refresh(self) -> None:
        """Show the current settings."""
        mosaic = self._mosaic
        if mosaic is None:
            return
        known, limits, shown = self._known, self._limits(), self._channel
        widgets = (self.black, self.white, self.gamma, self.gamma_slider, self.channels)
        blockers = [QSignalBlocker(widget) for widget in widgets]
        self._show_limits(known, limits)
        self.gamma.setValue(shown.gamma)
        self.gamma_slider.setValue(round(math.log(shown.gamma) / math.log(GAMMA_ENDS[1]) * GAMMA_STEPS))
        visible = visible_channels(mosaic, self._view.display)
        for index, channel in enumerate(mosaic.channels):
            item, view = self.channels.item(index), self._view.display.channel(index)
            if item is not None:
                item.setCheckState(Qt.CheckState.Checked if index in visible else Qt.CheckState.Unchecked)
                item.setIcon(_swatch(view.colour or channel.colour))
        del blockers
        self.stack.set_place(self._place)
        balance = self._view.display.white_balance
        red, green, blue = balance
        self.factors.setText(f"Red × {red:.2f}   green × {green:.2f}   blue × {blue:.2f}")
        self.no_balance.setEnabled(balance != NEUTRAL)
        self.reset.setEnabled(not self._view.display.plain)
        self.auto.setEnabled(known is not None)

    def _show_limits(self, known: Histogram | None, limits: tuple[float, float] | None) -> None:
        for box in (self.black, self.white):
            box.setEnabled(limits is not None)
        if limits is None or known is None:
            return
        span = float(known.edges[-1] - known.edges[0])
        for box, value in zip((self.black, self.white), limits, strict=True):
            box.setSingleStep(max(1.0, span // 256) if known.whole_numbers else span / 256)
            box.setRange(min(known.edges[0], limits[0]) - 100 * span, max(known.edges[-1], limits[1]) + 100 * span)
            box.setValue(value)
        self.histogram.set_curve(limits, self._channel.gamma)

    def _on_display_changed(self, _display: DisplaySettings) -> None:
        self.refresh()
        if self._mosaic is not None and (self.channel, self._place) not in self._asked:
            self._count_soon.start()  # not for every picture that a slider passes

    def _on_place_chosen(self, axis: str, place: StackPlace) -> None:
        self._view.stack_axis = axis
        self._view.set_display(replace(self._view.display, place=place))

    # -- setting -----------------------------------------------------------------------------------------------------

    def _set(self, view: ChannelView, channel: int | None = None) -> None:
        self._view.set_display(self._view.display.with_channel(self.channel if channel is None else channel, view))

    def _set_window(self, black: float, white: float) -> None:
        if black < white:
            self._set(replace(self._channel, window=(black, white)))

    def _on_black_changed(self, black: float) -> None:
        limits = self._limits()
        if limits is not None:
            self._set_window(black, max(limits[1], black + self.black.singleStep()))

    def _on_white_changed(self, white: float) -> None:
        limits = self._limits()
        if limits is not None:
            self._set_window(min(limits[0], white - self.white.singleStep()), white)

    def _set_gamma(self, gamma: float) -> None:
        self._set(replace(self._channel, gamma=gamma))

    def _on_slider_moved(self, place: int) -> None:
        self._set_gamma(round(GAMMA_ENDS[1] ** (place / GAMMA_STEPS), 2))

    def _on_auto_clicked(self) -> None:
        known = self._known
        if known is not None:
            self._set_window(*known.auto_window)

    def _on_channel_chosen(self, row: int) -> None:
        if row >= 0:
            self.channel = row
            self.refresh()
            self._ask_histogram()

    def _on_channel_ticked(self, item: QListWidgetItem) -> None:
        row = self.channels.row(item)
        view = self._view.display.channel(row)
        self._set(replace(view, visible=item.checkState() == Qt.CheckState.Checked), row)

    def _on_colour_clicked(self) -> None:
        if self._mosaic is None:
            return
        now = self._channel.colour or self._mosaic.channels[self.channel].colour
        name = self._mosaic.channels[self.channel].name
        chosen = QColorDialog.getColor(QColor(now), self, f"Colour of {name}")
        if chosen.isValid():
            self._set(replace(self._channel, colour=chosen.name()))

    # -- white balance -----------------------------------------------------------------------------------------------

    def _set_balance(self, factors: tuple[float, float, float]) -> None:
        self._view.set_display(replace(self._view.display, white_balance=factors))

    def _on_pick_clicked(self, checked: bool) -> None:
        self._session.set_tool("grey" if checked else "select")
        if checked:
            self._session.notice.emit("Click an area of the slide that is really grey.")

    def _on_tool_changed(self, tool: str) -> None:
        self.pick_grey.setChecked(tool == "grey")

    def _on_grey_place_picked(self, y: float, x: float, radius_px: float) -> None:
        self._session.set_tool("select")
        mosaic = self._mosaic
        if mosaic is not None and mosaic.rgb:
            picture = mosaic.on(Plane(self._place))
            self._jobs.call(
                lambda: grey_place(picture, y, x, radius_px=radius_px),
                on_done=lambda factors: self._on_factors(mosaic, factors),
            )

    def _on_auto_grey_clicked(self) -> None:
        mosaic = self._mosaic
        if mosaic is not None:
            picture = mosaic.on(Plane(self._place))
            self._jobs.call(lambda: grey_world(picture), on_done=lambda factors: self._on_factors(mosaic, factors))

    def _on_factors(self, mosaic: Mosaic, factors: tuple[float, float, float] | None) -> None:
        if mosaic is not self._mosaic:
            return
        if factors is None:
            self._session.notice.emit("This area is too dark or too bright. Pick one of a medium grey.")
        else:
            self._set_balance(factors)


def _swatch(colour: str) -> QIcon:
    pixmap = QPixmap(14, 14)
    pixmap.fill(QColor(colour))
    return QIcon(pixmap)
