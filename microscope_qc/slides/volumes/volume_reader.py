"""What a reader of volumes is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from microscope_qc.slides.volumes.volume import Volume


@dataclass(frozen=True, slots=True)
class VolumeReader:
    """Opens volumes of one kind.

    Attributes
    ----------
    title
        What users read.
    suffixes
        What names of its files end in, in small letters.
    recognises
        Whether a path is one: the path, and the first ``HEAD_BYTES`` bytes of a file (b"" for a folder).
    open
        Opens a volume, reading its metadata only. Raises a ``SlideError`` of one sentence when it is damaged.
    """

    title: str
    suffixes: tuple[str, ...]
    recognises: Callable[[Path, bytes], bool]
    open: Callable[[Path], Volume]
