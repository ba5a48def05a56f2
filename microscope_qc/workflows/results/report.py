"""Results to read: the marked overview and the report."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microscope_qc.core.errors import InputError
from microscope_qc.core.files import atomic_write
from microscope_qc.core.jobs import Job, Progress, run_job
from microscope_qc.core.wording import count_text, listed, things
from microscope_qc.project import Project
from microscope_qc.project.wording import included_words, size_words
from microscope_qc.slides.plane_choice import PlaneChoice, default_plane, plane_words
from microscope_qc.workflows.intake.changes import changed_slides, require_unchanged
from microscope_qc.workflows.results.printing import print_page
from microscope_qc.workflows.scenes import kept, open_scene

if TYPE_CHECKING:
    from microscope_qc.reports.document import ReportDocument
    from microscope_qc.workflows.results.report_content import ReportChoice


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
    """Write a picture of the whole slide with circles and numbers on its findings (PNG, TIFF or PDF, by the suffix).

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


SUFFIXES = (".html", ".htm", ".pdf", ".docx", ".json")
TEMPLATES = {".html": (".html", ".htm", ".j2"), ".htm": (".html", ".htm", ".j2"), ".pdf": (".html", ".htm", ".j2"),
             ".docx": (".docx",), ".json": ()}  # fmt: skip
"""Which templates make which files."""


def write_report(
    project: Project,
    path: Path | str,
    *,
    choice: ReportChoice | None = None,
    template: Path | str | None = None,
    slide_ids: Collection[int] | None = None,
) -> Job[Path]:
    """Write the report of everything that counts, as HTML, PDF, Word file or JSON by the suffix.

    Of many slides every one has a line in a table, and those with the most findings a map and tables of their own.

    Parameters
    ----------
    template
        A lab's own, in HTML or as a Word file; None takes the one of the program.
    slide_ids
        Only these slides; None takes all of the project.

    Raises
    ------
    InputError
        When the suffix is another one, the project has no slide, or the template is wrong.
    """
    path, lab = Path(path), None if template is None else Path(template)
    check_names(path, lab)
    document = yield from report_document(project, choice, slide_ids=slide_ids)
    yield Progress(1, 1, "pictures", f"writing {path.name}")
    return (yield from write_document(document, path, template=lab))


def check_names(path: Path, template: Path | None) -> None:
    """See that a report can be written to a file, from a template.

    Raises
    ------
    InputError
        When the suffix of one of them is another one.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            f"{path.name} is the name of no report.", hint="End the name with .html, .pdf, .docx or .json."
        )
    if template is not None and template.suffix.lower() not in TEMPLATES[suffix]:
        wanted = listed([f"*{one}" for one in TEMPLATES[suffix]]) or "none"
        raise InputError(f"{template.name} is no template for {path.name}.", hint=f"Templates for it are: {wanted}.")


def report_document(
    project: Project, choice: ReportChoice | None = None, *, slide_ids: Collection[int] | None = None
) -> Job[ReportDocument]:
    """Return what a report says.

    Raises
    ------
    InputError
        When the project has no slide, or there is no such part, field or class.
    """
    from microscope_qc.workflows.results.report_content import collect

    project.slides.named(None)  # raises when there is none
    yield from require_unchanged(project, slide_ids)
    return (yield from collect(project, choice, slide_ids=slide_ids))


def write_document(document: ReportDocument, path: Path, *, template: Path | None = None) -> Job[Path]:
    """Write a report that was collected before."""
    suffix = path.suffix.lower()
    if suffix == ".json":
        atomic_write(path, document.model_dump_json(indent=1))
    elif suffix == ".docx":
        from microscope_qc.reports.word import write_word

        write_word(path, document, template=template)
    elif suffix == ".pdf":
        from microscope_qc.reports.html import report_page

        return (yield from print_page(report_page(document, template=template), path))
    else:
        from microscope_qc.reports.html import write_html

        write_html(path, document, template=template)
    return path


def report_of(
    project: Path | str, *, out: Path | str | None = None, template: Path | str | None = None, language: str = "en",
    leave_out: Sequence[str] = (), by: Sequence[str] = (), limits: Path | str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return what the report of a project says, and write it, as the command ``report`` does; waits for both.

    Parameters
    ----------
    project
        Folder ``NAME.mqc``.
    out
        Ends in .html, .pdf, .docx or .json; nothing is written without it.
    template
        A lab's own, HTML or a Word file.
    language
        ``en`` or ``de``.
    leave_out
        Parts that it does without, see ``report --help``.
    by
        Fields of specimens, ``slide`` or ``project``, for groups of slides.
    limits
        Acceptance limits, a table as ``compare-batches --limits`` takes it.

    Returns
    -------
    dict
        The document; ``report --schema`` says what is in it.

    Raises
    ------
    MicroscopeQCError
        When the project cannot be opened, a template is wrong, or ``out`` cannot be written.
    """
    from microscope_qc.workflows.results.batches import read_limits
    from microscope_qc.workflows.results.report_content import ReportChoice

    path, lab = None if out is None else Path(out), None if template is None else Path(template)
    if path is not None:
        check_names(path, lab)
    choice = ReportChoice(
        frozenset(leave_out), language, tuple(by), tuple(read_limits(limits)) if limits is not None else ()
    )
    with Project.open(Path(project), write=False) as opened:
        document = run_job(report_document(opened, choice))
    if path is not None:
        run_job(write_document(document, path, template=lab))
    return document.model_dump(mode="json")
