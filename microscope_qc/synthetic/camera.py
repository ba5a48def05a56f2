"""The microscope: mosaic of camera fields with stage offsets, shading, uneven light, focus differences and noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from microscope_qc.synthetic.fields import Waves, coarse_axes, refine, tile_noise

FIELD_HEIGHT_PX = 1040
FIELD_WIDTH_PX = 1388
# How many pixels beyond a region a blur may need.
BLUR_MARGIN_PX = 8
_NOISE_TILE_PX = 1024


@dataclass(frozen=True, slots=True)
class FieldQuarter:
    """A quarter of a camera field, always rendered as a whole, so that the result does not depend on tiling.

    Attributes
    ----------
    row, column : int
        Index of the quarter.
    y0, x0, y1, x1 : int
        Its place on the slide.
    offset_y, offset_x : int
        Stage error of its field: slide pixel (y, x) shows scene pixel (y + offset_y, x + offset_x).
    """

    row: int
    column: int
    y0: int
    x0: int
    y1: int
    x1: int
    offset_y: int
    offset_x: int


class Camera:
    """Optical and electronic image formation of a stitched mosaic."""

    def __init__(self, shape: tuple[int, int], rng: np.random.Generator, *, seed: int) -> None:
        self._shape = shape
        self._seed = seed
        self._origin = (int(rng.integers(0, FIELD_HEIGHT_PX)), int(rng.integers(0, FIELD_WIDTH_PX)))
        self._light = Waves.random(rng, count=5, wavelength_px=(4000, 16_000))
        self._tint = Waves.random(rng, count=4, wavelength_px=(5000, 20_000))
        self._focus = Waves.random(rng, count=6, wavelength_px=(1500, 6000))
        self._vignette = rng.uniform(0.02, 0.055)
        self._vignette_centre = rng.uniform(-0.25, 0.25, 2)
        self._sharp_sigma = rng.uniform(0.55, 0.75)
        self._gain = rng.uniform(0.95, 1.04)
        self._shot, self._read = rng.uniform(0.055, 0.11), rng.uniform(1.2, 2.0)
        noise_rng = np.random.default_rng([seed, 31])
        noise = noise_rng.standard_normal((_NOISE_TILE_PX, _NOISE_TILE_PX, 3), dtype=np.float32)
        self._noise = noise
        self._dirt = 1 + 0.004 * tile_noise(noise_rng, (FIELD_HEIGHT_PX // 4, FIELD_WIDTH_PX // 4), scale=(5, 5))

    def units(self, y0: int, x0: int, y1: int, x1: int) -> list[FieldQuarter]:
        """The quarters that intersect a region of the slide."""
        high, wide = FIELD_HEIGHT_PX // 2, FIELD_WIDTH_PX // 2
        rows = range((y0 + self._origin[0]) // high, (y1 - 1 + self._origin[0]) // high + 1)
        columns = range((x0 + self._origin[1]) // wide, (x1 - 1 + self._origin[1]) // wide + 1)
        return [self._unit(row, column) for row in rows for column in columns]

    def _unit(self, row: int, column: int) -> FieldQuarter:
        y = row * (FIELD_HEIGHT_PX // 2) - self._origin[0]
        x = column * (FIELD_WIDTH_PX // 2) - self._origin[1]
        stage = self._field_rng(row // 2, column // 2).integers(-1, 2, 2)
        return FieldQuarter(
            row, column, max(y, 0), max(x, 0), min(y + FIELD_HEIGHT_PX // 2, self._shape[0]),
            min(x + FIELD_WIDTH_PX // 2, self._shape[1]), int(stage[0]), int(stage[1]),
        )  # fmt: skip

    def _field_rng(self, row: int, column: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, 32, row, column])

    def unit_at(self, y: float, x: float) -> FieldQuarter:
        """The quarter that shows a slide position."""
        return self.units(int(y), int(x), int(y) + 1, int(x) + 1)[0]

    def expose(self, unit: FieldQuarter, scene: np.ndarray) -> np.ndarray:
        """Take a picture of a scene.

        Parameters
        ----------
        unit : FieldQuarter
            Where the scene is.
        scene : ndarray, float32, (height + 2 * BLUR_MARGIN_PX, width + 2 * BLUR_MARGIN_PX, 3)
            Reflectance in 0 .. 255 with a margin on all sides.

        Returns
        -------
        ndarray, uint8, (height, width, 3)
        """
        height, width = unit.y1 - unit.y0, unit.x1 - unit.x0
        axes = coarse_axes(unit.y0, unit.x0, height, width)
        focus = refine(np.clip(0.30 + 0.38 * self._focus(*axes), 0.0, 1.0), height, width)[..., None]
        inner = (slice(BLUR_MARGIN_PX, BLUR_MARGIN_PX + height), slice(BLUR_MARGIN_PX, BLUR_MARGIN_PX + width))
        image = cv2.GaussianBlur(scene, (7, 7), self._sharp_sigma)[inner]
        image += (cv2.GaussianBlur(scene, (13, 13), 1.75)[inner] - image) * focus
        for channel, light in enumerate(self._illumination(unit, axes, height, width)):
            image[..., channel] *= light
        rng = np.random.default_rng([self._seed, 33, unit.row, unit.column])
        oy, ox = (int(v) for v in rng.integers(0, (_NOISE_TILE_PX - height + 1, _NOISE_TILE_PX - width + 1)))
        noise = self._noise[oy : oy + height, ox : ox + width]
        if rng.random() < 0.5:
            noise = noise[::-1]
        deviation = np.sqrt(np.maximum(image, 0) * np.float32(self._shot) + np.float32(self._read**2))
        image += deviation * noise
        return cv2.convertScaleAbs(np.maximum(image, 0, out=image))

    def _illumination(
        self, unit: FieldQuarter, axes: tuple[np.ndarray, np.ndarray], height: int, width: int
    ) -> list[np.ndarray]:
        """Light per colour channel: slow variation, shading and gain of the field, dirt in the light path."""
        field_rng = self._field_rng(unit.row // 2, unit.column // 2)
        field_rng.integers(-1, 2, 2)
        gain = self._gain * (1 + 0.011 * field_rng.standard_normal())
        colour = 0.006 * field_rng.standard_normal()
        top = (unit.row // 2) * FIELD_HEIGHT_PX - self._origin[0]
        left = (unit.column // 2) * FIELD_WIDTH_PX - self._origin[1]
        v = (axes[0] - top) / FIELD_HEIGHT_PX * 2 - 1 - self._vignette_centre[0]
        u = (axes[1] - left) / FIELD_WIDTH_PX * 2 - 1 - self._vignette_centre[1]
        shading = 1 - self._vignette * (v**2 + u**2)
        even = refine(gain * shading * (1 + 0.022 * self._light(*axes)), height, width)
        rows = np.minimum((np.arange(unit.y0, unit.y1) - top) // 4, self._dirt.shape[0] - 1)
        columns = np.minimum((np.arange(unit.x0, unit.x1) - left) // 4, self._dirt.shape[1] - 1)
        even *= self._dirt[np.ix_(rows, columns)]
        tint = refine(colour + 0.008 * self._tint(*axes), height, width)
        return [even * (1 + tint), even, even * (1 - tint)]
