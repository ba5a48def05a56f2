"""Detectors as the engine runs them."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor

from microscope_qc.core.merge import CANDIDATE_DTYPE
from microscope_qc.ml.architectures.dense.detector import DenseDetector
from microscope_qc.ml.architectures.fused import fused
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.quick_torchvision import torchvision
from microscope_qc.ml.tasks.base import NetworkOutput, Size, TileResult
from microscope_qc.ml.tasks.boxes import MOST, BoxTask, candidate_rows

MOST_COMPARED = 2000
"""Number of the strongest boxes of a image that go into non-maximum suppression."""
_IOU = 0.5


class DetectTask(BoxTask[tuple[Tensor, Tensor]]):
    """A detector as the engine runs it.

    Parameters
    ----------
    threshold
        Lowest confidence of a candidate.
    """

    def __init__(self, card: ModelCard, network: DenseDetector, *, device: torch.device, threshold: float) -> None:
        folded = cast(DenseDetector, fused(network))
        super().__init__(card, folded, device=device)
        self._detector, self._threshold = folded, threshold
        self.stride = folded.stride_px
        self._places: dict[Size, Tensor] = {}

    def read_out(self, said: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        """Keep only the strongest outputs on a GPU, so that little is copied."""
        logits, offsets = said
        if logits.device.type == "cpu":
            return logits, offsets
        flat = logits.flatten(1)
        values, index = flat.topk(min(MOST_COMPARED, flat.shape[1]), dim=1)
        place = (index // logits.shape[2])[..., None].expand(-1, -1, 4)
        return values, index, offsets.gather(1, place)

    def results(self, output: NetworkOutput, size: Size) -> list[TileResult]:
        """See :class:`microscope_qc.ml.tasks.base.Task`."""
        places = self._places_of(output.shape)
        results = []
        for image in zip(*self.fetched(output), strict=True):
            scores, index, values = self._strongest(*image)
            if len(scores) == 0:  # most tiles of a good slide
                results.append(TileResult(np.zeros(0, CANDIDATE_DTYPE)))
                continue
            boxes = self._detector.boxes(values, places[index // self._detector.classes])
            answer = choose(boxes, scores, index % self._detector.classes, size=size, iou=_IOU, most=MOST)
            results.append(TileResult(candidate_rows(*answer)))
        return results

    def _strongest(self, *image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores, indices and offsets of one image's candidates, strongest first."""
        if len(image) == 2:
            logits, offsets = image
            # numpy uses only this thread: the others belong to the network; NaN compares false
            share = min(max(self._threshold, 1e-6), 1 - 1e-6)
            least = np.log(share / (1 - share)) - 1e-4
            index = torch.from_numpy(np.flatnonzero(logits.numpy().ravel() > least))
            scores, offsets = logits.flatten()[index].sigmoid(), offsets[index // self._detector.classes]
        else:
            values, index, offsets = image
            scores = values.sigmoid()
        order = torch.argsort(scores, descending=True, stable=True)[:MOST_COMPARED]
        order = order[scores[order] > self._threshold]
        return scores[order], index[order], offsets[order]

    def _places_of(self, shape: Size) -> Tensor:
        if shape not in self._places:
            self._places[shape] = self._detector.places(*shape).cpu()
        return self._places[shape]


def choose(
    boxes: Tensor, scores: Tensor, labels: Tensor, *, size: tuple[int, int], iou: float, most: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Clip boxes (n, 4) as x0, y0, x1, y1 to a image of ``size`` and drop the weaker of those that overlap.

    Returns
    -------
    (boxes (m, 4) as y0, x0, y1, x1, confidence (m,), label (m,))
        Strongest first.
    """
    boxes = torchvision.ops.clip_boxes_to_image(boxes, size)
    large = torchvision.ops.remove_small_boxes(boxes, 1.0)
    boxes, labels, scores = boxes[large], labels[large], scores[large]
    keep = torchvision.ops.batched_nms(boxes, scores, labels, iou)[:most]
    return boxes[keep][:, [1, 0, 3, 2]], scores[keep], labels[keep]
