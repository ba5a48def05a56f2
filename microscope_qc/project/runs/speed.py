"""Measured speed of a run: what was done, and how long the device computed and waited. Without torch."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from microscope_qc.core.wording import elapsed_text, percent_text, rounded_text, things

_MOST_STARTS = 1000
"""Starts that are read at most: no run has more."""


class Meter:
    """Measures one start of a run, from the first batch on.

    Parameters
    ----------
    tile_mm2
        Area that one tile adds to the slide (its overlap is not counted), None where the pixel size is unknown.
    """

    def __init__(self, *, tile_mm2: float | None = None) -> None:
        self.tile_mm2 = tile_mm2
        self._started: float | None = None
        self._computed = self._waited = 0.0
        self._tiles = 0

    def start(self) -> None:
        """Begin to measure: the first batch is requested."""
        self._started = time.perf_counter()

    def add(self, *, tiles: int = 0, computed_s: float = 0.0, waited_s: float = 0.0) -> None:
        """Add one batch: ``waited_s`` for pixels before it and for writing results after it."""
        self._tiles += tiles
        self._computed += computed_s
        self._waited += waited_s

    def sums(self) -> dict[str, float]:
        """tiles, mm2 (where it is known), working_s, computed_s and waited_s; empty before the first batch."""
        if self._started is None or self._tiles == 0:
            return {}
        area = {} if self.tile_mm2 is None else {"mm2": round(self._tiles * self.tile_mm2, 6)}
        return area | {
            "tiles": self._tiles,
            "working_s": round(time.perf_counter() - self._started, 3),
            "computed_s": round(self._computed, 3),
            "waited_s": round(self._waited, 3),
        }

    def figures(self) -> dict[str, Any]:
        """tiles_per_s, mm2_per_min, share_computed and share_waited (0 to 1); empty before the first batch."""
        return figures_of([self.sums()])


class Starts:
    """All starts of a run with their figures, and their totals: a run that was stopped or killed is continued.

    A start that was killed counts up to the last status it wrote.

    Parameters
    ----------
    before
        The run's status as the previous start left it.
    began
        When this start began, on the clock of ``time.monotonic``; None is now.
    """

    def __init__(self, before: Mapping[str, Any], *, began: float | None = None) -> None:
        self._before = starts_of(before)
        self._began = time.monotonic() if began is None else began
        self._now: dict[str, Any] = {}

    def ready(self) -> None:
        """Program and model are loaded: from now on time depends on the slide."""
        self._now["starting_s"] = round(time.monotonic() - self._began, 2)

    def figures(self, sums: Mapping[str, float], *, notes: Sequence[str] = ()) -> dict[str, Any]:
        """Return for the status ``starts``, their total ``seconds``, and :func:`figures_of` all of them.

        Parameters
        ----------
        sums
            Those of this start, see :meth:`Meter.sums`.
        notes
            Its messages.
        """
        self._now |= {"seconds": round(time.monotonic() - self._began, 2), **sums}
        if notes:
            self._now["notes"] = list(notes)
        starts = [*self._before, dict(self._now)]
        seconds = round(sum(start["seconds"] for start in starts), 2)
        return {"starts": starts, "seconds": seconds} | figures_of(starts)


def figures_of(sums: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """tiles_per_s, mm2_per_min, share_computed and share_waited (0 to 1) of several starts together; {} before any."""
    done = [part for part in sums if part.get("tiles")]
    if not done:
        return {}
    seconds = max(sum(part["working_s"] for part in done), 1e-9)
    area = sum(part["mm2"] for part in done) if all("mm2" in part for part in done) else None
    return {
        "tiles_per_s": round(sum(part["tiles"] for part in done) / seconds, 2),
        "mm2_per_min": None if area is None else round(60 * area / seconds, 3),
        "share_computed": round(min(1.0, sum(part["computed_s"] for part in done) / seconds), 4),
        "share_waited": round(min(1.0, sum(part["waited_s"] for part in done) / seconds), 4),
    }


def starts_of(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the starts in a run's status, oldest first, without values that are not numbers."""
    told = status.get("starts")
    if not isinstance(told, list):  # a run from before starts were stored
        told = [{"seconds": status.get("seconds")}]
    starts = []
    for entry in told[-_MOST_STARTS:]:
        if not isinstance(entry, dict) or not _counts(entry.get("seconds")):
            continue
        start: dict[str, Any] = {name: entry[name] for name in ("seconds", "starting_s") if _counts(entry.get(name))}
        if all(_counts(entry.get(name)) for name in _SUMS):
            start |= {name: entry[name] for name in (*_SUMS, "mm2") if _counts(entry.get(name))}
        notes = entry.get("notes")
        if isinstance(notes, list) and notes:
            start["notes"] = [str(note) for note in notes]
        starts.append(start)
    return starts


_SUMS = ("tiles", "working_s", "computed_s", "waited_s")


def _counts(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value >= 0


def notes_of(status: Mapping[str, Any]) -> list[str]:
    """Messages of all starts of a run, each once."""
    told = [note for start in starts_of(status) for note in start.get("notes", ())]
    latest = status.get("notes")
    return list(dict.fromkeys([*told, *(str(note) for note in latest)] if isinstance(latest, list) else told))


def live_text(status: Mapping[str, Any]) -> str:
    """Text for a running run: its latest message, its speed and its device."""
    said = [str(note) for note in status.get("notes") or ()][-1:]
    if status.get("tiles_per_s"):
        said.append(f"{rounded_text(status['tiles_per_s'])} tiles/s")
        said[-1] += f" on {status['device_name']}" if status.get("device_name") else ""
    return " ".join(said)


def speed_text(status: dict[str, Any]) -> str:
    """One line for users, such as "930 tiles in 30.0 s, 31 tiles/s, 20.1 mm2/min; computed 97 % ..."; or "".

    The time is that of the tiles alone, without loading the program and the model.
    """
    if not status.get("tiles_per_s"):
        return ""
    measured = [start for start in starts_of(status) if start.get("tiles")]
    parts = [f"{rounded_text(status['tiles_per_s'])} tiles/s"]
    if measured:
        tiles, seconds = (sum(start[name] for start in measured) for name in ("tiles", "working_s"))
        parts.insert(0, f"{things(int(tiles), 'tile')} in {elapsed_text(seconds)}")
    if status.get("mm2_per_min"):
        parts.append(f"{rounded_text(status['mm2_per_min'])} mm2/min")
    said = [", ".join(parts)]
    if status.get("share_computed") is not None:
        said.append(
            f"computed {percent_text(status['share_computed'])} of the time, "
            f"waited {percent_text(status.get('share_waited') or 0)}"
        )
    where = ", ".join(str(status[name]) for name in ("device_name", "precision") if status.get(name))
    return "; ".join([*said, where] if where else said)
