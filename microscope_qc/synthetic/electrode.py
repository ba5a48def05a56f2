"""Synthetic cross-section of a wound Li-ion cell under a bright-field light microscope, with known defects."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from microscope_qc.synthetic.anode_defects import ANODE_KINDS
from microscope_qc.synthetic.cathode_defects import CATHODE_KINDS
from microscope_qc.synthetic.kinds import ObjectKind
from microscope_qc.synthetic.lookalikes import LOOKALIKE_KINDS
from microscope_qc.synthetic.mosaic import SyntheticSlide, composite, scratch_overlay
from microscope_qc.synthetic.placement import Occupancy, PlacedObject, candidates, clear_of_resin, make_grid, place
from microscope_qc.synthetic.process_defects import PROCESS_KINDS
from microscope_qc.synthetic.shapes import Stamp
from microscope_qc.synthetic.stack import RESIN_TILE_PX, STACKS, resin_tile, stack_atlas, stack_length
from microscope_qc.synthetic.truth import TrueDefect
from microscope_qc.synthetic.winding import PERIOD_PX, Winding

__all__ = ["ElectrodeSlide", "TrueDefect"]

# Relative frequency of the classes.
SHARES: dict[str, float] = {
    "ACP": 10.5, "AOP": 9.0, "AFP": 10.0, "AHS": 11.0, "CFA": 12.0,
    "CRP": 14.0, "COP": 9.0, "GEO": 7.0, "CRK": 9.0, "PRA": 9.5,
}  # fmt: skip
DEFECTS_PER_PX = 150 / 8192**2
EDGE_GAP_PX = 30.0
MUTUAL_GAP_PX = 42.0
LEAST_SIDE_PX = 24
FLATTEST = 0.22  # flatter boxes are ambiguous, so none is drawn
_SCRATCH_TILE_PX = 1024


class ElectrodeSlide(SyntheticSlide):
    """Cross-section of a wound 18650 cell at 0.3 um per pixel.

    Parameters
    ----------
    shape : (height, width)
        Size in pixels.
    seed : int
        The same seed and shape give the same slide.
    defects : int, optional
        Number of defects; by default 150 per 8192 x 8192 pixels, at least 1. Fewer are drawn if there is no room.
    draw_defects : bool
        False leaves the planned defects out of the image (they stay in `defects`), for checking boxes.

    Notes
    -----
    The plan stores only the places of the objects; images are drawn region by region. Layers come from one unrolled
    stack of coatings, painted particle by particle, that is bent into the winding.
    """

    codes = tuple(SHARES)

    def __init__(
        self, shape: tuple[int, int], *, seed: int, defects: int | None = None, draw_defects: bool = True
    ) -> None:
        super().__init__(shape, seed=seed)
        self.winding = Winding(self.shape, np.random.default_rng([self.seed, 1]))
        area = self.shape[0] * self.shape[1]
        wanted = max(1, round(area * DEFECTS_PER_PX)) if defects is None else int(defects)
        if wanted < 0:
            raise ValueError(f"the number of defects must not be negative, got {wanted}")
        self._first_winding = self.winding.innermost(self.shape)
        rng = np.random.default_rng([self.seed, 3])
        self._stack_length = stack_length(self.shape)
        self._offsets = rng.integers(0, self._stack_length, 4 - self._first_winding).astype(np.float32)
        self._flips = rng.choice((-1.0, 1.0), len(self._offsets)).astype(np.float32)
        self._rows = (PERIOD_PX * (np.arange(len(self._offsets)) % STACKS)).astype(np.float32)
        self._scratches = scratch_overlay(np.random.default_rng([self.seed, 4]), size=_SCRATCH_TILE_PX, count=28)
        planned = list(self._plan_defects(np.random.default_rng([self.seed, 5]), wanted))
        lookalikes = self._plan_lookalikes(np.random.default_rng([self.seed, 6]))
        # Defects that bend their surroundings are drawn first, because they show the undisturbed specimen shifted.
        planned.sort(key=lambda item: -item.kind.margin_px)
        bending = [item for item in planned if item.kind.margin_px > 50]
        others = planned[len(bending) :]
        self._objects = [*bending, *lookalikes, *others] if draw_defects else lookalikes
        boxes = [(item.y0, item.x0, item.y0 + item.height, item.x0 + item.width) for item in self._objects]
        self._grids = np.array(boxes, dtype=np.int64).reshape(-1, 4)

    def _plan_defects(self, rng: np.random.Generator, wanted: int) -> Iterator[PlacedObject]:
        taken = Occupancy(MUTUAL_GAP_PX)
        kinds: dict[str, list[ObjectKind]] = {code: [] for code in SHARES}
        for kind in (*ANODE_KINDS, *CATHODE_KINDS, *PROCESS_KINDS):
            kinds[kind.code].append(kind)
        queue = _quota(rng, wanted)
        for number, code in enumerate(queue):
            choices = [code, *rng.permutation([other for other in SHARES if other != code])]
            for attempt, choice in enumerate(choices):
                group = kinds[choice]
                shares = np.array([kind.share for kind in group])
                kind = group[int(rng.choice(len(group), p=shares / shares.sum()))]
                found = self._try_place(rng, kind, taken, key=(self.seed, 7, number, attempt))
                if found is not None:
                    yield found
                    break

    def _try_place(
        self, rng: np.random.Generator, kind: ObjectKind, taken: Occupancy, *, key: tuple[int, ...]
    ) -> PlacedObject | None:
        for attempt in range(6):
            half = kind.size(rng)
            ys, xs, windings = candidates(self.winding, rng, kind, shape=self.shape, half_across=half[0], count=24)
            for y, x, number in zip(ys, xs, windings, strict=True):
                reach = 0.7 * min(half)
                if not (EDGE_GAP_PX + reach < y < self.shape[0] - EDGE_GAP_PX - reach):
                    continue
                if not (EDGE_GAP_PX + reach < x < self.shape[1] - EDGE_GAP_PX - reach):
                    continue
                if not taken.is_free(y - reach, x - reach, y + reach, x + reach):
                    continue
                item = place(
                    self.winding, kind, y=float(y), x=float(x), number=int(number), half=half, key=(*key, attempt)
                )
                if not clear_of_resin(self.winding, item):
                    continue
                box = self._visible_box(item)
                if box is None or not self._inside(box) or not taken.is_free(*box):
                    continue
                taken.add(*box)
                unit = self.camera.unit_at((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
                shift_y, shift_x = unit.offset_y, unit.offset_x
                self.defects.append(
                    TrueDefect(kind.code, box[0] - shift_y, box[1] - shift_x, box[2] - shift_y, box[3] - shift_x)
                )
                return item
        return None

    def _inside(self, box: tuple[float, float, float, float]) -> bool:
        y0, x0, y1, x1 = box
        gap = EDGE_GAP_PX
        return y0 >= gap and x0 >= gap and y1 <= self.shape[0] - gap and x1 <= self.shape[1] - gap

    def _visible_box(self, item: PlacedObject) -> tuple[float, float, float, float] | None:
        visible = self._stamp(item, planning=True).visible
        rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
        least, most = sorted((len(rows), len(columns)))
        if least < max(LEAST_SIDE_PX, FLATTEST * most):
            return None
        return (
            float(item.y0 + rows[0]), float(item.x0 + columns[0]),
            float(item.y0 + rows[-1] + 1), float(item.x0 + columns[-1] + 1),
        )  # fmt: skip

    def _plan_lookalikes(self, rng: np.random.Generator) -> list[PlacedObject]:
        boxes = np.array([[d.y0, d.x0, d.y1, d.x1] for d in self.defects]).reshape(-1, 4)
        items: list[PlacedObject] = []
        for group, kind in enumerate(LOOKALIKE_KINDS):
            count = int(rng.poisson(kind.share * self.shape[0] * self.shape[1] / 1e6))
            half = kind.size(rng)
            ys, xs, windings = candidates(
                self.winding, rng, kind, shape=self.shape, half_across=40.0 if half[0] < 60 else 0.0, count=2 * count
            )
            for number, (y, x, winding) in enumerate(zip(ys[:count], xs[:count], windings[:count], strict=True)):
                half = kind.size(rng)
                reach = max(half) + 12
                near = (boxes[:, 0] < y + reach) & (boxes[:, 2] > y - reach)
                if np.any(near & (boxes[:, 1] < x + reach) & (boxes[:, 3] > x - reach)):
                    continue
                key = (self.seed, 8, group, number)
                items.append(place(self.winding, kind, y=float(y), x=float(x), number=int(winding), half=half, key=key))
        return items

    def _stamp(self, item: PlacedObject, *, planning: bool = False) -> Stamp:
        sample = _blank if planning else self._specimen
        return item.kind.draw(np.random.default_rng(item.key), make_grid(self.winding, item, sample), item.half)

    def _specimen(self, depth: np.ndarray, along: np.ndarray, winding: np.ndarray | int) -> np.ndarray:
        """Undisturbed layers at layer coordinates: float32 (h, w, 3)."""
        turns = np.floor(depth / np.float32(PERIOD_PX))
        depth = depth - turns * np.float32(PERIOD_PX)
        number = np.clip(winding + turns.astype(np.int32) - self._first_winding, 0, len(self._offsets) - 1)
        columns = along * self._flips[number] + self._offsets[number]
        columns -= self._stack_length * np.floor(columns * np.float32(1 / self._stack_length))
        rows = depth + self._rows[number]
        if columns.dtype != np.float32 or rows.dtype != np.float32:
            raise TypeError("layer coordinates must be single precision")
        pixels = cv2.remap(
            stack_atlas(self.seed, self._stack_length), columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
        )
        return pixels.astype(np.float32)

    def scene(self, y0: int, x0: int, height: int, width: int) -> np.ndarray:
        """The polished cell without the microscope: float32 (height, width, 3), reflectance 0 .. 255."""
        position = self.winding.region(y0, x0, height, width)
        scene = self._specimen(position.depth_px, position.along_px, position.winding)
        rows, columns = np.arange(y0, y0 + height), np.arange(x0, x0 + width)
        if position.resin.any():
            resin = resin_tile(self.seed)[np.ix_(rows % RESIN_TILE_PX, columns % RESIN_TILE_PX)]
            soft = cv2.blur(position.resin.astype(np.float32), (3, 3))
            scene += (resin - scene) * soft[..., None]
        b = self._grids
        for index in np.flatnonzero((b[:, 0] < y0 + height) & (b[:, 2] > y0) & (b[:, 1] < x0 + width) & (b[:, 3] > x0)):
            item = self._objects[index]
            stamp = self._stamp(item)
            composite(scene, stamp.alpha, stamp.rgb, at=(item.y0 - y0, item.x0 - x0))
        scratches = self._scratches[np.ix_(rows % _SCRATCH_TILE_PX, columns % _SCRATCH_TILE_PX)]
        scene *= (1 + scratches / 160)[..., None]
        return scene


def _blank(depth: np.ndarray, along: np.ndarray, winding: int) -> np.ndarray:
    return np.zeros((*depth.shape, 3), np.float32)


def _quota(rng: np.random.Generator, wanted: int) -> list[str]:
    """Class of each defect: exact shares up to rounding, in random order."""
    total = sum(SHARES.values())
    exact = {code: wanted * share / total for code, share in SHARES.items()}
    counts = {code: int(value) for code, value in exact.items()}
    order = rng.permutation(list(SHARES))
    for code in sorted(order, key=lambda item: counts[item] - exact[item])[: wanted - sum(counts.values())]:
        counts[str(code)] += 1
    queue = [code for code, count in counts.items() for _ in range(count)]
    return [queue[i] for i in rng.permutation(len(queue))]
