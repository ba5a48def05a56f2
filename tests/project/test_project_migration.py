"""A project written by version 1 is migrated completely, with its history."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from small_slides import write_slide

from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.errors import ProjectError
from microscope_qc.core.outline import Outline
from microscope_qc.project import Project
from microscope_qc.project.schema import SCHEMA_VERSION


def tables_of(file: Path) -> dict[str, set[tuple]]:
    """Columns, indexes and foreign keys of every table."""
    result: dict[str, set[tuple]] = {}
    with contextlib.closing(sqlite3.connect(file)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            columns = {row[1:] for row in connection.execute(f"PRAGMA table_info({name})")}
            indexes = {("index", row[1]) for row in connection.execute(f"PRAGMA index_list({name})")}
            keys = {("key", *row[2:5]) for row in connection.execute(f"PRAGMA foreign_key_list({name})")}
            result[name] = columns | indexes | keys
    return result


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A project of version 1."""
    folder = tmp_path / "old.mqc"
    (folder / "runs" / "1").mkdir(parents=True)
    (folder / "runs" / "1" / "card.json").write_text("{}")
    write_slide(tmp_path / "S1 45.png", seed=45)
    script = Path(__file__).with_name("version_1.sql").read_text(encoding="utf-8")
    with contextlib.closing(sqlite3.connect(folder / "project.sqlite")) as connection:
        connection.executescript(script)
    return folder


def test_version_1_keeps_everything_and_its_history(old: Path, project: Project) -> None:
    with pytest.raises(ProjectError, match="older version"):
        Project.open(old, write=False)
    with Project.open(old) as renewed:
        assert renewed.check() == []
        slide = renewed.slides[0].id
        assert not renewed.slides[0].missing
        rows = renewed.boxes.table(slide).rows
        assert rows["id"].tolist() == [1, 2, 4, 5]
        assert rows["state"].tolist() == [ReviewState.REJECTED, ReviewState.REJECTED, 0, 0]
        assert set(rows["note"]) == {"Überprüft", ""} and renewed.inclusion.current.confidence_limit == 0.25
        assert [defect.code for defect in renewed.classes] == ["ACP", "AOP", "old"]
        assert renewed.classes[0].box_size_um is None and renewed.classes[0].example_picture == ""
        while renewed.history.can_undo:  # steps whose rows lack the new columns
            renewed.history.undo()
        assert [defect.code for defect in renewed.classes] == ["ACP", "AOP", "AFP"]
        assert renewed.boxes.table(slide).rows["id"].tolist() == [4, 5]
        while renewed.history.can_redo:
            renewed.history.redo()
        assert renewed.boxes.table(slide).rows["id"].tolist() == [1, 2, 4, 5]
        renewed.attributes.edit([1], {"material": "Al₂O₃"})
        renewed.outlines.set(1, Outline.polygon([(0, 0), (0, 9), (5, 3)]))
        assert renewed.check() == []
    (copy,) = old.glob(f"before-version-{SCHEMA_VERSION}-*.sqlite")
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT count(*) FROM boxes").fetchone() == (4,)
        assert connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone() == ("1",)
    project.close()
    assert tables_of(old / "project.sqlite") == tables_of(project.path / "project.sqlite")
