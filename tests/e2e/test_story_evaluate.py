"""A story in the real window: a defect is drawn, a model is evaluated, and what it missed opens in Review."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import QUrl
from window_driver import KEY, SHIFT

from microscope_qc.ml.evaluation.outcomes import Outcome

if TYPE_CHECKING:
    from window_driver import User

pytestmark = [pytest.mark.window, pytest.mark.story, pytest.mark.timeout(900)]


@pytest.fixture
def model(user: User, tmp_path: Path) -> Path:
    """A model that finds next to nothing, in a project with drawn defects that is open."""
    from learning_toys import CLASSES, judged_project, untrained_model

    path = judged_project(tmp_path, slides=3)
    made = untrained_model(path / "models" / "blind", classes=tuple(CLASSES), bias=-9.0)
    user.window.navigator.open_paths([path])
    user.wait_until(lambda: user.session.mosaic is not None, "the slide")
    return made


def test_label_evaluate_open_the_missed_ones(user: User, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    session, project = user.session, user.session.project
    assert project is not None and session.slide is not None
    user.press(KEY.Key_F, SHIFT)
    drawn = user.draw_box(90, 90, 102, 102)

    user.click(user.window.workspaces.buttons.buttons["learn"])
    user.window.navigator.show_panel("models")
    panel: Any = user.window.docks["models"].build()
    user.wait_until(panel.list.count, "the list of models")
    panel.choose(model)
    user.click(panel.evaluate)
    user.wait_until(lambda: "Evaluated on everything that is marked" in panel.about.toPlainText(), "the evaluation")
    kept = panel.measuring.evaluation(model)
    missed = kept.places[Outcome.MISSED].numbers
    assert f"missed ({len(missed)})" in panel.about.toPlainText() and len(missed) > 5
    assert kept.document["truth"] == 19 and drawn in {n for places in kept.places.values() for n in places.numbers}

    panel.about.anchorClicked.emit(QUrl("open:missed"))
    user.wait_until(lambda: user.window.workspaces.current == "review", "the review page")
    listed = set(missed)
    user.wait_until(lambda: set(session.scoped.shown.rows()["id"].tolist()) == listed, "all that was missed")
    assert session.scope.kind == "all", "on whichever slide it is"

    project.boxes.delete(missed[:1])
    user.click(user.window.workspaces.buttons.buttons["learn"])
    user.window.navigator.show_panel("models")
    user.wait_until(lambda: "Out of date" in panel.about.toPlainText(), "that the data have changed")
