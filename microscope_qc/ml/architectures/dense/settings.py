"""What the networks of dense detectors have in common. No torch in here."""

from __future__ import annotations

STRIDE_PX = 64
"""Coarsest stride, of the last level of the pyramid."""
NORM_GROUPS = 8
"""Groups of the normalisations in the head."""
