"""What a detector should find in one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from microscope_qc.ml.datasets.crops import TrainingCrop


@dataclass(frozen=True)
class BoxTarget:
    """Defects of one image.

    Attributes
    ----------
    boxes : Tensor, (n, 4)
        x0, y0, x1, y1 in model pixels.
    labels : Tensor, (n,)
        Class indices.
    ignore : Tensor, (m, 4)
        Places that count neither as defect nor as background (a defect cut by the image's border, for example).
    """

    boxes: Tensor
    labels: Tensor
    ignore: Tensor

    def ignores(self, points: Tensor) -> Tensor:
        """Which of some points (N, 2), as x, y, lie in a place that does not count: boolean (N,)."""
        inside = (points[:, None] > self.ignore[None, :, :2]) & (points[:, None] < self.ignore[None, :, 2:])
        return inside.all(2).any(1)


def target_of(crop: TrainingCrop) -> BoxTarget:
    """The target of a crop."""

    def xyxy(boxes: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(boxes[:, [1, 0, 3, 2]], np.float32))

    return BoxTarget(xyxy(crop.boxes), torch.from_numpy(crop.labels.astype(np.int64)), xyxy(crop.ignore))
