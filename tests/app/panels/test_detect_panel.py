"""The detection dock with a detection that obeys: finish, stop, fail, continue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile

pytest.importorskip("qtpy")
from panels_support import PIXEL_UM, SHAPE, findings
from qtpy.QtCore import QPoint, QRect
from qtpy.QtWidgets import QWidget

from microscope_qc.app.panels.detect.pace import USUAL_START_S, remember, remember_start, seconds_for, tiles_per_second
from microscope_qc.app.panels.detect.panel import DetectDock
from microscope_qc.app.panels.detect.plane import PlaneOnScreen
from microscope_qc.app.session.session import Session
from microscope_qc.core.errors import ModelError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Progress
from microscope_qc.project import Project
from microscope_qc.project.runs.plan import RunPlan
from microscope_qc.slides.display import ChannelView, DisplaySettings
from microscope_qc.slides.plane import Plane, StackPlace
from microscope_qc.workflows.detection.following import ChildProgress
from microscope_qc.workflows.detection.run import area_key

pytestmark = pytest.mark.window

CARD = SimpleNamespace(
    name="test-net", task="detect", architecture="ssd", network={}, tile_px=256, overlap_px=0,
    pixel_size_um=PIXEL_UM, trained_at_um=None, trained_on="Trained on drawn "
    "examples.", classes=["ACP"], fingerprint="abc", metrics={}, confidence=0.5,
)  # fmt: skip


class FakeDetect:
    """Brings two findings per tile; ``fail_at`` raises there; ``endless`` goes on until it is stopped."""

    def __init__(self) -> None:
        self.calls: list[SimpleNamespace] = []
        self.resumed: list[int] = []
        self.fail_at: int | None = None
        self.endless = False
        self.closed = 0

    def __call__(
        self, project: Any, slide_id: int, model: str, *, region: Any, device: str, fresh: bool, everything: bool,
        mask: Any, plane: Any = None, first: Any = None,
    ) -> Any:  # fmt: skip
        self.calls.append(
            SimpleNamespace(
                slide_id=slide_id,
                model=model,
                region=region,
                fresh=fresh,
                everything=everything,
                mask=mask,
                plane=plane,
            )
        )
        key = area_key(everything=everything, mask=mask)
        stored = None if plane is None else plane.to_dict()
        plan = RunPlan(model=model, region=region or Region(0, 0, *SHAPE), area=key, plane=stored)
        return self.job(project, project.runs.start(slide_id, plan))

    def resume(self, project: Any, run_id: int, *, first: Any = None) -> Any:
        self.resumed.append(run_id)
        return self.job(project, project.runs.finish(run_id, "running"))

    def job(self, project: Any, run: Any) -> Any:
        state = "stopped"
        tile = 0
        try:
            while self.endless or tile < 10:
                if tile == self.fail_at:
                    state = "failed"
                    raise ModelError("The model's weights are missing.", hint="Copy the model again.")
                project.runs.add_findings(run.id, findings(project.classes, count=2, seed=tile, run_id=run.id))
                tile += 1
                yield Progress(min(tile, 9) if self.endless else tile, 10, "tiles")
            state = "finished"
            return SimpleNamespace(run_id=run.id, tiles=10, findings=20, seconds=3.2)
        finally:
            self.closed += 1
            project.runs.finish(run.id, state)


@pytest.fixture
def fake() -> FakeDetect:
    return FakeDetect()


@pytest.fixture
def dock(qtbot: Any, session: Any, jobs: Any, fake: FakeDetect) -> DetectDock:
    made = DetectDock(session, jobs, detect=fake, resume=fake.resume, models=lambda: [CARD])
    qtbot.addWidget(made)
    made.resize(340, 620)
    with qtbot.waitExposed(made):
        made.show()
    return made


def test_it_says_what_the_model_knows(dock: DetectDock) -> None:
    assert dock.models.about.text() == "Trained on drawn examples. For your slides: label about 50, then train."
    assert "35 tiles" in dock.area.estimate.text() and "known after the first tiles" in dock.area.estimate.text()


def test_a_detection_that_finishes(qtbot: Any, dock: DetectDock, session: Any, project: Any, fake: FakeDetect) -> None:
    before = len(session.table)
    dock.start.click()
    assert dock.running and dock.stop.isVisible() and not dock.start.isVisible()
    qtbot.waitUntil(lambda: not dock.running, timeout=60000)
    assert len(session.table) == before + 20
    assert "Done: 20 findings in 0:03" in dock.story.text()
    assert project.runs[-1].state == "finished"
    call = fake.calls[0]
    assert (call.model, call.region, call.fresh) == ("test-net", None, False)
    assert dock.start.text() == "Detect again" and dock.start.isVisible()
    assert dock.runs.topLevelItemCount() == 1
    assert [dock.runs.topLevelItem(0).text(column) for column in range(1, 4)] == ["whole", "20", "20"]


def test_start_and_stop_stay_where_they_are(qtbot: Any, dock: DetectDock, fake: FakeDetect) -> None:
    """Whatever is said above them and on them: a second click must not meet another button."""

    def place(button: QWidget) -> QRect:
        qtbot.wait(1)  # what was said is laid out
        return QRect(button.mapTo(dock, QPoint(0, 0)), button.size())

    ready = place(dock.start)
    fake.endless = True
    dock.start.click()
    assert place(dock.stop) == ready
    qtbot.waitUntil(lambda: dock.progress.found > 0)
    assert place(dock.stop) == ready
    dock.stop.click()
    qtbot.waitUntil(lambda: not dock.running)
    assert dock.start.text() == "Continue" and place(dock.start) == ready
    fake.endless = False
    dock.start.click()
    qtbot.waitUntil(lambda: not dock.running)
    assert dock.start.text() == "Detect again" and place(dock.start) == ready


def test_a_finished_detection_is_repeated_only_when_asked(qtbot: Any, dock: DetectDock, fake: FakeDetect) -> None:
    dock.start.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60000)
    dock.start.click()
    assert [call.fresh for call in fake.calls] == [False, True]
    qtbot.waitUntil(lambda: not dock.running, timeout=60000)


def test_findings_and_time_left_are_said_while_it_runs(qtbot: Any, dock: DetectDock, fake: FakeDetect) -> None:
    fake.endless = True
    dock.start.click()
    qtbot.waitUntil(lambda: "findings so far" in dock.story.text() and "%" in dock.story.text(), timeout=60000)
    assert dock.progress.bar.isVisible() and dock.progress.bar.value() > 0
    assert dock.runs.topLevelItem(0).text(0).endswith(", detecting")
    dock.cancel()
    qtbot.waitUntil(lambda: not dock.running, timeout=60000)


def test_stopping_keeps_the_findings_and_offers_to_continue(
    qtbot: Any, dock: DetectDock, session: Any, project: Any, fake: FakeDetect
) -> None:
    fake.endless = True
    before = len(session.table)
    dock.start.click()
    qtbot.waitUntil(lambda: len(session.table) > before, timeout=60000)
    dock.stop.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60000)
    assert fake.closed == 1 and project.runs[-1].state == "stopped"
    assert len(session.table) > before
    assert dock.story.text().startswith("Stopped.")
    assert dock.start.text() == "Continue" and dock.start_over.isVisible()
    fake.endless = False
    dock.start.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60000)
    (run,) = project.runs
    assert len(fake.calls) == 1 and fake.resumed == [run.id] and run.state == "finished"
    project.runs.finish(run.id, "stopped")
    dock.runs.setCurrentItem(dock.runs.topLevelItem(0))
    assert dock.continue_run.isEnabled()
    dock.continue_run.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60000)
    assert len(fake.calls) == 1 and fake.resumed == [run.id, run.id]


def test_a_failure_is_a_sentence_and_the_dock_lives(
    qtbot: Any, dock: DetectDock, project: Any, fake: FakeDetect
) -> None:
    fake.fail_at = 3
    dock.start.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60000)
    assert dock.story.text() == "The model's weights are missing. Copy the model again."
    assert project.runs[-1].state == "failed"
    fake.fail_at = None
    dock.start_over.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60000)
    assert fake.calls[-1].fresh is True
    assert "Done" in dock.story.text()


def test_a_detection_that_cannot_start_says_why(qtbot: Any, session: Any, jobs: Any) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise ModelError("There is no model test-net.", hint="Give a model's folder.")

    dock = DetectDock(session, jobs, detect=refuse, models=lambda: [CARD])
    qtbot.addWidget(dock)
    dock.begin()
    assert not dock.running
    assert dock.story.text() == "There is no model test-net. Give a model's folder."


def test_without_a_model_start_says_why_not(qtbot: Any, session: Any, jobs: Any) -> None:
    dock = DetectDock(session, jobs, models=lambda: [])
    qtbot.addWidget(dock)
    assert not dock.start.isEnabled() and dock.start.toolTip() == "No model is installed."


def test_a_missing_pixel_size_is_asked_here(qtbot: Any, dock: DetectDock, session: Any, project: Any) -> None:
    from panels_support import write_picture

    slide = project.slides.add(write_picture(project.path.parent / "bare.png", seed=9))
    slide = slide[0] if isinstance(slide, list | tuple) else slide
    session.show_slide(slide.id)
    assert dock.pixel_row.isVisible() and not dock.start.isEnabled()
    assert "pixel size" in dock.start.toolTip()
    dock.pixel_row.number.setValue(0.25)
    dock.pixel_row.button.click()
    assert session.slide.pixel_size_um == (0.25, 0.25)
    assert not dock.pixel_row.isVisible() and dock.start.isEnabled()


def test_the_time_is_said_before_and_the_visible_area_offered(dock: DetectDock, session: Any, fake: FakeDetect) -> None:
    remember("abc", 1.0)
    remember_start(0.2)
    dock.refresh()
    assert "0:35" in dock.area.estimate.text() and "visible" not in dock.area.estimate.text()
    remember("abc", 0.01)
    dock.area.viewport = lambda: (-50.0, 100.4, 255.5, 355.2)
    dock.refresh()
    assert (
        "58:20" in dock.area.estimate.text() and "Try the visible area first: about 1:40" in dock.area.estimate.text()
    )
    dock.area.visible.setChecked(True)
    assert "The visible area takes at most about <b>1:40</b>" in dock.area.estimate.text()
    fake.endless = True
    dock.start.click()
    assert fake.calls[-1].region == Region(0, 100, 256, 356)
    dock.cancel()


def test_the_pace_is_measured(qtbot: Any, dock: DetectDock) -> None:
    assert tiles_per_second("abc") is None
    dock.start.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60000)
    # ten tiles may come in one slice, where there is nothing to measure; a pace that is stored is a real one
    pace = tiles_per_second("abc")
    assert pace is None or pace > 0


def test_the_time_to_load_counts(qtbot: Any, dock: DetectDock, session: Any, fake: FakeDetect) -> None:
    assert seconds_for(35, "abc") is None, "how long a model takes is not guessed"
    remember("abc", 1.0)
    dock.refresh()
    assert USUAL_START_S == 8 and "about <b>0:43</b> (35 tiles)" in dock.area.estimate.text()

    def job(project: Any, run: Any) -> Any:
        yield Progress(9, 10, "tiles")
        project.runs.finish(run.id, "finished")
        last = {"seconds": 60.0, "starting_s": 21.0, "tiles": 70, "working_s": 35.0, "computed_s": 1, "waited_s": 1}
        status = {"tiles_per_s": 9.0, "starts": [{"seconds": 65.0, "starting_s": 4.0}, last]}
        return SimpleNamespace(run_id=run.id, findings=3, seconds=60.0, seconds_before=65.0, status=status)

    fake.job = job  # type: ignore[method-assign]
    dock.start.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60000)
    assert "in 1:00 (2:05 including earlier starts)" in dock.story.text()
    # the last start says what this computer does now: 35 tiles at 2 tiles/s, and 21 s to load
    assert "about <b>0:38</b> (35 tiles)" in dock.area.estimate.text()
    remember_start(float("nan"))
    remember_start(-3.0)
    assert seconds_for(35, "abc") == 38.5


def test_pace_and_device_are_said_while_it_runs(qtbot: Any, dock: DetectDock, fake: FakeDetect) -> None:
    def job(project: Any, run: Any) -> Any:
        try:
            while True:
                yield ChildProgress(3, 10, "tiles", "2 new findings; 31 tiles/s on <card>", "31 tiles/s on <card>")
        finally:
            project.runs.finish(run.id, "stopped")

    fake.job = job  # type: ignore[method-assign]
    dock.start.click()
    qtbot.waitUntil(lambda: dock.story.text().endswith("3 of 10 tiles<br>31 tiles/s on &lt;card&gt;"))
    dock.cancel()
    qtbot.waitUntil(lambda: not dock.running)


def test_the_check_box_hides_and_shows_the_findings_of_a_run(qtbot: Any, dock: DetectDock, session: Any) -> None:
    from qtpy.QtCore import Qt

    before = len(session.shown_rows())
    dock.start.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60000)
    assert len(session.shown_rows()) == before + 20
    dock.runs.topLevelItem(0).setCheckState(0, Qt.CheckState.Unchecked)
    assert len(session.shown_rows()) == before
    dock.runs.topLevelItem(0).setCheckState(0, Qt.CheckState.Checked)
    assert len(session.shown_rows()) == before + 20


def test_a_model_of_the_users_own_is_remembered(
    qtbot: Any, session: Any, jobs: Any, tmp_path: Any, fake: FakeDetect
) -> None:
    own = tmp_path / "my-net"
    own.mkdir()
    mine = SimpleNamespace(**{**vars(CARD), "name": "my-net", "fingerprint": "mine"})
    options = dict(detect=fake, models=lambda: [CARD], load_model=lambda _: mine, choose_folder=lambda _: str(own))
    dock = DetectDock(session, jobs, **options)
    qtbot.addWidget(dock)
    dock.models.other.click()
    assert dock.card is mine
    dock.begin()
    assert fake.calls[-1].model == str(own)
    qtbot.waitUntil(lambda: not dock.running, timeout=60000)
    again = DetectDock(session, jobs, **options)
    qtbot.addWidget(again)
    assert [again.models.list.itemText(i) for i in range(again.models.list.count())] == ["test-net", "my-net"]


def test_of_an_ordinary_slide_no_plane_is_named(qtbot: Any, dock: DetectDock, fake: FakeDetect) -> None:
    assert not dock.looks_at.isVisible(), "an ordinary slide has one picture only"
    dock.start.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60000)
    assert fake.calls[0].plane is None


@pytest.fixture
def stack_session(tmp_path: Path, qtbot: Any) -> Iterator[Any]:
    """A slide of two detectors and three focus planes."""
    pixels = np.zeros((3, 2, *SHAPE), np.uint8)
    names = {"axes": "ZCYX", "Channel": {"Name": ["SE2", "BSE"], "Color": [-1, -1]}}
    tifffile.imwrite(tmp_path / "stack.ome.tif", pixels, metadata=names, compression="zlib")
    project = Project.create(tmp_path / "stack.mqc", slides=[tmp_path / "stack.ome.tif"])
    project.slides.set_pixel_size(1, PIXEL_UM)
    made = Session()
    made.set_project(project)
    yield made
    made.set_project(None)


def test_the_chosen_plane_is_told_to_the_detection(qtbot: Any, stack_session: Any, jobs: Any, fake: FakeDetect) -> None:
    dock = DetectDock(stack_session, jobs, detect=fake, resume=fake.resume, models=lambda: [CARD])
    qtbot.addWidget(dock)
    with qtbot.waitExposed(dock):
        dock.show()
    view = stack_session.slide_view
    assert dock.looks_at.text() == "Looks at what is shown: channel SE2, focus plane 1 of 3."
    dock.start.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60000)
    assert fake.calls[0].plane is None, "what is shown without a choice is read without one"
    assert dock.start.text() == "Detect again"
    shown = DisplaySettings((ChannelView(visible=False), ChannelView(visible=True)), place=StackPlace(z=2))
    view.set_display(shown)
    qtbot.waitUntil(lambda: dock.looks_at.text() == "Looks at what is shown: channel BSE, focus plane 3 of 3.")
    assert dock.start.text() == "Start", "that detection looked at another plane"
    dock.start.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60000)
    assert fake.calls[1].plane == Plane(StackPlace(z=2), (1,))
    assert dock.start.text() == "Detect again"


def test_of_several_slides_each_is_looked_at_as_it_is_shown(stack_session: Any, tmp_path: Path) -> None:
    project, view = stack_session.project, stack_session.slide_view
    tifffile.imwrite(tmp_path / "plain.tif", np.zeros(SHAPE, np.uint8))
    project.slides.add(tmp_path / "plain.tif")
    stack, plain = project.slides
    plane = PlaneOnScreen(stack_session)
    plane_of = plane.of_each([stack, plain])
    assert plane_of(stack) is None and plane_of(plain) is None
    view.set_display(DisplaySettings(place=StackPlace(z=1)))
    plane_of = plane.of_each([stack, plain])
    assert plane_of(stack) == Plane(StackPlace(z=1), (0,)) == plane.of_slide()
    assert plane_of(plain) is None
    view.set_display(DisplaySettings((ChannelView(visible=True), ChannelView(visible=False))))
    assert plane.of_each([stack])(stack) is None, "chosen, but the same as without a choice"
    assert plane.words(several=True) == "Looks at every slide as it is shown."
