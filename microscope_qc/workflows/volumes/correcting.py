"""Corrections of labelled particles: parts that are one are merged, one that is several is split; each can be undone.

What a correction changes is written before the labels: after a kill a half-made one is taken back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from microscope_qc.core.blocks import Block, Triple, blocks_of
from microscope_qc.core.errors import InputError
from microscope_qc.core.files import atomic_path, atomic_write
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import listed
from microscope_qc.slides.volumes.zarr_store import CHUNK, ZarrStore
from microscope_qc.workflows.volumes.particles import CORRECTIONS, known_labels

STATE = "state.json"
_LOOKED_AT = (CHUNK, 4 * CHUNK, 4 * CHUNK)


@dataclass(frozen=True, slots=True)
class Correction:
    """One correction: its number from 1, and what it did, in words."""

    number: int
    words: str


class LabelCorrections:
    """The labels in a folder of particles, and what was corrected in them.

    Raises
    ------
    InputError
        When there are no labels in the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.labels: ZarrStore = known_labels(folder)[0]
        self._folder = folder / CORRECTIONS
        self._take_back_unfinished()

    def listed(self) -> list[Correction]:
        """Corrections that were made and not undone, the last one last."""
        try:
            state = json.loads((self._folder / STATE).read_text(encoding="utf-8"))
            return [Correction(place, str(words)) for place, words in enumerate(state["done"], start=1)]
        except (OSError, ValueError, LookupError, TypeError):
            return []

    def merge(self, numbers: Sequence[int]) -> Job[Correction]:
        """Make one particle of several, with the number of the first one.

        Raises
        ------
        InputError
            When there are fewer than two, or one does not exist.
        """
        wanted = list(dict.fromkeys(numbers))
        if len(wanted) < 2:
            raise InputError("One particle alone cannot be merged.", hint="Give the numbers of two or more.")
        boxes = yield from self._boxes(wanted)
        kept, others = wanted[0], wanted[1:]
        changes = []
        for block in _inside(_around([boxes[number] for number in others]), _LOOKED_AT):
            before = self.labels.read(block)
            mine = np.isin(before, others)
            if mine.any():
                changes.append((block, before, np.where(mine, np.uint32(kept), before)))
        return self._made(f"merged {listed([str(number) for number in wanted])} to {kept}", changes)

    def split(self, number: int, seeds: Sequence[Triple]) -> Job[Correction]:
        """Divide a particle between seeds, at the necks between them; the first part keeps the number.

        Parameters
        ----------
        seeds
            Voxels (z, y, x) of the particle: one in each of its parts.

        Raises
        ------
        InputError
            When there are fewer than two seeds, or one is not in the particle.
        """
        from scipy import ndimage
        from skimage.segmentation import watershed

        if len(set(seeds)) < 2:
            raise InputError("A particle is divided between two seeds or more.", hint="Give one for each part.")
        boxes = yield from self._boxes([number])
        block = boxes[number]
        before = self.labels.read(block)
        mine = before == number
        markers = np.zeros(block.shape, np.int32)
        for place, seed in enumerate(dict.fromkeys(seeds), start=1):
            local = tuple(a - b for a, b in zip(seed, block.start, strict=True))
            inside = all(0 <= a < side for a, side in zip(local, block.shape, strict=True))
            if not inside or not mine[local]:
                raise InputError(
                    f"The voxel {', '.join(map(str, seed))} (z, y, x) is not in particle {number}.",
                    hint="Choose a voxel of each part.",
                )
            markers[local] = place
        yield Progress(0, 0, "", "dividing the particle")
        distance = ndimage.distance_transform_edt(np.pad(mine, 1))[1:-1, 1:-1, 1:-1]
        parts = watershed(-distance, markers, mask=mine)
        highest = yield from self._highest()
        after = before.copy()
        new = [highest + place for place in range(1, int(markers.max()))]
        for place, fresh in enumerate(new, start=2):
            after[parts == place] = fresh
        return self._made(f"split {number} to {listed([str(one) for one in (number, *new)])}", [(block, before, after)])

    def undo(self) -> Job[Correction]:
        """Take back the last correction.

        Raises
        ------
        InputError
            When there is none.
        """
        yield Progress(0, 0, "", "taking back the last correction")
        done = self.listed()
        if not done:
            raise InputError("There is no correction to undo.")
        last = done[-1]
        self._restore(self._file(last.number))
        self._write_state([one.words for one in done[:-1]])
        self._file(last.number).unlink(missing_ok=True)
        return last

    # -- on disk -------------------------------------------------------------------------------------------------------

    def _file(self, number: int) -> Path:
        return self._folder / f"{number}.npz"

    def _made(self, words: str, changes: list[tuple[Block, np.ndarray, np.ndarray]]) -> Correction:
        done = self.listed()
        number = len(done) + 1
        content: dict[str, np.ndarray] = {}
        for place, (block, before, after) in enumerate(changes):
            changed = before != after
            content[f"block{place}"] = np.array([block.start, block.stop])
            content[f"where{place}"] = np.packbits(changed)
            content[f"before{place}"] = before[changed]
        self._folder.mkdir(exist_ok=True)
        with atomic_path(self._file(number)) as temporary:
            np.savez_compressed(temporary, **content)  # type: ignore[arg-type]
        for block, _, after in changes:
            self.labels.write(block, after)
        self._write_state([*(one.words for one in done), words])
        return Correction(number, words)

    def _write_state(self, done: list[str]) -> None:
        atomic_write(self._folder / STATE, json.dumps({"done": done}, ensure_ascii=False))

    def _restore(self, file: Path) -> None:
        with np.load(file, allow_pickle=False) as content:
            for place in range(sum(name.startswith("block") for name in content.files)):
                start, stop = content[f"block{place}"].tolist()
                block = Block(tuple(start), tuple(stop))
                changed = np.unpackbits(content[f"where{place}"], count=block.voxels).astype(bool).reshape(block.shape)
                voxels = self.labels.read(block)
                voxels[changed] = content[f"before{place}"]
                self.labels.write(block, voxels)

    def _take_back_unfinished(self) -> None:
        """A correction whose file is there, but which is not listed, was interrupted."""
        done = len(self.listed())
        for file in self._folder.glob("*.npz"):
            if re.fullmatch(r"\d+", file.stem) and int(file.stem) > done:
                self._restore(file)
                file.unlink()

    def _boxes(self, numbers: Sequence[int]) -> Job[dict[int, Block]]:
        """Boxes around particles, by looking through the labels."""
        low: dict[int, list[int]] = {}
        high: dict[int, list[int]] = {}
        blocks = blocks_of(self.labels.shape, _LOOKED_AT)
        for done, block in enumerate(blocks):
            yield Progress(done, len(blocks), "blocks", "looking for the particles")
            labels = self.labels.read(block)
            for number in numbers:
                places = np.nonzero(labels == number)
                if len(places[0]):
                    first = [int(at.min()) + a for at, a in zip(places, block.start, strict=True)]
                    last = [int(at.max()) + a + 1 for at, a in zip(places, block.start, strict=True)]
                    low[number] = [min(pair) for pair in zip(first, low.get(number, first), strict=True)]
                    high[number] = [max(pair) for pair in zip(last, high.get(number, last), strict=True)]
        missing = [str(number) for number in numbers if number not in low or number < 1]
        if missing:
            raise InputError(f"There is no particle {listed(missing)}.", hint="The table lists their numbers.")
        return {
            number: Block((low[number][0], low[number][1], low[number][2]), tuple(high[number]))  # type: ignore[arg-type]
            for number in numbers
        }

    def _highest(self) -> Job[int]:
        highest = 0
        for block in blocks_of(self.labels.shape, _LOOKED_AT):
            yield Progress(0, 0, "", "looking for a free number")
            highest = max(highest, int(self.labels.read(block).max()))
        return highest


def _around(boxes: Sequence[Block]) -> Block:
    """The box around several."""
    starts, stops = zip(*((box.start, box.stop) for box in boxes), strict=True)
    z0, y0, x0 = (min(side) for side in zip(*starts, strict=True))
    z1, y1, x1 = (max(side) for side in zip(*stops, strict=True))
    return Block((z0, y0, x0), (z1, y1, x1))


def _inside(box: Block, size: Triple) -> list[Block]:
    """Blocks that cover a box."""
    return [
        Block(
            (box.start[0] + one.start[0], box.start[1] + one.start[1], box.start[2] + one.start[2]),
            (box.start[0] + one.stop[0], box.start[1] + one.stop[1], box.start[2] + one.stop[2]),
        )
        for one in blocks_of(box.shape, size)
    ]
