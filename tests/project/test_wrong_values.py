"""Whatever stands in the tables: a project opens or says what to do, and after a check it opens."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from project_support import edit_at_random, some_rows
from small_slides import write_slide

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.project import Project, schema
from microscope_qc.project.checking import make_readable
from microscope_qc.project.counting import count_states

WILD: tuple[Any, ...] = (
    None, "", "text", "0.5", "nan", -1, 0, 7, 2**62, -(2**63), 1e300, float("inf"), float("-inf"), b"", b"\xff\xfe\x00",
    "\x00\x1b[2J", "Ü" * 3000, "[]", "{}", '{"a": ', "[" * 5000, "\u202e\u2066", "null", "1e999", True,
)  # fmt: skip


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed project with something in every table."""
    folder = tmp_path_factory.mktemp("full")
    slides = [write_slide(folder / f"{name}.png", seed=seed) for seed, name in enumerate("ab")]
    edits = random.Random(3)
    with Project.create(folder / "cell.mqc", slides=slides) as project:
        for _ in range(150):
            edit_at_random(project, edits)
        project.registrations.save(1, "R1", {"matrix": [[1, 0], [0, 1]]})
        project.settings.set("filter", {"min_confidence": 0.1})
    return project.path


def look_at_everything(path: Path) -> None:
    with Project.open(path) as project:
        for slide in project.slides:
            rows = project.boxes.table(slide.id).rows
            assert rows["y0"].sum() is not None
            project.attributes.of_slide(slide.id)
            project.outlines.of_slide(slide.id)
        project.boxes.rows()
        project.history.entries(None)
        count_states(path, project.inclusion.current)
        project.reload()


def columns(path: Path) -> Iterator[tuple[str, str]]:
    with closing(sqlite3.connect(path / "project.sqlite")) as connection:
        for table in schema.metadata.tables:
            if table != "meta":
                yield from ((table, row[1]) for row in connection.execute(f"PRAGMA table_info({table})"))


def spoil(path: Path, chance: random.Random, *, columns_of: list[tuple[str, str]]) -> list[str]:
    """Put wild values into some rows; some are refused by SQLite itself."""
    done = []
    with closing(sqlite3.connect(path / "project.sqlite", isolation_level=None)) as connection:
        for _ in range(chance.choice([1, 1, 1, 4])):
            table, column = chance.choice(columns_of)
            value = chance.choice(WILD)
            where = chance.choice(["", " WHERE rowid = (SELECT min(rowid) FROM {0})", " WHERE rowid % 3 = 0"]).format(
                table
            )
            if chance.random() < 0.1:
                value = sqlite3.Binary(chance.randbytes(8))
            sql = f'UPDATE OR IGNORE {table} SET "{column}" = ?{where}'
            try:
                connection.execute(sql, (value,))
                done.append(f"{table}.{column} = {value!r:.60}{where}")
            except (sqlite3.IntegrityError, OverflowError):
                continue
    return done


def test_wild_values_in_any_column(full: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    count = 2000 if request.config.getoption("--long") else 40
    known = list(columns(full))
    refused = 0
    for seed in range(count):
        copy = tmp_path / f"{seed}" / "cell.mqc"
        shutil.copytree(full, copy)
        done = spoil(copy, random.Random(seed), columns_of=known)
        try:
            look_at_everything(copy)
        except MicroscopeQCError:
            refused += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}: {done}") from error
        try:
            make_readable(copy)
            with Project.open(copy) as project:
                project.check()
                left = [words for words in project.check() if "no longer at" not in words]
            look_at_everything(copy)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {done}") from error
        assert left == [], (seed, done)
        shutil.rmtree(copy.parent)
    print(f"{count} projects, {refused} of them were refused with a sentence; all opened after a check")


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("UPDATE boxes SET state = 9", "unknown state"),
        ("UPDATE boxes SET y0 = 'text' WHERE id = 1", "have no place"),
        ("UPDATE slides SET pixel_size_x_um = -0.5", "no positive numbers"),
        ("UPDATE slides SET pixel_size_x_um = 9e999", "no positive numbers"),
        ("UPDATE boxes SET x0 = 5000, x1 = 5010", "outside their slides"),
        ("UPDATE boxes SET note = CAST(x'ff00fe' AS TEXT)", "not readable text"),
        ("UPDATE registrations SET data = '{'", "cannot be read"),
        ("UPDATE boxes SET class_id = 99", "no class"),
    ],
)
def test_the_check_says_what_it_did(project: Project, sql: str, words: str) -> None:
    project.boxes.add(1, some_rows(3))
    project.registrations.save(1, "R1", {})
    project.close()
    with closing(sqlite3.connect(project.path / "project.sqlite", isolation_level=None)) as connection:
        connection.execute(sql)
    said = make_readable(project.path)
    with Project.open(project.path) as again:
        said += again.check() + again.outside_slides()
        assert any(words in sentence for sentence in said), said
        assert len(again.boxes.rows()) == (2 if "have no place" in words else 3)


def test_a_note_of_ten_megabytes(project: Project) -> None:
    project.boxes.add(1, some_rows(1, note="Ü" * 5_000_000))
    project.close()
    look_at_everything(project.path)
    assert make_readable(project.path) == []


@pytest.mark.parametrize("sql", ["state = 9", "state = 1e300", "flags = 4000", "class_id = 9e999", "id = -7, y0 = 'x'"])
def test_no_wrong_value_is_taken_for_another(project: Project, sql: str) -> None:
    project.boxes.add(1, some_rows(3))
    project.close()
    with closing(sqlite3.connect(project.path / "project.sqlite", isolation_level=None)) as connection:
        connection.execute(f"UPDATE boxes SET {sql} WHERE id = 2")
    with pytest.raises(MicroscopeQCError, match="check"):
        look_at_everything(project.path)
