"""The picture under the findings is replaced while the window shows it: it is said, and results wait for the user."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from microscope_qc.core.errors import ChangedSlideError
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.workflows.intake.changes import last_earlier_finding

if TYPE_CHECKING:
    from window_driver import User

pytestmark = [pytest.mark.window, pytest.mark.story, pytest.mark.timeout(600)]


def test_a_replaced_picture(user: User, tmp_path: Path) -> None:
    from microscope_qc.app.widgets.export_kinds import writing
    from microscope_qc.workflows.exports import export_named

    window, session = user.window, user.session
    picture = np.random.default_rng(4).integers(60, 200, (900, 1300), np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    with Project.create(tmp_path / "cell.mqc", slides=[tmp_path / "a.png"]) as made:
        made.slides.set_pixel_size(1, 0.5)
    window.navigator.open_paths([tmp_path / "cell.mqc"])
    user.wait_until(lambda: session.project is not None, "the project")
    user.wait_for_slide()
    project = session.project
    assert project is not None
    box = user.draw_box(200, 300, 260, 400)
    user.wait_until(lambda: project.settings.get("file:1") is not None, "the file to be compared")
    before = session.mosaic
    Image.fromarray(picture[::-1]).save(tmp_path / "a.png")
    user.wait_until(window.offers.bar.isVisible, "the window to notice")
    assert "The file of the slide a has changed" in window.offers.bar.text
    dock = window.docks["slides"].build()
    user.wait_until(lambda: "its file has changed" in said(dock), "the list to say it")
    user.wait_until(lambda: session.mosaic is not None and session.mosaic is not before, "the new picture")

    report = tmp_path / "r.html"
    with pytest.raises(ChangedSlideError) as refused:
        run_job(writing(project.path, report, export_named("report")))
    window.errors.take(refused.value)
    user.wait_until(window.message_bar.isVisible, "the question")
    assert "Compare them first" in window.message_bar.text and not report.exists()

    user.click(window.message_bar._offer)
    user.wait_until(lambda: project.history.undo_title == "Accept the changed file of a", "the step in the history")
    user.wait_until(lambda: "1 finding" in said(dock), "the list to say it no more")
    run_job(writing(project.path, report, export_named("report")))
    assert report.exists()
    later = user.draw_box(400, 300, 460, 400)
    assert box <= last_earlier_finding(project, project.slides[0]) < later
    card = window.docks["card"].build()
    session.selection.set([box])
    user.wait_until(lambda: "earlier version" in card._found_by.text(), "the card to say it")
    session.selection.set([later])
    user.wait_until(lambda: "earlier version" not in card._found_by.text(), "the card of the new one")
    session.set_project(None)


def said(dock: object) -> str:
    from microscope_qc.app.panels.slides.model import SECOND_LINE

    model = dock.model  # type: ignore[attr-defined]
    return str(model.data(model.index(0, 0), SECOND_LINE))
