"""The registry of formats for stage positions."""

from __future__ import annotations

from microscope_qc.core.plugins import Registry
from microscope_qc.correlation.stage_format import StageFormat


def _a_format(thing: object) -> StageFormat:
    if not isinstance(thing, StageFormat):
        raise TypeError(f"it is a {type(thing).__name__}, not a StageFormat")
    if not thing.name or not thing.title:
        raise ValueError("it has no name or title")
    if not thing.suffix.startswith("."):
        raise ValueError("its suffix does not begin with a dot")
    if not callable(thing.writer):
        raise TypeError("it does not write files")
    return thing


_TABLES = "microscope_qc.correlation.coordinates"
_LISTS = "microscope_qc.correlation.instruments"

STAGE_FORMATS: Registry[StageFormat] = Registry(
    "stage_formats",
    _a_format,
    {
        "csv": f"{_TABLES}:CSV",
        "xlsx": f"{_TABLES}:XLSX",
        "json": f"{_TABLES}:SIDECAR",
        "nav": f"{_LISTS}:SERIALEM",
        "epma": f"{_LISTS}:EPMA",
        "bigwarp": f"{_LISTS}:BIGWARP",
        "imagej": f"{_LISTS}:IMAGEJ",
        "useq": f"{_LISTS}:USEQ",
        "micromanager": f"{_LISTS}:MICROMANAGER",
    },
    what="stage format",
)
