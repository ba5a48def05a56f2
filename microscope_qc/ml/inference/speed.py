"""How fast a run really was: what was done, and how long the device computed and waited. No torch in here."""

from __future__ import annotations

import time
from typing import Any


class Meter:
    """Measures one session of a run, from the first batch on.

    Parameters
    ----------
    tile_mm2
        Area that one tile adds to the slide (its overlap is not counted), None where the pixel size is unknown.
    """

    def __init__(self, *, tile_mm2: float | None = None) -> None:
        self._tile_mm2 = tile_mm2
        self._started: float | None = None
        self._computed = self._waited = 0.0
        self._tiles = 0

    def start(self) -> None:
        """The first batch is asked for."""
        self._started = time.perf_counter()

    def add(self, *, tiles: int = 0, computed_s: float = 0.0, waited_s: float = 0.0) -> None:
        """Count what one batch took: ``waited_s`` for pixels before it and for the writing of results after it."""
        self._tiles += tiles
        self._computed += computed_s
        self._waited += waited_s

    def figures(self) -> dict[str, Any]:
        """tiles_per_s, mm2_per_min, share_computed and share_waited (0 to 1); empty before anything was done."""
        if self._started is None or self._tiles == 0:
            return {}
        seconds = max(time.perf_counter() - self._started, 1e-9)
        pace = self._tiles / seconds
        return {
            "tiles_per_s": round(pace, 2),
            "mm2_per_min": None if self._tile_mm2 is None else round(60 * pace * self._tile_mm2, 3),
            "share_computed": round(min(1.0, self._computed / seconds), 4),
            "share_waited": round(min(1.0, self._waited / seconds), 4),
        }


def speed_text(status: dict[str, Any]) -> str:
    """One line for a person, such as "31 tiles/s, 20.1 mm2/min; computed 97 % of the time, waited 2 % ..."; or ""."""
    if not status.get("tiles_per_s"):
        return ""
    parts = [f"{status['tiles_per_s']:g} tiles/s"]
    if status.get("mm2_per_min"):
        parts.append(f"{status['mm2_per_min']:g} mm2/min")
    said = [", ".join(parts)]
    if status.get("share_computed") is not None:
        said.append(
            f"computed {status['share_computed']:.0%} of the time, waited {status.get('share_waited') or 0:.0%}"
        )
    where = ", ".join(str(status[name]) for name in ("device_name", "precision") if status.get(name))
    return "; ".join([*said, where] if where else said)
