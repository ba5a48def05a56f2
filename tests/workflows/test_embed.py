"""Features of a project's slides: kept in the user's cache folder, and made anew for a slide that has changed."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from feature_toys import blurred, trunk

from microscope_qc.core.cache_folder import cache_folder
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.features.room import features_folder
from microscope_qc.project import Project
from microscope_qc.workflows.intake.changes import accept
from microscope_qc.workflows.scenes import open_scene
from microscope_qc.workflows.suggestions.embedding import embed_project, embed_slide
from microscope_qc.workflows.suggestions.stores import store_of


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MICROSCOPE_QC_CACHE", str(tmp_path / "cache"))
    for number in (1, 2):
        cv2.imwrite(str(tmp_path / f"S{number}.png"), blurred((160, 200), seed=number))
    with Project.create(tmp_path / "p.mqc", slides=[tmp_path / "S1.png", tmp_path / "S2.png"]) as made:
        yield made


def stores() -> set[str]:
    return {folder.name for folder in features_folder().iterdir()}


def test_features_are_computed_once_and_shared_by_projects(project: Project, tmp_path: Path) -> None:
    done = run_job(embed_project(project))
    assert [one.slide.name for one in done.slides] == ["S1", "S2"] and not done.left_out
    assert features_folder() == cache_folder() / "features" and len(stores()) == 2
    files = {path: path.stat().st_mtime_ns for path in features_folder().rglob("*.safetensors")}
    assert sum(path.stat().st_size for path in files) > sum(one.nbytes for one in done.slides) > 0
    (tmp_path / "elsewhere").mkdir()
    copy = shutil.copy(tmp_path / "S2.png", tmp_path / "elsewhere" / "other.png")
    with Project.create(tmp_path / "q.mqc", slides=[Path(copy)]) as other:
        again = run_job(embed_project(other))
    assert again.slides[0].folder == done.slides[1].folder
    assert {path: path.stat().st_mtime_ns for path in features_folder().rglob("*.safetensors")} == files
    assert not list(project.path.rglob("*.safetensors"))


def test_only_the_slides_asked_for(project: Project) -> None:
    done = run_job(embed_project(project, slide_ids=[project.slides[1].id]))
    assert [one.slide.name for one in done.slides] == ["S2"] and len(stores()) == 1


def test_a_slide_that_changed_is_embedded_anew(project: Project, tmp_path: Path) -> None:
    before = run_job(embed_project(project)).slides[0].folder
    cv2.imwrite(str(tmp_path / "S1.png"), blurred((160, 200), seed=9))
    refused = run_job(embed_project(project))
    assert [left.slide for left in refused.left_out] == ["S1"] and "changed" in str(refused.left_out[0].error)
    run_job(accept(project, project.slides[0].id))
    after = run_job(embed_project(project)).slides[0].folder
    assert after != before and len(stores()) == 3


def test_pixel_size_and_orientation_belong_to_the_key(project: Project) -> None:
    keys = set()

    def take() -> None:
        record = project.slides[0]
        with open_scene(record) as whole:
            keys.add(store_of(record, whole).key)

    take()
    project.slides.set_pixel_size(project.slides[0].id, 0.3)
    take()
    project.slides.set_pixel_size(project.slides[0].id, 0.45)
    take()
    project.slides.set_pixel_size(project.slides[0].id, 5.0)
    take()
    assert len(keys) == 3, "a slide coarser than the network is read as it is"


def test_features_from_before_the_content_was_known_are_found(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slide = project.slides[0]
    assert slide.content
    unknown = replace(slide, content="")
    with open_scene(slide) as whole:
        early = store_of(unknown, whole)
        run_job(embed_slide(unknown, trunk()))
        assert store_of(slide, whole).key == early.key
        newest = early.begun_ns + 1_000_000_000
        os.utime(tmp_path / "S1.png", ns=(newest, newest))
        assert store_of(slide, whole).key != early.key, "the file is younger than its features"


def test_nothing_is_written_into_a_project_that_another_program_owns(project: Project) -> None:
    with Project.open(project.path, write=False) as reader:
        assert len(run_job(embed_project(reader)).slides) == 2
    assert np.all([len(project.boxes.rows(slide.id)) == 0 for slide in project.slides])
