"""What is learned from and what is measured on have nothing in common, whatever is added or moved."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from learning_toys import coco_folder

from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.datasets.parts import DataPart, Division, PartTable, divide, read_parts
from microscope_qc.ml.datasets.records import AnnotatedImage, Dataset
from microscope_qc.workflows.learning.train import train

SHARES = {DataPart.VALIDATION: 0.2, DataPart.TEST: 0.15}
GUARD_PX = 40.0


def _image(name: str, shape: tuple[int, int], boxes: np.ndarray, *, group: str = "") -> AnnotatedImage:
    labels = np.arange(len(boxes), dtype=np.int64) % 3
    return AnnotatedImage(Path(name), shape, boxes.reshape(-1, 4).astype(float), labels, group=group)


def _boxes(rng: np.random.Generator, shape: tuple[int, int], count: int, *, largest: int = 30) -> np.ndarray:
    start = rng.uniform(0, np.array(shape) - largest, (count, 2))
    return np.concatenate([start, start + rng.uniform(3, largest, (count, 2))], axis=1)


def _apart(division: Division) -> None:
    """No pixel is in two parts, blocks of two parts are as far apart as asked, and no box is in two."""
    pieces = [(part, image) for part, data in division.parts.items() for image in data.images]
    taken: set[tuple[str, tuple[float, ...]]] = set()
    for number, (part, image) in enumerate(pieces):
        for box in image.boxes:
            assert (image.key, tuple(box)) not in taken
            taken.add((image.key, tuple(box)))
        for other_part, other in pieces[number + 1 :]:
            if other.key != image.key:
                continue
            one, two = np.array(image.area, float), np.array(other.area, float)
            gap = np.maximum(np.maximum(one[:2] - two[2:], two[:2] - one[2:]), 0)
            if part is other_part:
                assert (one[:2] >= two[2:]).any() or (two[:2] >= one[2:]).any()
            else:
                assert gap.max() >= GUARD_PX - 1


@given(seed=st.integers(0, 10_000), slides=st.integers(1, 3), boxes=st.integers(0, 60), moved=st.integers(0, 20))
def test_no_pixel_is_in_two_parts_also_with_moved_boxes(seed: int, slides: int, boxes: int, moved: int) -> None:
    rng = np.random.default_rng(seed)
    shapes = [(int(rng.integers(500, 1500)), int(rng.integers(500, 1500))) for _ in range(slides)]
    images = [_image(f"s{n}", shape, _boxes(rng, shape, boxes)) for n, shape in enumerate(shapes)]
    data = Dataset(["A", "B", "C"], images)
    try:
        before = divide(data, SHARES, seed=seed, guard_px=GUARD_PX)
    except ModelError:
        return  # too small to hold anything out
    _apart(before)
    part_of = {
        (image.key, tuple(b)): part for part, d in before.parts.items() for image in d.images for b in image.boxes
    }
    images = list(data.images)
    for number, image in enumerate(images):
        homes = (image.boxes[:, :2] + image.boxes[:, 2:]) / 2
        corners = image.boxes.copy()
        for row in rng.permutation(len(corners))[:moved]:
            corners[row] = _boxes(rng, image.shape, 1)[0]
        images[number] = replace(image, boxes=corners, homes=homes)
    after = divide(replace(data, images=images), SHARES, seed=seed + 1, guard_px=GUARD_PX, known=before.table)
    _apart(after)
    old = {(image.key, tuple(new)): tuple(was) for was_image, image in zip(data.images, images, strict=True)
           for was, new in zip(was_image.boxes, image.boxes, strict=True)}  # fmt: skip
    for part, held in after.parts.items():
        for image in held.images:
            for box in image.boxes:
                assert part_of.get((image.key, old[image.key, tuple(box)]), part) is part, "a moved box keeps its part"


@given(seed=st.integers(0, 10_000), groups=st.integers(4, 20), added=st.integers(0, 6))
def test_specimens_stay_together_and_keep_their_part(seed: int, groups: int, added: int) -> None:
    rng = np.random.default_rng(seed)
    images = [
        _image(f"{g}-{k}", (200, 200), _boxes(rng, (200, 200), int(rng.integers(1, 6))), group=f"specimen {g}")
        for g in range(groups + added)
        for k in range(int(rng.integers(1, 4)))
    ]
    first = [image for image in images if int(image.group.split()[1]) < groups]
    before = divide(Dataset(["A", "B", "C"], first), {DataPart.VALIDATION: 0.25}, seed=seed)
    after = divide(Dataset(["A", "B", "C"], images), {DataPart.VALIDATION: 0.25}, seed=seed + 5, known=before.table)
    groups_of = {part: {image.group for image in data.images} for part, data in after.parts.items()}
    assert not groups_of[DataPart.TRAIN] & groups_of[DataPart.VALIDATION]
    for part, data in before.parts.items():
        assert {image.group for image in data.images} <= groups_of[part]
    assert sum(len(data.images) for data in after.parts.values()) == len(images)


def test_rare_classes_are_in_every_part() -> None:
    rng = np.random.default_rng(2)
    images = []
    for number in range(100):
        image = _image(str(number), (100, 100), _boxes(rng, (100, 100), 2))
        images.append(replace(image, labels=np.array([0, int(number % 10 == 0)])))  # ten with class 1
    division = divide(Dataset(["A", "B"], images), SHARES, seed=1)
    for part, share in ((DataPart.TRAIN, 0.65), (DataPart.VALIDATION, 0.2), (DataPart.TEST, 0.15)):
        counts = division.parts[part].counts()
        assert counts["B"] == pytest.approx(10 * share, abs=1.01) and counts["A"] == pytest.approx(190 * share, abs=8)
    assert "100 pictures or specimens" in division.words


def test_pictures_with_few_boxes_are_not_kept_for_measuring() -> None:
    rng = np.random.default_rng(0)
    images = [_image(f"p{n}", (200, 200), _boxes(rng, (200, 200), int(rng.integers(1, 9)))) for n in range(1000)]
    division = divide(Dataset(["A", "B", "C"], images), {DataPart.VALIDATION: 0.15}, seed=0, guard_px=GUARD_PX)
    learned, held = (division.parts[part].images for part in (DataPart.TRAIN, DataPart.VALIDATION))
    assert len(held) / 1000 == pytest.approx(0.15, abs=0.02)
    few, many = (np.mean([len(image.boxes) for image in part]) for part in (held, learned))
    assert few == pytest.approx(many, rel=0.12)


def test_a_box_that_reaches_into_another_part_is_neither_defect_nor_background_there() -> None:
    rng = np.random.default_rng(1)
    grid = np.array([(y, x, y + 30, x + 30) for y in range(10, 1200, 60) for x in range(10, 1200, 60)], float)
    division = divide(Dataset(["A", "B", "C"], [_image("s", (1200, 1200), grid)]), SHARES, seed=4, guard_px=GUARD_PX)
    _apart(division)
    assert rng is not None and "px apart" in division.words
    reached = 0
    for data in division.parts.values():
        for image in data.images:
            touching = (grid[:, :2] < image.area[2:]).all(1) & (grid[:, 2:] > image.area[:2]).all(1)
            assert touching.sum() == len(image.boxes) + len(image.open_boxes)
            reached += len(image.open_boxes)
    assert reached


def test_a_single_small_picture_is_cut_and_says_what_that_means() -> None:
    rng = np.random.default_rng(3)
    data = Dataset(["A", "B", "C"], [_image("p", (200, 180), _boxes(rng, (200, 180), 20))])
    division = divide(data, {DataPart.VALIDATION: 0.5}, seed=1)
    upper, lower = (division.parts[part].images[0].area for part in (DataPart.TRAIN, DataPart.VALIDATION))
    assert upper == (0, 0, 92, 180) and lower == (100, 0, 200, 180)
    assert "optimistic" in division.words


def test_small_pictures_of_one_specimen_are_each_cut() -> None:
    rng = np.random.default_rng(3)
    images = [_image(name, (200, 180), _boxes(rng, (200, 180), 20), group="cell") for name in "pq"]
    division = divide(Dataset(["A", "B", "C"], images), {DataPart.VALIDATION: 0.5}, seed=1)
    for part, area in ((DataPart.TRAIN, (0, 0, 92, 180)), (DataPart.VALIDATION, (100, 0, 200, 180))):
        assert [image.area for image in division.parts[part].images] == [area, area]


def test_parts_of_one_small_slide_are_cut_at_one_height() -> None:
    whole = _image("p", (200, 180), _boxes(np.random.default_rng(3), (200, 180), 20))
    images = [replace(whole, region=area) for area in ((0, 0, 90, 90), (60, 90, 200, 180))]
    division = divide(Dataset(["A", "B", "C"], images), {DataPart.VALIDATION: 0.5}, seed=1)
    areas = {part: [image.area for image in data.images] for part, data in division.parts.items()}
    assert areas == {
        DataPart.TRAIN: [(0, 0, 90, 90), (60, 90, 92, 180)],
        DataPart.VALIDATION: [(100, 90, 200, 180)],
    }


def test_a_table_is_kept_as_json_and_a_damaged_one_is_refused() -> None:
    rng = np.random.default_rng(5)
    data = Dataset(["A", "B", "C"], [_image("s", (1200, 900), _boxes(rng, (1200, 900), 80))])
    division = divide(data, SHARES, seed=1, guard_px=GUARD_PX)
    again = PartTable.of_document(json.loads(json.dumps(division.table.document())))
    assert again == division.table
    repeated = divide(data, SHARES, seed=99, guard_px=GUARD_PX, known=again)
    for part, held in division.parts.items():
        assert [image.area for image in held.images] == [image.area for image in repeated.parts[part].images]
    for damaged in (None, [], {}, {"parts": {"a": "middle"}, "block_px": {}}, {"parts": {}, "block_px": {"a": "nan"}}):
        with pytest.raises(ModelError, match="damaged"):
            PartTable.of_document(damaged)


def test_one_picture_with_boxes_is_too_little() -> None:
    images = [_image("a", (99, 99), np.array([[1, 1, 9, 9]])), _image("b", (99, 99), np.zeros((0, 4)))]
    with pytest.raises(ModelError, match="too small to hold out a part"):
        divide(Dataset(["A", "B", "C"], images), {DataPart.VALIDATION: 0.2}, seed=1)


def test_what_was_held_out_is_held_out_again_when_pictures_are_added(tmp_path: Path) -> None:
    settings = {"network": "ssd-tiny", "epochs": 1, "batch": 2, "crop_px": 128, "tile_px": 128}
    out = tmp_path / "model"

    def held(pictures: int, seed: int) -> set[str]:
        job = train(coco_folder(tmp_path / "data", pictures=pictures), out, seed=seed, overwrite=True, **settings)
        run_job(job)
        table = read_parts(out)
        return {name for name, part in table.parts.items() if part is DataPart.VALIDATION}

    first = held(8, 1)
    assert first and first <= held(14, 2)
    (out / "parts.json").write_text("{")
    with pytest.raises(ModelError, match="damaged"):
        held(8, 1)
