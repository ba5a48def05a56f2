"""How the values of a slide become colours: display windows, the user's settings and the blending of channels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import Region
from microscope_qc.slides.pixels import Channel, Pixels
from microscope_qc.slides.plane import FIRST, StackPlace

SAMPLE_PX = 512
GAMMA_LIMITS = (0.1, 10.0)
BALANCE_LIMITS = (0.05, 20.0)
NEUTRAL = (1.0, 1.0, 1.0)
BLEND_LIMIT = 3 * 255
"""Channels are blended while their colours together have less than so much red, green and blue."""


@dataclass(frozen=True, slots=True)
class ChannelView:
    """How the user wants one channel shown.

    Parameters
    ----------
    visible
        Whether it is shown; None leaves that to :func:`default_channels`.
    window
        Values shown as black and as full colour; None takes them from the file (or the image).
    gamma
        Exponent of the displayed brightness: below 1 brightens the shadows, above 1 darkens them.
    colour
        ``#rrggbb``; None takes it from the file.

    Raises
    ------
    InputError
        When a value cannot be used: an empty window, a gamma out of range, an invalid colour.
    """

    visible: bool | None = None
    window: tuple[float, float] | None = None
    gamma: float = 1.0
    colour: str | None = None

    def __post_init__(self) -> None:
        if self.window is not None and not (np.all(np.isfinite(self.window)) and self.window[0] < self.window[1]):
            raise InputError("The value shown as black must be below the one shown as white.")
        if not GAMMA_LIMITS[0] <= self.gamma <= GAMMA_LIMITS[1]:
            raise InputError(f"Gamma must be between {GAMMA_LIMITS[0]:g} and {GAMMA_LIMITS[1]:g}.")
        if self.colour is not None and not re.fullmatch(r"#[0-9a-fA-F]{6}", self.colour):
            raise InputError(f"{self.colour!r} is not a colour such as #ff8000.")


PLAIN = ChannelView()


@dataclass(frozen=True, slots=True)
class DisplaySettings:
    """How the user wants a slide shown; models never see it.

    Parameters
    ----------
    channels
        One per channel of the mosaic; further channels are shown as the file says.
    white_balance
        Factors of red, green and blue of an RGB slide; ignored for other slides.
    place
        The picture of the slide's stack that is shown.

    Raises
    ------
    InputError
        When a factor is not within ``BALANCE_LIMITS``.
    """

    channels: tuple[ChannelView, ...] = ()
    white_balance: tuple[float, float, float] = NEUTRAL
    place: StackPlace = FIRST

    def __post_init__(self) -> None:
        if len(self.white_balance) != 3 or not all(
            BALANCE_LIMITS[0] <= factor <= BALANCE_LIMITS[1] for factor in self.white_balance
        ):
            raise InputError(f"A white balance is three factors from {BALANCE_LIMITS[0]:g} to {BALANCE_LIMITS[1]:g}.")

    def channel(self, index: int) -> ChannelView:
        """View of one channel; the default where nothing is set."""
        return self.channels[index] if index < len(self.channels) else PLAIN

    def with_channel(self, index: int, view: ChannelView) -> DisplaySettings:
        """The same settings with the view of one channel replaced."""
        views = [self.channel(i) for i in range(max(len(self.channels), index + 1))]
        views[index] = view
        return replace(self, channels=tuple(views))

    @property
    def neutral(self) -> bool:
        """Whether the first picture is shown, and everything as the file says."""
        return self.place == FIRST and self.plain

    @property
    def plain(self) -> bool:
        """Whether everything is shown as the file says, on whatever picture of a stack."""
        return self.white_balance == NEUTRAL and (not self.channels or all(v == PLAIN for v in self.channels))

    def to_dict(self) -> dict[str, Any]:
        """As values that JSON can store."""
        return {
            "channels": [
                {"visible": v.visible, "window": v.window and list(v.window), "gamma": v.gamma, "colour": v.colour}
                for v in self.channels
            ],
            "white_balance": list(self.white_balance),
            "place": self.place.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DisplaySettings:
        """Settings from :meth:`to_dict`'s values.

        Raises
        ------
        InputError
            When they are not such values.
        """
        try:
            views = [
                ChannelView(
                    visible=None if view["visible"] is None else bool(view["visible"]),
                    window=None if view["window"] is None else (float(view["window"][0]), float(view["window"][1])),
                    gamma=float(view["gamma"]),
                    colour=view["colour"],
                )
                for view in values["channels"]
            ]
            red, green, blue = (float(factor) for factor in values["white_balance"])
            place = StackPlace.from_dict(values.get("place", {}))
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError) as error:
            raise InputError("The stored brightness and contrast cannot be read.") from error
        return cls(tuple(views), (red, green, blue), place)


UNCHANGED = DisplaySettings()


def display_window(mosaic: Pixels, channel: int) -> tuple[float, float]:
    """Values shown as black and white.

    The window in the file comes first; 8-bit unsigned images keep their values; every other type uses the 0.1 and 99.9
    percentiles of a sample of the coarsest level (an RGB image starts at 0, so that its colours keep their ratios).
    """
    own = mosaic.channels[channel].window
    if own is not None and np.all(np.isfinite(own)) and own[1] > own[0]:
        return own
    if mosaic.dtype == np.uint8:
        return 0.0, 255.0
    if mosaic.dtype == np.bool_:
        return 0.0, 1.0
    taken = sample(mosaic, channel)
    values = taken[np.isfinite(taken)] if taken.dtype.kind == "f" else taken.ravel()
    if not len(values):
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, [0.1, 99.9]))
    if mosaic.rgb:
        low = min(0.0, low)
    return (low, high) if high > low else (low, low + 1.0)


def sample(mosaic: Pixels, channel: int) -> np.ndarray:
    """Pixels of the coarsest stored level: all of it if small, else 16 blocks spread over it."""
    level = mosaic.stored_levels - 1  # a level computed from full resolution would mean reading all of it
    height, width = mosaic.levels[level].shape
    if height * width <= 4 * SAMPLE_PX * SAMPLE_PX:
        return mosaic.read(Region(0, 0, height, width), level=level, channel=channel)
    side = SAMPLE_PX // 4
    blocks = []
    for y in np.linspace(0, max(0, height - side), 4).astype(int):
        for x in np.linspace(0, max(0, width - side), 4).astype(int):
            region = Region(int(y), int(x), int(y) + side, int(x) + side).clip((height, width))
            blocks.append(mosaic.read(region, level=level, channel=channel).reshape(-1))
    return np.concatenate(blocks)


def compose(mosaic: Pixels, region: Region, level: int) -> np.ndarray:
    """(h, w, 3) uint8 of a region: RGB as it is, one channel as grey, several blended additively in their colours.

    Of several channels, those that are shown without a choice.
    """
    planes: list[np.ndarray | None] = [None] * len(mosaic.channels)
    for channel in mosaic.default_channels:
        planes[channel] = mosaic.read(region, level=level, channel=channel)
    return render(mosaic, planes)


def visible_channels(mosaic: Pixels, display: DisplaySettings | None = None) -> list[int]:
    """Indices of the channels whose pixels :func:`render` needs."""
    shown = mosaic.default_channels
    if display is None or not display.channels:
        return list(shown)
    wanted = [(i, display.channel(i).visible) for i in range(len(mosaic.channels))]
    return [i for i, visible in wanted if (i in shown if visible is None else visible)]


def default_channels(channels: Sequence[Channel]) -> tuple[int, ...]:
    """Indices of the channels that are shown, and given to a model, without a choice.

    All of them where their colours can be told apart in a blend; otherwise the first only. Detectors and positions
    of a polariser usually have one colour or too many: their sum would be nearly white, whatever they show.
    """
    colours = [rgb_of(channel.colour) for channel in channels]
    brightest = max(sum(band) for band in zip(*colours, strict=True))
    return tuple(range(len(channels))) if len(set(colours)) == len(colours) and brightest < BLEND_LIMIT else (0,)


def render(
    mosaic: Pixels,
    planes: Sequence[np.ndarray | None],
    display: DisplaySettings | None = None,
    *,
    shape: tuple[int, int] | None = None,
) -> np.ndarray:
    """Colours of pixels that have already been read.

    Parameters
    ----------
    planes
        One array per channel in the mosaic's own type: (h, w), or (h, w, 3) for an RGB mosaic; None for a channel
        that is not visible.
    display
        The user's settings; None shows what the file says, exactly as ``Mosaic.read_rgb8``.
    shape
        Height and width of the result, needed only when no plane is given.

    Returns
    -------
    ndarray
        (h, w, 3) uint8; the plane itself (not a copy) where its values are shown unchanged.
    """
    import cv2

    settings = display or UNCHANGED
    page = settings.place.within(mosaic.stack).page
    shown = [i for i in visible_channels(mosaic, settings) if planes[i] is not None]
    size = shape or next(plane.shape[:2] for plane in planes if plane is not None)
    if not shown or 0 in size:
        return np.zeros((*size, 3), np.uint8)
    if len(mosaic.channels) == 1 or (settings.plain and len(shown) == 1):
        view, plane = settings.channel(shown[0]), planes[shown[0]]
        assert plane is not None
        window = view.window or mosaic.window(shown[0], page=page)
        if mosaic.rgb:
            return _stretched(plane, window, view.gamma, settings.white_balance)
        grey = _stretched(plane, window, view.gamma)
        return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB) if view.colour is None else _add_up([grey], [view.colour])
    stretched, colours = [], []
    for i in shown:
        plane, view = planes[i], settings.channel(i)
        assert plane is not None
        stretched.append(_stretched(plane, view.window or mosaic.window(i, page=page), view.gamma))
        colours.append(view.colour or mosaic.channels[i].colour)
    return _add_up(stretched, colours)


def _add_up(planes: Sequence[np.ndarray], colours: Sequence[str]) -> np.ndarray:
    """Additive blend of 8-bit planes in their colours, (h, w, 3), clipped at white."""
    import cv2

    bands: list[np.ndarray | None] = [None, None, None]
    for plane, colour in zip(planes, colours, strict=True):
        for band, weight in enumerate(rgb_of(colour)):
            if weight:
                part = plane if weight == 255 else cv2.LUT(plane, _weighted(weight))
                total = bands[band]
                bands[band] = part if total is None else cv2.add(total, part)
    empty = np.zeros(planes[0].shape, np.uint8)
    return cv2.merge([empty if band is None else band for band in bands])


@lru_cache(maxsize=256)
def _weighted(weight: int) -> np.ndarray:
    return (np.arange(256) * weight // 255).astype(np.uint8)


def _stretched(
    pixels: np.ndarray,
    window: tuple[float, float],
    gamma: float,
    factors: tuple[float, float, float] = NEUTRAL,
) -> np.ndarray:
    """8-bit values of a plane; ``factors`` multiply the bands of an RGB plane before the window is applied."""
    import cv2

    if not pixels.dtype.isnative:
        pixels = pixels.astype(pixels.dtype.newbyteorder("="))
    window, plain = (float(window[0]), float(window[1])), factors == NEUTRAL
    if pixels.dtype == np.uint8 and window == (0.0, 255.0) and gamma == 1.0 and plain:
        return pixels
    if pixels.dtype.itemsize > 2 or pixels.dtype.kind not in "uib":
        if plain:
            return to_uint8(pixels, window, gamma)
        bands = [to_uint8(pixels[..., band], _divided(window, f), gamma) for band, f in enumerate(factors)]
        return np.stack(bands, axis=-1)
    table = _table(pixels.dtype.str, window, gamma, factors)
    codes: np.ndarray = pixels.view(np.uint8 if pixels.dtype.itemsize == 1 else np.uint16)
    if codes.dtype == np.uint8 or int(cv2.__version__.split(".")[0]) >= 5:
        return cv2.LUT(codes, table[0, :, 0] if plain else table)
    if plain:
        return np.take(table[0, :, 0], codes)
    return np.stack([np.take(table[0, :, band], codes[..., band]) for band in range(3)], axis=-1)


def _divided(window: tuple[float, float], factor: float) -> tuple[float, float]:
    """The window under which values look as their product with ``factor`` looks under ``window``."""
    return window[0] / factor, window[1] / factor


@lru_cache(maxsize=64)
def _table(dtype: str, window: tuple[float, float], gamma: float, factors: tuple[float, float, float]) -> np.ndarray:
    """Look-up table of an 8 or 16-bit type, (1, values, 3), in the order of the values' bit patterns."""
    kind = np.dtype(dtype)
    codes = np.arange(256 if kind.itemsize == 1 else 65536, dtype=np.uint8 if kind.itemsize == 1 else np.uint16)
    values = codes if kind == np.bool_ else codes.view(kind)
    return np.stack([to_uint8(values, _divided(window, factor), gamma) for factor in factors], axis=-1)[None]


def to_uint8(pixels: np.ndarray, window: tuple[float, float], gamma: float = 1.0) -> np.ndarray:
    """Map ``window`` onto 0 to 255 with ``gamma``; NaN becomes black."""
    low, high = window
    if pixels.dtype == np.uint8 and (low, high) == (0.0, 255.0) and gamma == 1.0:
        return pixels
    wide: np.ndarray = np.subtract(pixels, low, dtype=np.float64 if pixels.dtype.itemsize > 4 else np.float32)
    np.multiply(wide, 255.0 / (high - low), out=wide)
    if pixels.dtype.kind == "f":
        np.copyto(wide, 0.0, where=np.isnan(wide))  # infinite values are clipped below
    np.clip(wide, 0, 255, out=wide)
    if gamma != 1.0:
        import cv2

        np.multiply(wide, 1 / 255.0, out=wide)
        wide = np.asarray(cv2.pow(wide, gamma)).reshape(wide.shape)  # 5 times quicker than numpy's
        np.multiply(wide, 255.0, out=wide)
    np.rint(wide, out=wide)
    return wide.astype(np.uint8)


def rgb_of(colour: str) -> tuple[int, int, int]:
    """``#ff8000`` -> (255, 128, 0); anything that is not a colour is white."""
    digits = colour.lstrip("#")
    try:
        value = int(digits, 16)
    except ValueError:
        return 255, 255, 255
    return ((value >> 16) & 255, (value >> 8) & 255, value & 255) if len(digits) == 6 else (255, 255, 255)
