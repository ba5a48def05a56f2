"""What EDX measured of the selected finding: a bar with its error for each element, and the spectrum behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.panels.finding.proposal import ProposalLine
from microscope_qc.app.panels.finding.spectrum import SpectrumView
from microscope_qc.app.widgets.gating import allow
from microscope_qc.app.widgets.parts import heading, note
from microscope_qc.core.composition import SHORT, Amount, less_reference, mean, of_unit, percent_error_text
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.wording import things

if TYPE_CHECKING:
    import numpy as np

    from microscope_qc.app.session.session import Session
    from microscope_qc.project import EdxMeasurement

MEAN = "mean"
MOST_BARS = 12
"""Elements that are drawn; those of the least amounts are left out."""
_ROW, _NAME, _NUMBER = 20, 28, 92


class CompositionBars(QWidget):
    """A bar from 0 to 100 % for each element, the largest first."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.amounts: list[Amount] = []
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_amounts(self, amounts: Sequence[Amount]) -> None:
        """Show amounts of one unit."""
        self.amounts = sorted(amounts, key=lambda amount: -amount.percent)[:MOST_BARS]
        self.setAccessibleName(", ".join(f"{a.element} {_number(a)}" for a in self.amounts))
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        """Qt: a row for each element."""
        return QSize(200, _ROW * len(self.amounts))

    def minimumSizeHint(self) -> QSize:
        """Qt: a row for each element."""
        return QSize(140, _ROW * len(self.amounts))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw the bars."""
        colours, align = theme.current(), Qt.AlignmentFlag
        painter = QPainter(self)
        room = max(self.width() - _NAME - _NUMBER, 1)
        for place, amount in enumerate(self.amounts):
            top = place * _ROW
            painter.setPen(QColor(colours.text))
            painter.drawText(QRectF(0, top, _NAME, _ROW), align.AlignLeft | align.AlignVCenter, amount.element)
            painter.setPen(QColor(colours.quiet))
            where = QRectF(self.width() - _NUMBER, top, _NUMBER, _ROW)
            painter.drawText(where, align.AlignRight | align.AlignVCenter, _number(amount))
            painter.fillRect(QRectF(_NAME, top + 4, room, _ROW - 8), QColor(colours.raised))
            painter.fillRect(QRectF(_NAME, top + 4, _at(amount.percent, room), _ROW - 8), QColor(colours.accent))
            if amount.sigma is not None:
                middle = top + _ROW // 2
                low, high = (_NAME + _at(amount.percent + way * amount.sigma, room) for way in (-1, 1))
                painter.setPen(QPen(QColor(colours.text), 1))
                painter.drawLine(round(low), middle, round(high), middle)
                for end in (low, high):
                    painter.drawLine(round(end), middle - 3, round(end), middle + 3)
        painter.end()


def _at(percent: float, room: float) -> float:
    return min(max(percent, 0.0), 100.0) / 100 * room


def _number(amount: Amount) -> str:
    return f"{percent_error_text(amount)} %"


class CompositionCard(QWidget):
    """The measurements of one finding, one at a time or their mean, in either unit.

    Parameters
    ----------
    ask_save
        Replaces the file dialog in tests: returns a path for a proposed one, "" for none.
    """

    def __init__(
        self, session: Session, parent: QWidget | None = None, *, ask_save: Callable[[str], str] | None = None
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._finding: int | None = None
        self._of_spectrum: int | None = None
        self._known: list[EdxMeasurement] = []
        self._spectra: list[int] = []
        self.which, self.unit = QComboBox(), QComboBox()
        self.which.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.which.setMinimumContentsLength(8)
        for key, words in SHORT.items():
            self.unit.addItem(words, key)
        self.unlink = QToolButton()
        self.unlink.setIcon(theme.icon("link-off"))
        self.unlink.setToolTip("This measurement belongs to no finding, or to another one (SEM panel)")
        self.subtract = QCheckBox("Reference subtracted")
        self.subtract.setToolTip("Shows what is left when the mean of the reference points is taken away")
        self.bars, self.words, self.proposal = CompositionBars(), note(), ProposalLine(session)
        self.spectrum, self.logarithmic = SpectrumView(), QCheckBox("Logarithm of the counts")
        self.save_spectrum = QToolButton()
        self.save_spectrum.setIcon(theme.icon("content-save-outline"))
        self.save_spectrum.setToolTip("Save this spectrum as EMSA/MAS text (.msa)")
        self._ask_save = ask_save or self._ask_where
        row = QHBoxLayout()
        row.setSpacing(theme.STEP // 2)
        row.addWidget(self.which, 1)
        row.addWidget(self.unit)
        row.addWidget(self.unlink)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.STEP // 2)
        column.addWidget(heading("Composition"))
        column.addLayout(row)
        column.addWidget(self.subtract)
        column.addWidget(self.bars)
        below = QHBoxLayout()
        below.setSpacing(theme.STEP // 2)
        below.addWidget(self.logarithmic, 1)
        below.addWidget(self.save_spectrum)
        column.addWidget(self.spectrum)
        column.addLayout(below)
        column.addWidget(self.words)
        column.addWidget(self.proposal)
        self.which.activated.connect(lambda _place: self._show())
        self.unit.activated.connect(lambda _place: self._show())
        self.subtract.toggled.connect(lambda _on: self._show())
        self.unlink.clicked.connect(self._on_unlink_clicked)
        self.logarithmic.toggled.connect(self.spectrum.set_logarithmic)
        self.save_spectrum.clicked.connect(self._on_save_clicked)
        self.hide()

    def show_finding(self, row: np.void | None) -> None:
        """Show what was measured of a finding; nothing where nothing was, or for None."""
        project, finding_id = self._session.project, None if row is None else int(row["id"])
        known = [] if project is None or finding_id is None else list(project.measurements.of_finding(finding_id))
        self.setVisible(bool(known))
        spectra = [] if project is None else [one.id for one in known if one.id in project.measurements.spectra]
        if (finding_id, known, spectra) != (self._finding, self._known, self._spectra):
            self._finding, self._known, self._spectra = finding_id, known, spectra
            self.subtract.setVisible(bool(self._references and self._measured))
            self.which.clear()
            if len(self._measured) > 1:
                self.which.addItem(f"Mean of {len(self._measured)}", MEAN)
            for one in known:
                kind = "" if one.kind == "point" else f" ({one.kind})"
                self.which.addItem(f"{one.label}{kind}", one.id)
            self._show()
        allow(self._session, self.unlink, unless="Choose one measurement." if self._chosen is None else "")
        if known and row is not None:
            self.proposal.show_finding(row)

    @property
    def _measured(self) -> list[EdxMeasurement]:
        """The measurements of the finding itself."""
        return [one for one in self._known if one.kind != "reference" and one.amounts]

    @property
    def _references(self) -> list[EdxMeasurement]:
        """The measurements beside the finding, of what it lies in."""
        return [one for one in self._known if one.kind == "reference" and one.amounts]

    @property
    def _chosen(self) -> EdxMeasurement | None:
        """The measurement that is shown, None for the mean."""
        return next((one for one in self._known if one.id == self.which.currentData()), None)

    def _show(self) -> None:
        unit, chosen = str(self.unit.currentData()), self._chosen
        if chosen is None:
            amounts = mean([one.amounts for one in self._measured], unit)
            words = (
                f"Mean of {things(len(self._measured), 'measurement')} without references. What one of them does not "
                "list counts as 0; the errors do not include the spread between them."
            )
        else:
            amounts = tuple(of_unit(chosen.amounts, unit).values())
            computed = "" if all(amount.measured for amount in amounts) else f", {SHORT[unit]} computed"
            voltage = "" if chosen.kv is None else f", {chosen.kv:g} kV"
            words = f"{chosen.source}{voltage}{computed}. {chosen.note}".strip()
        beside = chosen is None or chosen.kind != "reference"
        self.subtract.setEnabled(beside)
        if self._references and beside and self.subtract.isChecked():
            amounts = less_reference(amounts, mean([one.amounts for one in self._references], unit))
            words = f"{things(len(self._references), 'reference')} subtracted, not scaled to 100 %. {words}"
        self.bars.show_amounts(amounts)
        self._show_spectrum(chosen, [amount.element for amount in amounts])
        if self._of_spectrum is not None and chosen is None:
            label = next(one.label for one in self._known if one.id == self._of_spectrum)
            words = f"The spectrum is that of {label}. {words}"
        self.words.setText(words)
        allow(self._session, self.unlink, unless="Choose one measurement." if chosen is None else "")

    def _show_spectrum(self, chosen: EdxMeasurement | None, elements: list[str]) -> None:
        """Show the spectrum of what is shown; of a mean that of the first of its measurements that has one."""
        project = self._session.project
        candidates = [chosen.id] if chosen is not None else [one.id for one in self._measured]
        self._of_spectrum = next((number for number in candidates if number in self._spectra), None)
        found = None
        if project is not None and self._of_spectrum is not None:
            found = project.measurements.spectrum(self._of_spectrum)
        self.spectrum.show_spectrum(found, [*elements, *(found.elements if found is not None else ())])
        for widget in (self.logarithmic, self.save_spectrum):
            widget.setVisible(found is not None)

    def _ask_where(self, proposed: str) -> str:
        return QFileDialog.getSaveFileName(self, "Save spectrum", proposed, "Spectra (*.msa)")[0]

    def _on_save_clicked(self) -> None:
        from microscope_qc.correlation.emsa import write_emsa
        from microscope_qc.workflows.stage.edx_spectra import file_name

        project, number = self._session.project, self._of_spectrum
        found = None if project is None or number is None else project.measurements.spectrum(number)
        if project is None or number is None or found is None:
            return
        proposed = project.path.parent / file_name(project.measurements.by_id(number))
        if chosen := self._ask_save(str(proposed)):
            try:
                self._session.notice.emit(f"Written: {write_emsa(chosen, found)}")
            except MicroscopeQCError as error:
                self._session.notice.emit(str(error))

    def _on_unlink_clicked(self) -> None:
        project, chosen = self._session.project, self._chosen
        if project is None or chosen is None:
            return
        try:
            project.measurements.link({chosen.id: None})
        except MicroscopeQCError as error:
            self._session.notice.emit(str(error))
