"""Score map, comparison and the page of a detection, below the list of detections."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("qtpy")
from learning_toys import untrained_classifier
from panels_support import SHAPE

from microscope_qc.app.base.score_colours import coloured, scale_colours, scale_top
from microscope_qc.app.panels.detect.about_run import RunFacts, area_text, lines_of, read_facts
from microscope_qc.app.panels.detect.compare import CompareStrip
from microscope_qc.app.panels.detect.details import RunDetails
from microscope_qc.app.panels.detect.runs import RunList
from microscope_qc.app.session.comparison import BOTH, FIRST, SECOND
from microscope_qc.core.area_mask import AreaMask
from microscope_qc.core.boxes import ReviewState, make_rows
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.project.runs.heatmap import HEAT_NAME, HeatMap
from microscope_qc.project.runs.journal import JournalWriter, write_status
from microscope_qc.project.runs.map_card import MapCard
from microscope_qc.project.runs.mask_files import write_mask
from microscope_qc.project.runs.plan import RunPlan

pytestmark = pytest.mark.window

CELLS = MapCard((0.0, 0.0), (100.0, 100.0), (12, 16), ("ACP", "AOP"))


def add_run(
    project: Any, boxes: list[tuple[float, float, float, float]] | None = None, *, name: str = "net",
    region: list[int] | None = None,
) -> Any:  # fmt: skip
    """A finished run over the first slide; boxes are y, x, side, confidence."""
    slide = project.slides[0]
    plan = RunPlan(
        model=name, region=region or [0, 0, *SHAPE], tile_px=400, overlap_px=0, classes=["ACP", "AOP"],
        class_names=["Anode carbon", "Anode oxide"],
    )  # fmt: skip
    run = project.runs.start(slide.id, plan)
    if boxes:
        y, x, side, confidence = np.array(boxes, float).T
        columns = {"y0": y, "x0": x, "y1": y + side, "x1": x + side, "confidence": confidence}
        project.runs.add_findings(run.id, make_rows(len(y), class_id=project.classes[0].id, **columns))
    return project.runs.finish(run.id, "finished")


def warm(run: Any, *, score: float = 0.5, row: int = 2, column: int = 3, label: int = 1) -> HeatMap:
    """A map whose upper half was scanned; one cell has a score."""
    heat = HeatMap.create(run.folder, CELLS)
    values = np.zeros((2, 6, 16), np.float32)
    values[label, row, column] = score
    heat.add(Region(0, 0, 600, 1600), values, start_px=(0, 0), step_px=(100, 100))
    heat.flush()
    return heat


@pytest.fixture
def details(qtbot: Any, session: Any, jobs: Any) -> RunDetails:
    """List and details, one below the other."""
    runs = RunList(session)
    made = RunDetails(session, jobs, runs)
    made.runs = runs  # type: ignore[attr-defined]
    for widget in (made, runs):
        qtbot.addWidget(widget)
        widget.show()
    return made


# -- score map ---------------------------------------------------------------------------------------------------------


def test_colours_follow_the_scores_and_leave_out_what_was_not_scanned() -> None:
    scores = np.array([[0.0, 0.05, 0.1], [np.nan, 0.2, 0.19]], np.float32)
    assert scale_top(scores) == 0.2 and scale_top(np.full((2, 2), np.nan)) == 0.05 and scale_top(scores * 4) == 1.0
    pixels = coloured(scores, top=0.2)
    assert (
        pixels[0, 0].tolist() == scale_colours()[0].tolist() and pixels[1, 1].tolist() == scale_colours()[-1].tolist()
    )
    assert pixels[..., 3].tolist() == [[255] * 3, [0, 255, 255]]
    light = scale_colours()[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) > -0.6).all() and light[-1] - light[0] > 150, "lighter all the way: it can be read in grey"


def test_a_score_map_is_switched_on_where_there_is_one(qtbot: Any, details: RunDetails, project: Any) -> None:
    panel, scores = details.score_panel, details.scores
    assert not panel.switch.isEnabled() and panel.switch.toolTip() == "Select a detection."
    with_map, without = add_run(project, name="windows"), add_run(project)
    warm(with_map)
    details.runs.setCurrentItem(details.runs.topLevelItem(0))
    qtbot.waitUntil(lambda: scores.run == without and not scores._busy)
    assert not panel.switch.isEnabled() and "has no score map" in panel.switch.toolTip()
    assert not panel.classes.isVisible()

    details.runs.setCurrentItem(details.runs.topLevelItem(1))
    qtbot.waitUntil(panel.switch.isEnabled)
    panel.switch.click()
    qtbot.waitUntil(lambda: scores.shown)
    assert scores.top == 0.5 and scores.whole is not None
    assert scores.whole.bounds_px == (0, 0, *SHAPE) and scores.whole.cell_px == (100.0, 100.0)
    assert (scores.whole.pixels[..., 3] > 0).tolist() == [[row < 6] * 16 for row in range(12)]
    assert scores.whole.pixels[2, 3].tolist() == scale_colours()[-1].tolist()
    assert [panel.classes.itemText(i) for i in range(3)] == ["All classes", "ACP  Anode carbon", "AOP  Anode oxide"]

    panel.classes.setCurrentIndex(1)
    qtbot.waitUntil(lambda: scores.top < 0.1)
    panel.strength.setValue(80)
    assert scores.strength == 0.8
    details.runs.setCurrentItem(details.runs.topLevelItem(0))
    assert not scores.shown and scores.whole is None
    qtbot.waitUntil(lambda: not scores._busy)
    assert not panel.switch.isChecked() and not panel.classes.isVisible()
    details.runs.setCurrentItem(details.runs.topLevelItem(1))
    qtbot.waitUntil(lambda: scores.shown)
    assert panel.switch.isChecked() and panel.classes.currentIndex() == 0


def test_a_map_that_grows_is_read_again_until_the_detection_ends(
    qtbot: Any, details: RunDetails, project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("microscope_qc.app.session.score_map.AGAIN_MS", 20)
    run = project.runs.finish(add_run(project).id, "running")
    details.runs.set_running(run.id)
    scores = details.scores
    qtbot.waitUntil(lambda: scores.run is not None and not scores._busy)
    assert not scores.there
    heat = warm(run)
    qtbot.waitUntil(lambda: scores.there)
    details.score_panel.switch.click()
    qtbot.waitUntil(lambda: scores.shown)
    values = np.full((2, 6, 16), 0.9, np.float32)
    heat.add(Region(600, 0, 1200, 1600), values, start_px=(0, 0), step_px=(100, 100))
    heat.flush()
    qtbot.waitUntil(lambda: scores.whole.pixels[..., 3].all() and scores.top == 1.0)
    project.runs.finish(run.id, "finished")
    details.runs.set_running(None)
    qtbot.waitUntil(lambda: not scores._busy and not scores._dirty)
    assert not scores._again.isActive()


def test_a_damaged_map_says_so(qtbot: Any, details: RunDetails, project: Any) -> None:
    run = add_run(project)
    warm(run)
    (run.folder / HEAT_NAME).write_bytes(b"nothing")
    details.scores.read()
    qtbot.waitUntil(lambda: "damaged" in details.score_panel.switch.toolTip())
    assert not details.score_panel.switch.isEnabled()


def test_when_zoomed_in_single_cells_are_read(
    qtbot: Any, details: RunDetails, project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("microscope_qc.app.session.score_map.LONGEST_PX", 4)
    warm(add_run(project))
    scores = details.scores
    qtbot.waitUntil(lambda: scores.there or (scores.read() or False))
    details.score_panel.switch.click()
    qtbot.waitUntil(lambda: scores.shown)
    assert scores.whole.joined and scores.whole.cell_px == (400.0, 400.0)
    scores.set_view((210.0, 310.0, 260.0, 380.0), 8.0)
    qtbot.waitUntil(lambda: scores.detail is not None)
    assert not scores.detail.joined and scores.detail.bounds_px == (100.0, 200.0, 300.0, 400.0)
    assert scores.detail.pixels[1, 1].tolist() == scale_colours()[-1].tolist()
    scores.set_view((0.0, 0.0, 1200.0, 1600.0), 0.001)
    qtbot.waitUntil(lambda: scores.detail is None)


# -- comparison --------------------------------------------------------------------------------------------------------

FIRST_BOXES = [(100, 100, 40, 0.9), (300, 100, 40, 0.6), (500, 100, 40, 0.9), (700, 100, 40, 0.3)]
SECOND_BOXES = [(102, 101, 40, 0.8), (300, 102, 40, 0.4), (900, 100, 40, 0.7)]


@pytest.fixture
def compared(qtbot: Any, details: RunDetails, project: Any, session: Any) -> RunDetails:
    """Two runs are compared; the first is switched off, as it is when the same is detected again."""
    first, _ = add_run(project, FIRST_BOXES, name="old"), add_run(project, SECOND_BOXES, name="new")
    project.runs.show(first.id, False)
    details.runs.setCurrentItem(details.runs.topLevelItem(1))
    details.compare.fill()
    (action,) = details.compare.menu().actions()
    assert action.text().startswith("new, ") and action.text().endswith("(3 findings)")
    action.trigger()
    qtbot.waitUntil(lambda: details.comparison.counts is not None)
    strip = CompareStrip(details.comparison)
    qtbot.addWidget(strip)
    details.strip = strip  # type: ignore[attr-defined]
    return details


def shown_places(session: Any) -> list[tuple[float, float]]:
    """y and confidence of what is shown, from top to bottom."""
    rows = session.shown_rows()
    return sorted((y, round(confidence, 2)) for y, confidence in rows[["y0", "confidence"]].tolist())


def test_two_detections_are_compared(compared: RunDetails, session: Any) -> None:
    strip, comparison = compared.strip, compared.comparison
    assert comparison.counts == {BOTH: 2, FIRST: 2, SECOND: 1} and comparison.found == (4, 3)
    assert [chip.text() for chip in strip.chips.values()] == ["Both  2", "Only A  2", "Only B  1"]
    assert strip.first.text() == "A   old: 4 findings" and strip.second.text() == "B   new: 3 findings"
    assert [compared.runs.topLevelItem(i).text(0) for i in range(2)] == ["B   new", "A   old"]
    assert [y for y, _ in shown_places(session)] == [102, 300, 500, 700, 900], "nothing of others, twins once"
    assert session.filter_active

    strip.chips[BOTH].click()
    assert [y for y, _ in shown_places(session)] == [500, 700, 900]
    strip.chips[FIRST].click()
    assert [y for y, _ in shown_places(session)] == [900]
    strip.chips[SECOND].click()
    assert len(session.shown_rows()) == 0
    strip.chips[BOTH].click()
    assert shown_places(session) == [(102, 0.8), (300, 0.4)], "as the one says that is switched on"
    strip.end.click()
    assert not comparison.active and not strip.isVisible() and not session.filter_active
    assert len(session.shown_rows()) == 12 + 3, "what was there before, and the run that is switched on"
    assert compared.runs.topLevelItem(1).text(0) == "old"


def test_the_confidence_counts_before_findings_are_matched(qtbot: Any, compared: RunDetails, session: Any) -> None:
    comparison = compared.comparison
    session.set_confidence_limit(0.5)
    # the second finding of the new one is too weak now: the old one alone has it
    qtbot.waitUntil(lambda: comparison.counts == {BOTH: 1, FIRST: 2, SECOND: 1})
    assert [y for y, _ in shown_places(session)] == [102, 300, 500, 900]
    weak = session.table.rows["id"][session.table.rows["y0"] == 700]
    session.project.boxes.edit(weak, title="Confirm", state=ReviewState.CONFIRMED)
    qtbot.waitUntil(lambda: comparison.counts == {BOTH: 1, FIRST: 3, SECOND: 1})
    session.editing.delete(session.table.rows["id"][session.table.rows["y0"] == 102])
    qtbot.waitUntil(lambda: comparison.counts == {BOTH: 0, FIRST: 3, SECOND: 1})


def test_what_ends_a_comparison(qtbot: Any, compared: RunDetails, session: Any, project: Any) -> None:
    session.clear_filter()
    assert not compared.comparison.active and not session.filter_active
    first, second = project.runs
    compared.comparison.start(first.id, second.id)
    qtbot.waitUntil(lambda: compared.comparison.counts is not None)
    session.show_slide(project.slides[1].id)
    assert not compared.comparison.active
    session.show_slide(project.slides[0].id)
    assert len(session.shown_rows()) == 12 + 3
    compared.comparison.start(first.id, second.id)
    compared.comparison.end()  # before the answer is there
    qtbot.waitUntil(lambda: not compared.comparison._busy)
    assert len(session.shown_rows()) == 12 + 3


def test_only_what_both_scanned_is_compared(qtbot: Any, details: RunDetails, project: Any, session: Any) -> None:
    first, second = add_run(project, FIRST_BOXES), add_run(project, FIRST_BOXES[:2], region=[0, 0, 400, 1600])
    add_run(project, FIRST_BOXES[2:], region=[400, 0, 800, 1600])
    details.comparison.start(first.id, second.id)
    qtbot.waitUntil(lambda: details.comparison.counts == {BOTH: 2, FIRST: 0, SECOND: 0})
    assert [y for y, _ in shown_places(session)] == [100, 300]
    strip = CompareStrip(details.comparison)
    qtbot.addWidget(strip)
    assert strip.first.text().endswith(": 2 findings + 2 where only A scanned")
    details.runs.setCurrentItem(details.runs.topLevelItem(0))
    details.compare.fill()
    details.compare.menu().actions()[0].trigger()  # with the second
    assert "different parts of the slide" in session.seen.notices[-1]
    assert [run.id for run in details.comparison.runs] == [first.id, second.id], "the one before goes on"


def test_findings_where_the_other_did_not_scan_are_counted_and_shown_when_asked(
    qtbot: Any, details: RunDetails, project: Any, session: Any
) -> None:
    first, second = add_run(project, FIRST_BOXES), add_run(project, SECOND_BOXES)
    upper = np.arange(12)[:, None] < np.full(16, 6)  # the second scanned the upper half
    write_mask(second.folder, AreaMask(Region(0, 0, *SHAPE), (100.0, 100.0), upper))
    details.comparison.start(first.id, second.id)
    comparison, strip = details.comparison, CompareStrip(details.comparison)
    qtbot.addWidget(strip)
    strip.show()
    qtbot.waitUntil(lambda: comparison.counts == {BOTH: 2, FIRST: 1, SECOND: 0})
    assert comparison.uncompared == (1, 1) and comparison.found == (3, 2)
    assert strip.first.text().endswith(": 3 findings + 1 where only A scanned")
    assert strip.second.text().endswith(": 2 findings + 1 where only B scanned")
    assert [y for y, _ in shown_places(session)] == [100, 300, 500], "what cannot be compared is not shown"
    assert (
        strip.uncompared.isVisible()
        and strip.uncompared.text() == "Not compared  2"
        and not strip.uncompared.isChecked()
    )
    strip.uncompared.click()
    assert [y for y, _ in shown_places(session)] == [100, 300, 500, 700, 900]
    write_mask(second.folder, None)
    comparison.start(first.id, second.id)
    qtbot.waitUntil(lambda: comparison.counts == {BOTH: 2, FIRST: 2, SECOND: 1})
    assert not strip.uncompared.isVisible() and not comparison.partial

    (second.folder / "mask.json").write_text('{"everything": false}')
    comparison.start(first.id, second.id)
    qtbot.waitUntil(lambda: not comparison.active)
    assert "is damaged" in session.seen.notices[-1], "its scan area is not guessed"


def test_nothing_to_compare_with_is_said(details: RunDetails, project: Any) -> None:
    assert not details.compare.isEnabled() and details.compare.toolTip() == "Select a detection."
    add_run(project)
    assert not details.compare.isEnabled() and details.compare.toolTip() == "There is no other detection to compare."
    add_run(project)
    assert details.compare.isEnabled()


# -- the page of a detection -------------------------------------------------------------------------------------------


def status(run: Any, **changes: Any) -> None:
    write_status(run.folder, {
        "state": "finished", "tiles_done": 12, "tiles_total": 12, "tiles_damaged": 0, "tiles_skipped": 3,
        "share_skipped": 0.25, "device": "cuda:0", "device_name": "Fast card", "precision": "bfloat16", "batch": 32,
        "seconds": 80.4, "notes": ["As memory was not enough, batches are cut to 16."], "message": "",
        "tiles_per_s": 31.04, "mm2_per_min": 20.1, "share_computed": 0.97, "share_waited": 0.02, **changes,
    })  # fmt: skip


def test_the_page_says_what_was_done_and_goes_to_damaged_tiles(
    qtbot: Any, details: RunDetails, project: Any, session: Any
) -> None:
    run = add_run(project, FIRST_BOXES)
    status(run, tiles_damaged=2)
    journal = JournalWriter(run.folder)
    journal.error(5, "cannot be decoded")
    journal.error(11, "cannot be decoded")
    journal.close()
    about = details.about
    assert about.text == "" and not about.go_to_damaged.isVisible()
    about.fold.click()
    qtbot.waitUntil(about.go_to_damaged.isVisible)
    assert about.text.split("\n") == [
        "Model: net",
        "Area: whole slide, 0.48 mm²",
        "Tiles: 12 of 12 done, 25 % of them empty and left out",
        "Damaged: 2 tiles could not be read: No. 6, 12",
        "Findings: 4",
        "Time: 1:20 since the last start",
        "Speed: 31.0 tiles/s, 20.1 mm²/min",
        "Computing: 97 % of the time; 2 % waiting for slide and disk",
        "Computed on: Fast card, 16-bit precision, 32 tiles at once",
        "Notes: As memory was not enough, batches are cut to 16.",
    ]
    areas: list[Any] = []
    session.area_requested.connect(areas.append)
    for _ in range(3):
        about.go_to_damaged.click()
    assert areas == [(400, 400, 800, 800), (800, 1200, 1200, 1600), (400, 400, 800, 800)]
    assert session.seen.notices[0] == "Tile 6 (x 400–800, y 400–800 px): cannot be decoded"

    status(run, tiles_damaged=0, notes=[], message="<b>The slide was moved away.</b>")
    about.read()
    qtbot.waitUntil(lambda: not about.go_to_damaged.isVisible())
    assert about.values["Notes"].text() == "&lt;b&gt;The slide was moved away.&lt;/b&gt;", "no mark-up from a file"


def test_the_page_follows_a_detection_under_way(qtbot: Any, details: RunDetails, project: Any) -> None:
    details.about._again.setInterval(20)
    run = project.runs.finish(add_run(project).id, "running")
    details.runs.set_running(run.id)
    details.about.fold.click()
    qtbot.waitUntil(lambda: details.about.facts is not None)
    assert "Tiles" not in details.about.values
    status(run, tiles_done=7)
    qtbot.waitUntil(lambda: "Tiles: 7 of 12 done" in details.about.text)
    details.runs.set_running(None)
    qtbot.waitUntil(lambda: not details.about._busy and not details.about._again.isActive())


def test_a_run_that_says_little_or_nonsense_has_a_page(project: Any) -> None:
    run = add_run(project)
    assert dict(lines_of(run, RunFacts(), shape_px=None)) == {
        "Model": "net", "Area": "x 0–1\u202f600, y 0–1\u202f200 px, 0.48 mm²", "Findings": "0",
    }  # fmt: skip
    starts = [{"seconds": 60.2, "notes": ["Batches are cut."]}, {"seconds": 3600, "working_s": 3580, "tiles": 7,
              "computed_s": 1, "waited_s": 1}, {"seconds": None}]  # fmt: skip
    said = dict(
        lines_of(run, RunFacts({"seconds": 9, "starts": starts, "notes": ["On the processor."]}), shape_px=None)
    )
    assert said["Time"] == "1:01:00 in 2 starts, 1:20 of it before the first tiles"
    assert said["Notes"] == "Batches are cut.\nOn the processor."
    only = {"starts": [{**starts[1], "seconds": 3580.2}]}
    assert dict(lines_of(run, RunFacts(only), shape_px=None))["Time"] == "59:40"
    tiles = RunFacts({"tiles_done": 8, "tiles_total": 8, "tiles_skipped": 2, "share_skipped": 0.25})
    assert dict(lines_of(run, tiles, shape_px=None))["Tiles"].endswith("25 % of them empty and left out")
    run.settings["area"] = "a mask of a user"
    told = dict(lines_of(run, tiles, shape_px=None))["Tiles"]
    assert told == "8 of 8 done, 25 % of them outside the chosen area and left out"
    shares = {"share_computed": 0.5, "share_waited": 0.2}
    said = dict(lines_of(run, RunFacts(shares), shape_px=None))["Computing"]
    assert said == "50 % of the time; 20 % waiting for slide and disk, 30 % working out the findings"
    assert area_text(replace(run, plan=RunPlan()), SHAPE) == "whole slide"
    (run.folder / "status.json").write_text("[1, 2")
    assert read_facts(run.folder, RunPlan()) == RunFacts()
    (run.folder / "status.json").write_text(json.dumps({"tiles_damaged": 4}))
    assert read_facts(run.folder, RunPlan(region=[0, 0, 0, 0])).damaged == ()


# -- a real one --------------------------------------------------------------------------------------------------------


def test_a_real_classifier_of_windows_leaves_a_map_and_a_page(
    qtbot: Any, details: RunDetails, project: Any, tmp_path: Path
) -> None:
    from microscope_qc.workflows.detection.run import detect

    model = untrained_classifier(tmp_path / "toy-windows")
    area = Region(100, 200, 500, 840)
    # in its child process, as always: the compiler that comes with torch and the one of some OpenGL drivers clash
    run_job(detect(project, project.slides[0].id, model, region=area, device="cpu", everything=True))
    scores, about = details.scores, details.about
    scores.read()
    qtbot.waitUntil(lambda: scores.there)
    details.score_panel.switch.click()
    about.fold.click()
    qtbot.waitUntil(lambda: scores.shown and "Speed" in about.values)
    assert scores.whole.bounds_px == (100, 200, 500, 840), "cut to the area that was scanned"
    assert scores.whole.pixels[..., 3].all() and len(np.unique(scores.whole.pixels[..., 1])) > 10
    assert scores.classes == ("ACP", "NEW")
    assert "Area: x 200–840, y 100–500 px, 0.064 mm²" in about.text
    assert "6 of 6 done" in about.text and "tiles/s" in about.text and "mm²/min" in about.text
