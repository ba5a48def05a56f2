"""A story in the real window: what was drawn is learned from, also after a kill, and the model is put to use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from window_driver import User

    from microscope_qc.app.panels.learn.page import LearnPage

pytestmark = [pytest.mark.window, pytest.mark.story, pytest.mark.timeout(900)]


@pytest.fixture
def page(user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LearnPage:
    """The page of the Learn workspace, on a project with drawn defects; the network is a tiny one."""
    from learning_toys import TINY_TRAINING, judged_project

    from microscope_qc.app.panels.learn.settings import TrainSettingsForm

    tiny = {"network": "ssd-tiny", "settings": TINY_TRAINING | {"epochs": 400, "patience": 400}}
    monkeypatch.setattr(TrainSettingsForm, "asked", lambda form: tiny)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    user.window.navigator.open_paths([judged_project(tmp_path)])
    user.wait_until(lambda: user.session.mosaic is not None, "the slide")
    user.session.scope.set_kind("all")
    user.click(user.window.workspaces.buttons.buttons["learn"])
    user.wait_until(lambda: user.window.pages.learn is not None and user.window.pages.learn.isVisible(), "the page")
    made = user.window.pages.learn
    assert made is not None
    return made


def child_of(user: User) -> psutil.Process:
    child = user.window.jobs.detector._child
    assert child is not None
    return psutil.Process(child.pid)


def test_label_train_kill_resume_stop_use_detect(user: User, page: LearnPage) -> None:
    user.wait_until(lambda: page.supply.supply.truths == 30, "the defects to be counted")
    assert "About 20 more defects" in page.supply.advice.text()
    user.click(page.train)
    user.wait_until(lambda: len(page.score.points) >= 2 and page.examples.examples, "curves and examples")
    user.wait_until(lambda: "epoch" in page.story.text().lower(), "how far it is")
    before = len(page.loss.points)

    child_of(user).kill()
    user.wait_until(page.go_on.isVisible, "the offer to continue")
    assert "kept" in page.story.text()
    user.click(page.go_on)
    user.wait_until(lambda: page.run.running and len(page.loss.points) > before, "the curve to go on")
    epochs = [epoch for epoch, _ in page.loss.points]
    assert epochs == sorted(set(epochs)), "no epoch is there twice"

    user.click(page.keep)
    user.wait_until(page.verdict.use.isVisible, "the end of the training")
    assert "did not learn from" in page.result.text() or "found nothing" in page.result.text()
    assert page.run.training is not None
    folder = page.run.training.folder
    user.click(page.verdict.use)
    detect: Any = user.window.docks["detect"].build()
    user.wait_until(lambda: detect.isVisible() and detect.models.argument == str(folder), "the model in Detect")
    project = user.session.project
    assert project is not None and project.models.argument == str(folder)
    user.session.scope.set_kind("slide")
    user.click(detect.start)
    user.wait_until(lambda: len(project.runs) and project.runs[-1].state == "finished", "the detection")
    assert Path(project.runs[-1].plan.model).samefile(folder)
