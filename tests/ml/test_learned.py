"""What a model learned from is known again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from learning_toys import coco_folder, load_dataset
from PIL import Image

from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.datasets import Dataset
from microscope_qc.ml.datasets.learned import LEARNED_NAME, learned_share, read_learned, write_learned


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return load_dataset(coco_folder(tmp_path / "data", pictures=4))


def counted(data: Dataset, folder: Path) -> tuple[int, int]:
    learned = read_learned(folder)
    assert learned is not None
    share = run_job(learned_share(data, learned))
    assert (share.all_pictures, share.all_boxes) == (len(data.images), sum(data.counts().values()))
    return share.pictures, share.boxes


def test_a_picture_is_known_under_another_name_and_in_another_format(data: Dataset, tmp_path: Path) -> None:
    run_job(write_learned(replace(data, images=data.images[:1]), tmp_path))
    copy = tmp_path / "elsewhere.bmp"
    with Image.open(data.images[0].path) as picture:
        picture.save(copy)
    images = [replace(data.images[0], path=copy), *data.images[1:]]
    assert counted(replace(data, images=images), tmp_path) == (1, len(images[0].boxes))
    assert counted(replace(data, images=images[1:]), tmp_path) == (0, 0)


def test_only_the_part_counts_that_was_learned_from(data: Dataset, tmp_path: Path) -> None:
    image = data.images[0]
    height, width = image.shape
    top, bottom = (0, 0, height // 2, width), (height // 2, 0, height, width)
    run_job(write_learned(replace(data, images=[replace(image, region=top)]), tmp_path))
    middles = (image.boxes[:, 0] + image.boxes[:, 2]) / 2
    assert counted(replace(data, images=[image]), tmp_path) == (1, int((middles < height // 2).sum()))
    assert counted(replace(data, images=[replace(image, region=bottom)]), tmp_path)[0] == 0


def test_slides_of_projects_are_known_by_their_place(data: Dataset, tmp_path: Path) -> None:
    gone = replace(data.images[0], path=tmp_path / "moved.png", place="slide 1")
    run_job(write_learned(replace(data, images=[gone]), tmp_path))
    assert counted(replace(data, images=[gone]), tmp_path) == (1, len(gone.boxes))
    assert counted(replace(data, images=[replace(gone, place="slide 2")]), tmp_path) == (0, 0)


def test_a_list_that_is_missing_or_damaged_is_not_an_empty_one(tmp_path: Path) -> None:
    assert read_learned(tmp_path) is None
    for content in ("{", "[]", '{"places": {"a": [[0, 0, 1]]}}'):
        (tmp_path / LEARNED_NAME).write_text(content)
        with pytest.raises(ModelError, match=LEARNED_NAME):
            read_learned(tmp_path)
