"""A project that is saved under another name has what the first one has."""

from __future__ import annotations

from pathlib import Path

from microscope_qc.core.jobs import Progress
from microscope_qc.project import Project
from microscope_qc.project.copying import ProjectCopy, copy_project


def copied(project: Project, path: Path) -> tuple[ProjectCopy, list[Progress]]:
    job, told = copy_project(project, path), []
    while True:
        try:
            told.append(next(job))
        except StopIteration as end:
            return end.value, told


def test_finished_models_come_along_and_unfinished_trainings_stay(project: Project, tmp_path: Path) -> None:
    models = project.path / "models"
    for name, files in (
        ("good", ("model.json", "weights.safetensors", "curve.csv")), ("begun", ("request.json", "checkpoint.pt")),
    ):  # fmt: skip
        (models / name).mkdir(parents=True)
        for file in files:
            (models / name / file).write_text(f"{name} {file}")
    (models / "stray.txt").write_text("no model")
    project.models.use(models / "good", name="Good one")
    copy, told = copied(project, tmp_path / "saved.mqc")
    assert copy.missing == ["1 training that had not ended stayed behind."]
    assert ("models", "good") in {(one.unit, one.note) for one in told}
    assert [path.name for path in (copy.path / "models").iterdir()] == ["good"]
    assert (copy.path / "models" / "good" / "curve.csv").read_text() == "good curve.csv"
    with Project.open(copy.path) as saved:
        assert saved.models.argument == str(copy.path / "models" / "good")


def test_a_model_that_cannot_be_read_is_named(project: Project, tmp_path: Path) -> None:
    models = project.path / "models"
    for name in ("one", "two"):
        (models / name).mkdir(parents=True)
        for file in ("model.json", "weights.safetensors"):
            (models / name / file).write_text(name)
    (models / "two" / "examples").symlink_to(models / "nowhere")
    copy, _ = copied(project, tmp_path / "saved.mqc")
    assert copy.missing == ["1 model could not be copied: two."]
    assert [path.name for path in (copy.path / "models").iterdir()] == ["one"]


def test_a_project_without_models_has_none_in_its_copy(project: Project, tmp_path: Path) -> None:
    copy, _ = copied(project, tmp_path / "saved.mqc")
    assert copy.missing == [] and not (copy.path / "models").exists()
