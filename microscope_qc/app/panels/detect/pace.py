"""How fast a model was on this computer and how long it took to load, to estimate the time of a detection before it
starts.
"""

from __future__ import annotations

import json
import logging
import math
import platform
from typing import Any

from microscope_qc.app.base.settings import config_folder
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.files import atomic_write

log = logging.getLogger(__name__)

FILE = "detection_speed.json"
START = "\nstart"
"""Key of the time to load; no model has such a name."""
SLIDE = "\nslide"
"""Key of the time that a slide takes besides its tiles."""
USUAL_START_S, USUAL_SLIDE_S = 8.0, 0.05
"""Assumed until they have been measured."""


def speed_key(card: Any) -> str:
    """Key of the pace of a model."""
    return str(getattr(card, "fingerprint", "") or card.name)


def _key(model: str) -> str:
    return f"{platform.node()}/{model}"


def _load() -> dict[str, float]:
    try:
        stored = json.loads((config_folder() / FILE).read_text(encoding="utf-8"))
        return {str(key): float(value) for key, value in stored.items() if math.isfinite(float(value))}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        log.info("detection speeds unreadable, measured again: %s", error)
        return {}


def tiles_per_second(model: str) -> float | None:
    """Measured pace of a model (its fingerprint or name) on this computer, None before the first measurement."""
    pace = _load().get(_key(model), 0.0)
    return pace if pace > 0 else None


def seconds_for(tiles: int, model: str, *, slides: int = 1) -> float | None:
    """Estimated time of a detection of some tiles on some slides, including the time to load.

    None before the first measurement. Each further slide takes a moment besides its tiles.
    """
    known = _load()
    pace, start, each = (known.get(_key(name), 0.0) for name in (model, START, SLIDE))
    if pace <= 0:
        return None
    more = (slides - 1) * (each if each > 0 else USUAL_SLIDE_S)
    return (start if start > 0 else USUAL_START_S) + tiles / pace + more


def remember(model: str, tiles_per_s: float) -> None:
    """Store a measured pace."""
    _store(model, tiles_per_s)


def remember_start(seconds: float) -> None:
    """Store how long it took to load program and model."""
    _store(START, seconds)


def remember_slide(seconds: float) -> None:
    """Store how long a slide among many took besides its tiles."""
    _store(SLIDE, seconds)


def _store(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        return
    known = _load()
    known[_key(name)] = round(value, 4)
    try:
        atomic_write(config_folder() / FILE, json.dumps(known, indent=1))
    except MicroscopeQCError as error:
        log.info("detection speed not stored: %s", error)
