"""The detection dock with the real child process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("qtpy")
from learning_toys import untrained_model

from microscope_qc.app.docks.detect import DetectDock

pytestmark = [pytest.mark.window, pytest.mark.timeout(900)]


def test_a_real_detection_is_stopped_and_continued_to_its_end(
    qtbot: Any, session: Any, jobs: Any, project: Any, tmp_path: Path
) -> None:
    model = untrained_model(tmp_path / "toy", tile_px=256)
    dock = DetectDock(session, jobs, models=lambda: [])
    qtbot.addWidget(dock)
    dock.show()
    dock.models.use_own(str(model))
    assert dock.card.name == "toy" and "tiles" in dock.estimate.text()
    before = len(session.table)
    dock.start.click()
    assert dock.running
    qtbot.waitUntil(lambda: len(session.table) > before or not dock.running, timeout=400000)
    assert dock.running, dock.story.text()
    dock.stop.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=400000)
    assert project.runs[-1].state == "stopped" and dock.start.text() == "Continue"
    dock.start.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=400000)
    assert dock.story.text().startswith("Done"), dock.story.text()
    assert [run.state for run in project.runs] == ["finished"]
    assert len(session.table) == before + project.runs[0].found
