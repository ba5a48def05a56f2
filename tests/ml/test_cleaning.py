"""Copies and pictures of no use are dropped, exposures of one place stay together."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from learning_toys import coco_folder, load_dataset

from microscope_qc.core.jobs import run_job
from microscope_qc.ml.datasets.cleaning import cleaned
from microscope_qc.ml.datasets.records import AnnotatedImage, Dataset


def _picture(folder: Path, name: str, pixels: np.ndarray) -> AnnotatedImage:
    cv2.imwrite(str(folder / name), pixels)
    return AnnotatedImage(folder / name, pixels.shape[:2], np.zeros((0, 4)), np.zeros(0, np.int64))


def _surface(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rough = cv2.resize(rng.uniform(40, 160, (12, 12)).astype(np.float32), (200, 160), interpolation=cv2.INTER_CUBIC)
    return rough + rng.normal(0, 2, rough.shape)


def test_exposures_of_one_place_are_one_group_and_other_places_are_not(tmp_path: Path) -> None:
    images = []
    for place in range(8):
        surface = _surface(place)
        for number, exposure in enumerate((0.6, 1.0, 1.4)):
            noise = np.random.default_rng(place * 9 + number).normal(0, 1, surface.shape)
            pixels = np.clip(surface * exposure + noise, 0, 255).astype(np.uint8)
            images.append(_picture(tmp_path, f"exp{number}_{place}.png", pixels))
    grouped = run_job(cleaned(Dataset(["A"], images))).images
    groups = {}
    for image in grouped:
        groups.setdefault(image.key, set()).add(image.path.stem.split("_")[1])
    assert len(groups) == 8 and all(len(places) == 1 for places in groups.values())


def test_a_copy_is_dropped_and_named(tmp_path: Path) -> None:
    folder = coco_folder(tmp_path / "data", pictures=3)
    shutil.copy(folder / "p0.png", folder / "p1.png")
    data = run_job(cleaned(load_dataset(folder)))
    assert [image.path.name for image in data.images] == ["p0.png", "p2.png"]
    assert data.left_out.pictures == {"p1.png": "is a copy of p0.png"}


def test_groups_of_the_user_stay(tmp_path: Path) -> None:
    pixels = _surface(1).astype(np.uint8)
    one, other = _picture(tmp_path, "a.png", pixels), _picture(tmp_path, "b.png", pixels // 2 + 9)
    named = [replace(one, group="S1"), replace(other, group="S2")]
    assert [image.group for image in run_job(cleaned(Dataset(["A"], named))).images] == ["S1", "S2"]


def test_pictures_on_which_nothing_can_be_seen_are_dropped_and_named(tmp_path: Path) -> None:
    folder = coco_folder(tmp_path / "data", pictures=4)
    cv2.imwrite(str(folder / "p1.png"), np.full((192, 192, 3), 90, np.uint8))
    whole = (folder / "p2.png").read_bytes()
    (folder / "p2.png").write_bytes(whole[: len(whole) // 2])
    data = run_job(cleaned(load_dataset(folder)))
    assert [image.path.name for image in data.images] == ["p0.png", "p3.png"]
    assert set(data.left_out.pictures) == {"p1.png", "p2.png"}
    assert data.left_out.pictures["p1.png"] == "is of one grey all over"
    said = data.sentences()
    assert said[0] == "1 picture is of one grey all over and is left out: p1.png."
    assert said[1].startswith("1 more of 4 pictures left out. p2.png: ")


def test_copies_of_one_name_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    pixels = _surface(1).astype(np.uint8)
    for folder in "abc":
        (tmp_path / folder).mkdir()
    images = [_picture(tmp_path / folder, "1.png", pixels) for folder in "abc"]
    data = run_job(cleaned(Dataset(["A"], images)))
    assert data.left_out.pictures == {"b/1.png": "is a copy of a/1.png", "c/1.png": "is a copy of a/1.png"}


def _with_blurred(folder: Path, *numbers: int) -> Path:
    made = coco_folder(folder, pictures=12)
    for number in numbers:
        file = str(made / f"p{number}.png")
        cv2.imwrite(file, cv2.GaussianBlur(cv2.imread(file), (0, 0), 3))
    return made


def test_pictures_out_of_focus_are_dropped_counted_and_named(tmp_path: Path) -> None:
    data = run_job(cleaned(load_dataset(_with_blurred(tmp_path / "data", 3, 7))))
    assert len(data.images) == 10 and not {"p3.png", "p7.png"} & {image.path.name for image in data.images}
    assert data.sentences() == ["2 pictures are out of focus and are left out: p3.png, p7.png."]
    assert data.left_out.document()["pictures"][0] == {"picture": "p3.png", "why": "is out of focus"}


def test_pictures_out_of_focus_are_kept_and_named_where_that_is_asked_for(tmp_path: Path) -> None:
    data = run_job(cleaned(load_dataset(_with_blurred(tmp_path / "data", 3)), keep_bad=True))
    assert len(data.images) == 12 and data.left_out.pictures == {}
    assert data.sentences() == ["1 picture is out of focus and is learned from all the same: p3.png."]
    assert data.left_out.document()["kept"] == [{"picture": "p3.png", "why": "is out of focus"}]


def test_pieces_of_a_slide_are_judged_once_and_dropped_together(tmp_path: Path) -> None:
    data = load_dataset(_with_blurred(tmp_path / "data", 3))
    pieces = [
        replace(image, region=(top, 0, top + 96, 192), place=f"slide {image.path.stem}")
        for image in data.images
        for top in (0, 96)
    ]
    left = run_job(cleaned(replace(data, images=pieces)))
    assert len(left.images) == 22 and left.left_out.pictures == {"p3.png": "is out of focus"}
