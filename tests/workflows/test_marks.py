"""Marks get their stage positions from text and SEM pictures, and their exact places from the slide."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from microscope_qc.cli import main
from microscope_qc.core.errors import ExchangeError, InputError
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.workflows.stage.marks import exact_place, keep_positions, move_to, pasted_positions
from microscope_qc.workflows.stage.sem_pictures import keep_pictures, read_sem_picture, read_sem_pictures

REAL = Path(os.environ.get("MICROSCOPE_QC_DATA", "")) / "stage" / "sem-tiff"
ZEISS, FEI = REAL / "test_tiff_Zeiss_SEM_1k.tif", REAL / "FEI-Helios-Ebeam-8bits.tif"
needs_data = pytest.mark.skipif(not ZEISS.is_file(), reason="needs the real data: set MICROSCOPE_QC_DATA")


@pytest.fixture
def marked(tmp_path: Path) -> Iterator[Project]:
    """A slide with the corner of a square at y 150, x 220, and the marks M1 (6 px off that), M2 and M10 (elsewhere)."""
    pixels = np.random.default_rng(1).normal(90, 5, (400, 500))
    pixels[150:260, 220:330] += 100
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(tmp_path / "S1.png")
    with Project.create(tmp_path / "cell.mqc", slides=[tmp_path / "S1.png"]) as made:
        made.slides.set_pixel_size(made.slides[0].id, 0.5)
        for name, y, x in (("M1", 154, 216), ("M2", 60, 60), ("M10", 350, 60)):
            made.marks.add(made.slides[0].id, name, y, x)
        yield made


def stage(project: Project) -> dict[str, tuple[float | None, float | None]]:
    return {mark.name: (mark.stage_x_mm, mark.stage_y_mm) for mark in project.marks}


def fei_picture(path: Path, x_mm: float, y_mm: float, *, shift: float = 0.0, tilt: float = 0.0) -> Path:
    """A picture with tags as FEI writes them."""
    lines = [
        "[User]", "User=u", "", "[Beam]", f"BeamShiftX={shift}", "BeamShiftY=0", "", "[Scan]", "PixelWidth=1e-08",
        "PixelHeight=1e-08", "", "[Stage]", f"StageX={x_mm / 1000!r}", f"StageY={y_mm / 1000!r}", f"StageT={tilt}",
    ]  # fmt: skip
    tag = (34682, 2, 0, "\r\n".join(lines), True)
    tifffile.imwrite(path, np.zeros((100, 200), np.uint8), extratags=[tag], metadata=None)
    return path


def test_pasted_lines_go_to_the_marks_they_name_or_follow_each_other(marked: Project) -> None:
    first, second, third = (mark.id for mark in marked.marks)
    marks = list(marked.marks)
    assert pasted_positions(marks, "m10; 1,5; 2,5\n3 4\n5 6") == {third: (1.5, 2.5), first: (3, 4), second: (5, 6)}
    assert pasted_positions(marks, "3 4", start=1) == {second: (3, 4)}
    for text, problem in (("M7 1 2", "no mark “M7”"), ("1 2\n3 4", "more positions"), ("none", "no position")):
        with pytest.raises(InputError, match=problem):
            pasted_positions(marks, text, start=2)
    keep_positions(marked, {first: (1, 2), third: (3, 4)})
    assert stage(marked) == {"M1": (1, 2), "M2": (None, None), "M10": (3, 4)}
    assert marked.history.undo_title == "Stage positions of 2 marks"
    marked.history.undo()
    assert stage(marked)["M10"] == (None, None)


def test_a_mark_snaps_to_the_corner_near_it(marked: Project) -> None:
    slide, mark = marked.slides[0], marked.marks[0]
    place = exact_place(slide, mark)
    assert place == pytest.approx((150, 220), abs=0.5)
    assert move_to(marked, mark, place) == pytest.approx(5.7, abs=0.5)
    assert (marked.marks[0].y_px, marked.marks[0].x_px) == pytest.approx((150, 220), abs=0.5)
    assert marked.history.undo_title == "Snap mark M1"
    with pytest.raises(InputError, match="no corner, crossing or indent within 15 µm of M2"):
        exact_place(slide, marked.marks[1])
    with pytest.raises(InputError, match=r"within 4 µm"):
        exact_place(slide, marked.marks[1], radius_um=1.0)  # 8 px are the least


def test_pictures_are_named_after_their_marks(marked: Project, tmp_path: Path) -> None:
    paths = [fei_picture(tmp_path / f"cell_{name}_500x.tif", x, 2) for name, x in (("M10", 1), ("m1", 3))]
    found = run_job(read_sem_pictures(paths, list(marked.marks)))
    assert found.problems == () and [p.field_um for p in found.pictures] == [pytest.approx((2, 1))] * 2
    assert sorted(keep_pictures(marked, found)) == ["M1", "M10"]
    assert stage(marked) == {"M1": (pytest.approx(3), 2), "M2": (None, None), "M10": (1, 2)}
    marked.history.undo()
    assert stage(marked)["M1"] == (None, None)


def test_what_pictures_do_not_say_is_not_taken(marked: Project, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "M1.png")
    marks = list(marked.marks)
    with pytest.raises(ExchangeError, match="M1.png does not say where on the stage"):
        read_sem_picture(tmp_path / "M1.png", marks)
    picture = fei_picture(tmp_path / "M2.tif", 1, 2, shift=1e-6, tilt=0.2)
    assert [note[:12] for note in read_sem_picture(picture).notes] == ["The beam was", "The stage wa"]
    others = [fei_picture(tmp_path / name, 1, 2) for name in ("a.tif", "M2 again.tif", "M1 and M2.tif")]
    for paths, problem in (
        ([tmp_path / "M1.png"], "does not say"),
        ([others[0]], "a.tif is named after no mark"),
        ([others[2]], "named after no mark"),
        ([picture, others[1]], "Two of the pictures"),
    ):
        with pytest.raises(InputError, match=problem):
            keep_pictures(marked, run_job(read_sem_pictures(paths, marks)))
    assert set(stage(marked).values()) == {(None, None)}


@needs_data
def test_real_pictures_say_what_their_tags_say() -> None:
    with tifffile.TiffFile(ZEISS) as file:
        tags = file.sem_metadata
        assert tags is not None
        x, y = tags["ap_stage_at_x"][1], tags["ap_stage_at_y"][1]
        width_um = tags["ap_image_pixel_size"][1] * file.pages[0].shape[1]
    found = read_sem_picture(ZEISS)
    assert found.stage_mm == pytest.approx((x, y)) == (75.6442, 60.4901) and found.source == "Zeiss SEM"
    assert found.field_um is not None and found.field_um[0] == pytest.approx(width_um, rel=0.01)
    assert found.notes == ()
    with tifffile.TiffFile(FEI) as file:
        tags = file.fei_metadata
        assert tags is not None
        metres = tags["Stage"]["StageX"], tags["Stage"]["StageY"]
        field = tags["Scan"]["HorFieldsize"] * 1e6
    found = read_sem_picture(FEI)
    assert found.stage_mm == pytest.approx((metres[0] * 1000, metres[1] * 1000))
    assert found.field_um is not None and found.field_um[0] == pytest.approx(field, rel=0.001)


def test_the_commands(marked: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    marked.close()
    cell, pictures = str(marked.path), [str(fei_picture(tmp_path / f"{name}.tif", 1.5, 2)) for name in ("M1", "M2")]
    assert main(["marks", cell, "pictures", *pictures]) == 0
    told = capsys.readouterr().out
    assert "M1: 1.5000, 2.0000 mm (M1.tif)" in told and "Stage positions of 2 marks." in told
    assert main(["marks", cell, "snap", "M1", "--radius", "10"]) == 0
    assert capsys.readouterr().out == "Snap mark M1.\n"
    assert main(["marks", cell, "snap", "M2"]) == 2
    assert main(["marks", cell, "pictures", pictures[0], pictures[0]]) == 2
    with Project.open(marked.path, write=False) as again:
        assert stage(again)["M2"] == (1.5, 2) and again.marks[0].y_px == pytest.approx(150, abs=0.5)
