"""Creating, recognising and migrating the tables of a project."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, insert, select, update

from microscope_qc import __version__
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import ProjectError
from microscope_qc.core.files import atomic_path
from microscope_qc.project import schema
from microscope_qc.project.database import CHECK_HINT, Database
from microscope_qc.project.old_compositions import compositions_to_measurements
from microscope_qc.project.old_findings import boxes_to_opinions
from microscope_qc.project.old_run_classes import classes_of_old_runs
from microscope_qc.project.owner import now


def _attributes_outlines_and_trail(connection: Connection) -> None:
    # SQL in full: a step makes the tables of its version, whatever the newest ones look like
    for statement in (
        "ALTER TABLE classes ADD COLUMN box_size_um FLOAT",
        "ALTER TABLE classes ADD COLUMN example_box INTEGER DEFAULT '0' NOT NULL",
        "ALTER TABLE classes ADD COLUMN example_picture VARCHAR DEFAULT '' NOT NULL",
        "CREATE TABLE attributes (id INTEGER NOT NULL, slide_id INTEGER NOT NULL, data VARCHAR NOT NULL, "
        "PRIMARY KEY (id), FOREIGN KEY(id) REFERENCES boxes (id), FOREIGN KEY(slide_id) REFERENCES slides (id))",
        "CREATE INDEX attributes_of_slide ON attributes (slide_id)",
        "CREATE TABLE outlines (id INTEGER NOT NULL, slide_id INTEGER NOT NULL, data VARCHAR NOT NULL, "
        "PRIMARY KEY (id), FOREIGN KEY(id) REFERENCES boxes (id), FOREIGN KEY(slide_id) REFERENCES slides (id))",
        "CREATE INDEX outlines_of_slide ON outlines (slide_id)",
        "CREATE TABLE trail (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, log_id INTEGER NOT NULL, "
        "time VARCHAR NOT NULL, user VARCHAR NOT NULL, action VARCHAR NOT NULL)",
    ):
        connection.exec_driver_sql(statement)


def _inclusion_areas_and_run_classes(connection: Connection) -> None:
    for statement in (
        "CREATE TABLE inclusion (id INTEGER NOT NULL PRIMARY KEY, confidence_limit FLOAT NOT NULL)",
        "CREATE TABLE areas (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, slide_id INTEGER NOT NULL, "
        "outline VARCHAR NOT NULL, classes VARCHAR NOT NULL, user VARCHAR NOT NULL, declared VARCHAR NOT NULL, "
        "FOREIGN KEY(slide_id) REFERENCES slides (id))",
        "CREATE TABLE run_classes (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, slide_id INTEGER NOT NULL, "
        "run_id INTEGER NOT NULL, label INTEGER NOT NULL, class_id INTEGER NOT NULL, "
        "FOREIGN KEY(slide_id) REFERENCES slides (id), FOREIGN KEY(run_id) REFERENCES runs (id), "
        "FOREIGN KEY(class_id) REFERENCES classes (id))",
    ):
        connection.exec_driver_sql(statement)
    _limit_out_of_filter(connection)
    for run_id, slide_id, label, class_id in classes_of_old_runs(connection):
        connection.exec_driver_sql(
            "INSERT INTO run_classes (run_id, slide_id, label, class_id) VALUES (?, ?, ?, ?)",
            (run_id, slide_id, label, class_id),
        )


def _limit_out_of_filter(connection: Connection) -> None:
    """The filter's lower confidence limit used to count for every number: it becomes that of the inclusion."""
    stored = connection.exec_driver_sql("SELECT value FROM settings WHERE key = 'filter'").scalar()
    try:
        known = json.loads(stored or "{}")
        limit = min(max(float(known.get("min_confidence", 0.0)), 0.0), 1.0)
    except (ValueError, TypeError, AttributeError):  # an unreadable filter hid nothing
        known, limit = None, 0.0
    connection.exec_driver_sql("INSERT INTO inclusion VALUES (1, ?)", (limit if math.isfinite(limit) else 0.0,))
    if known:
        value = json.dumps(known | {"min_confidence": 0.0})
        connection.exec_driver_sql("UPDATE settings SET value = ? WHERE key = 'filter'", (value,))


def _fields_groups_and_names(connection: Connection) -> None:
    for statement in (
        "ALTER TABLE slides ADD COLUMN content VARCHAR DEFAULT '' NOT NULL",
        "ALTER TABLE slides ADD COLUMN fields VARCHAR DEFAULT '{}' NOT NULL",
        "ALTER TABLE classes ADD COLUMN \"group\" VARCHAR DEFAULT '' NOT NULL",
        "ALTER TABLE runs ADD COLUMN name VARCHAR DEFAULT '' NOT NULL",
        "CREATE TABLE fields (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, name VARCHAR NOT NULL, "
        "kind VARCHAR NOT NULL, unit VARCHAR NOT NULL, choices VARCHAR NOT NULL)",
    ):
        connection.exec_driver_sql(statement)
    boxes_to_opinions(connection)


def _orientation(connection: Connection) -> None:
    # pictures used to be shown as they are stored, and that is where the boxes of these slides are
    connection.exec_driver_sql("ALTER TABLE slides ADD COLUMN orientation INTEGER DEFAULT '1' NOT NULL")


def _model_in_use(connection: Connection) -> None:
    connection.exec_driver_sql(
        "CREATE TABLE model_in_use (id INTEGER NOT NULL PRIMARY KEY, model VARCHAR NOT NULL, name VARCHAR NOT NULL, "
        "inside_project BOOLEAN NOT NULL)"
    )


def _measurements(connection: Connection) -> None:
    for statement in (
        "CREATE TABLE measurements (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, import_id INTEGER NOT NULL, "
        'source VARCHAR NOT NULL, file_hash VARCHAR NOT NULL, "row" INTEGER NOT NULL, label VARCHAR NOT NULL, '
        "kind VARCHAR NOT NULL, stage_x_mm FLOAT, stage_y_mm FLOAT, on_slide INTEGER, y_px FLOAT, x_px FLOAT, "
        "kv FLOAT, amounts VARCHAR NOT NULL, note VARCHAR NOT NULL)",
        "CREATE TABLE measurement_links (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, slide_id INTEGER NOT NULL, "
        "measurement_id INTEGER NOT NULL, finding_id INTEGER NOT NULL, matched_by VARCHAR NOT NULL, "
        "FOREIGN KEY(slide_id) REFERENCES slides (id), FOREIGN KEY(measurement_id) REFERENCES measurements (id), "
        "FOREIGN KEY(finding_id) REFERENCES boxes (id))",
        "CREATE UNIQUE INDEX link_of_measurement ON measurement_links (measurement_id)",
        "CREATE INDEX links_of_finding ON measurement_links (finding_id)",
    ):
        connection.exec_driver_sql(statement)
    compositions_to_measurements(connection)


def _random_areas_and_standards(connection: Connection) -> None:
    for statement in (
        "ALTER TABLE areas ADD COLUMN drawn VARCHAR DEFAULT '' NOT NULL",
        "CREATE TABLE standards (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, kind VARCHAR NOT NULL, "
        "name VARCHAR NOT NULL, data VARCHAR NOT NULL, user VARCHAR NOT NULL, kept VARCHAR NOT NULL)",
    ):
        connection.exec_driver_sql(statement)


def _spectra_and_checks(connection: Connection) -> None:
    for statement in (
        "ALTER TABLE marks ADD COLUMN is_check BOOLEAN DEFAULT '0' NOT NULL",
        "CREATE TABLE spectra (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, measurement_id INTEGER NOT NULL, "
        "data VARCHAR NOT NULL, FOREIGN KEY(measurement_id) REFERENCES measurements (id))",
        "CREATE UNIQUE INDEX spectrum_of_measurement ON spectra (measurement_id)",
    ):
        connection.exec_driver_sql(statement)


STEPS: dict[int, Callable[[Connection], None]] = {
    1: _attributes_outlines_and_trail,
    2: _inclusion_areas_and_run_classes,
    3: _fields_groups_and_names,
    4: _orientation,
    5: _model_in_use,
    6: _measurements,
    7: _random_areas_and_standards,
    8: _spectra_and_checks,
}
"""``STEPS[n]`` turns the tables of version n into those of version n + 1."""


def make_tables(database: Database, classes: Sequence[DefectClass]) -> None:
    """Make an empty project with its defect classes."""
    with database.begin() as connection:
        schema.metadata.create_all(connection)
        about = {
            "schema_version": str(schema.SCHEMA_VERSION),
            "project": uuid.uuid4().hex,
            "created": now(),
            "program": f"microscope-qc {__version__}",
        }
        connection.execute(insert(schema.meta), [{"key": key, "value": value} for key, value in about.items()])
        connection.execute(insert(schema.inclusion), {"id": 1, "confidence_limit": 0.0})
        if classes:
            connection.execute(insert(schema.classes), [class_row(c, position=i) for i, c in enumerate(classes)])


def class_row(defect: DefectClass, *, position: int) -> dict[str, object]:
    """Return the table row of a class, without its id."""
    return {
        "code": defect.code,
        "name": defect.name,
        "colour": defect.colour,
        "key": defect.key,
        "description": defect.description,
        "weight": float(defect.weight),
        "position": position,
        "box_size_um": defect.box_size_um,
        "group": defect.group,
        "example_box": 0,  # examples belong to the project they were chosen in
        "example_picture": "",
    }


def version_of(database: Database) -> int:
    """Return the version of the tables.

    Raises
    ------
    ProjectError
        When it is not the database of a project, or one of a newer program.
    """
    with database.begin() as connection:
        text = connection.execute(select(schema.meta.c.value).where(schema.meta.c.key == "schema_version")).scalar()
    try:
        version = int(text or "")
    except ValueError:
        raise ProjectError(f"The database of {database.name} does not say its version.", hint=CHECK_HINT) from None
    if version > schema.SCHEMA_VERSION:
        raise ProjectError(
            f"{database.name} was made by a newer version of this program (its tables are version {version}, this"
            f" program knows {schema.SCHEMA_VERSION}).",
            hint="Install the newer version; the project was left as it is.",
        )
    return version


def migrate(database: Database, folder: Path) -> None:
    """Bring the tables up to date, after a backup copy; all steps or none.

    Raises
    ------
    ProjectError
        When the version is newer, or older and unknown.
    """
    version = version_of(database)
    if version == schema.SCHEMA_VERSION:
        return
    steps = [STEPS.get(number) for number in range(version, schema.SCHEMA_VERSION)]
    if None in steps:
        raise ProjectError(f"{database.name} has tables of version {version}, which nothing can read.", hint=CHECK_HINT)
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    with atomic_path(folder / f"before-version-{schema.SCHEMA_VERSION}-{stamp}.sqlite") as copy:
        database.backup(copy)
    version_now = update(schema.meta).where(schema.meta.c.key == "schema_version")
    database.pragma("foreign_keys=OFF")  # a table that others refer to is replaced; that works only outside
    try:
        with database.begin() as connection:
            for step in steps:
                if step is not None:
                    step(connection)
            connection.execute(version_now.values(value=str(schema.SCHEMA_VERSION)))
    finally:
        database.pragma("foreign_keys=ON")
