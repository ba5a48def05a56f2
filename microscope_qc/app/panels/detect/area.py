"""The scan area of a detection, and how long it takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QButtonGroup, QCheckBox, QPushButton, QRadioButton, QVBoxLayout, QWidget
from superqt import QFlowLayout

from microscope_qc.app.panels.detect.area_editor import MaterialFinder, ScanAreaView
from microscope_qc.app.panels.detect.choice import AreaChoice, AreaNames, InitialMasks
from microscope_qc.app.panels.detect.estimate import Estimate
from microscope_qc.app.panels.detect.several import SeveralSlides
from microscope_qc.app.session.area_masks import AreaMasks
from microscope_qc.app.session.session import Session
from microscope_qc.app.widgets.parts import note, sentence
from microscope_qc.core.area_mask import AreaMask
from microscope_qc.core.geometry import Region
from microscope_qc.workflows.detection.pixel_fit import lacks_pixel_size

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner

LEAVE_OUT_TIP = "What is clearly flat on a coarse picture of the slide is skipped"

SEVERAL_TIP = "The visible area is one of the slide on screen: choose “This slide”."

Viewport = Callable[[], tuple[float, float, float, float]]


class AreaSection(QWidget):
    """The choice of the area.

    Parameters
    ----------
    card
        Returns the card of the chosen model.
    viewport
        Returns the rectangle y0, x0, y1, x1 of the slide that is on screen, in full-resolution pixels.
    """

    changed = Signal()

    def __init__(
        self,
        session: Session,
        jobs: JobRunner,
        card: Callable[[], Any | None],
        parent: QWidget | None = None,
        *,
        viewport: Viewport | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._card, self.viewport = session, card, viewport
        self.masks = AreaMasks(session, self)
        self.finder = MaterialFinder(session, jobs, self)
        self.times = Estimate(session, card)
        self.several = SeveralSlides(session, card)
        self._initial, self._names = InitialMasks(session), AreaNames()
        self.view: ScanAreaView | None = None
        self.whole, self.visible = QRadioButton("Whole slide"), QRadioButton("Visible area")
        self.drawn = QRadioButton("Drawn regions")
        self.leave_out = QCheckBox("Leave out resin and empty area")
        self.show_area = QPushButton("Show scan area…")
        self.change = QPushButton("Change…")
        self.estimate = sentence()
        self.pixel_fit = note()  # the panel shows it where it is seen on a low screen too
        self.pixel_fit.setParent(self)
        self._change_when_found = False
        self._changing = "changed"
        self._build()
        self.masks.changed.connect(self.changed)
        self.masks.leaving.connect(self._on_leaving)
        self.finder.changed.connect(self._on_found)

    def _build(self) -> None:
        self.pixel_fit.setTextFormat(Qt.TextFormat.PlainText)
        self.whole.setChecked(True)
        self.leave_out.setChecked(True)
        self.show_area.setCheckable(True)
        where, show = QFlowLayout(), QFlowLayout()
        group = QButtonGroup(self)
        for button in (self.whole, self.visible, self.drawn):
            group.addButton(button)
            where.addWidget(button)
            button.toggled.connect(self._on_choice)
        for press in (self.show_area, self.change):
            press.hide()
            show.addWidget(press)
        self.leave_out.toggled.connect(self._on_choice)
        self.show_area.toggled.connect(self._on_show_toggled)
        self.change.clicked.connect(self._on_change_clicked)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(where)
        column.addWidget(self.leave_out)
        column.addLayout(show)
        column.addWidget(self.estimate)

    def show_on(self, view: ScanAreaView) -> None:
        """Show and edit the area on a canvas."""
        self.view = view
        self.show_area.show()
        self.change.show()
        view.painted.connect(self._on_painted)
        view.back_requested.connect(self._on_back_requested)
        view.finished.connect(self.changed)
        self.changed.emit()

    # -- what is chosen ----------------------------------------------------------------------------------------------

    def region(self) -> Region | None:
        """Rectangle to scan, None for the whole slide."""
        return self.in_view() if self.visible.isChecked() else None

    def in_view(self) -> Region | None:
        """The visible part of the slide; None without a canvas, or if it shows nothing of the slide."""
        if self.viewport is None or self._session.slide is None:
            return None
        y0, x0, y1, x1 = self.viewport()
        region = Region(math.floor(y0), math.floor(x0), math.ceil(y1), math.ceil(x1))
        region = region.clip(self._session.slide.shape_px)
        return None if region.empty else region

    def choice(self) -> AreaChoice:
        """The area for a detection of the slide on screen that starts now."""
        if self.view is not None:
            self.view.catch_up()
        if self.drawn.isChecked():
            return AreaChoice(mask=self._drawn())
        if not self.leave_out.isChecked():
            return AreaChoice(self.region(), everything=True)
        mask = self.masks.get("changed")
        if mask is None and self.visible.isChecked():
            # found on the whole slide, as shown on the canvas, not on the visible part alone
            mask = self.finder.mask(self._card())
        return AreaChoice(self.region(), mask=mask)

    def kind(self) -> str | None:
        """Which of the masks stored with the project a detection of several slides uses; None for neither."""
        return "drawn" if self.drawn.isChecked() else "changed" if self.leave_out.isChecked() else None

    def key(self) -> str | None:
        """Name of the chosen area in the settings of a detection, in addition to its rectangle."""
        return self._names.of(self.choice())

    def scan_mask(self) -> AreaMask | None:
        """The mask of what will be scanned; None while it is not known, or if nothing is left out."""
        if self.drawn.isChecked():
            return self._drawn()
        if not self.leave_out.isChecked():
            return None
        return self.masks.get("changed") or self._found()

    def why_not(self) -> str:
        """Why nothing can be detected there; "" if it can."""
        if self.several.there:
            return self.several.why_not()
        mask = self.scan_mask()
        if mask is None or self.times.tiles(self.region(), mask) != 0:
            return ""
        if self.drawn.isChecked():
            return "Draw a region first."
        place = "the visible area" if self.visible.isChecked() else "the slide"
        return f"Nothing of {place} is left to scan: add area first."

    def _drawn(self) -> AreaMask:
        return self.masks.get("drawn") or self._initial.mask(scan=False)

    def _found(self) -> AreaMask | None:
        """The mask that the program found, None while it is not known."""
        card = self._card()
        return (self.finder.mask(card) or self._initial.mask(scan=True)) if self.finder.known(card) else None

    # -- what is shown -----------------------------------------------------------------------------------------------

    def refresh(self, *, running: bool) -> None:
        """Show what can be chosen, the scan area and the time it takes."""
        in_view, why_not, several = self.in_view(), self._why_not_shown(), self.several.there
        if several and self.visible.isChecked():
            self.whole.setChecked(True)
        self.whole.setText("Whole slides" if several else "Whole slide")
        self.visible.setEnabled(in_view is not None and not running and not several)
        why_not_visible = "" if in_view is not None else "No part of the slide is in view."
        self.visible.setToolTip(SEVERAL_TIP if several else why_not_visible)
        for choice in (self.whole, self.drawn):
            choice.setEnabled(not running)
        self.leave_out.setEnabled(not running and not self.drawn.isChecked())
        tip = "Drawn regions are scanned completely" if self.drawn.isChecked() else LEAVE_OUT_TIP
        self.leave_out.setToolTip(tip)
        shown = self.show_area.isChecked()
        self.show_area.setText("Hide scan area" if shown else "Show scan area…")
        self.show_area.setEnabled(shown or not why_not)
        self.show_area.setToolTip(why_not or "What is left out is covered by a grey veil")
        self.change.setText("Draw regions…" if self.drawn.isChecked() else "Change…")
        self.change.setEnabled(not why_not and not running)
        self.change.setToolTip(why_not or "Add area and leave area out with a brush or by rectangles, on the slide")
        self._show_area()
        self.estimate.setVisible(not running)
        self._show_pixel_fit(running=running)
        if not running:
            words = self._words()
            self.estimate.setText(words)
            if self.view is not None:
                self.view.say(self.why_not() or words)

    def _show_pixel_fit(self, *, running: bool) -> None:
        """Warn where the pixel sizes of model and slides do not fit."""
        from microscope_qc.workflows.detection.pixel_fit import pixel_fit_lines, pixel_fit_words

        card, slide = self._card(), self._session.slide
        lines = []
        if card is not None and not running and self.several.there:
            lines = pixel_fit_lines(card, self.several.slides)
        elif card is not None and not running and slide is not None:
            lines = [pixel_fit_words(card, slide.pixel_size_um)]
        self.pixel_fit.setText("\n".join(lines))
        self.pixel_fit.setVisible(any(lines))

    def _why_not_shown(self) -> str:
        slide = self._session.slide
        if slide is None:
            return "Open a slide first."
        if self._card() is None:
            return "No model is installed."
        if lacks_pixel_size(self._card(), slide.pixel_size_um):
            return "Enter the pixel size first."
        if self._session.mosaic is None:
            error = self._session.mosaic_error
            return str(error) if error is not None else "The slide is being opened."
        return "" if self.drawn.isChecked() or self.leave_out.isChecked() else "Nothing is left out."

    def _show_area(self) -> None:
        view = self.view
        if view is None or not self.show_area.isChecked():
            return
        mask = None if self._why_not_shown() else self.scan_mask()
        if mask is not None:
            view.show(mask)
            return
        view.hide()
        if not self._why_not_shown() and not self.finder.problem:
            self.finder.find(self._card())

    def _words(self) -> str:
        if self.several.there:
            return self.several.words(at_most=self.leave_out.isChecked() or self.drawn.isChecked())
        mask, finder, card = self.scan_mask(), self.finder, self._card()
        if mask is None and finder.finding(card):
            return "Looking for resin and empty area …"
        how = ""
        if mask is not None and not self.drawn.isChecked():
            changed = self.masks.get("changed") is not None
            how = "This is the area as you changed it." if changed else ""
            how = "Nothing here is clearly resin." if not changed and finder.mask(card) is None else how
        at_most = self.leave_out.isChecked()
        words = self.times.words(self.region(), mask, at_most=at_most, in_view=self.in_view(), how=how)
        return f"{finder.problem} {words}".strip()

    # -- what the user does ------------------------------------------------------------------------------------------

    def _on_choice(self, on: bool) -> None:
        sender = self.sender()
        if isinstance(sender, QRadioButton) and not on:
            return
        self.finish_changing()
        self.finder.problem = ""
        self.changed.emit()

    def _on_show_toggled(self, shown: bool) -> None:
        if shown:
            self.finder.problem = ""
        elif self.view is not None:
            self.view.hide()
        self.changed.emit()

    def hide_area(self) -> None:
        """Hide the area, to show something else over the slide."""
        self.finish_changing()
        self.show_area.setChecked(False)

    def finish_changing(self) -> None:
        """End editing the area; everything that was painted is kept."""
        self._change_when_found = False
        if self.view is not None:
            self.view.finish()

    def _on_change_clicked(self) -> None:
        self.finish_changing()
        self.show_area.setChecked(True)
        mask = self.scan_mask()
        if mask is not None and self.view is not None:
            self._changing = "drawn" if self.drawn.isChecked() else "changed"
            self.view.change(mask, rectangles=self.drawn.isChecked())
        else:
            self._change_when_found = True

    def _on_found(self) -> None:
        if self.finder.problem:
            self.show_area.setChecked(False)
        self.changed.emit()
        if self._change_when_found:
            self._change_when_found = False
            if self.scan_mask() is not None:
                self._on_change_clicked()

    def _on_painted(self, mask: AreaMask) -> None:
        if self._changing == "drawn":
            self.masks.set("drawn", mask if mask.scan.any() else None)
            return
        found = self._found()
        same = found is not None and found.fingerprint == mask.fingerprint
        self.masks.set("changed", None if same else mask)

    def _on_back_requested(self) -> None:
        if self.view is None:
            return
        if self._changing == "drawn":
            self.view.replace(self._initial.mask(scan=False))
        elif (found := self._found()) is not None:
            self.view.replace(found)
        else:
            # the user's changes are from an earlier session: find again what the program would leave out
            self.view.finish()
            self.masks.set("changed", None)
            self._on_change_clicked()

    def _on_leaving(self) -> None:
        """Hide the mask before another slide is shown: what was painted belongs to the previous one."""
        if self.view is not None:
            self.view.hide()
