"""Data sets that only their folders describe, and the broken sets of others."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from learning_toys import coco_folder, draw

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.datasets.records import NO_CLASS, AnnotatedImage, Dataset
from microscope_qc.workflows.learning.reading import read_dataset


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels)


def _mask(*spots: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((192, 192), np.uint8)
    for y0, x0, y1, x1 in spots:
        mask[y0:y1, x0:x1] = 255
    return mask


def _wholes(data: Dataset) -> dict[str, str]:
    def said(image: AnnotatedImage) -> str:
        return "good" if image.whole in (None, NO_CLASS) else data.classes[image.whole]

    return {f"{image.path.parent.name}/{image.path.name}": said(image) for image in data.images}


@pytest.mark.parametrize("layout", ["", "train/", "images"])
def test_a_folder_for_each_class(tmp_path: Path, layout: str) -> None:
    inside = "Imgs/" if layout == "images" else ""
    part = layout if layout == "train/" else ""
    for number, kind in enumerate(("crack", "pore", "MT_Free")):
        for place in range(2):
            _save(tmp_path / f"{part}{kind}/{inside}{place}.jpg", draw(number * 2 + place)[0])
    if part:
        _save(tmp_path / "test/pore/9.jpg", draw(9)[0])
    data = run_job(read_dataset(tmp_path))
    assert data.classes == ["crack", "pore"] and len(data.images) == (7 if part else 6)
    assert data.pictures_by_class() == {"crack": 2, "pore": 3 if part else 2} and data.background == 2
    assert {image.part for image in data.images} == ({"train", "test"} if part else {""})
    defect = next(image for image in data.images if image.whole == 0)
    np.testing.assert_array_equal(defect.open_boxes, [[0, 0, 192, 192]])
    assert not sum(data.counts().values()), "nobody has said where the defects are"


def test_masks_beside_pictures_say_where_the_defects_are(tmp_path: Path) -> None:
    _save(tmp_path / "MT_Crack/Imgs/a.jpg", draw(1)[0])
    _save(tmp_path / "MT_Crack/Imgs/a.png", _mask((10, 20, 40, 60), (100, 100, 120, 130)))
    _save(tmp_path / "MT_Free/Imgs/b.jpg", draw(2)[0])
    _save(tmp_path / "MT_Pore/Imgs/c.jpg", draw(3)[0])
    _save(tmp_path / "MT_Pore/Imgs/c.png", np.zeros((90, 90), np.uint8))
    data = run_job(read_dataset(tmp_path))
    assert _wholes(data) == {"Imgs/a.jpg": "MT_Crack", "Imgs/b.jpg": "good"}
    np.testing.assert_array_equal(data.images[0].boxes, [[10, 20, 40, 60], [100, 100, 120, 130]])
    assert data.left_out.pictures == {"MT_Pore/Imgs/c.jpg": "its mask has another size"}


def test_the_layout_of_mvtec(tmp_path: Path) -> None:
    for number in range(3):
        _save(tmp_path / f"train/good/{number}.png", draw(number)[0])
    _save(tmp_path / "test/good/0.png", draw(5)[0])
    _save(tmp_path / "test/scratch/0.png", draw(6)[0])
    _save(tmp_path / "ground_truth/scratch/0_mask.png", _mask((5, 6, 50, 20)))
    (tmp_path / "license.txt").write_text("free")
    data = run_job(read_dataset(tmp_path))
    assert data.classes == ["scratch"] and [image.part for image in data.images] == ["train"] * 3 + ["test"] * 2
    assert _wholes(data)["scratch/0.png"] == "scratch" and data.background == 4
    np.testing.assert_array_equal(data.images[-1].boxes, [[5, 6, 50, 20]])
    assert len(data.images) == 5, "masks are no pictures"


def test_folders_with_annotations_are_no_classes(tmp_path: Path) -> None:
    coco_folder(tmp_path / "a", pictures=2)
    coco_folder(tmp_path / "b", pictures=2)
    assert run_job(read_dataset(tmp_path)).classes == ["SQ", "DI"]
    (tmp_path / "a" / "annotations.json").write_text("{")
    (tmp_path / "b" / "annotations.json").write_text("{")
    with pytest.raises(MicroscopeQCError, match="JSON"):
        run_job(read_dataset(tmp_path))


CASES = {
    "crowd": (4, 4, "1 crowd annotation as neither defect nor background"),
    "missing_many": (6, 6, "4 of 10 pictures left out. p6.png, p7.png, p8.png, p9.png: not found"),
    "missing_pictures": (1, 1, "3 of 4 pictures left out"),
    "nobox": (4, 0, "4 of 4 pictures have no boxes and count as background"),
    "nocat": (4, 0, "4 of 4 pictures have no boxes and count as background"),
    "normal": (4, 4, ""),
    "nowh": (4, 4, ""),
    "one_picture": (1, 1, ""),
    "out_of_range": (4, 4, "1 box left out: outside the picture (1: p0.png)"),
    "segonly": (4, 4, ""),
    "str_ids": (4, 4, ""),
    "subfolders": (4, 4, ""),
    "subfolders_images": (4, 4, ""),
    "unknown_cat": (4, 3, "1 box left out: no class (1: p0.png)"),
    "voc_nosize": (4, 4, ""),
    "voc_swapped": (4, 4, ""),
}
REFUSED = {
    "flat_same": "cellA/0001.png, cellB/0001.png: 0001.png may be any of",
    "wrong_size": "has 256 x 192 px, but 512 x 384 px in the annotations",
}


@pytest.mark.parametrize("case", [*CASES, *REFUSED])
def test_broken_sets_are_repaired_or_refused_with_a_sentence(case: str, real_data: Path) -> None:
    folder = real_data / "cases" / "training" / case
    if not folder.is_dir():
        pytest.skip("the small cases are not there")
    if case in REFUSED:
        with pytest.raises(MicroscopeQCError, match=REFUSED[case]):
            run_job(read_dataset(folder))
        return
    pictures, boxes, said = CASES[case]
    data = run_job(read_dataset(folder))
    assert (len(data.images), sum(data.counts().values())) == (pictures, boxes)
    assert any(said in sentence for sentence in data.sentences()) if said else not data.sentences()


def test_every_broken_set_has_its_case(real_data: Path) -> None:
    folder = real_data / "cases" / "training"
    if not folder.is_dir():
        pytest.skip("the small cases are not there")
    assert {path.name for path in folder.iterdir()} == {*CASES, *REFUSED}
