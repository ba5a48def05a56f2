"""A project: the folder ``NAME.mqc`` with everything that users and detections say about some slides."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from microscope_qc.core.defect_class import LI_ION_CLASSES, DefectClass
from microscope_qc.core.errors import DisplacedProjectError, MicroscopeQCError, OlderProjectError, ProjectError
from microscope_qc.core.files import temporary_prefix, write_error
from microscope_qc.project import backups, checking, schema
from microscope_qc.project.database import CHECK_HINT, DATABASE_NAME, Database
from microscope_qc.project.events import ProjectEvents
from microscope_qc.project.migrations import make_tables, migrate, version_of
from microscope_qc.project.owner import OwnerLock
from microscope_qc.project.parts.areas import Areas
from microscope_qc.project.parts.bookmarks import Bookmarks
from microscope_qc.project.parts.boxes import Boxes
from microscope_qc.project.parts.classes import Classes
from microscope_qc.project.parts.details import Attributes, Outlines
from microscope_qc.project.parts.fields import Fields
from microscope_qc.project.parts.filters import Filters
from microscope_qc.project.parts.history import History
from microscope_qc.project.parts.inclusion import InclusionPart
from microscope_qc.project.parts.marks import Marks
from microscope_qc.project.parts.measurements import Measurements
from microscope_qc.project.parts.model_in_use import ModelInUsePart
from microscope_qc.project.parts.opinions import Opinions
from microscope_qc.project.parts.registrations import Registrations
from microscope_qc.project.parts.runs import Runs
from microscope_qc.project.parts.settings import StoredSettings
from microscope_qc.project.parts.slides import Slides
from microscope_qc.project.parts.standards import Standards
from microscope_qc.project.parts.tables import Tables
from microscope_qc.project.scenes import SceneFacts, read_facts
from microscope_qc.project.store import Store
from microscope_qc.project.value_checks import outside_slides

SUFFIX = ".mqc"


class Project:
    """An open project, used from one thread: parts over one store.

    Every command is committed before it returns; ``events`` and each slide's ``BoxTable.changed`` are emitted
    afterwards. When a command fails, nothing has changed, neither on disk nor in memory.
    """

    def __init__(self, path: Path, database: Database, lock: OwnerLock | None) -> None:
        store = Store(path, database, lock)
        self._store = store
        self.path = path
        self.name: str = store.name
        self.events: ProjectEvents = store.events
        self.settings = StoredSettings(store)
        self.filters = Filters(store, self.settings)
        self.bookmarks = Bookmarks(self.settings)
        self.history = History(store)
        self.inclusion = InclusionPart(store)
        self.models = ModelInUsePart(store)
        self.standards = Standards(store)
        self.slides = Slides(store)
        self.fields = Fields(store, self.slides)
        tables = Tables(store, self.slides)
        self.attributes = Attributes(store, tables)
        self.outlines = Outlines(store, tables)
        self.measurements = Measurements(store, tables)
        self.boxes = Boxes(
            store,
            slides=self.slides,
            tables=tables,
            attributes=self.attributes,
            outlines=self.outlines,
            measurements=self.measurements,
            filters=self.filters,
            inclusion=self.inclusion,
        )
        self.areas = Areas(store, self.slides)
        self.opinions = Opinions(store, tables)
        self.runs = Runs(store, self.slides, self.boxes, self.opinions)
        self.classes = Classes(store, boxes=self.boxes, opinions=self.opinions, runs=self.runs, areas=self.areas)
        self.marks = Marks(store, self.slides)
        self.registrations = Registrations(store, self.slides)

    @classmethod
    def create(
        cls,
        path: Path | str,
        *,
        slides: Iterable[Path | str] = (),
        classes: Sequence[DefectClass] = LI_ION_CLASSES,
        program: str = "command",
    ) -> Project:
        """Make a project folder (``.mqc`` is added where it is missing) and open it for writing.

        Raises
        ------
        SlideError
            When a slide cannot be opened; no project is made then.
        ProjectError
            When something of this name exists already, or the folder cannot be written.
        """
        folder = require_free(path)
        facts: list[list[SceneFacts]] = [read_facts(slide) for slide in slides]
        try:
            _make_folder(folder, classes)
        except OSError as error:
            raise error if isinstance(error, MicroscopeQCError) else write_error(folder, error) from error
        project = cls.open(folder, program=program)
        try:
            project.slides.add_many(facts, kind="made")
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
            Become its owner; False reads what is committed and takes no lock.
        program
            "window" or "command": what others are told about the owner.

        Raises
        ------
        ReadOnlyProjectError
            When it is opened for writing and another process owns it, or its folder is read-only.
        ProjectError
            When it is missing, damaged, or was made by a newer version.
        """
        folder = Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - a link stays a link
        backups.finish_restoring(folder, program=program)
        _require_project(folder)
        _require_known_version(folder, write=write)
        if not write:
            return cls(folder, Database(folder, read_only=True), None)
        lock = OwnerLock(folder, program=program)
        lock.acquire()
        try:
            database = Database(folder)
            database.guards.append(lock.require_held)
            try:
                backups.back_up_when_due(database, folder, every_start=program == "window")
                migrate(database, folder)
                project = cls(folder, database, lock)
                project.runs.stop_left()
            except BaseException:
                database.close()
                raise
        except BaseException:
            lock.release()
            raise
        return project

    @property
    def read_only(self) -> bool:
        """Whether the project was opened for reading."""
        return self._store.read_only

    @property
    def owner(self) -> dict[str, Any] | None:
        """Who writes this project: user, host, pid, program, since; None when nobody does."""
        return self._store.owner

    @property
    def is_writing(self) -> bool:
        """Whether a large command is being written; nothing else can be changed until it is finished."""
        return self._store.is_writing

    def sync_behind(self) -> None:
        """From now on no edit waits for the disk, see :meth:`microscope_qc.project.database.Database.sync_behind`."""
        self._store.database.sync_behind()

    @property
    def displaced(self) -> DisplacedProjectError | None:
        """What happened to the files of the project while it was open for writing; None where all is well.

        Nothing is written as long as it is not None. This asks the disk, in any thread.
        """
        return self._store.displaced

    @property
    def folder_now(self) -> Path | None:
        """The folder of the project, also where it was renamed while it was open; None where it cannot be found."""
        return self._store.folder_now

    def reload(self) -> None:
        """Read everything again (a reader does this to see what the owner has committed since)."""
        self._store.reload()

    def back_up(self) -> Path | None:
        """Make a backup now, in any thread; None where nothing was changed since the last one.

        Raises
        ------
        ProjectError
            When the database is damaged, or not open for writing; when the disk is full.
        WriteError
            When the backup cannot be written.
        """
        self._store.require_owner()
        return backups.back_up(self._store.database, self.path)

    def check(self) -> list[str]:
        """Look for damage and repair what can be repaired (when open for writing); return a sentence per problem."""
        found = checking.check_content(self._store.database, self.path, repair=not self.read_only)
        if found:
            self.reload()
        return found

    def outside_slides(self) -> list[str]:
        """Return a sentence about findings that lie wholly outside their slides, if there are any."""
        with self._store.database.reading() as connection:
            return outside_slides(connection)

    def close(self) -> None:
        """Close the database and give up ownership; everything is committed already."""
        self._store.close()

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


def require_free(path: Path | str) -> Path:
    """Return the folder of a project that is to be made.

    Raises
    ------
    ProjectError
        When something of this name exists already.
    """
    folder = project_path(path)
    if folder.exists() and not _is_empty_folder(folder):
        raise ProjectError(f"{folder.name} exists already.", hint="Open it, or choose another name.")
    return folder


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _make_folder(folder: Path, classes: Sequence[DefectClass]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=temporary_prefix(folder), dir=folder.parent))
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


def require_project(path: Path | str) -> Path:
    """Return the absolute folder of a project that is there, whatever the state of its database.

    Raises
    ------
    ProjectError
        When there is none.
    """
    folder = Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - a link stays a link
    if not (folder / DATABASE_NAME).exists() and not (folder / backups.FOLDER).is_dir():
        raise ProjectError(f"There is no project {folder}.", hint="A project is a folder NAME.mqc.")
    return folder


def _require_project(folder: Path) -> None:
    if not folder.exists():
        raise ProjectError(
            f"There is no project {folder}.", hint="Check the name, or make it with “microscope-qc new”."
        )
    if not folder.is_dir():
        raise ProjectError(f"{folder.name} is a file, not a project.", hint="A project is a folder NAME.mqc.")
    if not (folder / DATABASE_NAME).is_file():
        waiting = (backups.FOLDER, backups.RESTORED_NAME, checking.SALVAGED_NAME)
        can_be_made = any((folder / name).exists() for name in waiting)
        hint = CHECK_HINT if can_be_made else "A project is a folder NAME.mqc."
        raise ProjectError(f"{folder.name} is not a project: {DATABASE_NAME} is missing.", hint=hint)
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
        raise OlderProjectError(
            f"{folder.stem} was made by an older version of this program.",
            hint="Open it for writing once to update it.",
        )
