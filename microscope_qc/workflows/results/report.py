"""Results to read: the marked overview and the report."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import count_text, things
from microscope_qc.project import Project
from microscope_qc.project.wording import included_words, size_words
from microscope_qc.slides.plane_choice import PlaneChoice, default_plane, plane_words
from microscope_qc.workflows.intake.changes import changed_slides, require_unchanged
from microscope_qc.workflows.scenes import kept, open_scene


def write_overview(
    project: Project,
    path: Path | str,
    *,
    slide_id: int | None = None,
    selected: bool = False,
    rejected: bool = False,
    long_side_px: int = 4000,
    choice: PlaneChoice | None = None,
) -> Job[Path]:
    """Write a picture of the whole slide with circles and numbers on its findings (PNG or TIFF, by the suffix).

    Parameters
    ----------
    slide_id
        None takes the first slide.
    selected
        Mark only what is chosen for the SEM.
    rejected
        Mark rejected findings too.
    choice
        Which picture of a stack and which channels are shown.

    Raises
    ------
    InputError
        When there is no slide, nothing is chosen, or the suffix is not that of a picture.
    """
    from microscope_qc.reports import overview

    record = project.slides.named(None) if slide_id is None else project.slides.by_id(slide_id)
    shown = project.boxes.rows(record.id)
    rows = shown if rejected else kept(shown)
    changed = yield from changed_slides(project, [record.id])
    total = len(rows)
    if selected:
        everything = project.boxes.rows(record.id, every=True)
        everything = everything if rejected else kept(everything)
        rows = everything[everything["chosen"]]
        if len(rows) == 0:
            raise InputError(f"No defect of {record.name} is chosen.", hint="Choose some in the gallery first.")
    marked = f"{count_text(len(rows))} chosen of {things(total, 'finding')}" if selected else things(total, "finding")
    words = [marked, size_words(record), included_words(project), f"{datetime.now():%Y-%m-%d}"]
    if changed:
        words.append("the file has changed since its findings were made")
    with open_scene(record) as whole:
        plane = default_plane(whole) if choice is None else choice.on(whole)
        mosaic, shown_words = whole.on(plane), plane_words(whole, plane)
        words = [*words[:2], *([shown_words] if shown_words else []), *words[2:]]
        return (
            yield from overview.write_overview(
                mosaic,
                rows,
                project.classes,
                path,
                title=record.name,
                subtitle="   ·   ".join(words),
                pixel_size_um=record.pixel_size_um,
                long_side_px=long_side_px,
            )
        )


def write_report(
    project: Project,
    path: Path | str,
    *,
    gallery: int = 60,
    rejected: bool = False,
    maps: int = 12,
    slide_ids: Collection[int] | None = None,
) -> Job[Path]:
    """Write the report of everything that is shown, as HTML or PDF by the suffix.

    Of many slides every one has a line in a table, and those with the most findings a map and tables of their own.

    Parameters
    ----------
    gallery
        Number of pictures in the gallery, worst first.
    rejected
        Show rejected findings in maps and gallery too.
    maps
        Number of slides with a map of their own.
    slide_ids
        Only these slides; None takes all of the project.

    Raises
    ------
    InputError
        When the suffix is neither .html nor .pdf, or the project has no slide.
    """
    from microscope_qc.workflows.results.report_content import collect

    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".html", ".htm", ".pdf"):
        raise InputError(f"{path.name} is neither an HTML nor a PDF name.", hint="End the name with .html or .pdf.")
    project.slides.named(None)  # raises when there is none
    yield from require_unchanged(project, slide_ids)
    content = yield from collect(
        project, gallery=max(0, gallery), rejected=rejected, maps=max(0, maps), slide_ids=slide_ids
    )
    yield Progress(1, 1, "pictures", f"writing {path.name}")
    if suffix == ".pdf":
        from microscope_qc.reports.pdf import write_pdf

        return write_pdf(path, content)
    from microscope_qc.reports.html import write_html

    return write_html(path, content)
