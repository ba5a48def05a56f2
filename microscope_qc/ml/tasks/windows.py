"""Where the windows of a classifier lie on tiles. No torch in here."""

from __future__ import annotations

import math

from pydantic import ValidationError

from microscope_qc.core.errors import ModelError
from microscope_qc.ml.cards import ModelCard, WindowSettings, first_problem


def placed_windows(
    window_px: int,
    *,
    step: float,
    scales: tuple[float, ...] = (1.0,),
    stride_px: int,
    tile_px: int,
    input_px: int | None = None,
) -> tuple[WindowSettings, int, int]:
    """Windows, and side and overlap of the tiles that hold them.

    Neighbouring tiles overlap so far that no window is missed, and the windows of one go on where those of the other
    end.

    Parameters
    ----------
    step
        Distance of neighbouring windows, as a share of their side.
    stride_px
        Of the network: windows whose sides are multiples of it lie at such multiples, so that they can share their
        features.
    tile_px
        Side of the tiles, about.

    Raises
    ------
    ModelError
        When a model cannot have such windows.
    """
    apart = max(1, round(step * window_px))
    if window_px % stride_px == 0:
        apart = max(stride_px, round(apart / stride_px) * stride_px)
    largest = max(scales)
    overlap = math.ceil((window_px - apart) * largest)
    least = math.ceil(window_px * largest)
    count = max(0, math.ceil((tile_px - least) / apart))
    try:
        windows = WindowSettings(window_px=window_px, stride_px=apart, scales=scales, input_px=input_px)
    except ValidationError as error:
        raise ModelError(f"A model cannot have such windows: {first_problem(error)}.") from error
    return windows, least + count * apart, overlap


def with_step(card: ModelCard, step: float, *, stride_px: int) -> ModelCard:
    """The card of a classifier whose windows are ``step`` of their side apart; see :func:`placed_windows`."""
    known = card.windows
    if known is None:
        raise ModelError(f"{card.name} does not look at windows.", hint="Choose a classifier of windows.")
    windows, tile_px, overlap_px = placed_windows(
        known.window_px, step=step, scales=known.scales, stride_px=stride_px, tile_px=card.tile_px,
        input_px=known.input_px,
    )  # fmt: skip
    windows = known.model_copy(update={"stride_px": windows.stride_px})
    return card.model_copy(update={"windows": windows, "tile_px": tile_px, "overlap_px": overlap_px})
