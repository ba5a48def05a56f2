"""A project: the folder ``NAME.mqc`` with everything a person and the detections said about some slides."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

from microscope_qc.core.defect_class import LI_ION_CLASSES, DefectClass
from microscope_qc.core.errors import MicroscopeQCError, ProjectError
from microscope_qc.core.files import write_error
from microscope_qc.project import backups, checking, schema
from microscope_qc.project.audit import AuditTrail
from microscope_qc.project.classes import ClassCommands
from microscope_qc.project.database import CHECK_HINT, DATABASE_NAME, Database
from microscope_qc.project.filters import SavedFilters
from microscope_qc.project.marks import MarkCommands
from microscope_qc.project.migrations import make_tables, migrate, version_of
from microscope_qc.project.owner import OwnerLock
from microscope_qc.project.run_commands import RunCommands
from microscope_qc.project.slides import SceneFacts, SlideCommands, read_facts
from microscope_qc.project.stepping import Stepping

SUFFIX = ".mqc"


class Project(RunCommands, ClassCommands, SlideCommands, MarkCommands, SavedFilters, AuditTrail, Stepping):
    """An open project, used from one thread.

    Every command is committed before it returns; ``events`` and each slide's ``BoxTable.changed`` tell about it
    afterwards. When a command fails, nothing changed, neither on disk nor in memory.
    """

    @classmethod
    def create(
        cls,
        path: Path | str,
        *,
        slides: Iterable[Path | str] = (),
        classes: Sequence[DefectClass] = LI_ION_CLASSES,
        program: str = "command",
    ) -> Project:
        """Make a project folder (``.mqc`` is added when it is missing) and open it for writing.

        Raises
        ------
        SlideError
            When a slide cannot be opened; then no project is made.
        ProjectError
            When there is something of this name already, or the folder cannot be written.
        """
        folder = project_path(path)
        if folder.exists() and not _is_empty_folder(folder):
            raise ProjectError(f"{folder.name} exists already.", hint="Open it, or choose another name.")
        facts: list[list[SceneFacts]] = [read_facts(slide) for slide in slides]
        try:
            _make_folder(folder, classes)
        except OSError as error:
            raise error if isinstance(error, MicroscopeQCError) else write_error(folder, error) from error
        project = cls.open(folder, program=program)
        try:
            for scenes in facts:
                project._add_scenes(scenes, kind="made")
        except BaseException:
            project.close()
            raise
        return project

    @classmethod
    def open(cls, path: Path | str, *, write: bool = True, program: str = "command") -> Project:
        """Open a project.

        Parameters
        ----------
        write
            Become its owner; False reads what was committed and takes no lock.
        program
            "window" or "command": what others are told about the owner.

        Raises
        ------
        ReadOnlyProjectError
            When it is to be written and somebody else owns it, or its folder is read-only.
        ProjectError
            When it is missing, damaged, or was made by a newer version.
        """
        folder = Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - a link stays a link
        _require_project(folder)
        _require_known_version(folder, write=write)
        if not write:
            return cls(folder, Database(folder, read_only=True), None)
        lock = OwnerLock(folder, program=program)
        lock.acquire()
        try:
            database = Database(folder)
            try:
                backups.back_up_when_due(database, folder)
                migrate(database, folder)
                project = cls(folder, database, lock)
                project._stop_left_runs()
            except BaseException:
                database.close()
                raise
        except BaseException:
            lock.release()
            raise
        return project

    def check(self) -> list[str]:
        """Look for damage, mend what can be mended (when open for writing) and return a sentence for each thing."""
        found = checking.check_content(self._database, self.path, repair=not self.read_only)
        if found:
            self.reload()
        return found

    def __enter__(self) -> Project:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Project({str(self.path)!r}, {'read only' if self.read_only else 'owner'})"


def project_path(path: Path | str) -> Path:
    """Return the absolute folder of a project, with ``.mqc`` at its end."""
    folder = Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - a link stays a link
    return folder if folder.suffix.lower() == SUFFIX else folder.with_name(folder.name + SUFFIX)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _make_folder(folder: Path, classes: Sequence[DefectClass]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        (temporary / "runs").mkdir()
        database = Database(temporary, create=True)
        try:
            make_tables(database, classes)
        finally:
            database.close()
        temporary.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _require_project(folder: Path) -> None:
    if not folder.exists():
        raise ProjectError(
            f"There is no project {folder}.", hint="Check the name, or make it with “microscope-qc new”."
        )
    if not folder.is_dir():
        raise ProjectError(f"{folder.name} is a file, not a project.", hint="A project is a folder NAME.mqc.")
    if not (folder / DATABASE_NAME).is_file():
        hint = CHECK_HINT if (folder / backups.FOLDER).is_dir() else "A project is a folder NAME.mqc."
        raise ProjectError(f"{folder.name} holds no project: {DATABASE_NAME} is missing.", hint=hint)
    if (folder / DATABASE_NAME).stat().st_size == 0:
        raise ProjectError(f"The database of {folder.stem} is empty.", hint=CHECK_HINT)


def _require_known_version(folder: Path, *, write: bool) -> None:
    # before a lock or a journal is made: a project of a newer version stays exactly as it is
    database = Database(folder, read_only=True)
    try:
        version = version_of(database)
    finally:
        database.close()
    if not write and version < schema.SCHEMA_VERSION:
        raise ProjectError(
            f"{folder.stem} was made by an older version of this program.", hint="Open it for writing once to renew it."
        )
