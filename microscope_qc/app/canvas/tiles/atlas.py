"""Places in one large texture, given to the tiles that were drawn last."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from microscope_qc.app.canvas.tiles.tile_plan import TileId


@dataclass(slots=True)
class Slot:
    """Where a tile lies, and with which display settings (``serial``) it was rendered."""

    number: int
    serial: int
    shape: tuple[int, int]


class Atlas:
    """``capacity`` slots; the tile that was not drawn for longest gives way."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.version = 0
        """Goes up with every change of what lies where."""
        self._tiles: OrderedDict[TileId, Slot] = OrderedDict()
        self._free = list(range(capacity - 1, -1, -1))

    def __len__(self) -> int:
        return len(self._tiles)

    def __contains__(self, tile: object) -> bool:
        return tile in self._tiles

    def get(self, tile: TileId) -> Slot | None:
        """Where a tile lies, None when it is not there."""
        return self._tiles.get(tile)

    def serial(self, tile: TileId) -> int:
        """Serial of the display settings a tile was rendered with, -1 when it is not there."""
        slot = self._tiles.get(tile)
        return -1 if slot is None else slot.serial

    def touch(self, tiles: Iterable[TileId]) -> None:
        """These tiles are drawn now."""
        for tile in tiles:
            if tile in self._tiles:
                self._tiles.move_to_end(tile)

    def put(self, tile: TileId, *, serial: int, shape: tuple[int, int], keep: Collection[TileId] = ()) -> int | None:
        """Slot for a tile's pixels; None when all slots hold tiles of ``keep``."""
        slot = self._tiles.get(tile)
        if slot is None:
            number = self._free.pop() if self._free else self._taken_from_oldest(keep)
            if number is None:
                return None
            slot = self._tiles[tile] = Slot(number, serial, shape)
        slot.serial, slot.shape = serial, shape
        self._tiles.move_to_end(tile)
        self.version += 1
        return slot.number

    def keep_only(self, tiles: Collection[TileId]) -> None:
        """Forget all other tiles."""
        for tile in [tile for tile in self._tiles if tile not in tiles]:
            self._free.append(self._tiles.pop(tile).number)
        self.version += 1

    def _taken_from_oldest(self, keep: Collection[TileId]) -> int | None:
        for tile in self._tiles:
            if tile not in keep:
                return self._tiles.pop(tile).number
        return None
