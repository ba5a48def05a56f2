"""An autoencoder of normal windows, slid over a slide: whatever it cannot reconstruct is anomalous."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from microscope_qc.core.arrays import Floats
from microscope_qc.core.errors import ModelError
from microscope_qc.core.geometry import touching_pairs
from microscope_qc.core.matching import connected_groups
from microscope_qc.ml.architectures.autoencoder.network import Autoencoder, SquaredErrors
from microscope_qc.ml.cards import AnomalySettings, ModelCard
from microscope_qc.ml.heap import keep_freed_memory
from microscope_qc.ml.tasks.base import Size
from microscope_qc.ml.tasks.sliding import Scores, SlidingTask, strongest

_PLACE_PX = 8
"""Side of the squares over which errors are averaged on the device; the boxes of findings are aligned to them."""
_ALIKE = 0.5
"""How close, as a share of the higher, the confidences of two windows must be for both to show the same anomaly."""


class AnomalyTask(SlidingTask):
    """An autoencoder as the engine runs it.

    A window's score is its mean squared error, in the units of the normalisation and without padding.

    Parameters
    ----------
    threshold
        Lowest confidence of a candidate.
    """

    def __init__(self, card: ModelCard, network: Autoencoder, *, device: torch.device, threshold: float) -> None:
        if card.anomaly is None or card.windows is None:
            raise ModelError(f"The card of {card.name} does not say which errors are anomalous.")
        if card.windows.window_px % network.stride:
            raise ModelError(
                f"The windows of {card.name} ({card.windows.window_px} px) do not fit its network: "
                f"their side must be a multiple of {network.stride} px."
            )
        self.anomaly: AnomalySettings = card.anomaly
        if device.type == "cpu":
            keep_freed_memory()
        place_px = min(_PLACE_PX, network.stride)
        errors = SquaredErrors(network)
        super().__init__(card, errors, device=device, threshold=threshold, stride=network.stride, place_px=place_px)

    def maps(self, images: Tensor, size: Size) -> Tensor:
        """Squared errors averaged over squares of ``place_px``; padding has none."""
        errors = cast(Tensor, self.run(images))  # (B, H / 2, W / 2, 2, 2, 3)
        for axis, side in ((1, size[0]), (2, size[1])):
            whole, odd = divmod(side, 2)
            if odd:
                errors.select(axis, whole).select(axis + 1, 1).zero_()
            errors.narrow(axis, whole + odd, errors.shape[axis] - whole - odd).zero_()
        pooled = functional.avg_pool2d(errors.flatten(3).permute(0, 3, 1, 2), self.place_px // 2)
        return pooled.mean(dim=1, keepdim=True)

    def confidences(self, found: Scores, size: Size) -> np.ndarray:
        """A logistic curve over the windows' mean errors: 0.5 at the card's threshold."""
        side = self.windows.window_px
        down, across = (
            np.minimum(side, length - starts) / side
            for length, starts in zip(size, (found.rows, found.columns), strict=True)
        )
        errors = found.values[0] / np.outer(down, across)
        steps: Floats = (errors - self.anomaly.threshold) / self.anomaly.spread
        return (0.5 + 0.5 * np.tanh(steps / 2))[None].astype(np.float32)  # the logistic function, without overflow

    def evidence(self, maps: np.ndarray, label: int) -> np.ndarray:
        """The errors themselves."""
        errors: Floats = maps[label]
        return errors

    def cut(self, box: tuple[float, float, float, float], ends: tuple[bool, ...]) -> bool:
        """Never: the pieces of an anomaly are joined."""
        return False

    def strongest(self, boxes: list[tuple[float, ...]]) -> np.ndarray:
        """Candidates from boxes; an anomaly that extends over several windows is counted once.

        The boxes of two windows touch where both windows saw the same errors.
        """
        return strongest(_joined(boxes))


def _joined(boxes: list[tuple[float, ...]]) -> list[tuple[float, ...]]:
    """Join boxes that touch and have similar confidences; the highest confidence is kept."""
    rows = np.array(boxes, np.float64).reshape(-1, 6)
    first, second = touching_pairs(rows[:, :4])
    one, other = rows[first, 4], rows[second, 4]
    alike = np.minimum(one, other) >= _ALIKE * np.maximum(one, other)
    group = connected_groups(len(rows), first[alike], second[alike])
    members = [rows[group == number] for number in range(int(group.max(initial=-1)) + 1)]
    return [(*own[:, :2].min(axis=0), *own[:, 2:4].max(axis=0), own[:, 4].max(), own[0, 5]) for own in members]
