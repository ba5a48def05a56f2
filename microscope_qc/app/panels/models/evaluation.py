"""A kept evaluation as rich text with pictures of its curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from qtpy.QtGui import QImage

from microscope_qc.app.base import theme
from microscope_qc.app.panels.models.text import (
    CLASS_FIGURES,
    OPEN_LINK,
    PAGE_LINK,
    link_to,
    places_links,
    quiet,
    table,
)
from microscope_qc.app.widgets.line_chart import ChartLine, LineChart, chart_picture
from microscope_qc.core.wording import count_text, things
from microscope_qc.ml.evaluation.outcomes import Outcome
from microscope_qc.reports.charts import COLOURS
from microscope_qc.workflows.learning.evaluate import PART_WORDS
from microscope_qc.workflows.learning.which_findings import ListedPlaces
from microscope_qc.workflows.models.about import figure
from microscope_qc.workflows.models.kept_evaluation import FIGURES, KeptEvaluation

_BESIDE = (Outcome.WRONG_BOX, Outcome.WRONG_CLASS)
_TRUE = (Outcome.RIGHT, Outcome.WRONG_BOX, Outcome.WRONG_CLASS, Outcome.MISSED)


def evaluation_text(kept: KeptEvaluation, *, stale: bool, slides: Mapping[int, str]) -> str:
    """Figures, findings to open, tables and charts; ``slides`` are the names of slides by number."""
    document = kept.document
    part, day = str(document["part"]), str(document["date"])[:16].replace("T", " ")
    save = link_to(PAGE_LINK, "Save page…")
    lines = [f"<p><b>Evaluated on {escape(PART_WORDS.get(part, part))}</b> {quiet(day)}&nbsp;&nbsp; {save}</p>"]
    if stale:
        colour = theme.current().warning
        lines.append(
            f"<p style='color:{colour}'><b>Out of date:</b> what it was measured on has changed since. "
            "Evaluate again.</p>"
        )
    shown = [name for name in FIGURES if document.get(name) is not None]
    lines.append(table([FIGURES[name] for name in shown], [[figure(document, name) for name in shown]]))
    lines += _outcomes(kept, slides)
    pictures = [f"<img src='{_CHART}{name}' style='vertical-align: top'>" for name in _charts(document, {})]
    lines.append(f"<p>{''.join(pictures)}</p>")
    lines += [*_classes(document), *_sizes(document), *_confusion(document)]
    lines += [f"<p>{quiet(str(note))}</p>" for note in document["notes"]]
    return "".join(lines)


def evaluation_pictures(kept: KeptEvaluation, colours: Mapping[str, str], *, ratio: float) -> dict[str, QImage]:
    """Pictures of the curves by the address that :func:`evaluation_text` gives them."""
    if len(set(colours.values())) < len(colours):  # classes that are told apart by their codes alone
        colours = {code: COLOURS[number % len(COLOURS)] for number, code in enumerate(colours)}
    charts = _charts(kept.document, colours)
    return {f"{_CHART}{name}": chart_picture(chart, ratio=ratio) for name, chart in charts.items()}


# -- findings --------------------------------------------------------------------------------------------------------


def _outcomes(kept: KeptEvaluation, slides: Mapping[int, str]) -> list[str]:
    if not kept.places:
        return []
    said = [f"Of {things(int(kept.document['truth']), 'marked defect')}: " + " · ".join(
        _openable(outcome, kept) for outcome in _TRUE if outcome in kept.places
    )]  # fmt: skip
    false = kept.places.get(Outcome.FALSE, ListedPlaces())
    count = int(kept.document.get("outcomes", {}).get(str(Outcome.FALSE), 0))
    links = places_links(str(Outcome.FALSE), false, slides)
    beside = sum(int(kept.document.get("outcomes", {}).get(str(outcome), 0)) for outcome in _BESIDE)
    if beside:
        said.append(f"Found at a marked defect with a wrong box or class, or a second time: {count_text(beside)}.")
    said.append(f"Found where no defect is marked: false ({count_text(count)}){': ' if links else ''}{links}")
    return [f"<p>{line}</p>" for line in said]


def _openable(outcome: Outcome, kept: KeptEvaluation) -> str:
    count = len(kept.places[outcome].numbers)
    words = f"{outcome} ({count_text(count)})"
    return link_to(OPEN_LINK + outcome, words) if count else quiet(words)


# -- tables ----------------------------------------------------------------------------------------------------------


def _classes(document: Mapping[str, Any]) -> list[str]:
    per_class = document.get("per_class") or {}
    own = [name for name in CLASS_FIGURES if any(known.get(name) is not None for known in per_class.values())]
    rows = [
        [code, *(figure(known, name) for name in own), count_text(int(known.get("truth", 0)))]
        for code, known in per_class.items()
    ]
    return [table(["Class", *(CLASS_FIGURES[name] for name in own), "Marked"], rows)] if rows else []


def _sizes(document: Mapping[str, Any]) -> list[str]:
    rows = [
        [name, figure(known, "ap50"), count_text(int(known.get("truth", 0)))]
        for name, known in (document.get("by_size") or {}).items()
    ]
    return ["<p></p>", table(["Size of defects", "AP50", "Marked"], rows)] if rows else []


def _confusion(document: Mapping[str, Any]) -> list[str]:
    counts = document.get("confusion")
    if not counts:
        return []
    names = [*document["classes"], "nothing"]
    sums = np.array(counts)
    rows = [
        [f"is {name}", *map(count_text, row), count_text(int(sum(row)))]
        for name, row in zip(names, counts, strict=True)
    ]
    rows.append(["all", *map(count_text, sums.sum(axis=0).tolist()), count_text(int(sums.sum()))])
    return ["<p></p>", table(["", *(f"found {name}" for name in names), "all"], rows)]


# -- charts ----------------------------------------------------------------------------------------------------------

_CHART = "chart:"


def _charts(document: Mapping[str, Any], colours: Mapping[str, str]) -> dict[str, LineChart]:
    lines: dict[str, list[ChartLine]] = {"pr": [], "roc": []}
    curves: Mapping[str, Sequence[Sequence[float]]] = document.get("curves") or {}
    for name, points in curves.items():
        kind, _, code = name.partition(" ")
        if kind in lines and len(points):
            lines[kind].append(ChartLine(code, np.array(points, float)[:, :2], colours.get(code, "")))
    rows = np.array(curves.get("calibration") or [], float).reshape(-1, 5)
    charts = {
        "pr": LineChart("Precision over recall", "recall", "precision", lines["pr"]),
        "roc": LineChart("ROC", "false positive rate", "true positive rate", lines["roc"], diagonal=True),
        "calibration": LineChart(
            "Calibration", "confidence", "share that is right",
            [ChartLine("right", rows[:, :2], intervals=rows[:, 3:])] if len(rows) else [], diagonal=True,
        ),
    }  # fmt: skip
    return {name: chart for name, chart in charts.items() if chart.lines}
