"""How fast a model was on this computer, so that the time of a detection can be said before it starts."""

from __future__ import annotations

import json
import logging
import math
import platform
from typing import Any

from microscope_qc.app.settings import config_folder
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.files import atomic_write

log = logging.getLogger(__name__)

FILE = "detection_speed.json"


def speed_key(card: Any) -> str:
    """What the pace of a model is kept under."""
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
    pace = _load().get(_key(model))
    return pace if pace is not None and pace > 0 else None


def remember(model: str, tiles_per_s: float) -> None:
    """Store a measured pace."""
    if not (math.isfinite(tiles_per_s) and tiles_per_s > 0):
        return
    speeds = _load()
    speeds[_key(model)] = round(tiles_per_s, 4)
    try:
        atomic_write(config_folder() / FILE, json.dumps(speeds, indent=1))
    except MicroscopeQCError as error:
        log.info("detection speed not stored: %s", error)
