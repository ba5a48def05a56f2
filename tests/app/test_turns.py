"""Panels that are due take turns: each once, one after the other, and before a user acts on what they show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from qtpy.QtCore import QObject, Qt
from qtpy.QtWidgets import QLineEdit, QPushButton, QVBoxLayout, QWidget

from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.turns import Later, PartByPart, Turns, turns


def shown(qtbot: Any) -> QWidget:
    widget = QWidget()
    qtbot.addWidget(widget)
    widget.show()
    qtbot.waitExposed(widget)
    return widget


def test_many_changes_are_one_refresh(qtbot: Any) -> None:
    widget, done = shown(qtbot), []
    refresh = Refresh(widget, lambda: done.append(1))
    for _ in range(5):
        refresh.soon()
    assert refresh.due and done == []
    qtbot.waitUntil(lambda: not refresh.due)
    qtbot.wait(50)
    assert done == [1]


def test_panels_refresh_in_the_order_in_which_they_became_due_and_never_two_in_one_turn(qtbot: Any) -> None:
    at: list[tuple[str, int]] = []

    class Counting(Turns):
        count = 0

        def _on_next(self) -> None:
            self.count += 1
            super()._on_next()

    counting = Counting()
    for name in ("first", "second", "third"):
        counting.wait(name, lambda name=name: at.append((name, counting.count)) is None)
    qtbot.waitUntil(lambda: len(at) == 3)
    assert [name for name, _ in at] == ["first", "second", "third"]
    assert len({count for _, count in at}) == 3


def test_work_that_was_nothing_leaves_its_turn_to_the_next(qtbot: Any) -> None:
    found, done = Turns(), []
    found.wait("hidden", lambda: False)
    found.wait("seen", lambda: done.append(1) is None)
    found._on_next()
    assert done == [1]


def test_what_fails_does_not_keep_the_others_from_their_turn(qtbot: Any) -> None:
    found, done = Turns(), []

    def fail() -> bool:
        raise ValueError("broken panel")

    found.wait("broken", fail)
    found.wait("sound", lambda: done.append(1) is None)
    with pytest.raises(ValueError, match="broken panel"):
        found._on_next()
    qtbot.waitUntil(lambda: done == [1])


def test_work_is_dropped_with_its_owner(qtbot: Any) -> None:
    owner, done = QObject(), []
    later = Later(owner, lambda: done.append(1))
    later.soon()
    later._on_timeout()  # it waits for its turn now
    del later
    owner.deleteLater()
    qtbot.waitUntil(lambda: not any(True for _ in turns()._waiting))
    qtbot.wait(30)
    assert done == []


def test_a_hidden_panel_waits_until_it_is_shown(qtbot: Any) -> None:
    widget, done = QWidget(), []
    qtbot.addWidget(widget)
    refresh = Refresh(widget, lambda: done.append(1))
    refresh.soon()
    qtbot.wait(40)
    assert done == [] and refresh.due
    widget.show()
    assert done == [1] and not refresh.due


def test_a_panel_refreshes_before_the_user_acts_on_it(qtbot: Any) -> None:
    widget = shown(qtbot)
    column, button, field = QVBoxLayout(widget), QPushButton("Go"), QLineEdit()
    column.addWidget(button)
    column.addWidget(field)
    seen: list[str] = []
    shown_words = ["old"]
    refresh = Refresh(widget, lambda: shown_words.__setitem__(0, "new"), after_ms=10_000)
    refresh.before_use_of(button, field)
    button.clicked.connect(lambda: seen.append(shown_words[0]))
    refresh.soon()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert seen == ["new"]
    shown_words[0] = "old"
    refresh.soon()
    field.textChanged.connect(lambda _text: seen.append(shown_words[0]))
    qtbot.keyClicks(field, "a")
    assert seen == ["new", "new"]


def test_something_large_is_made_part_by_part_with_the_window_free_in_between(qtbot: Any) -> None:
    owner, at = QObject(), []

    def parts() -> Iterator[None]:
        for name in "abc":
            at.append(name)
            if name == "a":
                between.soon()
            yield

    between = Later(owner, lambda: at.append("window"))
    making = PartByPart(owner, parts())
    making.made.connect(lambda: at.append("made"))
    qtbot.waitUntil(lambda: "made" in at)
    assert at == ["a", "window", "b", "c", "made"] or at == ["a", "b", "window", "c", "made"]


def test_what_is_made_part_by_part_can_be_finished_at_once_and_is_made_once(qtbot: Any) -> None:
    owner, at = QObject(), []

    def parts() -> Iterator[None]:
        for name in "abc":
            at.append(name)
            yield

    making = PartByPart(owner, parts())
    making.made.connect(lambda: at.append("made"))
    making.finish()
    making.finish()
    assert at == ["a", "b", "c", "made"]
    qtbot.wait(30)
    assert at == ["a", "b", "c", "made"]
