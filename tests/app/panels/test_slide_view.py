"""How a slide is viewed: kept with the project, separately for each slide, without getting in the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.app.session.slide_view import Measurement
from microscope_qc.core.errors import InputError
from microscope_qc.core.seen_map import SeenMap
from microscope_qc.project.parts.bookmarks import Bookmark
from microscope_qc.slides.display import ChannelView, DisplaySettings

DARK = DisplaySettings((ChannelView(window=(5.0, 99.0), gamma=2.0),), (1.1, 1.0, 0.9))


def stored(project: Any, slide_id: int) -> dict:
    """What another program would read from the project's folder now."""
    from microscope_qc.project import Project

    with Project.open(project.path, write=False) as reader:
        return reader.settings.get(f"view:{slide_id}", {})


def test_changes_are_written_by_themselves_within_two_seconds(session: Any, qtbot: Any) -> None:
    session.slide_view.set_display(DARK)
    session.slide_view.add_bookmark(Bookmark("Corner", 10.0, 20.0, 0.5))
    slide_id = session.slide.id
    assert session.slide_view._save.isActive() and session.slide_view._save.interval() <= 2000
    qtbot.waitUntil(lambda: bool(stored(session.project, slide_id)))
    found = stored(session.project, slide_id)
    assert DisplaySettings.from_dict(found["display"]) == DARK
    assert Bookmark.from_dict(found["bookmarks"][0]) == Bookmark("Corner", 10.0, 20.0, 0.5)
    assert not session.project.history.can_undo or "Corner" not in session.project.history.undo_title


def test_each_slide_has_its_own_and_gets_it_back(session: Any) -> None:
    first, second = (slide.id for slide in session.project.slides)
    told: list[DisplaySettings] = []
    session.slide_view.display_changed.connect(told.append)
    session.slide_view.set_display(DARK)
    session.slide_view.mark_seen(0, 0, 600, 800)
    session.show_slide(second)
    assert session.slide_view.display == DisplaySettings()
    assert session.slide_view.seen.share == 0
    assert session.slide_view.display_of(first) == DARK
    session.show_slide(first)
    assert session.slide_view.display == DARK
    assert session.slide_view.seen.share == pytest.approx(0.25, abs=0.01)
    assert told[-1] == DARK


def test_everything_is_there_in_the_next_session(session: Any) -> None:
    from microscope_qc.app.session.session import Session
    from microscope_qc.project import Project

    session.slide_view.set_display(DARK)
    session.slide_view.mark_seen(0, 0, 1200, 400)
    session.slide_view.refuse_conversion()
    path = session.project.path
    session.set_project(None)
    again = Session()
    again.set_project(Project.open(path))
    assert again.slide_view.display == DARK
    assert again.slide_view.seen.share == pytest.approx(0.25, abs=0.01)
    assert again.slide_view.no_conversion
    again.slide_view.forget_seen()
    assert again.slide_view.seen.share == 0
    again.set_project(None)


def test_a_project_for_reading_keeps_it_in_memory(session: Any) -> None:
    from microscope_qc.app.session.session import Session
    from microscope_qc.project import Project

    reader = Session()
    reader.set_project(Project.open(session.project.path, write=False))
    first, second = (slide.id for slide in reader.project.slides)
    reader.slide_view.set_display(DARK)
    reader.show_slide(second)
    reader.show_slide(first)
    assert reader.slide_view.display == DARK
    reader.set_project(None)
    assert stored(session.project, first) == {}


@pytest.mark.parametrize(
    "wrong",
    [
        7,
        {"display": {"channels": 3}},
        {"display": {"channels": [], "white_balance": [0, 0, 0]}, "bookmarks": "none"},
        {
            "bookmarks": [
                {"name": "A", "y": float("nan"), "x": 0, "zoom": 1},
                {"name": "B", "y": 1, "x": 2, "zoom": 3},
                4,
            ]
        },
    ],
)
def test_entries_that_cannot_be_read_cost_nothing_else(session: Any, wrong: object) -> None:
    first, second = (slide.id for slide in session.project.slides)
    session.project.settings.set(f"view:{second}", wrong)
    session.project.settings.set(f"seen:{second}", {"shape": [1, 2], "cells": "!!"})
    session.show_slide(second)
    assert session.slide_view.display == DisplaySettings()
    assert [bookmark.name for bookmark in session.slide_view.bookmarks] in ([], ["B"])
    assert session.slide_view.seen.share == 0
    assert session.slide.id == second
    session.show_slide(first)


def test_a_failing_disk_is_said_and_nothing_is_lost(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from microscope_qc.core.errors import ProjectError

    def full(key: str, value: object, *, light: bool = False) -> None:
        raise ProjectError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(session.project.settings, "set", full)
        session.slide_view.set_display(DARK)
        session.slide_view.save()
    assert "The disk is full." in session.seen.notices[-1]
    session.slide_view.save()
    assert DisplaySettings.from_dict(stored(session.project, session.slide.id)["display"]) == DARK


def test_many_changes_are_told_once_per_refresh(session: Any, qtbot: Any) -> None:
    told: list[DisplaySettings] = []
    session.slide_view.display_changed.connect(told.append)
    for high in range(20, 220):
        session.slide_view.set_display(DisplaySettings((ChannelView(window=(0.0, float(high))),)))
    qtbot.waitUntil(lambda: bool(told))
    assert len(told) == 1
    assert told[0].channels[0].window == (0.0, 219.0)


def test_bookmarks_are_renamed_and_deleted_and_put_back(session: Any) -> None:
    view = session.slide_view
    for name in "abc":
        view.add_bookmark(Bookmark(name, 1.0, 2.0, 3.0))
    view.rename_bookmark(1, "  pore ")
    view.rename_bookmark(2, "   ")
    gone = view.bookmarks[0]
    view.delete_bookmark(0)
    assert [bookmark.name for bookmark in view.bookmarks] == ["pore", "c"]
    view.restore_bookmark(0, gone)
    assert [bookmark.name for bookmark in view.bookmarks] == ["a", "pore", "c"]
    session.set_project(None)
    with pytest.raises(InputError):
        view.add_bookmark(gone)


@given(st.integers(1, 200_000), st.integers(1, 200_000), st.lists(st.tuples(*[st.floats(-0.2, 1.2)] * 4), max_size=5))
def test_the_map_of_what_was_seen_survives_json(height: int, width: int, views: list[tuple]) -> None:
    seen = SeenMap((height, width))
    for y0, x0, y1, x1 in views:
        seen.mark(y0 * height, x0 * width, y1 * height, x1 * width)
    other = SeenMap((height, width))
    other.take_dict(json.loads(json.dumps(seen.to_dict())))
    np.testing.assert_array_equal(other.cells, seen.cells)
    assert max(seen.cells.shape) <= 256
    assert seen.mark(-1, -1, height + 1, width + 1) or seen.share == 1.0
    assert seen.share == 1.0


@given(st.dictionaries(st.sampled_from(["shape", "cells"]), st.lists(st.integers(0, 9)) | st.text(max_size=30)))
def test_cells_from_untrusted_files_are_refused(values: dict) -> None:
    with pytest.raises(InputError):
        SeenMap((100, 100)).take_dict(values)


@pytest.mark.parametrize(
    ("line", "size", "words"),
    [
        ((0, 0, 0, 100), None, "100.0 px   0.0°"),
        ((100, 0, 0, 100), (0.5, 0.5), "70.71 µm   141.4 px   45.0°"),
        ((0, 0, 100, 0), (10.0, 5.0), "1 mm   100.0 px   90.0°"),
        ((0, 100, 0, 0), (0.001, 0.002), "200 nm   100.0 px   0.0°"),
        ((100, 100, 0, 0), None, "141.4 px   −45.0°"),
        ((0, 0, 100, 100), (2.0, 1.0), "223.6 µm   141.4 px   −63.4°"),
    ],
)
def test_a_line_says_its_length_and_angle(line: tuple, size: tuple | None, words: str) -> None:
    assert Measurement(*line).words(size) == words


def test_settings_of_a_newer_kind_do_not_stop_the_slide(session: Any, tmp_path: Path) -> None:
    slide_id = session.project.slides[1].id
    session.project.settings.set(f"view:{slide_id}", {"display": DARK.to_dict(), "later": {"a": 1}})
    session.show_slide(slide_id)
    assert session.slide_view.display == DARK
