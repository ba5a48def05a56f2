"""A model, and a comparison of two, as rich text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from microscope_qc.app.base import theme
from microscope_qc.workflows.models.about import about_model, figure
from microscope_qc.workflows.models.shelf import ModelEntry

ONLY_LINK = "only:"
"""Links in a comparison begin so, and go on with a kind of disagreement."""


def model_text(entry: ModelEntry) -> str:
    """Facts of a model, and its scores for every class."""
    about = about_model(entry)
    where = f"{entry.place.words}{', in use' if entry.in_use else ''}"
    lines = [f"<p><b>{escape(entry.name)}</b> {_quiet(where)}</p>", "<table cellspacing='0'>"]
    lines += [
        f"<tr><td style='padding-right:12px'>{_quiet(name)}</td><td>{escape(text)}</td></tr>"
        for name, text in about.facts
    ]
    lines.append("</table>")
    if about.scores:
        rows = [(score.code, score.name, *score.cells) for score in about.scores]
        lines.append("<p></p>" + _table(about.columns, rows))
    return "".join(lines)


def comparison_text(document: Mapping[str, Any], *, in_project: bool) -> str:
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
    lines.append(_table(("Class", *heads), rows))
    lines += [f"<p>{_link(kind, count, in_project=in_project)}</p>" for kind, count in _counts(document, names)]
    lines += [f"<p>{_quiet(str(note))}</p>" for note in document["notes"]]
    return "".join(lines)


def _counts(document: Mapping[str, Any], names: tuple[str, str]) -> list[tuple[tuple[str, str], int]]:
    counts: dict[str, int] = {}
    for one in document["disagreements"]:
        counts[one["kind"]] = counts.get(one["kind"], 0) + 1
    said = {"new": names[0], "old": names[1]}
    return [((kind, " ".join(said.get(word, word) for word in kind.split())), count) for kind, count in counts.items()]


def _link(kind: tuple[str, str], count: int, *, in_project: bool) -> str:
    words = f"{count} {escape(kind[1])}"
    if not in_project or kind[0].startswith("false"):  # what nobody has marked is no finding of the project
        return words
    return f"{words}: <a href='{ONLY_LINK}{kind[0]}' style='color:{theme.current().accent}'>show in Review</a>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    quiet = theme.current().quiet
    lines = ["<table cellspacing='0'>", "<tr>"]
    lines += [f"<td style='padding-right:14px; color:{quiet}'>{escape(head)}</td>" for head in heads]
    lines.append("</tr>")
    for row in rows:
        cells = "".join(f"<td style='padding-right:14px'>{escape(cell)}</td>" for cell in row)
        lines.append(f"<tr>{cells}</tr>")
    return "".join([*lines, "</table>"])


def _quiet(text: str) -> str:
    return f"<span style='color:{theme.current().quiet}'>{escape(text)}</span>"
