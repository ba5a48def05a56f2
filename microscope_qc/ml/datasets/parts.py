"""Which places of a data set are learned from, and which are kept to measure on: no place is in two parts.

Whole specimens, slides or pictures are kept where there are enough of them. Otherwise large pictures are divided into
blocks, and between those of two parts lies a strip as wide as a network sees. A place is given to a part once: what is
added later never moves it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from microscope_qc.core.arrays import Flags
from microscope_qc.core.errors import ModelError
from microscope_qc.core.files import atomic_write
from microscope_qc.core.wording import things
from microscope_qc.ml.datasets.records import AnnotatedImage, Dataset

PARTS_NAME = "parts.json"
GUARD_PX = 425
"""How far a network sees beyond a place, in model pixels: half of the reach of a backbone at stride 32."""
_LARGE = 0.1
"""Share of the smallest part from which a unit is given away before others."""
ENOUGH_GROUPS = 4
"""With fewer specimens or slides, large ones are divided into blocks."""
_BLOCKS_ACROSS = 8
"""Most blocks along a side: many small blocks would lose most of a slide to the strips between them."""
_NARROW = 0.04
"""Width of the strip in an image that is too small for more, as a share of its height."""
_LARGEST_DEFECTS = 4
"""A block is at least this many times as wide as the largest defect."""


class DataPart(StrEnum):
    """What a place is for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class _StoredTable(BaseModel):
    """A table as it is stored."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    parts: dict[str, DataPart]
    block_px: dict[str, Annotated[float, Field(gt=0)]]


@dataclass(frozen=True)
class PartTable:
    """The part of every place that has been given to one.

    Attributes
    ----------
    parts
        By group, or by group and block: ``"slide 3/2/5"`` is the block in row 2 and column 5.
    block_px
        Side of the blocks of each divided group, in full-resolution pixels.
    """

    parts: Mapping[str, DataPart] = field(default_factory=dict)
    block_px: Mapping[str, float] = field(default_factory=dict)

    def document(self) -> dict[str, object]:
        """Values that JSON can store."""
        return {"parts": {name: str(part) for name, part in self.parts.items()}, "block_px": dict(self.block_px)}

    @classmethod
    def of_document(cls, document: object) -> PartTable:
        """The table of :meth:`document`.

        Raises
        ------
        ModelError
            When it is not one.
        """
        try:
            stored = _StoredTable.model_validate(document)
        except ValidationError as error:
            raise ModelError(
                "The division of the data set into parts is damaged.", hint=f"Delete {PARTS_NAME} to divide it again."
            ) from error
        return cls(stored.parts, stored.block_px)

    def pieces(self, image: AnnotatedImage) -> list[tuple[DataPart | None, AnnotatedImage]]:
        """The parts of an image: one for each of its blocks, else the whole; None where it was given to none."""
        group = image.key
        if group not in self.block_px:
            return [(self.parts.get(group), image)]
        rows, columns = _blocks_of(image, self.block_px[group])
        found: list[tuple[DataPart | None, AnnotatedImage]] = []
        for row in range(len(rows) - 1):
            for column in range(len(columns) - 1):
                area = rows[row], columns[column], rows[row + 1], columns[column + 1]
                found.append((self.parts.get(f"{group}/{row}/{column}"), _inside(image, area, block=area)))
        return found


def read_parts(folder: Path) -> PartTable:
    """The division that is kept in a folder; an empty one where there is none.

    Raises
    ------
    ModelError
        When it is damaged.
    """
    try:
        document = json.loads((folder / PARTS_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return PartTable()
    except (OSError, ValueError, RecursionError):
        document = None
    return PartTable.of_document(document)


def write_parts(table: PartTable, folder: Path) -> None:
    """Keep a division in a folder."""
    atomic_write(folder / PARTS_NAME, json.dumps(table.document(), ensure_ascii=False, indent=1) + "\n")


@dataclass(frozen=True)
class Division:
    """A data set in parts that have no pixel in common.

    Attributes
    ----------
    parts
        Without those that are empty.
    table
        Which place is in which part, to be kept for the next time.
    words
        How it was divided, for the user.
    """

    parts: Mapping[DataPart, Dataset]
    table: PartTable
    words: str


@dataclass(frozen=True, slots=True)
class _Unit:
    """What is given to one part as a whole: a group of images, or one block of an image."""

    name: str
    counts: np.ndarray
    """Boxes of each class."""
    size: float
    """Share of the data set's pixels."""


def divide(
    dataset: Dataset,
    shares: Mapping[DataPart, float],
    *,
    seed: int,
    guard_px: float = GUARD_PX,
    known: PartTable | None = None,
) -> Division:
    """Divide a data set.

    Parameters
    ----------
    shares
        Of validation and test; the rest is for training.
    guard_px
        Width of the strip between blocks of different parts, in full-resolution pixels.
    known
        Places that have been given to a part before keep it.

    Raises
    ------
    ModelError
        When there is too little to hold a part out.
    """
    table = known or PartTable()
    wanted: dict[DataPart, float] = {
        part: share for part, share in shares.items() if share > 0 and part is not DataPart.TRAIN
    }
    members: dict[str, list[int]] = {}
    for index, image in enumerate(dataset.images):
        members.setdefault(image.key, []).append(index)
    blocks = _block_sides(dataset, members, guard_px, table)
    if len(members) >= ENOUGH_GROUPS:  # only what has been divided before
        blocks = {group: side for group, side in blocks.items() if group in table.block_px}
    units = _units(dataset, members, blocks)
    if len(units) == 1 and not table.parts:
        return _cut(dataset, wanted, guard_px)
    parts = dict(table.parts)
    parts |= _assigned(units, wanted, parts, np.random.default_rng([seed, 17]))
    found: dict[DataPart, list[AnnotatedImage]] = {}
    for group, indices in members.items():
        for index in indices:
            image = dataset.images[index]
            if group in blocks:
                for part, piece in _pieces(image, group, blocks[group], parts, guard_px):
                    found.setdefault(part, []).append(piece)
            else:
                found.setdefault(parts[group], []).append(image)
    result = {part: replace(dataset, images=images) for part, images in found.items()}
    if not {DataPart.TRAIN, *wanted} <= set(result):
        raise _too_small()
    words = _words(units, parts, blocks, guard_px)
    return Division(result, PartTable(parts, {**table.block_px, **blocks}), words)


def pieces_of(
    image: AnnotatedImage, group: str, table: PartTable, *, guard_px: float
) -> list[tuple[DataPart, AnnotatedImage]]:
    """The blocks of a group's image with their parts, as :func:`divide` makes them.

    Raises
    ------
    ModelError
        When the table does not know all of them.
    """
    try:
        return _pieces(image, group, table.block_px[group], table.parts, guard_px)
    except KeyError as error:
        raise ModelError(f"The division of {image.path.name} into parts is damaged.") from error


def _cut(dataset: Dataset, shares: Mapping[DataPart, float], guard_px: float) -> Division:
    """Small pictures of one place or specimen, each from top to bottom at the same share of its height.

    The strips between the parts are as wide as there is room for.
    """
    heights: dict[Path, tuple[int, int]] = {}
    for image in dataset.images:
        y0, _, y1, _ = image.area
        top, bottom = heights.get(image.path, (y0, y1))
        heights[image.path] = min(top, y0), max(bottom, y1)
    guard = min(guard_px, _NARROW * min(y1 - y0 for y0, y1 in heights.values()))
    order = [DataPart.TRAIN, *shares]
    parts: dict[DataPart, Dataset] = {}
    start = 0.0
    for part in order:
        end = 1.0 if part is order[-1] else start + shares.get(part, 1 - sum(shares.values()))
        pieces = []
        for image in dataset.images:
            (first, last), (y0, x0, y1, x1) = heights[image.path], image.area
            top, bottom = (round(first + share * (last - first)) for share in (start, end))
            low = max(y0, top)
            area = low, x0, min(y1, max(low, round(bottom - guard)) if bottom < last else last), x1
            if area[2] > area[0]:
                pieces.append(_inside(image, area, block=area))
        if pieces:
            parts[part] = replace(dataset, images=pieces)
        start = end
    if len(parts) < len(order):
        raise _too_small()
    said = f"Divided from top to bottom, {guard:.0f} px apart: figures of the part that is held out are optimistic."
    return Division(parts, PartTable(), said)


def _too_small() -> ModelError:
    return ModelError(
        "The data set is too small to hold out a part.", hint="Give a separate validation set, or add pictures."
    )


def _block_sides(
    dataset: Dataset, members: Mapping[str, Sequence[int]], guard_px: float, table: PartTable
) -> dict[str, float]:
    """Side of the blocks of the groups that are large enough to be divided: single large images."""
    sides = [float((image.boxes[:, 2:] - image.boxes[:, :2]).max()) for image in dataset.images if len(image.boxes)]
    least = max(_LARGEST_DEFECTS * max(sides, default=1.0), 2 * guard_px)
    blocks = {}
    for group, indices in members.items():
        if group in table.block_px:
            blocks[group] = table.block_px[group]
        elif group not in table.parts and len(indices) == 1:
            y0, x0, y1, x1 = dataset.images[indices[0]].area
            side = max(least, max(y1 - y0, x1 - x0) / _BLOCKS_ACROSS)
            if (y1 - y0) // side * ((x1 - x0) // side) >= ENOUGH_GROUPS:
                blocks[group] = side
    return blocks


def _units(dataset: Dataset, members: Mapping[str, Sequence[int]], blocks: Mapping[str, float]) -> list[_Unit]:
    total = sum(_pixels(image.area) for image in dataset.images)
    units = []
    for group, indices in members.items():
        if group not in blocks:
            labels = np.concatenate([dataset.images[index].shown for index in indices])
            size = sum(_pixels(dataset.images[index].area) for index in indices)
            units.append(_Unit(group, np.bincount(labels, minlength=len(dataset.classes)), size / total))
            continue
        (index,) = indices
        image = dataset.images[index]
        rows, columns = _blocks_of(image, blocks[group])
        for row in range(len(rows) - 1):
            for column in range(len(columns) - 1):
                area = rows[row], columns[column], rows[row + 1], columns[column + 1]
                labels = image.labels[_centred(image.boxes, area)]
                counts = np.bincount(labels, minlength=len(dataset.classes))
                units.append(_Unit(f"{group}/{row}/{column}", counts, _pixels(area) / total))
    return units


def _blocks_of(image: AnnotatedImage, side: float) -> tuple[list[int], list[int]]:
    """Borders of the rows and columns of blocks, at least ``side`` apart; the last ones take the rest."""
    y0, x0, y1, x1 = image.area
    borders = []
    for start, end in ((y0, y1), (x0, x1)):
        count = max(1, int((end - start) // side))
        borders.append([round(start + number * side) for number in range(count)] + [end])
    return borders[0], borders[1]


def _assigned(
    units: Sequence[_Unit], shares: Mapping[DataPart, float], known: Mapping[str, DataPart], rng: np.random.Generator
) -> dict[str, DataPart]:
    """Parts of the units that have none yet: classes are shared out evenly, beginning with the rarest.

    Sechidis et al., "On the Stratification of Multi-Label Data" (ECML 2011), with what is there already counted. Units
    come in a random order: were those with many boxes always first, the smaller parts would get those with few, and
    what is measured there would be too good. Only those that would fill much of a part by themselves come first.
    """
    counts = np.stack([unit.counts for unit in units]).astype(float)
    sizes = np.array([unit.size for unit in units])
    wanted = {DataPart.TRAIN: max(0.0, 1 - sum(shares.values())), **shares}
    names = list(wanted)
    aims = np.array([wanted[part] for part in names])
    still = np.outer(aims, counts.sum(0)), aims * sizes.sum()
    new = [index for index, unit in enumerate(units) if unit.name not in known]
    for index, unit in enumerate(units):
        if unit.name in known and known[unit.name] in names:
            place = names.index(known[unit.name])
            still[0][place] -= counts[index]
            still[1][place] -= sizes[index]
    large = _LARGE * float(aims[aims > 0].min() * counts.sum())
    left = set(new)
    chosen: dict[str, DataPart] = {}
    while left:
        remaining = counts[sorted(left)].sum(0)
        present = np.flatnonzero(remaining > 0)
        if len(present):
            label = present[int(remaining[present].argmin())]
            candidates = [index for index in sorted(left) if counts[index, label] > 0]
            need = still[0][:, label]
        else:
            candidates, need = sorted(left), still[1]
        held = {index: counts[index].sum() for index in rng.permutation(candidates).tolist()}
        for index in sorted(held, key=lambda index: -held[index] if held[index] > large else 0.0):
            place = _neediest(need, still[1], rng)
            chosen[units[index].name] = names[place]
            still[0][place] -= counts[index]
            still[1][place] -= sizes[index]
            left.discard(index)
    _fill_empty(units, names, chosen, known)
    return chosen


def _neediest(need: np.ndarray, room: np.ndarray, rng: np.random.Generator) -> int:
    best = np.flatnonzero(need >= need.max() - 1e-9)
    best = best[room[best] >= room[best].max() - 1e-9]
    return int(rng.choice(best))


def _fill_empty(
    units: Sequence[_Unit], names: Sequence[DataPart], chosen: dict[str, DataPart], known: Mapping[str, DataPart]
) -> None:
    """Give every part a unit with a box, where the largest part has more than one to spare."""
    full = [unit.name for unit in units if unit.counts.sum()]
    for part in names:
        if any({**known, **chosen}.get(name) is part for name in full):
            continue
        owners = [name for name in full if name in chosen]
        by_part = {other: [name for name in owners if chosen[name] is other] for other in names}
        richest = max(by_part.values(), key=len)
        if len(richest) > 1:
            chosen[richest[-1]] = part


def _pieces(
    image: AnnotatedImage, group: str, side: float, parts: Mapping[str, DataPart], guard_px: float
) -> list[tuple[DataPart, AnnotatedImage]]:
    """The blocks of an image, those for training narrowed by the strip on every side where another part begins."""
    rows, columns = _blocks_of(image, side)
    grid = [[parts[f"{group}/{row}/{column}"] for column in range(len(columns) - 1)] for row in range(len(rows) - 1)]
    pieces = []
    for row, line in enumerate(grid):
        for column, part in enumerate(line):
            area = _narrowed(grid, row, column, rows, columns, math.ceil(guard_px))
            if area[0] < area[2] and area[1] < area[3]:
                block = rows[row], columns[column], rows[row + 1], columns[column + 1]
                pieces.append((part, _inside(image, area, block=block)))
    return pieces


def _narrowed(
    grid: Sequence[Sequence[DataPart]],
    row: int,
    column: int,
    rows: Sequence[int],
    columns: Sequence[int],
    guard_px: int,
) -> tuple[int, int, int, int]:
    y0, x0, y1, x1 = rows[row], columns[column], rows[row + 1], columns[column + 1]
    part = grid[row][column]
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            other_row, other_column = row + dy, column + dx
            if not (0 <= other_row < len(grid) and 0 <= other_column < len(grid[0])):
                continue
            other = grid[other_row][other_column]
            if other is part or _PRECEDENCE[part] > _PRECEDENCE[other]:
                continue  # the strip is taken from the part that matters less
            y0, y1 = (max(y0, rows[row] + guard_px), y1) if dy < 0 else (y0, y1)
            y1 = min(y1, rows[row + 1] - guard_px) if dy > 0 else y1
            x0 = max(x0, columns[column] + guard_px) if dx < 0 and dy == 0 else x0
            x1 = min(x1, columns[column + 1] - guard_px) if dx > 0 and dy == 0 else x1
    return y0, x0, y1, x1


_PRECEDENCE = {DataPart.TRAIN: 0, DataPart.VALIDATION: 1, DataPart.TEST: 2}


def _inside(
    image: AnnotatedImage, area: tuple[int, int, int, int], *, block: tuple[int, int, int, int]
) -> AnnotatedImage:
    """One area of an image, in a block. A box belongs to it with its centre; others that reach into it are open."""
    mine = _centred(image.boxes, area) & ~_from_elsewhere(image, block)
    reaching = _touching(image.boxes, area) & ~mine
    still_open = image.open_boxes[_touching(image.open_boxes, area)]
    return replace(
        image, boxes=image.boxes[mine], labels=image.labels[mine], region=area,
        open_boxes=np.concatenate([still_open, image.boxes[reaching]]),
        hard_boxes=image.hard_boxes[_centred(image.hard_boxes, area)],
    )  # fmt: skip


def _from_elsewhere(image: AnnotatedImage, block: tuple[int, int, int, int]) -> Flags:
    """Boxes that a user has moved here from another block: they keep their part, so they are none of this one's."""
    if image.homes is None:
        none: Flags = np.zeros(len(image.boxes), bool)
        return none
    outside: Flags = np.any((image.homes < block[:2]) | (image.homes >= block[2:]), axis=1)
    return outside


def _centred(boxes: np.ndarray, area: tuple[int, int, int, int]) -> Flags:
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    within: Flags = np.all((middle >= area[:2]) & (middle < area[2:]), axis=1)
    return within


def _touching(boxes: np.ndarray, area: tuple[int, int, int, int]) -> Flags:
    touching: Flags = np.all((boxes[:, :2] < area[2:]) & (boxes[:, 2:] > area[:2]), axis=1)
    return touching


def _pixels(area: tuple[int, int, int, int]) -> float:
    return float(area[2] - area[0]) * (area[3] - area[1])


def _words(units: Sequence[_Unit], parts: Mapping[str, DataPart], blocks: Mapping[str, float], guard_px: float) -> str:
    counts = {part: sum(parts[unit.name] is part for unit in units) for part in DataPart}
    said = ", ".join(f"{count} for {part}" for part, count in counts.items() if count)
    if not blocks:
        return f"Divided by {things(len(units), 'picture or specimen', 'pictures or specimens')}: {said}."
    side = max(blocks.values())
    return f"Divided into {things(len(units), 'block')} of {side:.0f} px, {guard_px:.0f} px apart: {said}."
