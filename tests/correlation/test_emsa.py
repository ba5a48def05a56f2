"""Spectra as EMSA/MAS text: everything the files say, and one sentence for those that cannot be read."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from spectrum_toys import counts_of, msa

from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.xray_lines import lines_of, lines_within
from microscope_qc.core.xray_spectrum import from_text, to_text
from microscope_qc.correlation.edx_files import holds_spectra, read_measured
from microscope_qc.correlation.emsa import read_emsa, read_xray, write_emsa

COUNTS = counts_of({"O": 100, "Ni": 400})


def raw(path: Path) -> tuple[dict[str, str], list[list[float]]]:
    """Keywords and numbers of a file, read in the plainest way."""
    said, numbers = {}, []
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            said[line.partition(":")[0].lstrip("#").split("-")[0].strip()] = line.partition(":")[2].strip()
        else:
            numbers.append([float(word) for word in line.split(",")])
    return said, numbers


@pytest.mark.parametrize("name", ["example1", "example2", "ISO_22029_2022_compliance"])
def test_real_files_agree_with_what_stands_in_them(real_data: Path, name: str) -> None:
    path = real_data / "stage" / "msa" / f"{name}.msa"
    said, numbers = raw(path)
    found = read_emsa(path)
    assert found.counts == tuple(line[-1] for line in numbers)
    assert found.first_ev == float(said["OFFSET"]) and found.step_ev == float(said["XPERCHAN"])
    assert found.kv == float(said["BEAMKV"]) and found.title == said["TITLE"]
    times = (None, None) if name != "example2" else (float(said["LIVETIME"]), float(said["REALTIME"]))
    assert (found.live_s, found.real_s) == times
    kept = {key.lstrip("#").split("-")[0].strip(): value for key, value in found.keywords}
    assert kept == {key: value for key, value in said.items() if key not in ("SPECTRUM", "ENDOFDATA")}


def test_a_real_spectrum_survives_being_stored_and_written(real_data: Path, tmp_path: Path) -> None:
    found = read_emsa(real_data / "stage" / "msa" / "example2.msa")
    assert from_text(to_text(found)) == found
    again = read_emsa(write_emsa(tmp_path / "again.msa", found))
    for name in ("counts", "first_ev", "step_ev", "live_s", "real_s", "kv", "title"):
        assert getattr(again, name) == getattr(found, name)
    assert {"##RESTMASS", "#ELEVANGLE-dg", "#EDSDET"} <= {key for key, _ in again.keywords}


def test_only_x_rays_are_measurements_and_positions_count_with_their_unit(real_data: Path) -> None:
    folder = real_data / "stage" / "msa"
    with pytest.raises(ExchangeError, match="electron energy loss"):
        read_xray(folder / "example1.msa")
    found = read_xray(folder / "example2.msa")
    assert (found.label, found.kv, found.stage_mm, found.notes) == ("NIO Windowless Spectra OK NiL", 120, None, ())


def test_what_a_program_writes_beside_the_standard(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(msa(COUNTS, title=""))
    assert holds_spectra(path)
    (found,) = read_measured([path])
    assert found.label == "a" and found.stage_mm == (12.5, -3.25) and found.kind == "point"
    assert found.energy is not None and found.energy.elements == ("O", "Ni")
    np.testing.assert_array_equal(found.energy.counts, COUNTS)
    path.write_text(msa(COUNTS).replace("XUNITS      : eV", "XUNITS      : keV").replace("10.0", "0.01"))
    assert read_emsa(path).step_ev == pytest.approx(10)
    few = msa([3, 12345.5]).replace("3.0,", "3,0").replace("12345.5,", "12345,5")
    path.write_text(few)
    assert read_emsa(path).counts == (3, 12345.5)
    path.write_text(msa(COUNTS).replace("#NPOINTS     : 700.", "#NPOINTS     : 699."))
    assert read_xray(path).notes == ("The file says 699 points and holds 700.",)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("#NPOINTS     : 700.", "#NPOINTS     : 701.", "ends after 700 of 701 points"),
        ("#NPOINTS     : 700.", "#NPOINTS     : many", "its NPOINTS is not a number"),
        ("#XPERCHAN    : 10.0\n", "", "no XPERCHAN"),
        ("#XPERCHAN    : 10.0", "#XPERCHAN    : 0", "have no width"),
        ("XUNITS      : eV", "XUNITS      : Energy", "eV or keV"),
        ("#SPECTRUM ", "#SPECIMEN ", "“3.0,” stands before the spectrum"),
        ("3.0,\n", "3.0 counts,\n", "is not a number"),
        ("3.0,\n", "nan,\n", "not finite"),
        ("3.0,\n", "1e999,\n", "not finite"),
        ("DATATYPE    : Y", "DATATYPE    : XY", "an energy and its counts"),
        ("3.0,\n", "1,2,3\n" * 30_000, "more than 65536 points"),
        ("##OXINSTELEMS", "##A : 1\n" * 400 + "##B", "more than 300 keywords"),
    ],
)
def test_malformed_files_are_refused_in_one_sentence(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = tmp_path / "a.msa"
    assert old in msa(COUNTS)
    path.write_text(msa(COUNTS).replace(old, new, 1))
    with pytest.raises(ExchangeError, match=words) as refused:
        read_measured([path])
    assert "\n" not in refused.value.message and refused.value.hint


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"PK\x03\x04", b"#FORMAT : EMSA\n", b"\x00" * 100])
def test_other_files_are_no_spectra(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.msa"
    path.write_bytes(content)
    with pytest.raises(ExchangeError, match=r"a\.msa cannot be read as a spectrum"):
        read_measured([path])
    with pytest.raises(ExchangeError):
        read_measured([tmp_path / "missing.msa"])


def test_a_cut_file_is_never_read_as_another_spectrum(tmp_path: Path) -> None:
    text, path = msa(COUNTS[:60]), tmp_path / "a.msa"
    whole = tuple(COUNTS[:60])
    for end in range(0, len(text), 23):
        path.write_text(text[:end])
        with contextlib.suppress(ExchangeError):
            assert read_emsa(path).counts[:59] == whole[:59]


def test_lines_of_elements() -> None:
    assert {line.name: round(line.energy_ev, -1) for line in lines_of("Ni")} == {
        "Ka": 7480, "Kb": 8270, "La": 850, "Lb": 870,
    }  # fmt: skip
    assert lines_of("Fe")[0].words == "Fe Kα" and lines_of("Xx") == () and lines_of("H") == ()
    assert [line.words for line in lines_within(["Ni", "O"], 100, 20_000, kv=5)] == ["O Kα", "Ni Lα", "Ni Lβ"]
    assert all(lines_of(symbol) for symbol in ("Be", "C", "O", "F", "Al", "Si", "Fe", "Co", "Zr", "Nd", "Dy", "Au"))
