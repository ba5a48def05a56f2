"""The hidden folder in which a pyramid is written: one writer, and a journal from which a killed one is continued.

The journal has one line for each shard on the disk and is flushed to the disk before the next step; shards that it
does not list are written again. A truncated last line was left by a kill and is ignored.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from microscope_qc.core.files import WriteError, atomic_write, write_error
from microscope_qc.core.geometry import Region
from microscope_qc.slides.pyramid.levels import PyramidPlan, Shard

LOCK_NAME = "writer.lock"
JOURNAL_NAME = "journal.jsonl"


def part_folder(target: Path) -> Path:
    """Where a pyramid is written until it replaces ``target``."""
    return target.with_name(f".{target.name}.part")


@dataclass(frozen=True, slots=True)
class Resuming:
    """How a conversion that was killed or lost its source is continued.

    Parameters
    ----------
    key
        What must be the same for the next conversion to continue it; stored in a hidden folder beside the target.
        None leaves nothing behind and continues nothing.
    fresh
        Start again even if there is something to continue.
    keep_stopped
        Leave something to continue even when the job is closed; otherwise closing it leaves nothing.
    """

    key: Mapping[str, Any] | None = None
    fresh: bool = False
    keep_stopped: bool = False


class PartFolder:
    """The folder ``.NAME.part`` beside the target, until it replaces the target.

    Parameters
    ----------
    target
        The folder to be written.
    key
        What must be the same for a stopped conversion to be continued; with None none is continued.
    """

    def __init__(self, target: Path, plan: PyramidPlan, key: Mapping[str, Any] | None) -> None:
        self.target = target
        self.folder = part_folder(target)
        self.continued = False
        self.damaged: list[Region] = []
        self._old = target.with_name(f".{target.name}.old")
        self._plan = plan
        self._resumable = key is not None
        self._header = json.loads(json.dumps({"settings": plan.settings(), "source": key}))
        self._shards: dict[Shard, int] = {}
        self._lock = FileLock(self.folder / LOCK_NAME, thread_local=False)
        self._journal_lock = threading.Lock()
        self._journal: BinaryIO | None = None

    @property
    def shards(self) -> Mapping[Shard, int]:
        """The shards on the disk, each with the checksum of its pixels."""
        return self._shards

    def open(self, *, fresh: bool = False) -> None:
        """Become the writer and, unless ``fresh``, take over what an earlier conversion of the same source left.

        Raises
        ------
        WriteError
            When another conversion is writing to the same target, or the folder cannot be written.
        """
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self._acquire()
            try:
                self._restore_old()
                found = self._load() if self._resumable and not fresh else {}
                self._shards = self._sound(found)
                if self._shards:
                    self._sweep()
                else:
                    self._empty()
                self.continued = bool(self._shards)
                self._start_journal()
            except BaseException:
                self._lock.release()
                raise
        except OSError as error:
            raise error if isinstance(error, WriteError) else write_error(self.target, error) from error

    def _acquire(self) -> None:
        while True:
            self.folder.mkdir(exist_ok=True)
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise WriteError(
                    f"Another conversion is writing {self.target.name} at the moment.",
                    hint="Wait until it has ended, or choose another name.",
                ) from None
            except NotImplementedError:  # a drive without locks
                return
            if self.folder.is_dir():
                return
            self._lock.release()  # the previous writer published the folder in between

    def _restore_old(self) -> None:
        """Undo a kill between the last two renames, which leaves the old target under another name."""
        if self._old.exists():
            if self.target.exists():
                shutil.rmtree(self._old)
            else:
                self._old.replace(self.target)

    def _load(self) -> dict[Shard, int]:
        try:
            content = (self.folder / JOURNAL_NAME).read_bytes()
        except FileNotFoundError:
            return {}
        lines = []
        for line in content[: content.rfind(b"\n") + 1].splitlines():
            with contextlib.suppress(ValueError):
                lines.append(json.loads(line))
        if not lines or lines[0] != self._header:
            return {}
        found: dict[Shard, int] = {}
        again: set[Shard] = set()
        for entry in lines[1:]:
            if "shard" in entry:
                found[tuple(entry["shard"])] = entry["digest"]
            elif "forget" in entry:
                found.pop(tuple(entry["forget"]), None)
            elif "damaged" in entry:
                # what could not be read is tried again: the drive may only have been disconnected
                picture = replace(self._plan, at=tuple(entry.get("at", (0, 0))))
                again.add(picture.shard_of(0, Region(*entry["damaged"])))
        return {shard: digest for shard, digest in found.items() if shard not in again}

    def _sound(self, found: Mapping[Shard, int]) -> dict[Shard, int]:
        """The shards whose files exist, and whose finer shards exist too."""
        sound: dict[Shard, int] = {}
        for shard in self._plan.shards():  # the finest level first
            level, y, x, *picture = shard
            finer = [(level - 1, 2 * y + dy, 2 * x + dx, *picture) for dy in (0, 1) for dx in (0, 1)] if level else []
            made_from = [child for child in finer if not self._plan.shard_region(child).empty]
            there = shard in found and all(path.is_file() for path in self._plan.shard_files(self.folder, shard))
            if there and all(child in sound for child in made_from):
                sound[shard] = found[shard]
        return sound

    def _sweep(self) -> None:
        """Remove files that a kill left half written: temporary ones, and the description, which is written last."""
        kept = {self.folder / LOCK_NAME, self.folder / JOURNAL_NAME, *self.folder.glob("*/zarr.json")}
        for path in [*self.folder.iterdir(), *self.folder.glob("*/*")]:
            if path.is_file() and path not in kept:
                path.unlink()

    def _empty(self) -> None:
        for path in self.folder.iterdir():
            if path.name == LOCK_NAME:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def _start_journal(self) -> None:
        kept = [{"shard": list(shard), "digest": digest} for shard, digest in self._shards.items()]
        text = "".join(json.dumps(line) + "\n" for line in [self._header, *kept])
        atomic_write(self.folder / JOURNAL_NAME, text)
        self._journal = (self.folder / JOURNAL_NAME).open("ab")

    def add_shard(self, shard: Shard, digest: int) -> None:
        """Record that a shard is on the disk; called from any thread."""
        self._shards[shard] = digest
        self._write([{"shard": list(shard), "digest": digest}])

    def add_damaged(self, places: Iterable[Region], *, at: tuple[int, int] = (0, 0)) -> None:
        """Record places of a picture that were filled, before the shard that contains them; called from any thread."""
        listed = list(places)
        self.damaged.extend(listed)
        picture = {} if at == (0, 0) else {"at": list(at)}
        self._write([{"damaged": [place.y0, place.x0, place.y1, place.x1]} | picture for place in listed])

    def forget(self, shards: Iterable[Shard]) -> None:
        """Record shards that must be written again."""
        listed = list(shards)
        for shard in listed:
            self._shards.pop(shard, None)
        self._write([{"forget": list(shard)} for shard in listed])

    def _write(self, entries: list[dict[str, Any]]) -> None:
        if self._journal is None:
            return
        with self._journal_lock:
            self._journal.write(b"".join(json.dumps(entry).encode() + b"\n" for entry in entries))
            self._journal.flush()
            os.fsync(self._journal.fileno())

    def publish(self) -> None:
        """Replace the target; what was there before is removed afterwards."""
        self._close_journal()
        if os.name == "nt":  # a folder with an open file in it cannot be renamed there
            self._lock.release()
        if self.target.exists():
            self.target.replace(self._old)
        self.folder.replace(self.target)
        for name in (JOURNAL_NAME, LOCK_NAME):
            with contextlib.suppress(OSError):  # a leftover does no harm
                (self.target / name).unlink(missing_ok=True)
        self._lock.release()
        shutil.rmtree(self._old, ignore_errors=True)

    def leave(self) -> None:
        """Close so that the next conversion of the same source can continue; leaves nothing where none can."""
        if not (self._resumable and self._shards):
            self.discard()
            return
        self._close_journal()
        self._lock.release()

    def discard(self) -> None:
        """Remove everything that was written."""
        self._close_journal()
        if os.name == "nt":
            self._lock.release()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()

    def _close_journal(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None
