"""Spectra as EMSA/MAS text (``.msa``, ISO 22029): keywords behind ``#``, then the counts.

Source: R. F. Egerton, C. E. Fiori, J. A. Hunt, M. S. Isaacson, E. J. Kirkland and N. J. Zaluzec, "EMSA/MAS Standard
File Format for Spectral Data Exchange", EMSA Bulletin 21 (1991) 35, and ISO 22029:2022. The units of BEAMKV (kV),
LIVETIME and REALTIME (s) are part of the standard; positions have none there and count where the file says mm or um.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from microscope_qc.core.cells import one_line
from microscope_qc.core.elements import ATOMIC_WEIGHT, element_in
from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.files import atomic_write, special_kind
from microscope_qc.core.xray_spectrum import MOST_CHANNELS, MOST_KEYWORDS, XraySpectrum
from microscope_qc.correlation.edx_tables import Spectrum

SUFFIXES = (".msa", ".emsa", ".ems")
LARGEST_FILE = 16 << 20
_KEYWORD = re.compile(r"(##?)\s*([^:]{1,60}?)\s*:(.*)")
_UNIT = re.compile(r"(?<![A-Za-z])(k?)eV(?![A-Za-z])", re.IGNORECASE)
_SPACES = re.compile(r"[,;\s]+")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+(,\d+)?")
_OURS = {
    "FORMAT", "VERSION", "TITLE", "NPOINTS", "NCOLUMNS", "XUNITS", "DATATYPE", "XPERCHAN", "OFFSET", "BEAMKV",
    "LIVETIME", "REALTIME", "SIGNALTYPE", "SPECTRUM", "ENDOFDATA", "CHOFFSET",
}  # fmt: skip
"""Keywords that are written from the spectrum itself."""
_NOT_XRAYS = {
    "ELS": "electron energy loss", "EELS": "electron energy loss", "AES": "Auger electrons", "GAM": "gamma rays",
    "CLS": "cathodoluminescence", "PES": "photoelectrons", "XAF": "X-ray absorption",
}  # fmt: skip


def is_emsa(path: Path) -> bool:
    """Whether a file begins as such a text does, whatever it is called."""
    try:
        if special_kind(path):
            return False
        with path.open("rb") as file:
            start = file.read(200).removeprefix(b"\xef\xbb\xbf").lstrip().upper()
    except OSError:
        return False
    return re.match(rb"#\s*FORMAT\s*:\s*EMSA", start) is not None


def read_emsa(path: Path | str) -> XraySpectrum:
    """Read a spectrum of any signal.

    Raises
    ------
    ExchangeError
        When it cannot be read.
    """
    path = Path(path)
    text = _text(path)
    said: dict[str, str] = {}
    keywords: list[tuple[str, str]] = []
    lines = iter(text.splitlines())
    for line in lines:
        match = _KEYWORD.match(line.strip())
        if match is None:
            if line.strip():
                raise _broken(path, f"“{one_line(line)[:30]}” stands before the spectrum")
            continue
        mark, key, value = match.group(1), match.group(2), match.group(3).strip()
        name = key.upper().split("-")[0].split()[0].strip() if key.strip() else ""
        if mark == "#" and name == "SPECTRUM":
            break
        if mark == "#":
            said[name] = value  # the last one counts, as it does in files with two labels of an axis
        keywords.append((f"{mark}{one_line(key)}", one_line(value)))
    else:
        raise _broken(path, "it has no line #SPECTRUM")
    if len(keywords) > MOST_KEYWORDS:
        raise _broken(path, f"it has more than {MOST_KEYWORDS} keywords")
    try:
        return _spectrum(said, keywords, _values(list(_data(lines)), said))
    except ValueError as error:
        raise _broken(path, str(error)) from error


def read_xray(path: Path | str) -> Spectrum:
    """Read an X-ray spectrum as something that EDX measured, without a composition.

    Raises
    ------
    ExchangeError
        When it cannot be read, or holds another signal.
    """
    path = Path(path)
    spectrum = read_emsa(path)
    known = {key.lstrip("#").upper(): value for key, value in spectrum.keywords}
    signal = known.get("SIGNALTYPE", "EDS").upper()
    if signal in _NOT_XRAYS:
        raise ExchangeError(
            f"{path.name} is a spectrum of {_NOT_XRAYS[signal]} ({signal}), not of X-rays.",
            hint="Choose the spectrum of EDX.",
        )
    points = known.get("NPOINTS", "")
    notes = []
    if _float(points) != len(spectrum.counts):
        notes.append(f"The file says {points.rstrip('.') or 'no number of'} points and holds {len(spectrum.counts)}.")
    return Spectrum(
        (spectrum.title or path.stem)[:200],
        {},
        stage_mm=_stage_mm(known),
        notes=tuple(notes),
        kv=spectrum.kv,
        energy=spectrum,
    )


def write_emsa(path: Path | str, spectrum: XraySpectrum) -> Path:
    """Write a spectrum, with everything its file said of it.

    Raises
    ------
    WriteError
        When the file cannot be written.
    """
    ours = [
        ("FORMAT", "EMSA/MAS Spectral Data File"),
        ("VERSION", "1.0"),
        ("TITLE", spectrum.title[:64]),
        ("NPOINTS", str(len(spectrum.counts))),
        ("NCOLUMNS", "1"),
        ("XUNITS", "eV"),
        ("DATATYPE", "Y"),
        ("XPERCHAN", repr(spectrum.step_ev)),
        ("OFFSET", repr(spectrum.first_ev)),
        ("CHOFFSET", repr(-spectrum.first_ev / spectrum.step_ev)),
        ("SIGNALTYPE", "EDS"),
        *(
            (name, repr(value))
            for name, value in (("BEAMKV", spectrum.kv), ("LIVETIME", spectrum.live_s), ("REALTIME", spectrum.real_s))
            if value is not None
        ),
    ]
    text = [f"#{name:<12}: {value}" for name, value in ours]
    text += [
        f"{key:<13}: {value}"
        for key, value in spectrum.keywords
        if key.startswith("##") or key.lstrip("#").upper().split("-")[0].split()[0] not in _OURS
    ]
    text += ["#SPECTRUM    : Spectral Data Starts Here", *(_exact(count) for count in spectrum.counts)]
    atomic_write(path, "\n".join([*text, "#ENDOFDATA   : "]) + "\n")
    return Path(path)


def _exact(count: float) -> str:
    return f"{count:.1f}" if count == int(count) else repr(count)


def _text(path: Path) -> str:
    if kind := special_kind(path):
        raise ExchangeError(f"{path.name} is {kind}, not a file.", hint="Choose a spectrum.")
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ExchangeError(f"{path.name} is too large for a spectrum.", hint="Choose another file.")
        raw = path.read_bytes()
    except OSError as error:
        raise ExchangeError(
            f"{path.name} cannot be read ({error.strerror or error}).", hint="Choose it again."
        ) from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _broken(path: Path, why: str) -> ExchangeError:
    return ExchangeError(f"{path.name} cannot be read as a spectrum: {why}.", hint="Export it again as EMSA/MAS text.")


def _data(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        clean = line.strip()
        if clean.startswith("#"):
            return
        if clean:
            yield clean


def _values(lines: list[str], said: Mapping[str, str]) -> list[list[float]]:
    """Numbers of the lines; a comma is a decimal sign where each line holds one number otherwise."""
    points, columns = _float(said.get("NPOINTS", "")), _float(said.get("NCOLUMNS", "1"))
    single = said.get("DATATYPE", "Y").upper() == "Y" and columns == 1 and len(lines) == points
    if single and all(map(_DECIMAL_COMMA.fullmatch, lines)):
        lines = [line.replace(",", ".") for line in lines]
    try:
        return [[float(word) for word in _SPACES.split(line) if word] for line in lines]
    except ValueError as error:
        strange = next((line for line in lines if not _is_numbers(line)), "")
        raise ValueError(f"“{one_line(strange)[:30]}” is not a number") from error


def _is_numbers(line: str) -> bool:
    return all(_float(word) == _float(word) for word in _SPACES.split(line) if word)


def _spectrum(said: Mapping[str, str], keywords: list[tuple[str, str]], values: list[list[float]]) -> XraySpectrum:
    unit = _UNIT.search(said.get("XUNITS", "")) or _UNIT.search(said.get("XLABEL", ""))
    if unit is None:
        raise ValueError("it does not say whether its energies are eV or keV")
    factor = 1000.0 if unit.group(1) else 1.0
    step, first = _needed(said, "XPERCHAN") * factor, _needed(said, "OFFSET") * factor
    if said.get("DATATYPE", "Y").upper() == "XY":
        if any(len(row) % 2 for row in values):
            raise ValueError("a line does not hold an energy and its counts")
        counts = [number for row in values for number in row[1::2]]
        first = values[0][0] * factor if values else first
    else:
        counts = [number for row in values for number in row]
    points = _needed(said, "NPOINTS")
    if len(counts) < points:
        raise ValueError(f"it ends after {len(counts)} of {points:g} points")
    if len(counts) > MOST_CHANNELS:
        raise ValueError(f"it has more than {MOST_CHANNELS} points")
    named = [value.split(",") for key, value in keywords if key.upper().startswith("##OXINSTLABEL")]
    elements = [symbol for parts in named if (symbol := element_in(parts[-1].strip())) in ATOMIC_WEIGHT]
    return XraySpectrum(
        first_ev=first,
        step_ev=step,
        counts=tuple(counts),
        live_s=_positive(said.get("LIVETIME", "")),
        real_s=_positive(said.get("REALTIME", "")),
        kv=_positive(said.get("BEAMKV", "")),
        title=one_line(said.get("TITLE", "")),
        elements=tuple(dict.fromkeys(symbol for symbol in elements if symbol)),
        keywords=tuple(keywords),
    )


def _needed(said: Mapping[str, str], name: str) -> float:
    value = _float(said.get(name, ""))
    if not math.isfinite(value):
        raise ValueError(f"its {name} is not a number" if name in said else f"it has no {name}")
    return value


def _positive(text: str) -> float | None:
    value = _float(text)
    return value if math.isfinite(value) and value > 0 else None


def _float(text: str) -> float:
    try:
        return float(text.strip().replace(" E", "E"))
    except ValueError:
        return math.nan


def _stage_mm(known: Mapping[str, str]) -> tuple[float, float] | None:
    """Position of the stage where the file says its unit, such as ``#XPOSITION mm``."""
    found = []
    for axis in ("X", "Y"):
        key = next((key for key in known if re.fullmatch(rf"{axis}POSITION[\s-]+(MM|UM|µM|MICRONS?)", key)), "")
        factor = 1.0 if key.endswith("MM") else 0.001
        found.append(_float(known.get(key, "")) * factor)
    return (found[0], found[1]) if all(map(math.isfinite, found)) else None
