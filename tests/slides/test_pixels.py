"""Pixels of every kind are shown as what they are, or refused with a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from microscope_qc.core.errors import SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.slides import open_slide, slide_info

RNG = np.random.default_rng(8)
GREY = RNG.integers(0, 255, (60, 80), np.uint8)
COLOUR = RNG.integers(0, 255, (60, 80, 3), np.uint8)


def whole(path: Path) -> np.ndarray:
    with open_slide(path) as slide:
        return slide.scene().read(Region(0, 0, *slide.scene().shape))


def with_tag(path: Path, code: int, value: int) -> Path:
    """Overwrite a short in the first page of a little-endian TIFF."""
    with tifffile.TiffFile(path) as file:
        place = file.pages[0].tags[code].valueoffset
    data = bytearray(path.read_bytes())
    data[place : place + 2] = value.to_bytes(2, "little")
    path.write_bytes(data)
    return path


# -- depths and white is zero ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_fewer_than_8_bits_fill_the_range_from_black_to_white(tmp_path: Path, bits: int, white_is_zero: bool) -> None:
    largest = (1 << bits) - 1
    codes = np.tile(np.arange(largest + 1, dtype=np.uint8), (8, 32 >> bits))
    packed = imagecodecs.packints_encode(codes.ravel(), bits)
    path = tmp_path / "a.tif"
    photometric = "miniswhite" if white_is_zero else "minisblack"
    tifffile.imwrite(path, np.frombuffer(packed, np.uint8).reshape(8, -1), photometric=photometric, metadata=None)
    for code, value in ((256, codes.shape[1]), (258, bits)):
        with_tag(path, code, value)
    expected = (largest - codes if white_is_zero else codes) * (255 // largest)
    np.testing.assert_array_equal(whole(path), expected)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.int32, np.float32])
def test_where_white_is_zero_light_is_dark(tmp_path: Path, kind: Any) -> None:
    path = tmp_path / "a.tif"
    ramp = np.linspace(-100 if np.dtype(kind).kind in "if" else 0, 200, 4000).reshape(40, 100).astype(kind)
    tifffile.imwrite(path, ramp, photometric="miniswhite")
    with open_slide(path) as slide:
        shown = slide.scene().read_rgb8(Region(0, 0, 40, 100))[..., 0]
    assert shown[0, 0] > shown[20, 50] > shown[-1, -1]
    assert whole(path).dtype == kind
    assert (np.diff(whole(path).astype(float).ravel()) <= 0).all()


def test_white_of_twelve_bits(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    packed = np.frombuffer(imagecodecs.packints_encode(values.ravel(), 12), np.uint8).reshape(64, -1)
    tifffile.imwrite(path, packed, photometric="miniswhite", metadata=None)
    for code, value in ((256, 64), (258, 12)):
        with_tag(path, code, value)
    np.testing.assert_array_equal(whole(path), 4095 - values)


# -- colours -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("photometric", "words"),
    [
        (5, "CMYK"),
        (8, "CIE Lab"),
        (9, "ICC Lab"),
        (32803, "camera"),
        (34892, "camera"),
        (32845, "LogLuv"),
        (777, "777"),
    ],
)
def test_other_colours_are_refused_by_their_name(tmp_path: Path, photometric: int, words: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, COLOUR, photometric="rgb")
    with pytest.raises(SlideError, match=words) as caught:
        slide_info(with_tag(path, 262, photometric))
    assert caught.value.hint and "damaged" not in str(caught.value)


def test_ycbcr_without_jpeg_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, COLOUR, photometric="rgb", extratags=[(530, 3, 2, (2, 2), True)])
    with pytest.raises(SlideError, match="subsampled YCbCr"):
        slide_info(with_tag(path, 262, 6))
    tifffile.imwrite(path, COLOUR, photometric="rgb", compression="zlib", extratags=[(530, 3, 2, (1, 1), True)])
    with pytest.raises(SlideError, match="YCbCr colours without JPEG"):
        slide_info(with_tag(path, 262, 6))


def test_the_ycbcr_of_a_scanner_becomes_rgb(tmp_path: Path) -> None:
    red = np.full((64, 64, 3), (200, 30, 40), np.uint8)
    ycbcr = np.asarray(Image.fromarray(red).convert("YCbCr"))
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, ycbcr, photometric="rgb", compression="jpeg2000", compressionargs={"mct": False})
    found = whole(with_tag(path, 259, 33003)).astype(int)
    assert np.abs(found - red).max() <= 3


@pytest.mark.parametrize(
    ("compression", "words"), [(6, "old-style JPEG"), (34661, "JBIG"), (32809, "THUNDERSCAN"), (4711, "4711")]
)
def test_a_compression_that_is_not_supported_is_named(tmp_path: Path, compression: int, words: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, compression="zlib")
    with pytest.raises(SlideError, match=words) as caught:
        slide_info(with_tag(path, 259, compression))
    assert "damaged" not in str(caught.value)


# -- pages -------------------------------------------------------------------------------------------------------------


def test_a_small_picture_that_stands_for_the_first_is_no_slide(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(GREY[::4, ::5], subfiletype=1, metadata=None)
        writer.write(GREY, metadata=None)
        writer.write(GREY > 99, subfiletype=4, metadata=None)
    (scene,) = slide_info(path)["scenes"]
    assert scene["shape"] == [60, 80]
    np.testing.assert_array_equal(whole(path), GREY)


@pytest.mark.parametrize("marked", [False, True])
def test_a_page_of_half_the_size_is_a_copy_only_where_it_says_so(tmp_path: Path, marked: bool) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(GREY, metadata=None)
        writer.write(255 - GREY[::2, ::2], subfiletype=int(marked), metadata=None)
    scenes = slide_info(path)["scenes"]
    assert [scene["levels"] for scene in scenes] == ([[[60, 80], [30, 40]]] if marked else [[[60, 80]], [[30, 40]]])


def test_detectors_of_different_depths_are_all_there(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for pixels in (GREY, GREY.astype(np.uint16) * 9, GREY[::-1]):
            writer.write(pixels, metadata=None)
    first, second = slide_info(path)["scenes"]
    assert first["stack"][0]["size"] == 2 and second["dtype"] == "uint16"


def test_a_page_that_cannot_be_shown_does_not_refuse_the_others(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(GREY, metadata=None)
        writer.write(np.zeros((60, 80, 4), np.uint8), photometric="separated", metadata=None)
    (scene,) = slide_info(path)["scenes"]
    assert "CMYK" in scene["notes"][0]


# -- BMP, WebP, JPEG 2000 ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".bmp", ".webp", ".jp2", ".j2k"])
@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_other_picture_files(tmp_path: Path, suffix: str, pixels: np.ndarray) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(pixels).save(path, **({"lossless": True} if suffix == ".webp" else {}))
    found = whole(path)
    np.testing.assert_array_equal(found if found.ndim == pixels.ndim else found[..., 0], pixels)


@pytest.mark.parametrize("shape", [(60, 80), (60, 80, 3)])
@pytest.mark.parametrize("bits", [12, 16])
def test_jpeg_2000_with_more_than_8_bits(tmp_path: Path, shape: tuple[int, ...], bits: int) -> None:
    pixels = RNG.integers(0, 1 << bits, shape, np.uint16)
    path = tmp_path / "a.jp2"
    path.write_bytes(imagecodecs.jpeg2k_encode(pixels, level=0, bitspersample=bits, reversible=True))
    np.testing.assert_array_equal(whole(path), pixels)


@pytest.mark.parametrize("suffix", [".bmp", ".webp", ".jp2"])
def test_cut_off_picture_files_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(COLOUR).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    with pytest.raises(SlideError, match="damaged"):
        slide_info(path)


def test_an_animation_says_that_its_first_picture_is_shown(tmp_path: Path) -> None:
    frames = [Image.fromarray(COLOUR), Image.fromarray(255 - COLOUR)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    assert slide_info(tmp_path / "a.webp")["scenes"][0]["notes"] == ["first of 2 frames"]
