"""Bounds the room that features take on the disk: the store that was used the longest ago goes first."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from filelock import FileLock, Timeout

from microscope_qc.core.cache_folder import cache_folder
from microscope_qc.core.errors import InputError
from microscope_qc.core.wording import bytes_text
from microscope_qc.ml.features.store import CARD_NAME, LOCK_NAME, FeatureStore

MOST_BYTES = 20_000_000_000
MOST_OF_FREE = 0.1
"""Share of the disk's free room, with what features take already."""
_GONE = ".gone"


def features_folder() -> Path:
    """Folder of all stores, shared by projects; see :func:`cache_folder`."""
    return cache_folder() / "features"


def make_room(root: Path, store: FeatureStore, *, limit_bytes: int | None = None) -> None:
    """Remove other stores until there is room for all that a store needs, except those that are being written.

    Parameters
    ----------
    limit_bytes
        What all stores may take together; by default 20 GB, but not more than a tenth of the free room.

    Raises
    ------
    InputError
        When one slide's features alone would take more.
    """
    root.mkdir(parents=True, exist_ok=True)
    sizes = {folder: _size(folder) for folder in root.iterdir() if folder.is_dir()}
    if limit_bytes is None:
        free = shutil.disk_usage(root).free + sum(sizes.values())
        limit_bytes = min(MOST_BYTES, int(MOST_OF_FREE * free))
    needed = sum(store.grid.nbytes(place) for place in store.grid.places)
    if needed > limit_bytes:
        raise InputError(
            f"The features of this slide take {bytes_text(needed)}, and only {bytes_text(limit_bytes)} may be used.",
            hint="Free some space, or have the variable MICROSCOPE_QC_CACHE name a folder on a larger disk.",
        )
    sizes.pop(store.folder, None)
    for folder in sorted(sizes, key=_last_use):
        if sum(sizes.values()) + needed <= limit_bytes:
            return
        if _removed(folder):
            del sizes[folder]


def _size(folder: Path) -> int:
    total = 0
    for file in folder.iterdir():
        with contextlib.suppress(OSError):
            total += file.stat().st_size
    return total


def _last_use(folder: Path) -> float:
    try:
        return (folder / CARD_NAME).stat().st_mtime
    except OSError:
        return 0.0


def _removed(folder: Path) -> bool:
    """Remove a store unless it is being written; a reader finds its chunks missing."""
    gone = folder.with_suffix(_GONE)
    try:
        FileLock(folder / LOCK_NAME).acquire(timeout=0).lock.release()  # Windows renames no folder of open files
        folder.rename(gone)
    except (Timeout, OSError):
        return False
    shutil.rmtree(gone, ignore_errors=True)
    return True
