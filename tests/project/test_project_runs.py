"""Runs: their folders, their findings, and switching them on and off."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from project_support import assert_memory_is_stored, some_rows

from microscope_qc.core.boxes import ReviewState, make_rows
from microscope_qc.core.defect_class import MAGNET_CLASSES
from microscope_qc.core.errors import InputError, ProjectError
from microscope_qc.project import Project
from microscope_qc.project.following import FindingFollower
from microscope_qc.project.runs.journal import write_status
from microscope_qc.project.runs.plan import RunPlan


def test_a_run_has_a_folder_with_its_card(project: Project) -> None:
    slide = project.slides[0]
    project.slides.set_pixel_size(slide.id, 0.3)
    run = project.runs.start(slide.id, RunPlan(model="li-ion", region=[0, 0, 80, 120], area="everything"))
    card = json.loads((run.folder / "card.json").read_text(encoding="utf-8"))
    assert run.folder == project.path / "runs" / str(run.id)
    assert card == run.plan.document()
    assert card["run_id"] == run.id and card["model"] == "li-ion" and card["created"] == run.started
    place = {"path": str(slide.path), "scene": None, "pixel_size_um": [0.3, 0.3], "orientation": 1}
    assert card["slide"] == place
    assert (run.state, run.finished, run.shown, run.found) == ("running", None, True, 0)
    assert run.settings == run.plan.settings and run.settings["area"] == "everything"
    ended = project.runs.finish(run.id, "finished")
    assert ended.state == "finished" and ended.finished is not None
    with pytest.raises(InputError):
        project.runs.finish(run.id, "asleep")


def test_findings_are_not_undone_but_what_a_user_says_about_them_is(project: Project) -> None:
    slide = project.slides[0].id
    project.marks.add(slide, "A", 1, 2)
    run = project.runs.start(slide, RunPlan(model="m"))
    ids = project.runs.add_findings(run.id, some_rows(3, confidence=0.7))
    more = project.runs.add_findings(run.id, some_rows(2, seed=1, confidence=0.2))
    assert project.runs.add_findings(run.id, some_rows(0, confidence=0.5)).tolist() == []
    assert set(project.boxes.table(slide).rows["run_id"]) == {run.id}
    assert project.runs.by_id(run.id).found == 5
    entry = next(entry for entry in project.history.entries() if entry.kind == "run")
    assert entry.box_ids == (*ids.tolist(), *more.tolist()) and entry.box_count == 5 and entry.run_id == run.id
    assert project.history.undo_title == "Place mark A"

    project.boxes.edit(ids[:1], state=ReviewState.CONFIRMED)
    project.history.undo()
    assert set(project.boxes.table(slide).rows["state"]) == {ReviewState.UNREVIEWED}
    project.history.undo()
    assert not project.history.can_undo and len(project.boxes.table(slide)) == 5
    assert_memory_is_stored(project)


def test_a_run_is_switched_off_and_on(project: Project) -> None:
    slide = project.slides[0].id
    run = project.runs.start(slide, RunPlan(model="m"))
    project.runs.add_findings(run.id, some_rows(3, confidence=0.5))
    project.boxes.add(slide, some_rows(1))
    heard: list[str] = []
    project.events.inclusion_changed.connect(lambda: heard.append("inclusion"))
    project.events.runs_changed.connect(lambda: heard.append("runs"))
    project.runs.show(run.id, False)
    assert sorted(heard) == ["inclusion", "runs"]
    assert project.inclusion.current.hidden_runs == {run.id}
    assert len(project.boxes.rows()) == 1 and len(project.boxes.rows(every=True)) == 4
    assert project.history.undo_title == f"Hide run {run.id}"
    project.history.undo()
    assert project.inclusion.current.hidden_runs == frozenset() and len(project.boxes.rows()) == 4


def test_findings_leave_what_can_be_redone(project: Project) -> None:
    slide = project.slides[0].id
    project.boxes.add(slide, some_rows(2))
    project.history.undo()
    run = project.runs.start(slide, RunPlan(model="m"))
    project.runs.add_findings(run.id, some_rows(3, confidence=0.5))
    project.history.redo()
    assert len(project.boxes.table(slide)) == 5
    assert len(np.unique(project.boxes.table(slide).rows["id"])) == 5


def test_a_run_left_by_a_crash_is_stopped_when_the_project_opens(project: Project) -> None:
    run = project.runs.start(project.slides[0].id, RunPlan(model="m"))
    project.close()
    with Project.open(project.path, write=False) as reader:
        assert reader.runs.by_id(run.id).state == "running"
    with Project.open(project.path) as again:
        assert again.runs.by_id(run.id).state == "stopped"


def test_a_folder_left_by_a_crash_is_not_taken_for_a_new_run(project: Project) -> None:
    stray = project.path / "runs" / "1"
    stray.mkdir()
    (stray / "journal.jsonl").write_text("findings of another run\n", encoding="utf-8")
    run = project.runs.start(project.slides[0].id, RunPlan(model="m"))
    assert run.id == 2 and not (run.folder / "journal.jsonl").exists()


def test_classes_of_a_model_are_made_once_and_not_undone(project: Project) -> None:
    project.boxes.add(project.slides[0].id, some_rows(1))
    ids = project.classes.ensure([*MAGNET_CLASSES, project.classes[0]])
    assert list(ids) == ["OXA", "LOX", "LPO", "FLU", "ACP"] and ids["ACP"] == 1
    assert project.classes.ensure(MAGNET_CLASSES) == {code: ids[code] for code in ("OXA", "LOX", "LPO", "FLU")}
    colours = [defect.colour for defect in project.classes]
    assert len(set(colours)) == len(colours), "the model's classes are told apart from all others"
    assert project.history.undo_title == "Draw box" and len(project.classes) == 14


def test_a_slide_with_a_running_detection_is_not_removed(project: Project) -> None:
    slide = project.slides[0].id
    run = project.runs.start(slide, RunPlan(model="m"))
    project.runs.add_findings(run.id, some_rows(3, confidence=0.5))
    with pytest.raises(InputError, match="detection"):
        project.slides.remove(slide)
    project.runs.finish(run.id, "finished")
    project.slides.remove(slide)
    assert list(project.runs) == [] and len(project.boxes.rows(every=True)) == 0
    project.history.undo()
    assert [r.id for r in project.runs] == [run.id] and len(project.boxes.table(slide)) == 3
    assert_memory_is_stored(project)


def a_little_off(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same boxes as several results of one run see them, some better than others."""
    seen = rows[rng.integers(0, len(rows), 3 * len(rows))]
    for side in ("y0", "x0", "y1", "x1"):
        seen[side] += rng.uniform(-5, 5, len(seen))
    seen["confidence"], seen["class_id"] = rng.uniform(0.1, 1, len(seen)), rng.integers(1, 4, len(seen))
    return seen


def said_of(project: Project, run_id: int, numbers: np.ndarray) -> list[tuple[object, ...]]:
    """The opinions of a run, and which of some findings they are about."""
    opinions = project.opinions.of_run(run_id)
    known = np.where(np.isin(opinions["finding_id"], numbers), opinions["finding_id"], 0)
    return sorted(
        (number, *(o[name].item() for name in ("class_id", "confidence", "y0", "x0", "y1", "x1", "made")))
        for number, o in zip(known.tolist(), opinions, strict=True)
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 10**6))
def test_results_may_come_in_any_portions_and_order(project: Project, seed: int) -> None:
    rng = np.random.default_rng(seed)
    slide = project.slides[0].id
    corners = rng.uniform(0, 100, (2, 6))
    size = rng.uniform(15, 30, (2, 6))
    drawn = make_rows(6, class_id=1, y0=corners[0], x0=corners[1], y1=corners[0] + size[0], x1=corners[1] + size[1])
    numbers = project.boxes.add(slide, drawn)
    results = a_little_off(drawn, rng)
    expected = None
    for order in (np.arange(len(results)), rng.permutation(len(results)), rng.permutation(len(results))):
        run = project.runs.start(slide, RunPlan(model="m"))
        cuts = np.sort(rng.choice(len(results), rng.integers(0, 5), replace=False)) if expected else []
        for part in np.split(order, cuts):
            project.runs.add_findings(run.id, results[part])
        project.runs.finish(run.id, "finished")
        found = said_of(project, run.id, numbers)
        assert len(found) == len(results) and found == (expected or found)
        expected = found
        project.runs.delete(run.id)
    assert_memory_is_stored(project)


def test_each_slide_follows_only_its_own_changes(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = project.boxes.add_many({slide.id: some_rows(3) for slide in project.slides})
    seen: list[int] = []
    follow = FindingFollower.follow

    def following(self: FindingFollower, deltas: list, *others: object, **more: object) -> np.ndarray:
        seen.append(len(deltas))
        return follow(self, deltas, *others, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(FindingFollower, "follow", following)
    project.boxes.edit(np.concatenate(list(ids.values())), chosen=True)
    assert seen == [1, 1]
    assert_memory_is_stored(project)


def test_a_place_deleted_while_a_detection_runs_stays_deleted(project: Project) -> None:
    slide = project.slides[0].id
    place = {"class_id": 1, "y0": 10, "x0": 10, "y1": 50, "x1": 50}
    (number,) = project.boxes.add(slide, make_rows(1, **place))
    run = project.runs.start(slide, RunPlan(model="m"))
    project.runs.add_findings(run.id, some_rows(1, confidence=0.5))  # it knows now what was deleted before
    project.boxes.delete([number])
    assert project.runs.add_findings(run.id, make_rows(1, confidence=0.9, **place)).tolist() == [number]
    (row,) = project.boxes.table(slide).get([number])
    assert row["state"] == ReviewState.REJECTED and row["reason"] == "deleted"
    assert_memory_is_stored(project)


def test_the_folder_of_a_run_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="deleted, moved or renamed"):
        write_status(tmp_path / "p.mqc" / "runs" / "1", {"state": "running"})
    assert not any(tmp_path.iterdir())
