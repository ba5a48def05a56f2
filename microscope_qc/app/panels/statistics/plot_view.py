"""A plot with its choices; a click on a bar, bin or dot selects its findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from microscope_qc.analysis.control_charts import RULE_SETS, TITLES
from microscope_qc.app.base import theme
from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.panels.statistics.control_bar import ControlBar
from microscope_qc.app.panels.statistics.counting import Counting
from microscope_qc.app.widgets.chart_view import ChartView
from microscope_qc.app.widgets.parts import note, sentence
from microscope_qc.app.widgets.plot_pane import REDRAW_MS, look_now, print_picture, put_on_clipboard
from microscope_qc.core.arrays import Ints
from microscope_qc.core.composition import UNITS
from microscope_qc.core.specimen import FieldKind
from microscope_qc.core.wording import count_text, things
from microscope_qc.reports.marked import Picture, picture, write_plot
from microscope_qc.reports.plot_values import Plot
from microscope_qc.reports.plots import ChartLook
from microscope_qc.workflows.results.counted_findings import CountedFindings
from microscope_qc.workflows.results.grouping import SLIDE, members_of
from microscope_qc.workflows.results.plot_parts import CLASS_OF, COUNT, PER_MM2, PlotChoice
from microscope_qc.workflows.results.plots import PLOTS, make_plot
from microscope_qc.workflows.results.plots_of_control import CONTROL
from microscope_qc.workflows.results.process_control import QUALITY_INDEX

if TYPE_CHECKING:
    from microscope_qc.app.base.settings import AppSettings
    from microscope_qc.app.session.session import Session

Offer = list[tuple[str, str]]
"""Titles and names of what can be chosen."""
_WORDS = {
    "of": "Of", "by": "A bar for each", "field": "Against", "weight": "Show", "first": "Found by", "second": "beside",
    "fields_mm2": "Largest of", "in_mm2": "Expected on", "chart": "Chart", "rules": "Unusual by",
    "phase_1": "Limits from", "unit": "In", "corners": "Between",
}  # fmt: skip
"""The choices and their labels, in their order."""
_REVIEWED = ("Reviewed findings", "")
_ALONE = ("Alone", "")
_LARGER_MM2 = (10, 100, 1_000, 10_000, 100_000, 150_000, 1_000_000)
_IN_MM2 = [("1 000 times the area", "0"), *((f"{count_text(area)} mm²", f"{area:g}") for area in _LARGER_MM2)]
_MOST_POINTS = 200
"""Phase I has no more points that can be chosen: limits hardly change with further ones."""
_CHARTS = [(title, name) for name, title in TITLES.items()]
_RULES = [(f"{one.title} (1 false alarm in {one.run_length})", name) for name, one in RULE_SETS.items()]
_BY_POINTS = "A point for each"
_UNITS = [(words, name) for name, words in UNITS.items()]
_MOST_CORNERS = 5
"""Of so many elements any three can be chosen."""
_FIELDS = (0.01, 0.1, 0.25, 1, 4, 10, 25, 100)
_FIELDS_MM2 = [("Cross-sections", "0"), *((f"Fields of {area:g} mm²", f"{area:g}") for area in _FIELDS)]


@dataclass(frozen=True, slots=True)
class DrawnPlot:
    """A plot, its picture, the choice that it is of, and what else could be chosen."""

    plot: Plot
    picture: Picture
    choice: PlotChoice
    offers: Mapping[str, Offer]


def _draw(
    found: CountedFindings, name: str, choice: PlotChoice, look: ChartLook, size: tuple[int, int, float]
) -> DrawnPlot:
    """In the thread of the counting: make and draw a plot of what can be chosen."""
    offers = _offers(found, choice)
    if "unit" in PLOTS[name].uses:
        offers["by"] = [("Class", CLASS_OF), *offers["by"]]
    choice = _possible(choice, offers, numbers=name == "field")
    plot = make_plot(found, name, choice)
    width, height, ratio = size
    return DrawnPlot(plot, picture(plot, width, height, look=look, dpi=96.0 * ratio), choice, offers)


def _offers(found: CountedFindings, choice: PlotChoice) -> dict[str, Offer]:
    book, there = found.known.book, {defect.code for defect in found.classes}
    classes = [(f"{one.code}  {one.name}".strip(), one.code) for one in book.classes if one.code in there]
    groups = [
        (name, name) for name, places in book.groups.items() if any(book.classes[p].code in there for p in places)
    ]
    said = [one for one in found.known.fields if any(s.slide.fields.get(one.name) is not None for s in found.slides)]
    detectors = [(name, name) for name in found.detectors]
    by = choice.by if choice.by in [one.name for one in said] else SLIDE
    points = len(members_of(found.known, [by]))
    return {
        "chart": _CHARTS,
        "rules": _RULES[:1] if choice.chart == "ewma" else _RULES,
        "phase_1": [
            ("Frozen limits, or all points", "0"),
            *((f"The first {count} points", str(count)) for count in range(2, min(points, _MOST_POINTS) + 1)),
        ],
        "of": [("All classes", ""), *groups, *classes],
        "by": [("Slide", SLIDE), *((one.title or one.name, one.name) for one in said)],
        "field": [(one.heading, one.name) for one in said if one.kind is FieldKind.NUMBER],
        "weight": [("Findings per mm²", PER_MM2), ("Findings", COUNT)],
        "first": [_REVIEWED, *detectors],
        "second": [_ALONE, *detectors],
        "in_mm2": _IN_MM2,
        "fields_mm2": _FIELDS_MM2,
        "unit": _UNITS,
        "corners": _corners(found),
    }


def _corners(found: CountedFindings) -> Offer:
    """Any three of the elements that were measured in the most findings."""
    known = Counter(
        amount.element
        for slide in found.slides
        for amounts in slide.compositions.values()
        for amount in amounts
        if amount.unit == "at" and amount.percent > 0
    )
    several = combinations([element for element, _ in known.most_common(_MOST_CORNERS)], 3)
    return [("The three most", ""), *((", ".join(three), ",".join(three)) for three in several)]


def _possible(choice: PlotChoice, offers: Mapping[str, Offer], *, numbers: bool) -> PlotChoice:
    """What was chosen, as far as there is such a thing in this project."""

    def one(name: str, value: str) -> str:
        known = [key for _, key in offers[name]]
        return value if value in known else known[0] if known else ""

    detectors = tuple(dict.fromkeys(name for name in choice.detectors if one("second", name)))
    return replace(
        choice, of=one("of", choice.of), by=one("by", choice.by), weight=one("weight", choice.weight),
        field=one("field", choice.field) if numbers else "", detectors=detectors, chart=one("chart", choice.chart),
        rules=one("rules", choice.rules), phase_1=int(one("phase_1", str(choice.phase_1))),
        unit=one("unit", choice.unit),
        corners=tuple(filter(None, one("corners", ",".join(choice.corners)).split(","))),
    )  # fmt: skip


class PlotView(QWidget):
    """One plot at a time; what was chosen is remembered for all kinds together."""

    drawn = Signal()
    only_requested = Signal(object)  # numbers of findings that alone are to be shown

    def __init__(
        self, session: Session, counting: Counting, settings: AppSettings, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._counting, self._settings = session, counting, settings
        self.kind = next(iter(PLOTS))
        self.chart, self.notes, self.said = ChartView(), note(), sentence()
        self.only, self.control = QPushButton("Show only these"), ControlBar(session)
        self.boxes = {name: QComboBox() for name in _WORDS}
        self._labels: dict[str, QLabel] = {}
        self._picked: Ints = np.zeros(0, np.int64)
        self._lay_out()
        self._due = Refresh(self, self._draw, after_ms=REDRAW_MS)
        self.chart.redraw_requested.connect(self._due.soon)
        self.chart.chosen.connect(self._on_chosen)
        self.chart.copy_requested.connect(self.copy)
        self.control.kept.connect(self._on_limits_kept)

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        for name, box in self.boxes.items():
            label = self._labels[name] = QLabel(_WORDS[name])
            label.setBuddy(box)
            box.setAccessibleName(_WORDS[name])
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
            box.activated.connect(lambda _place, name=name: self._on_activated(name))
            for part in (label, box):
                row.addWidget(part)
                part.hide()  # until a plot needs it: all of them together are wider than the screen
        row.addStretch(1)
        below = QHBoxLayout()
        below.addWidget(self.said, 1)
        below.addWidget(self.control)
        below.addWidget(self.only)
        self.only.setToolTip("Leaves only these findings in gallery, table and on the slide, and goes there")
        self.only.clicked.connect(lambda: self.only_requested.emit(self._picked))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.STEP // 2)
        column.addLayout(row)
        column.addWidget(self.chart, 1)
        column.addWidget(self.notes)
        column.addLayout(below)
        self.setFocusProxy(self.chart)
        self._say_picked("")

    # -- choices -----------------------------------------------------------------------------------------------------

    def show_kind(self, name: str) -> None:
        """Show another kind of plot."""
        if name != self.kind:
            self.kind = name
            self.clear()
        uses = PLOTS[name].uses
        for choice, box in self.boxes.items():
            used = ("detectors" if choice in ("first", "second") else choice) in uses
            box.setVisible(used)
            self._labels[choice].setVisible(used)
        self._labels["by"].setText(_BY_POINTS if name == CONTROL else _WORDS["by"])
        self.control.setVisible(name == CONTROL)
        self._due.soon()

    def clear(self) -> None:
        """Show nothing, and offer no findings of what was shown."""
        self.chart.clear()
        self.control.show_plot(None)
        self._say_picked("")

    def refresh(self) -> None:
        """Draw again: other numbers, or other colours."""
        self._due.soon()

    @property
    def choice(self) -> PlotChoice:
        """What is remembered of the choices."""
        known = self._settings.statistics
        detectors = tuple(dict.fromkeys(filter(None, (known.get("first", ""), known.get("second", "")))))
        if not known.get("first", ""):
            detectors = ()
        return PlotChoice(
            known.get("of", ""), known.get("bars", SLIDE), known.get("field", ""), known.get("weight", PER_MM2),
            detectors, float(known.get("in_mm2", "0")), float(known.get("fields_mm2", "0")),
            known.get("chart", "laney"), known.get("rules", "limits"), int(known.get("phase_1", "0")),
            known.get("unit", "at"), tuple(filter(None, known.get("corners", "").split(","))),
        )  # fmt: skip

    def _on_activated(self, name: str) -> None:
        key = "bars" if name == "by" else name
        self._settings.statistics = {**self._settings.statistics, key: self.boxes[name].currentData() or ""}
        self._due.soon()

    def _on_limits_kept(self) -> None:
        """Show what was frozen, not what is chosen as phase I."""
        self._settings.statistics = {**self._settings.statistics, "phase_1": "0"}
        self._due.soon()

    def _offer(self, drawn: DrawnPlot) -> None:
        choice = drawn.choice
        first, second = (*choice.detectors, "", "")[:2]
        now = {"of": choice.of, "by": choice.by, "field": choice.field, "weight": choice.weight, "first": first,
               "second": second, "in_mm2": f"{choice.in_mm2:g}", "fields_mm2": f"{choice.fields_mm2:g}",
               "chart": choice.chart, "rules": choice.rules, "phase_1": str(choice.phase_1),
               "unit": choice.unit, "corners": ",".join(choice.corners)}  # fmt: skip
        for name, box in self.boxes.items():
            offer = drawn.offers[name]
            with QSignalBlocker(box):
                if [(box.itemText(n), box.itemData(n)) for n in range(box.count())] != offer:
                    box.clear()
                    for title, value in offer:
                        box.addItem(title, value)
                box.setCurrentIndex(box.findData(now[name]))
        self.boxes["second"].setEnabled(bool(first))
        self.boxes["of"].setEnabled(self.kind != CONTROL or choice.chart != QUALITY_INDEX)
        self.boxes["weight"].setEnabled(not first or "detectors" not in PLOTS[self.kind].uses)

    # -- drawing -----------------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        name, choice, size = self.kind, self.choice, self.chart.pixels_wanted
        look = look_now()
        self._counting.make("plot", lambda found: _draw(found, name, choice, look, size), self._take)

    def _take(self, drawn: DrawnPlot) -> None:
        if drawn.plot.name != self.kind:
            return
        self._offer(drawn)
        self.chart.show_plot(drawn.plot, drawn.picture)
        self.control.show_plot(drawn.plot)
        self.notes.setText(" ".join(drawn.plot.notes))
        self.notes.setVisible(bool(drawn.plot.notes))
        self.drawn.emit()

    # -- what the user does ------------------------------------------------------------------------------------------

    def _on_chosen(self, key: str) -> None:
        """Select exactly the findings of a bar, bin or dot."""
        plot = self.chart.plot
        if plot is None:
            return
        mark, session = plot.mark(key), self._session
        ids = np.sort(mark.findings)
        there = ids[session.has(ids)]
        session.selection.set(there)
        if session.selection.current is not None:
            session.navigation.centre(session.selection.current)
        self._picked = there
        if plot.source is not None:
            self.control.choose(round(mark.x))
        words = f"{things(len(there), 'finding')} selected: {mark.tip}."
        gone, hidden = len(ids) - len(there), len(there) - self._shown(there)
        if gone:
            words += f" {things(gone, 'other')} cannot be selected: they are being read, or are no longer there."
        if hidden:
            words += f" {things(hidden, 'of them is', 'of them are')} hidden by the filter."
        self._say_picked(words)

    def _shown(self, ids: Ints) -> int:
        scoped = self._session.scoped
        places, there = scoped.table.look_up(ids)
        return int(np.count_nonzero(scoped.shown.mask()[places[there]]))

    def _say_picked(self, words: str) -> None:
        self.said.setText(words or "A click on a bar, bin or dot selects its findings.")
        if not words:
            self._picked = np.zeros(0, np.int64)
        self.only.setEnabled(len(self._picked) > 0)

    # -- what leaves -------------------------------------------------------------------------------------------------

    def copy(self) -> None:
        """Put the plot as a picture for print, and its values, on the clipboard."""
        plot = self.chart.plot
        if plot is None:
            return

        def take(made: Picture) -> None:
            put_on_clipboard(plot, made)
            self._session.notice.emit("The plot is on the clipboard, as a picture and as values.")

        self._counting.make("copy", lambda _found: print_picture(plot), take)

    def writing(self, path: Path) -> Callable[[], Path] | None:
        """Return what writes the plot as the name says; None without one."""
        plot = self.chart.plot
        return None if plot is None else lambda: write_plot(plot, path)
