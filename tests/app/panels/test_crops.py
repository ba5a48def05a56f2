"""Crops arrive from worker threads, newest first, and never from a slide that is gone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("qtpy")
from microscope_qc.app.widgets.crops import MIN_SIDE_PX, CropProvider, CropSpec
from microscope_qc.core.geometry import Region

pytestmark = pytest.mark.window

numbers = st.floats(-2000, 5000)
sizes = st.floats(0.5, 4000)
pictures = st.tuples(st.integers(32, 1500), st.integers(32, 1500))


@given(numbers, numbers, sizes, sizes, pictures)
def test_a_crop_holds_its_box_and_never_more_pixels_than_there_are(
    y: float, x: float, height: float, width: float, shape_px: tuple[int, int]
) -> None:
    spec = CropSpec.around((y, x, y + height, x + width), shape_px=shape_px)
    region = spec.region
    assert region.y0 <= y and region.x0 <= x
    assert region.y1 >= y + height and region.x1 >= x + width
    assert min(region.shape) >= min(MIN_SIDE_PX, MIN_SIDE_PX * shape_px[1] / shape_px[0]) - 1
    assert spec.shape_px[0] <= region.shape[0] and spec.shape_px[1] <= region.shape[1]
    aspect = region.shape[1] / region.shape[0]
    assert aspect == pytest.approx(shape_px[1] / shape_px[0], rel=0.1)


@given(st.floats(0, 900), st.floats(0, 1500), st.floats(1, 99), st.floats(1, 99), pictures)
def test_a_crop_within_the_slide_shows_nothing_else_where_it_can(
    y: float, x: float, height: float, width: float, shape_px: tuple[int, int]
) -> None:
    slide = (1000, 1600)
    box = (y, x, y + height, x + width)
    inside = CropSpec.around(box, shape_px=shape_px, within=slide).region
    assert inside.shape == CropSpec.around(box, shape_px=shape_px).region.shape
    for start, stop, limit in ((inside.y0, inside.y1, slide[0]), (inside.x0, inside.x1, slide[1])):
        assert (start >= 0 and stop <= limit) or stop - start > limit
    assert inside.y0 <= y and inside.x0 <= x and inside.y1 >= y + height and inside.x1 >= x + width


def spec(number: int) -> CropSpec:
    return CropSpec(Region(number, 0, number + 32, 32), (32, 32))


def itself(slide: Any) -> Any:
    """Slides of these tests are read without tiles."""
    return slide


class Gate:
    """A slide whose reads wait until they are let through; each has the grey value of its slide."""

    def __init__(self, grey: int = 100, *, opened: bool = True) -> None:
        self.grey = grey
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.read: list[int] = []
        self.threads: set[int] = set()
        if opened:
            self.gate.set()

    def read_scaled(self, region: Region, shape: tuple[int, int]) -> np.ndarray:
        self.read.append(region.y0)
        self.threads.add(threading.get_ident())
        self.entered.set()
        assert self.gate.wait(10)
        if region.y0 < 0:
            raise OSError("this tile is broken")
        return np.full((*shape, 3), self.grey, np.uint8)


@pytest.fixture
def provider(qtbot: Any) -> Iterator[CropProvider]:
    made = CropProvider(workers=1, source_of=itself)
    yield made
    made.close()


def wait_for(qtbot: Any, provider: CropProvider, wanted: CropSpec) -> Any:
    qtbot.waitUntil(lambda: provider.get(wanted) is not None, timeout=60000)
    return provider.get(wanted)


def test_crops_arrive_later_and_from_another_thread(qtbot: Any, provider: CropProvider) -> None:
    slide = Gate(77)
    provider.set_mosaic(slide)  # type: ignore[arg-type]
    with qtbot.waitSignal(provider.ready, timeout=60000) as arrived:
        assert provider.get(spec(1)) is None
    assert arrived.args == [[spec(1)]]
    crop = provider.get(spec(1))
    assert crop is not None and crop.image is not None
    assert crop.image.pixelColor(5, 5).red() == 77
    assert threading.get_ident() not in slide.threads
    assert slide.read == [1]


def test_the_newest_requests_are_read_first_in_their_own_order(qtbot: Any, provider: CropProvider) -> None:
    slide = Gate(opened=False)
    provider.set_mosaic(slide)  # type: ignore[arg-type]
    provider.get(spec(0))
    assert slide.entered.wait(5)
    for number in (1, 2):
        provider.get(spec(number))
    before = provider._pass
    qtbot.waitUntil(lambda: provider._pass > before, timeout=60000)
    for number in (3, 4):
        provider.get(spec(number))
    slide.gate.set()
    qtbot.waitUntil(lambda: provider.waiting == 0, timeout=60000)
    assert slide.read == [0, 3, 4, 1, 2]


def test_what_is_being_read_is_not_read_twice(qtbot: Any, provider: CropProvider) -> None:
    slide = Gate(opened=False)
    provider.set_mosaic(slide)  # type: ignore[arg-type]
    provider.get(spec(0))
    assert slide.entered.wait(5)
    before = provider._pass
    qtbot.waitUntil(lambda: provider._pass > before, timeout=60000)
    provider.get(spec(0))
    slide.gate.set()
    wait_for(qtbot, provider, spec(0))
    assert slide.read == [0]


def test_a_reply_from_the_slide_before_is_dropped(qtbot: Any, provider: CropProvider) -> None:
    old, new = Gate(10, opened=False), Gate(200)
    arrived: list[CropSpec] = []
    provider.ready.connect(arrived.extend)
    provider.set_mosaic(old)  # type: ignore[arg-type]
    provider.get(spec(0))
    provider.get(spec(1))
    assert old.entered.wait(5)
    provider.set_mosaic(new)  # type: ignore[arg-type]
    old.gate.set()
    crop = wait_for(qtbot, provider, spec(0))
    assert crop.image.pixelColor(0, 0).red() == 200
    assert arrived == [spec(0)]
    assert old.read == [0], "what is no longer needed must not be read"


def test_the_cache_stays_within_its_bytes(qtbot: Any) -> None:
    provider = CropProvider(cache_bytes=5 * 32 * 32 * 4, workers=1, source_of=itself)
    slide = Gate()
    provider.set_mosaic(slide)  # type: ignore[arg-type]
    for number in range(12):
        wait_for(qtbot, provider, spec(number))
    assert provider.cached_bytes <= 5 * 32 * 32 * 4
    assert provider.get(spec(11)) is not None
    assert provider.get(spec(0)) is None
    provider.close()


def test_an_unreadable_place_says_so_and_the_others_go_on(qtbot: Any, provider: CropProvider) -> None:
    provider.set_mosaic(Gate())  # type: ignore[arg-type]
    broken = wait_for(qtbot, provider, spec(-5))
    assert broken.image is None and broken.error == "this tile is broken"
    assert wait_for(qtbot, provider, spec(3)).image is not None


def test_closing_ends_the_threads(qtbot: Any) -> None:
    provider = CropProvider(workers=2, source_of=itself)
    provider.set_mosaic(Gate())  # type: ignore[arg-type]
    wait_for(qtbot, provider, spec(0))
    provider.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("crops-")]


def test_crops_follow_brightness_and_contrast_and_are_never_blank_meanwhile(qtbot: Any, session: Any) -> None:
    from microscope_qc.slides.display import ChannelView, DisplaySettings

    provider = CropProvider(workers=1)
    try:
        provider.follow(session.slide_view)
        provider.set_mosaic(session.mosaic)
        region = CropSpec(Region(100, 100, 140, 140), (40, 40))
        before = wait_for(qtbot, provider, region).image.copy()
        told: list[Any] = []
        provider.ready.connect(told.append)
        black = DisplaySettings((ChannelView(window=(254.0, 255.0)),))
        session.slide_view.set_display(black)
        qtbot.waitUntil(lambda: [region] in told)
        assert provider.get(region).image == before  # the old one stays until the new one is there
        qtbot.waitUntil(lambda: provider.get(region).image != before)
        image = provider.get(region).image
        assert max(image.pixelColor(x, y).red() for x in range(40) for y in range(40)) in (0, 255)
        assert sum(image.pixelColor(x, y).red() for x in range(40) for y in range(40)) < 1600 * 20
        session.slide_view.set_display(DisplaySettings())
        qtbot.waitUntil(lambda: provider.get(region).image == before)
    finally:
        provider.close()
