"""What the user and a model see: windows, channels, and any region at any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import Region
from microscope_qc.slides.base import Mosaic, downsample_of
from microscope_qc.slides.display import to_uint8
from microscope_qc.slides.pixels import Channel, Level


class InMemory(Mosaic):
    """A mosaic over arrays that records the largest read."""

    def __init__(self, *levels: np.ndarray, channels: tuple[Channel, ...] = (), rgb: bool = False) -> None:
        shapes = [level.shape[-2:] if channels else level.shape[:2] for level in levels]
        super().__init__(
            path=Path("memory"),
            levels=[Level(shape, downsample_of(shapes[0], shape)) for shape in shapes],
            dtype=levels[0].dtype,
            rgb=rgb,
            channels=channels,
        )
        self._arrays = levels
        self.largest = 0
        self.read_levels: set[int] = set()

    def _read(self, region: Region, level: int, channel: int) -> np.ndarray:
        self.largest = max(self.largest, region.shape[0] * region.shape[1])
        self.read_levels.add(level)
        array = self._arrays[level]
        array = array[channel] if array.ndim == 3 and not self.rgb else array
        return array[region.y0 : region.y1, region.x0 : region.x1]


def test_grey_is_three_equal_channels_and_16_bit_is_stretched() -> None:
    ramp = np.linspace(1000, 3000, 400 * 300).reshape(400, 300).astype(np.uint16)
    shown = InMemory(ramp).read_rgb8(Region(0, 0, 400, 300))
    assert (shown[..., 0] == shown[..., 1]).all()
    assert (shown[..., 0] == shown[..., 2]).all()
    assert shown.min() == 0
    assert shown.max() == 255
    assert abs(int(shown[200, 150, 0]) - 127) <= 2


def test_eight_bit_keeps_its_values() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(InMemory(grey).read_rgb8(Region(0, 0, 16, 16))[..., 1], grey)


def test_float_without_numbers_is_black() -> None:
    pixels = np.full((20, 20), np.nan, np.float32)
    assert InMemory(pixels).read_rgb8(Region(0, 0, 20, 20)).max() == 0
    pixels[:10] = np.linspace(-1, 1, 200).reshape(10, 20)
    pixels[0, 0] = np.inf
    shown = InMemory(pixels).read_rgb8(Region(0, 0, 20, 20))
    assert shown[10:].max() == 0
    assert shown[0, 0, 0] == 255
    assert shown[9, 19, 0] == 255


def test_the_window_is_the_same_for_every_tile() -> None:
    dark_and_bright = np.zeros((100, 200), np.uint16)
    dark_and_bright[:, 100:] = 4000
    mosaic = InMemory(dark_and_bright)
    assert mosaic.read_rgb8(Region(0, 0, 50, 50)).max() == 0
    assert mosaic.read_rgb8(Region(0, 150, 50, 200)).min() == 255


def test_channels_add_up_in_their_colours_and_windows() -> None:
    planes = np.stack([np.full((4, 4), 50, np.uint8), np.full((4, 4), 100, np.uint8)])
    channels = (Channel("A", "#ff0000", (0.0, 100.0)), Channel("B", "#ff8000", (0.0, 200.0)))
    shown = InMemory(planes, channels=channels).read_rgb8(Region(0, 0, 4, 4))
    assert shown[0, 0].tolist() == [255, 64, 0]  # 128 + 128 saturates; half of 128


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.floats(-1e6, 1e6))
def test_to_uint8_is_linear_in_its_window(low: float, width: float, value: float) -> None:
    got = to_uint8(np.array([[value]], np.float64), (low, low + width))[0, 0]
    assert abs(int(got) - np.clip((value - low) / width * 255, 0, 255)) <= 0.5 + 1e-6


@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.tuples(st.integers(-60, 150), st.integers(-60, 150)),
    st.tuples(st.integers(1, 120), st.integers(1, 120)),
)
def test_read_scaled_averages_areas(shape: tuple[int, int], start: tuple[int, int], size: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 255, (130, 140), np.uint8)
    region = Region(*start, start[0] + size[0], start[1] + size[1])
    got = InMemory(pixels).read_scaled(region, shape)
    assert got.shape == (*shape, 3)
    if shape[0] > size[0] or shape[1] > size[1]:
        return  # enlarging is interpolation, not averaging
    canvas = np.zeros((500, 500))
    canvas[100:230, 100:240] = pixels
    source = canvas[region.y0 + 100 : region.y1 + 100, region.x0 + 100 : region.x1 + 100]
    expected = weights(size[0], shape[0]) @ source @ weights(size[1], shape[1]).T
    assert np.abs(got[..., 0] - expected).max() <= 1.01


def weights(size: int, count: int) -> np.ndarray:
    """Weight of every source pixel in every result pixel, (count, size)."""
    edges = np.linspace(0, size, count + 1)
    overlap = np.minimum(edges[1:, None], np.arange(1, size + 1)) - np.maximum(edges[:-1, None], np.arange(size))
    return np.clip(overlap, 0, None) / (size / count)


def test_read_scaled_takes_the_best_level() -> None:
    full = np.random.default_rng(0).integers(0, 255, (2000, 1600), np.uint8)
    half = full.reshape(1000, 2, 800, 2).mean(axis=(1, 3)).round().astype(np.uint8)
    quarter = half.reshape(500, 2, 400, 2).mean(axis=(1, 3)).round().astype(np.uint8)
    mosaic = InMemory(full, half, quarter)
    assert [mosaic.level_for(scale) for scale in (0.3, 1, 1.9, 2, 3.99, 4, 100)] == [0, 0, 0, 1, 1, 2, 2]
    shown = mosaic.read_scaled(Region(400, 400, 1200, 1000), (100, 75))
    assert mosaic.read_levels == {2}
    expected = full[400:1200, 400:1000].reshape(100, 8, 75, 8).mean(axis=(1, 3))
    assert np.abs(shown[..., 0] - expected).max() <= 2


def test_read_scaled_of_a_large_single_level_stays_small_in_memory() -> None:
    row = np.arange(20_000, dtype=np.uint8)
    huge = np.broadcast_to(row, (6_000, 20_000))
    mosaic = InMemory(huge)
    shown = mosaic.read_scaled(Region(0, 0, 6_000, 20_000), (6, 20))
    assert mosaic.largest <= 2100 * 2100
    assert np.abs(shown.astype(float) - 127.5).max() <= 8


def test_read_scaled_refuses_nothing_and_too_much() -> None:
    mosaic = InMemory(np.zeros((10, 10), np.uint8))
    with pytest.raises(InputError):
        mosaic.read_scaled(Region(0, 0, 0, 5), (3, 3))
    with pytest.raises(InputError):
        mosaic.read_scaled(Region(0, 0, 5, 5), (100_000, 100_000))


@given(st.integers(1, 100_000), st.integers(1, 64))
def test_whole_factors_are_found(size: int, factor: int) -> None:
    for small in {max(1, size // factor), -(-size // factor)}:
        found = downsample_of((size, size), (small, small))[0]
        assert found == pytest.approx(size / small) or found == round(found)
        assert abs(size / found - small) < 1
