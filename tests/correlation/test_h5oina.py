"""EDS measurements in HDF5 files of AZtec, as their specification lays them out; other files are never opened."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from spectrum_toys import counts_of, write_h5oina

from microscope_qc.core.composition import of_unit
from microscope_qc.core.errors import ExchangeError
from microscope_qc.correlation.h5oina import read_h5oina

COUNTS = counts_of({"O": 100, "Ni": 400})


def test_a_point_with_its_spectrum(tmp_path: Path) -> None:
    (found,) = read_h5oina(write_h5oina(tmp_path / "a.h5oina", spectra=COUNTS[None]))
    assert (found.label, found.kind, found.kv, found.stage_mm) == ("D3", "point", 15, (12.5, -3.25))
    assert found.wt_percent == pytest.approx({"O": 40, "Ni": 60}) and found.computed and found.notes == ()
    at = of_unit(found.amounts, "at")
    assert at["O"].percent == pytest.approx(100 * (40 / 15.999) / (40 / 15.999 + 60 / 58.693))
    assert of_unit(found.amounts, "wt")["Ni"].sigma == pytest.approx(0.6)
    assert found.energy is not None and found.energy.elements == ("O", "Ni") and found.energy.live_s == 0.5
    assert (found.energy.first_ev, found.energy.step_ev) == (-20, 10)
    np.testing.assert_array_equal(found.energy.counts, COUNTS)


def test_a_map_is_the_mean_of_what_was_measured(tmp_path: Path) -> None:
    composition = {"O": [40, 20, np.nan], "Ni": [60, 80, np.nan]}
    spectra = np.stack([COUNTS, 2 * COUNTS, 0 * COUNTS])
    header = {"X Cells": 3, "Y Cells": 3, "Relative Offset": [0.7, 0.4], "Relative Size": [0.2, 0.2],
              "Bounding Box Size": [20.0, 20.0]}  # fmt: skip
    path = write_h5oina(tmp_path / "a.h5oina", composition=composition, spectra=spectra, header=header)
    (found,) = read_h5oina(path)
    assert found.kind == "area" and found.wt_percent == pytest.approx({"O": 30, "Ni": 70})
    assert of_unit(found.amounts, "wt")["O"].sigma == pytest.approx(0.6 * np.sqrt(3) / 3, rel=0.3)
    assert found.notes[0] == "Mean of 3 pixels." and "30 µm beside the middle of its picture" in found.notes[1]
    assert found.energy is not None
    np.testing.assert_array_equal(found.energy.counts, 3 * COUNTS)
    (line,) = read_h5oina(write_h5oina(tmp_path / "b.h5oina", composition={"O": [40.0, 40.0], "Ni": [60.0, 60.0]}))
    assert line.kind == "line" and line.energy is None


def test_several_acquisitions_and_detectors(tmp_path: Path) -> None:
    path = write_h5oina(tmp_path / "a.h5oina", label="Feature")
    with h5py.File(path, "r+") as file:
        file.copy(file["1"], "10")
        file["10"].move("EDS", "EDS1")
        file["10"].copy("EDS1", "EDS2")
    assert [one.label for one in read_h5oina(path)] == ["Feature 1", "Feature 10 (EDS1)", "Feature 10 (EDS2)"]


def no_version(file: h5py.File) -> None:
    del file["Format Version"]


def strange_element(file: h5py.File) -> None:
    file["1/EDS/Data/Composition"].move("O", "Xx")


def text_for_numbers(file: h5py.File) -> None:
    del file["1/EDS/Data/Composition/O"]
    file["1/EDS/Data/Composition/O"] = ["much"]


def no_energies(file: h5py.File) -> None:
    del file["1/EDS/Header/Channel Width"]


def flat_spectrum(file: h5py.File) -> None:
    del file["1/EDS/Data/Spectrum"]
    file["1/EDS/Data/Spectrum"] = [1, 2, 3]


def link_elsewhere(file: h5py.File) -> None:
    del file["1/EDS/Data/Spectrum"]
    file["1/EDS/Data/Spectrum"] = h5py.ExternalLink("/etc/passwd", "/a")


def bytes_elsewhere(file: h5py.File) -> None:
    del file["1/EDS/Data/Composition/O"]
    file["1/EDS/Data"].create_dataset("Composition/O", (4,), "u1", external=[("/etc/passwd", 0, 4)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((1, 700), "i4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (1, 700))
    del file["1/EDS/Data/Spectrum"]
    file["1/EDS/Data"].create_virtual_dataset("Spectrum", layout)


def no_eds(file: h5py.File) -> None:
    file["1"].move("EDS", "EBSD")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (no_version, "no version"), (strange_element, "“Xx” is not an element"), (text_for_numbers, "no column"),
        (no_energies, "energies of its spectra"), (flat_spectrum, "no table of pixels"), (link_elsewhere, "is a link"),
        (bytes_elsewhere, "lies in another file"), (virtual, "lies in another file"), (no_eds, "no EDS measurement"),
    ],
)  # fmt: skip
def test_other_contents_are_refused_in_one_sentence(tmp_path: Path, spoil, words: str) -> None:
    path = write_h5oina(tmp_path / "a.h5oina", spectra=COUNTS[None])
    with h5py.File(path, "r+") as file:
        spoil(file)
    with pytest.raises(ExchangeError, match=words):
        read_h5oina(path)


def test_what_is_no_hdf5_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5oina"
    for content in (b"", b"\x89HDF\r\n\x1a\n", b"#FORMAT : EMSA"):
        path.write_bytes(content)
        with pytest.raises(ExchangeError, match="damaged or no HDF5 file"):
            read_h5oina(path)
    with pytest.raises(ExchangeError, match="no file"):
        read_h5oina(tmp_path / "b.h5oina")


READ_ALL = """
import sys
from pathlib import Path
from microscope_qc.core.errors import ExchangeError
from microscope_qc.correlation.h5oina import read_h5oina
for path in sorted(Path(sys.argv[1]).glob("*.h5oina")):
    try:
        read_h5oina(path)
    except ExchangeError:
        pass
"""


def test_damaged_files_never_end_the_program(tmp_path: Path) -> None:
    whole = write_h5oina(tmp_path / "whole.h5oina", spectra=COUNTS[None]).read_bytes()
    picked = random.Random(1)
    for number in range(60):
        damaged = bytearray(whole)
        for _ in range(picked.choice([1, 4, 40])):
            damaged[picked.randrange(len(damaged))] = picked.randrange(256)
        (tmp_path / f"{number}.h5oina").write_bytes(damaged[: picked.choice([len(whole), len(whole) // 2])])
    command = [sys.executable, "-c", READ_ALL, str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
