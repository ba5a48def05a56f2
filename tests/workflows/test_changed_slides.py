"""A slide whose file holds something else than its findings were made on: it is said, and a user accepts it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from project_support import some_rows
from small_slides import write_slide

from microscope_qc.cli import main
from microscope_qc.core.boxes import make_rows
from microscope_qc.core.errors import ChangedSlideError
from microscope_qc.core.jobs import Job, run_job
from microscope_qc.project import Project
from microscope_qc.workflows.exchange.export import export_boxes
from microscope_qc.workflows.intake.adding import make_project
from microscope_qc.workflows.intake.changes import (
    accept,
    changed_slides,
    is_changed,
    known_state,
    last_earlier_finding,
    require_unchanged_now,
)
from microscope_qc.workflows.learning.dataset import make_dataset
from microscope_qc.workflows.results.report import write_overview, write_report


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A closed project of two slides with findings."""
    files = [write_slide(tmp_path / f"{name}.png", seed=seed) for seed, name in enumerate("ab")]
    project, _ = run_job(make_project(tmp_path / "cell.mqc", files))
    with project:
        for slide in project.slides:
            project.boxes.add(slide.id, make_rows(3, class_id=1, y0=[1, 20, 40], x0=5, y1=[9, 30, 60], x1=40, state=1))
    return project.path


def repaint(path: Path) -> None:
    """Change one pixel: size and time of the file may even stay as they are."""
    before = path.stat()
    pixels = np.array(Image.open(path))
    pixels[40, 60] ^= 255
    Image.fromarray(pixels).save(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000_000))


def changed_names(project: Project) -> list[str]:
    return [slide.name for slide in run_job(changed_slides(project))]


def test_only_another_content_is_a_change(place: Path) -> None:
    with Project.open(place) as project:
        assert known_state(project, 1) is not None, "noted when it was added"
        assert changed_names(project) == []
        a = project.slides[0].path
        os.utime(a)  # copied or touched: another time, the same pixels
        assert changed_names(project) == []
        repaint(a)
        assert not is_changed(project, project.slides[0])
        assert changed_names(project) == ["a"]
        assert is_changed(project, project.slides[0]) and not is_changed(project, project.slides[1])
    with Project.open(place, write=False) as again:
        assert is_changed(again, again.slides[0]), "it is stored"


def test_a_file_that_is_put_back_is_the_slide_again(place: Path, tmp_path: Path) -> None:
    shutil.copy2(tmp_path / "a.png", tmp_path / "kept.png")
    repaint(tmp_path / "a.png")
    with Project.open(place) as project:
        assert changed_names(project) == ["a"]
        (tmp_path / "kept.png").replace(tmp_path / "a.png")
        assert changed_names(project) == []


def test_a_large_file_is_told_by_its_samples_at_once(place: Path, tmp_path: Path) -> None:
    with Project.open(place) as project:
        project.slides.note_contents({1: ""})  # as of a file that was too large to be read whole
        write_slide(tmp_path / "a.png", seed=99)
        with pytest.raises(ChangedSlideError, match="slide a"):
            require_unchanged_now(project, project.slides[0])


USES: list[Callable[[Project, Path], Job[object]]] = [
    lambda project, out: write_report(project, out / "r.html"),
    lambda project, out: export_boxes(project, out / "c.json", "coco"),
    lambda project, out: make_dataset([project.path], out=out / "set", slide_ids=[1]),
]


@pytest.mark.parametrize("use", USES)
def test_results_wait_for_the_user(place: Path, tmp_path: Path, use: Callable[[Project, Path], Job[object]]) -> None:
    repaint(tmp_path / "a.png")
    with (
        Project.open(place, write=False) as reader,
        pytest.raises(ChangedSlideError, match=r"slides cell\.mqc accept a"),
    ):
        run_job(use(reader, tmp_path))
    with Project.open(place) as project:
        assert run_job(accept(project, 1)) is not None
    with Project.open(place, write=False) as reader:
        run_job(use(reader, tmp_path))


def test_findings_made_before_are_of_an_earlier_version(place: Path, tmp_path: Path) -> None:
    repaint(tmp_path / "a.png")
    with Project.open(place) as project:
        slide = project.slides[0]
        assert last_earlier_finding(project, slide) == 0
        assert changed_names(project) == ["a"] and last_earlier_finding(project, slide) == 3
        run_job(accept(project, 1))
        later = int(project.boxes.add(1, some_rows(1))[0])
        assert 0 < last_earlier_finding(project, project.slides[0]) < later
        assert project.history.entries()[1].title == "Accept the changed file of a"
        assert changed_names(project) == []
        project.history.undo()
        project.history.undo()  # of accepting: it is another version again
        assert last_earlier_finding(project, project.slides[0]) == 0
        assert changed_names(project) == ["a"]


def test_the_overview_says_it(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from microscope_qc.reports import overview

    said: list[str] = []
    write = overview.write_overview
    monkeypatch.setattr(
        overview,
        "write_overview",
        lambda *args, **options: (said.append(options["subtitle"]), write(*args, **options))[1],
    )
    repaint(tmp_path / "a.png")
    with Project.open(place, write=False) as reader:
        run_job(write_overview(reader, tmp_path / "o.png", slide_id=1))
        run_job(write_overview(reader, tmp_path / "o.png", slide_id=2))
    assert "has changed" in said[0] and "has changed" not in said[1]


def test_on_the_command_line(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repaint(tmp_path / "a.png")
    assert main(["check", str(place)]) == 0
    assert "The file of the slide a has changed" in capsys.readouterr().out
    assert main(["slides", str(place)]) == 0
    assert "changed since its findings were made" in capsys.readouterr().out
    assert main(["detect", str(place), "--model", "li-ion-ssd", "--slide", "a"]) == 2
    assert "accept a" in capsys.readouterr().err
    assert main(["slides", str(place), "accept", "a"]) == 0
    assert main(["export", str(place), str(tmp_path / "c.json"), "--format", "coco"]) == 0


def test_a_copied_folder_does_not_open_the_slides_it_was_copied_from(place: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("a.png", "b.png"):
        shutil.copy2(tmp_path / name, copy / name)
    shutil.copytree(place, copy / "cell.mqc")
    with Project.open(copy / "cell.mqc") as copied:
        assert [slide.path for slide in copied.slides] == [copy / "a.png", copy / "b.png"]
    (copy / "a.png").unlink()
    with Project.open(copy / "cell.mqc") as copied:
        assert copied.slides[0].path == tmp_path / "a.png"
