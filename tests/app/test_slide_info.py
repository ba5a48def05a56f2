"""What the window says about a slide's file and its pixel size."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QLabel

from microscope_qc.app.dialogs.slide import PixelSizeDialog, SlideInfoDialog
from microscope_qc.app.session.pixels import open_mosaic
from microscope_qc.app.session.session import Session
from microscope_qc.project import Project
from microscope_qc.project.scenes import read_facts

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot


@pytest.mark.parametrize(
    ("orientation", "size", "words"),
    [(None, "60 × 90 px", "turned by 90° to the right, as its file says"), (1, "90 × 60 px", "as it is stored, since")],
)
def test_how_the_picture_is_turned(
    tmp_path: Path, qtbot: QtBot, orientation: int | None, size: str, words: str
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((60, 90), np.uint8), extratags=[(274, 3, 1, 6, True)])
    with Project.create(tmp_path / "a.mqc") as project:
        slide = project.slides.add_scenes(read_facts(path, orientation=orientation))
        session = SimpleNamespace(slide=slide, mosaic=open_mosaic(slide))
        dialog = SlideInfoDialog(session)  # type: ignore[arg-type]
        qtbot.addWidget(dialog)
        texts = [label.text() for label in dialog.findChildren(QLabel)]
    assert size in texts and any(text.startswith(words) for text in texts)


def test_pixels_that_are_not_square_are_not_made_square_unseen(tmp_path: Path, qtbot: QtBot) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((60, 90), np.uint8))
    project = Project.create(tmp_path / "a.mqc", slides=[tmp_path / "a.tif"])
    project.slides.set_pixel_size(project.slides[0].id, (0.4, 0.5))
    session = Session()
    session.set_project(project)
    dialog = PixelSizeDialog(session, None)
    qtbot.addWidget(dialog)
    assert dialog.number.number() is None and dialog.number.problem()
    dialog.number.setValue(0.3)
    dialog.number.typed.emit()
    assert "not square" in " ".join(label.text() for label in dialog.findChildren(QLabel))
    session.set_project(None)
