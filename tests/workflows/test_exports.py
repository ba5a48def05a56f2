"""Exports by name, the same for window and command line, also those of other packages."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint

import pytest

from microscope_qc.cli import main
from microscope_qc.core import plugins
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import Progress, run_job
from microscope_qc.core.xray_spectrum import XraySpectrum
from microscope_qc.correlation.registry import STAGE_FORMATS
from microscope_qc.exchange.registry import FORMATS
from microscope_qc.project import EdxMeasurement
from microscope_qc.workflows import exports
from microscope_qc.workflows.exports import (
    EXPORTS,
    Export,
    ExportOptions,
    Written,
    everything,
    export_named,
    export_names,
)
from microscope_qc.workflows.stage.options import StageOptions
from microscope_qc.workflows.stage.stage import fit_registration


def align(project):
    """Give the first slide an alignment."""
    slide = project.slides[0].id
    for name, y, x, stage_x, stage_y in (("A", 0, 0, 10, 20), ("B", 0, 600, 10.3, 20), ("C", 400, 0, 10, 19.8)):
        project.marks.add(slide, name, y_px=y, x_px=x, stage_x_mm=stage_x, stage_y_mm=stage_y)
    fit_registration(project, slide, name="R1")


def test_every_annotation_format_is_an_export(project, tmp_path):
    assert export_names() == [*FORMATS, "report", "overview", "drive-sheet", "history", "measurements", "spectra"]
    for name in FORMATS:
        export = export_named(name)
        path = tmp_path / name / f"out{'' if export.is_folder else export.suffix}"
        done = run_job(export.write(project, path, ExportOptions(states=(ReviewState.CONFIRMED,))))
        assert done.facts["boxes"] == 2 and all(file.is_file() for file in done.files)
        assert done.words.startswith("2 boxes of 1 slide written to ")
        assert bool(done.warning) == (name == "yolo")


def test_the_other_exports_write_their_files(project, tmp_path):
    with pytest.raises(InputError, match="no alignment yet"):
        run_job(export_named("drive-sheet").write(project, tmp_path / "early.html"))
    align(project)
    spectrum = XraySpectrum(0, 10, (1.0, 2.0))
    project.measurements.add([EdxMeasurement(0, 0, "a.msa", "", 0, "D1")], links={}, spectra={0: spectrum})
    for name in EXPORTS:
        export = export_named(name)
        assert export.name == name
        done = run_job(export.write(project, tmp_path / f"{name}{export.suffix}"))
        assert [file.suffix for file in done.files] == [export.suffix] and str(done.files[0]) in done.words
    assert (tmp_path / "history.csv").read_text(encoding="utf-8-sig").count("\n") > 2


def test_stage_formats_are_exports_too(project, tmp_path):
    align(project)
    names = [export.name for export in everything()]
    assert names == [*(f"stage:{name}" for name in STAGE_FORMATS), *export_names()]
    assert export_named("stage:bigwarp").needs == "marks" and export_named("stage:nav").needs == "travel list"
    for unit, x in (("mm", "10.015"), ("um", "10015.0")):
        options = ExportOptions(project.slides[0].id, stage=StageOptions("number", unit))
        done = run_job(export_named("stage:csv").write(project, tmp_path / "a.csv", options))
        assert done.words.startswith("2 positions written to ")
        assert (tmp_path / "a.csv").read_text().splitlines()[1].split(",")[2] == x


def test_an_option_that_is_not_taken_is_refused_not_ignored(project, tmp_path):
    options = ExportOptions(slide_id=1, states=(ReviewState.CONFIRMED,))
    with pytest.raises(InputError, match="Report takes no such option: slide id, states"):
        export_named("report").write(project, tmp_path / "r.html", options)
    assert options.only(("slide_id",)) == ExportOptions(slide_id=1)
    assert not (tmp_path / "r.html").exists()


def test_the_command_line_writes_them_all(project, tmp_path, capsys):
    place = str(project.path)
    out = tmp_path / "out.html"
    assert main(["export", place, str(out), "--format", "report", "--rejected", "--progress", "none"]) == 0
    assert capsys.readouterr().out == f"Report written to {out}\n"
    assert "Nothing is shown" not in out.read_text(encoding="utf-8")
    assert main(["export", place, str(tmp_path / "h.csv"), "--format", "history", "--json", "--progress", "none"]) == 0
    assert json.loads(capsys.readouterr().out) == {"files": [str(tmp_path / "h.csv")]}
    assert main(["export", place, str(tmp_path / "h"), "--format", "history", "--selected", "--progress", "none"]) == 2
    assert "History as a table takes no such option: chosen only. Leave it out." in capsys.readouterr().err
    assert (
        main(["export", place, str(tmp_path / "c.json"), "--format", "coco", "--rejected", "--progress", "none"]) == 2
    )


def _count(project, path, options):
    yield Progress(0, 1, "files")
    path.write_text(str(len(project.boxes.rows())))
    return Written((path,), "Counted.")


COUNT = Export("count", "Count", ".txt", _count)
COCO = Export("coco", "Another COCO", ".json", _count)
WRONG = Export("wrong", "Wrong", ".txt", _count, takes=("colour",))
NEEDY = Export("needy", "Needy", ".txt", _count, needs="a holiday")


def test_exports_of_other_packages_are_listed(project, tmp_path, monkeypatch):
    points = tuple(EntryPoint(name, f"{__name__}:{name.upper()}", "") for name in ("coco", "count", "needy", "wrong"))
    monkeypatch.setattr(plugins, "_entry_points", lambda group: points)
    own = plugins.Registry("exports", exports._an_export, EXPORTS._builtin, what="export")
    monkeypatch.setattr(exports, "EXPORTS", own)
    assert export_names()[-2:] == ["spectra", "count"]
    reasons = {problem.name: problem.reason for problem in own.problems}
    assert reasons.keys() == {"coco", "needy", "wrong"}
    assert reasons["coco"] == "coco is the name of an annotation format."
    assert reasons["needy"].startswith("it needs 'a holiday', which is not one of project, findings, chosen, ")
    assert reasons["wrong"].startswith("there is no option colour; there are chosen_only, ")
    run_job(export_named("count").write(project, tmp_path / "n.txt"))
    assert (tmp_path / "n.txt").read_text() == "8"
    with pytest.raises(InputError, match="There is no export 'wrong'"):
        export_named("wrong")
