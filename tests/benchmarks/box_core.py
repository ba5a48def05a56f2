"""Boxes without a window: ``python -m tests.benchmarks.box_core [--processor] [FOLDER] [COUNT ...]``.

Median milliseconds, the limit beside the figure ("!" where it is not kept). What needs the disk runs on a project in
FOLDER (default: the system's temporary folder) and is durable when it returns. Views, hits and filters are repeated;
loading is measured against the row-by-row way it replaced, the two by turns in one process. ``--processor`` shows the
processor's time instead, which hardly depends on what else the machine is doing (and leaves waiting for the disk out).
"""

from __future__ import annotations

import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from microscope_qc.core.boxes import BOX_DTYPE, BoxFilter, BoxTable, ReviewState, make_rows
from microscope_qc.project import Project, findings

COUNTS = (1_000, 5_000, 20_000, 100_000, 1_000_000)
LIMITS = {  # milliseconds: (at 100,000, at 1,000,000)
    "insert all, one transaction": (2000, None),
    "single edit, durable": (10, None),
    "class of 10,000": (300, None),
    "undo of that": (300, None),
    "redo of that": (300, None),
    "load": (500, 5000),
    "load, row by row (before)": (None, None),
    "filter: class, state, range, size": (50, None),
    "filter: text (a third has notes)": (50, None),
    "view, a screen": (2, 10),
    "view, everything": (2, 10),
    "hit test": (1, 1),
    "table: add one": (16, None),
    "table: move one": (16, None),
    "table: remove one": (16, None),
    "index packed": (None, None),
}


CLOCK = time.process_time if "--processor" in sys.argv else time.perf_counter


def median_ms(call: Callable[[], object], repeats: int) -> float:
    """Median time of a call."""
    took = []
    for _ in range(repeats):
        start = CLOCK()
        call()
        took.append((CLOCK() - start) * 1e3)
    return statistics.median(took)


def some_boxes(count: int) -> np.ndarray:
    """Boxes on a slide whose side grows with their number; a third has a note, some are large."""
    rng = np.random.default_rng(0)
    side = 100.0 * count**0.5
    corner, size = rng.random((2, count)) * side, 4 + rng.random((2, count)) ** 6 * 400
    rows = make_rows(count, class_id=rng.integers(1, 11, count), confidence=rng.random(count))
    rows["y0"], rows["x0"], rows["y1"], rows["x1"] = *corner, *(corner + size)
    notes = np.array([f"seen near layer {number}" for number in range(0, count, 3)], object)
    rows["note"][::3] = notes
    return rows


def row_by_row(project: Project, slide_id: int) -> np.ndarray:
    """Load boxes as the project did before: all columns as Python values, one list per column."""
    names = BOX_DTYPE.names or ()
    with project._store.database.begin() as connection:
        sql = f"SELECT {', '.join(names)} FROM boxes WHERE slide_id = ? ORDER BY id"  # noqa: S608
        found = connection.exec_driver_sql(sql, (slide_id,)).cursor.fetchall()
    rows = np.zeros(len(found), BOX_DTYPE)
    for place, name in enumerate(names):
        values = [row[place] for row in found]
        rows[name] = np.array(values, float) if name == "confidence" else values
    return rows


def of_table(rows: np.ndarray) -> dict[str, float]:
    """Figures that need no disk."""
    rows = rows[np.arange(len(rows))]
    rows["id"] = np.arange(1, len(rows) + 1)
    table = BoxTable(rows)
    rng = np.random.default_rng(1)
    side = float(rows["y1"].max())
    places = iter(rng.random((10_000, 2)) * side)

    def view() -> None:
        y, x = next(places)
        table.inside(y, x, y + 1000, x + 1600)

    figures = {"index packed": median_ms(table._pack, 3)}
    figures["view, a screen"] = median_ms(view, 100)
    figures["view, everything"] = median_ms(lambda: table.inside(0, 0, side, side), 20)
    figures["hit test"] = median_ms(lambda: table.at(*next(places)), 100)
    shown = BoxFilter(
        0.3, frozenset({1, 2, 3}), frozenset({ReviewState.UNREVIEWED}), max_confidence=0.9, size_um=(2, 200)
    )
    facts = loading_facts()
    figures["filter: class, state, range, size"] = median_ms(lambda: shown.mask(table.rows, facts=facts), 5)
    said = BoxFilter(text="layer 99")
    figures["filter: text (a third has notes)"] = median_ms(lambda: said.mask(table.rows, facts=facts), 5)
    one = table.get([1])
    numbers = iter(range(len(rows) + 1, len(rows) + 1000))

    def add() -> None:
        one["id"] = next(numbers)
        table.add(one)

    def move() -> None:
        row = table.get([int(table.rows["id"][len(table) // 2])])
        row["y1"] += 1
        table.put(row)

    add()  # the room for new boxes is made once
    figures["table: add one"] = median_ms(add, 10)
    figures["table: move one"] = median_ms(move, 10)
    figures["table: remove one"] = median_ms(lambda: table.remove([int(table.rows["id"][len(table) // 2])]), 10)
    return figures


def loading_facts() -> object:
    """Pixel size and class codes for a filter."""
    from microscope_qc.core.boxes import BoxFacts

    return BoxFacts((0.5, 0.5), {number: f"C{number}" for number in range(1, 11)})


def of_project(rows: np.ndarray, folder: Path) -> dict[str, float]:
    """Figures of a project on disk."""
    folder.mkdir()
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(folder / "slide.png")
    figures: dict[str, float] = {}
    with Project.create(folder / "p.mqc", slides=[folder / "slide.png"]) as project:
        slide = project.slides[0].id
        figures["insert all, one transaction"] = median_ms(lambda: project.boxes.add(slide, rows), 1)
        rng = np.random.default_rng(2)
        ids = project.boxes.table(slide).rows["id"].copy()
        picks = iter(rng.permutation(ids)[:200].tolist())
        repeats = min(50, len(ids) // 2)
        figures["single edit, durable"] = median_ms(lambda: project.boxes.edit([next(picks)], note="seen"), repeats)
        some = rng.permutation(ids)[: min(10_000, len(ids))]
        classes = iter([defect.id for defect in project.classes] * 3)
        changed, undone, redone = [], [], []
        for _ in range(5):
            changed.append(median_ms(lambda: project.boxes.edit(some, class_id=next(classes)), 1))
            undone.append(median_ms(project.history.undo, 1))
            redone.append(median_ms(project.history.redo, 1))
        figures["class of 10,000"] = statistics.median(changed)
        figures["undo of that"], figures["redo of that"] = statistics.median(undone), statistics.median(redone)
    with Project.open(folder / "p.mqc") as project:
        new, old = [], []
        for _ in range(3 if len(rows) <= 100_000 else 1):
            with project._store.database.begin() as connection:
                new.append(
                    median_ms(
                        lambda: BoxTable(next(iter(findings.findings(connection, [slide], hidden_runs=())))[1]), 1
                    )
                )
            old.append(median_ms(lambda: BoxTable(row_by_row(project, slide)), 1))
        figures["load"], figures["load, row by row (before)"] = statistics.median(new), statistics.median(old)
    return figures


def main(folder: Path, counts: tuple[int, ...]) -> None:
    """Measure and print the table."""
    results = {}
    for count in counts:
        rows = some_boxes(count)
        results[count] = of_table(rows) | of_project(rows, folder / str(count))
    versions = f"Python {platform.python_version()}, numpy {np.__version__}, SQLite {sqlite3.sqlite_version}"
    print(f"Milliseconds{' of the processor' if CLOCK is time.process_time else ''}, medians. {versions}")
    print(f"{'':<36}" + "".join(f"{count:>12,}" for count in counts) + f"{'limit 100k':>12}{'limit 1M':>10}")
    for name, (hundred, million) in LIMITS.items():
        line = f"{name:<36}"
        for count in counts:
            limit = million if count > 100_000 else hundred
            figure = results[count][name]
            line += f"{figure:>11.2f}" + ("!" if limit is not None and figure > limit else " ")
        print(line + f"{hundred or '':>12}{million or '':>10}")


if __name__ == "__main__":
    given = [argument for argument in sys.argv[1:] if not argument.isdecimal() and argument != "--processor"]
    numbers = tuple(int(argument) for argument in sys.argv[1:] if argument.isdecimal()) or COUNTS
    with tempfile.TemporaryDirectory(dir=given[0] if given else None) as name:
        main(Path(name), numbers)
