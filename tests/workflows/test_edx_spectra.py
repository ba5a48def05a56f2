"""Spectra come in with their measurements, as one step; they are seen, exported and never matched by guess."""

from __future__ import annotations

import json
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from spectrum_toys import counts_of, msa, write_h5oina

from microscope_qc import api
from microscope_qc.cli import main
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import run_job
from microscope_qc.correlation.emsa import read_emsa
from microscope_qc.project import Project
from microscope_qc.workflows.exports import export_named
from microscope_qc.workflows.stage.edx import import_edx

COUNTS = {name: counts_of(peaks) for name, peaks in {"D3": {"O": 90, "Ni": 300}, "A1-P1": {"Mn": 80}}.items()}
TABLE = "Spectrum,O at%,Ni at%\nD3,60,40\nSpectrum 9,50,50\n"


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    made = []
    for name, counts in COUNTS.items():
        path = tmp_path / f"{name}.msa"
        path.write_text(msa(counts, title=name))
        made.append(path)
    return made


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "edx.csv"
    path.write_text(TABLE)
    return path


def held(project: Project) -> dict[str, bool]:
    """Labels of measurements, and whether there is a spectrum behind them."""
    return {one.label: one.id in project.measurements.spectra for one in project.measurements}


def test_a_spectrum_belongs_to_the_composition_of_its_label(project: Project, table: Path, files: list[Path]) -> None:
    run_job(import_edx(project, table))
    done = run_job(import_edx(project, files))
    assert done.attached == 1 and project.history.undo_title == "Import 1 measurement from 2 files"
    assert held(project) == {"D3": True, "Spectrum 9": False, "A1-P1": True}
    spectrum = project.measurements.spectrum(1)
    assert spectrum is not None and spectrum.counts == tuple(COUNTS["D3"]) and spectrum.kv == 15
    project.history.undo()
    assert held(project) == {"D3": False, "Spectrum 9": False}
    project.history.redo()
    assert run_job(import_edx(project, files)).attached == 0
    assert held(project) == {"D3": True, "Spectrum 9": False, "A1-P1": True} and len(project.measurements) == 3


def test_the_composition_may_come_after_its_spectrum(project: Project, table: Path, files: list[Path]) -> None:
    run_job(import_edx(project, files[:1]))
    assert project.measurements.links[1].finding_id == 3 and project.measurements.composition(3, "at") == ()
    run_job(import_edx(project, table))
    assert held(project) == {"D3": True, "Spectrum 9": False}
    assert [a.percent for a in project.measurements.composition(3, "at")] == [60, 40]


def test_equal_labels_are_not_guessed(project: Project, tmp_path: Path, table: Path, files: list[Path]) -> None:
    run_job(import_edx(project, table))
    (tmp_path / "other.csv").write_text(TABLE.replace("60,40", "20,80"))
    run_job(import_edx(project, tmp_path / "other.csv"))
    assert run_job(import_edx(project, files[:1])).attached == 0
    assert [(one.amounts != (), one.id in project.measurements.spectra) for one in project.measurements][-1] == (
        False, True,
    )  # fmt: skip


def test_a_corrected_table_keeps_the_spectra(project: Project, table: Path, files: list[Path]) -> None:
    run_job(import_edx(project, table))
    run_job(import_edx(project, files[:1]))
    table.write_text(TABLE.replace("60,40", "55,45"))
    run_job(import_edx(project, table))
    assert [a.percent for a in project.measurements.composition(3, "at")] == [55, 45]
    (number,) = [one.id for one in project.measurements.of_finding(3)]
    spectrum = project.measurements.spectrum(number)
    assert spectrum is not None and spectrum.counts == tuple(COUNTS["D3"])
    project.measurements.delete([number])
    assert project.measurements.spectra == {} and project.check() == []
    project.history.undo()
    assert project.measurements.spectrum(number) == spectrum


def test_composition_and_spectrum_of_one_file(project: Project, tmp_path: Path) -> None:
    run_job(import_edx(project, write_h5oina(tmp_path / "D3.h5oina", spectra=COUNTS["D3"][None])))
    assert [round(a.percent, 1) for a in project.measurements.composition(3, "wt")] == [40, 60]
    assert held(project) == {"D3": True} and project.measurements.links[1].matched_by == "label"
    run_job(import_edx(project, tmp_path / "D3.h5oina"))
    assert len(project.measurements) == 1


def test_tables_are_imported_one_at_a_time(project: Project, table: Path, files: list[Path]) -> None:
    with pytest.raises(InputError, match="one table at a time"):
        run_job(import_edx(project, [table, *files]))
    with pytest.raises(InputError, match="no file"):
        run_job(import_edx(project, []))


def test_the_check_removes_unreadable_spectra(project: Project, files: list[Path]) -> None:
    run_job(import_edx(project, files))
    project.close()
    with closing(sqlite3.connect(project.path / "project.sqlite", isolation_level=None)) as connection:
        connection.execute("UPDATE spectra SET data = 'x' WHERE id = 1")
    with Project.open(project.path) as again:
        assert again.measurements.spectrum(1) is None
        assert any("1 spectra cannot be read" in sentence for sentence in again.check())
        assert list(again.measurements.spectra) == [2] and again.check() == []


def test_undo_and_redo_of_anything_keeps_memory_and_database_alike(
    project: Project, tmp_path: Path, table: Path, files: list[Path]
) -> None:
    picked = random.Random(3)
    for step in range(40):
        act = picked.choice(["import", "import", "table", "delete", "undo", "redo"])
        if act == "import":
            run_job(import_edx(project, picked.sample(files, picked.randint(1, 2))))
        elif act == "table":
            table.write_text(TABLE.replace("60,40", f"{step},{100 - step}"))
            run_job(import_edx(project, table))
        elif act == "delete" and len(project.measurements):
            project.measurements.delete([picked.choice(project.measurements.ids)])
        elif act == "undo" and project.history.undo_title.startswith(("Import", "Delete")):
            project.history.undo()
        elif act == "redo" and project.history.redo_title:
            project.history.redo()
        with Project.open(project.path, write=False) as reader:
            assert dict(reader.measurements.spectra) == dict(project.measurements.spectra)
            assert all(reader.measurements.spectrum(n) is not None for n in reader.measurements.spectra)
    assert project.check() == []


def test_the_commands(
    project: Project, tmp_path: Path, files: list[Path], table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project.close()
    cell = str(project.path)
    assert main(["edx", "import", cell, str(table)]) == 0
    assert main(["edx", "import", cell, *map(str, files), "--dry-run", "--json"]) == 0
    text = capsys.readouterr().out
    told = json.loads(text[text.index("{") :])
    assert [(m["label"], m["channels"]) for m in told["matched"]] == [("D3", 700)]
    assert main(["edx", "import", cell, *map(str, files)]) == 0
    said = capsys.readouterr().out
    assert "D3: finding 3 (label); spectrum of 700 channels, 15 kV, 30.5 s" in said
    assert "1 spectrum of measurements that were there before" in said
    assert main(["edx", "list", cell, "--json"]) == 0
    assert [row["spectrum"] for row in json.loads(capsys.readouterr().out)] == [True, False, True]
    assert main(["edx", "spectra", cell, str(tmp_path / "out"), "1", "--json"]) == 0
    (written,) = json.loads(capsys.readouterr().out)["files"]
    assert Path(written).name == "1_D3.msa" and read_emsa(written).counts == tuple(COUNTS["D3"])
    assert main(["edx", "spectra", cell, str(tmp_path / "out"), "2"]) == 2
    assert "Measurement 2 has no spectrum" in capsys.readouterr().err


def test_export_and_python(project: Project, tmp_path: Path, files: list[Path]) -> None:
    with pytest.raises(InputError, match="has no spectra"):
        run_job(export_named("spectra").write(project, tmp_path / "none"))
    run_job(import_edx(project, files))
    done = run_job(export_named("spectra").write(project, tmp_path / "all"))
    assert [path.name for path in done.files] == ["1_D3.msa", "2_A1-P1.msa"]
    project.close()
    frame = api.edx_spectrum(project.path, 2)
    np.testing.assert_array_equal(frame["counts"], COUNTS["A1-P1"])
    assert frame["energy_ev"].iloc[0] == -20 and frame.attrs["live_s"] == 30.5
    with pytest.raises(InputError, match="no measurement 9"):
        api.edx_spectrum(project.path, 9)
    assert len(api.import_edx(project.path, files[:1])) == 1
