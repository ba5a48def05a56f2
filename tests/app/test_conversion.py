"""Slides without overview levels: the offer, the conversion in a child process, and use of the copy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from microscope_qc.app.shell.conversion import Conversions, OfferBar, plan_words
from microscope_qc.core.boxes import make_rows
from microscope_qc.core.errors import SlideError
from microscope_qc.core.jobs import run_job
from microscope_qc.slides.pyramid.part import part_folder
from microscope_qc.workflows.conversion.child import ConversionPlan, _as_one, convert_in_child, plan_conversion

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A session on a project of one picture that counts as too large to be read whole."""
    from PIL import Image

    from microscope_qc.app.session.session import Session
    from microscope_qc.project import Project

    monkeypatch.setattr("microscope_qc.slides.preview.WHOLE_PX", 1000)
    pixels = np.random.default_rng(0).integers(0, 255, (700, 900, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "S1.png")
    project = Project.create(tmp_path / "P.mqc", slides=[tmp_path / "S1.png"])
    project.boxes.add(project.slides[0].id, make_rows(1, y0=5, y1=50, x0=7, x1=80, class_id=1), title="Draw")
    made = Session()
    made.set_project(project)
    yield made
    made.set_project(None)


@pytest.fixture
def offers(session: Any, qtbot: QtBot) -> Iterator[Any]:
    """The conversions of that session, their bar on screen, and the slide shown again."""
    from microscope_qc.app.base.jobs import JobRunner

    jobs, bar = JobRunner(), OfferBar()
    qtbot.addWidget(bar)
    made = Conversions(session, jobs, bar)
    made.jobs = jobs  # type: ignore[attr-defined]
    notices: list[str] = []
    made.notices = notices  # type: ignore[attr-defined]
    session.notice.connect(notices.append)
    session.mosaic_changed.emit()
    yield made
    jobs.close()


def test_writing_and_checking_are_one_progress(session: Any, tmp_path: Path) -> None:
    slide = session.slide
    out = tmp_path / "copy.ome.zarr"
    shares = [progress.fraction for progress in convert_in_child(slide, out)]
    assert shares == sorted(shares)
    steps = [{}, {"unit": "tiles", "done": 4, "total": 4}, {"unit": "files", "done": 0, "total": 9, "note": "checking"}]
    shown = [_as_one(status) for status in [*steps, {"unit": "files", "done": 9, "total": 9}]]
    assert shown[0].total == 0
    assert shown[1].fraction == shown[2].fraction
    assert shown[2].note == "checking"
    assert shown[3].fraction == 1


def test_offered_converted_used_and_undone(offers: Any, session: Any, qtbot: QtBot, tmp_path: Path) -> None:
    bar, project, slide = offers.bar, session.project, session.slide
    qtbot.waitUntil(bar.isVisible)
    assert "no overview levels" in bar.text
    assert "1.9 MB of pixels" in bar.text
    assert "2.5 MB" in bar.text
    QTest.mouseClick(bar.accept_button, LEFT)
    assert not bar.isVisible()
    assert [handle.title for handle in offers.jobs.running] == ["Converting S1"]
    offers.propose()
    assert offers.notices[-1] == "S1 is already being converted."
    qtbot.waitUntil(lambda: bar.isVisible() or not offers.jobs.running, timeout=120_000)
    assert (tmp_path / "S1.ome.zarr").is_dir(), offers.notices
    qtbot.waitUntil(bar.isVisible)
    assert bar.accept_button.text() == "Use it"
    before = session.mosaic.read_rgb8
    QTest.mouseClick(bar.accept_button, LEFT)
    assert session.slide.id == slide.id
    assert session.slide.path == tmp_path / "S1.ome.zarr"
    assert len(session.mosaic.levels) > 1
    assert session.table.rows["x1"].tolist() == [80.0]
    from microscope_qc.core.geometry import Region

    region = Region(100, 200, 300, 400)
    np.testing.assert_array_equal(session.mosaic.read_rgb8(region), before(region))
    assert project.history.undo_title == "Use the fast copy of S1"
    session.undoing.undo()
    assert session.slide.path == tmp_path / "S1.png"
    qtbot.waitUntil(lambda: bar.isVisible() and "already a fast copy" in bar.text)
    QTest.mouseClick(bar.accept_button, LEFT)
    assert session.slide.path == tmp_path / "S1.ome.zarr"


def test_not_now_is_remembered_and_the_action_asks_all_the_same(
    offers: Any, session: Any, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    bar = offers.bar
    qtbot.waitUntil(bar.isVisible)
    QTest.mouseClick(bar.later_button, LEFT)
    with monkeypatch.context() as patch:
        patch.setattr(offers, "propose", lambda **_: pytest.fail("offered again"))
        session.mosaic_changed.emit()
    assert session.slide_view.no_conversion
    offers.propose()
    qtbot.waitUntil(bar.isVisible)
    assert "at every zoom" in bar.text
    assert not offers.jobs.running


def test_a_slide_with_levels_is_not_offered(
    offers: Any, session: Any, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    qtbot.waitUntil(offers.bar.isVisible)
    monkeypatch.setattr("microscope_qc.slides.preview.WHOLE_PX", 32_000_000)
    slide_id = session.slide.id
    session.show_slide(None)
    assert not offers.bar.isVisible()
    planned: list[object] = []
    monkeypatch.setattr(offers, "propose", lambda **_: planned.append(1))
    session.show_slide(slide_id)
    assert planned == []


def test_stopped_it_says_so_and_leaves_nothing_running(offers: Any, session: Any, qtbot: QtBot, tmp_path: Path) -> None:
    bar = offers.bar
    qtbot.waitUntil(bar.isVisible)
    QTest.mouseClick(bar.accept_button, LEFT)
    (handle,) = offers.jobs.running
    unfinished = part_folder(tmp_path / "S1.ome.zarr")
    unfinished.mkdir()  # the slide is too small for the child to have left something
    handle.cancel()
    qtbot.waitUntil(lambda: not offers.jobs.running, timeout=60_000)
    assert "was stopped" in offers.notices[-1]
    qtbot.waitUntil(lambda: not unfinished.exists())
    assert not (tmp_path / "S1.ome.zarr").exists()
    assert not bar.isVisible()


def test_a_project_closed_meanwhile_is_left_alone(offers: Any, session: Any, qtbot: QtBot) -> None:
    bar, project = offers.bar, session.project
    qtbot.waitUntil(bar.isVisible)
    slide, mosaic = session.slide, session.mosaic
    plan = plan_conversion(slide, mosaic)
    facts = run_job(convert_in_child(slide, plan.out))
    session.set_project(None)
    assert not bar.isVisible()
    offers._on_converted(project, slide, facts)
    assert not bar.isVisible()
    offers.use(project, slide.id, facts)
    assert "no longer open" in offers.notices[-1]


def test_a_child_that_fails_says_why(session: Any, tmp_path: Path) -> None:
    (tmp_path / "S1.png").write_bytes(b"no picture")
    with pytest.raises(SlideError, match=r"ended early.*S1\.png") as caught:
        run_job(convert_in_child(session.slide, tmp_path / "out.ome.zarr"))
    assert "continue from there" in caught.value.hint


def test_another_slide_of_the_same_name_is_not_used(session: Any, tmp_path: Path) -> None:
    from PIL import Image

    from microscope_qc.workflows.conversion.convert import convert

    Image.new("RGB", (900, 700), (9, 9, 9)).save(tmp_path / "other.png")
    run_job(convert(tmp_path / "other.png", tmp_path / "S1.ome.zarr"))
    (tmp_path / "S1 (2).ome.zarr").mkdir()
    plan = plan_conversion(session.slide, session.mosaic)
    assert plan.out == tmp_path / "S1 (3).ome.zarr"
    assert plan.copy is None


def test_a_folder_that_cannot_be_written_sends_it_to_the_documents(
    session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = tmp_path / "Documents"
    monkeypatch.setattr("microscope_qc.workflows.conversion.child.documents_folder", lambda: documents)
    writable = {tmp_path: False, documents: True}
    monkeypatch.setattr("microscope_qc.workflows.conversion.child._writable", lambda folder: writable[folder])
    documents.mkdir()
    assert plan_conversion(session.slide, session.mosaic).out == documents / "S1.ome.zarr"
    writable[documents] = False
    with pytest.raises(SlideError, match="nowhere"):
        plan_conversion(session.slide, session.mosaic)


def test_a_full_disk_is_told_before_the_conversion() -> None:
    plan = ConversionPlan(Path("/d/S1.ome.zarr"), 100, 133, 50)
    assert "may not be enough" in plan_words("S1", plan, asked=False)
