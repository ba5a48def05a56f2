"""All formats in which stage positions leave, by name."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.core.errors import InputError

if TYPE_CHECKING:
    from microscope_qc.correlation.targets import TargetList


@dataclass(frozen=True, slots=True)
class StageFormat:
    """One format of stage positions."""

    name: str
    title: str
    suffix: str
    module: str
    function: str
    takes_unit: bool = False

    def write(self, path: Path | str, targets: TargetList, *, unit: str = "mm") -> Path:
        """Write the targets; ``unit`` ("mm" or "um") matters to tables only, the others have theirs."""
        writer = getattr(importlib.import_module(self.module), self.function)
        written: Path = writer(path, targets, unit=unit) if self.takes_unit else writer(path, targets)
        return written


_TABLES = "microscope_qc.correlation.coordinates"
_LISTS = "microscope_qc.correlation.instruments"
STAGE_FORMATS: dict[str, StageFormat] = {
    known.name: known
    for known in (
        StageFormat("csv", "CSV table", ".csv", _TABLES, "write_csv", True),
        StageFormat("xlsx", "Excel table", ".xlsx", _TABLES, "write_xlsx", True),
        StageFormat("json", "JSON with the alignment", ".json", _TABLES, "write_sidecar"),
        StageFormat("nav", "SerialEM navigator", ".nav", _LISTS, "write_nav"),
        StageFormat("epma", "Probe for EPMA positions", ".pos", _LISTS, "write_epma"),
        StageFormat("bigwarp", "BigWarp landmarks (marks)", ".csv", _LISTS, "write_bigwarp"),
        StageFormat("imagej", "ImageJ ROI set", ".zip", _LISTS, "write_imagej"),
        StageFormat("useq", "useq-schema sequence", ".yaml", _LISTS, "write_useq"),
        StageFormat("micromanager", "Micro-Manager position list", ".pos", _LISTS, "write_micromanager"),
    )
}


def stage_format(name: str) -> StageFormat:
    """Return the format of this name.

    Raises
    ------
    InputError
        When there is none.
    """
    if name not in STAGE_FORMATS:
        raise InputError(f"There is no stage format {name!r}.", hint=f"Choose one of: {', '.join(STAGE_FORMATS)}.")
    return STAGE_FORMATS[name]
