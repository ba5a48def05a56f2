"""A project with a small coloured slide and boxes of every state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from microscope_qc.core.boxes import make_rows
from microscope_qc.project import Project


def fill(project: Project) -> None:
    """Add eight boxes: found and drawn, of every state, three chosen (one of them rejected)."""
    slide = project.slides[0]
    rows = make_rows(8)
    ids = [cls.id for cls in project.classes]
    rows["class_id"] = [ids[i] for i in (0, 0, 1, 2, 3, 3, 4, 8)]
    rows["y0"], rows["x0"] = np.arange(8) * 40 + 10, np.arange(8) * 60 + 20
    rows["y1"], rows["x1"] = rows["y0"] + np.arange(8) * 4 + 6, rows["x0"] + 20
    rows["confidence"] = [0.95, 0.9, np.nan, 0.5, 0.3, 0.8, 0.7, 0.6]
    rows["state"] = [1, 0, 0, 0, 0, 2, 1, 0]
    rows["chosen"] = [True, False, True, False, False, True, False, False]
    rows["note"][2] = '<script>alert("x")</script> =1+1'
    rows["reason"][5] = "false positive"
    project.boxes.add(slide.id, rows)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """An open project of one slide of 400 x 600 px at 0.5 um."""
    pixels = np.random.default_rng(1).integers(60, 200, (400, 600, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "S1.png")
    with Project.create(tmp_path / "cell.mqc", slides=[tmp_path / "S1.png"]) as made:
        made.slides.set_pixel_size(made.slides[0].id, 0.5)
        fill(made)
        yield made
