"""Small spectra as instruments write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

PEAKS = {"O": 524.9, "Ni": 848.7, "Mn": 5900.3}


def counts_of(elements: Mapping[str, float], *, channels: int = 700, step_ev: float = 10.0) -> np.ndarray:
    """Counts (channels,) with a peak of a height for each element, on a background."""
    energies = step_ev * np.arange(channels) - 20
    counts = np.full(channels, 3.0)
    for element, height in elements.items():
        counts += height * np.exp(-(((energies - PEAKS[element]) / 40) ** 2))
    return counts.round()


def msa(counts: Sequence[float], *, title: str = "D3", extra: str = "") -> str:
    """A spectrum as AZtec writes it."""
    lines = "\n".join(f"{count:.1f}," for count in counts)
    return (
        "#FORMAT      : EMSA/MAS Spectral Data File\n#VERSION     : 1.0\n"
        f"#TITLE       : {title}\n#DATE        : 09-MAR-2023\n#TIME        : 14:02\n#OWNER       : \n"
        f"#NPOINTS     : {len(counts)}.\n#NCOLUMNS    : 1.\n#XUNITS      : eV\n#YUNITS      : counts\n"
        "#DATATYPE    : Y\n#XPERCHAN    : 10.0\n#OFFSET      : -20.0\n#CHOFFSET    : 2.0\n#SIGNALTYPE  : EDS\n"
        "#BEAMKV   -kV: 15.0\n#LIVETIME  -s: 30.5\n#REALTIME  -s: 33.25\n"
        "#XPOSITION mm: 12.5\n#YPOSITION mm: -3.25\n##OXINSTELEMS: 8,28\n"
        f"##OXINSTLABEL: 8, 0.525, O\n##OXINSTLABEL: 28, 0.849, Ni\n{extra}"
        f"#SPECTRUM    : Spectral Data Starts Here\n{lines}\n#ENDOFDATA   : \n"
    )


def write_h5oina(
    path: Path,
    *,
    composition: Mapping[str, Sequence[float]] | None = None,
    spectra: np.ndarray | None = None,
    label: str = "D3",
    header: Mapping[str, Any] | None = None,
) -> Path:
    """A file as the specification of Oxford Instruments' HDF5 files says, version 7.

    ``composition`` are weight % of pixels, ``spectra`` their counts (pixels, channels).
    """
    composition = {"O": [40.0], "Ni": [60.0]} if composition is None else composition
    pixels = len(spectra) if spectra is not None else max(map(len, composition.values()), default=1)
    said: dict[str, Any] = {
        "Analysis Label": label, "Project Label": "P", "Beam Voltage": 15.0, "X Cells": pixels, "Y Cells": 1,
        "Channel Width": 10.0, "Start Channel": -20.0, "Number Channels": 700,
    }  # fmt: skip
    said |= header or {}
    with h5py.File(path, "w") as file:
        file["Format Version"] = ["7.0"]
        file["Index"] = ["1"]
        group = file.create_group("1/EDS/Header")
        for name, value in said.items():
            if value is not None:
                group[name] = [value] if np.isscalar(value) else [list(value)]
        group["Stage Position/X"], group["Stage Position/Y"] = [12.5], [-3.25]
        data = file.create_group("1/EDS/Data")
        data["Live Time"] = np.full((pixels, 1), 0.5, np.float32)
        for number, (element, percent) in enumerate(composition.items(), start=8):
            made = data.create_dataset(f"Composition/{element}", data=np.array(percent, np.float32)[:, None])
            made.attrs["Atomic Number"] = number
            data[f"Composition Sigma/{element}"] = np.full((len(percent), 1), 0.6, np.float32)
        if spectra is not None:
            data.create_dataset("Spectrum", data=spectra.astype(np.int32), compression="lzf")
    return path
