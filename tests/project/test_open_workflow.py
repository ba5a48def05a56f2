"""Opening a slide means opening its project."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from small_slides import write_slide

from microscope_qc.core.errors import InputError, MicroscopeQCError
from microscope_qc.project import Project
from microscope_qc.workflows import open as opening
from microscope_qc.workflows.open import project_for


@pytest.fixture(autouse=True)
def documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The documents folder of the user."""
    folder = tmp_path / "Documents" / "Microscope QC"
    monkeypatch.setattr(opening, "documents_folder", lambda: folder)
    return folder


def test_a_slide_gets_its_project_once(tmp_path: Path) -> None:
    slide = write_slide(tmp_path / "S1 45.png", seed=1)
    with project_for(slide) as made:
        assert made.path == tmp_path / "S1 45.mqc" and made.slides[0].path == slide and not made.read_only
    with project_for(slide) as again:
        assert again.path == made.path and len(again.slides) == 1
    with project_for(made.path) as itself:
        assert itself.path == made.path


@pytest.mark.parametrize("name", ["a.ome.tif", "a.tif", "a.OME.TIFF"])
def test_the_name_leaves_out_the_format(tmp_path: Path, name: str) -> None:
    picture = write_slide(tmp_path / "x.tif", seed=1)
    slide = picture.rename(tmp_path / name)
    with project_for(slide) as made:
        assert made.path.name == "a.mqc"


def test_a_project_that_is_open_elsewhere_is_read(tmp_path: Path) -> None:
    slide = write_slide(tmp_path / "s.png", seed=1)
    with project_for(slide, program="window") as owner, project_for(slide) as reader:
        assert reader.read_only and reader.owner == owner.owner and reader.owner["program"] == "window"


def test_a_slide_of_the_same_name_gets_a_project_of_its_own(tmp_path: Path) -> None:
    first, second = write_slide(tmp_path / "s.png", seed=1), write_slide(tmp_path / "s.tif", seed=2)
    with project_for(first) as one, project_for(second) as two:
        assert two.path.name == "s (2).mqc"
    with project_for(second) as again:
        assert again.path == two.path
    with project_for(first) as again:
        assert again.path == one.path


def test_a_moved_slide_is_known_by_its_content(tmp_path: Path) -> None:
    slide = write_slide(tmp_path / "s.png", seed=1)
    project_for(slide).close()
    (tmp_path / "new").mkdir()
    moved = slide.rename(tmp_path / "new" / "s.png")
    shutil.move(tmp_path / "s.mqc", tmp_path / "new" / "s.mqc")
    with project_for(moved) as again:
        assert again.path == tmp_path / "new" / "s.mqc" and again.slides[0].path == moved


def test_a_read_only_folder_puts_the_project_into_documents(
    tmp_path: Path, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    slide = write_slide(locked / "s.png", seed=1)
    make = os.mkdir

    def refuse(path: str, *arguments: int, **more: int) -> None:
        if Path(path).parent == locked:
            raise PermissionError(13, "Permission denied", path)
        make(path, *arguments, **more)

    monkeypatch.setattr(os, "mkdir", refuse)  # root may write everywhere
    with project_for(slide) as made:
        assert made.path == documents / "s.mqc" and made.slides[0].path == slide
    with project_for(slide) as again:
        assert again.path == made.path


def test_what_is_not_a_slide_makes_no_project(tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no picture", encoding="utf-8")
    with pytest.raises(MicroscopeQCError):
        project_for(tmp_path / "notes.png")
    with pytest.raises(InputError, match="no file"):
        project_for(tmp_path / "nothing.czi")
    with pytest.raises(MicroscopeQCError, match="no project"):
        project_for(tmp_path / "nothing.mqc")
    assert not list(tmp_path.glob("*.mqc"))


def test_a_damaged_project_is_not_hidden_by_a_new_one(tmp_path: Path) -> None:
    slide = write_slide(tmp_path / "s.png", seed=1)
    project_for(slide).close()
    (tmp_path / "s.mqc" / "project.sqlite").write_bytes(b"spoilt")
    with pytest.raises(MicroscopeQCError, match="damaged"):
        project_for(slide)
    assert [path.name for path in tmp_path.glob("*.mqc")] == ["s.mqc"]


def test_scenes_become_slides_of_their_own(tmp_path: Path, real_data: Path) -> None:
    files = sorted((real_data / "slides").rglob("*.czi"))
    if not files:
        pytest.skip("no CZI there")
    from microscope_qc.slides import open_slide

    for file in files:
        try:
            with open_slide(file) as slide:
                names = [mosaic.name for mosaic in slide.scenes]
        except MicroscopeQCError:
            continue
        if len(names) > 1:
            with Project.create(tmp_path / "several.mqc", slides=[file]) as project:
                assert [record.scene for record in project.slides] == names
                assert len({record.name for record in project.slides}) == len(names)
                assert project.slides.add(file, scene=names[1]) == project.slides[1]
            return
    pytest.skip("no CZI with several scenes there")
