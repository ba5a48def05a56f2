"""Thumbnails of slides: from memory, from the cache folder, or made in the background one after the other."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject, QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QImage, QPainter, QPixmap

from microscope_qc.core.cache_folder import cache_folder
from microscope_qc.core.files import WriteError, atomic_path

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.project.records import SlideRecord

PICTURE = QSize(48, 36)
PICTURE_PX = 160
"""Longer side of what is kept."""
MOST_IN_MEMORY = 600
MOST_WAITING = 100
MOST_FILES = 20_000
_PRUNE_EVERY = 500


class Thumbnails(QObject):
    """The pictures of the slides in a list.

    Only one is read at a time and the one asked for last comes first, so that a slide that is opened, and the rows on
    screen, never wait for rows that were scrolled by.
    """

    ready = Signal(int)  # id of a slide whose picture is there

    def __init__(self, jobs: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs = jobs
        self._icons: OrderedDict[int, QIcon] = OrderedDict()
        self._waiting: OrderedDict[int, SlideRecord] = OrderedDict()
        self._asked: set[int] = set()
        self._busy = False
        self._round = 0
        self._blank = _blank()

    def clear(self) -> None:
        """Forget everything, for another project."""
        self._round += 1
        self._icons.clear()
        self._waiting.clear()
        self._asked.clear()
        self._busy = False

    def forget(self, slide_id: int) -> None:
        """Read a slide again: its file is another one."""
        self._icons.pop(slide_id, None)
        self._asked.discard(slide_id)

    def icon(self, slide: SlideRecord) -> QIcon:
        """Return the picture of a slide, a blank one until it is there."""
        known = self._icons.get(slide.id)
        if known is not None:
            self._icons.move_to_end(slide.id)
            return known
        if slide.id not in self._asked and not slide.missing:
            self._waiting[slide.id] = slide
            self._waiting.move_to_end(slide.id)
            while len(self._waiting) > MOST_WAITING:
                self._waiting.popitem(last=False)
            self._next()
        return self._blank

    def take(self, slide: SlideRecord, pixels: np.ndarray) -> None:
        """Take a picture that was made elsewhere, (h, w, 3) uint8, and keep it."""
        self._waiting.pop(slide.id, None)
        self._asked.add(slide.id)
        self._show(slide.id, pixels)
        self._jobs.call(partial(_keep, slide, np.array(pixels)))

    def _next(self) -> None:
        if self._busy or not self._waiting or self._jobs.closed:
            return
        self._busy = True
        slide_id, slide = self._waiting.popitem()
        self._asked.add(slide_id)
        self._jobs.call(
            partial(read_thumbnail, slide),
            on_done=partial(self._on_read, self._round, slide_id),
            on_failed=lambda _error, now=self._round: self._on_read(now, slide_id, None),  # type: ignore[misc]
        )  # an error is shown when the slide is opened

    def _on_read(self, asked_in: int, slide_id: int, pixels: np.ndarray | None) -> None:
        if asked_in != self._round:
            return
        self._busy = False
        if pixels is not None:
            self._show(slide_id, pixels)
        self._next()

    def _show(self, slide_id: int, pixels: np.ndarray) -> None:
        self._icons[slide_id] = _icon(pixels)
        while len(self._icons) > MOST_IN_MEMORY:
            gone, _ = self._icons.popitem(last=False)
            self._asked.discard(gone)  # it is in the cache folder
        self.ready.emit(slide_id)


def read_thumbnail(slide: SlideRecord) -> np.ndarray | None:
    """Return the picture of a slide from the cache folder or its file, (h, w, 3) uint8; any thread may call this.

    None where there is none and making it would take long: it is made when the slide is opened.
    """
    file = _file_of(slide)
    kept = None if file is None else _read(file)
    if kept is not None:
        return kept
    pixels = _made(slide)
    if pixels is not None:
        _keep(slide, pixels)
    return pixels


def _made(slide: SlideRecord) -> np.ndarray | None:
    from microscope_qc.core.geometry import Region
    from microscope_qc.slides import open_slide
    from microscope_qc.slides.preview import needs_conversion
    from microscope_qc.slides.tile_cache import TileSource

    with open_slide(slide.path, orientation=slide.orientation) as opened:
        mosaic = opened.scene(slide.scene)
        if needs_conversion(mosaic):
            return None
        height, width = mosaic.shape
        factor = PICTURE_PX / max(height, width)
        shape = max(1, round(height * factor)), max(1, round(width * factor))
        return np.array(TileSource(mosaic).read_scaled(Region(0, 0, height, width), shape))


def _file_of(slide: SlideRecord) -> Path | None:
    """Where the picture of a slide is kept; another content of the file, or another file, has another name."""
    try:
        found = slide.path.stat()
    except OSError:
        return None
    facts = (
        slide.fingerprint,
        slide.orientation,
        slide.scene,
        slide.path.name,
        found.st_size,
        found.st_mtime_ns,
        PICTURE_PX,
    )
    name = hashlib.sha256(repr(facts).encode("utf-8", "surrogatepass")).hexdigest()[:40]
    return cache_folder() / "thumbnails" / f"{name}.png"


def _read(file: Path) -> np.ndarray | None:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file, formats=["PNG"]) as picture:
            if max(picture.size) > 4 * PICTURE_PX:
                return None
            return np.asarray(picture.convert("RGB"))
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # not there, or damaged: it is made again


_written = 0


def _keep(slide: SlideRecord, pixels: np.ndarray) -> None:
    """Write a picture into the cache folder; where that is not possible it is made again next time."""
    global _written  # noqa: PLW0603 - of the process
    from PIL import Image

    file = _file_of(slide)
    if file is None:
        return
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    picture.thumbnail((PICTURE_PX, PICTURE_PX))
    with contextlib.suppress(WriteError, OSError), atomic_path(file) as temporary:
        picture.save(temporary, format="PNG")
    _written += 1
    if _written % _PRUNE_EVERY == 1:
        prune(file.parent)


def prune(folder: Path, *, most: int = MOST_FILES) -> None:
    """Remove the oldest pictures where there are more than ``most``."""
    try:
        files = sorted((entry.stat().st_mtime, entry.path) for entry in os.scandir(folder) if entry.is_file())
    except OSError:
        return
    for _, path in files[: max(0, len(files) - most)]:
        with contextlib.suppress(OSError):
            Path(path).unlink()


def _icon(pixels: np.ndarray) -> QIcon:
    pixels = np.ascontiguousarray(pixels[..., :3])
    height, width = pixels.shape[:2]
    image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    inner = QPixmap.fromImage(image).scaled(
        PICTURE * 2, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    )
    whole = QPixmap(PICTURE * 2)
    whole.fill(Qt.GlobalColor.transparent)
    painter = QPainter(whole)
    painter.drawPixmap((whole.width() - inner.width()) // 2, (whole.height() - inner.height()) // 2, inner)
    painter.end()
    whole.setDevicePixelRatio(2)
    icon = QIcon(whole)
    icon.addPixmap(whole, QIcon.Mode.Selected)
    return icon


def _blank() -> QIcon:
    whole = QPixmap(PICTURE)
    whole.fill(QColor(128, 128, 128, 60))
    return QIcon(whole)
