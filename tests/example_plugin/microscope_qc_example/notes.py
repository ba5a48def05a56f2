"""An export: the notes of findings, one a line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.core.files import atomic_write
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.workflows.exports import Export, ExportOptions, Written

if TYPE_CHECKING:
    from microscope_qc.project import Project


def _write(project: Project, path: Path, options: ExportOptions) -> Job[Written]:
    yield Progress(0, 1, "files", path.name)
    notes = [f"{row['id']} {row['note']}\n" for row in project.boxes.rows(options.slide_id) if row["note"]]
    atomic_write(path, "".join(notes))
    yield Progress(1, 1, "files", path.name)
    return Written((path,), f"{len(notes)} notes written to {path}")


NOTES = Export("notes", "Notes", ".txt", _write, takes=("slide_id",))
