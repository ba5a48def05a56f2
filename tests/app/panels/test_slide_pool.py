"""The slides that are open: each once, a few at a time."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from microscope_qc.app.session.slide_pool import SlidePool
from microscope_qc.core.errors import SlideError
from microscope_qc.project.records import SlideRecord

pytestmark = pytest.mark.window


def record(number: int) -> SlideRecord:
    return SlideRecord(number, f"S{number}", Path(f"/S{number}.png"), "", None, "", (10, 10), None)


class Files:
    """Opens slides, and counts."""

    def __init__(self) -> None:
        self.opened: list[int] = []
        self.missing: set[int] = set()

    def open(self, slide: SlideRecord) -> Any:
        self.opened.append(slide.id)
        if slide.id in self.missing:
            raise SlideError(f"{slide.name} is missing.")
        return object()


@pytest.fixture
def files() -> Files:
    return Files()


@pytest.fixture
def pool(files: Files) -> SlidePool:
    return SlidePool(files.open, most=2)


def test_the_slides_used_last_stay_open(pool: SlidePool, files: Files) -> None:
    first = pool.get(record(1))
    pool.get(record(2))
    assert pool.get(record(1)) is first
    pool.get(record(3))  # the second was used longest ago
    assert len(pool) == 2
    assert pool.opened(record(2)) is None and pool.opened(record(1)) is first
    pool.get(record(2))
    assert files.opened == [1, 2, 3, 2]


def test_a_slide_that_cannot_be_opened_is_tried_again(pool: SlidePool, files: Files) -> None:
    files.missing = {1}
    with pytest.raises(SlideError, match="S1 is missing"):
        pool.get(record(1))
    assert pool.opened(record(1)) is None and len(pool) == 0
    files.missing = set()
    assert pool.get(record(1)) is pool.opened(record(1))


def test_another_file_is_another_slide(pool: SlidePool, files: Files) -> None:
    before = pool.get(record(1))
    moved = replace(record(1), path=Path("/elsewhere.png"))
    assert pool.opened(moved) is None
    assert pool.get(moved) is not before
    pool.forget(1)
    assert pool.opened(moved) is None and len(pool) == 0
    pool.keep(record(4), before)
    assert pool.get(record(4)) is before
    pool.forget_all()
    assert len(pool) == 0


def test_threads_that_ask_for_one_slide_get_one(files: Files) -> None:
    began, go_on = threading.Event(), threading.Event()

    def slowly(slide: SlideRecord) -> Any:
        began.set()
        assert go_on.wait(30)
        return files.open(slide)

    pool, got = SlidePool(slowly), []
    threads = [threading.Thread(target=lambda: got.append(pool.get(record(1)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert began.wait(30)
    assert pool.opened(record(1)) is None  # never waits
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert len(got) == 3 and len(set(map(id, got))) == 1
    assert files.opened == [1]
