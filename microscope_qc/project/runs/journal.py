"""The journal of a run: one line for each finished tile, appended and flushed, so that a killed run loses no tile.

Owner and child both use it; without torch. An incomplete last line (the process was killed while writing) is ignored
by readers and cut off by the next writer.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from microscope_qc.core.errors import ProjectError
from microscope_qc.core.files import atomic_write, write_error
from microscope_qc.core.merge import CANDIDATE_DTYPE

JOURNAL_NAME = "journal.jsonl"
STATUS_NAME = "status.json"
_MOST_TILES = 10_000_000
LOADING = ""
"""Unit of the progress before the first tiles: nothing is counted yet."""
LEFT_OUT = np.zeros(0, CANDIDATE_DTYPE)
"""Marks, by identity, the candidates of a tile that was left out because it is empty."""
_COLUMNS = ("y0", "x0", "y1", "x1", "confidence", "label")


class JournalWriter:
    """Appends finished tiles; used by the child process only."""

    def __init__(self, folder: Path) -> None:
        path = folder / JOURNAL_NAME
        try:
            _cut_torn_line(path)
            self._file: BinaryIO = path.open("ab")
        except OSError as error:
            raise write_error(path, error) from error
        self._path = path

    def tile(self, index: int, candidates: np.ndarray) -> None:
        """Write a finished tile with its candidates (CANDIDATE_DTYPE, full-resolution pixels)."""
        rows = [
            [round(float(row[name]), 4 if name == "confidence" else 2) for name in _COLUMNS[:5]] + [int(row["label"])]
            for row in candidates
        ]
        self._write({"tile": int(index), "candidates": rows})

    def error(self, index: int, message: str) -> None:
        """Write a tile that could not be read."""
        self._write({"tile": int(index), "error": message})

    def empty(self, tiles: Sequence[int]) -> None:
        """Write tiles that were left out because they are empty, as ranges [start, stop)."""
        numbers = np.asarray(sorted(tiles), np.int64)
        if len(numbers) == 0:
            return
        breaks = np.flatnonzero(np.diff(numbers) > 1)
        starts, stops = numbers[np.r_[0, breaks + 1]], numbers[np.r_[breaks, len(numbers) - 1]] + 1
        self._write({"empty": [[int(start), int(stop)] for start, stop in zip(starts, stops, strict=True)]})

    def _write(self, line: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise write_error(self._path, error) from error

    def close(self) -> None:
        """Write everything to the disk and close the file."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        finally:
            self._file.close()


def _cut_torn_line(path: Path) -> None:
    if not path.exists():
        return
    with path.open("rb+") as file:
        content_end = file.seek(0, os.SEEK_END)
        position = content_end
        while position > 0:
            step = min(65_536, position)
            file.seek(position - step)
            found = file.read(step).rfind(b"\n")
            if found >= 0:
                position = position - step + found + 1
                break
            position -= step
        if position < content_end:
            file.truncate(position)


def read_journal(folder: Path, offset: int = 0) -> tuple[list[tuple[int, np.ndarray]], int]:
    """Read the complete lines after ``offset``.

    Parameters
    ----------
    offset
        Number of bytes read before.

    Returns
    -------
    (list of (tile, candidates of CANDIDATE_DTYPE), int)
        Tiles in the order of the journal (a damaged tile has no candidates, one that was not scanned has
        ``LEFT_OUT``), and the next offset. Lines that are not a valid tile are skipped: their tiles are not done.
    """
    tiles, _, offset = _read(folder, offset)
    return tiles, offset


def read_tile_errors(folder: Path) -> dict[int, str]:
    """Tiles that could not be read, and why."""
    return _read(folder, 0)[1]


def scanned_tiles(folder: Path) -> np.ndarray | None:
    """Numbers of the tiles that are done and not damaged, with those left out; None without a journal.

    Candidates are not read: ten times as fast as :func:`read_journal`.
    """
    try:
        content = (folder / JOURNAL_NAME).read_bytes()
    except FileNotFoundError:
        return None
    done: set[int] = set()
    damaged: set[int] = set()
    for line in content[: content.rfind(b"\n") + 1].splitlines():  # the last line may be incomplete
        told = _TILE.match(line)
        if told is not None:
            (damaged if told[2] == b"error" else done).add(int(told[1]))
        elif line.startswith(b'{"empty"'):
            try:
                done.update(_ranges(json.loads(line)["empty"]))
            except (ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError):
                continue
    return np.array(sorted(done - damaged), np.int64)


_TILE = re.compile(rb'\{"tile":(\d{1,9}),"(candidates|error)"')


def _read(folder: Path, offset: int) -> tuple[list[tuple[int, np.ndarray]], dict[int, str], int]:
    tiles: list[tuple[int, np.ndarray]] = []
    errors: dict[int, str] = {}
    try:
        with (folder / JOURNAL_NAME).open("rb") as file:
            file.seek(offset)
            content = file.read()
    except FileNotFoundError:
        return tiles, errors, offset
    end = content.rfind(b"\n") + 1
    for line in content[:end].splitlines():
        try:
            entry = json.loads(line)
            if "empty" in entry:
                tiles += [(index, LEFT_OUT) for index in _ranges(entry["empty"])]
                continue
            index = int(entry["tile"])
            if "error" in entry:
                errors[index] = str(entry["error"])
                tiles.append((index, np.zeros(0, CANDIDATE_DTYPE)))
            else:
                tiles.append((index, _rows(index, entry["candidates"])))
        except (ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError):
            continue
    return tiles, errors, offset + end


def _ranges(pairs: list[list[int]]) -> list[int]:
    indices: list[int] = []
    for start, stop in pairs:
        if not 0 <= int(start) <= int(stop) <= _MOST_TILES:
            raise ValueError("not a range of tiles")
        indices += range(int(start), int(stop))
    if len(indices) > _MOST_TILES:
        raise ValueError("too many tiles")
    return indices


def _rows(tile: int, candidates: list[list[float]]) -> np.ndarray:
    values = np.array(candidates, float).reshape(-1, len(_COLUMNS))
    if not np.isfinite(values).all():
        raise ValueError("a candidate is not a number")
    rows = np.zeros(len(values), CANDIDATE_DTYPE)
    for column, name in enumerate(_COLUMNS):
        rows[name] = values[:, column]
    rows["tile"] = tile
    return rows


def write_status(folder: Path, status: Mapping[str, Any]) -> None:
    """Write the state of a run: state, tiles_done, tiles_total, device, seconds, message.

    Raises
    ------
    ProjectError
        When its folder is gone: one that is made again would lie in the way of a project that was only renamed.
    """
    if not folder.is_dir():
        raise ProjectError(
            f"The folder of the detection, {folder}, is gone: its project was deleted, moved or renamed.",
            hint="Detect again in the project.",
        )
    atomic_write(folder / STATUS_NAME, json.dumps(dict(status), ensure_ascii=False))


def read_status(folder: Path) -> dict[str, Any]:
    """Read the state of a run; empty where the child has not reported yet."""
    try:
        status = json.loads((folder / STATUS_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}
