"""What a reader of slides is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.core.plugins import Match

if TYPE_CHECKING:
    from microscope_qc.slides.base import Slide


@dataclass(frozen=True, slots=True)
class SlideReader:
    """Opens slides of one kind.

    An instance is registered in the group ``microscope_qc.slide_readers`` under its name. Its module is imported when
    the first slide is opened, whatever kind that is: what it needs is imported in its functions.

    Attributes
    ----------
    name, title
        What messages about plugins call it, and what users read.
    suffixes
        What names of its slides end in, with the dot; they fill file dialogs, and a file with such a name that no
        reader recognises is damaged.
    recognises
        Says how well a path fits: the path, and the first ``HEAD_BYTES`` bytes of a file (b"" for a folder).
    open
        Opens a slide, reading its metadata only. Raises a ``SlideError`` of one sentence when it is damaged. Pixels
        that the file wants to be turned are given as they are stored, and its ``file_orientation`` with them.
    saved_as
        What users can save their pictures as to have them opened: the names of the formats in other programs.
    is_folder
        Whether a slide is a folder.
    inside
        Files in such a folder that stand for it, since a file dialog chooses files only.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    recognises: Callable[[Path, bytes], Match]
    open: Callable[[Path], Slide]
    saved_as: tuple[str, ...] = ()
    is_folder: bool = False
    inside: tuple[str, ...] = ()
