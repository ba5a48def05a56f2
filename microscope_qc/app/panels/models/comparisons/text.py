"""A kept comparison as rich text."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from microscope_qc.app.base import theme
from microscope_qc.app.panels.models.text import places_links, quiet, table
from microscope_qc.core.wording import count_text, listed
from microscope_qc.workflows.models.comparison_text import SEVERAL, class_table, figure_table, measured_text
from microscope_qc.workflows.models.kept_comparison import KeptComparison
from microscope_qc.workflows.models.wrong_places import SIDES, kind_words


def comparison_text(kept: KeptComparison, *, stale: bool, slides: Mapping[int, str]) -> str:
    """The verdict, figures of both models and their differences, and links to the places where they are wrong.

    Parameters
    ----------
    stale
        Whether what they were compared on is marked otherwise by now.
    slides
        Names of slides by number.
    """
    document = kept.document
    lines = [f"<p><b>{escape(kept.verdict)}</b> {quiet(kept.date)}</p>"]
    if stale:
        colour = theme.current().warning
        lines.append(
            f"<p style='color:{colour}'><b>Out of date:</b> what they were compared on has changed since. "
            "Compare again.</p>"
        )
    gone = [name for name, entry in zip(kept.names, (kept.new, kept.old), strict=True) if entry is None]
    if gone:
        lines.append(f"<p>{escape(listed(gone))}: no longer there as it was then.</p>")
    lines += [f"<p>{escape(measured_text(document))}</p>", table(*figure_table(document)), "<p></p>"]
    lines.append(table(*class_table(document)))
    if len(document["classes"]) > 1:
        lines.append(f"<p>{quiet(SEVERAL)}</p>")
    lines += [_side(kept, side, slides) for side in SIDES]
    lines += [f"<p>{quiet(str(note))}</p>" for note in document["notes"]]
    return "".join(lines)


def _side(kept: KeptComparison, side: str, slides: Mapping[int, str]) -> str:
    """Where one is right, or none, and what it consists of."""
    stored = [one["kind"] for one in (*kept.document["disagreements"], *kept.document["both_wrong"])]
    counts = {kind: stored.count(kind) for kind in SIDES[side]}
    words = kind_words(side, *kept.names)
    said = f"<b>{escape(words[0].upper() + words[1:])}</b> ({count_text(sum(counts.values()))})"
    parts = [f"{count_text(count)} {escape(kind_words(kind, *kept.names))}" for kind, count in counts.items() if count]
    links = places_links(side, kept.places(side), slides)
    return f"<p>{': '.join(filter(None, (said, listed(parts), links)))}</p>"
