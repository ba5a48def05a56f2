"""The chosen area decides what is started, what is continued and how long it is said to take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("qtpy")
from panels_support import SHAPE
from test_detect_panel import FakeDetect, dock, fake  # noqa: F401

from microscope_qc.app.panels.detect.pace import remember, remember_start, tiles_per_second
from microscope_qc.app.panels.detect.panel import DetectDock
from microscope_qc.core.area_mask import AreaMask
from microscope_qc.core.errors import SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Progress

pytestmark = pytest.mark.window


def part(*, rows: int = 12, columns: int = 16) -> AreaMask:
    """The upper left part of the slide, in cells of 100 px."""
    scan = np.zeros((12, 16), bool)
    scan[:rows, :columns] = True
    return AreaMask(Region(0, 0, *SHAPE), (100.0, 100.0), scan)


def test_an_interrupted_detection_is_continued_only_over_its_own_area(
    qtbot: Any, dock: DetectDock, project: Any, fake: FakeDetect  # noqa: F811
) -> None:  # fmt: skip
    dock.area.masks.set("changed", part(rows=5))
    fake.endless = True
    dock.start.click()
    qtbot.waitUntil(lambda: project.runs[-1].found > 0, timeout=60000)
    dock.stop.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60000)
    assert fake.calls[-1].mask is dock.area.masks.get("changed") and dock.start.text() == "Continue"
    for change in (
        lambda: dock.area.masks.set("changed", part(rows=6)),
        lambda: dock.area.leave_out.setChecked(False),
        lambda: dock.area.masks.set("changed", None),
        lambda: dock.area.drawn.setChecked(True),
    ):
        change()
        assert dock.start.text() == "Start", "that would be another detection"
    dock.area.whole.setChecked(True)
    dock.area.leave_out.setChecked(True)
    assert dock.start.text() == "Start"
    assert dock.continue_run.isEnabled()
    dock.continue_run.click()  # the list continues this one, whatever is chosen now
    assert fake.resumed == [project.runs[0].id] and len(fake.calls) == 1
    dock.cancel()
    qtbot.waitUntil(lambda: not dock.running, timeout=60000)
    dock.area.masks.set("changed", part(rows=5))  # the same area, painted again
    assert dock.start.text() == "Continue"
    fake.endless = False
    dock.start.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60000)
    assert fake.resumed == [project.runs[0].id] * 2 and len(project.runs) == 1
    assert dock.start.text() == "Detect again"


def test_the_time_is_that_of_the_tiles_in_the_area(dock: DetectDock) -> None:  # noqa: F811
    remember("abc", 1.0)
    remember_start(0.2)
    dock.refresh()
    assert "takes at most about <b>0:35</b> (35 tiles)" in dock.area.estimate.text()
    dock.area.masks.set("changed", part(rows=3, columns=16))  # two rows of seven tiles reach into it
    assert dock.area.estimate.text().startswith("<b>25 %</b> of the slide will be scanned: about <b>0:14</b>")
    dock.area.viewport = lambda: (0.0, 0.0, 600.0, 1600.0)
    dock.area.visible.setChecked(True)
    dock.refresh()
    assert dock.area.estimate.text().startswith("<b>50 %</b> of the visible area will be scanned")
    dock.area.viewport = lambda: (600.0, 0.0, 1200.0, 1600.0)
    dock.refresh()
    assert not dock.start.isEnabled()
    assert dock.start.toolTip() == "Nothing of the visible area is left to scan: add area first."
    dock.begin()
    assert not dock.running


def test_what_a_detection_says_of_its_pace_counts(qtbot: Any, dock: DetectDock, fake: FakeDetect) -> None:  # noqa: F811
    def job(project: Any, run: Any) -> Any:
        from types import SimpleNamespace

        yield Progress(9, 10, "tiles")  # most of it was resin
        project.runs.finish(run.id, "finished")
        return SimpleNamespace(run_id=run.id, findings=0, seconds=1.0, status={"tiles_per_s": 2.5})

    fake.job = job  # type: ignore[method-assign]
    dock.start.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60000)
    assert tiles_per_second("abc") == 2.5


def test_finding_resin_that_fails_says_why_and_can_be_repeated(
    qtbot: Any, dock: DetectDock, session: Any, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    finder, card = dock.area.finder, dock.card

    def broken(*_: Any, **__: Any) -> Any:
        yield Progress(0, 1)
        raise SlideError("The slide's file is damaged.", hint="Copy it again.")

    with monkeypatch.context() as patch:
        patch.setattr("microscope_qc.slides.material.material_job", broken)
        finder.find(card)
        dock.refresh()
        assert finder.finding(card) and "Looking for resin" in dock.area.estimate.text()
        qtbot.waitUntil(lambda: not finder.finding(card))
    assert "could not be found: The slide's file is damaged. Copy it again." in dock.area.estimate.text()
    assert not finder.known(card)
    finder.find(card)
    qtbot.waitUntil(lambda: finder.known(card))
    assert finder.mask(card) is None and "Nothing here is clearly resin." in dock.area.estimate.text()


def test_what_was_found_for_one_project_is_not_kept_for_another(
    qtbot: Any, dock: DetectDock, session: Any, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    finder, card = dock.area.finder, dock.card
    finder.find(card)
    session.set_project(None)
    assert not finder.finding(card) and not finder.known(card)


def test_a_mask_that_is_too_large_to_be_written_at_once_is_written_all_the_same(
    qtbot: Any, dock: DetectDock, session: Any, jobs: Any, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    monkeypatch.setattr("microscope_qc.app.session.area_masks.AT_ONCE", 10)
    session.jobs = jobs
    key = f"area:{session.slide.id}"
    dock.area.masks.set("changed", part(rows=5))
    qtbot.waitUntil(lambda: session.project.settings.get(key) is not None)
    before = session.project.settings.get(key)
    dock.area.masks.set("drawn", part(rows=1))
    session.show_slide(session.project.slides[1].id)  # at once, when the slide is left
    assert session.project.settings.get(key)["changed"] == before[
        "changed"
    ] and "drawn" in session.project.settings.get(key)


def test_a_full_disk_is_said_and_nothing_is_lost(
    dock: DetectDock, session: Any, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    from microscope_qc.core.errors import ProjectError

    def full(key: str, value: object) -> None:
        raise ProjectError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(session.project.settings, "set", full)
        dock.area.masks.set("changed", part(rows=5))
        dock.area.masks.save()
    assert "The disk is full." in session.seen.notices[-1]
    assert dock.area.masks.get("changed") is not None
    dock.area.masks.save()
    assert session.project.settings.get(f"area:{session.slide.id}")["changed"]["shape"] == [12, 16]
