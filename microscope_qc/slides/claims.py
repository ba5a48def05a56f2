"""Sizes that a file claims, checked against the bytes it has before memory is taken for them."""

from __future__ import annotations

# what the codecs can do at most: one byte of Deflate stands for 1032; a block of JPEG, 64 samples, needs two bits
DEFLATE_TIMES = 1100
JPEG_TIMES = 2000
LZW_TIMES = 4096
PACKBITS_TIMES = 128
UNSUSPICIOUS_BYTES = 16 << 20
"""So much memory is taken whatever it is for."""


def is_bomb(decoded_bytes: int, stored_bytes: int, most_times: int | None) -> bool:
    """Whether so few bytes cannot stand for so many; ``most_times`` is None for a codec without a limit."""
    if most_times is None or decoded_bytes <= UNSUSPICIOUS_BYTES:
        return False
    return decoded_bytes > most_times * stored_bytes
