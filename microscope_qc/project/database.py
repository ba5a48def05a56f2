"""``project.sqlite``: one connection, transactions that survive a kill, and errors in plain words."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from weakref import WeakValueDictionary

import numpy as np
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from microscope_qc.core.errors import InputError, MicroscopeQCError, ProjectError, ReadOnlyProjectError
from microscope_qc.project.presence import OpenFiles
from microscope_qc.project.storage import is_network, journal_mode
from microscope_qc.project.syncing import Syncing

DATABASE_NAME = "project.sqlite"
CHECK_HINT = "Run “microscope-qc check” on the project; it restores the last backup when the database is damaged."
_WAL_VERSION = 2  # bytes 18 and 19 of the header, https://www.sqlite.org/fileformat.html section 1.3


_written_here: WeakValueDictionary[Path, Database] = WeakValueDictionary()
"""Databases that this process writes, by folder: others in this process may read beside them."""


class StillReferencedError(ProjectError):
    """A row cannot be deleted because another one refers to it."""


class DiskFullError(ProjectError):
    """There was no room left on the disk."""


def connect(file: Path, *, mode: str, immutable: bool = False) -> sqlite3.Connection:
    """Open SQLite on a file; ``mode`` is "ro", "rw" or "rwc"."""
    uri = f"file:{quote(file.absolute().as_posix())}?mode={mode}" + ("&immutable=1" if immutable else "")
    return sqlite3.connect(uri, uri=True, timeout=10.0, isolation_level=None, check_same_thread=False)


class Database:
    """The open database of one project.

    Parameters
    ----------
    folder
        The project's folder.
    read_only
        Write nothing, not even a journal.
    create
        Create the file where it is missing.

    Raises
    ------
    DisplacedProjectError
        When this process writes the project of that folder, and another one lies there now.
    ProjectError
        When it cannot be opened.
    """

    def __init__(self, folder: Path, *, read_only: bool = False, create: bool = False) -> None:
        self.file = folder / DATABASE_NAME
        self.name = folder.stem
        self.read_only = read_only
        self._lock = threading.RLock()
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._syncing: Syncing | None = None
        self.guards: list[Callable[[], None]] = []
        """Asked before each commit; each raises an error where nothing may be written."""
        beside = _written_here.get(folder) if read_only else None
        if beside is not None:
            beside.require_in_place()
        try:
            connection = self._connect_reading() if read_only else self._connect_writing(create=create)
        except (sqlite3.Error, OSError) as error:
            self._remove_copy()
            raise describe(error, self.name) from error
        self._connection = connection
        self._files = OpenFiles(folder, [DATABASE_NAME + ending for ending in ("", "-wal", "-shm")])
        if not read_only:
            self.guards.append(self._files.require)
            _written_here[folder] = self
        self._engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
        # begin explicitly: sqlite3 on its own would wait for the first INSERT
        begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"
        event.listen(self._engine, "begin", lambda started: started.exec_driver_sql(begin))

    def _connect_writing(self, *, create: bool) -> sqlite3.Connection:
        connection = connect(self.file, mode="rwc" if create else "rw")
        try:
            mode = journal_mode(self.file.parent)
            for pragma in (f"journal_mode={mode}", "synchronous=FULL", "foreign_keys=ON", "cache_size=-65536"):
                connection.execute(f"PRAGMA {pragma}").fetchall()
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect_reading(self) -> sqlite3.Connection:
        with self.file.open("rb") as stream:
            header = stream.read(20)
        log = self.file.with_name(self.file.name + "-wal")
        is_wal = len(header) >= 20 and header[18] == _WAL_VERSION
        if not (is_wal and is_network(self.file.parent)):
            with contextlib.suppress(sqlite3.OperationalError):
                return _readable(connect(self.file, mode="ro"))
        # Without shared memory (read-only folder, network drive) a WAL database is readable only while nobody writes.
        if not log.exists() or log.stat().st_size == 0:
            return _readable(connect(self.file, mode="ro", immutable=True))
        self._copy = tempfile.TemporaryDirectory(prefix="microscope-qc-")
        copy = Path(self._copy.name)
        for file in (self.file, log):
            shutil.copyfile(file, copy / file.name)
        return _readable(connect(copy / self.file.name, mode="rw"))

    def sync_behind(self) -> None:
        """From now on nobody waits for the disk: :meth:`begin` returns before its transaction is there.

        The end of the program undoes none of them. A power failure can undo those of the last milliseconds, each as a
        whole. Where SQLite cannot do that, and after the disk has refused to write, transactions wait for it as before.
        """
        if self._syncing is None and not self.read_only and self._has_wal():
            self._syncing = Syncing(self.file.with_name(self.file.name + "-wal"))
            self.pragma("synchronous=NORMAL")

    def _has_wal(self) -> bool:
        return self.pragma("journal_mode") == [("wal",)]

    @contextlib.contextmanager
    def begin_lightly(self) -> Iterator[Connection]:
        """One transaction that does not wait for the disk: it may be undone by a power failure, as a whole.

        For what nobody would miss, such as where a slide was looked at; a kill of the program undoes nothing. The next
        transaction of :meth:`begin` makes it durable. Errors are those of :meth:`begin`.
        """
        with self._lock:
            light = self._syncing is None and self._has_wal()  # else the file itself may be torn
            if light:
                self.pragma("synchronous=NORMAL")
            try:
                with self._transaction() as connection:
                    yield connection
            finally:
                if light:
                    self.pragma("synchronous=FULL")

    @contextlib.contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction: committed when the block ends, undone when it fails.

        What is committed is on the disk, or, after :meth:`sync_behind`, on the way to it.

        Raises
        ------
        DisplacedProjectError
            When something was to be written and the files are no longer those that were opened: nothing was changed.
        ProjectError
            When the disk is full, or the database read-only, locked or damaged: nothing was changed.
        """
        with self._lock:
            if self._syncing is not None and self._syncing.failed:
                self._sync_at_once()
            before = 0 if self._syncing is None else self._connection.total_changes
            with self._transaction() as connection:
                yield connection
            if self._syncing is not None and self._connection.total_changes != before:
                self._syncing.request()

    def _sync_at_once(self) -> None:
        """Let transactions wait for the disk (again)."""
        if self._syncing is not None:
            self._syncing.close()
            self._syncing = None
            self.pragma("synchronous=FULL")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._lock:
            try:
                with self._engine.begin() as connection:
                    if not self.read_only:
                        connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
                    before = self._connection.total_changes
                    yield connection
                    if self._connection.total_changes != before:
                        self.require_in_place()
            except DBAPIError as error:
                self.require_in_place()
                raise describe(error.orig or error, self.name) from error
            except sqlite3.Error as error:
                self.require_in_place()
                raise describe(error, self.name) from error
            except UnicodeEncodeError as error:
                raise InputError(
                    "The text holds half a character and cannot be stored.", hint="Type it again instead of pasting it."
                ) from error

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The driver's connection for a single query, without a transaction: a tenth of the cost of :meth:`begin`.

        Raises
        ------
        ProjectError
            When the database cannot be read.
        """
        with self._lock, readable(self.name):
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise describe(error, self.name) from error

    def require_in_place(self) -> None:
        """Refuse to write when the files are no longer those that were opened, or somebody else may write them.

        Raises
        ------
        DisplacedProjectError
            It says what happened. Reading and :meth:`backup` still work.
        """
        for guard in self.guards:
            guard()

    @property
    def is_in_place(self) -> bool:
        """Whether the file is the one that was opened."""
        return self._files.database_is_there

    @property
    def changes(self) -> int | None:
        """Counter that grows with every row written by this process; None where another process writes."""
        return None if self.read_only else self._connection.total_changes

    def pragma(self, text: str) -> list[tuple[Any, ...]]:
        """Run ``PRAGMA text`` outside of a transaction and return its rows."""
        with self._lock:
            try:
                return self._connection.execute(f"PRAGMA {text}").fetchall()
            except sqlite3.Error as error:
                raise describe(error, self.name) from error

    def backup(self, target: Path, *, progress: Callable[[int, int, int], None] | None = None) -> None:
        """Copy the committed content into a new file."""
        with self._lock, contextlib.closing(sqlite3.connect(target)) as copy:
            try:
                self._connection.backup(copy, progress=progress)
                copy.execute("PRAGMA journal_mode=DELETE")
            except sqlite3.Error as error:
                raise describe(error, self.name) from error

    def snapshot(self, target: Path) -> None:
        """As :meth:`backup`, in any thread and without holding up edits where the journal allows that."""
        if not self.read_only:
            self.require_in_place()
            if self.pragma("journal_mode") != [("wal",)]:
                self.backup(target)
                return
        try:
            reader, copy = connect(self.file, mode="ro"), sqlite3.connect(target)
            with contextlib.closing(reader), contextlib.closing(copy):
                reader.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.Error as error:
            raise describe(error, self.name) from error

    def close(self) -> None:
        """Close and leave a single file, which can be copied and read from anywhere."""
        with self._lock:  # another thread may be writing
            if _written_here.get(self.file.parent) is self:
                del _written_here[self.file.parent]
            if self._syncing is not None:
                self._syncing.close()
            # under another database of the same name its log must not be removed
            if not self.read_only and self._files.database_is_there:
                # fails while another process reads; the WAL then stays beside the file, which is as safe
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("PRAGMA busy_timeout=0")
                    self._connection.execute("PRAGMA journal_mode=DELETE").fetchall()
            self._engine.dispose()
            self._connection.close()
            self._remove_copy()

    def _remove_copy(self) -> None:
        if self._copy is not None:
            self._copy.cleanup()
            self._copy = None


def driver(connection: Connection) -> sqlite3.Connection:
    """Return the driver's connection, in the same transaction: for many rows at once."""
    found = connection.connection.driver_connection
    assert isinstance(found, sqlite3.Connection)
    return found


@contextlib.contextmanager
def readable(name: str) -> Iterator[None]:
    """While rows are read: a value that its column cannot hold becomes an error that says what to do."""
    try:
        with np.errstate(invalid="raise"):  # a number that its column cannot hold
            yield
    except MicroscopeQCError:
        raise
    except (ArithmeticError, TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise ProjectError(
            f"The database of {name} holds something that cannot be read ({error}).", hint=CHECK_HINT
        ) from error


def _readable(connection: sqlite3.Connection) -> sqlite3.Connection:
    try:
        connection.execute("PRAGMA query_only=ON")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def describe(error: BaseException, name: str) -> ProjectError:
    """Turn an error of SQLite or the operating system into a sentence for users."""
    code = str(getattr(error, "sqlite_errorname", "") or "")
    text = str(error).lower()
    if code.startswith("SQLITE_CONSTRAINT") or "constraint failed" in text:
        return StillReferencedError(f"Something in {name} still refers to this.", hint="Nothing was changed.")
    if code == "SQLITE_FULL" or "is full" in text:
        return DiskFullError(
            f"The disk is full; nothing was changed in {name}.", hint="Free some space, then try again."
        )
    if code.startswith(("SQLITE_READONLY", "SQLITE_PERM")) or isinstance(error, PermissionError) or "readonly" in text:
        return ReadOnlyProjectError(
            f"{name} cannot be written: the folder or the file is read-only.",
            hint="Copy the project to another folder.",
        )
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) or "locked" in text:
        return ProjectError(f"{name} is in use by another program.", hint="Wait a moment and try again.")
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or "malformed" in text or "not a database" in text:
        return ProjectError(f"The database of {name} is damaged.", hint=CHECK_HINT)
    if isinstance(error, FileNotFoundError) or code.startswith("SQLITE_CANTOPEN"):
        return ProjectError(f"The database of {name} cannot be opened.", hint=CHECK_HINT)
    if "no such table" in text or "no such column" in text:
        return ProjectError(f"The database of {name} was not made by this program, or it is damaged.", hint=CHECK_HINT)
    return ProjectError(f"The database of {name} cannot be used ({error}).", hint=CHECK_HINT)
