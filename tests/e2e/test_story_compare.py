"""A story in the real window: a new model is compared with the one in use, used, and taken back; it is all kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import QUrl

if TYPE_CHECKING:
    from window_driver import User

pytestmark = [pytest.mark.window, pytest.mark.story, pytest.mark.timeout(900)]


def test_compare_open_use_back_and_after_a_restart(user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from learning_toys import CLASSES, judged_project, untrained_model

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    path = judged_project(tmp_path, slides=3)
    new = untrained_model(path / "models" / "eager", classes=tuple(CLASSES))
    old = untrained_model(path / "models" / "blind", classes=tuple(CLASSES), bias=-9.0)
    user.window.navigator.open_paths([path])
    user.wait_until(lambda: user.session.mosaic is not None, "the slide")
    session, project = user.session, user.session.project
    assert project is not None
    project.models.use(old, name="blind")
    user.click(user.window.workspaces.buttons.buttons["learn"])
    user.window.navigator.show_panel("models")
    models: Any = user.window.docks["models"].build()
    user.wait_until(lambda: models.in_use is not None, "the list of models")
    models.choose(new)
    user.click(models.compare)
    user.wait_until(lambda: "Show the comparison" in models.about.toPlainText(), "the comparison")
    models.about.comparison_asked.emit()
    page: Any = user.window.docks["comparisons"].build()
    user.wait_until(lambda: page.isVisible() and page.chosen is not None, "the page of the comparison")
    kept = page.chosen
    assert kept.names == ("eager", "blind") and kept.verdict in page.about.toPlainText()

    wrong = set(kept.places("both are wrong").numbers)
    page.about.anchorClicked.emit(QUrl("open:both are wrong"))
    user.wait_until(lambda: user.window.workspaces.current == "review", "the review page")
    user.wait_until(lambda: set(session.scoped.shown.rows()["id"].tolist()) == wrong, "all that both got wrong")

    user.click(user.window.workspaces.buttons.buttons["learn"])
    user.window.navigator.show_panel("comparisons")
    user.click(page.use_new)
    assert project.models.argument == str(new)
    user.wait_until(lambda: page.use_old.text() == "Back to blind", "the way back")
    user.click(page.use_old)
    assert project.models.argument == str(old)

    session.set_project(None)
    user.window.navigator.open_paths([path])
    user.wait_until(lambda: session.project is not None and page.list.count() == 1, "what was kept")
    assert kept.verdict in page.about.toPlainText()
