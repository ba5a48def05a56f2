"""Checks of a project: each problem is one sentence, and is repaired where nothing of value can be lost."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import datetime
from pathlib import Path

from sqlalchemy import text

from microscope_qc.core.errors import ProjectError
from microscope_qc.core.files import atomic_path
from microscope_qc.project import backups, value_checks
from microscope_qc.project.content_checks import CONTENT, settle_history
from microscope_qc.project.database import DATABASE_NAME, Database, driver
from microscope_qc.project.migrations import version_of
from microscope_qc.project.owner import OwnerLock
from microscope_qc.project.run_checks import check_run, missing_slides
from microscope_qc.project.salvage import Salvaged, counted_words, salvage, write_salvaged

SALVAGED_NAME = "project.salvaged.sqlite"
"""What was read of a damaged database, complete, while that one is moved aside."""
_UNFINISHED = ".salvage-"


def check_content(database: Database, folder: Path, *, repair: bool) -> list[str]:
    """Check an open project; with ``repair`` also repair what can be repaired, after a backup of the database."""
    found = [f"The database is damaged: {row[0]}." for row in database.pragma("integrity_check(20)") if row[0] != "ok"]
    if found:
        return found
    found = check_values(database, folder, repair=repair)
    copied = bool(found)
    for find_problem, fix in CONTENT:
        with database.begin() as connection:
            sentence = find_problem(connection)
        if not sentence:
            continue
        if repair:
            if not copied:
                copied = True
                _copy_before(database, folder)
            with database.begin() as connection:
                sentence = f"{sentence} {fix(connection)}"
        found.append(sentence)
    with database.begin() as connection:
        found += missing_slides(connection, folder)
        run_rows = [(row[0], row[1]) for row in connection.execute(text("SELECT id, card FROM runs"))]
    for run_id, card in run_rows:
        found += check_run(folder / "runs" / str(run_id), run_id, card, repair=repair)
    return found


def check_values(database: Database, folder: Path, *, repair: bool) -> list[str]:
    """Check that the columns hold what they can hold; with ``repair`` also repair that, after a backup."""
    with database.begin() as connection:
        found = value_checks.value_problems(driver(connection), repair=False)
    if found and repair:
        _copy_before(database, folder)
        database.pragma("foreign_keys=OFF")  # rows that refer to nothing are looked after by the other checks
        try:
            with database.begin() as connection:
                value_checks.value_problems(driver(connection), repair=True)
                settle_history(connection)
        finally:
            database.pragma("foreign_keys=ON")
    return found


def make_readable(folder: Path, *, program: str = "command") -> list[str]:
    """Repair what keeps a project from being opened: a damaged database, or values that cannot be read.

    Returns
    -------
    list of str
        What was done; empty when there was nothing to do.

    Raises
    ------
    ProjectError
        As :func:`restore_when_damaged`, and when it is of a newer version.
    """
    found = restore_when_damaged(folder, program=program)
    _require_known(folder)
    lock = OwnerLock(folder, program=program)
    lock.acquire()
    try:
        database = Database(folder)
        try:
            return found + check_values(database, folder, repair=True)
        finally:
            database.close()
    finally:
        lock.release()


def _require_known(folder: Path) -> None:
    """Leave a project of a newer version as it is: what looks wrong may be what that version writes."""
    database = Database(folder, read_only=True)
    try:
        version_of(database)
    finally:
        database.close()


def _copy_before(database: Database, folder: Path) -> None:
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    with atomic_path(folder / backups.FOLDER / f"before-check-{stamp}.sqlite") as target:
        database.backup(target)


def restore_when_damaged(folder: Path, *, program: str = "command") -> list[str]:
    """Replace a damaged database by what can be read of it; the damaged one is kept under another name.

    Tables that cannot be read whole are completed from the newest good backup, which takes its place where nothing can.

    Returns
    -------
    list of str
        What was done; empty when the database can be read.

    Raises
    ------
    ProjectError
        When there is no backup, or the folder is not that of a project.
    """
    file, salvaged_file = folder / DATABASE_NAME, folder / SALVAGED_NAME
    if not folder.is_dir() or not (file.exists() or salvaged_file.exists() or (folder / backups.FOLDER).is_dir()):
        raise ProjectError(f"There is no project {folder}.", hint="A project is a folder NAME.mqc.")
    backups.finish_restoring(folder, program=program)
    if not backups.is_damaged(file):
        return []
    lock = OwnerLock(folder, program=program)
    lock.acquire()
    try:
        if salvaged_file.exists() and not file.exists():
            aside = _put_in_place(folder)
            return ["A repair of the database that was interrupted was completed.", _kept_words(aside)]
        _remove_unfinished(folder)
        backup = next((copy for copy in backups.backup_files(folder) if not backups.is_damaged(copy)), None)
        salvaged = salvage(file) if file.exists() else Salvaged()
        if backup is None and not salvaged.worth:
            raise ProjectError(
                f"The database of {folder.stem} is damaged and there is no backup of it.",
                hint="Copy the project back from another place; nothing was changed here.",
            )
        made = "" if backup is None else f"{backups.made_at(backup):%Y-%m-%d %H:%M}"
        with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=folder) as temporary:
            said = [f"The database was damaged; it was replaced by the backup of {made}."]
            new = Path(temporary) / DATABASE_NAME
            if salvaged.worth:
                counts = write_salvaged(Path(temporary), salvaged, Salvaged() if backup is None else salvage(backup))
                said = counted_words(counts, made)
            elif backup is not None:
                shutil.copyfile(backup, new)
            with new.open("rb+") as written:
                os.fsync(written.fileno())
            new.replace(salvaged_file)
        return [*said, _kept_words(_put_in_place(folder))]
    finally:
        lock.release()


def _put_in_place(folder: Path) -> Path:
    """Move the damaged database aside and the new one in its place; return what the damaged one is called now.

    Where this is interrupted in between, the next check goes on: without a database the new one is still waiting.
    """
    aside = backups.move_aside(folder, f"project.damaged-{datetime.now():%Y%m%d-%H%M%S}.sqlite")
    (folder / SALVAGED_NAME).replace(folder / DATABASE_NAME)
    return aside


def _kept_words(aside: Path) -> str:
    if not aside.exists():  # it was moved when the repair was interrupted, or there was none
        named = sorted(aside.parent.glob("project.damaged-*.sqlite"))
        return f"The damaged file is kept as {named[-1].name}." if named else "There was no damaged file to keep."
    return f"The damaged file is kept as {aside.name}."


def _remove_unfinished(folder: Path) -> None:
    """Remove what a check that was killed left: the damaged database is still there, and is read again."""
    (folder / SALVAGED_NAME).unlink(missing_ok=True)
    for left in folder.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(left, ignore_errors=True)
