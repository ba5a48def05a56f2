"""Smooth random fields: tileable noise for texture pools and slowly varying functions of the slide position."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from microscope_qc.core.arrays import Floats

COARSE_STEP_PX = 16


def tile_noise(rng: np.random.Generator, shape: tuple[int, int], *, scale: tuple[float, float]) -> np.ndarray:
    """Smooth noise of zero mean and unit deviation that tiles in both directions.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    shape : (height, width)
        Size in pixels.
    scale : (y, x)
        Correlation length in pixels along each axis.

    Returns
    -------
    ndarray, float32, (height, width)
    """
    height, width = shape
    nodes_y, nodes_x = max(2, round(height / scale[0])), max(2, round(width / scale[1]))
    nodes = np.pad(rng.standard_normal((nodes_y, nodes_x), dtype=np.float32), 3, mode="wrap")
    y = ((np.arange(height, dtype=np.float32) + 0.5) * nodes_y / height - 0.5 + 3)[:, None]
    x = ((np.arange(width, dtype=np.float32) + 0.5) * nodes_x / width - 0.5 + 3)[None, :]
    map_y, map_x = np.broadcast_to(y, shape), np.broadcast_to(x, shape)
    noise = cv2.remap(nodes, np.ascontiguousarray(map_x), np.ascontiguousarray(map_y), cv2.INTER_CUBIC)
    even: Floats = (noise - noise.mean()) / (noise.std() + 1e-6)
    return even


def patch_noise(rng: np.random.Generator, shape: tuple[int, int], *, scale: float) -> np.ndarray:
    """Smooth unit-deviation noise for one small patch (not tileable), float32 (height, width)."""
    height, width = shape
    nodes = rng.standard_normal((max(2, int(height / scale) + 3), max(2, int(width / scale) + 3)), dtype=np.float32)
    noise = cv2.resize(nodes, (width, height), interpolation=cv2.INTER_CUBIC)
    return noise / 0.75


def periodic_curve(rng: np.random.Generator, length: int, *, scale: float) -> np.ndarray:
    """Smooth periodic curve of unit deviation, float32 (length,)."""
    curve: Floats = tile_noise(rng, (2, length), scale=(1.0, scale))[0]
    return curve


@dataclass(frozen=True, slots=True)
class Waves:
    """A sum of plane waves: a smooth function of the slide position that needs no memory.

    Attributes
    ----------
    ky, kx, phase, amplitude : ndarray, (n,)
        Wave vectors in radians per pixel, phases, amplitudes.
    """

    ky: np.ndarray
    kx: np.ndarray
    phase: np.ndarray
    amplitude: np.ndarray

    @classmethod
    def random(cls, rng: np.random.Generator, *, count: int, wavelength_px: tuple[float, float]) -> Waves:
        """Unit-deviation waves with wavelengths drawn log-uniformly from a range."""
        wavelength = np.exp(rng.uniform(np.log(wavelength_px[0]), np.log(wavelength_px[1]), count))
        angle = rng.uniform(0, 2 * np.pi, count)
        k = 2 * np.pi / wavelength
        amplitude = np.full(count, np.sqrt(2.0 / count))
        return cls(k * np.sin(angle), k * np.cos(angle), rng.uniform(0, 2 * np.pi, count), amplitude)

    def __call__(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Values at positions in pixels (any matching shapes), float64."""
        total = np.zeros(np.broadcast(y, x).shape)
        for ky, kx, phase, amplitude in zip(self.ky, self.kx, self.phase, self.amplitude, strict=True):
            total += amplitude * np.sin(ky * y + kx * x + phase)
        return total


def coarse_axes(y0: int, x0: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Node positions (column vector y, row vector x) that cover a region every `COARSE_STEP_PX` pixels."""
    y = y0 + COARSE_STEP_PX * np.arange(-(-height // COARSE_STEP_PX) + 1, dtype=np.float64)
    x = x0 + COARSE_STEP_PX * np.arange(-(-width // COARSE_STEP_PX) + 1, dtype=np.float64)
    return y[:, None], x[None, :]


def refine(coarse: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear values on every pixel from values on the nodes of `coarse_axes`, float32 (height, width)."""
    coarse = coarse.astype(np.float32)
    fraction = (np.arange(COARSE_STEP_PX, dtype=np.float32) / COARSE_STEP_PX)[None, :, None]
    rows = coarse[:-1, None] + (coarse[1:] - coarse[:-1])[:, None] * fraction
    rows = rows.reshape(-1, coarse.shape[1])[:height]
    fraction = fraction.reshape(1, 1, -1)
    fine: Floats = rows[:, :-1, None] + (rows[:, 1:] - rows[:, :-1])[:, :, None] * fraction
    return fine.reshape(height, -1)[:, :width]
