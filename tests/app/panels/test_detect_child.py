"""The detection dock with the real child process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("qtpy")
from learning_toys import untrained_model
from panels_support import PIXEL_UM, write_picture

from microscope_qc.app.panels.detect.panel import DetectDock

pytestmark = [pytest.mark.window, pytest.mark.timeout(900)]


def test_a_real_detection_is_stopped_and_continued_to_its_end(
    qtbot: Any, session: Any, jobs: Any, project: Any, tmp_path: Path
) -> None:
    # many tiles, so that no computer is at the end before it is told to stop
    slide = project.slides.add(write_picture(tmp_path / "large.png", seed=5, side=2600))
    project.slides.set_pixel_size(slide.id, PIXEL_UM)
    session.show_slide(slide.id)
    model = untrained_model(tmp_path / "toy", tile_px=256, bias=-12.0)
    dock = DetectDock(session, jobs, models=lambda: [])
    qtbot.addWidget(dock)
    dock.show()
    dock.models.use_own(str(model))
    assert dock.card.name == "toy" and "tiles" in dock.area.estimate.text()
    before = len(session.table)
    dock.start.click()
    assert dock.running

    def has_begun() -> bool:
        journals = [run.folder / "journal.jsonl" for run in project.runs]
        return any(journal.exists() and journal.stat().st_size > 0 for journal in journals)

    qtbot.waitUntil(lambda: has_begun() or not dock.running, timeout=400000)
    assert dock.running, dock.story.text()
    dock.stop.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=400000)
    assert project.runs[-1].state == "stopped" and dock.start.text() == "Continue"
    dock.start.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=400000)
    assert dock.story.text().startswith("Done"), dock.story.text()
    assert [run.state for run in project.runs] == ["finished"]
    assert len(session.table) == before + project.runs[0].found > before
