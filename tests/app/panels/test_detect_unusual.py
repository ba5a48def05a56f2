"""The button that finds what is unusual: one click on an unlabelled slide, told how long, stopped and gone on with."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("qtpy")
from panels_support import findings

from microscope_qc.app.panels.detect.panel import DetectDock
from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import Progress

pytestmark = pytest.mark.window


class FakeUnusual:
    """Learns in two steps, and then brings two findings per step; ``endless`` goes on until it is stopped."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.endless = self.refuses = False
        self.closed = 0

    def __call__(self, project: Any, slide_id: int, *, first: Any, tell: Callable[[str], None]) -> Any:
        self.calls.append(slide_id)
        return self.job(project, tell)

    def job(self, project: Any, tell: Callable[[str], None]) -> Any:
        try:
            yield Progress(1, 2, "tiles", "learning what is normal")
            if self.refuses:
                raise ModelError("What is normal could not be learned: the pictures are of one grey all over.")
            tell("Looking at the whole of S takes about 4 min.")
            step = 0
            while self.endless or step < 3:
                step += 1
                project.boxes.add_many({self.calls[-1]: findings(project.classes, count=2, seed=step)})
                yield Progress(min(step, 2), 3, "tiles")
            return SimpleNamespace(findings=6, seconds=2.0, status={})
        finally:
            self.closed += 1


@pytest.fixture
def fake() -> FakeUnusual:
    return FakeUnusual()


@pytest.fixture
def dock(qtbot: Any, session: Any, jobs: Any, fake: FakeUnusual) -> DetectDock:
    made = DetectDock(session, jobs, find_unusual=fake, models=lambda: [])
    qtbot.addWidget(made)
    made.resize(340, 620)
    with qtbot.waitExposed(made):
        made.show()
    return made


def test_one_click_finds_without_any_model_and_says_how_long_and_what_to_expect(
    qtbot: Any, dock: DetectDock, session: Any, fake: FakeUnusual
) -> None:
    assert dock.unusual.isEnabled() and not dock.start.isEnabled() and not dock.about_unusual.isVisible()
    before = len(session.table)
    dock.unusual.click()
    assert dock.running and dock.stop.isVisible() and not dock.unusual.isEnabled()
    assert "not always a defect" in dock.about_unusual.text()
    qtbot.waitUntil(lambda: not dock.running, timeout=60000)
    assert fake.calls == [session.slide.id] and len(session.table) == before + 6
    assert "takes about 4 min. What is unlike" in dock.about_unusual.text() and dock.about_unusual.isVisible()
    assert "Done: 6 findings" in dock.story.text() and dock.unusual.isEnabled()


def test_it_is_stopped_and_what_was_found_is_kept(
    qtbot: Any, dock: DetectDock, session: Any, fake: FakeUnusual
) -> None:
    fake.endless = True
    before = len(session.table)
    dock.unusual.click()
    qtbot.waitUntil(lambda: len(session.table) > before, timeout=60000)
    dock.stop.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60000)
    assert fake.closed == 1 and len(session.table) > before and "Stopped" in dock.story.text()


def test_what_cannot_be_learned_from_is_said(qtbot: Any, dock: DetectDock, fake: FakeUnusual) -> None:
    fake.refuses = True
    dock.unusual.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60000)
    assert "one grey all over" in dock.story.text() and dock.unusual.isEnabled()
