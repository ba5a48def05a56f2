"""Slides without layers: one tileable texture with defects and look-alikes scattered over it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from microscope_qc.synthetic.kinds import ObjectKind
from microscope_qc.synthetic.mosaic import SyntheticSlide, composite, scratch_overlay
from microscope_qc.synthetic.placement import Occupancy, PlacedObject
from microscope_qc.synthetic.shapes import PixelGrid, Stamp
from microscope_qc.synthetic.truth import TrueDefect

EDGE_GAP_PX = 30.0
MUTUAL_GAP_PX = 42.0
_SCRATCH_TILE_PX = 1024


class FlatSlide(SyntheticSlide):
    """A slide of one material; subclasses define the texture and the kinds of objects.

    Parameters
    ----------
    shape, seed, defects, draw_defects
        As for `ElectrodeSlide`.
    """

    kinds: Sequence[ObjectKind] = ()
    lookalikes: Sequence[ObjectKind] = ()
    defects_per_px: float = 150 / 8192**2

    def __init__(
        self, shape: tuple[int, int], *, seed: int, defects: int | None = None, draw_defects: bool = True
    ) -> None:
        super().__init__(shape, seed=seed)
        wanted = max(1, round(self.shape[0] * self.shape[1] * self.defects_per_px)) if defects is None else int(defects)
        if wanted < 0:
            raise ValueError(f"the number of defects must not be negative, got {wanted}")
        self._scratches = scratch_overlay(np.random.default_rng([self.seed, 4]), size=_SCRATCH_TILE_PX, count=36)
        planned = self._plan(np.random.default_rng([self.seed, 5]), wanted)
        others = self._plan_lookalikes(np.random.default_rng([self.seed, 6]))
        self._objects = [*others, *planned] if draw_defects else others
        boxes = [(item.y0, item.x0, item.y0 + item.height, item.x0 + item.width) for item in self._objects]
        self._grids = np.array(boxes, dtype=np.int64).reshape(-1, 4)

    @abstractmethod
    def texture(self) -> np.ndarray:
        """The tileable texture: uint8 (height, width, 3)."""

    def _plan(self, rng: np.random.Generator, wanted: int) -> list[PlacedObject]:
        taken = Occupancy(MUTUAL_GAP_PX)
        shares = np.array([kind.share for kind in self.kinds])
        items: list[PlacedObject] = []
        for number in range(wanted):
            # The first ones cycle through all kinds, so that a slide with enough room shows every class.
            order = number % len(self.kinds) if number < 2 * len(self.kinds) else -1
            for attempt in range(40):
                chosen = order if attempt < 20 and order >= 0 else int(rng.choice(len(shares), p=shares / shares.sum()))
                kind = self.kinds[chosen]
                item = _put(kind, rng, self.shape, key=(self.seed, 7, number, attempt))
                visible = self._stamp(item).visible
                if not visible.any():
                    continue
                rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
                y0, x0 = float(item.y0 + rows[0]), float(item.x0 + columns[0])
                y1, x1 = float(item.y0 + rows[-1] + 1), float(item.x0 + columns[-1] + 1)
                inside = min(y0, x0, self.shape[0] - y1, self.shape[1] - x1) >= EDGE_GAP_PX
                if not inside or not taken.is_free(y0, x0, y1, x1):
                    continue
                taken.add(y0, x0, y1, x1)
                unit = self.camera.unit_at((y0 + y1) / 2, (x0 + x1) / 2)
                dy, dx = unit.offset_y, unit.offset_x
                self.defects.append(TrueDefect(kind.code, y0 - dy, x0 - dx, y1 - dy, x1 - dx))
                items.append(item)
                break
        return items

    def _plan_lookalikes(self, rng: np.random.Generator) -> list[PlacedObject]:
        boxes = np.array([[d.y0, d.x0, d.y1, d.x1] for d in self.defects]).reshape(-1, 4)
        items: list[PlacedObject] = []
        for group, kind in enumerate(self.lookalikes):
            for number in range(int(rng.poisson(kind.share * self.shape[0] * self.shape[1] / 1e6))):
                item = _put(kind, rng, self.shape, key=(self.seed, 8, group, number))
                near = (boxes[:, 0] < item.y0 + item.height + 8) & (boxes[:, 2] > item.y0 - 8)
                if not np.any(near & (boxes[:, 1] < item.x0 + item.width + 8) & (boxes[:, 3] > item.x0 - 8)):
                    items.append(item)
        return items

    def _stamp(self, item: PlacedObject) -> Stamp:
        y, x = np.mgrid[: item.height, : item.width].astype(np.float32)
        y += np.float32(item.y0 - item.y)
        x += np.float32(item.x0 - item.x)
        grid = PixelGrid(y=y, x=x, t=y, s=x, depth_px=np.zeros_like(y), sample=_no_layers)
        return item.kind.draw(np.random.default_rng(item.key), grid, item.half)

    def scene(self, y0: int, x0: int, height: int, width: int) -> np.ndarray:
        """The polished surface without the microscope: float32 (height, width, 3), reflectance 0 .. 255."""
        texture = self.texture()
        rows, columns = np.arange(y0, y0 + height), np.arange(x0, x0 + width)
        scene = texture[np.ix_(rows % texture.shape[0], columns % texture.shape[1])].astype(np.float32)
        b = self._grids
        for index in np.flatnonzero((b[:, 0] < y0 + height) & (b[:, 2] > y0) & (b[:, 1] < x0 + width) & (b[:, 3] > x0)):
            item = self._objects[index]
            stamp = self._stamp(item)
            composite(scene, stamp.alpha, stamp.rgb, at=(item.y0 - y0, item.x0 - x0))
        scratches = self._scratches[np.ix_(rows % _SCRATCH_TILE_PX, columns % _SCRATCH_TILE_PX)]
        scene *= (1 + scratches / 160)[..., None]
        return scene


def _put(kind: ObjectKind, rng: np.random.Generator, shape: tuple[int, int], *, key: tuple[int, ...]) -> PlacedObject:
    half = kind.size(rng)
    y, x = float(rng.uniform(0, shape[0])), float(rng.uniform(0, shape[1]))
    high, wide = int(half[0] * kind.reach + kind.margin_px) + 2, int(half[1] * kind.reach + kind.margin_px) + 2
    return PlacedObject(
        kind=kind, y=y, x=x, half=half, key=key, winding=0, normal=(1.0, 0.0),
        y0=round(y) - high, x0=round(x) - wide, height=2 * high + 1, width=2 * wide + 1,
    )  # fmt: skip


def _no_layers(across: np.ndarray, sideways: np.ndarray) -> np.ndarray:
    raise NotImplementedError("a slide without layers has nothing to bend")
