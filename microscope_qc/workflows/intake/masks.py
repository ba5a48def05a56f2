"""Tells masks from pictures by their names and folders, in the layouts of data sets with labelled pixels.

MVTec: ``ground_truth/<type>/000_mask.png`` for ``test/<type>/000.png``. Kolektor: ``Part0_label.bmp`` beside
``Part0.jpg``, ``10000_GT.png`` beside ``10000.png``. Magnetic tiles: ``a.png`` beside ``a.jpg``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from microscope_qc.core.files import special_kind
from microscope_qc.project.scenes import slide_stem

PICTURES = (".gif", ".pgm")
"""Masks come in these formats, too, none of which a slide has."""

_SUFFIX = re.compile(r"(.+?)[ _.-](?:masks?|labels?|gt|seg|segmentation|ground[ _-]?truth)", re.IGNORECASE)
_SURELY = {"ground_truth", "groundtruth", "ground truth", "ground-truth"}
_FOLDERS = {"mask", "masks", "label", "labels", "gt", "annotation", "annotations", "segmentation", "segmentations"}
_PHOTOGRAPHS, _DRAWN = {".jpg", ".jpeg", ".webp", ".jp2", ".j2k"}, {".png", ".bmp", ".gif"}
_BLACK, _WHITE, _SHARE = 17, 239, 0.97
"""A mask is black and white but for its edges: of real ones 0.99 of the pixels or more, of photographs 0.4 at most."""


class MaskNames:
    """What the names of some pictures say about which of them are masks of others.

    Parameters
    ----------
    pictures
        All of them, each with the folder it was found below (None for a file that was named itself).
    """

    def __init__(self, pictures: Iterable[tuple[Path, Path | None]]) -> None:
        self._suffixes: dict[tuple[Path, str], set[str]] = {}
        self._stems: set[str] = set()
        pictures = list(pictures)
        self._several = len({root for _, root in pictures}) > 1
        for path, root in pictures:
            stem = _stem(path)
            self._suffixes.setdefault((path.parent, stem), set()).add(path.suffix.lower())
            if not self._folders(path, root) & (_FOLDERS | _SURELY):
                self._stems.add(stem)

    def is_mask(self, path: Path, root: Path | None) -> bool:
        """Whether a picture is the mask of another by its name or folder."""
        stem = _stem(path)
        match = _SUFFIX.fullmatch(stem)
        base = match.group(1) if match else ""
        if base and (path.parent, base) in self._suffixes:
            return True
        folders = self._folders(path, root)
        return bool(folders & _SURELY) or (bool(folders & _FOLDERS) and (stem in self._stems or base in self._stems))

    def may_be_mask(self, path: Path) -> bool:
        """Whether a picture has the name of a photograph beside it, so that its pixels must say what it is."""
        beside = self._suffixes.get((path.parent, _stem(path)), set())
        return path.suffix.lower() in _DRAWN and bool(beside & _PHOTOGRAPHS)

    def _folders(self, path: Path, root: Path | None) -> set[str]:
        """Names of the folders between the chosen one and the picture; among several chosen ones, theirs as well."""
        if root is None:
            return {path.parent.name.casefold()} if self._several else set()
        inside = path.relative_to(root).parts[:-1]
        return {part.casefold() for part in (*inside, *((root.name,) if self._several else ()))}


def looks_like_mask(path: Path) -> bool:
    """Whether a picture is black and white but for its edges; False where it cannot be read."""
    from PIL import Image

    if special_kind(path):
        return False
    try:
        with Image.open(path) as image:
            if image.mode not in ("1", "L", "P"):
                return False
            counts = image.convert("L").histogram()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    extreme = sum(counts[:_BLACK]) + sum(counts[_WHITE:])
    return extreme >= _SHARE * sum(counts)


def _stem(path: Path) -> str:
    return slide_stem(path).casefold()
