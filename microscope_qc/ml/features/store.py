"""Feature maps of a slide on the disk: one file for each chunk and stride. No torch in here.

Whatever is damaged, or belongs to something else, counts as missing and is made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from microscope_qc.core.errors import ProjectError
from microscope_qc.core.files import atomic_path, atomic_write, write_error
from microscope_qc.core.geometry import Region
from microscope_qc.ml.features.grid import CHANNELS, COARSE, FINE, FeatureGrid, Place

VERSION = 1
CARD_NAME = "card.json"
LOCK_NAME = "writer.lock"
_HELD_BYTES = 256 << 20


class FeatureStore:
    """The features of one slide, in a folder of their own.

    Parameters
    ----------
    root
        Folder of all stores.
    about
        What the features depend on, as values that JSON can store; the folder's name is a digest of it.
    """

    def __init__(self, root: Path, grid: FeatureGrid, about: dict[str, Any]) -> None:
        self.grid = grid
        self.about = {**about, "version": VERSION, "grid": grid.document()}
        text = json.dumps(self.about, sort_keys=True, ensure_ascii=True)
        self.key = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        self.folder = root / self.key
        self._lock = FileLock(self.folder / LOCK_NAME, thread_local=False)
        self._held: OrderedDict[tuple[int, Place], np.ndarray] = OrderedDict()
        self._holding = threading.Lock()

    # -- writing -----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Become the only writer; the system ends that when the process ends in any way.

        Raises
        ------
        ProjectError
            When another process is the writer.
        WriteError
            When the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
            atomic_write(self.folder / CARD_NAME, json.dumps(self.about, sort_keys=True, indent=1))
        except Timeout:
            raise ProjectError(
                "Another process is computing the features of this slide.", hint="Wait until it has ended."
            ) from None
        except OSError as error:
            self.end()
            raise write_error(self.folder, error) from error

    def end(self) -> None:
        """Let the next writer in."""
        self._lock.release()

    @property
    def begun_ns(self) -> int:
        """When its first chunk was written, in ns since 1970; 0 where there is none."""
        try:
            return self.path(self.grid.places[0], FINE).stat().st_mtime_ns
        except OSError:
            return 0

    def used(self) -> None:
        """Say that the features were used: the store that was used the longest ago is removed first."""
        with contextlib.suppress(OSError):
            os.utime(self.folder / CARD_NAME)

    def write(self, place: Place, stride: int, features: np.ndarray, *, unread: int = 0) -> None:
        """Store the map of a chunk, from any thread. Coarse maps that were made from another fine one are removed.

        Parameters
        ----------
        features : ndarray of float16, (rows, columns, channels)
        unread
            Number of parts of its tile that could not be read.

        Raises
        ------
        WriteError
            When the disk is full.
        """
        from safetensors.numpy import save_file

        features = np.ascontiguousarray(features, np.float16)
        about = {"key": self.key, "crc": _digest(features), "unread": str(unread)}
        if stride == FINE:
            for dependent in self._around(place):
                self._remove(dependent, COARSE)
        with self._holding:
            self._held.pop((stride, place), None)
        with atomic_path(self.path(place, stride)) as temporary:
            save_file({"features": features}, temporary, metadata=about)

    def _around(self, place: Place) -> list[Place]:
        return [
            (row, column) for row, column in self.grid.places if max(abs(row - place[0]), abs(column - place[1])) < 2
        ]

    def _remove(self, place: Place, stride: int) -> None:
        with self._holding:
            self._held.pop((stride, place), None)
        with contextlib.suppress(OSError):
            self.path(place, stride).unlink(missing_ok=True)

    # -- reading -----------------------------------------------------------------------------------------------------

    def path(self, place: Place, stride: int) -> Path:
        """The file of a chunk."""
        return self.folder / f"{stride}_{place[0]}_{place[1]}.safetensors"

    @property
    def complete(self) -> bool:
        """Whether all chunks are there."""
        return all(self._about(place, stride) is not None for stride in CHANNELS for place in self.grid.places)

    @property
    def unread(self) -> int:
        """Number of parts of the slide that could not be read."""
        return sum(int((self._about(place, FINE) or {}).get("unread", 0)) for place in self.grid.places)

    def is_whole(self, place: Place, stride: int) -> bool:
        """Whether a chunk is there and undamaged, and all of its tile could be read; reads it."""
        about = self._about(place, stride)
        return about is not None and about.get("unread") == "0" and self._load(place, stride) is not None

    def _about(self, place: Place, stride: int) -> dict[str, str] | None:
        """What the file of a chunk says; None where it is none of this store."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path(place, stride), framework="np") as file:
                about, shape = file.metadata() or {}, tuple(file.get_slice("features").get_shape())
        except (OSError, SafetensorError, ValueError):
            return None
        return about if about.get("key") == self.key and shape == self._shape(place, stride) else None

    def _shape(self, place: Place, stride: int) -> tuple[int, int, int]:
        return (*self.grid.cells(place, stride).shape, CHANNELS[stride])

    def _load(self, place: Place, stride: int) -> np.ndarray | None:
        from safetensors import SafetensorError
        from safetensors.numpy import load

        about = self._about(place, stride)
        if about is None:
            return None
        try:
            features: np.ndarray = load(self.path(place, stride).read_bytes())["features"]
        except (OSError, SafetensorError, ValueError, KeyError):
            return None
        return features if about.get("crc") == _digest(features) else None

    def read(self, place: Place, stride: int) -> np.ndarray | None:
        """The map of a chunk, float16 (rows, columns, channels), from any thread; None where it is missing.

        A damaged one is removed.
        """
        with self._holding:
            held = self._held.get((stride, place))
            if held is not None:
                self._held.move_to_end((stride, place))
                return held
        features = self._load(place, stride)
        if features is None:
            self._remove(place, stride)
            return None
        with self._holding:
            self._held[stride, place] = features
            while sum(kept.nbytes for kept in self._held.values()) > _HELD_BYTES:
                self._held.popitem(last=False)
        return features

    def window(self, cells: Region, stride: int) -> np.ndarray:
        """The part of a map, float16 (rows, columns, channels); 0 outside of it, and where chunks are missing."""
        out = np.zeros((*cells.shape, CHANNELS[stride]), np.float16)
        for place in self.grid.overlapping(cells, stride):
            features = self.read(place, stride)
            if features is None:
                continue
            own = self.grid.cells(place, stride)
            y0, x0 = max(own.y0, cells.y0), max(own.x0, cells.x0)
            y1, x1 = min(own.y1, cells.y1), min(own.x1, cells.x1)
            out[y0 - cells.y0 : y1 - cells.y0, x0 - cells.x0 : x1 - cells.x0] = features[
                y0 - own.y0 : y1 - own.y0, x0 - own.x0 : x1 - own.x0
            ]
        return out


def _digest(features: np.ndarray) -> str:
    return str(zlib.crc32(features.tobytes()))
