"""The page of the Statistics workspace: the table, plots whose parts select their findings, and what is saved."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panels_support import PIXEL_UM, SHAPE, findings, write_picture
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from microscope_qc.app.base.settings import AppSettings
from microscope_qc.app.panels.statistics.page import StatisticsPage
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.core.merge import CANDIDATE_DTYPE
from microscope_qc.project import Project
from microscope_qc.project.runs.journal import JournalWriter
from microscope_qc.project.runs.plan import RunPlan
from microscope_qc.workflows.results.plots import PLOTS
from microscope_qc.workflows.stage.edx import import_edx

pytestmark = pytest.mark.window

HEIGHT, WIDTH = SHAPE
MM2 = HEIGHT * WIDTH * (PIXEL_UM / 1000) ** 2
LEFT, BELOW = Qt.MouseButton.LeftButton, Qt.Key.Key_Down


def find(project: Any, slide: int, model: str, seed: int) -> np.ndarray:
    plan = RunPlan(model=model, model_name=model, region=Region(0, 0, HEIGHT, WIDTH), tile_px=400, overlap_px=0,
                   classes=("ACP",))  # fmt: skip
    run = project.runs.start(project.slides[slide].id, plan)
    project.runs.know_classes(run.id, {0: project.classes[0].id})
    writer = JournalWriter(run.folder)
    for tile in range(len(plan.grid())):
        writer.tile(tile, np.zeros(0, CANDIDATE_DTYPE))
    writer.close()
    ids = project.runs.add_findings(run.id, findings(project.classes, seed=seed))
    project.runs.finish(run.id, "finished")
    return ids


@pytest.fixture
def cells(project: Any, tmp_path: Path) -> Any:
    """Both slides were searched and are of two batches; two detectors found something on the second, four of what one
    found were measured."""
    for number, slide in enumerate(project.slides):
        project.areas.declare(slide.id, [(0, 0), (0, WIDTH), (HEIGHT, WIDTH), (HEIGHT, 0)])
        values = {"batch": "AB"[number], "capacity": 2.0 + number, "production_date": f"2018-0{number + 1}-01"}
        project.fields.set({slide.id: values})
    ids = find(project, 1, "one", seed=5)
    project.boxes.edit(ids[:4], state=ReviewState.CONFIRMED)
    project.boxes.edit(ids[4:6], state=ReviewState.REJECTED, reason="preparation artefact")
    project.boxes.edit(ids[6:9], state=ReviewState.REJECTED, reason="false positive")
    find(project, 1, "two", seed=6)
    table = tmp_path / "edx.csv"
    lines = [f"{number},{50 + n},{30 - n},20" for n, number in enumerate(ids[:4].tolist())]
    table.write_text("\n".join(["id,O at%,Ni at%,Mn at%", *lines]))
    run_job(import_edx(project, table))
    return project


@pytest.fixture
def settings() -> AppSettings:
    return AppSettings()


@pytest.fixture
def page(session: Any, jobs: Any, settings: AppSettings, qtbot: Any) -> Iterator[StatisticsPage]:
    session.scope.set_kind("all")
    made = StatisticsPage(session, jobs, settings)
    qtbot.addWidget(made)
    made.resize(1366, 600)
    made.show()
    qtbot.waitExposed(made)
    yield made
    made.close_crops()


def texts(page: StatisticsPage) -> list[list[str]]:
    return [[cell.text for cell in line.cells] for line in page.table.lines]


def choose(box: Any, value: str) -> None:
    place = box.findData(value)
    assert place >= 0, [box.itemData(n) for n in range(box.count())]
    box.setCurrentIndex(place)
    box.activated.emit(place)


def show(page: StatisticsPage, qtbot: Any, view: str, **choices: str) -> None:
    """A plot, drawn with some choices."""
    with qtbot.waitSignal(page.plot.drawn):
        page.show_view(view)
    for name, value in choices.items():
        with qtbot.waitSignal(page.plot.drawn):
            choose(page.plot.boxes[name], value)


# -- the table ---------------------------------------------------------------------------------------------------------


def test_three_columns_stand_beside_each_other(cells: Any, page: StatisticsPage, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: len(page.table.lines) > 2)
    title, all_classes = texts(page)[:2]
    assert title[0].startswith("All slides:  2 slides") and "mm²" in title[0]
    rows = [cells.boxes.rows(slide.id) for slide in cells.slides]
    kept = sum(int((one["state"] != ReviewState.REJECTED).sum()) for one in rows)
    raw = len(np.unique(cells.opinions.of_slide(cells.slides[1].id)["finding_id"]))
    imported = int(np.isfinite(rows[0]["confidence"]).sum())  # with a confidence: another program found them
    assert all_classes[3] == str(raw + imported) and all_classes[5] == str(kept)
    assert all_classes[1] == "0.96" and float(all_classes[6].split()[0]) == pytest.approx(kept / (2 * MM2), rel=0.01)
    assert "(" in all_classes[6] and "–" in all_classes[6]
    assert all_classes[7].startswith("Not estimable:") and page.table.columnSpan(1, 7) == 2
    assert all_classes[9].endswith("between 2 slides")
    assert any(line[0].startswith("ACP") for line in texts(page))


def test_it_leaves_room_beside_it_on_a_small_screen(cells: Any, page: StatisticsPage, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: len(page.table.lines) > 2)
    widths = {"table": page.minimumSizeHint().width()}
    for name in PLOTS:
        page.plot.show_kind(name)
        widths[name] = page.minimumSizeHint().width()
    assert {name: width for name, width in widths.items() if width > 1366 - 250} == {}


def test_groups_follow_the_choice_which_is_remembered(
    cells: Any, page: StatisticsPage, settings: AppSettings, qtbot: Any
) -> None:
    qtbot.waitUntil(lambda: page.by.findData("batch") > 0)
    choose(page.by, "batch")
    qtbot.waitUntil(lambda: sum(line.is_title for line in page.table.lines) == 3)
    titles = [line.cells[0].text for line in page.table.lines if line.is_title]
    assert [title.split(":")[0] for title in titles] == ["batch A", "batch B", "All slides together"]
    with_groups = len(page.table.lines)
    choose(page.rows, "class")
    qtbot.waitUntil(lambda: len(page.table.lines) < with_groups)
    assert settings.statistics["by"] == "batch" and settings.statistics["rows"] == "class"
    assert page.by.currentData() == "batch"


def test_numbers_follow_what_is_judged_and_say_so_meanwhile(cells: Any, page: StatisticsPage, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: len(page.table.lines) > 2)
    before = int(texts(page)[1][5])
    assert page.state.text() == ""
    rows = cells.boxes.rows(cells.slides[0].id)
    cells.boxes.edit(rows["id"][:2], state=ReviewState.REJECTED, reason="false positive")
    assert "Out of date" in page.state.text()
    qtbot.waitUntil(lambda: texts(page)[1][5] == str(before - 2))
    qtbot.waitUntil(lambda: page.state.text() == "")


def test_numbers_follow_the_scope(cells: Any, page: StatisticsPage, session: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: len(page.table.lines) > 2)
    session.scope.set_kind("slide")
    qtbot.waitUntil(lambda: texts(page)[0][0].startswith("All slides:  1 slide,"))
    assert texts(page)[1][5] == "12"
    assert "section" in texts(page)[1][9], "of one slide the spread is not known, and that is said"


def test_an_unsearched_slide_has_a_sentence_for_a_density(page: StatisticsPage, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: len(page.table.lines) > 2)
    cell = page.table.lines[1].cells[1]
    assert cell.sentence and "was not scanned" in cell.tip.lower() or "nothing was scanned" in cell.tip.lower()
    assert texts(page)[1][6] == "–"


def test_without_findings_it_says_what_to_do(project: Any, page: StatisticsPage, session: Any, qtbot: Any) -> None:
    session.scope.set_kind("slide")
    session.show_slide(project.slides[1].id)
    qtbot.waitUntil(lambda: page.numbers is not None and page.stack.currentWidget() is page.empty)
    assert "There are no numbers of this slide yet" in page.empty.text.text() and not page.save.isEnabled()
    with qtbot.waitSignal(page.detect_requested):
        QTest.mouseClick(page.empty.button, LEFT)


def test_the_table_is_copied_and_saved(cells: Any, page: StatisticsPage, tmp_path: Path, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: len(page.table.lines) > 2)
    page.table.setFocus()
    QTest.keyClick(page.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    copied = QApplication.clipboard().text().splitlines()
    assert copied[0].startswith("Class\tArea mm²") and len(copied) == len(page.table.lines) + 1
    out = tmp_path / "numbers.csv"
    page.save_to(out)
    qtbot.waitUntil(out.exists)
    with out.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["rows"] for line in lines} == {"class", "class group", "all"}


# -- plots -------------------------------------------------------------------------------------------------------------

CHOICES = {
    "totals": {"weight": "mm2"}, "shares": {}, "sizes": {}, "dates": {"of": "Anode"}, "field": {"of": ""},
    "outcomes": {}, "truth": {}, "places": {}, "by-hand": {}, "coverage": {}, "map": {}, "distances": {},
    "control": {"by": "batch"}, "composition": {"by": "class"}, "ternary": {"by": "class"},
    "largest": {"fields_mm2": "0.01"},
}  # fmt: skip


@pytest.mark.parametrize("view", [view for view in PLOTS if view != "largest"])  # two slides are too few for that
def test_a_click_selects_exactly_the_findings_of_a_bar_bin_or_dot(
    view: str, cells: Any, page: StatisticsPage, session: Any, qtbot: Any
) -> None:
    show(page, qtbot, view, **CHOICES[view])
    chart = page.plot.chart
    assert chart.keys and not chart.plot.why_not
    for key in chart.keys:
        session.selection.clear()
        QTest.mouseClick(chart, LEFT, pos=chart.place_of(key))
        mark = chart.plot.mark(chart.current)
        assert chart.current == key or len(mark.findings) == 0 or view in ("dates", "field", "places", "ternary")
        assert session.selection.ids.tolist() == sorted(mark.findings.tolist())
        assert f"{len(mark.findings)} finding" in page.plot.said.text()
    whole = np.concatenate([mark.findings for _, _, mark in chart.plot.marks()])
    assert len(whole) and (len(np.unique(whole)) == len(whole) or view in ("by-hand", "coverage", "composition")), (
        "a finding is in one bar only"
    )


def test_the_findings_of_a_detector_are_selected(cells: Any, page: StatisticsPage, session: Any, qtbot: Any) -> None:
    show(page, qtbot, "totals", first="one", second="two")
    chart = page.plot.chart
    assert {series.name.rpartition(", ")[2] for series in chart.plot.series} == {"one", "two"}
    newest = next(run for run in cells.runs if run.title == "two")
    found = set(cells.opinions.of_run(newest.id)["finding_id"].tolist())
    picked: set[int] = set()
    for key, series, _mark in chart.plot.marks():
        if series.name.endswith("two"):
            page.plot.chart.chosen.emit(key)
            picked |= set(session.selection.ids.tolist())
    assert picked == found


def test_keys_step_from_bar_to_bar(cells: Any, page: StatisticsPage, session: Any, qtbot: Any) -> None:
    show(page, qtbot, "sizes")
    chart = page.plot.chart
    chart.setFocus()
    for _ in range(2):
        QTest.keyClick(chart, Qt.Key.Key_Right)
    assert chart.current == chart.keys[1] and len(session.selection) == 0
    QTest.keyClick(chart, Qt.Key.Key_Return)
    assert session.selection.ids.tolist() == sorted(chart.plot.mark(chart.keys[1]).findings.tolist())
    QTest.keyClick(chart, Qt.Key.Key_Left)
    assert chart.current == chart.keys[0]


def test_only_these_findings_can_be_shown(cells: Any, page: StatisticsPage, session: Any, qtbot: Any) -> None:
    show(page, qtbot, "outcomes")
    chart = page.plot.chart
    assert not page.plot.only.isEnabled()
    QTest.mouseClick(chart, LEFT, pos=chart.place_of(chart.keys[0]))
    with qtbot.waitSignal(page.canvas_requested):
        QTest.mouseClick(page.plot.only, LEFT)
    wanted = sorted(chart.plot.mark(chart.keys[0]).findings.tolist())
    assert session.scoped.shown.rows()["id"].tolist() == wanted == session.selection.ids.tolist()


def test_nothing_of_a_plot_is_left_for_another_project(
    cells: Any, page: StatisticsPage, session: Any, tmp_path: Path, qtbot: Any
) -> None:
    show(page, qtbot, "outcomes")
    chart = page.plot.chart
    QTest.mouseClick(chart, LEFT, pos=chart.place_of(chart.keys[0]))
    assert page.plot.only.isEnabled()
    late: list[object] = []
    page.counting.make("late", lambda _found: "numbers of the first project", late.append)
    with Project.create(tmp_path / "other.mqc", slides=[write_picture(tmp_path / "other.png", seed=9)]) as other:
        session.set_project(other)
        assert not page.plot.only.isEnabled() and "selects its findings" in page.plot.said.text()
        qtbot.waitUntil(lambda: page.numbers is not None and page.counting.fresh and not page.counting.busy)
        assert late == []
        session.set_project(cells)


def test_what_the_filter_hides_is_said(cells: Any, page: StatisticsPage, session: Any, qtbot: Any) -> None:
    session.set_filter(min_confidence=0.5)
    show(page, qtbot, "outcomes")
    for key in page.plot.chart.keys:
        page.plot.chart.chosen.emit(key)
        hidden = len(session.selection) - np.isin(session.selection.ids, session.scoped.shown.rows()["id"]).sum()
        assert ("hidden by the filter" in page.plot.said.text()) == (hidden > 0)


def test_a_plot_follows_what_is_judged(cells: Any, page: StatisticsPage, qtbot: Any) -> None:
    show(page, qtbot, "outcomes")

    def false() -> float:
        series = {one.name: one for one in page.plot.chart.plot.series}
        return sum(mark.value for mark in series["false positive"].marks)

    assert false() == 3
    said = cells.opinions.of_slide(cells.slides[1].id)["finding_id"]
    cells.boxes.edit(np.unique(said)[-2:], state=ReviewState.REJECTED, reason="false positive")
    qtbot.waitUntil(lambda: false() == 5)


def test_a_plot_is_drawn_again_for_another_size_and_keeps_its_choice(
    cells: Any, page: StatisticsPage, settings: AppSettings, qtbot: Any
) -> None:
    show(page, qtbot, "field", weight="count")
    chart = page.plot.chart
    chart.chosen.emit(chart.keys[0])
    chart.current = chart.keys[0]
    before = chart.place_of(chart.keys[0])
    with qtbot.waitSignal(page.plot.drawn):
        page.resize(1000, 500)
    assert chart.current == chart.keys[0] and chart.place_of(chart.keys[0]) != before
    assert settings.statistics["view"] == "field" and settings.statistics["weight"] == "count"


def test_a_plot_is_copied_and_saved(cells: Any, page: StatisticsPage, tmp_path: Path, qtbot: Any) -> None:
    show(page, qtbot, "totals")
    page.copy_shown()
    board = QApplication.clipboard()
    qtbot.waitUntil(lambda: board.mimeData().hasImage())
    assert board.text().splitlines()[0].startswith("series\tcross-section\tfindings per mm²")
    assert board.image().width() == 1600 and board.image().pixelColor(1, 1).name() == "#ffffff"
    for suffix in ("svg", "png", "pdf", "csv", "xlsx"):
        out = tmp_path / f"plot.{suffix}"
        page.save_to(out)
        qtbot.waitUntil(out.exists)


def test_without_a_field_of_the_specimens_it_says_where_to_enter_it(
    project: Any, page: StatisticsPage, qtbot: Any
) -> None:
    for view in ("dates", "field"):
        show(page, qtbot, view)
        assert page.plot.chart.plot.why_not and not page.plot.chart.keys


# -- control charts ----------------------------------------------------------------------------------------------------


def test_limits_are_frozen_and_unfrozen_by_a_click_and_undone(cells: Any, page: StatisticsPage, qtbot: Any) -> None:
    show(page, qtbot, "control", by="batch", phase_1="2")
    bar, chart = page.plot.control, page.plot.chart
    assert bar.freeze.text() == "Freeze limits" and bar.freeze.isEnabled() and not bar.event_button.isEnabled()
    upper = list(chart.plot.limits[0].upper)
    QTest.mouseClick(bar.freeze, LEFT)
    qtbot.waitUntil(lambda: bar.freeze.text() == "Unfreeze limits")
    assert chart.plot.source["frozen"]["user"] and list(chart.plot.limits[0].upper) == pytest.approx(upper)
    assert "Limits frozen by" in page.plot.notes.text()
    rows = cells.boxes.rows(cells.slides[0].id)
    cells.boxes.edit(rows["id"][:6], state=ReviewState.REJECTED, reason="false positive")
    first = chart.plot.source["points"][0]["count"]
    qtbot.waitUntil(lambda: chart.plot.source["points"][0]["count"] == first - 6)
    assert list(chart.plot.limits[0].upper) == pytest.approx(upper), "later judgements do not move them"
    QTest.mouseClick(bar.freeze, LEFT)
    qtbot.waitUntil(lambda: bar.freeze.text() == "Freeze limits")
    cells.history.undo()
    qtbot.waitUntil(lambda: bar.freeze.text() == "Unfreeze limits")


def test_an_event_is_noted_at_the_point_that_was_clicked(
    cells: Any, page: StatisticsPage, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    show(page, qtbot, "control", by="batch", phase_1="0")
    bar, chart = page.plot.control, page.plot.chart
    key = next(key for key, _, mark in chart.plot.marks() if mark.at == "B")
    QTest.mouseClick(chart, LEFT, pos=chart.place_of(key))
    asked: list[tuple[str, str]] = []
    answers = iter(["new mill", None, ""])

    def ask(_parent: Any, group: str, known: str) -> str | None:
        asked.append((group, known))
        return next(answers)

    monkeypatch.setattr("microscope_qc.app.panels.statistics.control_bar.ask_event", ask)

    def labels() -> list[str]:
        return [mark.label for _, _, mark in chart.plot.marks() if mark.label]

    QTest.mouseClick(bar.event_button, LEFT)
    qtbot.waitUntil(lambda: labels() == ["new mill"])
    QTest.mouseClick(bar.event_button, LEFT)
    QTest.mouseClick(bar.event_button, LEFT)
    qtbot.waitUntil(lambda: labels() == [])
    assert asked == [("batch B", ""), ("batch B", "new mill"), ("batch B", "new mill")]


def test_a_quality_index_is_of_no_class_and_ewma_has_its_limits_alone(
    cells: Any, page: StatisticsPage, qtbot: Any
) -> None:
    show(page, qtbot, "control", by="batch", rules="nelson", chart="ewma")
    assert page.plot.boxes["rules"].count() == 1 and not page.plot.chart.plot.why_not
    with qtbot.waitSignal(page.plot.drawn):
        choose(page.plot.boxes["chart"], "nqi")
    assert not page.plot.boxes["of"].isEnabled() and "score map" in page.plot.chart.plot.why_not
    assert not page.plot.control.freeze.isEnabled()
