"""The user's brightness and contrast: what models see until it is changed, then what the user set."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import Region
from microscope_qc.slides.base import Mosaic
from microscope_qc.slides.display import ChannelView, DisplaySettings, render, rgb_of, to_uint8, visible_channels
from microscope_qc.slides.pixels import Channel, Level

TYPES = ["u1", "i1", "?", "u2", "i2", ">u2", "<u4", "i4", "f4", "f8", ">f4", "f2"]


class Planes(Mosaic):
    """A mosaic of one level over given planes."""

    def __init__(self, planes: list[np.ndarray], channels: tuple[Channel, ...] = ()) -> None:
        first = planes[0]
        super().__init__(
            path=Path("planes"),
            levels=[Level(first.shape[:2], (1.0, 1.0))],
            dtype=first.dtype,
            rgb=first.ndim == 3,
            channels=channels,
        )
        self.planes = planes

    def _read(self, region: Region, level: int, channel: int) -> np.ndarray:
        return self.planes[channel][region.y0 : region.y1, region.x0 : region.x1]


def plainly(mosaic: Planes) -> np.ndarray:
    """What the file says, computed in a different way."""
    eight = [to_uint8(plane, mosaic.window(i)) for i, plane in enumerate(mosaic.planes)]
    if len(eight) == 1:
        return eight[0] if mosaic.rgb else np.repeat(eight[0][..., None], 3, axis=2)
    total = np.zeros((*mosaic.shape, 3), int)
    for plane, channel in zip(eight, mosaic.channels, strict=True):
        for band, weight in enumerate(rgb_of(channel.colour)):
            total[..., band] += plane.astype(int) * weight // 255
    return np.minimum(total, 255).astype(np.uint8)


def noise(kind: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Values over much of the type's range."""
    rng, dtype = np.random.default_rng(seed), np.dtype(kind)
    if dtype.kind == "f":
        values = rng.normal(100, 400, shape).astype(dtype)
        values.flat[0], values.flat[1] = np.nan, np.inf
        return values
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype=dtype.newbyteorder("="), endpoint=True).astype(dtype)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("shape", [(61, 47), (61, 47, 3)])
def test_without_settings_it_is_what_the_file_says(kind: str, shape: tuple[int, ...]) -> None:
    mosaic = Planes([noise(kind, shape)])
    expected = plainly(mosaic)
    np.testing.assert_array_equal(render(mosaic, mosaic.planes), expected)
    np.testing.assert_array_equal(render(mosaic, mosaic.planes, DisplaySettings()), expected)
    np.testing.assert_array_equal(mosaic.read_rgb8(Region(0, 0, 61, 47)), expected)


@pytest.mark.parametrize("kind", TYPES)
def test_several_channels_add_up_as_the_file_says(kind: str) -> None:
    colours = ("#ff0000", "#00ff40", "#8020c0", "#ffffff")
    channels = tuple(Channel(str(i), colour) for i, colour in enumerate(colours))
    mosaic = Planes([noise(kind, (40, 30), seed) for seed in range(4)], channels)
    np.testing.assert_array_equal(render(mosaic, mosaic.planes), plainly(mosaic))
    np.testing.assert_array_equal(mosaic.read_rgb8(Region(0, 0, 40, 30)), plainly(mosaic))


@pytest.mark.parametrize("kind", TYPES)
def test_window_and_gamma_bend_the_values(kind: str) -> None:
    plane = noise(kind, (50, 40))
    mosaic = Planes([plane])
    low, high = (0.0, 1.0) if kind == "?" else (-20.0, 90.0)
    view = ChannelView(window=(low, high), gamma=0.5)
    got = render(mosaic, [plane], DisplaySettings((view,)))[..., 1]
    values = np.nan_to_num(plane.astype(float), nan=low, posinf=high, neginf=low)
    expected = np.clip((values - low) / (high - low), 0, 1) ** 0.5 * 255
    assert np.abs(got - expected).max() <= 0.51


@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
def test_white_balance_multiplies_the_values_of_each_band(kind: str) -> None:
    plane = (np.arange(60, dtype=float).reshape(4, 5, 3) * 3).astype(kind)
    mosaic = Planes([plane])
    view = ChannelView(window=(10.0, 200.0), gamma=1.5)
    got = render(mosaic, [plane], DisplaySettings((view,), (1.0, 0.5, 2.0)))
    expected = np.clip((plane * np.array([1.0, 0.5, 2.0]) - 10) / 190, 0, 1) ** 1.5 * 255
    assert np.abs(got - expected).max() <= 0.51


def test_a_grey_slide_ignores_the_white_balance_but_may_be_tinted() -> None:
    plane = np.arange(256, dtype=np.uint8).reshape(16, 16)
    mosaic = Planes([plane])
    got = render(mosaic, [plane], DisplaySettings((), (0.5, 1.0, 2.0)))
    np.testing.assert_array_equal(got, plainly(mosaic))
    tinted = render(mosaic, [plane], DisplaySettings((ChannelView(colour="#ff8000"),)))
    assert tinted[15, 15].tolist() == [255, 128, 0]


def test_hidden_channels_are_left_out_and_need_no_pixels() -> None:
    channels = (Channel("A", "#ff0000"), Channel("B", "#00ff00"), Channel("C", "#0000ff"))
    planes = [np.full((3, 4), value, np.uint8) for value in (10, 20, 30)]
    mosaic = Planes(planes, channels)
    settings = DisplaySettings((ChannelView(), ChannelView(visible=False), ChannelView(colour="#ffffff")))
    assert visible_channels(mosaic, settings) == [0, 2]
    assert visible_channels(mosaic) == [0, 1, 2]
    for given_planes in (planes, [planes[0], None, planes[2]]):
        assert render(mosaic, given_planes, settings)[0, 0].tolist() == [40, 30, 30]
    nothing = DisplaySettings((ChannelView(visible=False),) * 3)
    assert render(mosaic, [None] * 3, nothing, shape=(5, 6)).shape == (5, 6, 3)
    assert render(mosaic, planes, nothing).max() == 0


def test_strided_read_only_and_empty_planes_are_taken() -> None:
    base = noise("u2", (40, 60, 3))
    base.flags.writeable = False
    for plane in (base[::2, ::-1], base[5:5], np.broadcast_to(base[:1], (7, 60, 3))):
        mosaic = Planes([plane]) if plane.size else Planes([base])
        view = DisplaySettings((ChannelView(window=(5.0, 4000.0)),))
        np.testing.assert_array_equal(render(mosaic, [plane], view), to_uint8(plane, (5.0, 4000.0)))


def test_older_opencv_without_16_bit_tables_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    plane = noise("u2", (30, 20, 3))
    mosaic = Planes([plane])
    for balance in ((1.0, 1.0, 1.0), (1.2, 1.0, 0.8)):
        settings = DisplaySettings((ChannelView(gamma=0.7),), balance)
        expected = render(mosaic, [plane], settings)
        with monkeypatch.context() as patch:
            patch.setattr(cv2, "__version__", "4.9.0")
            np.testing.assert_array_equal(render(mosaic, [plane], settings), expected)


FACTORS = st.floats(0.05, 20)
VIEWS = st.builds(
    ChannelView,
    visible=st.booleans(),
    window=st.none() | st.tuples(st.floats(-1e9, 1e9), st.floats(1, 1e9)).map(lambda t: (t[0], t[0] + t[1])),
    gamma=st.floats(0.1, 10),
    colour=st.none() | st.from_regex(r"\A#[0-9a-fA-F]{6}\Z"),
)


@given(st.lists(VIEWS, max_size=4).map(tuple), st.tuples(FACTORS, FACTORS, FACTORS))
def test_settings_survive_json(views: tuple[ChannelView, ...], balance: tuple[float, float, float]) -> None:
    settings = DisplaySettings(views, balance)
    assert DisplaySettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["visible", "window", "gamma"]), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["channels", "white_balance"]), JSON) | JSON)
def test_settings_from_untrusted_files_are_rejected_or_right(values: object) -> None:
    try:
        settings = DisplaySettings.from_dict(values)  # type: ignore[arg-type]
    except InputError:
        return
    assert DisplaySettings.from_dict(settings.to_dict()) == settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"window": (5.0, 5.0)},
        {"window": (0.0, float("nan"))},
        {"gamma": 0.0},
        {"gamma": float("nan")},
        {"colour": "red"},
    ],
)
def test_what_cannot_be_shown_is_rejected(wrong: dict) -> None:
    with pytest.raises(InputError):
        ChannelView(**wrong)
    with pytest.raises(InputError):
        DisplaySettings((), (0.0, 1.0, 1.0))


def test_a_change_of_one_channel_keeps_the_others() -> None:
    settings = DisplaySettings().with_channel(2, ChannelView(gamma=2.0))
    assert [view.gamma for view in settings.channels] == [1.0, 1.0, 2.0]
    assert settings.neutral is False
    assert DisplaySettings((ChannelView(),) * 2).neutral
