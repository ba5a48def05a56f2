"""A model as rich text, and what texts about models have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from microscope_qc.app.base import theme
from microscope_qc.core.wording import UNKNOWN, count_text, things
from microscope_qc.workflows.learning.which_findings import ListedPlaces
from microscope_qc.workflows.models.about import about_model
from microscope_qc.workflows.models.kept_comparison import KeptComparison
from microscope_qc.workflows.models.shelf import ModelEntry

OPEN_LINK, SPOT_LINK, PAGE_LINK, COMPARISON_LINK = "open:", "spot:", "page:", "comparison:"
"""Links begin so: findings that open in Review, a place that opens on the canvas, a page to save, a comparison."""
MOST_SPOTS = 60
CLASS_FIGURES = {
    "precision": "Precision", "recall": "Recall", "f1": "F1", "ap50": "AP50", "auroc": "AUROC", "auprc": "AUPRC",
}  # fmt: skip


def model_text(entry: ModelEntry) -> str:
    """Facts of a model, and its scores for every class."""
    about = about_model(entry)
    where = f"{entry.place.words}{', in use' if entry.in_use else ''}"
    lines = [f"<p><b>{escape(entry.name)}</b> {quiet(where)}</p>", "<table cellspacing='0'>"]
    lines += [
        f"<tr><td style='padding-right:12px'>{quiet(name)}</td><td>{escape(text)}</td></tr>"
        for name, text in about.facts
    ]
    lines.append("</table>")
    if about.scores:
        rows = [(score.code, score.name, *score.cells) for score in about.scores]
        lines.append("<p></p>" + table(about.columns, rows))
    return "".join(lines)


def verdict_text(kept: KeptComparison) -> str:
    """What came of a comparison, and a link to all of it."""
    link = link_to(COMPARISON_LINK, "Show the comparison")
    return f"<p><b>{escape(kept.verdict)}</b> {quiet(kept.date)}&nbsp;&nbsp; {link}</p>"


def places_links(what: str, places: ListedPlaces, slides: Mapping[int, str]) -> str:
    """Links that open findings in Review, and places without one on the slide; ``what`` names these places."""
    said = []
    if places.numbers:
        said.append(link_to(OPEN_LINK + what, f"show {things(len(places.numbers), 'finding')} in Review"))
    if places.spots:
        shown = [
            link_to(
                f"{SPOT_LINK}{number}:{what}", f"{slides.get(spot.slide, UNKNOWN)} {spot.code} {spot.confidence:.2f}"
            )
            for number, spot in enumerate(places.spots[:MOST_SPOTS])
        ]
        some = f"the {MOST_SPOTS} surest of {count_text(len(places.spots))}: " if len(places.spots) > MOST_SPOTS else ""
        said.append(f"on the slide, where there is no finding: {some}{', '.join(shown)}")
    return "; ".join(said)


def link_to(address: str, words: str) -> str:
    """A link in the theme's colour."""
    return f"<a href='{escape(address)}' style='color:{theme.current().accent}'>{escape(words)}</a>"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table under quiet heads."""
    colour = theme.current().quiet
    lines = ["<table cellspacing='0'>", "<tr>"]
    lines += [f"<td style='padding-right:14px; color:{colour}'>{escape(head)}</td>" for head in heads]
    lines.append("</tr>")
    for row in rows:
        cells = "".join(f"<td style='padding-right:14px'>{escape(cell)}</td>" for cell in row)
        lines.append(f"<tr>{cells}</tr>")
    return "".join([*lines, "</table>"])


def quiet(text: str) -> str:
    """Text of second importance."""
    return f"<span style='color:{theme.current().quiet}'>{escape(text)}</span>"
