"""What is read of findings is the same whether or not what opinions decide is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import text

from microscope_qc.core.boxes import BOX_DTYPE, ReviewState, make_rows
from microscope_qc.core.geometry import Region
from microscope_qc.core.opinions import resolve
from microscope_qc.project import Project, findings
from microscope_qc.project.database import Database
from microscope_qc.project.runs.plan import RunPlan


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Two runs on two slides; some findings are judged, named, moved, chosen, noted, drawn, deleted, or left."""
    files = [tmp_path / f"S{number}.png" for number in range(2)]
    for number, file in enumerate(files):
        Image.fromarray(np.full((400, 400), number, np.uint8)).save(file)
    with Project.create(tmp_path / "p.mqc", slides=files) as project:
        rng = np.random.default_rng(0)
        for slide in project.slides:
            for model in ("one", "two"):
                plan = RunPlan(
                    model=model, model_name=model, region=Region(0, 0, 400, 400), tile_px=200, classes=("ACP",)
                )
                run = project.runs.start(slide.id, plan)
                y, x = np.divmod(np.arange(20), 5) * np.array([[60.0], [60.0]]) + rng.uniform(0, 3, (2, 20))
                classes = rng.integers(1, 4, 20)
                confidence = rng.uniform(0.1, 1, 20)
                rows = make_rows(20, class_id=classes, confidence=confidence, y0=y, x0=x, y1=y + 20, x1=x + 20)
                project.runs.add_findings(run.id, rows)
                project.runs.finish(run.id, "finished")
            ids = project.boxes.rows(slide.id)["id"].copy()
            project.boxes.edit(ids[:3], state=ReviewState.CONFIRMED)
            project.boxes.edit(ids[3:5], state=ReviewState.REJECTED, reason="duplicate")
            project.boxes.edit(ids[5:7], chosen=True)
            project.boxes.edit(ids[7:9], note="look again")
            project.boxes.edit(ids[9:10], class_id=4)
            project.boxes.edit(ids[10:11], y0=1.0, y1=9.0)
            project.boxes.delete(ids[11:13])
            project.boxes.add(slide.id, make_rows(2, class_id=1, y0=380.0, x0=[10.0, 50.0], y1=390.0, x1=[20.0, 60.0]))
        return project.path


@pytest.mark.parametrize("hidden", [(), (1,), (1, 2)])
def test_findings_are_those_of_all_that_is_stored(place: Path, hidden: tuple[int, ...]) -> None:
    database = Database(place, read_only=True)
    with database.begin() as connection:
        said = findings.opinions(connection, None)
        wanted = {}
        for slide_id, rows in findings.boxes(connection, None):
            there = resolve(rows, said[slide_id].rows, hidden_runs=hidden)
            wanted[slide_id] = rows[there]
        for slides in (None, [1, 2], [2]):
            read = {slide_id: rows for slide_id, rows, _ in findings.findings(connection, slides, hidden_runs=hidden)}
            assert read.keys() == (set(slides) if slides else wanted.keys())
            for slide_id, rows in read.items():
                for name in BOX_DTYPE.names:
                    np.testing.assert_array_equal(rows[name], wanted[slide_id][name], err_msg=name)
    database.close()


@pytest.mark.parametrize("change", ["class_id = -1", "class_id = 600000", "run_id = 300000000", "made = 2"])
def test_impossible_numbers_of_opinions_are_refused(place: Path, change: str) -> None:
    with Project.open(place) as project:
        database = project._store.database
        with database.begin() as connection:
            connection.execute(text("PRAGMA defer_foreign_keys = ON"))
            connection.execute(text(f"UPDATE opinions SET {change} WHERE id = 1"))  # noqa: S608 - constants
            with pytest.raises(ValueError, match="impossible number"):
                findings.opinions(connection, None)
            connection.execute(text("UPDATE opinions SET class_id = 1, run_id = 1, made = 1 WHERE id = 1"))
