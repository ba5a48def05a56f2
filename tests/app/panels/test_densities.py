"""The panel of densities and of areas that were declared complete."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("qtpy")
from panels_support import PIXEL_UM, SHAPE, findings
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from scipy.stats import gamma

from microscope_qc.app.panels.areas.panel import DensitiesPanel
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.geometry import Region
from microscope_qc.project import Project
from microscope_qc.workflows.results import statistics

pytestmark = pytest.mark.window
LEFT = Qt.MouseButton.LeftButton
AREA = Region(100, 200, 900, 1400)
SLIDE_MM2 = SHAPE[0] * SHAPE[1] * PIXEL_UM**2 / 1e6


@pytest.fixture
def panel(qtbot: Any, session: Any) -> Iterator[DensitiesPanel]:
    """The panel, seen; it works its numbers out at once."""
    made = DensitiesPanel(session)
    qtbot.addWidget(made)
    made.resize(1100, 260)
    with qtbot.waitExposed(made):
        made.show()
    qtbot.waitUntil(lambda: made.up_to_date)
    yield made


def settled(qtbot: Any, panel: DensitiesPanel) -> dict[str, tuple[str, ...]]:
    """The lines by class once they are up to date."""
    qtbot.waitUntil(lambda: panel.up_to_date)
    table = panel.table
    lines = [
        tuple(table.item(row, column).text() for column in range(table.columnCount()))
        for row in range(table.rowCount())
    ]
    return {line[0].split()[0]: line for line in lines}


def inside(rows: np.ndarray, area: Region) -> np.ndarray:
    y, x = (rows["y0"] + rows["y1"]) / 2, (rows["x0"] + rows["x1"]) / 2
    return (y >= area.y0) & (y < area.y1) & (x >= area.x0) & (x < area.x1)


def numbers(line: tuple[str, ...]) -> list[float]:
    return [float(cell.rstrip(" %")) for cell in line[1:6]] + [float(limit) for limit in line[6].split(" – ")]


def test_numbers_are_those_of_an_independent_count(qtbot: Any, panel: DensitiesPanel, session: Any) -> None:
    session.declaring.declare(AREA)
    rows, area_mm2 = session.table.rows, 0.24
    found = settled(qtbot, panel)
    for code, of_class in (("All", np.ones(len(rows), bool)), *(
        (item.code, rows["class_id"] == item.id) for item in session.classes[:3]
    )):  # fmt: skip
        count = int((of_class & inside(rows, AREA)).sum())
        kept, in_area, area, share, per_mm2, low, high = numbers(found[code])
        assert (kept, in_area) == (of_class.sum(), count)
        assert area == area_mm2 and share == pytest.approx(100 * area_mm2 / SLIDE_MM2, abs=0.5)
        half = 0.5 * 10.0 ** min(0, np.floor(np.log10(count / area_mm2 if count else 15.0)) - 2)
        assert per_mm2 == pytest.approx(count / area_mm2, abs=half)
        # Garwood's limits as quantiles of gamma distributions, not of chi-square ones
        assert low == pytest.approx(gamma.ppf(0.025, count) / area_mm2 if count else 0.0, abs=half)
        assert high == pytest.approx(gamma.ppf(0.975, count + 1) / area_mm2, abs=half)
    assert "declared by" in found["All"][7]


def test_what_was_neither_scanned_nor_declared_has_a_reason_instead_of_a_density(
    qtbot: Any, panel: DensitiesPanel, session: Any
) -> None:
    first, second, third = session.classes[:3]
    found = settled(qtbot, panel)
    assert found[first.code][5] == "–" and found[first.code][6] == "–"
    assert found[first.code][7] == "Nothing was scanned or declared complete for this class"
    session.declaring.choose_classes({first.id, third.id})
    session.declaring.declare(AREA)
    found = settled(qtbot, panel)
    assert found[first.code][5] != "–" and found[second.code][5] == "–"
    assert found["All"][5] == "–" and second.code in found["All"][7], "it says which class is missing"


def test_a_view_filter_changes_nothing_and_what_counts_does(qtbot: Any, panel: DensitiesPanel, session: Any) -> None:
    session.declaring.declare_slide()
    before = settled(qtbot, panel)
    assert before["All"][1] == "12"
    session.set_filter(class_ids=frozenset({session.classes[0].id}), text="nowhere")
    panel.refresh()
    assert settled(qtbot, panel) == before
    session.set_confidence_limit(0.5)
    below = int((session.table.rows["confidence"] < 0.5).sum())
    assert settled(qtbot, panel)["All"][1] == str(12 - below) and below > 0
    session.judging.reject(session.table.rows["id"][:2], "duplicate")
    assert settled(qtbot, panel)["All"][1] == str(12 - below - 2)
    session.undoing.undo()
    session.undoing.undo()
    assert settled(qtbot, panel) == before


def test_the_slide_without_anything_says_what_it_is_for(qtbot: Any, panel: DensitiesPanel, session: Any) -> None:
    session.show_slide(session.project.slides[1].id)
    qtbot.waitUntil(lambda: panel.up_to_date)
    qtbot.waitUntil(panel.empty.isVisible)
    assert panel.empty.text.text().startswith("Densities count only what was scanned by a detection or declared")
    with qtbot.waitSignal(panel.tool_requested):
        qtbot.mouseClick(panel.empty.button, LEFT)
    session.declaring.declare_slide()
    found = settled(qtbot, panel)
    assert not panel.empty.isVisible()
    assert (found["All"][1], found["All"][5]) == ("0", "0"), "declared empty is a density of nothing, not none"
    session.set_project(None)
    qtbot.waitUntil(panel.empty.isVisible)
    assert "Open a slide first" in panel.empty.text.text() and not panel.empty.button.isVisible()


def test_areas_are_listed_newest_first_gone_to_and_taken_back(qtbot: Any, panel: DensitiesPanel, session: Any) -> None:
    first = session.declaring.declare(AREA)
    session.declaring.choose_classes({session.classes[0].id})
    second = session.declaring.declare([(100, 100), (100, 500), (500, 500)])
    declared = panel.declared
    qtbot.waitUntil(lambda: declared.items.count() == 2)
    assert declared.items.item(0).text().startswith("0.02 mm², 4 % of the slide\n" + session.classes[0].code)
    assert "all classes" in declared.items.item(1).text() and first.user in declared.items.item(1).text()
    assert not declared.remove.isEnabled() and declared.remove.toolTip() == "Choose an area first."
    qtbot.mouseClick(
        declared.items.viewport(), LEFT, pos=declared.items.visualItemRect(declared.items.item(1)).center()
    )
    assert session.declaring.picked == first.id
    with qtbot.waitSignal(declared.go_to_requested) as gone:
        qtbot.mouseClick(declared.go_to, LEFT)
    assert gone.args[0] == (AREA.y0, AREA.x0, AREA.y1, AREA.x1)
    QTest.keyClick(declared.items, Qt.Key.Key_Delete)
    assert [area.id for area in session.declaring.areas()] == [second.id]
    assert len(session.table) == 12, "Delete in the list deletes no finding"
    assert session.seen.notices[-1].startswith("Declared area of 0.24 mm² removed")
    session.undoing.undo()
    qtbot.waitUntil(lambda: declared.items.count() == 2)
    assert {area.id for area in session.declaring.areas()} == {first.id, second.id}


def test_reading_only_nothing_can_be_taken_back_and_it_says_why(qtbot: Any, session: Any) -> None:
    session.declaring.declare(AREA)
    place = session.project.path
    with Project.open(place, write=False) as reading:
        session.project.events.disconnect()
        session.set_project(reading)
        made = DensitiesPanel(session)
        qtbot.addWidget(made)
        made.declared.items.setCurrentRow(0)
        assert not made.declared.remove.isEnabled() and "Read only" in made.declared.remove.toolTip()
        assert not made.declared.declare.isEnabled()
        QTest.keyClick(made.declared.items, Qt.Key.Key_Delete)
        assert len(session.declaring.areas()) == 1
        session.set_project(None)


def test_numbers_are_worked_out_in_another_thread_and_those_of_another_slide_are_dropped(
    qtbot: Any, session: Any, jobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.jobs = jobs
    go_on, working = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []
    plain = statistics.slide_numbers

    def slow(known: Any, **how: Any) -> Any:
        threads.append(threading.current_thread())
        working.set()
        assert go_on.wait(30)
        return plain(known, **how)

    monkeypatch.setattr(statistics, "slide_numbers", slow)
    session.declaring.declare_slide()
    made = DensitiesPanel(session)
    qtbot.addWidget(made)
    with qtbot.waitExposed(made):
        made.show()
    qtbot.waitUntil(working.is_set)
    other = session.project.slides[1].id
    session.show_slide(other)
    session.project.boxes.add(other, findings(session.classes, count=5), title="Import")
    session.declaring.declare_slide()
    assert made.table.rowCount() == 0 and not made.up_to_date
    shown: list[str] = []
    take = made.table.show_lines
    monkeypatch.setattr(
        made.table, "show_lines", lambda lines: (shown.extend(x.cells[1] for x in lines[:1]), take(lines))
    )
    qtbot.waitUntil(lambda: made._again)  # it was asked for the other slide meanwhile
    go_on.set()
    assert settled(qtbot, made)["All"][1] == "5"
    assert shown == ["5"], "the twelve of the slide before never came"
    assert threading.main_thread() not in threads and len(threads) == 2


def test_what_fails_is_said_and_the_next_change_is_tried_again(
    qtbot: Any, session: Any, jobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from microscope_qc.core.errors import ProjectError

    session.jobs = jobs
    plain = statistics.slide_numbers

    def failing(_known: Any, **_how: Any) -> Any:
        raise ProjectError("The disk is gone.")

    monkeypatch.setattr(statistics, "slide_numbers", failing)
    session.declaring.declare_slide()
    made = DensitiesPanel(session)
    qtbot.addWidget(made)
    with qtbot.waitExposed(made):
        made.show()
    qtbot.waitUntil(lambda: "The disk is gone" in made.notes.text())
    assert made.notes.isVisible() and made.table.rowCount() == 0
    monkeypatch.setattr(statistics, "slide_numbers", plain)
    session.judging.confirm(session.table.rows["id"][:1])
    qtbot.waitUntil(lambda: made.table.rowCount() > 0)
    assert made.notes.text().startswith("Of the slide 100 % declared complete")
    assert int((session.table.rows["state"] == ReviewState.CONFIRMED).sum()) == 1


def test_lines_go_to_a_spreadsheet(qtbot: Any, panel: DensitiesPanel, session: Any) -> None:
    session.declaring.declare_slide()
    settled(qtbot, panel)
    QTest.keyClick(panel.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    board = QApplication.clipboard()
    assert board is not None
    lines = [line.split("\t") for line in board.text().splitlines()]
    assert lines[0][:3] == ["Class", "Findings", "In area"] and lines[1][:3] == ["All classes", "12", "12"]
    assert len(lines) == 1 + panel.table.rowCount() and {len(line) for line in lines} == {8}


def test_densities_of_all_slides_are_those_of_the_statistics(
    qtbot: Any, session: Any, project: Project, panel: DensitiesPanel
) -> None:
    one, two = (slide.id for slide in project.slides)
    project.boxes.add(two, findings(project.classes, seed=5), title="Import")
    corners = [(AREA.y0, AREA.x0), (AREA.y0, AREA.x1), (AREA.y1, AREA.x1), (AREA.y1, AREA.x0)]
    for slide_id in (one, two):
        project.areas.declare(slide_id, corners, [item.id for item in project.classes[:2]])
    session.scope.set_kind("all")
    lines = settled(qtbot, panel)
    total = statistics.project_statistics(project)["total"]
    assert len(lines) == 1 + len(total["classes"])
    for row in total["classes"]:
        line = lines[row["code"]]
        assert int(line[1]) == row["kept"] and int(line[2]) == row["in_area"]
        if row["per_mm2"] is not None:
            assert float(line[5]) == pytest.approx(row["per_mm2"], rel=0.01)
            assert line[7] == "2 of 2 slides"
            share = 100 * row["area_mm2"] / (2 * SLIDE_MM2)
            assert float(line[4].rstrip(" %")) == pytest.approx(share, abs=0.1)
    assert sum(row["per_mm2"] is not None for row in total["classes"]) == 2
    assert "all 2 slides" in panel.notes.text()
    there = project.boxes.table(two).rows["id"][:5].copy()
    session.judging.reject(there, "duplicate")
    assert int(settled(qtbot, panel)["All"][1]) == int(lines["All"][1]) - 5
    session.undoing.undo()
    assert settled(qtbot, panel) == lines
    session.show_slide(two)  # the same slides: nothing is worked out again
    assert panel.up_to_date
    session.scope.set_kind("slide")
    assert settled(qtbot, panel)["All"] != lines["All"]


@pytest.fixture
def worked_out(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Names of the slides whose numbers are worked out, each when ``go_on`` is set."""
    made = SimpleNamespace(slides=[], go_on=threading.Event())
    plain = statistics.slide_numbers

    def slow(known: Any, **how: Any) -> Any:
        made.slides.append(known.sources.slide.id)
        assert made.go_on.wait(30)
        return plain(known, **how)

    monkeypatch.setattr(statistics, "slide_numbers", slow)
    return made


def test_only_what_changed_meanwhile_is_worked_out_again(
    qtbot: Any, session: Any, jobs: Any, worked_out: SimpleNamespace
) -> None:
    session.jobs = jobs
    one, two = (slide.id for slide in session.project.slides)
    session.project.boxes.add(two, findings(session.classes, count=5), title="Import")
    session.scope.set_kind("all")
    made = DensitiesPanel(session)
    qtbot.addWidget(made)
    with qtbot.waitExposed(made):
        made.show()
    qtbot.waitUntil(lambda: worked_out.slides == [one])
    session.judging.reject(session.project.boxes.table(two).rows["id"][:2].copy(), "duplicate")
    qtbot.waitUntil(lambda: made._again)
    worked_out.go_on.set()
    assert settled(qtbot, made)["All"][1] == "15"
    assert worked_out.slides == [one, two, two]
    session.undoing.undo()
    assert settled(qtbot, made)["All"][1] == "17"
    session.declaring.declare_slide()
    assert settled(qtbot, made)["All"][1] == "17"
    assert worked_out.slides == [one, two, two, two, one, two], "areas may change all of them"


def test_what_nobody_sees_is_not_worked_out(qtbot: Any, session: Any, jobs: Any, worked_out: SimpleNamespace) -> None:
    session.jobs = jobs
    one, two = (slide.id for slide in session.project.slides)
    session.scope.set_kind("all")
    made = DensitiesPanel(session)
    qtbot.addWidget(made)
    with qtbot.waitExposed(made):
        made.show()
    qtbot.waitUntil(lambda: worked_out.slides == [one])
    made.hide()
    worked_out.go_on.set()
    qtbot.waitUntil(lambda: made._working is None)
    assert worked_out.slides == [one] and not made.up_to_date
    made.show()
    assert settled(qtbot, made)["All"][1] == "12"
    assert worked_out.slides == [one, two], "what was worked out before is kept"
