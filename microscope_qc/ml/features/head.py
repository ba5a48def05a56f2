"""Finds places on stored features: a small network that a few labels can train.

Every place says how far the sides of a box are from it, as in Tian et al., "FCOS: Fully Convolutional One-Stage Object
Detection" (ICCV 2019), and how sure it is that there is something. Nothing is normalised over an area, so that a place
gets the same answer in every window.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from microscope_qc.ml.architectures.dense.detector import PRIOR
from microscope_qc.ml.features.grid import CHANNELS, COARSE, FINE

STRIDES = (16, 32, 64)
WIDTH = 64
ALIGNED = STRIDES[-1] // FINE
"""Windows begin at multiples of so many cells of stride 16, and have one more than a multiple.

A cell looks at the pixel at its corner: with one more, the first and the last cells of all maps look at the same
places, also in a window that is turned over.
"""


class PlaceNorm(nn.LayerNorm):
    """Normalises the channels of every place by itself."""

    def forward(self, maps: Tensor) -> Tensor:
        """Apply it to maps (B, channels, h, w)."""
        return super().forward(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class SuggestionHead(nn.Module):
    """From the two maps of a window to a logit and the distances of the sides for every place."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        for stride in (FINE, COARSE):
            self.register_buffer(f"mean_{stride}", torch.zeros(CHANNELS[stride]))
            self.register_buffer(f"spread_{stride}", torch.ones(CHANNELS[stride]))
        self.from_fine = nn.Conv2d(CHANNELS[FINE], width, 1)
        self.from_coarse = nn.Conv2d(CHANNELS[COARSE], width, 1)
        self.joined = nn.Conv2d(width, width, 3, 1, 1)
        self.deeper = nn.Conv2d(width, width, 3, 2, 1)
        self.norms = nn.ModuleList(PlaceNorm(width) for _ in STRIDES)
        self.tower = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1), PlaceNorm(width), nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, 1, 1), PlaceNorm(width), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.classify, self.locate = nn.Conv2d(width, 1, 3, 1, 1), nn.Conv2d(width, 4, 3, 1, 1)
        self.level_scale = nn.Parameter(torch.full((len(STRIDES),), 1.0))
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        for output in (self.classify, self.locate):
            nn.init.normal_(output.weight, std=0.01)
        assert self.classify.bias is not None and self.locate.bias is not None
        nn.init.constant_(self.classify.bias, -math.log((1 - PRIOR) / PRIOR))
        nn.init.ones_(self.locate.bias)

    def know(self, fine: Tensor, coarse: Tensor) -> None:
        """Take mean and spread of the features from samples (n, channels) of both maps."""
        for stride, sample in ((FINE, fine), (COARSE, coarse)):
            self.get_buffer(f"mean_{stride}").copy_(sample.mean(0))
            self.get_buffer(f"spread_{stride}").copy_(sample.std(0).clamp(min=1e-3))

    def forward(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the network.

        Parameters
        ----------
        fine : Tensor, (B, h, w, 112)
            h and w one more than multiples of :data:`ALIGNED`.
        coarse : Tensor, (B, (h + 1) / 2, (w + 1) / 2, 320)

        Returns
        -------
        (Tensor (B, N), Tensor (B, N, 4))
            Logits, and distances of the sides x0, y0, x1, y1 in pixels as the network sees them, for the places of
            :func:`places`.
        """
        low = self.from_coarse(self._scaled(coarse, COARSE))
        between = functional.interpolate(low, size=fine.shape[1:3], mode="bilinear", align_corners=True)
        high = self.from_fine(self._scaled(fine, FINE)) + between
        levels = [self.joined(high), low, self.deeper(functional.relu(low))]
        levels = [functional.relu(norm(level)) for norm, level in zip(self.norms, levels, strict=True)]
        logits, distances = [], []
        for level, scale, stride in zip(levels, self.level_scale, STRIDES, strict=True):
            seen = self.tower(level)
            logits.append(self.classify(seen).flatten(1))
            away = functional.softplus(self.locate(seen)) * scale * stride
            distances.append(away.flatten(2).transpose(1, 2))
        return torch.cat(logits, 1), torch.cat(distances, 1)

    def both_ways(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`forward`, the mean of what it says of a window and of the same one turned by 180 degrees."""
        logits, distances = self(fine, coarse)
        about, away = self(fine.flip(1, 2), coarse.flip(1, 2))
        counts = [len(level) for level in _levels(*fine.shape[1:3])]
        about = torch.cat([level.flip(1) for level in about.split(counts, 1)], 1)
        away = torch.cat([level.flip(1)[..., [2, 3, 0, 1]] for level in away.split(counts, 1)], 1)
        return (logits + about) / 2, (distances + away) / 2

    def _scaled(self, features: Tensor, stride: int) -> Tensor:
        scaled = (features - self.get_buffer(f"mean_{stride}")) / self.get_buffer(f"spread_{stride}")
        return scaled.permute(0, 3, 1, 2)


def places(rows: int, columns: int) -> Tensor:
    """Middles and strides (N, 3) of the places of a window of so many cells: x, y, stride, in pixels."""
    return torch.cat(_levels(rows, columns))


def _levels(rows: int, columns: int) -> list[Tensor]:
    parts = []
    for stride in STRIDES:
        step = stride // FINE
        y, x = torch.meshgrid(torch.arange(0, rows, step), torch.arange(0, columns, step), indexing="ij")
        middle = torch.stack([x, y], dim=-1).reshape(-1, 2).float() * FINE
        parts.append(torch.cat([middle, torch.full_like(middle[:, :1], stride)], dim=1))
    return parts


def boxes_of(distances: Tensor, around: Tensor) -> Tensor:
    """Boxes (..., 4) as x0, y0, x1, y1 of distances of the sides."""
    return torch.cat([around[..., :2] - distances[..., :2], around[..., :2] + distances[..., 2:]], dim=-1)
