"""How much of a slide was looked at: scanned, left out, damaged, declared, and viewed, and how closely."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from microscope_qc.analysis.coverage import SlideCoverage
from microscope_qc.core.errors import InputError
from microscope_qc.core.seen_map import ZOOMS, SeenMap
from microscope_qc.core.wording import listed, percent_text
from microscope_qc.project.records import SlideRecord
from microscope_qc.workflows.detection.coverage import AreaSources, SlideAreas

log = logging.getLogger(__name__)

SHARES = ("scanned", "masked", "missing", "declared", "seen", "nobody")
"""Names of the shares, each of the whole slide."""


def looked_at(sources: AreaSources, areas: SlideAreas) -> dict[str, Any]:
    """Say how much of a slide was looked at, and how; any thread may call this.

    Returns
    -------
    dict
        Shares of the whole slide, 0 to 1: ``scanned``, ``masked`` (what masks leave out of the runs' regions),
        ``missing`` (in tiles that are not done or could not be read), ``declared`` (complete, for any class), ``seen``
        (viewed in the window closely enough to judge), ``seen_at`` (the share that was viewed at a ``zoom`` or more
        closely, in pixels of the screen for one of the slide), ``seen_zoom_unknown`` (viewed before the zoom was kept)
        and ``nobody`` (neither scanned nor declared nor viewed; of the cells of the map of what was viewed).
    """
    return looked_at_area(areas.coverage, seen_on(sources.slide, sources.seen))


def looked_at_area(coverage: SlideCoverage, seen: SeenMap) -> dict[str, Any]:
    """As :func:`looked_at`, of what is read already."""
    nobody = 1.0 - coverage.searched_share
    if seen.share:
        height, width = seen.cell_px
        rows, columns = np.nonzero(~seen.cells)
        searched = coverage.searched_for_any.holds((rows + 0.5) * height, (columns + 0.5) * width)
        nobody = float(np.count_nonzero(~searched)) / seen.cells.size
    return {
        **asdict(coverage.shares),
        "seen": seen.share,
        "seen_at": [{"zoom": zoom, "share": seen.share_at(zoom)} for zoom in ZOOMS],
        "seen_zoom_unknown": seen.zoom_unknown,
        "nobody": max(0.0, nobody),
    }


def seen_on(slide: SlideRecord, stored: object) -> SeenMap:
    """What users viewed of a slide, from what is stored (:attr:`AreaSources.seen`); nothing where it cannot be read."""
    seen = SeenMap(slide.shape_px)
    if isinstance(stored, dict):
        try:
            seen.take_dict(stored)
        except InputError as error:
            log.warning("what was seen of %s: %s", slide.name, error)
    return seen


def looked_at_together(slides: Sequence[Mapping[str, Any]], areas_mm2: Sequence[float | None]) -> dict[str, Any] | None:
    """The shares of several slides together, by their areas; None where an area is not known."""
    weights = np.array([area or 0.0 for area in areas_mm2])
    if not len(slides) or not (weights > 0).all():
        return None

    def mean(values: Sequence[float]) -> float:
        return float(np.average(values, weights=weights))

    found: dict[str, Any] = {name: mean([one[name] for one in slides]) for name in (*SHARES, "seen_zoom_unknown")}
    found["seen_at"] = [
        {"zoom": zoom, "share": mean([one["seen_at"][place]["share"] for one in slides])}
        for place, zoom in enumerate(ZOOMS)
    ]
    return found


def looked_words(found: Mapping[str, Any], of: str = "the slide") -> str:
    """Say how much was looked at, in a sentence; what is nothing is left out."""
    said = {
        "scanned": "scanned", "masked": "left out by masks", "missing": "not done or unreadable",
        "declared": "declared complete",
    }  # fmt: skip
    parts = [f"{percent_text(found[name])} {words}" for name, words in said.items() if found[name] > 0]
    if found["seen"] > 0:
        closely = [
            f"{percent_text(one['share'])} at a zoom of {100 * one['zoom']:.0f} % or more"
            for one in found["seen_at"]
            if one["share"] > 0
        ]
        parts.append(f"{percent_text(found['seen'])} viewed" + (f" ({', '.join(closely)})" if closely else ""))
    nobody = f"{percent_text(found['nobody'])} neither scanned nor declared nor viewed"
    return f"Of {of} {listed(parts)}; {nobody}." if parts else f"Nothing of {of} was scanned, declared or viewed."
