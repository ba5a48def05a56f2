"""Boxes stay on their defects, whether a slide was added upright or as it is stored."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import tifffile

from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.slides import content
from microscope_qc.workflows.conversion.child import convert_in_child, read_copy
from microscope_qc.workflows.intake.adding import add_slides
from microscope_qc.workflows.intake.identity import located_facts
from microscope_qc.workflows.scenes import open_scene


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture that is stored lying on its side, with a dark mark at x 100-120, y 20-30 as it is stored."""
    pixels = np.full((80, 160), 200, np.uint8) + np.random.default_rng(1).integers(0, 20, (80, 160), np.uint8)
    pixels[20:30, 100:120] = 30
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, pixels, extratags=[(274, 3, 1, 6, True)])
    return path


STORED, UPRIGHT = Region(20, 100, 30, 120), Region(100, 50, 120, 60)


def add_old(folder: Path, picture: Path) -> Path:
    """A project of the time when pictures were shown as they are stored."""
    from microscope_qc.project.scenes import read_facts

    with Project.create(folder) as project:
        project.slides.add_scenes(read_facts(picture, orientation=1))
    with contextlib.closing(sqlite3.connect(folder / "project.sqlite")) as connection:
        for table in ("model_in_use", "spectra", "measurement_links", "measurements", "standards"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("ALTER TABLE slides DROP COLUMN orientation")
        connection.execute("ALTER TABLE areas DROP COLUMN drawn")
        connection.execute("ALTER TABLE marks DROP COLUMN is_check")
        connection.execute("UPDATE meta SET value = '4' WHERE key = 'schema_version'")
        connection.commit()
    return folder


def mark_is_at(project: Project, place: Region) -> bool:
    with open_scene(project.slides[0]) as mosaic:
        assert mosaic.shape == project.slides[0].shape_px
        return bool((mosaic.read(place) == 30).all())


@pytest.fixture(params=[True, False], ids=["read whole", "not read whole"])
def known_whole(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(content, "SMALL_BYTES", 0)


@pytest.mark.usefixtures("known_whole")
def test_new_slides_are_upright_and_older_ones_stay_as_they_were(tmp_path: Path, picture: Path) -> None:
    with Project.create(tmp_path / "new.mqc", slides=[picture]) as project:
        slide = project.slides[0]
        assert (slide.orientation, slide.shape_px, slide.stored_shape_px) == (6, (160, 80), (80, 160))
        assert mark_is_at(project, UPRIGHT)
    with Project.open(add_old(tmp_path / "old.mqc", picture)) as project:
        assert project.slides[0].orientation == 1 and mark_is_at(project, STORED)
        again = run_job(add_slides(project, [picture]))
        assert again.plan.there == 1 and not again.plan.left_out and len(project.slides) == 1
        assert mark_is_at(project, STORED)


@pytest.mark.usefixtures("known_whole")
@pytest.mark.parametrize("old", [False, True])
def test_a_slide_that_was_moved_is_turned_as_before(tmp_path: Path, picture: Path, old: bool) -> None:
    folder, place = tmp_path / "a.mqc", STORED if old else UPRIGHT
    if old:
        add_old(folder, picture)
    else:
        Project.create(folder, slides=[picture]).close()
    moved = shutil.move(picture, tmp_path / "moved.tif")
    with Project.open(folder) as project:
        assert project.slides[0].missing
        facts = run_job(located_facts(project.slides[0], Path(moved)))
        project.slides.relocate(project.slides[0].id, facts.path, facts=facts)
        assert mark_is_at(project, place)


@pytest.mark.usefixtures("known_whole")
@pytest.mark.parametrize("old", [False, True])
def test_the_fast_copy_shows_what_the_slide_shows(tmp_path: Path, picture: Path, old: bool) -> None:
    folder, place = tmp_path / "a.mqc", STORED if old else UPRIGHT
    if old:
        add_old(folder, picture)
    else:
        Project.create(folder, slides=[picture]).close()
    out = tmp_path / "copy.ome.zarr"
    with Project.open(folder) as project:
        slide = project.slides.set_pixel_size(project.slides[0].id, (0.4, 0.5))
        facts = run_job(convert_in_child(slide, out))
        assert facts.pixel_size_um == (0.4, 0.5) and read_copy(out, slide) == facts
        project.slides.relocate(slide.id, out, facts=facts)
        assert project.slides[0].orientation == 1 and mark_is_at(project, place)
        project.history.undo()
        assert mark_is_at(project, place)
        picture.rename(tmp_path / "gone.tif")
    with Project.open(folder) as project:  # and when it is the copy that is found again
        assert project.slides[0].missing
        run_job(add_slides(project, [out]))
        assert len(project.slides) == 1 and mark_is_at(project, place)


def test_a_run_looks_at_the_slide_as_it_was_turned(tmp_path: Path, picture: Path) -> None:
    from microscope_qc.project.runs.plan import RunPlan

    with Project.create(tmp_path / "new.mqc", slides=[picture]) as project:
        run = project.runs.start(project.slides[0].id, RunPlan())
        assert run.plan.slide is not None and run.plan.slide.orientation == 6
