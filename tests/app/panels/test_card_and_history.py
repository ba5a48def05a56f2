"""The card of one finding and of many; the history that says who did what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from microscope_qc.app.panels.finding.attributes import merged, parsed
from microscope_qc.app.panels.finding.panel import FindingDock
from microscope_qc.app.panels.history import HistoryDock
from microscope_qc.app.session.session import Session
from microscope_qc.app.shell.read_only import ReadOnlyBar
from microscope_qc.core.boxes import make_rows
from microscope_qc.project import Project
from microscope_qc.project.runs.plan import RunPlan

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def card(session: Any, qtbot: Any) -> FindingDock:
    """The card, shown."""
    made = FindingDock(session)
    qtbot.addWidget(made)
    made.show()
    return made


def steps(session: Any) -> int:
    """Commands in the history."""
    return len(session.project.history.entries())


def ids_of(session: Any, count: int) -> list[int]:
    """The first findings."""
    return [int(number) for number in session.table.rows["id"][:count]]


def test_an_attribute_is_added_changed_and_taken_away(card: FindingDock, session: Any, qtbot: Any) -> None:
    (first,) = ids_of(session, 1)
    session.selection.set([first])
    rows = card.attributes
    QTest.keyClicks(rows.new_name, "depth")
    QTest.keyClicks(rows.new_value, "3,5")
    before = steps(session)
    QTest.keyClick(rows.new_value, Qt.Key.Key_Return)
    assert session.project.attributes.get(first) == {"depth": 3.5}
    assert steps(session) == before + 1
    qtbot.waitUntil(lambda: "depth" in rows.fields)
    field = rows.fields["depth"]
    field.selectAll()
    QTest.keyClicks(field, "deep")
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert session.project.attributes.get(first) == {"depth": "deep"}
    session.undoing.undo()
    assert session.project.attributes.get(first) == {"depth": 3.5}
    qtbot.waitUntil(lambda: rows.fields["depth"].text() == "3.5")
    QTest.mouseClick(rows.removers["depth"], LEFT)
    assert session.project.attributes.get(first) == {}
    qtbot.waitUntil(lambda: not rows.fields)


def test_what_was_typed_belongs_to_the_finding_it_was_typed_for(card: FindingDock, session: Any, qtbot: Any) -> None:
    first, second = ids_of(session, 2)
    session.project.attributes.edit([first, second], {"phase": "oxide"})
    session.selection.set([first])
    field = card.attributes.fields["phase"]
    field.selectAll()
    QTest.keyClicks(field, "metal")
    session.selection.set([second])
    assert session.project.attributes.get(first) == {"phase": "metal"}
    assert session.project.attributes.get(second) == {"phase": "oxide"}


def test_a_note_typed_at_once_belongs_to_the_finding_that_was_just_selected(
    card: FindingDock, session: Any, qtbot: Any
) -> None:
    first, second = ids_of(session, 2)
    session.judging.set_note(np.array([first]), "a crack")
    session.selection.set([first])
    qtbot.waitUntil(lambda: not card._due.due)
    session.selection.set([second])
    assert card.note.toPlainText() == ""
    QTest.keyClicks(card.note, "a pore")
    session.selection.set([first])
    assert session.table.get([first, second])["note"].tolist() == ["a crack", "a pore"]
    assert card.note.toPlainText() == "a crack"


def test_many_findings_show_mixed_and_change_in_one_step(card: FindingDock, session: Any, qtbot: Any) -> None:
    many = ids_of(session, 4)
    session.project.attributes.edit(many[:2], {"phase": "oxide", "lab": "A"})
    session.project.attributes.edit(many[2:], {"phase": "metal"})
    session.judging.confirm(np.array(many[:1]))
    session.judging.set_note(np.array(many[:1]), "look")
    session.selection.set(many)
    qtbot.waitUntil(lambda: "mixed" in card._state.text())
    assert "1 confirmed" in card._state.text()
    assert card.classes.currentIndex() == -1 and "mixed" in card.classes.placeholderText()
    assert "mixed" in card.note.placeholderText()
    rows = card.attributes
    assert rows.fields["phase"].placeholderText() == "mixed" and rows.fields["phase"].text() == ""
    assert "2 of 4" in rows.fields["lab"].toolTip()
    before = steps(session)
    QTest.keyClicks(rows.fields["phase"], "fluoride")
    QTest.keyClick(rows.fields["phase"], Qt.Key.Key_Return)
    assert [session.project.attributes.get(number)["phase"] for number in many] == ["fluoride"] * 4
    assert steps(session) == before + 1
    card.classes.setCurrentIndex(2)
    card.classes.activated.emit(2)
    assert set(session.table.get(many)["class_id"].tolist()) == {session.classes[2].id}
    assert steps(session) == before + 2
    card.note.setPlainText("all the same")
    card.keep_note()
    assert set(session.table.get(many)["note"].tolist()) == {"all the same"}
    QTest.mouseClick(card.confirm_button, LEFT)
    assert steps(session) == before + 4


def test_leaving_a_mixed_attribute_changes_nothing(card: FindingDock, session: Any) -> None:
    first, second = ids_of(session, 2)
    session.project.attributes.edit([first], {"phase": "oxide"})
    session.selection.set([first, second])
    before = steps(session)
    card.attributes.fields["phase"].setFocus()
    session.selection.set([second])
    session.selection.set([first])
    assert steps(session) == before
    assert session.project.attributes.get(first) == {"phase": "oxide"}


@given(st.dictionaries(st.integers(1, 6), st.dictionaries(st.sampled_from("abc"), st.integers(0, 1), min_size=1)))
def test_a_value_is_shown_only_where_all_have_it(attributes: dict) -> None:
    count = 6
    values, counts = merged(attributes, count)
    for name in "abc":
        having = [found[name] for found in attributes.values() if name in found]
        assert counts.get(name, 0) == len(having)
        if name in values:
            same = len(having) == count and len(set(having)) == 1
            assert (values[name] == having[0]) is same


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("3,5", 3.5), ("-2", -2), ("007", "007"), ("1e5", "1e5"), ("0.3", 0.3), ("nan", "nan"), ("A 1", "A 1")],
)
def test_numbers_are_numbers_and_names_stay_names(text: str, value: Any) -> None:
    got = parsed(text)
    assert got == value and type(got) is type(value)


@pytest.fixture
def history(session: Any, qtbot: Any) -> HistoryDock:
    """The history, shown."""
    made = HistoryDock(session)
    qtbot.addWidget(made)
    made.resize(276, 480)
    made.show()
    return made


def test_a_step_is_told_with_values_before_and_after(history: HistoryDock, session: Any, qtbot: Any) -> None:
    (first,) = ids_of(session, 1)
    old, new = session.class_of(int(session.table.get([first])[0]["class_id"])), session.classes[5]
    session.judging.relabel(np.array([first]), new.id)
    qtbot.waitUntil(lambda: new.code in history.details.toPlainText())
    words = history.details.toPlainText()
    user = session.project.history.entries(1)[0].user
    assert user in words and f"Box {first}" in words
    assert f"{old.code} → {new.code}" in words
    areas: list[tuple] = []
    session.area_requested.connect(areas.append)
    session.undoing.undo()
    qtbot.waitUntil(lambda: "undone" in history.details.toPlainText())
    assert any("Undone" in said for said in session.seen.notices)
    assert session.selection.current == first
    row = session.table.get([first])[0]
    assert areas == [pytest.approx([float(row[name]) for name in ("y0", "x0", "y1", "x1")])]


def test_the_history_asks_for_its_table(history: HistoryDock, qtbot: Any) -> None:
    with qtbot.waitSignal(history.export_requested):
        QTest.mouseClick(history.export, LEFT)


def test_what_was_undone_is_done_again_after_a_restart(session: Any, project: Any) -> None:
    (first,) = ids_of(session, 1)
    session.judging.set_note(np.array([first]), "kept")
    session.undoing.undo()
    place = project.path
    session.set_project(None)
    session.set_project(Project.open(place))
    session.undoing.redo()
    assert session.table.get([first])[0]["note"] == "kept"
    session.set_project(None)


def test_a_reader_is_told_who_writes_and_sees_what_is_new(
    session: Any, project: Any, qtbot: Any, tmp_path: Path
) -> None:
    opened: list[Path] = []
    reader = Session()
    reader.set_project(Project.open(project.path, write=False))
    bar, card = ReadOnlyBar(reader, open_for_writing=opened.append), FindingDock(reader)
    for widget in (bar, card):
        qtbot.addWidget(widget)
        widget.show()
    owner = project.owner
    assert owner["user"] in bar.words.text() and owner["since"][:10] in bar.words.text()
    assert not bar.newest.isEnabled() and not bar.write.isEnabled()
    (first,) = ids_of(session, 1)
    reader.selection.set([first])
    qtbot.waitUntil(lambda: not card.confirm_button.isEnabled())
    assert owner["user"] in card.confirm_button.toolTip()
    assert not card.attributes.add_button.isEnabled() and card.note.isReadOnly()
    session.judging.set_note(np.array([first]), "new")
    bar.check()
    assert "newer" in bar.words.text()
    QTest.mouseClick(bar.newest, LEFT)
    assert reader.table.get([first])[0]["note"] == "new"
    assert not bar.newest.isEnabled()
    session.set_project(None)
    bar.check()
    assert bar.write.isEnabled() and "Nobody is writing" in bar.words.text()
    QTest.mouseClick(bar.write, LEFT)
    assert opened == [project.path]
    bar.close()
    reader.set_project(None)


def test_an_owner_sees_no_bar(session: Any, qtbot: Any) -> None:
    bar = ReadOnlyBar(session, open_for_writing=lambda _path: None)
    qtbot.addWidget(bar)
    assert bar.isHidden()


def two_opinions(session: Session) -> tuple[int, list[Any]]:
    """A finding of which two models say different classes; its id and the runs."""
    project, slide = session.project, session.slide
    assert project is not None and slide is not None
    runs = [project.runs.start(slide.id, RunPlan(model=f"models/{name}", model_name=name)) for name in ("one", "two")]
    box = {"y0": 400.0, "x0": 500.0, "y1": 420.0, "x1": 530.0}
    for run, confidence, place in zip(runs, (0.6, 0.8), (0, 1), strict=True):
        rows = make_rows(1, class_id=project.classes[place].id, confidence=confidence, **box)
        (number,) = project.runs.add_findings(run.id, rows)
    return int(number), runs


def test_the_card_shows_what_each_model_says_and_takes_a_class_over(
    card: FindingDock, session: Any, qtbot: Any
) -> None:
    number, runs = two_opinions(session)
    project, (first, second) = session.project, session.classes[:2]
    session.selection.set([number])
    qtbot.waitUntil(lambda: len(card.opinions.lines) == 2)
    lines = card.opinions.lines
    assert [line.text().split()[0] for line in lines] == [second.code, first.code], "the most confident first"
    assert "0.80" in lines[0].text() and "two" in lines[0].text() and "shown" in lines[0].text()
    assert "0.60" in lines[1].text() and "one" in lines[1].text() and "shown" not in lines[1].text()
    assert str(runs[0].started)[:10] in lines[1].text()
    assert card.opinions.differ.isVisible()
    assert not lines[0].isEnabled() and "has this class" in lines[0].toolTip()
    QTest.mouseClick(lines[1], LEFT)
    assert int(session.table.get([number])["class_id"][0]) == first.id
    qtbot.waitUntil(lambda: len(card.opinions.lines) == 3)
    mine = card.opinions.lines[0].text()
    assert mine.startswith(first.code) and "you" in mine and "shown" in mine
    assert not any("shown" in line.text() for line in card.opinions.lines[1:])
    session.undoing.undo()
    qtbot.waitUntil(lambda: len(card.opinions.lines) == 2)
    assert int(session.table.get([number])["class_id"][0]) == second.id
    project.runs.show(runs[1].id, False)
    qtbot.waitUntil(lambda: "switched off" in card.opinions.lines[0].text())
    assert "shown" in card.opinions.lines[1].text(), "the one that counts leads, however sure the other is"


def test_opinions_that_agree_offer_nothing_and_a_drawn_finding_has_none(
    card: FindingDock, session: Any, qtbot: Any
) -> None:
    session.selection.set(ids_of(session, 1))
    qtbot.waitUntil(lambda: not card._due.due)
    assert not card.opinions.isVisible()
    number, _ = two_opinions(session)
    session.judging.relabel(np.array([number]), session.classes[2].id)
    session.judging.confirm(np.array([number]))
    session.selection.set([number])
    qtbot.waitUntil(card.opinions.isVisible)
    assert "you, confirmed" in card.opinions.lines[0].text()
    session.selection.set([number, *ids_of(session, 1)])
    qtbot.waitUntil(lambda: not card.opinions.isVisible())  # of one finding only
