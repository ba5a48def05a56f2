"""Reading findings: what users say of them, what models say of them, and what they are because of both."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from sqlalchemy import Connection

from microscope_qc.core.boxes import BOX_DTYPE
from microscope_qc.core.opinions import OPINION_DTYPE, OpinionTable, resolve
from microscope_qc.project.database import driver

NO_FINDING = (
    "(flags & 8 OR flags = 0 AND state = 0 AND NOT EXISTS (SELECT 1 FROM opinions WHERE finding_id = boxes.id))"
)
"""Holds for rows of ``boxes`` that were deleted (they may have been found again), or whose place was left."""
_SLIDE_OF = (
    f"SELECT slide_id FROM boxes WHERE id = ? AND (NOT {NO_FINDING} OR flags & 8"  # noqa: S608 - a constant
    " AND EXISTS (SELECT 1 FROM opinions WHERE finding_id = boxes.id AND again))"
)
_FREE = "state = 0 AND flags = 0"
"""Holds for rows of which no user has said what they are, or where."""
_WRONG = 1e15
_CHUNK = 500
"""Numbers in one statement."""
_BOX_NUMBERS = ("id", "y0", "x0", "y1", "x1")
_OPINION_NUMBERS = ("id", "finding_id", "confidence", "y0", "x0", "y1", "x1")
_MOST_CLASSES, _MOST_RUNS = (1 << 19) - 1, (1 << 28) - 1
_PACKED = (  # small numbers in one, as in _boxes
    "made + 2 * again + 4 * class_id + 2097152 * run_id"
    f" + 9e15 * (class_id NOT BETWEEN 0 AND {_MOST_CLASSES} OR run_id NOT BETWEEN 0 AND {_MOST_RUNS}"
    " OR made NOT IN (0, 1) OR again NOT IN (0, 1))"
)


def findings(
    connection: Connection, slide_ids: Sequence[int] | None, *, hidden_runs: Collection[int]
) -> Iterator[tuple[int, np.ndarray, OpinionTable]]:
    """Read the findings of slides, sorted by id, and the opinions of them; None is every slide.

    Slides without any are left out.
    """
    said = opinions(connection, slide_ids)
    for slide_id, rows in _claims(connection, slide_ids):
        table = said.get(slide_id) or OpinionTable()
        there = resolve(rows, table.rows, hidden_runs=hidden_runs)
        yield slide_id, rows if there.all() else rows[there], table


def boxes(connection: Connection, slide_ids: Sequence[int] | None) -> Iterator[tuple[int, np.ndarray]]:
    """Read what is stored of the boxes of slides, sorted by id, deleted ones and left places too.

    Class and box count only where they are a user's: :func:`resolve` fills in the others.
    """
    for where in _chunks("slide_id", slide_ids):
        rows, owners = _boxes(connection, where)
        yield from ((slide_id, rows[mine]) for slide_id, mine in _by_slide(owners))


def _claims(connection: Connection, slide_ids: Sequence[int] | None) -> Iterator[tuple[int, np.ndarray]]:
    """As :func:`boxes`, without class, box and confidence where no user has claimed them.

    Most findings are as models found them: reading what :func:`resolve` takes from opinions would be most of the work.
    """
    for where in _chunks("slide_id", slide_ids):
        claimed, owners = _boxes(connection, f"{where} AND NOT ({_FREE})")
        sql = f"SELECT id, chosen <> 0, slide_id FROM boxes WHERE {where} AND {_FREE} ORDER BY slide_id, id"  # noqa: S608
        ids, chosen, of_free = _numbers(connection, sql, 3)
        every = np.concatenate([claimed["id"], ids.astype(np.int64)])
        owners = np.concatenate([owners, of_free.astype(np.int64)])
        order = np.lexsort((every, owners))
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        rows = np.zeros(len(order), BOX_DTYPE)
        rows["id"], rows["confidence"], rows["reason"], rows["note"] = every[order], np.nan, "", ""
        mine = place[: len(claimed)]
        for name in BOX_DTYPE.names or ():
            rows[name][mine] = claimed[name]
        rows["chosen"][place[len(claimed) :]] = chosen
        _say_texts(connection, rows, f"{where} AND {_FREE}")
        yield from ((slide_id, rows[part]) for slide_id, part in _by_slide(owners[order]))


def absent(connection: Connection, slide_id: int) -> np.ndarray:
    """Read the boxes of a slide that are no findings, sorted by id: deleted ones, and places that were left."""
    return _boxes(connection, f"slide_id = {int(slide_id)} AND {NO_FINDING}")[0]


def slide_of(connection: Connection, finding_id: int) -> int | None:
    """Return the slide of a finding; None where there is none, or none any more."""
    row = driver(connection).execute(_SLIDE_OF, (finding_id,)).fetchone()
    return None if row is None else int(row[0])


def boxes_by_id(connection: Connection, ids: np.ndarray) -> np.ndarray:
    """Read what is stored of some boxes, sorted by id; those that do not exist are left out."""
    parts = [_boxes(connection, where)[0] for where in _chunks("id", np.unique(ids).tolist())]
    rows = np.concatenate([np.zeros(0, BOX_DTYPE), *parts])
    return rows[np.argsort(rows["id"], kind="stable")]


def opinions(connection: Connection, slide_ids: Sequence[int] | None) -> dict[int, OpinionTable]:
    """Read the opinions of slides; slides without any are left out."""
    found: dict[int, OpinionTable] = {}
    for where in _chunks("slide_id", slide_ids):
        columns = (*_OPINION_NUMBERS, _PACKED, "slide_id")
        values = _numbers(connection, f"SELECT {', '.join(columns)} FROM opinions WHERE {where}", len(columns))  # noqa: S608
        *numbers, packed, owners = values
        if (packed >= _WRONG).any():
            raise ValueError("an opinion has an impossible number")
        rows = np.zeros(len(packed), OPINION_DTYPE)
        for name, column in zip(_OPINION_NUMBERS, numbers, strict=True):
            rows[name] = column
        packed = packed.astype(np.int64)
        rows["made"], rows["again"] = packed & 1 != 0, packed & 2 != 0
        rows["class_id"], rows["run_id"] = packed >> 2 & _MOST_CLASSES, packed >> 21
        found |= {slide_id: OpinionTable(rows[mine]) for slide_id, mine in _by_slide(owners.astype(np.int64))}
    return found


def _boxes(connection: Connection, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows sorted by slide and id, and their slides."""
    # Every value becomes a Python object first, and there may be a million boxes: only numbers are read, straight
    # from the driver into an array, small ones packed into one, and text only where there is any.
    columns = (
        *_BOX_NUMBERS, "ifnull(class_id, 0)", "ifnull(confidence, 9e999)",  # no confidence is infinite
        f"state + 4 * (chosen <> 0) + 8 * flags + {_WRONG} * (state NOT IN (0, 1, 2) OR flags NOT BETWEEN 0 AND 255)",
        "slide_id",
    )  # fmt: skip
    sql = f"SELECT {', '.join(columns)} FROM boxes WHERE {where} ORDER BY slide_id, id"  # noqa: S608 - constants
    values = _numbers(connection, sql, len(columns))
    *numbers, class_id, confidence, packed, owners = values
    rows = np.zeros(len(packed), BOX_DTYPE)
    for name, column in zip(_BOX_NUMBERS, numbers, strict=True):
        rows[name] = column
    rows["class_id"] = class_id
    rows["confidence"] = np.where(np.isinf(confidence), np.nan, confidence)
    if (packed >= _WRONG).any():
        raise ValueError("a finding has an unknown state")
    packed = packed.astype(np.int64)
    rows["state"], rows["chosen"], rows["flags"] = packed & 3, packed & 4 != 0, packed >> 3
    rows["reason"], rows["note"] = "", ""
    _say_texts(connection, rows, where)
    return rows, owners.astype(np.int64)


def _say_texts(connection: Connection, rows: np.ndarray, where: str) -> None:
    """Fill in reasons and notes, which few boxes have."""
    sql = f"SELECT id, reason, note FROM boxes WHERE {where} AND (reason <> '' OR note <> '')"  # noqa: S608
    said = list(driver(connection).execute(sql))
    if said:
        ids, reasons, notes = zip(*said, strict=True)
        order = np.argsort(rows["id"], kind="stable")
        places = order[np.searchsorted(np.ascontiguousarray(rows["id"][order]), ids)]
        for name, texts in (("reason", reasons), ("note", notes)):
            column = np.empty(len(texts), object)
            column[:] = texts
            rows[name][places] = column


def _numbers(connection: Connection, sql: str, width: int) -> np.ndarray:
    # tuples of the driver: rows of SQLAlchemy take four times as long
    read: Iterable[Any] = driver(connection).execute(sql)
    values = np.fromiter(chain.from_iterable(read), float).reshape(-1, width).T
    if np.isnan(values).any():  # numbers that are none become infinite or missing
        raise ValueError("a number is missing")
    return values


def _chunks(column: str, numbers: Sequence[int] | None) -> Iterator[str]:
    """Conditions that together hold for rows with one of the numbers in a column, or for every row."""
    if numbers is None:
        yield "1"
        return
    for start in range(0, len(numbers), _CHUNK):
        part = ", ".join(str(int(number)) for number in numbers[start : start + _CHUNK])
        yield f"{column} IN ({part})"


def _by_slide(owners: np.ndarray) -> Iterator[tuple[int, np.ndarray | slice]]:
    """Slides, and where their rows are."""
    if len(owners) == 0:
        return
    in_order = bool((owners[1:] >= owners[:-1]).all())
    order = np.arange(len(owners)) if in_order else np.argsort(owners, kind="stable")
    starts = np.flatnonzero(np.diff(owners[order], prepend=-1)).tolist()
    for start, end in zip(starts, [*starts[1:], len(owners)], strict=True):
        yield int(owners[order[start]]), slice(start, end) if in_order else order[start:end]
