"""EfficientNet-Lite0 on tiles of any size in bounded memory, exactly as it would see the whole slide at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from microscope_qc.ml.backbones.efficientnet_lite0 import EfficientNetLite0
from microscope_qc.ml.backbones.weights import IMAGENET, start_from

HALO = 11
"""Cells of stride 16 around a tile that its map depends on: 176 px, of which 169 are seen."""
COARSE_HALO = 16
"""Cells of stride 16 around a part of the fine map that its coarse map depends on."""
_FIRST_STRIDE = 8
_FIRST_HALO = 5
"""Rows of stride 8 beside a band that it depends on: 40 px, of which 33 are seen."""
_BAND = 128
"""Rows of stride 8 that the first layers compute at once: their maps are by far the largest."""
_FIRST_SHARE = 0.7
"""Work of the first layers, as a share of that of the fine map."""
_SPLITS = (3, 5, 7)
"""Number of stages up to strides 8, 16 and 32."""
_MEAN, _STD = 127.0, 128.0
Step = Callable[[float], None]


def _no_step(share: float) -> None:
    """Nobody wants to know."""


class Trunk:
    """The network in three parts: up to strides 8, 16 and 32.

    Parameters
    ----------
    weights
        See :func:`microscope_qc.ml.backbones.weights.start_from`.
    """

    def __init__(self, device: torch.device, *, weights: str = IMAGENET) -> None:
        network = EfficientNetLite0()
        start_from(network, weights)
        network = network.to(device).to(memory_format=torch.channels_last).eval()
        stages = [network.stem, *network.stages]
        first, second, third = _SPLITS
        self.device = device
        self._first = torch.nn.Sequential(*stages[: first + 1])
        self._second = torch.nn.Sequential(*stages[first + 1 : second + 1])
        self._third = torch.nn.Sequential(*stages[second + 1 : third + 1])

    @torch.inference_mode()
    def fine(self, pixels: np.ndarray, *, step: Step = _no_step) -> np.ndarray:
        """The map of stride 16, float16 (h / 16, w / 16, 112), of pixels, uint8 (h, w, 3).

        ``step`` is called between layers with the share of the work that is done, and may wait or raise.
        """
        rows = len(pixels) // _FIRST_STRIDE
        parts = []
        for top in range(0, rows, _BAND):
            bottom = min(top + _BAND, rows)
            above, below = min(_FIRST_HALO, top), min(_FIRST_HALO, rows - bottom)
            seen = pixels[(top - above) * _FIRST_STRIDE : (bottom + below) * _FIRST_STRIDE]
            shares = (_FIRST_SHARE * top / rows, _FIRST_SHARE * bottom / rows)
            parts.append(_stepwise(self._first, self._images(seen), step, shares)[:, :, above : above + bottom - top])
        return _as_stored(_stepwise(self._second, torch.cat(parts, 2), step, (_FIRST_SHARE, 1.0)))

    @torch.inference_mode()
    def coarse(self, fine: np.ndarray, *, step: Step = _no_step) -> np.ndarray:
        """The map of stride 32, float16 (ceil(h / 2), ceil(w / 2), 320), of one of stride 16; ``step`` as above."""
        maps = torch.from_numpy(fine).to(self.device).float().permute(2, 0, 1)[None]
        return _as_stored(_stepwise(self._third, maps, step, (0.0, 1.0)))

    def _images(self, pixels: np.ndarray) -> Tensor:
        images = torch.from_numpy(pixels).to(self.device).permute(2, 0, 1)[None]
        return images.float().sub_(_MEAN).div_(_STD)


def _stepwise(stages: torch.nn.Sequential, maps: Tensor, step: Step, shares: tuple[float, float]) -> Tensor:
    """Apply all layers; ``shares`` of the work are done before and after."""
    # the stem, which computes its own layers together, stays whole
    layers = [layer for stage in stages for layer in (stage if type(stage) is torch.nn.Sequential else [stage])]
    for number, layer in enumerate(layers):
        step(shares[0] + (shares[1] - shares[0]) * number / len(layers))
        maps = layer(maps)
    return maps


def _as_stored(maps: Tensor) -> np.ndarray:
    largest = torch.finfo(torch.float16).max
    stored: np.ndarray = maps[0].clamp_(-largest, largest).permute(1, 2, 0).half().cpu().contiguous().numpy()
    return stored
