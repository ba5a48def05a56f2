"""Published detectors as the engine runs them."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from microscope_qc.core.merge import CANDIDATE_DTYPE
from microscope_qc.ml.architectures.fused import fused
from microscope_qc.ml.architectures.published.detector import Found, PublishedDetector
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.quick_torchvision import torchvision
from microscope_qc.ml.tasks.base import NetworkOutput, Size, TileResult
from microscope_qc.ml.tasks.boxes import BoxTask, candidate_rows


class PublishedTask(BoxTask[Found]):
    """A detector of torchvision as the engine runs it; it selects its boxes itself, on the device.

    Parameters
    ----------
    threshold
        Lowest confidence of a candidate.
    """

    def __init__(
        self, card: ModelCard, network: PublishedDetector, *, device: torch.device, threshold: float, stride: int
    ) -> None:
        folded = cast(PublishedDetector, fused(network))
        super().__init__(card, folded, device=device)
        self.stride, self._threshold = stride, threshold
        selecting = getattr(folded.detector, "roi_heads", folded.detector)
        selecting.score_thresh = threshold

    def compile(self, *, wanted: bool = True) -> None:
        """Such a network is never compiled: the number of its boxes is another in every image."""

    def _forward(self, images: Tensor, size: Size) -> Found:
        """Apply the network to the images without their padding."""
        whole = images[:, :, : size[0], : size[1]]
        if images.device.type == "cpu":  # batches are no faster there, and proposals take much memory
            return [found for image in whole for found in cast(Found, self.run(image[None]))]
        return cast(Found, self.run(whole))

    def read_out(self, said: Found) -> tuple[Tensor, ...]:
        """Boxes, scores and labels of all images; those with fewer boxes are filled up with scores of 0."""
        names = ("boxes", "scores", "labels")
        return tuple(pad_sequence([one[name] for one in said], batch_first=True) for name in names)

    def results(self, output: NetworkOutput, size: Size) -> list[TileResult]:
        """See :class:`microscope_qc.ml.tasks.base.Task`."""
        results = []
        for raw, scores, labels in zip(*self.fetched(output), strict=True):
            boxes = torchvision.ops.clip_boxes_to_image(raw, size)
            large = (boxes[:, 2:] - boxes[:, :2]).amin(1) >= 1
            kept = torch.nonzero((scores > self._threshold) & large).flatten()
            if len(kept) == 0:
                results.append(TileResult(np.zeros(0, CANDIDATE_DTYPE)))
                continue
            results.append(TileResult(candidate_rows(boxes[kept][:, [1, 0, 3, 2]], scores[kept], labels[kept] - 1)))
        return results
