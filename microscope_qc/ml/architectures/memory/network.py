"""How far places of a picture are from everything that was seen in normal ones, in the features of a backbone.

Roth et al., "Towards Total Recall in Industrial Anomaly Detection" (CVPR 2022), and Defard et al., "PaDiM: a Patch
Distribution Modeling Framework for Anomaly Detection and Localization" (ICPR 2021), without its position of a place in
the picture: a slide has none.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from microscope_qc.ml.architectures.memory.settings import MemorySettings
from microscope_qc.ml.backbones.efficientnet_lite0 import EfficientNetLite0

MARGIN_PX = 32
"""What the backbone sees of a mirrored picture around it, so that places at its border look like others."""
_STRIDE = 32
_STAGES = {4: 2, 8: 3, 16: 5, 32: 7}
"""Stages of the backbone up to a stride."""
_LEAST_CONTRAST = 3 / 128
"""Where a picture varies less than that, what is left is noise: it is not raised any further."""
_USUAL_CONTRAST = 0.4
_AT_ONCE = 4096
"""Places that are compared with all that are known at a time."""


class NormalMemory(nn.Module):
    """A backbone that stays as it is, and what it made of normal places.

    Distances (B, rows, columns) of the places of normalised images (B, 3, H, W): from the nearest that is known, or
    from the mean where none are; in both cases in units in which features of normal places have unit variance.
    """

    centre: Tensor
    whitening: Tensor
    known: Tensor

    def __init__(self, settings: MemorySettings) -> None:
        super().__init__()
        self.settings = settings
        self.trunk = EfficientNetLite0()
        del self.trunk.stages[_STAGES[max(settings.strides)] :]
        self._maps = [EfficientNetLite0.strides.index(stride) for stride in settings.strides]
        channels = sum(EfficientNetLite0.channels[number] for number in self._maps)
        self.register_buffer("centre", torch.zeros(channels))
        self.register_buffer("whitening", torch.zeros(channels, min(settings.numbers, channels)))
        self.register_buffer("known", torch.zeros(settings.known, min(settings.numbers, channels)))
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> NormalMemory:
        """The backbone is never in training: its normalisations keep what they learned."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """Distances of places, see the class."""
        return self.distances(self.describe(images))

    def features(self, images: Tensor) -> Tensor:
        """The deepest map, see :mod:`microscope_qc.ml.tasks.familiar`."""
        deepest: Tensor = self.trunk(images)[-1]
        return deepest

    def describe(self, images: Tensor) -> Tensor:
        """Features (B, channels, rows, columns) of the places of normalised images (B, 3, H, W)."""
        settings = self.settings
        if settings.per_picture:
            images = alike(images)
        if settings.levelled_px:
            images = levelled(images, settings.levelled_px)
        if settings.enlarged > 1:
            images = functional.interpolate(images, scale_factor=settings.enlarged, mode="bicubic")
        height, width = images.shape[2:]
        maps = self.trunk(_with_margin(images).contiguous(memory_format=torch.channels_last))
        rows, columns = -(-height // settings.grid_px), -(-width // settings.grid_px)
        parts = []
        for number in self._maps:
            stride, edge = EfficientNetLite0.strides[number], MARGIN_PX // EfficientNetLite0.strides[number]
            inside = maps[number][:, :, edge:-edge, edge:-edge]
            if stride < settings.grid_px:
                inside = functional.avg_pool2d(inside, settings.grid_px // stride)
            inside = averaged(inside, settings.around)
            if stride > settings.grid_px:
                inside = functional.interpolate(inside, scale_factor=stride / settings.grid_px, mode="bilinear")
            parts.append(inside[:, :, :rows, :columns])
        return torch.cat(parts, 1)

    def distances(self, features: Tensor) -> Tensor:
        """Distances (B, rows, columns) from features (B, channels, rows, columns)."""
        batch, _, rows, columns = features.shape
        flat = self.whitened(features.permute(0, 2, 3, 1).flatten(0, 2).float())
        away = flat.square().sum(1) / flat.shape[1] if not len(self.known) else self._from_the_nearest(flat)
        found = away.clamp(min=0).sqrt().view(batch, rows, columns)
        return averaged(found[:, None], self.settings.smoothing)[:, 0]

    def whitened(self, features: Tensor) -> Tensor:
        """Independent numbers of unit variance (n, numbers) from features (n, channels)."""
        return (features - self.centre) @ self.whitening

    def _from_the_nearest(self, places: Tensor) -> Tensor:
        """Squared distance (n,) of each place from the nearest that is known, per number."""
        half = 0.5 * self.known.square().sum(1)
        nearest = [
            places[start : start + _AT_ONCE].square().sum(1)
            - 2 * torch.addmm(-half, places[start : start + _AT_ONCE], self.known.T).amax(1)
            for start in range(0, len(places), _AT_ONCE)
        ]
        return torch.cat(nearest) / places.shape[1]


def averaged(maps: Tensor, side: int) -> Tensor:
    """Mean over a square around each place; at the border over what is there of it."""
    if side == 1:
        return maps
    return functional.avg_pool2d(maps, side, stride=1, padding=side // 2, count_include_pad=False)


def alike(images: Tensor) -> Tensor:
    """Images (B, 3, H, W), each with mean 0 and the usual contrast."""
    mean, contrast = images.mean((1, 2, 3), keepdim=True), images.std((1, 2, 3), keepdim=True)
    return (images - mean) * (_USUAL_CONTRAST / contrast.clamp(min=_LEAST_CONTRAST))


def levelled(images: Tensor, radius_px: int) -> Tensor:
    """Images (B, 3, H, W) with mean 0 and the same contrast around every place."""
    side = 2 * radius_px + 1
    mean = _box(_box(images, side), side)
    rest = images - mean
    power = _box(_box(rest.square().mean(1, keepdim=True), side), side)
    return rest * (_USUAL_CONTRAST / (power + _LEAST_CONTRAST**2).sqrt())


def _box(images: Tensor, side: int) -> Tensor:
    """Mean over squares, of sums over rows and columns one after the other."""
    for kernel in ((side, 1), (1, side)):
        padding = (kernel[0] // 2, kernel[1] // 2)
        images = functional.avg_pool2d(images, kernel, stride=1, padding=padding, count_include_pad=False)
    return images


def _with_margin(images: Tensor) -> Tensor:
    """Images, mirrored at their borders by the margin, and on to sides that suit the backbone."""
    height, width = images.shape[2:]
    pads = (
        MARGIN_PX, MARGIN_PX + -width % _STRIDE, MARGIN_PX, MARGIN_PX + -height % _STRIDE,
    )  # fmt: skip
    mirrored = min(height, width) > max(pads)
    return functional.pad(images, pads, mode="reflect" if mirrored else "replicate")
