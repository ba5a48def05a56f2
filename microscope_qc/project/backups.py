"""Rolling copies of the database in ``NAME.mqc/backups/``."""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path

from microscope_qc.core.errors import MicroscopeQCError, ProjectError
from microscope_qc.core.files import atomic_path
from microscope_qc.project.database import CHECK_HINT, Database, connect

FOLDER = "backups"
KEPT = 5
DAY_S = 24 * 3600.0

_log = logging.getLogger(__name__)


def backup_files(folder: Path) -> list[Path]:
    """Return the backups of a project, newest first."""
    return sorted((folder / FOLDER).glob("project-*.sqlite"), key=lambda file: file.name, reverse=True)


def back_up_when_due(database: Database, folder: Path, *, now_s: float | None = None) -> Path | None:
    """Copy the database when the last copy is older than a day; keep five.

    Raises
    ------
    ProjectError
        When the database is damaged: a good backup is never replaced by a bad one.
    """
    now_s = time.time() if now_s is None else now_s
    files = backup_files(folder)
    newest_s = max((file.stat().st_mtime for file in files), default=0.0)
    if now_s - newest_s < DAY_S or (not files and not _holds_slides(database)):
        return None
    if database.pragma("quick_check(1)") != [("ok",)]:
        raise ProjectError(f"The database of {folder.stem} is damaged.", hint=CHECK_HINT)
    target = folder / FOLDER / f"project-{datetime.fromtimestamp(now_s).strftime('%Y%m%d-%H%M%S')}.sqlite"
    try:
        with atomic_path(target) as temporary:
            database.backup(temporary)
    except MicroscopeQCError as error:
        # a full disk must not keep users out of their project
        _log.warning("No backup of %s was made: %s", folder, error)
        return None
    for old in backup_files(folder)[KEPT:]:
        old.unlink(missing_ok=True)
    return target


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


def _holds_slides(database: Database) -> bool:
    with database.begin() as connection:
        return connection.exec_driver_sql("SELECT 1 FROM slides LIMIT 1").first() is not None
