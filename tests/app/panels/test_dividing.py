"""What is held out is settled before something is learned, for the project that is open."""

from __future__ import annotations

from typing import Any

import pytest

from microscope_qc.app.panels.learn.dividing import divide
from microscope_qc.core.errors import ModelError


@pytest.mark.parametrize("stays_open", [True, False])
def test_what_is_too_little_to_divide_is_learned_from_only_while_its_project_is_open(
    session: Any, project: Any, jobs: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch, stays_open: bool
) -> None:
    def too_little() -> None:
        raise ModelError("There is too little to divide.")

    monkeypatch.setattr("microscope_qc.app.panels.learn.dividing.dividing", lambda _: too_little)
    project.boxes.take(project.boxes.reading([slide.id for slide in project.slides])())
    done: list[bool] = []
    failed: list[BaseException] = []
    divide(session, jobs, project, lambda: done.append(True), failed.append)
    if not stays_open:
        session.set_project(None)
    qtbot.waitUntil(lambda: not jobs._calls)
    answered: list[bool] = []
    jobs.call(lambda: None, lambda _: answered.append(True))  # after all that was asked for
    qtbot.waitUntil(lambda: bool(answered))
    assert bool(done) == stays_open and not failed
