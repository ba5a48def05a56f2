"""How a run is cut into batches; stored with the run, so that a continued one computes the same. No torch in here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from microscope_qc.core.files import atomic_write

PLAN_NAME = "plan.json"


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What must not change when a run is continued: what a processor computes may depend on what else is in the batch.

    ``tiles`` are those to look at, in order; every ``batch`` of them is computed together, also when some of them were
    done before.
    """

    batch: int
    precision: str
    compiled: bool = False

    def groups(self, tiles: Sequence[int], done: set[int]) -> list[list[int]]:
        """Batches with something left to do."""
        groups = [list(tiles[start : start + self.batch]) for start in range(0, len(tiles), self.batch)]
        return [group for group in groups if any(tile not in done for tile in group)]


def read_plan(folder: Path) -> RunPlan | None:
    """The plan of a run, or None when it has none that can be used."""
    try:
        data = json.loads((folder / PLAN_NAME).read_text(encoding="utf-8"))
        plan = RunPlan(int(data["batch"]), str(data["precision"]), bool(data.get("compiled", False)))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return plan if 1 <= plan.batch <= 4096 else None


def write_plan(folder: Path, plan: RunPlan) -> None:
    """Keep a plan with its run."""
    atomic_write(folder / PLAN_NAME, json.dumps(asdict(plan)))
