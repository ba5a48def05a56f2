"""A model, and a comparison of two, as rich text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from microscope_qc.app.base import theme
from microscope_qc.core.wording import UNKNOWN, count_text, things
from microscope_qc.workflows.learning.which_findings import ListedPlaces
from microscope_qc.workflows.models.about import about_model, figure
from microscope_qc.workflows.models.compare import disagreement_places
from microscope_qc.workflows.models.shelf import ModelEntry

OPEN_LINK, SPOT_LINK = "open:", "spot:"
"""Links begin so: findings that open in Review, and a place that opens on the canvas."""
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


def comparison_text(document: Mapping[str, Any], slides: Mapping[int, str]) -> str:
    """The verdict, figures per class, and links to the places where the models differ."""
    new, old, found = document["new"], document["old"], document["mcnemar"]
    names = str(new["model"]), str(old["model"])
    lines = [f"<p><b>{escape(str(document['verdict']))}</b></p>"]
    lines.append(
        f"<p>{document['truth']} true defects in {document['places']} places. Of these {found['both']} found by both, "
        f"{found['only_new']} by {escape(names[0])} only, {found['only_old']} by {escape(names[1])} only, "
        f"{found['neither']} by none (McNemar's exact p {found['p']:.3f}).</p>"
    )
    rows: list[Sequence[str]] = [
        ("all", *(figure(one, name) for name in ("map50", "precision", "recall") for one in (new, old)))
    ]
    for code in document["classes"]:
        own = [one["per_class"][code] for one in (new, old)]
        rows.append((code, *(figure(one, name) for name in ("ap50", "precision", "recall") for one in own)))
    heads = [f"{what}, {name}" for what in ("AP50", "precision", "recall") for name in names]
    lines.append(table(("Class", *heads), rows))
    said = {"new": names[0], "old": names[1]}
    for kind in dict.fromkeys(one["kind"] for one in document["disagreements"]):
        count = sum(one["kind"] == kind for one in document["disagreements"])
        words = " ".join(said.get(word, word) for word in kind.split())
        links = places_links(kind, disagreement_places(document["disagreements"], kind), slides)
        lines.append(f"<p>{count} {escape(words)}{': ' if links else ''}{links}</p>")
    lines += [f"<p>{quiet(str(note))}</p>" for note in document["notes"]]
    return "".join(lines)


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
