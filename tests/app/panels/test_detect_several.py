"""The detection panel over several slides: one job, said before, listed after; with a model in this process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from detection_toys import ChildHere
from learning_toys import untrained_model
from panels_support import write_picture

from microscope_qc.app.base.jobs import JobState
from microscope_qc.app.panels.detect.pace import remember, remember_slide, remember_start, seconds_for
from microscope_qc.app.panels.detect.panel import DetectDock
from microscope_qc.app.session.session import Session
from microscope_qc.ml.cards import write_card
from microscope_qc.ml.library import load_card
from microscope_qc.project import Project
from microscope_qc.workflows import kept_child
from microscope_qc.workflows.detection import following
from microscope_qc.workflows.detection.many import detect_many
from microscope_qc.workflows.detection.run import detect

pytestmark = pytest.mark.window


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_model(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture
def three(jobs: Any, tmp_path: Path) -> Iterator[Session]:
    """A session on a project of three small slides with pixel sizes, working over all of them."""
    paths = [write_picture(tmp_path / f"T{number}.png", seed=number, side=200) for number in (1, 2, 3)]
    project = Project.create(tmp_path / "three", slides=paths)
    project.slides.set_pixel_sizes([slide.id for slide in project.slides], 0.5)
    made = Session(jobs)
    made.set_project(project)
    made.scope.set_kind("all")
    yield made
    made.set_project(None)


@pytest.fixture
def dock(qtbot: Any, three: Session, jobs: Any, model: Path, monkeypatch: pytest.MonkeyPatch) -> DetectDock:
    for module in (kept_child, following):  # that of the window, and of detections without one
        monkeypatch.setattr(module, "Child", ChildHere)
    jobs.detector.keep = False
    options: dict[str, Any] = {"load_model": load_card, "choose_folder": lambda _: str(model)}
    made = DetectDock(three, jobs, models=lambda: [], **options)
    qtbot.addWidget(made)
    made.models.other.click()
    assert made.card is not None and made.card.name == "toy"
    with qtbot.waitExposed(made):
        made.show()
    return made


def ended(qtbot: Any, dock: DetectDock) -> str:
    qtbot.waitUntil(lambda: not dock.running)
    return str(dock.story.text())


def test_all_slides_are_one_job(qtbot: Any, dock: DetectDock, three: Session, jobs: Any) -> None:
    assert dock.scope.isVisible() and dock.area.estimate.text().startswith("3 slides: 12 tiles; how long")
    assert dock.start.text() == "Start" and not dock.area.visible.isEnabled()
    shown, moved = three.slide, []
    three.slide_changed.connect(lambda: moved.append(three.slide))
    before = len(jobs.history)
    dock.start.click()
    assert dock.running and len(jobs.history) == before + 1
    assert jobs.history[-1].title == "Detecting on 3 slides"
    said = ended(qtbot, dock)
    assert said.startswith("Done: ") and " on 3 slides in " in said and not dock.progress.failures.isVisible()
    assert jobs.history[-1].state is JobState.RETURNED and len(jobs.history) == before + 1
    found = [len(three.project.boxes.table(slide.id)) for slide in three.project.slides]
    assert min(found) > 0 and f"Done: {sum(found)} findings" in said
    assert three.slide is shown or three.slide.id == shown.id and not moved, "the view did not move"
    assert len(three.table) == found[0], "what was found on the slide on screen is there"
    assert [run.state for run in three.project.runs] == ["finished"] * 3
    assert dock.start.text() == "Detect again"
    three.scope.set_kind("slide")
    assert "tile" in dock.area.estimate.text() and "slides" not in dock.area.estimate.text()
    assert dock.area.visible.isEnabled() is (dock.area.in_view() is not None)


def test_slides_without_pixel_size_are_named_and_set_at_once(qtbot: Any, dock: DetectDock, three: Session) -> None:
    project = three.project
    project.slides.set_pixel_sizes([slide.id for slide in project.slides][1:], None)
    dock.refresh()
    assert "Left out until their pixel size is entered: 2 slides." in dock.area.estimate.text()
    assert dock.pixel_row.isVisible() and dock.pixel_row.text.text().startswith("T2 and T3 do not give their pixel")
    assert dock.start.isEnabled(), "the first can be scanned"
    dock.start.click()
    said = ended(qtbot, dock)
    assert "on 1 slide in" in said and said.endswith("2 slides could not be scanned:")
    lines = dock.progress.failures.toPlainText().splitlines()
    assert dock.progress.failures.isVisible() and [line[:4] for line in lines] == ["T2: ", "T3: "]
    assert "pixel size of T2 is not known" in lines[0]

    steps = len(project.history.entries())
    dock.pixel_row.number.setValue(0.5)
    assert dock.pixel_row.button.text() == "Set for 2 slides"
    dock.pixel_row.button.click()
    assert [slide.pixel_size_um for slide in project.slides] == [(0.5, 0.5)] * 3
    assert len(project.history.entries()) == steps + 1, "one step of undo"
    assert not dock.pixel_row.isVisible() and dock.start.text() == "Continue"
    dock.start.click()
    assert "on 3 slides" in ended(qtbot, dock) and not dock.progress.failures.isVisible()
    assert len(project.runs) == 3, "the finished one was not repeated"


def test_a_model_that_takes_pixels_as_they_are_needs_no_pixel_size(
    qtbot: Any, dock: DetectDock, three: Session, model: Path, tmp_path: Path
) -> None:
    project = three.project
    project.slides.set_pixel_sizes([slide.id for slide in project.slides], None)
    dock.refresh()
    assert not dock.start.isEnabled() and "pixel size" in dock.start.toolTip(), "that one knows defects by size"
    own = Path(shutil.copytree(model, tmp_path / "as they are"))
    write_card(load_card(own).model_copy(update={"name": "as they are", "pixel_size_um": None}), own)
    dock.models.use_own(str(own))
    assert dock.card is not None and dock.card.pixel_size_um is None
    assert dock.start.isEnabled() and dock.area.estimate.text().startswith("3 slides: ")
    assert dock.pixel_row.isVisible(), "it is still asked for"
    assert dock.pixel_row.text.text().endswith(
        "This model takes pixels as they are; sizes in µm and densities need it."
    )
    three.scope.set_kind("slide")
    assert dock.start.isEnabled() and "tile" in dock.area.estimate.text()
    three.scope.set_kind("all")
    dock.start.click()
    assert " on 3 slides in " in ended(qtbot, dock)


def test_a_slide_that_cannot_be_read_is_listed(qtbot: Any, dock: DetectDock, three: Session) -> None:
    three.project.slides[1].path.write_bytes(b"no picture any more")
    dock.start.click()
    said = ended(qtbot, dock)
    assert "on 2 slides in" in said and said.endswith("1 slide could not be scanned:")
    assert dock.progress.failures.toPlainText().startswith("T2: ")


class OneOnly(ChildHere):
    """Does the first run and never gets to the others."""

    def give(self, run_folder: Path, **how: Any) -> None:
        if not self._answers and not getattr(self, "begun", False):
            self.begun = True
            super().give(run_folder, **how)


def test_stopping_keeps_what_is_done_and_continues(
    qtbot: Any, dock: DetectDock, three: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_child, "Child", OneOnly)
    dock.start.click()
    qtbot.waitUntil(lambda: any(run.state == "finished" for run in three.project.runs))
    qtbot.waitUntil(lambda: "slide 2 of 3: T2" in dock.story.text())
    found = len(three.table)
    dock.stop.click()
    assert ended(qtbot, dock) == "Stopped after 1 of 3 slides. What was found is kept; Continue resumes from here."
    assert [run.state for run in three.project.runs] == ["finished", "stopped", "stopped"]
    assert len(three.table) == found > 0 and dock.start.text() == "Continue" and dock.start_over.isVisible()

    monkeypatch.setattr(kept_child, "Child", ChildHere)
    dock.start.click()
    assert " on 3 slides in " in ended(qtbot, dock)
    assert [run.state for run in three.project.runs] == ["finished"] * 3 and len(three.table) == found
    assert dock.start.text() == "Detect again"


def test_selected_slides_only(qtbot: Any, dock: DetectDock, three: Session) -> None:
    ids = [slide.id for slide in three.project.slides]
    three.scope.set_chosen([ids[2]])
    three.scope.set_kind("selected")
    assert three.slide.id == ids[0] and dock.area.estimate.text().startswith("1 slide: 4 tiles")
    dock.start.click()
    assert "on 1 slide in" in ended(qtbot, dock)
    assert [run.slide_id for run in three.project.runs] == [ids[2]], "not the slide on screen"


def test_the_time_of_all_slides_is_said_before(dock: DetectDock) -> None:
    remember(dock.card.fingerprint or dock.card.name, 0.1)
    remember_start(10.0)
    remember_slide(5.0)
    assert seconds_for(12, "toy", slides=3) == pytest.approx(10 + 120 + 10)
    dock.refresh()
    assert dock.area.estimate.text().startswith("3 slides: at most about <b>2:20</b> (12 tiles).")
    dock.area.leave_out.setChecked(False)
    assert dock.area.estimate.text().startswith("3 slides: about <b>2:20</b>")


def test_pixel_sizes_that_do_not_fit_are_said_before_and_where_nothing_is_found(
    qtbot: Any, dock: DetectDock, three: Session, tmp_path: Path
) -> None:
    assert not dock.area.pixel_fit.isVisible(), "model and slides have the same"
    blind = untrained_model(tmp_path / "blind", bias=-60.0)
    project = three.project
    assert project is not None
    project.slides.set_pixel_sizes([slide.id for slide in project.slides], 2.0)
    dock.refresh()
    assert dock.area.pixel_fit.isVisible()
    assert dock.area.pixel_fit.text().startswith(
        "T1, T2, T3: A pixel of the slide is 2 µm, the model toy works at 0.5 µm"
    )
    three.scope.set_kind("slide")
    assert dock.area.pixel_fit.text().startswith("A pixel of the slide")
    dock.story.setText(f"Done: 0 findings. {dock.area.pixel_fit.text()}")
    dock.refresh()
    assert not dock.area.pixel_fit.isVisible(), "it is said once"
    dock.story.clear()
    dock.refresh()
    assert dock.area.pixel_fit.isVisible()
    dock.area.leave_out.setChecked(False)
    dock.progress.run(
        lambda: detect(project, project.slides[0].id, blind, everything=True, wait_s=0.0), "Detecting", pace_key="blind"
    )
    said = ended(qtbot, dock)
    assert "0 findings" in said and "enlarged 4 times" in said and "gallery" not in said
    dock.progress.run(lambda: detect_many(project, str(blind), everything=True, wait_s=0.0), "Detecting", pace_key="b")
    assert "Nothing was found on T1, T2, T3: A pixel of the slide is 2 µm" in ended(qtbot, dock)
