"""Windows slid over tiles, for classifiers and anomaly models: scores of all windows, their map, and boxes.

Networks produce maps whose mean over a window is its score. Where windows are aligned with the network's strides, one
pass gives the maps of a whole tile; otherwise each window needs its own pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from microscope_qc.core.errors import ModelError
from microscope_qc.core.geometry import Region
from microscope_qc.core.merge import CANDIDATE_DTYPE
from microscope_qc.ml.cards import ModelCard, WindowSettings
from microscope_qc.ml.datasets.windows import fitted
from microscope_qc.ml.devices import autocast
from microscope_qc.ml.tasks.activation import activation_box
from microscope_qc.ml.tasks.base import CellGrid, NetworkOutput, Size, TileResult, not_numbers
from microscope_qc.ml.tasks.on_device import OnDevice

_MOST_WINDOWS = 400
"""Maximum number of windows, the strongest, of a tile and scale that may become findings."""
_MOST, _IOU = 300, 0.5
_AT_ONCE = 64
"""Number of windows in a forward pass where they cannot share their features."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Output for one image at one scale: scores (n, rows, columns) of windows, and the source of their maps.

    ``place_px`` is the side of a cell of the map that all windows share; None where every window has its own map.
    """

    scale: float
    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    maps: np.ndarray
    place_px: int | None

    def map_of(self, row: int, column: int, window_px: int) -> np.ndarray:
        """Maps (n, h, w) of a window."""
        if self.place_px is None:  # (rows, columns, n, h, w)
            own: np.ndarray = self.maps[row, column]
            return own
        side = window_px // self.place_px
        y, x = int(self.rows[row]) // self.place_px, int(self.columns[column]) // self.place_px
        return self.maps[:, y : y + side, x : x + side]


class SlidingTask(OnDevice[list[tuple[Tensor, Tensor]]]):
    """A network that scores windows, as the engine runs it.

    Parameters
    ----------
    threshold
        Lowest confidence of a candidate.
    stride
        Stride of the network; windows can share their features if their sides are multiples of it.
    place_px
        Side of a cell of the network's maps in pixels; the stride is a multiple of it.
    """

    def __init__(
        self, card: ModelCard, network: nn.Module, *, device: torch.device, threshold: float, stride: int, place_px: int
    ) -> None:
        if card.windows is None:
            raise ModelError(f"The card of {card.name} does not say how large its windows are.")
        super().__init__(card, network, device=device)
        self.windows: WindowSettings = card.windows
        self.stride, self.place_px = stride, place_px
        self.heat = CellGrid((self.windows.window_px - self.windows.stride_px) / 2, self.windows.stride_px)
        self._threshold = threshold
        self._run = self.plain()

    def maps(self, images: Tensor, size: Size) -> Tensor:
        """Maps (B, n, H / place_px, W / place_px) of images; ``size`` is their size without padding."""
        raise NotImplementedError

    def confidences(self, found: Scores, size: Size) -> np.ndarray:
        """Confidence of each class, float32 (classes, rows, columns), from the scores of a tile's windows.

        ``size`` is the size of the tile in pixels of the scale.
        """
        raise NotImplementedError

    def evidence(self, maps: np.ndarray, label: int) -> np.ndarray:
        """Evidence for a class at the places of a window, (h, w)."""
        raise NotImplementedError

    def strongest(self, boxes: list[tuple[float, ...]]) -> np.ndarray:
        """Candidates from boxes (y0, x0, y1, x1, confidence, label), with only the strongest of those that overlap."""
        return strongest(boxes)

    @property
    def shares(self) -> bool:
        """Whether windows share their features, because they are aligned with the network's strides."""
        fits = self.windows.window_px % self.stride == 0 and self.windows.stride_px % self.stride == 0
        return self.windows.shared and fits and self.windows.input_px in (None, self.windows.window_px)

    def slot(self, shape: Size) -> tuple[Size, type[np.generic]]:
        """See :class:`microscope_qc.ml.tasks.base.Task`; a window fits into any slot."""
        least = self.windows.window_px
        return super().slot((max(shape[0], least), max(shape[1], least)))

    @torch.inference_mode()
    def read_out(self, said: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, ...]:
        """The tensors of all scales, one after the other."""
        return tuple(tensor for pair in said for tensor in pair)

    def _forward(self, images: Tensor, size: Size) -> list[tuple[Tensor, Tensor]]:
        output = []
        for scale in self.windows.scales:
            shown = images
            if scale != 1:
                smaller = _at_scale((int(images.shape[2]), int(images.shape[3])), scale)
                shown = functional.interpolate(images, size=smaller, mode="area")
            shown = self._padded(shown)
            places, seen = self.starts(size, scale), _at_scale(size, scale)
            output.append(self._shared(shown, *places, seen) if self.shares else self._alone(shown, *places, seen))
        return output

    def _padded(self, images: Tensor) -> Tensor:
        height, width = self.slot((int(images.shape[2]), int(images.shape[3])))[0]
        if (height, width) == tuple(images.shape[2:]):
            return images
        padded = functional.pad(images, (0, width - images.shape[3], 0, height - images.shape[2]))
        return padded.contiguous(memory_format=torch.channels_last)

    def starts(self, size: Size, scale: float) -> tuple[np.ndarray, np.ndarray]:
        """First rows and columns of the windows of a tile, in pixels of the scale; the last ends with the tile."""
        found = []
        for side in _at_scale(size, scale):
            length = -(-side // self.stride) * self.stride if self.shares else side
            last = max(0, length - self.windows.window_px)
            regular = np.arange(0, last + 1, self.windows.stride_px)
            found.append(regular if regular[-1] == last else np.append(regular, last))
        return found[0], found[1]

    def _shared(self, images: Tensor, rows: np.ndarray, columns: np.ndarray, size: Size) -> tuple[Tensor, Tensor]:
        maps = self.maps(images, size)
        coarse = maps if self.place_px == self.stride else functional.avg_pool2d(maps, self.stride // self.place_px)
        means = functional.avg_pool2d(coarse, self.windows.window_px // self.stride, stride=1)
        down, across = (torch.from_numpy(starts // self.stride).to(maps.device) for starts in (rows, columns))
        return means.index_select(2, down).index_select(3, across), maps

    def _alone(self, images: Tensor, rows: np.ndarray, columns: np.ndarray, size: Size) -> tuple[Tensor, Tensor]:
        side = self.windows.window_px
        windows = [images[:, :, y : y + side, x : x + side] for y in rows for x in columns]
        batch = len(images)
        per_pass = max(1, _AT_ONCE // batch)
        seen = (min(size[0], side), min(size[1], side))
        parts = []
        for start in range(0, len(windows), per_pass):
            chosen = self._as_learned(torch.cat(windows[start : start + per_pass]))
            parts.append(self.maps(chosen.contiguous(memory_format=torch.channels_last), seen))
        maps = torch.cat(parts)
        maps = maps.view(len(rows), len(columns), batch, *maps.shape[1:]).permute(2, 0, 1, 3, 4, 5).contiguous()
        return maps.mean(dim=(4, 5)).permute(0, 3, 1, 2), maps

    @torch.inference_mode()
    def look(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See a whole picture as one window.

        Parameters
        ----------
        picture : ndarray, uint8 (h, w, 3)
            Of any size; scaled to that of a window.

        Returns
        -------
        confidences : ndarray of float32, (classes,)
        maps : ndarray of float32, (n, rows, columns)
            For :meth:`evidence`.

        Raises
        ------
        ModelError
            When the model computes values that are not numbers.
        """
        side = self.windows.input_px or self.windows.window_px
        slot = np.empty((side, side, 3), self.slot((side, side))[1])
        self.prepare(fitted(picture, side), slot)
        slots, size = torch.from_numpy(slot)[None], (side, side)
        images = self._normalised(slots, size) if slots.dtype == torch.uint8 else slots.to(self.device)
        with autocast(self.device):
            maps = self.maps(images.permute(0, 3, 1, 2), size)[0].float().cpu().numpy()
        if not np.isfinite(maps).all():
            raise not_numbers(self.card.name)
        start = np.zeros(1, np.int64)
        seen = Scores(1.0, start, start, maps.mean(axis=(1, 2))[:, None, None], maps, None)
        return self.confidences(seen, size)[:, 0, 0], maps

    def _as_learned(self, windows: Tensor) -> Tensor:
        """Windows at the size at which the network has learned from whole pictures."""
        side = self.windows.input_px
        if side is None or side == self.windows.window_px:
            return windows
        return functional.interpolate(  # as :func:`fitted` does
            windows, size=(side, side), mode="area" if side < self.windows.window_px else "bilinear"
        )

    def results(self, output: NetworkOutput, size: Size) -> list[TileResult]:
        """See :class:`microscope_qc.ml.tasks.base.Task`."""
        arrays = [tensor.numpy() for tensor in self.fetched(output)]
        results = []
        for image in range(len(arrays[0])):
            scores = []
            for number, scale in enumerate(self.windows.scales):
                rows, columns = self.starts(size, scale)
                values, maps = arrays[2 * number][image], arrays[2 * number + 1][image]
                scores.append(Scores(scale, rows, columns, values, maps, self.place_px if self.shares else None))
            results.append(self._found(scores, size))
        return results

    def _found(self, scores: list[Scores], size: Size) -> TileResult:
        heat: np.ndarray | None = None
        boxes: list[tuple[float, ...]] = []
        for scale in scores:
            share = self.confidences(scale, _at_scale(size, scale.scale))
            spread = self._spread(share, scale, scores[0])
            heat = spread if heat is None else np.maximum(heat, spread)
            boxes += self._boxes(share, scale, size)
        return TileResult(self.strongest(boxes), heat)

    def _spread(self, share: np.ndarray, scale: Scores, cells: Scores) -> np.ndarray:
        """Scores of a scale at the cells of the map, from the nearest windows."""
        if scale is cells:
            return share
        half = self.windows.window_px / 2
        nearest = [
            np.abs((own + half)[:, None] * scale.scale - (wanted + half)[None, :]).argmin(axis=0)
            for own, wanted in ((scale.rows, cells.rows), (scale.columns, cells.columns))
        ]
        return share[:, nearest[0]][:, :, nearest[1]]

    def _boxes(self, share: np.ndarray, scale: Scores, size: Size) -> list[tuple[float, ...]]:
        """Boxes (y0, x0, y1, x1, confidence, label) of the windows that show something, in the tile's model pixels."""
        side = self.windows.window_px
        sure = share.max(axis=0)
        chosen = np.flatnonzero(sure.ravel() > self._threshold)
        chosen = chosen[np.argsort(-sure.ravel()[chosen], kind="stable")[:_MOST_WINDOWS]]
        boxes: list[tuple[float, ...]] = []
        for row, column in zip(*np.unravel_index(chosen, sure.shape), strict=True):
            label = int(share[:, row, column].argmax())
            corner = (int(scale.rows[row]), int(scale.columns[column]))
            place = self.evidence(scale.map_of(row, column, side), label)
            ends = (row == 0, column == 0, row == len(scale.rows) - 1, column == len(scale.columns) - 1)
            box = activation_box(place, side, share=self.windows.cam_share)
            if self.cut(box, ends):
                continue  # a neighbouring window shows it completely
            y0, x0, y1, x1 = (min((value + corner[i % 2]) * scale.scale, size[i % 2]) for i, value in enumerate(box))
            if y1 - y0 >= 1 and x1 - x0 >= 1:
                boxes.append((y0, x0, y1, x1, float(sure[row, column]), label))
        return boxes

    def cut(self, box: tuple[float, float, float, float], ends: tuple[bool, ...]) -> bool:
        """Whether a box is dropped because the window's border cuts it, while the next window can show all of it."""
        side, room = self.windows.window_px, self.windows.window_px - self.windows.stride_px
        touches = (box[0] <= 0, box[1] <= 0, box[2] >= side, box[3] >= side)
        fits = (box[2] - box[0] <= room, box[3] - box[1] <= room)
        return any(touch and not end and fits[i % 2] for i, (touch, end) in enumerate(zip(touches, ends, strict=True)))

    def parts(self, shape: Size) -> list[Region]:
        """See :class:`microscope_qc.ml.tasks.base.Task`; halves that contain every window once."""
        if len(self.windows.scales) > 1:
            return []
        side, step = self.windows.window_px, self.windows.stride_px
        ranges = []
        for length in shape:
            count = (length - side) // step + 1
            first = -(-count // 2)
            ranges.append([(0, length)] if count < 2 else [(0, (first - 1) * step + side), (first * step, length)])
        if max(len(pieces) for pieces in ranges) < 2:
            return []
        return [Region(y0, x0, y1, x1) for y0, y1 in ranges[0] for x0, x1 in ranges[1]]

    def join(self, results: Sequence[TileResult], parts: Sequence[Region], shape: Size) -> TileResult:
        """See :class:`microscope_qc.ml.tasks.base.Task`."""
        step = self.windows.stride_px
        heats = [found.heat for found in results if found.heat is not None]
        rows = max(part.y0 // step + heat.shape[1] for part, heat in zip(parts, heats, strict=True))
        columns = max(part.x0 // step + heat.shape[2] for part, heat in zip(parts, heats, strict=True))
        heat = np.zeros((len(heats[0]), rows, columns), np.float32)
        boxes: list[tuple[float, ...]] = []
        for found, part, own in zip(results, parts, heats, strict=True):
            y, x = part.y0 // step, part.x0 // step
            heat[:, y : y + own.shape[1], x : x + own.shape[2]] = own
            for row in found.candidates:
                y0, y1 = row["y0"] + part.y0, row["y1"] + part.y0
                x0, x1 = row["x0"] + part.x0, row["x1"] + part.x0
                boxes.append((y0, x0, y1, x1, row["confidence"], row["label"]))
        return TileResult(self.strongest(boxes), heat)


def _at_scale(size: Size, scale: float) -> Size:
    return max(1, round(size[0] / scale)), max(1, round(size[1] / scale))


def strongest(boxes: list[tuple[float, ...]]) -> np.ndarray:
    """Candidates from boxes, with only the strongest of those in a class that overlap."""
    from microscope_qc.ml.quick_torchvision import torchvision

    values = torch.tensor(boxes, dtype=torch.float32).view(-1, 6)
    corners = values[:, [1, 0, 3, 2]]
    keep = torchvision.ops.batched_nms(corners, values[:, 4], values[:, 5].long(), _IOU)[:_MOST].numpy()
    rows = np.zeros(len(keep), CANDIDATE_DTYPE)
    for column, name in enumerate(("y0", "x0", "y1", "x1", "confidence", "label")):
        rows[name] = values.numpy()[keep, column]
    return rows
