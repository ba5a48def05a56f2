"""Tables of ``project.sqlite``."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
)

SCHEMA_VERSION = 9
"""Rises by one with every change of the tables; the step goes into :data:`microscope_qc.project.migrations.STEPS`."""

metadata = MetaData()


def _id() -> Column[int]:
    return Column("id", Integer, primary_key=True)


def _slide() -> Column[int]:
    return Column("slide_id", Integer, ForeignKey("slides.id"), nullable=False)


# AUTOINCREMENT: an id is never used twice, not even after its row was deleted
meta = Table("meta", metadata, Column("key", String, primary_key=True), Column("value", String, nullable=False))

settings = Table("settings", metadata, Column("key", String, primary_key=True), Column("value", String, nullable=False))

slides = Table(
    "slides",
    metadata,
    _id(),
    Column("name", String, nullable=False),
    Column("path", String, nullable=False),
    Column("relative_path", String, nullable=False),
    Column("scene", String),
    Column("fingerprint", String, nullable=False),
    Column("height_px", Integer, nullable=False),
    Column("width_px", Integer, nullable=False),
    Column("pixel_size_y_um", Float),
    Column("pixel_size_x_um", Float),
    Column("content", String, nullable=False, server_default=""),  # hash of the whole file, "" until it was read
    Column("fields", String, nullable=False, server_default="{}"),  # JSON: specimen, batch ... by name
    # how the stored pixels are turned (core/orientation.py): boxes lie in the turned picture
    Column("orientation", Integer, nullable=False, server_default="1"),
    sqlite_autoincrement=True,
)

# fields of specimens that users added to the standard ones
fields = Table(
    "fields",
    metadata,
    _id(),
    Column("name", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("unit", String, nullable=False),
    Column("choices", String, nullable=False),  # JSON list
    sqlite_autoincrement=True,
)

classes = Table(
    "classes",
    metadata,
    _id(),
    Column("code", String, nullable=False, unique=True),
    Column("name", String, nullable=False),
    Column("colour", String, nullable=False),
    Column("key", String, nullable=False),
    Column("description", String, nullable=False),
    Column("weight", Float, nullable=False),
    Column("position", Integer, nullable=False),
    Column("box_size_um", Float),  # NULL where one click makes a box of the usual size
    Column("example_box", Integer, nullable=False, server_default="0"),  # no foreign key: the box may be deleted
    Column("example_picture", String, nullable=False, server_default=""),
    Column("group", String, nullable=False, server_default=""),
    sqlite_autoincrement=True,
)

# What users say of findings. Class and box count where a user set or judged them (see core/opinions.py), and are else
# those that the finding had first. A row without a claim of a user and without an opinion is no finding: it keeps the
# place, so that what is found there again gets its number.
boxes = Table(
    "boxes",
    metadata,
    _id(),
    _slide(),
    Column("class_id", Integer, ForeignKey("classes.id")),
    Column("y0", Float, nullable=False),
    Column("x0", Float, nullable=False),
    Column("y1", Float, nullable=False),
    Column("x1", Float, nullable=False),
    Column("confidence", Float),  # of an imported box
    Column("state", Integer, nullable=False),
    Column("chosen", Boolean, nullable=False),
    Column("reason", String, nullable=False),
    Column("note", String, nullable=False),
    Column("flags", Integer, nullable=False),  # FindingFlag
    Index("boxes_of_slide", "slide_id"),
    sqlite_autoincrement=True,
)

opinions = Table(
    "opinions",
    metadata,
    _id(),
    _slide(),
    Column("finding_id", Integer, ForeignKey("boxes.id"), nullable=False),
    Column("run_id", Integer, ForeignKey("runs.id"), nullable=False),
    Column("class_id", Integer, ForeignKey("classes.id"), nullable=False),
    Column("confidence", Float, nullable=False),
    Column("y0", Float, nullable=False),
    Column("x0", Float, nullable=False),
    Column("y1", Float, nullable=False),
    Column("x1", Float, nullable=False),
    Column("made", Boolean, nullable=False),  # the finding was new
    Column("again", Boolean, nullable=False),  # a user had rejected or deleted it
    Index("opinions_of_slide", "slide_id"),
    Index("opinions_of_run", "run_id", "finding_id", unique=True),
    Index("opinions_of_finding", "finding_id"),
    sqlite_autoincrement=True,
)


def _detail(name: str) -> Table:
    """Make a table beside the boxes: few boxes have such a row, and it is read only when needed."""
    return Table(
        name,
        metadata,
        Column("id", Integer, ForeignKey("boxes.id"), primary_key=True),
        _slide(),
        Column("data", String, nullable=False),  # JSON
        Index(f"{name}_of_slide", "slide_id"),
    )


attributes = _detail("attributes")
outlines = _detail("outlines")
DETAILS = (attributes.name, outlines.name)

# one row, with the id 1; whether a run is switched off is in its own row
inclusion = Table("inclusion", metadata, _id(), Column("confidence_limit", Float, nullable=False))

# at most one row, with the id 1: the name of a bundled model, or a folder; one in the project is relative to it
model_in_use = Table(
    "model_in_use",
    metadata,
    _id(),
    Column("model", String, nullable=False),
    Column("name", String, nullable=False),
    Column("inside_project", Boolean, nullable=False),
)

# What a user declared complete: every defect of these classes in the outline is marked. Of an area that was drawn at
# random by the program and not searched yet there are no classes, and nobody declared it.
areas = Table(
    "areas",
    metadata,
    _id(),
    _slide(),
    Column("outline", String, nullable=False),  # JSON, see core/outline.py
    Column("classes", String, nullable=False),  # JSON list of class ids
    Column("user", String, nullable=False),
    Column("declared", String, nullable=False),
    Column("drawn", String, nullable=False, server_default=""),  # when it was drawn at random; "" of a user's outline
    sqlite_autoincrement=True,
)

# what numbers are held against: profiles of severity, limits of control charts, events on them, and inspections
standards = Table(
    "standards",
    metadata,
    _id(),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    Column("data", String, nullable=False),  # JSON
    Column("user", String, nullable=False),
    Column("kept", String, nullable=False),
    sqlite_autoincrement=True,
)

runs = Table(
    "runs",
    metadata,
    _id(),
    _slide(),
    Column("card", String, nullable=False),
    Column("settings", String, nullable=False),
    Column("state", String, nullable=False),
    Column("started", String, nullable=False),
    Column("finished", String),
    Column("shown", Boolean, nullable=False),
    Column("found", Integer, nullable=False),
    Column("name", String, nullable=False, server_default=""),  # given by a user
    sqlite_autoincrement=True,
)

# the class of each label of a run's model: what the run could find
run_classes = Table(
    "run_classes",
    metadata,
    _id(),
    _slide(),
    Column("run_id", Integer, ForeignKey("runs.id"), nullable=False),
    Column("label", Integer, nullable=False),
    Column("class_id", Integer, ForeignKey("classes.id"), nullable=False),
    sqlite_autoincrement=True,
)

marks = Table(
    "marks",
    metadata,
    _id(),
    _slide(),
    Column("name", String, nullable=False),
    Column("y_px", Float, nullable=False),
    Column("x_px", Float, nullable=False),
    Column("stage_x_mm", Float),
    Column("stage_y_mm", Float),
    Column("is_check", Boolean, nullable=False, server_default="0"),  # kept out of the fit, which it tests
    sqlite_autoincrement=True,
)

registrations = Table(
    "registrations",
    metadata,
    _id(),
    _slide(),
    Column("name", String, nullable=False),
    Column("data", String, nullable=False),
    sqlite_autoincrement=True,
)

# Compositions as EDX measured them. Rows never change; which finding one belongs to is said by a link.
measurements = Table(
    "measurements",
    metadata,
    _id(),
    Column("import_id", Integer, nullable=False),  # the first measurement of its import
    Column("source", String, nullable=False),  # name of the file
    Column("file_hash", String, nullable=False),
    Column("row", Integer, nullable=False),  # line of the file, from 1; 0 where it is not known
    Column("label", String, nullable=False),
    Column("kind", String, nullable=False),  # see records.MEASUREMENT_KINDS
    Column("stage_x_mm", Float),
    Column("stage_y_mm", Float),
    Column("on_slide", Integer),  # no foreign key: a measurement outlives the slide it was placed on
    Column("y_px", Float),
    Column("x_px", Float),
    Column("kv", Float),
    Column("amounts", String, nullable=False),  # JSON, see core/composition.py
    Column("note", String, nullable=False),  # what is doubtful in it
    sqlite_autoincrement=True,
)

measurement_links = Table(
    "measurement_links",
    metadata,
    _id(),
    _slide(),
    Column("measurement_id", Integer, ForeignKey("measurements.id"), nullable=False),
    Column("finding_id", Integer, ForeignKey("boxes.id"), nullable=False),
    Column("matched_by", String, nullable=False),  # "label", "position" or "user"
    Index("link_of_measurement", "measurement_id", unique=True),
    Index("links_of_finding", "finding_id"),
    sqlite_autoincrement=True,
)

# the counts behind a measurement
spectra = Table(
    "spectra",
    metadata,
    _id(),
    Column("measurement_id", Integer, ForeignKey("measurements.id"), nullable=False),
    Column("data", String, nullable=False),  # see core/xray_spectrum.py
    Index("spectrum_of_measurement", "measurement_id", unique=True),
    sqlite_autoincrement=True,
)

# No foreign keys: the history outlives the rows it describes.
log = Table(
    "log",
    metadata,
    _id(),
    Column("time", String, nullable=False),
    Column("user", String, nullable=False),
    Column("title", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("undone", Boolean, nullable=False),
    Column("slide_id", Integer),
    Column("run_id", Integer),
    Column("box_count", Integer, nullable=False),
    Column("box_ids", String, nullable=False),
    Column("changes", LargeBinary),  # last: reading the columns before it never touches the payload's pages
    Index("log_stack", "kind", "undone"),
    sqlite_autoincrement=True,
)

# The log holds the present state; this table says who undid and redid a step, and when.
trail = Table(
    "trail",
    metadata,
    _id(),
    Column("log_id", Integer, nullable=False),
    Column("time", String, nullable=False),
    Column("user", String, nullable=False),
    Column("action", String, nullable=False),  # "undone" or "done again"
    sqlite_autoincrement=True,
)
