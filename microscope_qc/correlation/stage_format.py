"""What a format of stage positions is. The command line lists the formats in its help: nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from microscope_qc.correlation.targets import TargetList

Writer = Callable[[Path, "TargetList", str], Path]
"""Writes a file: path, targets, and the unit of the stage ("mm" or "um"); returns the path."""


@dataclass(frozen=True, slots=True)
class StageFormat:
    """One format of stage positions.

    An instance is registered in the group ``microscope_qc.stage_formats`` under its name.

    Attributes
    ----------
    name, title
        What the command line calls it, and what users read.
    suffix
        Of the files it writes, with the dot.
    writer
        The function behind :meth:`write`.
    takes_unit
        Whether it writes in the unit that is asked for; the others have a fixed unit.
    marks_only
        Whether it holds the marks of the alignment, and so needs no position.
    """

    name: str
    title: str
    suffix: str
    writer: Writer
    takes_unit: bool = False
    marks_only: bool = False

    def write(self, path: Path | str, targets: TargetList, *, unit: str = "mm") -> Path:
        """Write the targets; ``unit`` ("mm" or "um") matters where the format takes one."""
        return self.writer(Path(path), targets, unit)


def unit_of_its_own(write: Callable[[Path, TargetList], Path]) -> Writer:
    """Return a writer for a format whose unit is fixed."""
    return lambda path, targets, unit: write(path, targets)
