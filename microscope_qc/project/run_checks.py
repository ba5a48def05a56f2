"""Problems of a project outside its tables: slides that are gone, folders of runs."""

from __future__ import annotations

import os
import time
from pathlib import Path

from sqlalchemy import Connection, text

from microscope_qc.core.errors import ProjectError
from microscope_qc.project.loading import find_slide
from microscope_qc.project.runs.mask_files import read_mask
from microscope_qc.project.runs.plan import PLAN_NAME, plan_of, write_plan

_STILL_WRITTEN_S = 10.0


def missing_slides(connection: Connection, folder: Path) -> list[str]:
    rows = connection.execute(text("SELECT name, path, relative_path FROM slides"))
    return [
        f"The slide {name} is no longer at {path}; say where it is now. Its boxes are safe."
        for name, path, relative in rows
        if find_slide(Path(path), relative, folder)[1]
    ]


def check_run(folder: Path, run_id: int, card: str, *, repair: bool) -> list[str]:
    found = []
    if not (folder / PLAN_NAME).is_file():
        sentence = f"The folder of run {run_id} is incomplete."
        if repair:
            write_plan(folder, plan_of(card))
            sentence += " Its plan was written again."
        found.append(sentence)
    try:
        read_mask(folder)
    except ProjectError as error:
        found.append(f"Run {run_id} counts with no area: {error}")
    journal = folder / "journal.jsonl"
    if journal.is_file():
        whole = whole_lines_bytes(journal)
        quiet = time.time() - journal.stat().st_mtime > _STILL_WRITTEN_S
        if whole < journal.stat().st_size and quiet:  # a line that is still being written is not incomplete
            sentence = f"The last line of the journal of run {run_id} is incomplete."
            if repair:
                os.truncate(journal, whole)
                sentence += " It was cut off; its tile is computed again when the run is continued."
            found.append(sentence)
    return found


def whole_lines_bytes(journal: Path) -> int:
    """Return the length in bytes of the part of a journal that ends with a complete line."""
    size = journal.stat().st_size
    with journal.open("rb") as file:
        end = size
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            cut = file.read(end - start).rfind(b"\n")
            if cut >= 0:
                return start + cut + 1
            end = start
    return 0
