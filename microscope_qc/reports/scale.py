"""Round lengths for scale bars."""

from __future__ import annotations

import math


def round_length_um(longest_um: float) -> float:
    """Largest of 1, 2, 5 times a power of ten that is not longer than ``longest_um``."""
    if not longest_um > 0 or math.isinf(longest_um):
        raise ValueError("a scale bar needs a positive length")
    power = 10.0 ** math.floor(math.log10(longest_um))
    return max(step * power for step in (1, 2, 5) if step * power <= longest_um * (1 + 1e-9))


def length_text(um: float) -> str:
    """``500`` -> ``500 µm``, ``2000`` -> ``2 mm``, ``0.5`` -> ``500 nm``."""
    if um >= 1000:
        return f"{um / 1000:g} mm"
    return f"{um:g} µm" if um >= 1 else f"{um * 1000:g} nm"
