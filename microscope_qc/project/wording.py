"""Words about a project that stand in every result."""

from __future__ import annotations

from microscope_qc.core.boxes import BoxFilter
from microscope_qc.project import Project
from microscope_qc.project.records import SlideRecord


def shown_words(project: Project) -> str:
    """What the project's filter shows: ``shown: confidence >= 0.40, classes ACP, COP``."""
    known: BoxFilter = project.filters.current
    parts = []
    if known.min_confidence > 0:
        parts.append(f"confidence ≥ {known.min_confidence:.2f} or judged")
    if known.max_confidence < 1:
        parts.append(f"confidence ≤ {known.max_confidence:.2f} or judged")
    if known.size_um is not None:
        parts.append(f"{known.size_um[0]:g} to {known.size_um[1]:g} µm")
    if known.found_by is not None:
        finders = ["a person" if run == 0 else f"detection {run}" for run in sorted(known.found_by)]
        parts.append(f"found by {' or '.join(finders) or 'nobody'}")
    if known.class_ids is not None:
        codes = [cls.code for cls in project.classes if cls.id in known.class_ids]
        parts.append(f"classes {', '.join(codes) or 'none'}")
    if known.states is not None:
        parts.append(" or ".join(state.word for state in sorted(known.states)) or "no state")
    if known.hidden_runs:
        parts.append(f"without {len(known.hidden_runs)} switched-off detection{'s'[: len(known.hidden_runs) > 1]}")
    if known.only_chosen:
        parts.append("chosen for the SEM")
    if known.text:
        parts.append(f"text “{known.text}”")
    return "shown: " + (", ".join(parts) if parts else "all finds")


def size_words(slide: SlideRecord) -> str:
    """``2.46 × 2.46 mm, 0.300 µm per pixel``; in pixels where the pixel size is not known."""
    height, width = slide.shape_px
    if slide.pixel_size_um is None:
        return f"{width} × {height} px, pixel size not known"
    size_y, size_x = slide.pixel_size_um
    pixel = f"{size_x:.4g}" if size_x == size_y else f"{size_x:.4g} × {size_y:.4g}"
    return f"{width * size_x / 1000:.2f} × {height * size_y / 1000:.2f} mm, {pixel} µm per pixel"


def thin(number: int) -> str:
    """``12345`` -> ``12 345`` with a narrow space."""
    return f"{number:,}".replace(",", "\u202f")


def percent(share: float) -> str:
    """A share (0 to 1) with as many digits as it has."""
    value = 100 * share
    if share >= 1:
        return "All"
    if value < 0.1:
        return "Under 0.1 %"
    return f"{min(value, 99.9):.1f} %" if value < 1 or value > 99 else f"{value:.0f} %"
