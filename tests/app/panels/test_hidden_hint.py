"""The status bar says what does not count, and one click lets it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from panels_support import findings

from microscope_qc.app.widgets.hidden_hint import HiddenHint
from microscope_qc.core.boxes import make_rows
from microscope_qc.project.runs.plan import RunPlan


@pytest.fixture
def hint(session: Any, qtbot: Any) -> HiddenHint:
    made = HiddenHint(session)
    qtbot.addWidget(made)
    return made


def test_what_switched_off_detections_hide_is_counted_and_shown_by_one_click(
    hint: HiddenHint, session: Any, project: Any, qtbot: Any
) -> None:
    before = len(session.shown_rows())
    assert hint.isHidden()
    slide = session.slide.id
    rows = findings(project.classes, count=7, seed=5)
    first, second, third = (project.runs.start(slide, RunPlan(model="m")) for _ in range(3))
    ids = project.runs.add_findings(first.id, rows[:5])
    project.runs.add_findings(second.id, rows[3:])
    far = make_rows(1, class_id=project.classes[0].id, y0=2.0, x0=2.0, y1=6.0, x1=6.0, confidence=0.9)
    project.runs.add_findings(third.id, far)
    session.judging.confirm(ids[:1])
    session.judging.set_note(ids[1:2], "odd")
    for run in (first, third):
        project.runs.show(run.id, False)
    qtbot.waitUntil(lambda: "2 findings hidden by switched-off" in hint.runs.text())
    assert not hint.runs.isHidden() and hint.limit.isHidden()
    assert np.isin(ids[:2], session.shown_rows()["id"]).all(), "what a user said something of is never hidden"
    steps = len(project.history.entries())
    hint.runs.click()
    assert len(session.shown_rows()) == before + 8 and len(project.history.entries()) == steps + 1
    assert hint.isHidden()
    session.undoing.undo()
    assert len(session.shown_rows()) == before + 6


def test_what_is_below_the_limit_is_counted_and_shown_by_one_click(
    hint: HiddenHint, session: Any, project: Any, qtbot: Any
) -> None:
    run = project.runs.start(session.slide.id, RunPlan(model="m"))
    rows = findings(project.classes, count=7, seed=5)
    project.runs.add_findings(run.id, rows)
    session.set_confidence_limit(0.5)
    weak = sum(not confidence >= 0.5 for confidence in session.table.rows["confidence"].tolist())
    assert weak > 3
    qtbot.waitUntil(lambda: f"{weak} below 0.50" in hint.limit.text())
    assert hint.runs.isHidden()
    total = len(session.shown_rows())
    hint.limit.click()
    assert len(session.shown_rows()) == total + weak and hint.isHidden()
    session.undoing.undo()
    assert session.inclusion.confidence_limit == 0.5
