"""Comparisons that a project keeps: read back, out of date, known by the weights of their models, and no half ones."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import pytest
from learning_toys import CLASSES, coco_folder, judged_project, untrained_model

from microscope_qc.cli import main
from microscope_qc.core.errors import InputError
from microscope_qc.core.files import WriteError, write_error
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.workflows.learning.project_parts import keep_parts
from microscope_qc.workflows.models.kept_comparison import (
    FOLDER,
    KeptComparison,
    compare_and_keep,
    comparison_changed,
    copy_comparison_page,
    read_comparisons,
)
from microscope_qc.workflows.models.shelf import list_shelf, rename_model
from microscope_qc.workflows.models.wrong_places import KINDS, SIDES


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of eight slides of which some are kept for the test; ``eager`` in it, ``blind`` of the user."""
    monkeypatch.setenv("MICROSCOPE_QC_MODELS", str(tmp_path / "own"))
    made = judged_project(tmp_path, slides=8)
    with Project.open(made) as project:
        keep_parts(project)
    untrained_model(made / "models" / "eager", classes=tuple(CLASSES))
    untrained_model(tmp_path / "own" / "blind", classes=tuple(CLASSES), bias=-9.0)
    return made


def kept_in(path: Path) -> list[KeptComparison]:
    with Project.open(path, write=False) as project:
        return read_comparisons(project.path, list_shelf(project))


def test_a_comparison_is_kept_and_goes_out_of_date(path: Path, tmp_path: Path) -> None:
    assert kept_in(path) == []
    models = path / "models" / "eager", tmp_path / "own" / "blind"
    done, _ = run_job(compare_and_keep(*models, path, device="cpu"))
    run_job(compare_and_keep(*models[::-1], path, device="cpu"))
    newest, kept = kept_in(path)
    assert (kept.names, newest.names) == (("eager", "blind"), ("blind", "eager"))
    assert kept.verdict == done.verdict and kept.new is not None and kept.old is not None
    assert (kept.new.folder, kept.old.folder) == models
    counts = {kind: len(kept.places(kind).numbers) + len(kept.places(kind).spots) for kind in KINDS}
    assert counts["found by none"] == done.paired.found.neither > 0
    assert counts == {kind: sum(one.kind == kind for one in done.wrong) for kind in KINDS}
    wrong = kept.places("both are wrong")
    assert set(wrong.numbers) == {n for kind in SIDES["both are wrong"] for n in kept.places(kind).numbers}
    assert "<h2>Found by none</h2>" in copy_comparison_page(kept, tmp_path / "out.html").read_text(encoding="utf-8")
    assert not run_job(comparison_changed(path, kept))
    with Project.open(path) as project:
        project.boxes.delete(list(kept.places("found by none").numbers[:1]))
    assert run_job(comparison_changed(path, kept))
    (kept.folder / "comparison.json").write_text('{"new": 3}')
    assert [one.names for one in kept_in(path)] == [("blind", "eager")], "what cannot be read is nothing"


def test_models_are_known_by_their_weights(path: Path, tmp_path: Path) -> None:
    models = path / "models" / "eager", tmp_path / "own" / "blind"
    run_job(compare_and_keep(*models, path, device="cpu"))
    with Project.open(path) as project:
        renamed = rename_model(next(one for one in list_shelf(project) if one.name == "eager"), "keen", project)
        shutil.move(renamed.folder, renamed.folder.with_name("elsewhere"))
    untrained_model(models[1], classes=tuple(CLASSES), bias=-8.0)  # learned something else
    (kept,) = kept_in(path)
    assert kept.new is not None and kept.new.name == "keen" and kept.old is None


def test_a_comparison_that_is_stopped_leaves_nothing(path: Path, tmp_path: Path) -> None:
    job = compare_and_keep(path / "models" / "eager", tmp_path / "own" / "blind", path, device="cpu")
    while "cutting" not in next(job).note:
        pass
    job.close()
    assert kept_in(path) == [] and not list((path / FOLDER).glob("*"))
    with pytest.raises(InputError, match="kept with a project"):
        run_job(compare_and_keep("a", "b", tmp_path))


def test_a_full_disk_leaves_no_half_comparison(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(target: Path, content: str) -> None:
        raise write_error(target, OSError(errno.ENOSPC, "no space left"))

    monkeypatch.setattr("microscope_qc.workflows.models.kept_comparison.atomic_write", full)
    with pytest.raises(WriteError, match="The disk is full"):
        run_job(compare_and_keep(path / "models" / "eager", tmp_path / "own" / "blind", path, device="cpu"))
    assert kept_in(path) == [] and not list((path / FOLDER).glob("*"))


def test_comparisons_are_kept_and_listed_by_commands(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["models", "comparisons", str(path)]) == 0
    assert "No comparison is kept" in capsys.readouterr().out
    command = ["models", "compare", "eager", "blind", str(path), "--project", str(path), "--device", "cpu", "--keep"]
    assert main([*command, "--progress", "none", "--json"]) == 0
    verdict = json.loads(capsys.readouterr().out)["verdict"]
    assert main(["models", "comparisons", str(path)]) == 0
    assert f"eager against blind: {verdict}" in capsys.readouterr().out
    assert main(["models", "comparisons", str(path), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["verdict"] == verdict and told["date"][:2] == "20"
    folder = coco_folder(tmp_path / "data", pictures=2)
    assert main([*command[:4], str(folder), "--project", str(path), "--keep"]) == 2
    assert "kept with a project" in capsys.readouterr().err
