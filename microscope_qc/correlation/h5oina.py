"""EDS measurements of Oxford Instruments' HDF5 files (``.h5oina``): compositions, spectra and where they were measured.

Source: "Oxford Instruments NanoAnalysis HDF5 File Specification", versions 1 to 8
(github.com/oinanoanalysis/h5oina, H5OINAFile.md): compositions in weight %, voltages in kV, stage positions in mm,
``Channel Width`` and ``Start Channel`` in eV. A map or a line is one measurement, the mean over its pixels.

A file may refer to other files; these are never opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from microscope_qc.core.arrays import Floats
from microscope_qc.core.cells import one_line
from microscope_qc.core.elements import ATOMIC_WEIGHT, atomic_percent
from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.files import special_kind
from microscope_qc.core.wording import things
from microscope_qc.core.xray_spectrum import MOST_CHANNELS, XraySpectrum
from microscope_qc.correlation.edx_tables import Spectrum

MOST_SLICES = 20_000
_READ_AT_ONCE = 4_000_000
"""Numbers; a map of spectra may be larger than the memory."""
_BESIDE = 0.02
"""Middle of an acquisition this far from that of its picture, in parts of the picture, lies where the stage says."""

_ORDER = list(ATOMIC_WEIGHT)
_TEXTS = (
    "Analysis Label", "Site Label", "Specimen Label", "Project Label", "Acquisition Date", "Processor Type",
    "Window Type", "Detector Serial Number",
)  # fmt: skip
_NUMBERS = (
    "Magnification", "Working Distance", "Process Time", "Detector Elevation", "Energy Range", "Strobe FWHM",
)  # fmt: skip


class _Unreadable(Exception):
    """What is wrong with a file."""


def read_h5oina(path: Path | str) -> list[Spectrum]:
    """Read every EDS acquisition of a file.

    Raises
    ------
    ExchangeError
        When it cannot be read, or holds none.
    """
    path = Path(path)
    if kind := special_kind(path):
        raise ExchangeError(f"{path.name} is {kind}, not a file.", hint="Choose a file of AZtec.")
    if not path.is_file():
        raise ExchangeError(f"There is no file {path.name}.", hint="Choose it again.")
    try:
        with h5py.File(path, "r") as file:
            found = list(_acquisitions(file))
    except _Unreadable as error:
        raise ExchangeError(f"{path.name} cannot be read: {error}.", hint="Export it again from AZtec.") from error
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as error:
        raise ExchangeError(
            f"{path.name} is damaged or no HDF5 file of AZtec.", hint="Export it again from AZtec."
        ) from error
    if not found:
        raise ExchangeError(
            f"{path.name} holds no EDS measurement.", hint="Export a map, line or point that was measured with EDS."
        )
    return found


def _acquisitions(file: Any) -> Iterator[Spectrum]:
    names = [name for name in file if name.isdecimal()]
    if _dataset(file, "Format Version") is None or not names:
        raise _Unreadable("it says no version of the format")
    if len(names) > MOST_SLICES:
        raise _Unreadable(f"it has more than {MOST_SLICES} acquisitions")
    for number in sorted(names, key=int):
        parts = _group(file, number)
        for technique in parts or ():
            if technique.startswith("EDS") and (technique[3:].isdecimal() or not technique[3:]):
                group = _group(parts, technique)
                data, header = _group(group, "Data"), _group(group, "Header")
                if data is None or header is None:
                    raise _Unreadable(f"{technique} {number} has no data or no header")
                ending = "".join([f" {number}"] * (len(names) > 1) + [f" ({technique})"] * (technique != "EDS"))
                yield _spectrum(data, header, ending)


def _spectrum(data: Any, header: Any, ending: str) -> Spectrum:
    label = _text(header, "Analysis Label") or _text(header, "Site Label") or "EDS"
    wt, sigma, pixels = _composition(data)
    energy, rows = _energies(data, header)
    pixels = max(pixels, rows, 1)
    notes = []
    if pixels > 1:
        notes.append(f"Mean of {things(pixels, 'pixel')}.")
    notes += _beside(header)
    if not wt and energy is None:
        notes.append("It holds no amounts.")
    kind = "point" if pixels == 1 else "line" if _number(header, "Y Cells") == 1 else "area"
    place = _group(header, "Stage Position")
    x, y = (None, None) if place is None else (_number(place, "X"), _number(place, "Y"))
    known = Spectrum(
        f"{label}{ending}"[:200],
        atomic_percent(wt) if wt else {},
        wt,
        None if x is None or y is None else (x, y),
        bool(wt),
        sigma={"wt": sigma} if sigma else {},
        kv=_number(header, "Beam Voltage"),
        energy=energy,
        measured_kind=kind,
    )
    notes += [known.unusual_sum] * bool(known.unusual_sum)
    return known.with_notes(notes)


def _composition(data: Any) -> tuple[dict[str, float], dict[str, float], int]:
    """Mean weight % of each element and its error, and over how many pixels; those not measured are left out."""
    amounts, errors = _group(data, "Composition"), _group(data, "Composition Sigma")
    wt: dict[str, float] = {}
    sigma: dict[str, float] = {}
    pixels = 0
    strange = next((name for name in amounts or () if name not in ATOMIC_WEIGHT), None)
    if strange is not None:
        raise _Unreadable(f"“{one_line(strange)[:20]}” is not an element")
    for symbol in sorted(amounts or (), key=_ORDER.index):
        values = _column(amounts, symbol)
        known = np.isfinite(values)
        if not known.any():
            continue
        wt[symbol] = max(float(values[known].mean()), 0.0)
        pixels = max(pixels, int(known.sum()))
        error = _column_of(errors, symbol)
        if error.shape == values.shape and np.isfinite(error[known]).all():
            sigma[symbol] = float(np.sqrt((error[known] ** 2).sum())) / int(known.sum())
    return ({}, {}, pixels) if not sum(wt.values()) else (wt, sigma, pixels)


def _energies(data: Any, header: Any) -> tuple[XraySpectrum | None, int]:
    """The sum of the spectra of all pixels, and of how many."""
    stored = _dataset(data, "Spectrum")
    if stored is None:
        return None, 0
    first, step = _number(header, "Start Channel"), _number(header, "Channel Width")
    if first is None or step is None or step <= 0:
        raise _Unreadable("it does not say the energies of its spectra")
    if stored.ndim != 2 or not 1 <= stored.shape[1] <= MOST_CHANNELS or not stored.shape[0]:
        raise _Unreadable("its spectra are no table of pixels and channels")
    total = np.zeros(stored.shape[1])
    at_once = max(1, _READ_AT_ONCE // stored.shape[1])
    for start in range(0, stored.shape[0], at_once):
        total += np.nan_to_num(np.asarray(stored[start : start + at_once], float)).sum(axis=0)
    live, real = (_total(data, name) for name in ("Live Time", "Real Time"))
    said = [(name, _text(header, name)) for name in _TEXTS]
    said += [(name, repr(value)) for name in _NUMBERS if (value := _number(header, name)) is not None]
    elements = _group(data, "Composition") or _group(data, "Peak Area") or _group(data, "Window Integral") or ()
    symbols = {name.split()[0] for name in elements if name.split()}
    return XraySpectrum(
        first,
        step,
        tuple(total.tolist()),
        live,
        real,
        _number(header, "Beam Voltage"),
        _text(header, "Analysis Label"),
        tuple(sorted((symbol for symbol in symbols if symbol in ATOMIC_WEIGHT), key=_ORDER.index)),
        tuple((f"##{name}", text) for name, text in said if text),
    ), int(stored.shape[0])


def _beside(header: Any) -> list[str]:
    """Say that something was measured beside the middle of its picture, which is where the stage is."""
    offset, size = _column_of(header, "Relative Offset"), _column_of(header, "Relative Size")
    box_um = _column_of(header, "Bounding Box Size")
    if not len(offset) == len(size) == len(box_um) == 2 or not (size > 0).all():
        return []
    away = offset + size / 2 - 0.5
    if float(np.abs(away).max()) <= _BESIDE:
        return []
    x_um, y_um = np.abs(away * box_um / size)
    return [
        f"It lies {np.hypot(x_um, y_um):.3g} µm beside the middle of its picture; the stage position is that of the "
        "picture."
    ]


def _child(group: Any, name: str) -> Any:
    """Something in the file itself; None where there is nothing of this name.

    Raises
    ------
    _Unreadable
        When it lies in another file.
    """
    if group is None or name not in group:
        return None
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise _Unreadable(f"“{one_line(name)[:30]}” is a link")
    return group[name]


def _group(group: Any, name: str) -> Any:
    found = _child(group, name)
    return found if isinstance(found, h5py.Group) else None


def _dataset(group: Any, name: str) -> Any:
    found = _child(group, name)
    if not isinstance(found, h5py.Dataset):
        return None
    if found.is_virtual or found.external:
        raise _Unreadable(f"“{one_line(name)[:30]}” lies in another file")
    return found


def _column(group: Any, name: str) -> Floats:
    """Numbers of a dataset of one column."""
    stored = _dataset(group, name)
    if stored is None or stored.dtype.kind not in "iuf":
        raise _Unreadable(f"“{one_line(name)[:30]}” is no column of numbers")
    if stored.size > 100 * _READ_AT_ONCE:
        raise _Unreadable(f"“{one_line(name)[:30]}” is too large")
    values: Floats = np.asarray(stored[()], float).ravel()
    return values


def _column_of(group: Any, name: str) -> Floats:
    return _column(group, name) if _dataset(group, name) is not None else np.zeros(0)


def _number(group: Any, name: str) -> float | None:
    stored = _dataset(group, name)
    if stored is None or stored.dtype.kind not in "iufb" or stored.size != 1:
        return None
    value = float(np.asarray(stored[()]).ravel()[0])
    return value if np.isfinite(value) else None


def _total(group: Any, name: str) -> float | None:
    values = _column_of(group, name)
    return float(np.nansum(values)) if len(values) else None


def _text(group: Any, name: str) -> str:
    stored = _dataset(group, name)
    if stored is None or stored.size != 1 or h5py.check_string_dtype(stored.dtype) is None:
        return ""
    value = np.asarray(stored[()]).ravel()[0]
    return one_line(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))[:200]
