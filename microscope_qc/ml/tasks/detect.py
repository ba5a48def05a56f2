"""A model with its weights on a device: pictures in, candidates out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from microscope_qc.core.errors import ModelError
from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.core.merge import CANDIDATE_DTYPE, merge_candidates
from microscope_qc.ml.architectures import DETECTORS, build_detector
from microscope_qc.ml.architectures.fused import fused
from microscope_qc.ml.architectures.ssd.network import MOST_COMPARED, SSD, candidates, choose, decode
from microscope_qc.ml.cards import WEIGHTS_NAME, ModelCard, read_card
from microscope_qc.ml.devices import autocast, choose_device
from microscope_qc.ml.library import model_folder
from microscope_qc.ml.tasks.base import Found, HeatGrid, Size
from microscope_qc.ml.tasks.on_device import OnDevice
from microscope_qc.ml.tiling import LATTICE_PX
from microscope_qc.ml.weights import load_weights

STRIDE = LATTICE_PX
_IOU, _MOST = 0.5, 300


class Detector:
    """Finds defects in pictures at the model's pixel size.

    Parameters
    ----------
    card : ModelCard
    network : SSD
    device : str
        "auto", "cpu" or "cuda:0".
    """

    def __init__(self, card: ModelCard, network: SSD, *, device: str = "auto") -> None:
        self.card = card
        self.device = choose_device(device)
        self.network = network.to(self.device).to(memory_format=torch.channels_last).eval()
        self._mean = torch.tensor(card.mean, device=self.device).view(1, 3, 1, 1) * 255
        self._std = torch.tensor(card.std, device=self.device).view(1, 3, 1, 1) * 255

    @classmethod
    def load(cls, name_or_path: str | Path, *, device: str = "auto") -> Detector:
        """Load a bundled model by name, or a folder.

        Raises
        ------
        ModelError
            When it is no detector, or card and weights do not fit.
        """
        folder = model_folder(name_or_path)
        card = read_card(folder)
        if card.task != "detect" or card.architecture not in DETECTORS:
            raise ModelError(f"The model {card.name} does not find defects (its task is {card.task}).")
        network = build_detector(card.architecture, card.network, classes=len(card.classes))
        load_weights(network, folder / WEIGHTS_NAME)
        return cls(card, network, device=device)

    @torch.inference_mode()
    def find(self, pictures: Sequence[np.ndarray], *, threshold: float = 0.05) -> list[np.ndarray]:
        """Candidates of pictures.

        Parameters
        ----------
        pictures : sequence of ndarray, uint8 (h, w, 3)
            RGB at the model's pixel size; sizes may differ.
        threshold
            Lowest confidence kept.

        Returns
        -------
        list of ndarray of CANDIDATE_DTYPE
            In the pixels of each picture; ``tile`` is 0.
        """
        if not pictures:
            return []
        sizes = [(picture.shape[0], picture.shape[1]) for picture in pictures]
        batch = self._batch(pictures, sizes)
        with autocast(self.device):
            found = candidates(self.network, batch, sizes=sizes, threshold=threshold)
        return [_rows(*parts) for parts in found]

    def _batch(self, pictures: Sequence[np.ndarray], sizes: list[tuple[int, int]]) -> Tensor:
        height = -(-max(size[0] for size in sizes) // STRIDE) * STRIDE
        width = -(-max(size[1] for size in sizes) // STRIDE) * STRIDE
        padded = []
        for picture, (h, w) in zip(pictures, sizes, strict=True):
            tensor = torch.from_numpy(np.ascontiguousarray(picture)).to(self.device).permute(2, 0, 1)[None].float()
            normal = (tensor - self._mean) / self._std
            # zero is the mean colour
            padded.append(functional.pad(normal, (0, width - w, 0, height - h)))
        return torch.cat(padded).contiguous(memory_format=torch.channels_last)


class DetectTask(OnDevice):
    """A detector as the engine runs it.

    Parameters
    ----------
    threshold
        Lowest confidence of a candidate.
    """

    stride = STRIDE
    heat: HeatGrid | None = None
    seams = True

    def __init__(self, detector: Detector, *, threshold: float) -> None:
        network = cast(SSD, fused(detector.network))
        super().__init__(detector.card, network, device=detector.device)
        self._ssd, self._threshold = network, threshold
        self._default: dict[Size, Tensor] = {}

    def read_out(self, answers: Any) -> tuple[Tensor, ...]:
        """Leave of the network's answers on a graphics card only the strongest, so that little is copied."""
        logits, offsets = answers
        if logits.device.type == "cpu":
            return logits, offsets
        flat = logits.flatten(1)
        values, index = flat.topk(min(MOST_COMPARED, flat.shape[1]), dim=1)
        place = (index // logits.shape[2])[..., None].expand(-1, -1, 4)
        return values, index, offsets.gather(1, place)

    def results(self, computed: Any, size: Size) -> list[Found]:
        """See :class:`microscope_qc.ml.tasks.base.Task`."""
        shape, tensors = self.fetched(computed)
        default = self._default_boxes(shape)
        founds = []
        for picture in zip(*tensors, strict=True):
            scores, index, offsets = self._strongest(*picture)
            if len(scores) == 0:  # most tiles of a good slide
                founds.append(Found(np.zeros(0, CANDIDATE_DTYPE)))
                continue
            boxes = decode(offsets, default[index // self._ssd.classes])
            answer = choose(boxes, scores, index % self._ssd.classes, size=size, iou=_IOU, most=_MOST)
            founds.append(Found(_rows(*answer)))
        return founds

    def _strongest(self, *picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores, numbers and offsets of one picture's candidates, strongest first."""
        if len(picture) == 2:
            logits, offsets = picture
            # numpy looks through them in this thread alone: the others belong to the network; NaN compares false
            share = min(max(self._threshold, 1e-6), 1 - 1e-6)
            least = np.log(share / (1 - share)) - 1e-4
            index = torch.from_numpy(np.flatnonzero(logits.numpy().ravel() > least))
            scores, offsets = logits.flatten()[index].sigmoid(), offsets[index // self._ssd.classes]
        else:
            values, index, offsets = picture
            scores = values.sigmoid()
        order = torch.argsort(scores, descending=True, stable=True)[:MOST_COMPARED]
        order = order[scores[order] > self._threshold]
        return scores[order], index[order], offsets[order]

    def _default_boxes(self, shape: Size) -> Tensor:
        if shape not in self._default:
            self._default[shape] = self._ssd.default_boxes(*shape)[0].cpu()
        return self._default[shape]

    def parts(self, shape: Size) -> list[Region]:
        """See :class:`microscope_qc.ml.tasks.base.Task`; halves that overlap as tiles do."""
        overlap = max(STRIDE, min(self.card.overlap_px, max(shape) // 4) // STRIDE * STRIDE)
        side = -(-(max(shape) + overlap) // (2 * STRIDE)) * STRIDE
        if side >= max(shape) or overlap >= side:
            return []
        return list(TileGrid(Region(0, 0, *shape), side, overlap))

    def join(self, founds: Sequence[Found], parts: Sequence[Region], shape: Size) -> Found:
        """See :class:`microscope_qc.ml.tasks.base.Task`; merged as tiles are."""
        side = max(parts[0].shape)
        grid = TileGrid(Region(0, 0, *shape), side, side - max(parts[1].x0 - parts[0].x0, parts[-1].y0 - parts[0].y0))
        placed = []
        for number, (found, part) in enumerate(zip(founds, parts, strict=True)):
            rows = found.candidates.copy()
            for name, start in (("y0", part.y0), ("y1", part.y0), ("x0", part.x0), ("x1", part.x0)):
                rows[name] += start
            rows["tile"] = number
            placed.append(rows)
        merged = merge_candidates(np.concatenate(placed), grid)
        merged["tile"] = 0
        return Found(merged)


def _rows(boxes: Tensor, scores: Tensor, labels: Tensor) -> np.ndarray:
    rows = np.zeros(len(scores), CANDIDATE_DTYPE)
    corners = boxes.double().numpy()
    for column, name in enumerate(("y0", "x0", "y1", "x1")):
        rows[name] = corners[:, column]
    rows["confidence"] = scores.float().numpy()
    rows["label"] = labels.numpy()
    return rows
