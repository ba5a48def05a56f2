"""A project is a data set: what was confirmed, drawn and rejected on its slides."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from learning_toys import draw
from PIL import Image

from microscope_qc.cli import main
from microscope_qc.core.boxes import ReviewState, coordinates, make_rows
from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.datasets.crops import CropSampler
from microscope_qc.ml.datasets.parts import DataPart, divide
from microscope_qc.project import Project
from microscope_qc.workflows.learning.reading import read_dataset, read_datasets

SMALL = ("--crop", "128", "--tile", "128", "--batch", "4", "--epochs", "1", "--progress", "none")


def test_truth_background_and_what_nobody_has_judged(project: Project) -> None:
    rows = project.boxes.rows(every=True)
    project.close()
    (image,) = run_job(read_dataset(project.path)).images
    drawn_or_confirmed = rows[[0, 2, 6]]
    np.testing.assert_allclose(image.boxes, coordinates(drawn_or_confirmed))
    np.testing.assert_allclose(image.hard_boxes, coordinates(rows[rows["state"] == ReviewState.REJECTED]))
    np.testing.assert_allclose(image.open_boxes, coordinates(rows[[1, 3, 4, 7]]))
    assert image.pixel_size_um == (0.5, 0.5) and image.key.startswith("slide ")


def test_slides_that_nobody_has_looked_at_are_left_out_and_named(project: Project, tmp_path: Path) -> None:
    for number in (2, 3, 4):
        Image.new("RGB", (90, 80), (number, 120, 90)).save(tmp_path / f"S{number}.png")
    ids = [project.slides.add(tmp_path / f"S{number}.png").id for number in (2, 3, 4)]
    project.areas.declare(ids[1], [(0, 0), (0, 90), (80, 90), (80, 0)], [cls.id for cls in project.classes])
    project.boxes.add(ids[2], make_rows(1, class_id=[project.classes[0].id], y0=[5], x0=[5], y1=[20], x1=[20]))
    project.close()
    (tmp_path / "S4.png").unlink()
    data = run_job(read_dataset(project.path))
    assert [image.path.name for image in data.images] == ["S1.png", "S3.png"]
    assert data.left_out.pictures["S2"] == "nothing is confirmed, drawn or declared complete"
    assert set(data.left_out.pictures) == {"S2", "S4"}
    assert data.background == 1, "the slide that was declared complete"


def test_slides_of_a_specimen_are_never_in_two_parts(tmp_path: Path) -> None:
    paths = []
    for number in range(8):
        picture, _ = draw(number)
        Image.fromarray(picture).save(tmp_path / f"S{number}.png")
        paths.append(tmp_path / f"S{number}.png")
    with Project.create(tmp_path / "cell.mqc", slides=paths) as project:
        for slide in project.slides:
            project.boxes.add(
                slide.id, make_rows(1, class_id=[project.classes[0].id], y0=[10], x0=[10], y1=[30], x1=[30])
            )
            project.fields.set({slide.id: {"specimen": f"cell {slide.id % 4}"}})
    data = run_job(read_dataset(tmp_path / "cell.mqc"))
    parts = divide(data, {DataPart.VALIDATION: 0.25}, seed=1).parts
    groups = [{image.group for image in part.images} for part in parts.values()]
    assert not set.intersection(*groups) and sum(len(group) for group in groups) == 4


def test_pieces_of_a_large_slide_are_those_of_the_whole(project: Project) -> None:
    project.close()
    data = run_job(read_dataset(project.path))
    settings = {"side": 128, "model_um": 1.0, "seed": 3, "stride_px": 64}
    whole, pieces = CropSampler(data, **settings), CropSampler(data, **settings, most_bytes=1000)
    assert whole._images.load(0).pixels is not None and pieces._images.load(0).pixels is None
    for one, other in zip(whole.batch(0, 6), pieces.batch(0, 6), strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes)
        assert np.abs(one.pixels.astype(int) - other.pixels).mean() < 12  # noise: the worst case for resampling


def test_what_was_rejected_is_seen_more_often_than_other_background(project: Project) -> None:
    project.close()
    data = run_job(read_dataset(project.path))
    sampler = CropSampler(data, side=64, model_um=None, seed=5, stride_px=64)
    owners, row = sampler._hard[0]
    assert (owners, row) == (0, 0) and len(sampler._hard) == 1
    (hard,) = data.images[0].hard_boxes
    middle, rng = (hard[:2] + hard[2:]) / 2, np.random.default_rng(1)
    calls = []
    cut = sampler._cut
    sampler._cut = lambda image, start, scale: calls.append((start, scale)) or cut(image, start, scale)
    for _ in range(400):
        sampler._draw(rng, rng)
    seen = np.mean([(start < middle).all() and (start + 64 / scale > middle).all() for start, scale in calls])
    assert seen > 0.1  # by chance about 64 x 64 of 400 x 600


def test_a_rejection_that_does_not_say_that_nothing_is_there_teaches_nothing(project: Project) -> None:
    rows = project.boxes.rows()
    rejected = rows["id"][rows["state"] == ReviewState.REJECTED]
    assert len(rejected)
    project.boxes.edit(rejected, state=ReviewState.REJECTED, reason="duplicate")
    project.close()
    (image,) = run_job(read_dataset(project.path)).images
    assert not len(image.hard_boxes)
    left_aside = {tuple(box) for box in image.open_boxes.tolist()}
    assert {tuple(box) for box in coordinates(rows[rows["state"] == ReviewState.REJECTED]).tolist()} <= left_aside


def test_projects_without_anything_judged_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (80, 80)).save(tmp_path / "S.png")
    Project.create(tmp_path / "empty.mqc", slides=[tmp_path / "S.png"]).close()
    with pytest.raises(ModelError, match="Nothing in empty is confirmed or drawn"):
        run_job(read_dataset(tmp_path / "empty.mqc"))
    with pytest.raises(ModelError, match="no data set"):
        run_job(read_datasets([]))


def test_a_model_is_trained_from_several_projects(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(draw(3, size=400)[0]).save(tmp_path / "T.png")
    with Project.create(tmp_path / "more.mqc", slides=[tmp_path / "T.png"]) as more:
        more.slides.set_pixel_size(more.slides[0].id, 0.5)
        acp = more.classes[0].id
        more.boxes.add(
            more.slides[0].id,
            make_rows(6, class_id=[acp] * 6, y0=np.arange(6) * 60, x0=[9] * 6, y1=np.arange(6) * 60 + 30, x1=[39] * 6),
        )
    project.close()
    projects = [str(project.path), str(tmp_path / "more.mqc")]
    assert main(["train", *projects, "--network", "ssd-tiny", "--out", str(tmp_path / "m"), *SMALL]) == 0
    card = json.loads((tmp_path / "m" / "model.json").read_text(encoding="utf-8"))
    assert card["classes"][0] == "ACP" and card["pixel_size_um"] == 0.5
    assert card["trained_on"] == "cell.mqc and more.mqc"
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "m"), str(tmp_path / "more.mqc"), "--json", "--progress", "none"]) == 0
    assert json.loads(capsys.readouterr().out)["truth"] == 6
