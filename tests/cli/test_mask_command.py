"""``mask``, and detections that scan where a picture says."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from learning_toys import draw, untrained_model
from PIL import Image

from microscope_qc.core.area_mask import AreaMask
from microscope_qc.core.geometry import Region
from microscope_qc.project import Project
from microscope_qc.project.runs.mask_files import read_mask, write_mask

LEFT = np.hstack([np.full((5, 5), 255, np.uint8), np.zeros((5, 5), np.uint8)])


@pytest.fixture
def picture(tmp_path):
    Image.fromarray(LEFT).save(tmp_path / "left.png")
    return tmp_path / "left.png"


def test_a_picture_becomes_the_mask_of_a_slide_and_is_written_again(cell, picture, told, tmp_path):
    assert told("mask", cell) == []
    assert "scan where there is material" in told("mask", cell, text=True)
    said = told("mask", cell, "set", picture)
    assert (said["slide"], said["kind"], said["share"]) == ("S1", "changed", 0.5)
    told("mask", cell, "set", picture, "--slide", "S2", "--drawn")
    assert [(row["slide"], row["kind"], row["cells"]) for row in told("mask", cell)] == [
        ("S1", "changed", [5, 10]), ("S2", "drawn", [5, 10]),
    ]  # fmt: skip
    assert "50 %" in told("mask", cell, text=True)
    out = told("mask", cell, "export", tmp_path / "out.png")
    assert (out["mask"], out["share"]) == ("changed", 0.5)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png")), LEFT)
    told("mask", cell, "export", tmp_path / "drawn.png", "--slide", "S2", "--drawn")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "drawn.png")), LEFT)
    assert told("mask", cell, "export", tmp_path / "found.png", "--found")["mask"] == "found"
    told("mask", cell, "set", picture, "--drawn")
    assert [(row["slide"], row["kind"]) for row in told("mask", cell)] == [
        ("S1", "changed"), ("S1", "drawn"), ("S2", "drawn"),
    ]  # fmt: skip
    told("mask", cell, "clear", "--drawn")
    assert told("mask", cell, "clear")["share"] is None
    assert [row["slide"] for row in told("mask", cell)] == ["S2"]
    assert told("mask", cell, "export", tmp_path / "found.png")["mask"] == "found"


def test_the_mask_of_a_detection_and_of_a_slide_file(cell, told, refused, tmp_path):
    assert "ended before" in refused("mask", cell, "export", tmp_path / "r.png", "--run", 1)
    scan = np.array([[True, False], [False, False]])
    write_mask(cell / "runs" / "1", AreaMask(Region(0, 0, 100, 200), (50.0, 100.0), scan))
    assert told("mask", cell, "export", tmp_path / "r.png", "--run", 1)["share"] == 0.25
    assert (np.asarray(Image.open(tmp_path / "r.png")) > 0).tolist() == scan.tolist()
    write_mask(cell / "runs" / "1", None)
    assert told("mask", cell, "export", tmp_path / "r.png", "--run", 1)["share"] == 1
    # a slide: flat resin to the right of material
    pixels = np.full((2048, 4096), 90, np.uint8)
    pixels[:, :2048] = np.random.default_rng(0).integers(0, 255, (2048, 2048))
    Image.fromarray(pixels).save(tmp_path / "big.png")
    told("convert", tmp_path / "big.png", tmp_path / "big.ome.zarr")
    share = told("mask", tmp_path / "big.ome.zarr", "export", tmp_path / "found.png")["share"]
    assert 0.5 <= share < 0.6
    refused("mask", tmp_path / "big.ome.zarr", "export", tmp_path / "x.png", "--run", 1)
    refused("mask", tmp_path / "big.ome.zarr", "set", tmp_path / "found.png")


@pytest.mark.parametrize(
    "arguments",
    [
        ["set", "no.png"],
        ["set", "{folder}/S1.png", "--slide", "S9"],
        ["set", "{folder}/tall.png"],
        ["set", "{folder}/black.png"],
        ["export", "{folder}/o.jpg", "--found"],
        ["export", "{folder}/o.png", "--drawn"],
        ["export", "{folder}/o.png", "--run", "9"],
        ["export", "{folder}/o.png", "--drawn", "--found"],
    ],
)
def test_mask_refuses_wrong_arguments(cell, refused, told, tmp_path, arguments):
    Image.fromarray(np.ones((20, 10), np.uint8)).save(tmp_path / "tall.png")
    Image.fromarray(np.zeros((10, 20), np.uint8)).save(tmp_path / "black.png")
    refused("mask", cell, *[argument.format(folder=tmp_path) for argument in arguments])
    assert told("mask", cell) == []
    assert not list(tmp_path.glob("o.*"))


@pytest.fixture
def drawn(tmp_path):
    """A project of one slide of 600 x 600 px with defects, and a model."""
    cv2.imwrite(str(tmp_path / "slide.png"), draw(3, size=600, count=16)[0])
    with Project.create(tmp_path / "p", slides=[tmp_path / "slide.png"]) as made:
        made.slides.set_pixel_size(made.slides[0].id, 0.25)
    return made.path, untrained_model(tmp_path / "toy")


def test_a_detection_scans_where_a_picture_says(drawn, told, refused, tmp_path):
    path, model = drawn
    mask = np.zeros((6, 6), np.uint8)
    mask[0, 0] = 7
    Image.fromarray(mask).save(tmp_path / "corner.png")
    said = told("detect", path, "--model", model, "--mask", tmp_path / "corner.png", "--device", "cpu")
    assert said["looks"] == {"mask": "file", "share": round(1 / 36, 4)}
    assert said["share_skipped"] == pytest.approx(8 / 9, abs=1e-3)
    kept = read_mask(path / "runs" / "1")
    assert kept.scan.tolist() == (mask > 0).tolist() and kept.cell_px == (100.0, 100.0)
    again = told("detect", path, "--model", model, "--mask", tmp_path / "corner.png", "--device", "cpu")
    assert again["run"] == said["run"], "the same mask is the same detection"
    words = told("detect", path, "--model", model, "--mask", tmp_path / "corner.png", "--device", "cpu", text=True)
    assert words.startswith("slide: Scans only where corner.png says: 3 % of the slide.")
    region = ["--region", "300,300,600,600"]
    refused("detect", path, "--model", model, "--mask", tmp_path / "corner.png", *region)
    refused("detect", path, "--model", model, "--mask", tmp_path / "corner.png", "--everything")
    refused("detect", path, "--model", model, "--mask", tmp_path / "no.png")


def test_one_picture_is_not_taken_for_several_slides(cell, drawn, refused, picture):
    path, model = drawn
    assert "one mask, and there are 3 slides" in refused("batch", path, cell, "--model", model, "--mask", picture)
