"""Spectra of a project as files."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.core.cells import printable
from microscope_qc.core.errors import InputError
from microscope_qc.core.files import write_error
from microscope_qc.core.jobs import Job, Progress

if TYPE_CHECKING:
    from microscope_qc.project import EdxMeasurement, Project

_LONGEST_NAME = 60


def file_name(measurement: EdxMeasurement) -> str:
    """Name of the file of a measurement's spectrum: its number and its label."""
    label = "".join(c if c.isalnum() or c in "-_" else "_" for c in printable(measurement.label))
    return f"{measurement.id}_{label[:_LONGEST_NAME].strip('_')}.msa"


def write_spectra(project: Project, folder: Path | str, ids: Collection[int] | None = None) -> Job[list[Path]]:
    """Write the spectra of measurements as EMSA/MAS text, a file for each; None writes all.

    Raises
    ------
    InputError
        When there is no such measurement, or one of them has no spectrum.
    WriteError
        When they cannot be written.
    """
    from microscope_qc.correlation.emsa import write_emsa

    measured = project.measurements
    wanted = sorted(measured.spectra) if ids is None else list(dict.fromkeys(ids))
    lacking = next((number for number in wanted if measured.by_id(number).id not in measured.spectra), None)
    if lacking is not None:
        raise InputError(f"Measurement {lacking} has no spectrum.", hint="Choose one that has: edx list names them.")
    if not wanted:
        raise InputError("The project has no spectra.", hint="Import them first (.msa or .h5oina).")
    folder, written = Path(folder), []
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    for done, number in enumerate(wanted):
        yield Progress(done, len(wanted), "spectra")
        spectrum = measured.spectrum(number)
        if spectrum is not None:  # else “check” reports it
            written.append(write_emsa(folder / file_name(measured.by_id(number)), spectrum))
    return written
