"""Severity in the window: its order of the gallery, its parts on the card, and the dialog that keeps the profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("qtpy")

from microscope_qc.app.base.jobs import JobRunner
from microscope_qc.app.dialogs.severity import SeverityDialog
from microscope_qc.app.panels.finding.panel import FindingDock
from microscope_qc.workflows.review.severity import kept_profile, profile_of, slide_severities

pytestmark = pytest.mark.window


def test_the_gallery_goes_by_it_and_the_card_says_of_what_it_is_made(qtbot: Any, session: Any) -> None:
    project, slide = session.project, session.slide
    rows, found = slide_severities(project, slide.id)
    session.findings.set_order("severity")
    ordered = rows["id"][np.lexsort((rows["id"], -found.total))]
    assert session.findings.order_ids().tolist() == ordered.tolist()
    card = FindingDock(session)
    qtbot.addWidget(card)
    card.show()
    session.selection.set(ordered[:1])
    place = int(np.flatnonzero(rows["id"] == ordered[0])[0])
    qtbot.waitUntil(lambda: card._severity.text().startswith(f"{found.total[place]:.0f}: class"))
    assert "size" in card._severity.text() and "crowding" in card._severity.text()


def test_a_profile_is_kept_with_limits_and_medians_and_the_gallery_follows(
    qtbot: Any, session: Any, tmp_path: Path
) -> None:
    project = session.project
    session.findings.set_order("severity")
    jobs = JobRunner()
    dialog = SeverityDialog(session, jobs)
    qtbot.addWidget(dialog)
    dialog.parts["size"].setValue(0.0)
    dialog.parts["crowding"].setValue(0.0)
    dialog.parts["anomaly"].setValue(0.0)
    dialog.accept()
    assert "not all 0" in dialog.words.text() and kept_profile(project) is None
    dialog.parts["size"].setValue(1.0)
    wrong = tmp_path / "limits.csv"
    wrong.write_text("class,largest_um\nACP,much\n", encoding="utf-8")
    dialog.use_limits(wrong)
    assert "line 2" in dialog.words.text()
    wrong.write_text("class,largest_um\nall,12\n", encoding="utf-8")
    dialog.use_limits(wrong)
    with qtbot.waitSignal(dialog.accepted):
        dialog.accept()
    profile = profile_of(project)
    assert (profile.size, profile.crowding) == (1.0, 0.0) and set(profile.limits_um.values()) == {12.0}
    assert profile.medians_um and project.history.undo_title == "Keep the profile of severity"
    rows, found = slide_severities(project, session.slide.id)
    ordered = rows["id"][np.lexsort((rows["id"], -found.total))]
    qtbot.waitUntil(lambda: session.findings.order_ids().tolist() == ordered.tolist())
    jobs.close()
