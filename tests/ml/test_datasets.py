"""Data sets on disk, and crops taken from them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from learning_toys import coco_folder, draw, load_dataset

from microscope_qc.ml.datasets import AnnotatedImage, Dataset, LeftOutOfData
from microscope_qc.ml.datasets.crops import CropSampler
from microscope_qc.ml.datasets.parts import DataPart, divide
from microscope_qc.ml.evaluation.detection import Tally


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coco_folder(tmp_path_factory.mktemp("coco"))


def test_coco(coco: Path) -> None:
    data = load_dataset(coco)
    assert data.classes == ["SQ", "DI"]
    assert len(data.images) == 4
    assert data.counts() == {"SQ": 12, "DI": 12}
    wanted = [box for code, box in draw(0)[1] if code == "SQ"]
    picture = next(p for p in data.images if p.path.name == "p0.png")
    np.testing.assert_allclose(sorted(picture.boxes[picture.labels == 0].tolist()), sorted(wanted))


def test_crops_keep_boxes_on_their_objects(coco: Path) -> None:
    data = load_dataset(coco)
    sampler = CropSampler(data, side=128, model_um=None, seed=5, stride_px=64)
    checked = 0
    for step in range(12):
        for crop in sampler.batch(step, 4):
            assert crop.pixels.shape == (128, 128, 3) and crop.pixels.dtype == np.uint8
            assert (crop.boxes >= 0).all() and (crop.boxes <= 128).all()
            for box, label in zip(crop.boxes, crop.labels, strict=True):
                y0, x0, y1, x1 = np.round(box).astype(int)
                inside = crop.pixels[y0:y1, x0:x1].mean()
                around = np.median(crop.pixels)
                assert inside > around + 15 if label == 1 else inside < around - 15
                checked += 1
    assert checked > 60


def test_crops_are_the_same_for_the_same_step(coco: Path) -> None:
    data = load_dataset(coco)
    first, second = (CropSampler(data, side=64, model_um=None, seed=5, stride_px=64) for _ in range(2))
    first.batch(0, 3)
    for a, b in zip(first.batch(9, 3), second.batch(9, 3), strict=True):
        np.testing.assert_array_equal(a.pixels, b.pixels)
        np.testing.assert_array_equal(a.boxes, b.boxes)


def test_crops_are_the_same_where_not_all_pictures_fit_into_memory(coco: Path) -> None:
    data = load_dataset(coco)
    options = {"side": 64, "model_um": None, "seed": 5, "stride_px": 64}
    held, short = CropSampler(data, **options), CropSampler(data, **options, most_bytes=2.5 * 192 * 192 * 3)
    for step in range(4):
        for a, b in zip(held.batch(step, 4), short.batch(step, 4), strict=True):
            np.testing.assert_array_equal(a.pixels, b.pixels)
            np.testing.assert_array_equal(a.boxes, b.boxes)
    assert len(held._images._held) == 4 and len(short._images._held) == 2


@pytest.mark.parametrize(("size", "side"), [(192, 192), (200, 192), (240, 256), (30, 64), (700, 512)])
def test_crops_are_not_larger_than_the_pictures_need(tmp_path: Path, size: int, side: int) -> None:
    cv2.imwrite(str(tmp_path / "p.png"), np.full((size, size - 20), 99, np.uint8))
    image = AnnotatedImage(tmp_path / "p.png", (size, size - 20), np.array([[1.0, 1, 9, 9]]), np.array([0]))
    assert CropSampler(Dataset(["A"], [image]), side=512, model_um=None, seed=5, stride_px=64).side == side


def test_images_that_fit_are_seen_whole(tmp_path: Path) -> None:
    picture = np.full((180, 200, 3), 120, np.uint8)
    picture[10:40, 150:200] = 20
    cv2.imwrite(str(tmp_path / "p.png"), picture)
    image = AnnotatedImage(tmp_path / "p.png", (180, 200), np.array([[10.0, 150, 40, 200]]), np.array([0]))
    sampler = CropSampler(Dataset(["A"], [image]), side=192, model_um=None, seed=0, stride_px=64)
    sides = []
    for step in range(50):
        for crop in sampler.batch(step, 2):
            (box,) = crop.boxes
            dark = np.argwhere(crop.pixels.mean(axis=2) < 70)
            np.testing.assert_allclose(box, [*dark.min(axis=0), *(dark.max(axis=0) + 1)], atol=2.5)
            sides.append(sorted(box[2:] - box[:2]))
    ratios = np.array(sides) / [30, 50]
    assert ratios.min() >= 0.85 * 0.96 - 1e-6 and ratios.max() <= 0.96 + 1e-6


def test_fingerprint_sees_every_box(coco: Path) -> None:
    data = load_dataset(coco)
    before = data.fingerprint()
    assert before == load_dataset(coco).fingerprint()
    data.images[0].boxes[0, 0] += 1
    assert data.fingerprint() != before


def test_a_defect_cut_by_the_crop_counts_only_where_enough_of_it_is_visible(tmp_path: Path) -> None:
    picture = np.full((128, 512, 3), 120, np.uint8)
    picture[44:84, 100:140] = 20
    cv2.imwrite(str(tmp_path / "p.png"), picture)
    image = AnnotatedImage(tmp_path / "p.png", (128, 512), np.array([[44.0, 100, 84, 140]]), np.array([0]))
    sampler = CropSampler(Dataset(["SQ"], [image]), side=128, model_um=None, seed=0, stride_px=64)
    asked = ignored = 0
    for step in range(200):
        for crop in sampler.batch(step, 4):
            # the shorter side of a square that is cut along one side shows how much of it is visible
            for box in crop.boxes:
                assert min(box[2:] - box[:2]) >= 0.39 * max(box[2:] - box[:2])
            for box in crop.ignore:
                assert min(box[2:] - box[:2]) < 0.41 * max(box[2:] - box[:2])
            asked, ignored = asked + len(crop.boxes), ignored + len(crop.ignore)
    assert asked > 200 and ignored > 5


def judged(folder: Path, *states: tuple[str, float | None]) -> Path:
    """A data set as this program exports it: a slide with one square for each state and score, 60 px apart."""
    picture = np.full((80, 60 * len(states) + 20, 3), 120, np.uint8)
    annotations = []
    for number, (state, score) in enumerate(states):
        x = 60 * number + 20
        picture[20:50, x : x + 30] = 30
        entry = {"id": number + 1, "image_id": 1, "category_id": 1, "bbox": [x, 20, 30, 30]}
        annotations.append(entry | {"attributes": {"state": state}} | ({} if score is None else {"score": score}))
    folder.mkdir()
    cv2.imwrite(str(folder / "s.png"), picture)
    image = {"id": 1, "file_name": "s.png", "height": picture.shape[0], "width": picture.shape[1]}
    document = {"images": [image], "categories": [{"id": 1, "name": "CRK"}], "annotations": annotations}
    (folder / "annotations.json").write_text(json.dumps(document))
    return folder


def test_what_a_user_rejected_is_no_truth(tmp_path: Path) -> None:
    states = [("confirmed", 0.9), ("rejected", 0.8), ("unreviewed", 0.7), ("unreviewed", None), ("rejected", None)]
    data = load_dataset(judged(tmp_path / "d", *states))
    (image,) = data.images
    assert image.boxes[:, 1].tolist() == [20, 200], "what was confirmed, and what was drawn and not rejected"
    assert image.hard_boxes[:, 1].tolist() == [80, 260], "background that was taken for a defect"
    assert image.open_boxes[:, 1].tolist() == [140] and (data.left_out.rejected, data.left_out.unreviewed) == (2, 1)
    assert data.sentences() == [
        "No truth: 2 rejected findings as background and 1 finding of which nobody has said whether it is a defect as "
        "neither defect nor background."
    ]
    assert data.with_classes(["CRK", "GEO"]).left_out == data.left_out
    assert load_dataset(judged(tmp_path / "all", ("confirmed", 0.5))).sentences() == []
    parts = divide(data, {DataPart.VALIDATION: 0.5}, seed=1).parts
    assert [len(part.images[0].open_boxes) for part in parts.values()] == [1, 3], (
        "what reaches into a part is open there"
    )


def test_what_several_sets_leave_out_is_counted_together() -> None:
    first = LeftOutOfData(
        {"p.png": "not found"}, {"no area": 2}, places={"no area": ["a.json, annotation 1"]}, crowds=1
    )
    second = LeftOutOfData({"p.png": "not found"}, {"no area": 1}, files={"b.json": "b.json is damaged."}, rejected=2)
    both = LeftOutOfData.joined([first, second])
    assert both.counts() == {
        "rejected": 2, "unreviewed": 0, "crowds": 1, "boxes": {"no area": 3}, "noted": {}, "pictures": 2, "files": 1,
        "held": {},
    }  # fmt: skip
    assert both.sentences(1)[0] == "2 of 3 pictures left out. p.png, p.png (2): not found."


def test_what_nobody_has_judged_is_left_alone_in_training(tmp_path: Path) -> None:
    data = load_dataset(judged(tmp_path / "d", ("confirmed", 0.9), ("unreviewed", 0.7), ("rejected", 0.7)))
    sampler = CropSampler(data, side=128, model_um=None, seed=5, stride_px=64)
    dark = 0
    for crop in sampler.batch(0, 60):
        places = [box for group in (crop.boxes, crop.ignore) for box in group]
        assert len(crop.boxes) <= 1
        dark += len(crop.ignore)
        for y0, x0, y1, x1 in crop.ignore:
            assert 0 <= y0 < y1 <= 128 and 0 <= x0 < x1 <= 128
        assert len(places) <= 2, "the rejected one is background"
    assert dark > 20


def test_findings_where_nobody_has_judged_do_not_count() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 50, 10, 60], [0, 100, 10, 110]], float)
    found = {"boxes": boxes, "labels": np.zeros(3, int), "confidence": np.array([0.9, 0.8, 0.7])}
    truth = {"truth": boxes[:1], "truth_labels": np.zeros(1, int)}
    plain, spared = Tally(["A"]), Tally(["A"])
    plain.add(**found, **truth)
    spared.add(**found, **truth, still_open=boxes[:2] + 1)
    assert plain.report(confidence=0.5)["precision"] == pytest.approx(1 / 3)
    said = spared.report(confidence=0.5)
    assert said["precision"] == pytest.approx(1 / 2) and said["recall"] == 1, "what hits a true defect counts anyway"
