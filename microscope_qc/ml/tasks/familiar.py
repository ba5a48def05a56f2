"""What a model's training data look like, and whether a slide is unlike them: brightness, contrast, deepest features.

A slide is compared tile by tile with the mean and spread of the training tiles; after Hendrycks and Gimpel (ICLR 2017)
confidences of a network do not tell that by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.cards import Familiar, ModelCard
from microscope_qc.ml.datasets.records import Dataset
from microscope_qc.ml.tiling import model_tile_shape, slide_scale, tile_size

TILES, LOOKS = 48, 8
"""Tiles of the training data, and of a slide."""
FACTOR = 2.0
"""A slide whose middle tile is so many times farther away than usual is unlike the training data."""
LEAST_MARGIN = 12.0
_SIDE_PX, _STRIDE_PX = 256, 64
_LEAST_SPREAD = 1e-3
_LEAST_PICTURES = 3

ReadTile = Callable[[int], np.ndarray]


class _HasFeatures(Protocol):
    def features(self, images: Tensor) -> Tensor:
        """The deepest map (B, channels, h, w)."""


def describe_data(network: nn.Module, card: ModelCard, dataset: Dataset, *, seed: int = 0) -> Job[Familiar | None]:
    """What the tiles of a data set look like to a network; None for a data set without pictures."""
    rng = np.random.default_rng([seed, 41])
    pictures: list[np.ndarray] = []
    chosen = rng.choice(len(dataset.images), TILES) if dataset.images else np.zeros(0, np.int64)
    for number in chosen:
        image = dataset.images[int(number)]
        yield Progress(len(pictures), TILES, "tiles", image.path.name)
        with image.opened() as mosaic:
            scale = slide_scale(card.pixel_size_um, image.pixel_size_um or mosaic.pixel_size_um)
            side = tile_size(card.tile_px, card.overlap_px, scale=scale)[0]
            y0, x0, y1, x1 = image.area
            top, left = (int(rng.integers(low, max(low, high - side) + 1)) for low, high in ((y0, y1), (x0, x1)))
            tile = Region(top, left, min(top + side, y1), min(left + side, x1))
            pictures.append(mosaic.read_scaled(tile, model_tile_shape(tile, scale)))
    if not pictures:
        return None
    grey = _grey(pictures)
    features = _features(network, card, pictures)
    mean, spread = features.mean(0), np.maximum(features.std(0), _LEAST_SPREAD)
    usual = np.quantile(_from_the_others(features, chosen), 0.95) if features.size else 0.0
    return Familiar(
        brightness=_ends(grey[:, 0]), contrast=_ends(grey[:, 1]), mean=np.round(mean, 5).tolist(),
        spread=np.round(spread, 5).tolist(), usual=round(float(usual), 4),
    )  # fmt: skip


def unlike(card: ModelCard, network: nn.Module, read: ReadTile, tiles: Sequence[int]) -> str | None:
    """A sentence about a slide that is unlike what a model learned from; None where it is like it, or nothing is known.

    Parameters
    ----------
    read
        Reads a tile at the model's pixel size.
    tiles
        Those that will be scanned; a few of them, far from each other, are looked at.
    """
    known = card.familiar
    if known is None or not len(tiles):
        return None
    chosen = np.unique(np.linspace(0, len(tiles) - 1, LOOKS).round().astype(int))
    pictures = [read(tiles[place]) for place in chosen.tolist()]
    brightness, contrast = np.median(_grey(pictures), axis=0).tolist()
    said = [
        f"it is {word} ({name} {value:.0f}; learned from {low:.0f} to {high:.0f})"
        for name, value, (low, high), words in (
            ("brightness", brightness, known.brightness, ("darker", "brighter")),
            ("contrast", contrast, known.contrast, ("lower in contrast", "higher in contrast")),
        )
        if (word := _outside(value, low, high, words))
    ]
    features = _features(network, card, pictures)
    if features.shape[1] and features.shape[1] == len(known.mean):
        away = float(np.median(_distances(features, np.array(known.mean), np.array(known.spread))))
        if away > FACTOR * known.usual:
            said.append(f"its texture is {away / max(known.usual, 1e-9):.1f} times as far from it as is usual")
    if not said:
        return None
    return (
        f"This slide is unlike what {card.name} learned from: {'; '.join(said)}. Expect missed and wrong findings; "
        "look at some before you trust a number."
    )


def _outside(value: float, low: float, high: float, words: tuple[str, str]) -> str:
    margin = max(LEAST_MARGIN, (high - low) / 2)
    return words[0] if value < low - margin else words[1] if value > high + margin else ""


def _grey(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Mean and standard deviation of each (n, 2)."""
    return np.array([(picture.mean(), picture.mean(-1).std()) for picture in pictures], float)


def _ends(values: np.ndarray) -> tuple[float, float]:
    return round(float(values.min()), 2), round(float(values.max()), 2)


def _distances(features: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Root mean square distance of each tile, in spreads."""
    away: np.ndarray = np.sqrt((((features - mean) / spread) ** 2).mean(-1))
    return away


def _from_the_others(features: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """Distance of each tile from those of all other pictures, or from the other tiles where there are few pictures.

    Of few pictures, each is nearer to a mean and spread to which it belongs than any new one can be.
    """
    groups = pictures if len(np.unique(pictures)) >= _LEAST_PICTURES else np.arange(len(features))
    away = np.zeros(len(features))
    for group in np.unique(groups):
        own = groups == group
        others = features[~own]
        away[own] = _distances(features[own], others.mean(0), np.maximum(others.std(0), _LEAST_SPREAD))
    return away


@torch.inference_mode()
def _features(network: nn.Module, card: ModelCard, pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Features (n, channels) of the middle of each picture, averaged; no channels where the network gives none."""
    if not hasattr(network, "features"):
        return np.zeros((len(pictures), 0))
    was = network.training
    network.eval()
    device = next(network.parameters()).device
    mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) * 255 for values in (card.mean, card.std))
    found = []
    for picture in pictures:
        images = torch.from_numpy(np.ascontiguousarray(_middle(picture))).to(device).permute(2, 0, 1)[None].float()
        deepest = cast(_HasFeatures, network).features((images - mean) / std)
        found.append(deepest.float().mean((2, 3))[0].cpu().numpy())
    network.train(was)
    return np.stack(found).astype(float)


def _middle(picture: np.ndarray) -> np.ndarray:
    """The middle of a picture, with sides that suit every network; a smaller one is repeated at its borders."""
    short = [max(0, _STRIDE_PX - side) for side in picture.shape[:2]]
    if any(short):
        picture = np.pad(picture, ((0, short[0]), (0, short[1]), (0, 0)), mode="symmetric")
    sides = [min(_SIDE_PX, side // _STRIDE_PX * _STRIDE_PX) for side in picture.shape[:2]]
    top, left = ((whole - side) // 2 for whole, side in zip(picture.shape[:2], sides, strict=True))
    return picture[top : top + sides[0], left : left + sides[1]]
