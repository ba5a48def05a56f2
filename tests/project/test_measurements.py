"""Measurements and their findings: every change is one command, and a deleted finding gives its measurements free."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from project_support import assert_memory_is_stored, some_measurement, some_rows, stored

from microscope_qc.core.composition import Amount
from microscope_qc.core.errors import InputError
from microscope_qc.project import Project
from microscope_qc.project.runs.plan import RunPlan


@pytest.fixture
def measured(project: Project) -> Project:
    """Findings 1 to 3; measurements 1 and 2 belong to finding 1, 3 to none."""
    project.boxes.add(project.slides[0].id, some_rows(3))
    new = [some_measurement(0.2), some_measurement(0.4), some_measurement(0.6)]
    project.measurements.add(new, links={0: (1, "label"), 1: (1, "position")}, title="Import a.csv")
    return project


def links_of(project: Project) -> dict[int, int]:
    return {number: link.finding_id for number, link in project.measurements.links.items()}


def test_an_import_is_one_command(measured: Project) -> None:
    known = list(measured.measurements)
    assert links_of(measured) == {1: 1, 2: 1} and [m.import_id for m in known] == [1, 1, 1]
    assert [m.id for m in measured.measurements.unplaced] == [3]
    entry = measured.history.undo()
    assert entry is not None and entry.title == "Import a.csv" and entry.box_ids == (1,)
    assert len(measured.measurements) == 0 and links_of(measured) == {}
    measured.history.redo()
    assert list(measured.measurements) == known and links_of(measured) == {1: 1, 2: 1}
    assert_memory_is_stored(measured)


def test_linking_and_unlinking_are_commands(measured: Project) -> None:
    heard: list[None] = []
    measured.events.measurements_changed.connect(lambda: heard.append(None))
    measured.measurements.link({3: 2})
    assert links_of(measured) == {1: 1, 2: 1, 3: 2} and measured.measurements.links[3].matched_by == "user"
    assert measured.history.undo_title == "Link Prüfling 1 to finding 2"
    measured.measurements.link({1: 2, 2: None})
    assert links_of(measured) == {1: 2, 3: 2} and len(heard) == 2
    measured.measurements.link({1: 2})  # where it is already: no command
    assert measured.history.undo_title == "Link 2 measurements to finding 2"
    measured.history.undo()
    measured.history.undo()
    assert links_of(measured) == {1: 1, 2: 1}
    measured.measurements.link({1: None})
    assert measured.history.undo_title == "Unlink Prüfling 1" and links_of(measured) == {2: 1}
    for wrong in ({9: 1}, {1: 9}):
        with pytest.raises(InputError, match="no"):
            measured.measurements.link(wrong)


def test_a_deleted_finding_gives_its_measurements_free(measured: Project) -> None:
    measured.boxes.delete([1])
    assert links_of(measured) == {} and len(measured.measurements) == 3
    with pytest.raises(InputError, match="no box 1"):
        measured.measurements.link({1: 1})
    measured.history.undo()
    assert links_of(measured) == {1: 1, 2: 1}
    measured.classes.delete(measured.boxes.table(measured.slides[0].id).rows["class_id"][0])
    assert links_of(measured) == {}
    measured.history.undo()
    measured.slides.remove(measured.slides[0].id)
    assert links_of(measured) == {} and len(measured.measurements) == 3
    measured.history.undo()
    assert links_of(measured) == {1: 1, 2: 1} and measured.check() == []
    assert_memory_is_stored(measured)


def test_a_measured_finding_stays_when_its_run_is_deleted(project: Project) -> None:
    slide = project.slides[0].id
    run = project.runs.start(slide, RunPlan(model="m"))
    ids = project.runs.add_findings(run.id, some_rows(2, confidence=0.5))
    project.runs.finish(run.id, "finished")
    project.measurements.add([some_measurement(0.5)], links={0: (int(ids[0]), "label")})
    project.runs.delete(run.id)
    assert project.boxes.table(slide).rows["id"].tolist() == [ids[0]] and links_of(project) == {1: ids[0]}


def test_what_replaces_earlier_measurements_is_one_command(measured: Project) -> None:
    before = stored(measured)
    measured.measurements.add([some_measurement(0.9)], links={0: (2, "label")}, replaced=[1, 3])
    assert links_of(measured) == {2: 1, 4: 2} and [m.id for m in measured.measurements] == [2, 4]
    measured.history.undo()
    assert stored(measured) == before
    measured.measurements.delete([1, 3])
    assert links_of(measured) == {2: 1}
    measured.history.undo()
    assert stored(measured) == before


def test_what_a_finding_consists_of_is_the_mean_without_references(measured: Project) -> None:
    measured.measurements.add([some_measurement(1.0, kind="reference")], links={0: (1, "label")})
    oxygen, nickel = measured.measurements.composition(1, "at")
    assert oxygen == Amount("O", "at", pytest.approx(30), pytest.approx(0.1 / 2**0.5))
    assert nickel == Amount("Ni", "at", pytest.approx(70))
    assert measured.measurements.composition(2, "at") == ()


@pytest.mark.parametrize(
    ("sql", "words", "left"),
    [
        ("UPDATE measurements SET amounts = '[[1]]' WHERE id = 1", "cannot be read", {1: 1, 2: 1}),
        ("UPDATE measurement_links SET finding_id = 99 WHERE id = 1", "does not exist", {2: 1}),
        ("DELETE FROM measurements WHERE id = 1", "does not exist", {2: 1}),
        ("UPDATE measurements SET kind = 'x', kv = 'y'", "unknown kind", {1: 1, 2: 1}),
    ],
)
def test_the_check_repairs_measurements(measured: Project, sql: str, words: str, left: dict[int, int]) -> None:
    measured.close()
    with closing(sqlite3.connect(measured.path / "project.sqlite", isolation_level=None)) as connection:
        connection.execute(sql)
    with Project.open(measured.path) as again:
        assert any(words in sentence for sentence in again.check())
        assert again.check() == [] and links_of(again) == left
        assert all(known.kind == "point" for known in again.measurements)


OLD = {
    "1": [{"label": "D1", "at_percent": {"O": 60.0, "Al": 40.0}, "wt_percent": {"O": 47.07, "Al": 52.93},
           "computed_from_wt": True, "stage_mm": [1.5, 2], "matched_by": "position", "source": "a.csv"},
          {"label": "odd", "at_percent": {"Xx": 1, "O": "x", "Ni": 10**400}, "stage_mm": [1, 10**400],
           "source": "a.csv"}],
    "77": [{"label": "gone", "at_percent": {"O": 100}, "matched_by": "label", "source": "b.csv"}],
    "x": 3,
}  # fmt: skip
"""Compositions as a setting of the project, as version 6 stored them."""


@pytest.fixture
def older(measured: Project) -> Path:
    """A project of version 6."""
    measured.close()
    with closing(sqlite3.connect(measured.path / "project.sqlite", isolation_level=None)) as connection:
        for table in ("spectra", "measurement_links", "measurements", "standards"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("ALTER TABLE areas DROP COLUMN drawn")
        connection.execute("ALTER TABLE marks DROP COLUMN is_check")
        connection.execute("INSERT INTO settings VALUES ('edx', ?)", (json.dumps(OLD),))
        connection.execute("UPDATE meta SET value = '6' WHERE key = 'schema_version'")
        connection.execute("UPDATE log SET kind = 'kept'")
    return measured.path


def test_compositions_of_older_projects_are_taken_over(older: Path) -> None:
    with Project.open(older) as renewed:
        assert renewed.check() == [] and renewed.settings.get("edx") is None
        assert links_of(renewed) == {1: 1, 2: 1} and [m.label for m in renewed.measurements.unplaced] == ["gone"]
        first, odd, gone = renewed.measurements
        assert first.stage_mm == (1.5, 2) and (first.import_id, odd.import_id, gone.import_id) == (1, 1, 3)
        assert [(a.unit, a.measured) for a in first.amounts] == [("at", False)] * 2 + [("wt", True)] * 2
        assert odd.amounts == () and odd.stage_mm is None
        assert [(a.unit, a.percent) for a in gone.amounts] == [("at", 100), ("wt", 100)]
        assert renewed.measurements.links[1].matched_by == "position"


KILLED = """
import os, sys
from pathlib import Path
from microscope_qc.project import Project, migrations, old_compositions

def killed(*arguments):
    if sys.argv[2] == "end":
        take_over(*arguments)
    os._exit(9)

take_over = migrations.compositions_to_measurements
if sys.argv[2] == "middle":
    old_compositions._amounts = killed
else:
    migrations.compositions_to_measurements = killed
Project.open(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("when", ["tables", "middle", "end"])
def test_a_kill_while_they_are_taken_over_loses_nothing(older: Path, when: str) -> None:
    assert subprocess.run([sys.executable, "-c", KILLED, str(older), when], check=False).returncode == 9
    with Project.open(older) as renewed:
        assert renewed.check() == [] and [m.label for m in renewed.measurements] == ["D1", "odd", "gone"]
        assert links_of(renewed) == {1: 1, 2: 1} and renewed.settings.get("edx") is None
