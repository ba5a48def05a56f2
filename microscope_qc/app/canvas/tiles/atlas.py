"""Slots of one large texture, used for the tiles that were drawn most recently."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from microscope_qc.app.canvas.tiles.tile_plan import TileId


@dataclass(slots=True)
class Slot:
    """Where a tile is stored, and with which display settings (``serial``) it was rendered."""

    number: int
    serial: int
    shape: tuple[int, int]


class Atlas:
    """``capacity`` slots; the least recently drawn tile is replaced first."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.version = 0
        """Incremented with every change of the slots."""
        self._tiles: OrderedDict[TileId, Slot] = OrderedDict()
        self._free = list(range(capacity - 1, -1, -1))

    def __len__(self) -> int:
        return len(self._tiles)

    def __contains__(self, tile: object) -> bool:
        return tile in self._tiles

    def get(self, tile: TileId) -> Slot | None:
        """Slot of a tile, or None."""
        return self._tiles.get(tile)

    def serial(self, tile: TileId) -> int:
        """Serial of the display settings a tile was rendered with, -1 if it has no slot."""
        slot = self._tiles.get(tile)
        return -1 if slot is None else slot.serial

    def touch(self, tiles: Iterable[TileId]) -> None:
        """Mark tiles as drawn now."""
        for tile in tiles:
            if tile in self._tiles:
                self._tiles.move_to_end(tile)

    def put(self, tile: TileId, *, serial: int, shape: tuple[int, int], keep: Collection[TileId] = ()) -> int | None:
        """Return a slot for a tile's pixels; None if all slots hold tiles of ``keep``."""
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
        """Drop all other tiles."""
        for tile in [tile for tile in self._tiles if tile not in tiles]:
            self._free.append(self._tiles.pop(tile).number)
        self.version += 1

    def _taken_from_oldest(self, keep: Collection[TileId]) -> int | None:
        for tile in self._tiles:
            if tile not in keep:
                return self._tiles.pop(tile).number
        return None
