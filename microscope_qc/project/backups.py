"""Copies of the database in ``NAME.mqc/backups/``: before the first edit of a start and every hour, thinned by age."""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from microscope_qc.core.errors import InputError, MicroscopeQCError, ProjectError, ReadOnlyProjectError
from microscope_qc.core.files import WriteError, atomic_path, write_error
from microscope_qc.project.database import CHECK_HINT, DATABASE_NAME, Database, DiskFullError, connect
from microscope_qc.project.owner import OwnerLock

FOLDER = "backups"
RESTORED_NAME = "project.restored.sqlite"
"""A backup that is to be the database, complete, while that one is moved aside."""
KEPT = 5
HOUR_S = 3600.0
_STAMP = "%Y%m%d-%H%M%S"
_SAID = "backed_up"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup: its file, when it was made as the file itself says, and how many findings are in it.

    ``findings`` counts boxes that a user did not delete; -1 where the file is damaged.
    """

    file: Path
    made: datetime
    findings: int

    @property
    def name(self) -> str:
        """What users call it."""
        return self.file.stem.removeprefix("project-")

    @property
    def time_text(self) -> str:
        """When it was made, by the clock of this computer."""
        return f"{self.made:%Y-%m-%d %H:%M}"


def backup_files(folder: Path) -> list[Path]:
    """Return the backups of a project, newest first."""
    return sorted((folder / FOLDER).glob("project-*.sqlite"), key=lambda file: file.stem, reverse=True)


def backups_of(folder: Path) -> list[Backup]:
    """Return what is known of the backups of a project, newest first."""
    return [Backup(file, made_at(file), _findings_in(file)) for file in backup_files(folder)]


def made_at(file: Path) -> datetime:
    """When a backup was made: as it says itself, else its last step; a copied file has another time on disk."""
    try:
        with closing(connect(file, mode="ro")) as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = ?", (_SAID,)).fetchone()
            row = row or connection.execute("SELECT max(time) FROM log").fetchone()
        return datetime.fromisoformat(row[0]).astimezone().replace(tzinfo=None)
    except (sqlite3.Error, TypeError, ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(file.stat().st_mtime)


def back_up_when_due(
    database: Database, folder: Path, *, every_start: bool = True, now_s: float | None = None
) -> Path | None:
    """As :func:`back_up` when the project is opened: where there is no room for a backup it is opened without one.

    Parameters
    ----------
    every_start
        False copies only where the last copy is older than an hour, for commands that follow each other quickly. One
        from the future was made by a clock that was wrong: it holds nothing up.

    Raises
    ------
    ProjectError
        When the database is damaged.
    """
    now_s = time.time() if now_s is None else now_s
    if not every_start:
        newest = max(map(made_at, backup_files(folder)), default=None)
        if newest is not None and 0 <= (datetime.fromtimestamp(now_s) - newest).total_seconds() < HOUR_S:
            return None
    try:
        return back_up(database, folder, now_s=now_s)
    except (WriteError, DiskFullError) as error:
        # a full disk must not keep users out of their project
        _log.warning("No backup of %s was made: %s", folder, error)
        return None


def back_up(database: Database, folder: Path, *, now_s: float | None = None) -> Path | None:
    """Copy the database; None where nothing was changed since one of the last copies. Thin the copies by their age.

    Raises
    ------
    ProjectError
        When the database is damaged: a good backup is never replaced by a bad one. When the disk is full.
    WriteError
        When the backup cannot be written.
    """
    now = datetime.fromtimestamp(time.time() if now_s is None else now_s)
    if not backup_files(folder) and not _holds_slides(database):
        return None
    if _same(database, folder) is not None:  # it may just have been restored
        return None
    target = _free(folder / FOLDER / f"project-{now.strftime(_STAMP)}.sqlite")
    with atomic_path(target) as temporary:
        database.snapshot(temporary)
        if is_damaged(temporary):
            raise ProjectError(f"The database of {folder.stem} is damaged.", hint=CHECK_HINT)
        _say_time(temporary, now)
    _thin(folder, now, but=target)
    return target


def superfluous(times: Sequence[datetime], now: datetime) -> list[int]:
    """Indices of the backups that are not needed any more.

    Kept are the last :data:`KEPT`, the last of every hour of a day, of every day of a month, and of every month. Those
    from the future are kept until that comes, and count for nothing.
    """
    order = sorted((number for number, made in enumerate(times) if made <= now), key=lambda n: times[n], reverse=True)
    kept, known = set(order[:KEPT]), set[str]()
    for number in order:
        age, made = now - times[number], times[number]
        slot = f"{made:%Y-%m}"
        if age < timedelta(days=1):
            slot = f"{made:%Y-%m-%d %H}"
        elif age < timedelta(days=31):
            slot = f"{made:%Y-%m-%d}"
        if slot not in known:
            known.add(slot)
            kept.add(number)
    return [number for number in order if number not in kept]


def restore(folder: Path, name: str, *, program: str = "command") -> list[str]:
    """Put a backup in the place of the database, of which a backup is made before; return what was done.

    Raises
    ------
    InputError
        When there is no such backup, or it is damaged.
    ReadOnlyProjectError
        When somebody has the project open.

    Where it is interrupted, the next start goes on, see :func:`finish_restoring`.
    """
    chosen = next((file for file in backup_files(folder) if name in (file.name, file.stem, _name(file))), None)
    if chosen is None:
        names = ", ".join(_name(file) for file in backup_files(folder)[:KEPT]) or "none"
        raise InputError(f"{folder.stem} has no backup {name}.", hint=f"Its newest backups are: {names}.")
    if is_damaged(chosen):
        raise InputError(f"The backup {name} is damaged.", hint="Choose another one.")
    lock = OwnerLock(folder, program=program)
    lock.acquire()
    try:
        made = made_at(chosen)
        with atomic_path(folder / RESTORED_NAME) as temporary:
            shutil.copyfile(chosen, temporary)  # before anything else is touched: there may be no room for it
        return [f"{folder.stem} is now as in the backup of {made:%Y-%m-%d %H:%M}.", _put_in_place(folder)]
    finally:
        lock.release()


def finish_restoring(folder: Path, *, program: str = "command") -> None:
    """Go on with :func:`restore` where it was interrupted, if it was and nobody else is at it."""
    if not (folder / RESTORED_NAME).exists():
        return
    lock = OwnerLock(folder, program=program)
    try:
        lock.acquire()
    except ReadOnlyProjectError:
        return
    try:
        if (folder / RESTORED_NAME).exists():  # nobody has finished it meanwhile
            _log.warning("Going back to a backup of %s was interrupted; %s", folder, _put_in_place(folder))
    finally:
        lock.release()


def _put_in_place(folder: Path) -> str:
    """Keep the database, and put the one that waits in its place; return a sentence about what was there before."""
    file, waiting = folder / DATABASE_NAME, folder / RESTORED_NAME
    try:
        kept = _set_aside(folder, asked=datetime.fromtimestamp(waiting.stat().st_mtime))
        _remove_journals(folder)
        waiting.replace(file)
    except (MicroscopeQCError, OSError) as error:
        if file.exists():  # it is not tried again by itself
            waiting.unlink(missing_ok=True)
        if isinstance(error, MicroscopeQCError):
            raise
        raise write_error(file, error) from error
    return kept


def move_aside(folder: Path, name: str) -> Path:
    """Give the database another name, with the files beside it; an old journal must not be applied to its successor."""
    file = folder / DATABASE_NAME
    aside = file.with_name(name)
    aside = _free(aside) if file.exists() else aside
    for ending in ("", "-wal", "-shm", "-journal"):
        part = file.with_name(file.name + ending)
        if part.exists():
            part.rename(aside.with_name(aside.name + ending))
    return aside


def is_damaged(file: Path) -> bool:
    """Whether a database file is missing, empty, or cannot be read from end to end."""
    if not file.is_file() or file.stat().st_size == 0:
        return True
    try:
        with closing(connect(file, mode="ro")) as connection:
            if connection.execute("PRAGMA integrity_check(1)").fetchall() != [("ok",)]:
                return True
            return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone() is None
    except sqlite3.Error as error:
        return str(getattr(error, "sqlite_errorname", "")).startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def _set_aside(folder: Path, *, asked: datetime) -> str:
    """Make a backup of the database as it is; where that cannot be done, keep it under another name.

    That name says when it was ``asked`` for: what was moved only in part is moved there in the end.
    """
    try:
        database = Database(folder)
        try:
            kept = back_up(database, folder) or _same(database, folder)
            database.pragma("wal_checkpoint(TRUNCATE)")
        finally:
            database.close()
        if kept is not None:
            return f"What was there before is the backup {_name(kept)}."
    except (ProjectError, WriteError) as error:
        _log.warning("No backup of %s was made: %s", folder, error)
    aside = move_aside(folder, f"project.before-{asked.strftime(_STAMP)}.sqlite")
    return f"What was there before is kept as {aside.name}."


def _remove_journals(folder: Path) -> None:
    """Remove what somebody who reads the project keeps beside it: SQLite would apply it to the database put there.

    Raises
    ------
    ReadOnlyProjectError
        Where files that are open cannot be removed.
    """
    for ending in ("-shm", "-wal", "-journal"):
        try:
            (folder / (DATABASE_NAME + ending)).unlink(missing_ok=True)
        except PermissionError as error:
            raise ReadOnlyProjectError(
                f"{folder.stem} is open for reading somewhere else.", hint="Close it there, then try again."
            ) from error


def _thin(folder: Path, now: datetime, *, but: Path) -> None:
    files = backup_files(folder)
    for number in superfluous([made_at(file) for file in files], now):
        if files[number] != but:
            files[number].unlink(missing_ok=True)
    for part in (folder / FOLDER).glob(".project-*"):  # of a program that was killed while it made one
        with contextlib.suppress(OSError):
            if now - datetime.fromtimestamp(part.stat().st_mtime) > timedelta(days=1):
                part.unlink()


def _say_time(file: Path, now: datetime) -> None:
    with closing(sqlite3.connect(file)) as copy, copy:
        copy.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_SAID, now.astimezone().isoformat()))


_STATE = (
    "SELECT (SELECT max(id) FROM log), (SELECT max(time) FROM log), (SELECT max(id) FROM trail),"
    " (SELECT max(id) FROM opinions), (SELECT count(*) FROM runs), (SELECT sum(length(value)) FROM settings),"
    " (SELECT value FROM meta WHERE key = 'schema_version')"
)
"""What is different after anything was changed that is worth a backup."""


def _state(database: Database) -> tuple[object, ...] | None:
    try:
        with database.reading() as connection:
            return tuple(connection.execute(_STATE).fetchone())
    except ProjectError:  # tables of an older version
        return None


def _same(database: Database, folder: Path) -> Path | None:
    """The newest of the last backups that holds what the database does, if one does."""
    state = _state(database)
    return next((file for file in backup_files(folder)[:KEPT] if _state_in(file) == state), None)


def _state_in(file: Path) -> tuple[object, ...]:
    try:
        with closing(connect(file, mode="ro")) as connection:
            return tuple(connection.execute(_STATE).fetchone())
    except sqlite3.Error:
        return ()


def _findings_in(file: Path) -> int:
    try:
        with closing(connect(file, mode="ro")) as connection:
            return int(connection.execute("SELECT count(*) FROM boxes WHERE flags & 8 = 0").fetchone()[0])
    except (sqlite3.Error, TypeError):
        return -1


def _name(file: Path) -> str:
    return file.stem.removeprefix("project-")


def _free(file: Path) -> Path:
    number, free = 2, file
    while free.exists():
        free, number = file.with_name(f"{file.stem}-{number}{file.suffix}"), number + 1
    return free


def _holds_slides(database: Database) -> bool:
    with database.begin() as connection:
        return connection.exec_driver_sql("SELECT 1 FROM slides LIMIT 1").first() is not None
