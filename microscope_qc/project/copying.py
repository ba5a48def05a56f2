"""Copies an open project into a new folder, also one whose own folder has gone."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

from microscope_qc.core.errors import MicroscopeQCError, ProjectError
from microscope_qc.core.files import temporary_prefix, write_error
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import things
from microscope_qc.project.database import Database
from microscope_qc.project.from_memory import write_memory
from microscope_qc.project.project import Project, require_free
from microscope_qc.project.records import RunRecord
from microscope_qc.project.runs.plan import PLAN_NAME, plan_of, write_plan
from microscope_qc.project.store import Store

MODELS = "models"
_MODEL_FILES = ("model.json", "weights.safetensors")
"""A training that has not ended lacks one of them."""


@dataclass(slots=True)
class ProjectCopy:
    """A copy of a project, and a sentence for everything that is missing in it."""

    path: Path
    missing: list[str] = field(default_factory=list)


def copy_project(project: Project, path: Path | str) -> Job[ProjectCopy]:
    """Save an open project under another name, with its history, the folders of its runs and its finished models.

    The project stays open as it is. What is in its database is read through the connection that is open, which works
    where the file was deleted, too; where that fails what is in memory is written.

    Raises
    ------
    ProjectError
        When something of this name exists, or it cannot be written.
    """
    folder = require_free(path)
    yield Progress(0, 0, "", f"Saving {folder.name}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=temporary_prefix(folder), dir=folder.parent))
    except OSError as error:
        raise write_error(folder, error) from error
    try:
        missing = _write_database(project._store, temporary)
        missing += yield from _copy_runs(project, temporary / "runs")
        missing += yield from _copy_models(project, temporary / MODELS)
        temporary.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        temporary.rename(folder)
    except OSError as error:
        raise error if isinstance(error, MicroscopeQCError) else write_error(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    with Project.open(folder) as made:
        made.slides.note_places()
    return ProjectCopy(folder, missing)


def _write_database(store: Store, folder: Path) -> list[str]:
    target = folder / store.database.file.name
    try:
        store.database.backup(target)
    except ProjectError:
        target.unlink(missing_ok=True)
    else:
        return []
    database = Database(folder, create=True)
    try:
        unread = write_memory(database, store.memory, store.log.known)
    finally:
        database.close()
    missing = ["The database could no longer be read. What was in memory was saved; no earlier step can be undone."]
    if unread:
        missing.append(f"The findings of {things(len(unread), 'slide')} were not in memory: {', '.join(unread)}.")
    return missing


def _copy_runs(project: Project, target: Path) -> Generator[Progress, None, list[str]]:
    """Copy the folders of runs as far as they are there; the others get their plans, and are counted."""
    runs, lost = list(project.runs), 0
    source = project.folder_now or project.path
    target.mkdir()
    for done, run in enumerate(runs):
        yield Progress(done, len(runs), "detections")
        if not _copy_run(source / "runs" / str(run.id), run, target / str(run.id)):
            lost += 1
    if not lost:
        return []
    return [
        f"The folders of {things(lost, 'detection')} were lost: their findings are there, but neither the area they"
        " scanned nor their score maps are, and they cannot be continued."
    ]


def _copy_run(source: Path, run: RunRecord, target: Path) -> bool:
    try:
        document = (source / PLAN_NAME).read_text(encoding="utf-8")
        if plan_of(document).created == run.plan.created:  # else it is another copy's run of the same number
            shutil.copytree(source, target)
            return True
    except (OSError, UnicodeDecodeError, shutil.Error):
        shutil.rmtree(target, ignore_errors=True)
    write_plan(target, run.plan)
    return False


def _copy_models(project: Project, target: Path) -> Generator[Progress, None, list[str]]:
    """Copy the finished models as far as they can be read."""
    source = (project.folder_now or project.path) / MODELS
    folders = sorted(folder for folder in source.iterdir() if folder.is_dir()) if source.is_dir() else []
    finished = [folder for folder in folders if all((folder / name).is_file() for name in _MODEL_FILES)]
    lost = []
    for done, folder in enumerate(finished):
        yield Progress(done, len(finished), "models", folder.name)
        try:
            shutil.copytree(folder, target / folder.name)
        except (OSError, shutil.Error):
            shutil.rmtree(target / folder.name, ignore_errors=True)
            lost.append(folder.name)
    said = [f"{things(len(lost), 'model')} could not be copied: {', '.join(lost)}."] if lost else []
    begun = len(folders) - len(finished)
    return [*said, f"{things(begun, 'training')} that had not ended stayed behind."] if begun else said
