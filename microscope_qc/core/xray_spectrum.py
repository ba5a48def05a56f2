"""X-ray spectra as EDX measures them: counts by energy."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from microscope_qc.core.arrays import Floats
from microscope_qc.core.elements import ATOMIC_WEIGHT

MOST_CHANNELS = 65_536
MOST_KEYWORDS = 300
_LONGEST_STORED = 16 << 20


@dataclass(frozen=True, slots=True)
class XraySpectrum:
    """Counts in channels of equal width.

    Attributes
    ----------
    first_ev, step_ev
        Energy of the first channel, and from one channel to the next.
    counts
        Counts of each channel, or counts per second where the file holds these.
    live_s, real_s
        Time in which the detector could count, and time that passed; None where the file does not say it.
    kv
        Voltage of the beam.
    title
        What the file calls it.
    elements
        Elements that the file names peaks of.
    keywords
        Everything else that the file says of it, as it says it.
    """

    first_ev: float
    step_ev: float
    counts: tuple[float, ...]
    live_s: float | None = None
    real_s: float | None = None
    kv: float | None = None
    title: str = ""
    elements: tuple[str, ...] = ()
    keywords: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Check it."""
        numbers = [self.first_ev, self.step_ev, *self.counts]
        numbers += [value for value in (self.live_s, self.real_s, self.kv) if value is not None]
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError("a number is not finite")
        if not self.step_ev > 0:
            raise ValueError("the channels have no width")
        if not 1 <= len(self.counts) <= MOST_CHANNELS:
            raise ValueError(f"it has {len(self.counts)} channels")
        if len(self.keywords) > MOST_KEYWORDS:
            raise ValueError(f"it has {len(self.keywords)} keywords")

    @property
    def energies_ev(self) -> Floats:
        """Energy (n,) of each channel in eV."""
        return self.first_ev + self.step_ev * np.arange(len(self.counts))

    @property
    def last_ev(self) -> float:
        """Energy of the last channel."""
        return self.first_ev + self.step_ev * (len(self.counts) - 1)

    @property
    def words(self) -> str:
        """``spectrum of 2048 channels, 20 kV, 30 s``."""
        parts = [f"spectrum of {len(self.counts)} channels"]
        parts += [f"{self.kv:g} kV"] if self.kv else []
        parts += [f"{self.live_s:g} s"] if self.live_s else []
        return ", ".join(parts)


def to_text(spectrum: XraySpectrum) -> str:
    """Return a spectrum as it is stored: compressed JSON as text."""
    plain = json.dumps(asdict(spectrum), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(plain.encode(), 6)).decode("ascii")


def from_text(stored: str) -> XraySpectrum:
    """Return the stored spectrum.

    Raises
    ------
    ValueError
        When it cannot be read.
    """
    try:
        stream = zlib.decompressobj()
        plain = stream.decompress(base64.b64decode(stored, validate=True), _LONGEST_STORED)
        if stream.unconsumed_tail or not stream.eof:
            raise ValueError("no whole spectrum")
        known = json.loads(plain)
        return XraySpectrum(
            first_ev=float(known["first_ev"]),
            step_ev=float(known["step_ev"]),
            counts=tuple(float(count) for count in known["counts"]),
            live_s=_number(known["live_s"]),
            real_s=_number(known["real_s"]),
            kv=_number(known["kv"]),
            title=str(known["title"]),
            elements=tuple(symbol for symbol in known["elements"] if symbol in ATOMIC_WEIGHT),
            keywords=tuple((str(key), str(value)) for key, value in known["keywords"]),
        )
    except (zlib.error, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise ValueError("no spectrum") from error


def _number(value: object) -> float | None:
    if value is not None and not isinstance(value, int | float):
        raise ValueError("no number")
    return None if value is None else float(value)


def peaks_at(spectrum: XraySpectrum, energies_ev: Sequence[float]) -> list[float]:
    """Counts of the channels of some energies; 0 outside the spectrum."""
    places = [round((energy - spectrum.first_ev) / spectrum.step_ev) for energy in energies_ev]
    return [spectrum.counts[place] if 0 <= place < len(spectrum.counts) else 0.0 for place in places]
