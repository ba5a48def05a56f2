"""A plot that is drawn in another thread for the size and the colours of the window, copied and saved."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QMimeData
from qtpy.QtWidgets import QApplication, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.widgets.chart_view import ChartView, chart_image
from microscope_qc.reports.marked import Picture, picture, write_plot
from microscope_qc.reports.plot_values import Plot
from microscope_qc.reports.plots import PRINT, ChartLook

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner

REDRAW_MS = 60
COPIED_PX, COPIED_DPI = (1600, 900), 192.0
PICTURES = "SVG (*.svg);;PNG (*.png);;PDF (*.pdf)"
TABLES = "Excel table (*.xlsx);;Table (*.csv)"


def look_now() -> ChartLook:
    """The colours of the window's theme."""
    now = theme.current()
    return ChartLook(now.text, now.quiet, now.line, now.base)


def print_picture(plot: Plot) -> Picture:
    """A plot as it is copied."""
    return picture(plot, *COPIED_PX, look=PRINT, dpi=COPIED_DPI)


def put_on_clipboard(plot: Plot, made: Picture) -> None:
    """Put a plot as a picture, and its values as text, on the clipboard."""
    records = plot.records()
    lines = [list(records[0])] if records else []
    lines += [["" if cell is None else str(cell) for cell in record.values()] for record in records]
    data, board = QMimeData(), QApplication.clipboard()
    data.setImageData(chart_image(made))
    data.setText("\n".join("\t".join(line) for line in lines))
    if board is not None:
        board.setMimeData(data)


class PlotPane(ChartView):
    """Shows the plot that it was given last."""

    def __init__(self, jobs: JobRunner, say: Callable[[str], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._jobs, self._say, self._number = jobs, say, 0
        self.wanted: Plot | None = None
        self._due = Refresh(self, self._draw, after_ms=REDRAW_MS)
        self.redraw_requested.connect(self._due.soon)
        self.copy_requested.connect(self.copy)

    def want(self, plot: Plot | None) -> None:
        """Show another plot soon; nothing for None."""
        if plot is not self.wanted:
            self.clear()
        self.wanted = plot
        self._due.soon()

    def _draw(self) -> None:
        self._number += 1
        plot, (width, height, ratio), look = self.wanted, self.pixels_wanted, look_now()
        if plot is not None and not self._jobs.closed:
            self._jobs.call(
                lambda: picture(plot, width, height, look=look, dpi=96.0 * ratio),
                partial(self._take, self._number, plot),
            )

    def _take(self, number: int, plot: Plot, made: Picture) -> None:
        if number == self._number and plot is self.wanted:
            self.show_plot(plot, made)

    def copy(self) -> None:
        """Put the plot as a picture for print, and its values, on the clipboard."""
        plot = self.wanted
        if plot is not None:
            self._jobs.call(lambda: print_picture(plot), partial(self._on_copied, plot))

    def _on_copied(self, plot: Plot, made: Picture) -> None:
        put_on_clipboard(plot, made)
        self._say("The plot is on the clipboard, as a picture and as values.")

    def writing(self, path: Path) -> Callable[[], Path] | None:
        """Return what writes the plot as the name says; None without one."""
        plot = self.wanted
        return None if plot is None else lambda: write_plot(plot, path)
