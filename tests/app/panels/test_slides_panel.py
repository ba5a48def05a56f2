"""The list of slides: searched, sorted, chosen, opened, renamed, removed; quick with ten thousand."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from panels_support import findings, write_picture
from qtpy.QtCore import QPoint, Qt, Signal
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLineEdit, QWidget

from microscope_qc.app.base.settings import AppSettings
from microscope_qc.app.panels.slides import numbers, thumbnails
from microscope_qc.app.panels.slides.columns import slide_columns
from microscope_qc.app.panels.slides.model import SlidesModel
from microscope_qc.app.panels.slides.panel import SlidesDock
from microscope_qc.app.panels.slides.thumbnails import prune, read_thumbnail
from microscope_qc.core.boxes import make_rows
from microscope_qc.core.cache_folder import cache_folder
from microscope_qc.core.specimen import STANDARD_FIELDS
from microscope_qc.project import Project
from microscope_qc.project.counting import StateCounts, count_states
from microscope_qc.project.records import SlideRecord

LEFT = Qt.MouseButton.LeftButton


class Canvas(QWidget):
    """What the list needs of the canvas."""

    thumbnail_ready = Signal(object, object)


@pytest.fixture
def many(tmp_path: Path) -> Iterator[Project]:
    """Five slides: S1, S2, S10 and two of another batch; findings on S2 and S10."""
    names = ("S10", "S2", "S1", "T1", "T2")
    files = [write_picture(tmp_path / f"{name}.png", seed=n) for n, name in enumerate(names)]
    with Project.create(tmp_path / "cells.mqc", slides=files) as made:
        made.boxes.add(1, findings(made.classes)[:5], title="Import")
        rows = findings(made.classes)[:3]
        rows["state"] = [0, 1, 2]
        made.boxes.add(2, rows, title="Import")
        made.fields.set({4: {"batch": "B7", "capacity": 2.85}, 5: {"batch": "b 12", "capacity": 10}})
        made.slides.set_pixel_sizes([1, 2], 0.35)
        yield made


@pytest.fixture
def context(many: Project, jobs: Any, qtbot: Any) -> Iterator[Any]:
    """A window without a window."""
    from microscope_qc.app.session.session import Session

    canvas, window = Canvas(), QWidget()
    qtbot.addWidget(canvas)
    qtbot.addWidget(window)
    session = Session(jobs)
    triggered: list[str] = []
    made = SimpleNamespace(
        session=session, jobs=jobs, canvas=canvas, settings=AppSettings(),
        navigator=SimpleNamespace(
            window=window, trigger=triggered.append, save_settings=lambda: None, menu_actions=lambda ids: []
        ),
        triggered=triggered, notices=[],
    )  # fmt: skip
    session.notice.connect(made.notices.append)
    session.set_project(many)
    yield made
    if session.project is not None:
        session.project = None  # the fixture closes it


@pytest.fixture
def dock(context: Any, qtbot: Any) -> SlidesDock:
    """The list, wide enough for its columns."""
    made = SlidesDock(context)
    qtbot.addWidget(made)
    made.resize(420, 400)
    made.show()
    qtbot.waitExposed(made)
    qtbot.waitUntil(lambda: made.numbers.ready)
    return made


def names(dock: SlidesDock) -> list[str]:
    return [dock.model.index(place, 0).data() for place in range(dock.model.rowCount())]


def shown(dock: SlidesDock, column: str) -> list[str]:
    place = [known.name for known in dock.model.columns].index(column)
    return [dock.model.index(row, place).data() for row in range(dock.model.rowCount())]


def click(dock: SlidesDock, name: str, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    place = dock.view.visualRect(dock.model.index(names(dock).index(name), 0)).center()
    QTest.mouseClick(dock.view.viewport(), LEFT, modifier, place)


def heading(dock: SlidesDock, name: str) -> None:
    header = dock.view.header()
    place = [known.name for known in dock.model.columns].index(name)
    x = header.sectionViewportPosition(place) + header.sectionSize(place) // 2
    QTest.mouseClick(header.viewport(), LEFT, Qt.KeyboardModifier.NoModifier, QPoint(x, header.height() // 2))


# -- counting ----------------------------------------------------------------------------------------------------------


def test_findings_are_counted_as_the_tables_of_boxes_count_them(many: Project) -> None:
    rng = np.random.default_rng(3)
    rows = make_rows(400, class_id=1, y0=0, x0=0, y1=5, x1=5, confidence=rng.random(400), state=rng.integers(0, 3, 400))
    rows["confidence"][::7] = np.nan
    rows["confidence"][1::7] = np.float32(0.7)
    for slide in many.slides[2:4]:
        many.boxes.add(slide.id, rows)
    for limit in (0.0, 0.3, 0.7, 1.0):
        many.inclusion.set_limit(limit)
        counted = count_states(many.path, many.inclusion.current)
        for slide in many.slides:
            states = many.boxes.rows(slide.id)["state"]
            assert counted.get(slide.id, StateCounts()) == StateCounts.of_states(states), limit
    assert sum(c.kept + c.rejected for c in count_states(many.path, None).values()) == len(many.boxes.rows(every=True))


def test_findings_of_a_detection_that_is_off_do_not_count(many: Project) -> None:
    from microscope_qc.core.geometry import Region
    from microscope_qc.project.runs.plan import RunPlan

    plan = RunPlan(
        model="m", model_name="m", weights="0", region=Region(0, 0, 10, 10), tile_px=64, overlap_px=16,
        scale=(1.0, 1.0), classes=("CRK",), class_names=("Crack",), confidence=0.5, candidate_confidence=0.05,
    )  # fmt: skip
    run = many.runs.start(5, plan)
    many.runs.add_findings(run.id, make_rows(3, class_id=1, y0=0, x0=[0, 20, 40], y1=5, x1=[5, 25, 45], confidence=0.9))
    many.runs.finish(run.id, "finished")
    assert count_states(many.path, many.inclusion.current)[5].kept == 3
    many.runs.show(run.id, False)
    assert 5 not in count_states(many.path, many.inclusion.current)
    assert count_states(many.path, None)[5].unreviewed == 3


# -- the list ----------------------------------------------------------------------------------------------------------


def test_each_slide_has_its_numbers(dock: SlidesDock) -> None:
    assert names(dock) == ["S10", "S2", "S1", "T1", "T2"]
    assert shown(dock, "findings") == ["5", "2", "0", "0", "0"]
    assert shown(dock, "left") == ["5", "1", "0", "0", "0"]
    assert shown(dock, "pixel_size") == ["0.35 µm", "0.35 µm", "–", "–", "–"]
    assert shown(dock, "field:capacity") == ["", "", "", "2.85", "10"]
    visible = [known.title for n, known in enumerate(dock.model.columns) if not dock.view.isColumnHidden(n)]
    assert visible == ["Slide", "Findings", "Left"]
    assert "1 rejected" in dock.model.index(1, 0).data(Qt.ItemDataRole.ToolTipRole)


def test_the_numbers_follow_what_is_judged_undone_and_included(dock: SlidesDock, context: Any, qtbot: Any) -> None:
    project = context.session.project
    ids = project.boxes.table(1).rows["id"]
    project.boxes.edit(ids[:2], state=[1, 2])
    qtbot.waitUntil(lambda: shown(dock, "left")[0] == "3" and shown(dock, "findings")[0] == "4")
    project.boxes.add(3, findings(project.classes)[:4], title="Import")  # not on screen
    qtbot.waitUntil(lambda: shown(dock, "findings")[2] == "4")
    project.history.undo()
    qtbot.waitUntil(lambda: shown(dock, "findings")[2] == "0")
    project.inclusion.set_limit(1.0)
    qtbot.waitUntil(lambda: shown(dock, "left")[1] == "0")


@pytest.mark.parametrize("few", [20, 1])
def test_what_is_judged_on_any_slide_is_counted_from_memory(
    dock: SlidesDock, context: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    project = context.session.project
    project.boxes.load()
    dock.numbers.count_all()
    qtbot.waitUntil(lambda: dock.numbers.ready)

    def read(*_: object) -> None:
        pytest.fail("the findings of all slides were read again")

    monkeypatch.setattr(numbers, "count_states", read)
    monkeypatch.setattr(numbers, "FEW_SLIDES", few)
    ids = project.boxes.rows(every=True)["id"]
    project.boxes.edit(ids, state=1)  # on two slides
    assert not dock.numbers.ready
    qtbot.waitUntil(lambda: dock.numbers.ready)
    assert shown(dock, "left") == ["0", "0", "0", "0", "0"] and shown(dock, "findings")[:2] == ["5", "3"]
    project.boxes.delete(project.boxes.table(2).rows["id"].copy())
    qtbot.waitUntil(lambda: dock.numbers.ready)
    assert shown(dock, "findings")[:2] == ["5", "0"]
    project.history.undo()
    project.history.undo()
    qtbot.waitUntil(lambda: dock.numbers.ready)
    assert shown(dock, "left")[:2] == ["5", "1"] and shown(dock, "findings")[:2] == ["5", "2"]


def test_coverage_is_read_only_where_it_is_shown(dock: SlidesDock, context: Any, qtbot: Any) -> None:
    slide = context.session.project.slides[0]
    height, width = slide.shape_px
    context.session.project.areas.declare(1, [(0, 0), (0, width), (height / 4, width), (height / 4, 0)])
    qtbot.waitUntil(lambda: dock.numbers.ready)
    assert shown(dock, "coverage") == [""] * 5
    menu = dock.view.column_menu()
    next(action for action in menu.actions() if action.text() == "Coverage").trigger()
    assert context.settings.slide_columns == ["findings", "left", "coverage"]
    qtbot.waitUntil(lambda: shown(dock, "coverage") == ["25 %", "0 %", "0 %", "0 %", "0 %"])
    context.session.undoing.undo()
    qtbot.waitUntil(lambda: shown(dock, "coverage")[0] == "0 %")


def test_a_click_on_a_title_sorts_and_what_is_not_known_comes_last(dock: SlidesDock, context: Any) -> None:
    heading(dock, "name")
    assert names(dock) == ["S1", "S2", "S10", "T1", "T2"]
    heading(dock, "name")
    assert names(dock) == ["T2", "T1", "S10", "S2", "S1"]
    heading(dock, "name")
    assert names(dock) == ["S10", "S2", "S1", "T1", "T2"], "the third click is the order of adding"
    heading(dock, "name")
    context.session.project.slides.rename(4, "A")
    assert names(dock) == ["A", "S1", "S2", "S10", "T2"], "a new name has its place at once"
    context.session.undoing.undo()
    heading(dock, "left")
    assert names(dock)[:2] == ["S10", "S2"] and context.settings.slide_order == ("left", True)
    dock.view.show_columns(["field:batch", "field:capacity"])
    heading(dock, "field:batch")
    assert names(dock)[:2] == ["T1", "T2"], "B7 before b 12"
    heading(dock, "field:capacity")
    assert names(dock)[:2] == ["T2", "T1"]
    heading(dock, "field:capacity")
    assert names(dock)[:3] == ["T1", "T2", "S10"]


def test_the_order_is_that_of_the_last_time(context: Any, qtbot: Any) -> None:
    context.settings.slide_order = ("left", True)
    made = SlidesDock(context)
    qtbot.addWidget(made)
    made.show()
    qtbot.waitUntil(lambda: made.numbers.ready)
    assert names(made)[:2] == ["S10", "S2"]


def test_words_find_slides_by_name_file_and_field(dock: SlidesDock, context: Any) -> None:
    QTest.keyClicks(dock.search, "t b7")
    assert names(dock) == ["T1"] and dock.count.text() == "1 of 5 slides"
    dock.search.setText("zebra")
    assert dock.pages.currentWidget() is dock.empty and "“zebra”" in dock.empty.text.text()
    QTest.mouseClick(dock.empty.button, LEFT)
    assert len(names(dock)) == 5 and not dock.count.isVisible()
    dock.search.setText("s1")
    assert names(dock) == ["S10", "S1"]
    context.session.project.slides.rename(3, "other")
    assert names(dock) == ["S10", "other"], "its file is still called S1"
    QTest.keyClick(dock.search, Qt.Key.Key_Escape)
    assert dock.search.text() == ""


# -- which are chosen --------------------------------------------------------------------------------------------------


def test_a_click_opens_and_with_ctrl_or_shift_it_chooses(dock: SlidesDock, context: Any) -> None:
    session = context.session
    assert session.slide.name == "S10" and session.scope.chosen_ids == (1,)
    click(dock, "S1")
    assert session.slide.name == "S1" and session.scope.chosen_ids == (3,)
    click(dock, "T1", Qt.KeyboardModifier.ControlModifier)
    assert session.slide.name == "S1" and session.scope.chosen_ids == (3, 4)
    click(dock, "T2", Qt.KeyboardModifier.ShiftModifier)
    assert session.scope.chosen_ids == (3, 4, 5) and session.slide.name == "S1"
    assert dock.count.text() == "5 slides, 3 selected"
    session.show_slide(5)
    assert session.scope.chosen_ids == (3, 4, 5), "going on within the selection keeps it"
    session.show_slide(1)
    assert session.scope.chosen_ids == (1,)


def test_the_keyboard_moves_opens_and_chooses(dock: SlidesDock, context: Any) -> None:
    session = context.session
    dock.view.setFocus()
    QTest.keyClick(dock.view, Qt.Key.Key_Down)
    assert session.slide.name == "S10" and session.scope.chosen_ids == (2,)
    QTest.keyClick(dock.view, Qt.Key.Key_Return)
    assert session.slide.name == "S2"
    QTest.keyClick(dock.view, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    assert session.scope.chosen_ids == (1, 2, 3, 4, 5) and session.slide.name == "S2"
    QTest.keyClick(dock.view, Qt.Key.Key_Delete)
    assert context.triggered == ["slide.remove"]
    QTest.keyClick(dock.search, Qt.Key.Key_Down)
    assert dock.focusWidget() is dock.view


def test_the_selection_stays_when_the_list_is_sorted_or_changed(dock: SlidesDock, context: Any) -> None:
    session = context.session
    dock.view.choose([2, 4])
    heading(dock, "name")
    assert session.scope.chosen_ids == (2, 4) and dock.view.chosen_ids() == [2, 4]
    session.project.fields.set({1: {"batch": "1"}})
    assert session.scope.chosen_ids == (2, 4)
    session.project.slides.remove(4)
    assert session.scope.chosen_ids == (2,)
    session.undoing.undo()
    assert 4 in dock.model.ids


def test_another_project_begins_with_its_own_choice(dock: SlidesDock, context: Any, tmp_path: Path) -> None:
    first = context.session.project.path
    dock.view.choose([2, 4])
    other = Project.create(tmp_path / "other.mqc", slides=[tmp_path / "T1.png", tmp_path / "T2.png"])
    context.session.set_project(other)
    assert names(dock) == ["T1", "T2"] and context.session.scope.chosen_ids == (1,)
    context.session.set_project(Project.open(first))
    assert names(dock)[0] == "S10" and context.session.slide.id in context.session.scope.chosen_ids
    context.session.set_project(None)
    assert dock.pages.currentWidget() is dock.empty and dock.empty.button.isVisible()
    QTest.mouseClick(dock.empty.button, LEFT)
    assert context.triggered == ["file.open"]


def test_a_slide_is_renamed_in_its_row(dock: SlidesDock, context: Any, qtbot: Any) -> None:
    dock.rename_current()
    editor = dock.view.findChild(QLineEdit)
    editor.selectAll()
    QTest.keyClicks(editor, "Cell 10")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: context.session.project.slides[0].name == "Cell 10" == names(dock)[0])
    assert context.session.slide.name == "Cell 10"
    assert not dock.model.setData(dock.model.index(0, 0), "S2")
    assert "cannot be called" in context.notices[-1]
    context.session.undoing.undo()
    assert names(dock)[0] == "S10"


def test_a_slide_that_is_missing_says_so(context: Any, tmp_path: Path, qtbot: Any) -> None:
    (tmp_path / "T1.png").unlink()
    context.session.project.reload()
    made = SlidesDock(context)
    qtbot.addWidget(made)
    made.resize(180, 300)
    made.show()
    assert made.view.compact and not made.view.header().isVisible()
    index = made.model.index(3, 0)
    assert "locate it" in index.data(Qt.ItemDataRole.ToolTipRole)
    context.session.show_slide(4)
    qtbot.waitUntil(lambda: context.session.mosaic_error is not None)
    assert made.locate_button.isVisible()
    made.resize(420, 300)
    assert not made.view.compact and made.view.header().isVisible()


# -- thumbnails --------------------------------------------------------------------------------------------------------


def test_thumbnails_are_made_in_a_worker_and_kept_in_the_cache_folder(
    dock: SlidesDock, context: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = cache_folder() / "thumbnails"
    assert not kept.is_relative_to(context.session.project.path)
    dock.view.viewport().repaint()
    qtbot.waitUntil(lambda: kept.exists() and len(list(kept.glob("[!.]*.png"))) == 5)
    made: list[str] = []
    real = thumbnails._made

    def watching(slide: SlideRecord) -> Any:
        made.append(threading.current_thread().name)
        return real(slide)

    monkeypatch.setattr(thumbnails, "_made", watching)
    slide = context.session.project.slides[1]
    pixels = read_thumbnail(slide)
    assert pixels is not None and pixels.shape[2] == 3 and max(pixels.shape) <= 160 and made == []
    for file in kept.glob("*.png"):
        file.write_bytes(b"no picture")
    assert read_thumbnail(slide) is not None and made == [threading.current_thread().name]
    made.clear()
    write_picture(slide.path, seed=99)  # another picture of the same name
    assert read_thumbnail(slide) is not None and len(made) == 1
    dock.thumbnails.clear()
    made.clear()
    for file in kept.glob("*.png"):
        file.unlink()
    dock.view.viewport().repaint()
    qtbot.waitUntil(lambda: len(made) >= 4)
    assert threading.main_thread().name not in made


def test_the_rows_on_screen_come_before_those_scrolled_by(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(context.jobs, "call", lambda work, **callbacks: calls.append((work.args[0].id, callbacks)))
    pictures = thumbnails.Thumbnails(context.jobs)
    record = context.session.project.slides[0]
    from dataclasses import replace

    for number in range(1, 400):
        pictures.icon(replace(record, id=number))
    assert [number for number, _ in calls] == [1]
    calls[0][1]["on_done"](None)
    assert [number for number, _ in calls] == [1, 399]
    calls[1][1]["on_failed"](OSError())
    assert [number for number, _ in calls] == [1, 399, 398]
    assert len(pictures._waiting) <= thumbnails.MOST_WAITING
    pictures.clear()
    calls[2][1]["on_done"](np.zeros((5, 5, 3), np.uint8))
    assert not pictures._icons, "an answer for another project is dropped"


def test_the_oldest_thumbnails_are_removed(tmp_path: Path) -> None:
    import os

    for number in range(6):
        (tmp_path / f"{number}.png").write_bytes(b"x")
        os.utime(tmp_path / f"{number}.png", (number, number))
    prune(tmp_path, most=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["4.png", "5.png"]
    prune(tmp_path / "missing")


# -- ten thousand ------------------------------------------------------------------------------------------------------


def slides_like(count: int) -> list[SlideRecord]:
    return [
        SlideRecord(n, f"S{n}", Path(f"S{n}.png"), "", None, "", (100, 100), None, fields={"batch": str(n % 7)})
        for n in range(1, count + 1)
    ]


def test_ten_thousand_slides_are_read_only_where_they_are_shown(qtbot: Any) -> None:
    from microscope_qc.app.panels.slides.view import SlidesView

    asked: list[int] = []

    def icon_of(slide: SlideRecord) -> Any:
        asked.append(slide.id)
        return None

    model = SlidesModel(icon_of, lambda number, name: True)
    view = SlidesView(model)
    qtbot.addWidget(view)
    view.resize(420, 400)
    view.show()
    records = slides_like(10_000)
    resets: list[int] = []
    model.modelReset.connect(lambda: resets.append(1))
    model.set_slides(records, STANDARD_FIELDS)
    view.grab()
    assert 0 < len(set(asked)) < 60
    assert len(resets) == 1
    model.set_slides(records, STANDARD_FIELDS)
    model.set_numbers({5: StateCounts(3, 2, 1)}, {})
    assert len(resets) == 1, "numbers alone move no row"
    view.sort_by("left", downwards=True)
    assert model.ids[0] == 5 and len(resets) == 2
    model.search("s99 3")
    assert len(model.ids) < 10_000 and all("99" in f"S{n}" for n in model.ids)
    model.search("")
    view.selectAll()
    assert len(view.chosen_ids()) == 10_000
    assert 0 < len(set(asked)) < 200


def test_each_column_has_a_name_of_its_own() -> None:
    assert len({column.name for column in slide_columns(STANDARD_FIELDS)}) == 7 + len(STANDARD_FIELDS)
