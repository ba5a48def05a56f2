"""A blind inspection in the window: what is hidden, what belongs to it, and what is said at the end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from panels_support import SHAPE

from microscope_qc.core.boxes import ReviewState, make_rows
from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import Region
from microscope_qc.project import Project
from microscope_qc.project.runs.plan import RunPlan
from microscope_qc.workflows.review.inspection import inspections, open_inspection

pytestmark = pytest.mark.window

HEIGHT, WIDTH = SHAPE
VIEW = (0.0, 0.0, float(HEIGHT), float(WIDTH))


@pytest.fixture
def found(project: Any, session: Any) -> np.ndarray:
    """What a model found on the first slide, which has no other findings."""
    slide = project.slides[0].id
    project.boxes.delete(project.boxes.rows(slide)["id"])
    plan = RunPlan(
        model="m", model_name="m", region=Region(0, 0, HEIGHT, WIDTH), tile_px=400, overlap_px=0, classes=("ACP",)
    )
    run = project.runs.start(slide, plan)
    y = np.array([20.0, 60.0, 100.0])
    rows = make_rows(3, class_id=project.classes[0].id, y0=y, y1=y + 20, x0=20.0, x1=40.0, confidence=0.9)
    ids = project.runs.add_findings(run.id, rows)
    project.runs.finish(run.id, "finished")
    session.show_slide(slide)
    return ids


def shown(session: Any) -> list[int]:
    return sorted(session.shown_rows()["id"].tolist())


def test_findings_are_hidden_until_the_inspection_is_done(project: Any, session: Any, found: np.ndarray) -> None:
    session.inspecting.begin(VIEW)
    assert session.inspecting.running and shown(session) == []
    beside = session.editing.draw(22, 21, 42, 41)
    missed = session.editing.draw(200, 200, 220, 220)
    assert shown(session) == sorted([beside, missed])
    session.editing.delete(np.array([missed]))
    missed = session.editing.draw(200, 210, 220, 230)
    session.inspecting.end()
    assert not session.inspecting.running
    assert shown(session) == sorted([*found.tolist(), missed])
    (one,) = inspections(project)
    assert one.blind and not one.is_open and 0 <= one.seconds < 60
    assert sorted(one.findings.tolist()) == sorted([int(found[0]), missed])
    state = dict(
        zip(project.boxes.rows(one.slide_id)["id"].tolist(), project.boxes.rows(one.slide_id)["state"], strict=True)
    )
    assert state[int(found[0])] == ReviewState.CONFIRMED and state[int(found[1])] == ReviewState.UNREVIEWED
    said = session.seen.notices[-1]
    assert "1 defect found by both" in said and "2 only by models" in said and "Agreement on finding" in said
    (area,) = project.areas.of(one.slide_id)
    assert area.class_ids == one.class_ids, "what was inspected is complete"


def test_an_inspection_in_which_findings_were_seen_is_not_blind(project: Any, session: Any, found: np.ndarray) -> None:
    session.inspecting.begin(VIEW)
    session.shown.limit(None)
    assert "not blind" in session.seen.notices[-1]
    session.inspecting.end()
    assert not inspections(project)[0].blind


def test_an_inspection_goes_on_after_the_program_ended(project: Any, session: Any, found: np.ndarray) -> None:
    session.inspecting.begin(VIEW)
    drawn = session.editing.draw(200, 200, 220, 220)
    session.set_project(None)
    assert not session.inspecting.running
    again = Project.open(project.path)
    session.set_project(again)
    there = session.inspecting.left_open
    assert there is not None and drawn in shown(session)
    session.inspecting.begin(VIEW)
    assert shown(session) == [drawn]
    session.inspecting.end()
    one = inspections(again)[0]
    assert one.findings.tolist() == [drawn] and not one.blind and one.seconds is None
    session.set_project(None)


def test_the_area_that_is_picked_is_inspected(project: Any, session: Any, found: np.ndarray) -> None:
    area = project.areas.add_drawn([(project.slides[0].id, Region(0, 0, 50, 60))])[0]
    session.declaring.pick(area.id)
    session.inspecting.begin(VIEW)
    there = open_inspection(project)
    assert there is not None and there.outline == area.outline
    session.editing.draw(100, 22, 120, 42)
    session.inspecting.end()
    assert len(inspections(project)[0].boxes) == 0, "what is drawn elsewhere is no part of it"
    assert project.areas.by_id(area.id).class_ids, "it is searched"


def test_one_that_is_given_up_leaves_what_was_drawn(project: Any, session: Any, found: np.ndarray) -> None:
    with pytest.raises(InputError, match="No inspection"):
        session.inspecting.end()
    session.inspecting.begin(VIEW)
    drawn = session.editing.draw(200, 200, 220, 220)
    session.inspecting.give_up()
    assert inspections(project) == [] and drawn in shown(session)
    assert "1 finding drawn in it stay" in session.seen.notices[-1]
