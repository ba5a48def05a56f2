"""What EDX measured, in files of any kind that is read: tables of compositions, and spectra."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from microscope_qc.core.errors import ExchangeError, InputError
from microscope_qc.core.files import special_kind
from microscope_qc.correlation.edx_tables import Sheets, Spectrum, read_spectra
from microscope_qc.correlation.emsa import SUFFIXES, is_emsa, read_xray

H5OINA = ".h5oina"
SPECTRA = (*SUFFIXES, H5OINA)
"""Suffixes of files that hold spectra."""


def holds_spectra(path: Path) -> bool:
    """Whether a file is one of spectra, by its name or how it begins."""
    return path.suffix.lower() in SPECTRA or is_emsa(path)


def read_measured(
    paths: Sequence[Path], *, unit: str | None = None, rewrite: Callable[[Sheets], Sheets] | None = None
) -> list[Spectrum]:
    """Read one table, or any number of files with spectra; each spectrum names its file.

    Parameters
    ----------
    unit, rewrite
        For a table, see :func:`microscope_qc.correlation.edx_tables.read_spectra`.

    Raises
    ------
    ExchangeError
        When one of them cannot be read.
    InputError
        When several tables are given at once.
    """
    tables = [path for path in paths if not holds_spectra(path)]
    if tables and len(paths) > 1:
        raise InputError(
            f"{tables[0].name} is a table of compositions.", hint="Import one table at a time, apart from spectra."
        )
    found: list[Spectrum] = []
    for path in paths:
        if path.suffix.lower() == H5OINA:
            from microscope_qc.correlation.h5oina import read_h5oina  # h5py is loaded when it is needed

            read = read_h5oina(path)
        elif path in tables:
            read = read_spectra(path, unit=unit, rewrite=rewrite)
        else:
            read = [read_xray(path)]
        file_hash = hash_of(path)
        found += [replace(spectrum, source=path.name, file_hash=file_hash) for spectrum in read]
    return found


def hash_of(path: Path) -> str:
    """SHA-256 of a file.

    Raises
    ------
    ExchangeError
        When it cannot be read.
    """
    try:
        if special_kind(path):
            raise OSError("no file")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ExchangeError(
            f"{path.name} cannot be read ({error.strerror or error}).", hint="Choose it again."
        ) from error
