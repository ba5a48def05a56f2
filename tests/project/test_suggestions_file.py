"""Suggestions of a slide are one file beside the database; whatever is wrong with it, there are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from microscope_qc.project.records import SlideRecord
from microscope_qc.project.suggestions import (
    FOLDER,
    HOW_GOOD_NAME,
    SuggestionSet,
    drop_suggestions,
    read_how_good,
    read_suggestions,
    write_how_good,
    write_suggestions,
)

SLIDE = SlideRecord(3, "S", Path("S.png"), "S.png", None, "f" * 32, (100, 200), None)


def some(count: int = 2) -> SuggestionSet:
    boxes = np.arange(4.0 * count).reshape(count, 4) + [0, 0, 9, 9]
    return SuggestionSet(
        boxes, np.linspace(0.9, 0.5, count), np.arange(count), np.full(count, 0.7), "round", "2026-01-01", 12
    )


def test_what_was_written_is_read_and_replaced_as_a_whole(tmp_path: Path) -> None:
    assert read_suggestions(tmp_path, SLIDE) is None
    write_suggestions(tmp_path, SLIDE, some(5))
    write_suggestions(tmp_path, SLIDE, some())
    found = read_suggestions(tmp_path, SLIDE)
    assert found is not None and len(found) == 2
    assert found.boxes.tolist() == some().boxes.tolist() and found.scores.tolist() == [0.9, 0.5]
    assert (found.class_ids.tolist(), found.class_shares.tolist()) == ([0, 1], [0.7, 0.7])
    assert (found.round, found.made, found.labels) == ("round", "2026-01-01", 12)
    assert found.only(np.array([1])).boxes.tolist() == [found.boxes[1].tolist()]
    drop_suggestions(tmp_path, SLIDE.id)
    drop_suggestions(tmp_path, SLIDE.id)
    assert read_suggestions(tmp_path, SLIDE) is None


def test_those_of_another_file_or_another_orientation_are_none(tmp_path: Path) -> None:
    write_suggestions(tmp_path, SLIDE, some())
    assert read_suggestions(tmp_path, replace(SLIDE, fingerprint="0" * 32)) is None
    assert read_suggestions(tmp_path, replace(SLIDE, orientation=6)) is None


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"suggestions": [[1, 2, 3, 4, 5, 6, 7]]}', "[" * 5000, '{"labels": "many"}']
)
def test_a_damaged_file_suggests_nothing(tmp_path: Path, content: str) -> None:
    write_suggestions(tmp_path, SLIDE, some())
    (tmp_path / FOLDER / f"{SLIDE.id}.json").write_text(content)
    assert read_suggestions(tmp_path, SLIDE) is None


def test_numbers_that_are_none_are_left_out(tmp_path: Path) -> None:
    write_suggestions(tmp_path, SLIDE, some())
    path = tmp_path / FOLDER / f"{SLIDE.id}.json"
    path.write_text(path.read_text().replace("0.9,", "NaN,"))
    found = read_suggestions(tmp_path, SLIDE)
    assert found is not None and found.scores.tolist() == [0.5]


def test_how_good_it_is_is_kept(tmp_path: Path) -> None:
    assert read_how_good(tmp_path) == ([], "")
    write_how_good(tmp_path, ["One.", "Two."], made="2026-01-01")
    assert read_how_good(tmp_path) == (["One.", "Two."], "2026-01-01")
    (tmp_path / FOLDER / HOW_GOOD_NAME).write_text('{"sentences": 3}')
    assert read_how_good(tmp_path) == ([], "")
