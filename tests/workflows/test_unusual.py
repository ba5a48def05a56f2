"""What is unlike the rest of a slide is found without a label, outlined and described, and goes on after a kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from anomaly_toys import waves

from microscope_qc import api
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.errors import InputError, ModelError
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.workflows.review.severity import ANOMALY, slide_severities
from microscope_qc.workflows.unusual import finding
from microscope_qc.workflows.unusual.describing import AREA, MEAN, describe_unusual
from microscope_qc.workflows.unusual.finding import find_unusual, find_unusual_on, time_words
from microscope_qc.workflows.unusual.learning import learn_normal, model_folder_for

SPOTS = ((160, 170), (350, 500))
SIDE = 640


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a slide that has two odd places, and one that has none."""
    folder = tmp_path_factory.mktemp("unusual")
    for name, seed, spots in (("odd", 8, SPOTS), ("good", 9, ())):
        cv2.imwrite(str(folder / f"{name}.png"), waves(seed, height=SIDE, width=SIDE, spots=spots, side=24))
    with Project.create(folder / "p.mqc", slides=[folder / "odd.png", folder / "good.png"]) as project:
        for slide in project.slides:
            project.slides.set_pixel_size(slide.id, 1.0)
    return folder / "p.mqc"


@pytest.fixture(scope="module")
def found(stored: Path) -> Path:
    """The same after the whole way, which learns in a process of its own and detects in another."""
    said: list[str] = []
    with Project.open(stored) as project:
        odd = project.slides.named("odd")
        steps = []
        job = find_unusual(project, odd.id, tell=said.append)
        try:
            while True:
                steps.append(next(job).note)
        except StopIteration as end:
            result = end.value
        assert result.detection.state == "finished" and result.described >= len(SPOTS)
    assert "learning what is normal" in steps and "takes about" in said[0]
    return stored


def shown(project: Project, slide_id: int) -> np.ndarray:
    rows = project.boxes.rows(slide_id)
    return rows[rows["confidence"] >= 0.5]


def test_odd_places_of_an_unlabelled_slide_are_found_outlined_and_ordered(found: Path) -> None:
    with Project.open(found, write=False) as project:
        odd = project.slides.named("odd")
        rows = shown(project, odd.id)
        assert len(rows) == len(SPOTS)
        for y, x in SPOTS:
            (row,) = rows[(rows["y0"] < y) & (y < rows["y1"]) & (rows["x0"] < x) & (x < rows["x1"])]
            outline = project.outlines.get(int(row["id"]))
            y0, x0, y1, x1 = outline.bounds
            assert y0 < y < y1 and x0 < x < x1 and (y1 - y0) * (x1 - x0) < 100**2
            about = project.attributes.get(int(row["id"]))
            assert 0 < about[ANOMALY] < 1e-4 and about[MEAN] >= 0.5
            assert 0.5 * 24**2 < about[AREA] < 80**2  # a pixel is 1 um wide
        assert project.classes.by_id(int(rows["class_id"][0])).code == "ODD"
        _, severe = slide_severities(project, odd.id, rows["id"])
        assert np.isfinite(severe.parts["anomaly"]).all() and (severe.parts["anomaly"] > 0.5).all()


def test_the_same_call_finds_everything_done(found: Path) -> None:
    with Project.open(found) as project:
        odd = project.slides.named("odd")
        before, runs = project.boxes.rows(odd.id), len(project.runs)
        result = run_job(find_unusual(project, odd.id))
        assert result.described == 0 and len(project.runs) == runs
        assert (project.boxes.rows(odd.id)["id"] == before["id"]).all()


def test_the_interface_for_scripts_gives_it_as_a_table(found: Path) -> None:
    table = api.unusual(found, slides=["odd"])
    assert table["confidence"].is_monotonic_decreasing and (table["confidence"] >= 0.5).sum() == len(SPOTS)
    best = table.iloc[0]
    assert best["slide"] == "odd" and best["p"] < 1e-4 and best["area_um2"] > 0 and best["state"] == "unreviewed"


def test_a_description_that_was_interrupted_is_completed(found: Path) -> None:
    with Project.open(found) as project:
        odd = project.slides.named("odd")
        run = project.runs[0]
        row = shown(project, odd.id)[0]
        number = int(row["id"])
        outline = project.outlines.get(number)
        project.attributes.edit([number], {ANOMALY: None, AREA: None, MEAN: None})
        project.outlines.set(number, None)
        from microscope_qc.ml.cards import read_card

        assert run_job(describe_unusual(project, run.id, read_card(model_folder_for(project, [odd.id])).anomaly)) == 1
        assert project.outlines.get(number) == outline and ANOMALY in project.attributes.get(number)


def test_confirmed_defects_are_not_learned_from(found: Path, tmp_path: Path) -> None:
    with Project.open(found) as project:
        odd = project.slides.named("odd")
        before = model_folder_for(project, [odd.id])
        rows = shown(project, odd.id)
        project.boxes.edit(rows["id"], state=ReviewState.CONFIRMED)
        assert model_folder_for(project, [odd.id]) != before
        card = run_job(learn_normal(project, [odd.id], tmp_path / "m", device="cpu"))
        project.boxes.edit(rows["id"], state=ReviewState.UNREVIEWED)
        assert model_folder_for(project, [odd.id]) == before
        again = run_job(learn_normal(project, [odd.id], tmp_path / "n", device="cpu"))
    assert card.training["places"] < again.training["places"]
    assert card.pixel_size_um == 1.0 and card.trained_on == "What is usual on odd"


def test_the_time_is_that_of_the_whole_slide(found: Path) -> None:
    from microscope_qc.ml.cards import read_card

    with Project.open(found, write=False) as project:
        odd = project.slides.named("odd")
        card = read_card(model_folder_for(project, [odd.id]))
        slow = card.model_copy(update={"training": card.training | {"seconds_per_tile": 20.0}})
        assert time_words(slow, odd) == "Looking at the whole of odd takes about 5:28."


def test_what_good_slides_look_like_is_learned_once_for_all(found: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    again: list[tuple[str, bool]] = []

    def stub(project: Project, slide_id: int, *, learn_again: bool, **_: object) -> Iterator[None]:
        again.append((project.slides.by_id(slide_id).name, learn_again))
        yield from ()

    monkeypatch.setattr(finding, "find_unusual", stub)
    with Project.open(found, write=False) as project:
        numbers = [slide.id for slide in project.slides]
        run_job(find_unusual_on(project, numbers, good=numbers[1:], fresh=True))
        run_job(find_unusual_on(project, numbers, fresh=True))
    assert again == [("odd", True), ("good", False), ("odd", True), ("good", True)]


def test_a_slide_that_is_too_small_is_refused_with_a_sentence(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "tiny.png"), waves(1, height=20, width=20))
    with Project.create(tmp_path / "p.mqc", slides=[tmp_path / "tiny.png"]) as project:
        with pytest.raises(ModelError, match="could not be learned.*too little"):
            run_job(find_unusual(project, project.slides[0].id))
        assert not len(project.runs)


def test_a_project_that_is_only_read_is_refused(found: Path) -> None:
    with Project.open(found, write=False) as project, pytest.raises(InputError, match="reading only"):
        run_job(find_unusual(project, project.slides[0].id))
