"""The figures of a comparison of two models as tables of text, for the window and the page of HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from microscope_qc.core.wording import UNKNOWN, count_text, elapsed_text, significant_text, things
from microscope_qc.workflows.models.about import figure

Table = tuple[list[str], list[list[str]]]
"""A head and rows."""
_FIGURES = {"map50": "mAP50", "f1": "F1", "precision": "Precision", "recall": "Recall"}
_RATES = ("precision", "recall")
SEVERAL = "Of several classes one may look different by chance alone: p is below 0.05 in 1 of 20 such comparisons."


def difference_text(difference: float, interval: Sequence[float] | None, p: float | None) -> str:
    """``+0.034 [+0.010, +0.058], p 0.006``; without an interval where there are too few places."""
    said = f"{difference:+.3f}"
    if interval is None or p is None:
        return said
    low, high = interval
    return f"{said} [{low:+.3f}, {high:+.3f}], p {p_text(p)}"


def p_text(p: float) -> str:
    """A probability: ``0.031``, ``< 0.001``."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def speed_text(seconds_per_picture: float, seconds_per_mm2: float | None) -> str:
    """``1.2 s per picture, 40 s per mm²``."""
    said = [f"{_seconds(seconds_per_picture)} per picture"]
    if seconds_per_mm2:
        said.append(f"{_seconds(seconds_per_mm2)} per mm²")
    return ", ".join(said)


def _seconds(seconds: float) -> str:
    """Small pictures take hundredths of a second."""
    return f"{significant_text(seconds, 2)} s" if seconds < 1 else elapsed_text(seconds)


def names_of(document: Mapping[str, Any]) -> tuple[str, str]:
    """The new model and the old one."""
    return str(document["new"]["model"]), str(document["old"]["model"])


def measured_text(document: Mapping[str, Any]) -> str:
    """What was measured on, and what each model found of it."""
    found = document["mcnemar"]
    return (
        f"{things(int(document['truth']), 'true defect')} in {things(int(document['places']), 'place')}: "
        f"{count_text(found['both'])} found by both, {count_text(found['neither'])} by none; McNemar's exact p "
        f"{p_text(float(found['p']))}. In brackets 95 % intervals, by drawing places again; each model at its own "
        "default confidence."
    )


def figure_table(document: Mapping[str, Any]) -> Table:
    """Figures of all classes together."""
    models, found = (document["new"], document["old"]), document["mcnemar"]
    rows = []
    for name, words in _FIGURES.items():
        of = document["differences"].get(name)
        rows.append([words, *(_cell(one, name) for one in models), "" if of is None else _difference(of)])
    rows.append(["Found by this model only", *(count_text(found[f"only_{one}"]) for one in ("new", "old")), ""])
    rows.append(["Time", *(speed_text(one["seconds_per_picture"], one["seconds_per_mm2"]) for one in models), ""])
    return ["All classes", *names_of(document), "Difference"], rows


def class_table(document: Mapping[str, Any]) -> Table:
    """Figures of every class."""
    names = names_of(document)
    head = ["Class", *(f"AP50, {name}" for name in names), "Difference in AP50"]
    head += [f"{_FIGURES[rate]}, {name}" for rate in _RATES for name in names]
    head += [*(f"Found by {name} only" for name in names), "McNemar's p", "Marked"]
    rows = []
    for code in document["classes"]:
        own = [document[model]["per_class"][code] for model in ("new", "old")]
        paired = document["class_differences"].get(code)
        found = None if paired is None else paired["mcnemar"]
        rows.append([
            code, *(_cell(one, "ap50") for one in own), UNKNOWN if paired is None else _difference(paired["ap50"]),
            *(_cell(one, name) for name in _RATES for one in own),
            *(UNKNOWN if found is None else count_text(found[f"only_{model}"]) for model in ("new", "old")),
            UNKNOWN if found is None else p_text(float(found["p"])), count_text(round(own[0]["truth"])),
        ])  # fmt: skip
    return head, rows


def _cell(values: Mapping[str, Any], name: str) -> str:
    """A figure with its interval; what nothing was divided by is not known."""
    divided = "finds" if name == "precision" else "truth"
    return figure(values, name) if values.get(divided, 1) else UNKNOWN


def _difference(stored: Mapping[str, Any]) -> str:
    return difference_text(float(stored["difference"]), stored["interval"], stored["p"])
