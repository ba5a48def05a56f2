"""Eight threads read one slide that was just opened: every kind, every level, every channel."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from damage_sources import SOURCES, make_sources, source_path
from PIL import Image

from microscope_qc.core.geometry import Region
from microscope_qc.slides import open_slide, picture


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One slide of every kind."""
    folder = tmp_path_factory.mktemp("sources")
    make_sources(folder)
    return folder


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Make the interpreter switch threads a thousand times more often, to provoke race conditions."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("kind", SOURCES)
def test_eight_threads(sources: Path, quick_switches: None, kind: str) -> None:
    dice = np.random.default_rng(3)
    path = source_path(sources, kind)
    wishes = []
    with open_slide(path) as slide:
        mosaic = slide.scene()
        for _ in range(96):
            level = int(dice.integers(len(mosaic.levels)))
            height, width = mosaic.levels[level].shape
            y, x = int(dice.integers(-20, height)), int(dice.integers(-20, width))
            region = Region(y, x, y + int(dice.integers(1, 300)), x + int(dice.integers(1, 300)))
            wishes.append((region, level, int(dice.integers(len(mosaic.channels)))))
        alone = [mosaic.read(region, level=level, channel=channel) for region, level, channel in wishes]
    for _ in range(2):
        with open_slide(path) as slide, ThreadPoolExecutor(8) as pool:
            mosaic = slide.scene()
            futures = [pool.submit(mosaic.read, region, level=level, channel=c) for region, level, c in wishes]
            for future, expected in zip(futures, alone, strict=True):
                np.testing.assert_array_equal(future.result(), expected)


def test_an_image_may_be_collected_while_the_cache_is_locked(tmp_path: Path) -> None:
    """The garbage collector may run inside the lock of the cache; that once caused a deadlock."""
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(path)
    slides = [open_slide(path)]
    slides[0].scene().read(Region(0, 0, 9, 9))

    def let_go() -> None:
        with picture.CACHE._lock:
            slides.clear()
            gc.collect()

    thread = threading.Thread(target=let_go, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
