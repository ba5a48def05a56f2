"""How the parts of a small picture differ from its middle and from what is around it.

Few numbers that mean the same whatever a defect looks like, so that what is inside of one can be learned from a handful
of examples: distances to the nearest cells of the middle and of the surroundings, in pixels and in the first maps of a
network for general pictures.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from microscope_qc.core.arrays import Floats
from microscope_qc.ml.backbones.efficientnet_lite0 import EfficientNetLite0
from microscope_qc.ml.backbones.weights import IMAGENET, start_from
from microscope_qc.ml.features.crops import SIDE_PX, Crops

CELLS = SIDE_PX // 4
"""Cells along the side of a picture."""
_MEAN, _STD = 127.0, 128.0
_STAGES = 3
_MAPS = (1, 2)
"""Stages whose maps are looked at: strides 4 and 8."""
_MIDDLE, _AROUND = 0.5, 1.5
"""What is nearer to the middle than this share of the way to the box's border is its middle; what is farther than this
is around it."""
_LEAST_MIDDLE, _LEAST_AROUND = 4, 60
_NEAREST = 4
_AT_ONCE = 32


class Contrast:
    """Describes the cells of pictures.

    Parameters
    ----------
    examples
        Pictures that say how much each channel varies.
    """

    def __init__(self, examples: Crops) -> None:
        self._network = EfficientNetLite0()
        start_from(self._network, IMAGENET)
        self._network = self._network.to(memory_format=torch.channels_last).eval()
        self._scales = [
            (maps.reshape(-1, maps.shape[-1]).std(axis=0) + 1e-3) * float(np.sqrt(maps.shape[-1]))
            for maps in self._maps(examples.pixels)
        ]

    def __call__(self, crops: Crops) -> Floats:
        """Numbers that describe cells, float32 (n, CELLS, CELLS, k)."""
        away_y, away_x = (np.abs(away) for away in _in_boxes(crops))
        grid = (len(away_y), CELLS, CELLS)
        y, x = np.broadcast_to(away_y[:, :, None], grid), np.broadcast_to(away_x[:, None], grid)
        far = np.maximum(y, x)
        said = [np.stack([y, x, far, np.hypot(y, x)], axis=-1).astype(np.float32)]
        for maps, scale in zip(self._maps(crops.pixels), self._scales, strict=True):
            apart = np.stack([_apart(map_ / scale, away) for map_, away in zip(maps, far, strict=True)])
            said += [apart, np.stack([cv2.blur(one, (3, 3)) for one in apart])]
        return np.concatenate(said, axis=-1)

    def _maps(self, pixels: np.ndarray) -> list[np.ndarray]:
        """Maps of pictures, float32 (n, CELLS, CELLS, channels)."""
        parts = [self._of_network(pixels[start : start + _AT_ONCE]) for start in range(0, len(pixels), _AT_ONCE)]
        return [
            *(np.concatenate(maps) for maps in zip(*parts, strict=True)),
            np.stack([_of_pixels(one) for one in pixels]),
        ]

    @torch.inference_mode()
    def _of_network(self, pixels: np.ndarray) -> Sequence[np.ndarray]:
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().sub_(_MEAN).div_(_STD)
        values = self._network.stem(images.contiguous(memory_format=torch.channels_last))
        maps = []
        for number, stage in enumerate(self._network.stages[:_STAGES]):
            values = stage(values)
            if number in _MAPS:
                size = (CELLS, CELLS)
                of_size = torch.nn.functional.interpolate(values, size, mode="bilinear", align_corners=False)
                maps.append(of_size.permute(0, 2, 3, 1).contiguous().numpy())
        return maps


def _of_pixels(pixels: np.ndarray) -> np.ndarray:
    """Colour of each cell, and how rough it is: float32 (CELLS, CELLS, 4)."""
    colour = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB).astype(np.float32)
    mean = cv2.resize(colour, (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    squared = cv2.resize(colour[..., 0] ** 2, (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    return np.dstack([mean, np.sqrt(np.maximum(squared - mean[..., 0] ** 2, 0))])


def _in_boxes(crops: Crops) -> tuple[Floats, Floats]:
    """Where the rows and columns of cells lie, (n, CELLS) each: 0 is the middle of the box, 1 and -1 its borders."""
    y, x = middles(crops.frames)
    middle, half = (crops.boxes[:, :2] + crops.boxes[:, 2:]) / 2, (crops.boxes[:, 2:] - crops.boxes[:, :2]) / 2
    half = np.maximum(half, 0.5)
    return (y - middle[:, :1]) / half[:, :1], (x - middle[:, 1:]) / half[:, 1:]


def middles(frames: Floats) -> tuple[Floats, Floats]:
    """Middles of rows and of columns of cells in full-resolution pixels, (n, CELLS) each."""
    share = (np.arange(CELLS) + 0.5) / CELLS
    return (
        frames[:, :1] + share * (frames[:, 2:3] - frames[:, :1]),
        frames[:, 1:2] + share * (frames[:, 3:] - frames[:, 1:2]),
    )


def _apart(map_: np.ndarray, far: Floats) -> np.ndarray:
    """How far cells are from the middle and from the surroundings, float32 (CELLS, CELLS, 5).

    Mean distances to the nearest cells of both, and which share the second is; how far they are along the way from the
    surroundings to the middle; the distance to the mean of the surroundings.
    """
    cells, away = map_.reshape(CELLS * CELLS, -1), far.ravel()
    order = np.argsort(away, kind="stable")
    middle = cells[order[: max(_LEAST_MIDDLE, int((away < _MIDDLE).sum()))]]
    around = cells[order[-max(_LEAST_AROUND, int((away > _AROUND).sum())) :]]
    to_middle, to_around = _to_nearest(cells, middle), _to_nearest(cells, around)
    start, way = around.mean(axis=0), middle.mean(axis=0) - around.mean(axis=0)
    along = (cells - start) @ way / max(float(way @ way), 1e-6)
    plain = np.sqrt(((cells - start) ** 2).sum(axis=1))
    share = to_middle / (to_middle + to_around + 1e-6)
    stacked = np.stack([to_around, to_middle, share, along, plain], axis=1).astype(np.float32)
    return stacked.reshape(CELLS, CELLS, -1)


def _to_nearest(cells: np.ndarray, those: np.ndarray) -> np.ndarray:
    """Mean distance of cells to the nearest of some; the very nearest, which may be the cell itself, does not count."""
    squared = (cells**2).sum(1)[:, None] + (those**2).sum(1)[None] - 2 * cells @ those.T
    count = min(_NEAREST, len(those) - 1)
    nearest: np.ndarray = np.sqrt(np.maximum(np.partition(squared, count, axis=1)[:, 1 : count + 1], 0).mean(axis=1))
    return nearest
