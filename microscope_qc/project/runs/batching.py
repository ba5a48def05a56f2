"""How a run is cut into batches; stored with the run, so that it computes the same when continued. Without torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from microscope_qc.core.files import atomic_write

BATCHING_NAME = "plan.json"


@dataclass(frozen=True, slots=True)
class Batching:
    """What must not change when a run is continued: results may depend on what else is in the batch.

    Every ``batch`` tiles, in order, are computed together, also when some of them were done before. The batches are
    computed in any order. ``singly`` holds the first tile of those whose tiles are computed one by one.
    """

    batch: int
    precision: str
    compiled: bool = False
    singly: tuple[int, ...] = ()

    def groups(self, tiles: Sequence[int], done: set[int]) -> list[list[int]]:
        """Batches with something left to do."""
        groups = [list(tiles[start : start + self.batch]) for start in range(0, len(tiles), self.batch)]
        return [group for group in groups if any(tile not in done for tile in group)]

    def pieces(self, groups: Sequence[list[int]], done: set[int]) -> list[list[int]]:
        """What is computed together of these batches: all of a batch, or each of its tiles."""
        split = set(self.singly)
        pieces: list[list[int]] = []
        for group in groups:
            pieces += [[tile] for tile in group if tile not in done] if group[0] in split else [group]
        return pieces


def read_batching(folder: Path) -> Batching | None:
    """Return the batching of a run, None where it has none that can be used."""
    try:
        data = json.loads((folder / BATCHING_NAME).read_text(encoding="utf-8"))
        singly = tuple(int(tile) for tile in data.get("singly", ()))
        found = Batching(int(data["batch"]), str(data["precision"]), bool(data.get("compiled", False)), singly)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if 1 <= found.batch <= 4096 else None


def write_batching(folder: Path, batching: Batching) -> None:
    """Store the batching of a run in its folder."""
    atomic_write(folder / BATCHING_NAME, json.dumps(asdict(batching)))
