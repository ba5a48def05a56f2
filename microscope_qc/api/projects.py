"""Projects: made, read as tables of pandas, and written as any of the exports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.api.slides import LazySlide, open_slide
from microscope_qc.core.jobs import Progress, run_job
from microscope_qc.project import Project

if TYPE_CHECKING:
    import pandas

OnProgress = Callable[[Progress], None] | None
"""Called with each progress of a long task: ``done`` of ``total``, ``unit`` and ``note``."""


def slide_ids(project: Project, names: Sequence[str] | None) -> list[int] | None:
    """Numbers of slides by their names, each once; None means all.

    Raises
    ------
    InputError
        When there is no slide of a name.
    """
    return None if names is None else list(dict.fromkeys(project.slides.named(name).id for name in names))


class OpenProject:
    """A project that is read; made by :func:`open_project`. Use it in a ``with`` statement, or close it."""

    def __init__(self, project: Project) -> None:
        self._project = project

    @property
    def path(self) -> Path:
        """Its folder, ``NAME.mqc``."""
        return self._project.path

    def slides(self) -> pandas.DataFrame:
        """One row for each slide: ``slide``, ``path``, ``scene``, sizes in pixels, ``um_per_px`` (y, x), its fields."""
        import pandas as pd

        known = ("slide", "path", "scene", "height_px", "width_px", "um_per_px_y", "um_per_px_x", "missing")
        rows = [
            dict(zip(known, (
                slide.name, slide.path, slide.scene, *slide.shape_px, *(slide.pixel_size_um or (None, None)),
                slide.missing,
            ), strict=True)) | slide.fields
            for slide in self._project.slides
        ]  # fmt: skip
        return pd.DataFrame(rows) if rows else pd.DataFrame(columns=known)

    def classes(self) -> pandas.DataFrame:
        """One row for each class: ``code``, ``name``, ``group``, ``colour``, ``weight``, ``description``."""
        import pandas as pd

        columns = ("code", "name", "group", "colour", "weight", "description")
        rows = [[getattr(defect, name) for name in columns] for defect in self._project.classes]
        return pd.DataFrame(rows, columns=columns)

    def findings(self, where: str | None = None, *, hidden: bool = False) -> pandas.DataFrame:
        """Return findings, one row each.

        Parameters
        ----------
        where
            A query as of the command ``review``, such as ``class=CRK confidence<0.5``; None means all.
        hidden
            Also those that do not count: of runs switched off, below the project's confidence limit.

        Returns
        -------
        pandas.DataFrame
            ``id``, ``slide``, ``class``, ``state``, ``reason``, ``confidence`` (missing where a person drew it),
            ``y0``, ``x0``, ``y1`` and ``x1`` (pixels of the slide, half-open), ``height_um``, ``width_um`` (missing
            without a pixel size), ``run`` (0 where a person drew it), ``chosen``, ``note``, and a column for each
            element that EDX measured.

        Raises
        ------
        QueryError
            When the query cannot be read.
        """
        import pandas as pd

        from microscope_qc.core.boxes import ReviewState
        from microscope_qc.core.composition import SHORT
        from microscope_qc.workflows.review.matching import matching, read_query

        query = None if where is None else read_query(self._project, where)
        codes = {defect.id: defect.code for defect in self._project.classes}
        states = {int(state): state.word for state in ReviewState}
        parts = []
        for slide, rows in matching(self._project, query, hidden=hidden).slides:
            um = slide.pixel_size_um or (np.nan, np.nan)
            parts.append(pd.DataFrame({
                "id": rows["id"], "slide": slide.name, "class": [codes.get(number, "?") for number in rows["class_id"]],
                "state": [states[number] for number in rows["state"]], "reason": rows["reason"],
                "confidence": rows["confidence"], **{side: rows[side] for side in ("y0", "x0", "y1", "x1")},
                "height_um": (rows["y1"] - rows["y0"]) * um[0], "width_um": (rows["x1"] - rows["x0"]) * um[1],
                "run": rows["run_id"], "chosen": rows["chosen"], "note": rows["note"],
            }))  # fmt: skip
        columns = [
            "id", "slide", "class", "state", "reason", "confidence", "y0", "x0", "y1", "x1", "height_um", "width_um",
            "run", "chosen", "note",
        ]  # fmt: skip
        frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
        measured = self._project.measurements.compositions
        amounts = [
            {f"{amount.element} {SHORT[amount.unit]}": amount.percent for amount in measured.get(int(number), ())}
            for number in frame["id"]
        ]
        return frame.join(pd.DataFrame(amounts, index=frame.index)) if any(amounts) else frame

    def open_slide(self, name: str | None = None) -> LazySlide:
        """Open a slide with the project's pixel size, turned as it is there; without a name the only one, or the first.

        Raises
        ------
        InputError
            When there is no such slide.
        SlideError
            When it cannot be read.
        """
        slide = self._project.slides.named(name)
        return open_slide(
            slide.path, scene=slide.scene, pixel_size_um=slide.pixel_size_um, orientation=slide.orientation
        )

    def close(self) -> None:
        """Close the project."""
        self._project.close()

    def __enter__(self) -> OpenProject:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_project(path: Path | str) -> OpenProject:
    """Open a project for reading; a window may have it open meanwhile.

    Parameters
    ----------
    path
        Folder ``NAME.mqc``.

    Raises
    ------
    ProjectError
        When it cannot be read.

    Examples
    --------
    >>> from microscope_qc import api
    >>> with api.open_project("cell.mqc") as project:
    ...     found = project.findings("state=confirmed")
    >>> found.groupby("class").size().to_dict()
    {'CRK': 2}
    """
    return OpenProject(Project.open(path, write=False))


def new_project(
    path: Path | str, slides: Sequence[Path | str], *, classes: str = "li-ion", on_progress: OnProgress = None
) -> Path:
    """Make a project for slides, or for the slides in folders.

    Parameters
    ----------
    path
        Folder ``NAME.mqc`` that does not exist yet.
    classes
        Name of a class set, or a file of one.

    Returns
    -------
    Path
        Its folder.

    Raises
    ------
    ProjectError
        When something of this name exists, or the folder cannot be written.
    InputError, SlideError
        When nothing of what is named is a slide.

    Examples
    --------
    >>> from microscope_qc import api
    >>> api.new_project("another.mqc", ["slide.png"]).name
    'another.mqc'
    """
    from microscope_qc.core.class_sets import class_set
    from microscope_qc.workflows.intake.adding import make_project

    project, _ = run_job(make_project(path, slides, classes=class_set(classes)), on_progress)
    with project:
        return project.path


def sample(out: Path | str, *, on_progress: OnProgress = None) -> Path:
    """Unpack the sample that comes with the program: a slide of 3072 x 3072 px with its findings.

    Parameters
    ----------
    out
        Folder for slide and project; a project that is there already is returned unchanged.

    Returns
    -------
    Path
        The project's folder.

    Raises
    ------
    InputError
        When the sample is missing from the installation.
    WriteError
        When the folder cannot be written.
    """
    from microscope_qc.workflows.samples.ready import ready_sample

    return run_job(ready_sample(Path(out)), on_progress)


def export(
    project: Path | str,
    out: Path | str,
    format: str,
    *,
    slide: str | None = None,
    chosen_only: bool = False,
    on_progress: OnProgress = None,
) -> list[Path]:
    """Write findings as annotations, or another file about a project, as the command ``export`` does.

    Parameters
    ----------
    format
        Name of an annotation format such as ``coco``, or of another export such as ``overview``.
    slide
        Only this one.
    chosen_only
        Only findings that are chosen for the SEM.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    InputError
        When there is no such export or slide, or nothing to write.
    WriteError
        When a file cannot be written.

    Examples
    --------
    >>> from microscope_qc import api
    >>> [file.name for file in api.export("cell.mqc", "findings.csv", "csv")]
    ['findings.csv']
    """
    from microscope_qc.workflows.exports import ExportOptions, export_named

    known = export_named(format)
    with Project.open(project, write=False) as opened:
        number = None if slide is None else opened.slides.named(slide).id
        one = number if "slide_id" in known.takes else None
        several = (number,) if number is not None and one is None else None
        options = ExportOptions(one, chosen_only=chosen_only, slide_ids=several)
        return list(run_job(known.write(opened, out, options), on_progress).files)
