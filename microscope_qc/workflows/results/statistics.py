"""Numbers about a project, for the command line, the report and the window."""

from __future__ import annotations

from typing import Any

from microscope_qc.analysis.registry import STATISTICS
from microscope_qc.analysis.statistics import slide_statistics
from microscope_qc.project import Project
from microscope_qc.project.wording import included_words


def project_statistics(project: Project) -> dict[str, Any]:
    """Statistics of each slide and of all together, of what counts.

    Returns
    -------
    dict
        ``project``, ``shown`` (the filter in words), ``slides`` (name and :func:`slide_statistics` of each) and
        ``total`` (counts by class over all slides).
    """
    slides = []
    for record in project.slides:
        height, width = record.shape_px
        found = slide_statistics(project.boxes.rows(record.id), project.classes, record.pixel_size_um, height * width)
        slides.append({"slide": record.name, "shape_px": list(record.shape_px), **found})
    return {
        "project": project.name,
        "shown": included_words(project).removeprefix("included: "),
        "slides": slides,
        "total": _total(slides),
    }


def _total(slides: list[dict[str, Any]]) -> dict[str, Any]:
    """Sums over slides; densities only where every slide's area is known."""
    areas = [slide["area_mm2"] for slide in slides]
    area = sum(areas) if areas and None not in areas else None
    kept = sum(slide["kept"] for slide in slides)
    states = {word: sum(s["states"][word] for s in slides) for word in ("unreviewed", "confirmed", "rejected")}
    total = sum(states.values())
    classes: dict[str, dict[str, Any]] = {}
    for slide in slides:
        for found in slide["classes"]:
            entry = classes.setdefault(
                found["code"], {"code": found["code"], "name": found["name"], "kept": 0, "total": 0}
            )
            entry["kept"] += found["kept"]
            entry["total"] += found["total"]
    for entry in classes.values():
        entry["per_mm2"] = entry["kept"] / area if area else None
    return {
        "total": total,
        "kept": kept,
        "states": states,
        "reviewed_share": (states["confirmed"] + states["rejected"]) / total if total else None,
        "area_mm2": area,
        "per_mm2": kept / area if area else None,
        "classes": list(classes.values()),
    }


def statistics_lines(found: dict[str, Any]) -> list[str]:
    """Statistics as a table for a terminal."""
    columns = [(name, known, f"{known.heading.lower()} {known.unit}".strip()) for name, known in STATISTICS.items()]
    heads = "".join(f"  {head:>9}" for *_, head in columns)
    lines = [f"{found['project']}  (shown: {found['shown']})"]
    for slide in found["slides"]:
        area = "area not known" if slide["area_mm2"] is None else f"{slide['area_mm2']:.2f} mm2"
        share = "" if slide["reviewed_share"] is None else f", {slide['reviewed_share']:.0%} reviewed"
        lines += ["", f"{slide['slide']}: {slide['kept']} finds without the rejected ones, {area}{share}"]
        lines.append(f"  {'class':<8}{'unrev.':>8}{'conf.':>8}{'rej.':>8}{'per mm2':>10}{heads}")
        for row in [*slide["classes"], {**slide, "code": "all"}]:
            density = "-" if row["per_mm2"] is None else f"{row['per_mm2']:.2f}"
            states = row["states"]
            counts = f"{states['unreviewed']:>8}{states['confirmed']:>8}{states['rejected']:>8}"
            numbers = ((known, row["statistics"].get(name, {}).get("value"), head) for name, known, head in columns)
            tail = "".join(f"  {known.text(value):>{max(9, len(head))}}" for known, value, head in numbers)
            lines.append(f"  {row['code']:<8}{counts}{density:>10}{tail}")
    return lines
