"""Scan masks as pictures: they are read as they were painted, and refused where they cannot belong to the slide."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from microscope_qc.core.area_mask import AreaMask, open_mask
from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import Region
from microscope_qc.workflows.detection.area import FILE, NothingToScan, scan_area_of_picture
from microscope_qc.workflows.detection.mask_pictures import picture_for, read_mask_picture, write_mask_picture

SHAPE = (400, 600)


def save(path: Path, values: np.ndarray, **options) -> Path:
    Image.fromarray(values).save(path, **options)
    return path


def half(rows: int = 4, columns: int = 6) -> np.ndarray:
    """Left half to be scanned."""
    scan = np.zeros((rows, columns), bool)
    scan[:, : columns // 2] = True
    return scan


def test_each_pixel_of_the_picture_is_a_cell_of_the_slide(tmp_path):
    mask = read_mask_picture(save(tmp_path / "m.png", half().astype(np.uint8)), SHAPE)
    assert (mask.region, mask.cell_px) == (Region(0, 0, *SHAPE), (100.0, 100.0))
    assert mask.scan.tolist() == half().tolist()
    y, x = np.mgrid[0:400:7, 0:600:7]
    assert (mask.at(y, x) == (x < 300)).all()
    assert mask.share(mask.region) == 0.5


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("bool.png", half()),
        ("one.png", half().astype(np.uint8)),
        ("white.png", half().astype(np.uint8) * 255),
        ("deep.png", half().astype(np.uint16) * 60000),
        ("deep.tif", half().astype(np.uint16) * 300),
        ("float.tif", np.where(half(), 0.25, 0).astype(np.float32)),
        ("nan.tif", np.where(half(), -1, np.nan).astype(np.float32)),
        ("long.tif", half().astype(np.int32) * 70000),
        ("blue.png", np.dstack([half() * 0, half() * 0, half()]).astype(np.uint8)),
        ("clear.png", np.dstack([half() | True] * 3 + [half()]).astype(np.uint8) * 255),
        ("black.png", np.dstack([half()] * 3 + [half() | True]).astype(np.uint8) * 255),
        ("grey.png", np.dstack([half() | True, half()]).astype(np.uint8) * 255),
    ],
)
def test_any_kind_of_picture_gives_the_same_mask(tmp_path, name, values):
    assert read_mask_picture(save(tmp_path / name, values), SHAPE).scan.tolist() == half().tolist()


def test_a_palette_counts_by_its_colours_not_by_their_numbers(tmp_path):
    picture = Image.fromarray(half().astype(np.uint8), mode="P")
    picture.putpalette([255, 0, 0, 0, 0, 0] + [9, 9, 9] * 254)  # number 0 is red, number 1 black
    picture.save(tmp_path / "p.png")
    assert read_mask_picture(tmp_path / "p.png", SHAPE).scan.tolist() == (~half()).tolist()


@pytest.mark.parametrize(
    ("shape", "fits"),
    [((2, 3), True), ((40, 60), True), ((400, 600), True), ((133, 200), True), ((134, 200), True), ((132, 200), False),
     ((1, 1), True), ((1, 2), True), ((3, 2), False), ((60, 40), False), ((41, 60), True), ((38, 60), False),
     ((800, 1200), False)],
)  # fmt: skip
def test_only_pictures_with_the_slides_proportions_are_read(tmp_path, shape, fits):
    path = save(tmp_path / "m.png", np.ones(shape, np.uint8))
    if fits:
        assert read_mask_picture(path, SHAPE).scan.shape == shape
    else:
        with pytest.raises(InputError):
            read_mask_picture(path, SHAPE)


def test_what_is_not_a_mask_is_refused_with_the_reason(tmp_path):
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.png").write_bytes(b"")
    whole = save(tmp_path / "whole.png", np.ones((40, 60), np.uint8)).read_bytes()
    (tmp_path / "truncated.png").write_bytes(whole[:-30])
    save(tmp_path / "jpeg.png", half(40, 60).astype(np.uint8) * 255, format="JPEG")
    save(tmp_path / "black.png", np.zeros((40, 60), np.uint8))
    pages = [Image.fromarray(half().astype(np.uint8)) for _ in range(2)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    for name, says in {
        "text.png": "not a PNG or TIFF",
        "empty.png": "not a PNG or TIFF",
        "truncated.png": "cannot be read",
        "jpeg.png": "not a PNG or TIFF",
        "black.png": "0 everywhere",
        "pages.tif": "2 pictures",
        "missing.png": "no mask",
        ".": "cannot be read",
    }.items():
        with pytest.raises(InputError, match=says) as caught:
            read_mask_picture(tmp_path / name, SHAPE)
        assert caught.value.hint


def test_a_picture_too_large_is_refused_before_it_is_decoded(tmp_path):
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 200_000, 100_000, 8, 0, 0, 0, 0)
    (tmp_path / "bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    )
    with pytest.raises(InputError):
        read_mask_picture(tmp_path / "bomb.png", (100_000, 200_000))
    head = struct.pack(">IIBBBBB", 12_000, 12_000, 8, 0, 0, 0, 0)
    (tmp_path / "large.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    )
    with pytest.raises(InputError, match="at most"):
        read_mask_picture(tmp_path / "large.png", (24_000, 24_000))


@given(
    st.tuples(st.integers(33, 3000), st.integers(33, 3000)),
    st.floats(1.0, 32.0),
    st.integers(0, 2**32 - 1),
)
def test_a_mask_is_read_back_as_it_was_written(tmp_path_factory, shape, cell, seed):
    """Also where its cells do not fill the slide, as those of a mask that is drawn in the window."""
    counts = tuple(math.ceil(side / cell) for side in shape)
    scan = np.random.default_rng(seed).random(counts) < 0.5
    scan[0, 0] = True
    mask = AreaMask(Region(0, 0, *shape), (cell, cell), scan)
    path = tmp_path_factory.mktemp("m") / "m.png"
    assert write_mask_picture(path, mask, shape) is mask
    read = read_mask_picture(path, shape)
    assert (read.region, read.cell_px, read.scan.tolist()) == (mask.region, mask.cell_px, mask.scan.tolist())
    assert read.fingerprint == mask.fingerprint


def test_a_picture_that_was_resized_is_laid_over_the_slide_again(tmp_path):
    shape = (1000, 1500)
    write_mask_picture(tmp_path / "m.png", open_mask(shape, scan=True), shape)
    with Image.open(tmp_path / "m.png") as picture:
        card = picture.info["microscope-qc mask"]
        smaller = picture.resize((15, 10))
    from PIL import PngImagePlugin

    info = PngImagePlugin.PngInfo()
    info.add_text("microscope-qc mask", card)
    smaller.save(tmp_path / "s.png", pnginfo=info)
    assert read_mask_picture(tmp_path / "s.png", shape).cell_px == (100.0, 100.0)


def test_everything_is_a_white_picture_and_a_part_is_black_outside(tmp_path):
    assert write_mask_picture(tmp_path / "all.png", None, SHAPE).scan.all()
    assert np.asarray(Image.open(tmp_path / "all.png")).min() == 255
    part = AreaMask(Region(100, 200, 300, 500), (100.0, 100.0), np.array([[True, True, False], [True, False, True]]))
    whole = write_mask_picture(tmp_path / "part.png", part, SHAPE)
    expected = np.zeros((4, 6), bool)
    expected[1:3, 2:5] = part.scan
    assert whole.scan.tolist() == expected.tolist()
    assert read_mask_picture(tmp_path / "part.png", SHAPE).scan.tolist() == expected.tolist()


def test_a_mask_is_written_as_png_only(tmp_path):
    with pytest.raises(InputError, match="PNG"):
        write_mask_picture(tmp_path / "m.jpg", None, SHAPE)
    assert not (tmp_path / "m.jpg").exists()


def test_a_folder_holds_a_mask_for_each_slide(tmp_path, project):
    folder = tmp_path / "masks"
    folder.mkdir()
    slide = project.slides[0]
    with pytest.raises(InputError, match="no mask for S1"):
        picture_for(folder, "S1")
    with pytest.raises(InputError, match="no mask for"):
        picture_for(folder, "../S1")  # there is such a picture
    save(folder / "S1.tif", half().astype(np.uint8))
    assert picture_for(folder, "S1") == folder / "S1.tif"
    scan = scan_area_of_picture(folder, slide)
    assert (scan.kind, scan.share) == (FILE, 0.5)
    assert "S1.tif" in scan.words and "50 %" in scan.words
    with pytest.raises(NothingToScan):
        scan_area_of_picture(folder, slide, region=Region(0, 300, 400, 600))
    assert scan_area_of_picture(folder, slide, region=Region(0, 200, 400, 400)).share == 0.5
