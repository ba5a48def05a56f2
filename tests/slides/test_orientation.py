"""Pictures whose file says that they are stored turned or mirrored are shown, measured and copied upright."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from microscope_qc.cli import main
from microscope_qc.core.geometry import Region
from microscope_qc.core.orientation import upright_boxes, upright_pixels
from microscope_qc.slides import open_slide, slide_info
from microscope_qc.slides.base import Mosaic
from microscope_qc.slides.pixels import Level
from microscope_qc.slides.upright import turned

EVERY = range(1, 9)
PICTURE = np.random.default_rng(3).integers(0, 255, (130, 210), np.uint8)


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """As Pillow turns it."""
    image = Image.fromarray(pixels)
    image.getexif()[274] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


def write_picture(path: Path, orientation: int) -> Path:
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(PICTURE).save(path, exif=exif.tobytes())
    return path


def whole(mosaic: Mosaic, level: int = 0) -> np.ndarray:
    return mosaic.read(Region(0, 0, *mosaic.levels[level].shape), level=level)


@pytest.mark.parametrize("orientation", EVERY)
def test_a_pyramid_is_turned_at_every_level(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "a.tif"
    more = {"tile": (64, 64), "compression": "zlib", "extratags": [(274, 3, 1, orientation, True)]}
    with tifffile.TiffWriter(path) as writer:
        resolution = {"resolution": (40_000, 20_000), "resolutionunit": "CENTIMETER"}
        writer.write(PICTURE, subifds=1, **more, **resolution)
        writer.write(PICTURE[::2, ::2], subfiletype=1, **more)
    expected = upright(PICTURE, orientation)
    with open_slide(path) as slide:
        mosaic = slide.scene()
        assert mosaic.orientation == orientation
        assert mosaic.stored_shape_px == PICTURE.shape
        np.testing.assert_array_equal(whole(mosaic), expected)
        np.testing.assert_array_equal(whole(mosaic, 1), upright(PICTURE[::2, ::2], orientation))
        np.testing.assert_array_equal(mosaic.read(Region(20, 70, 90, 120)), expected[20:90, 70:120])
        np.testing.assert_array_equal(
            mosaic.read_scaled(Region(20, 70, 90, 120), (70, 50))[..., 0][0, 0], expected[20, 70]
        )
        size = (0.5, 0.25) if orientation < 5 else (0.25, 0.5)
        assert mosaic.pixel_size_um == pytest.approx(size)
    with open_slide(path, orientation=1) as slide:
        np.testing.assert_array_equal(whole(slide.scene()), PICTURE)


@pytest.mark.parametrize("orientation", EVERY)
def test_boxes_turn_with_the_pixels(orientation: int) -> None:
    marked = np.zeros((30, 50), bool)
    marked[4:9, 20:45] = True
    ys, xs = np.nonzero(upright_pixels(marked, orientation))
    (box,) = upright_boxes(np.array([[4, 20, 9, 45]]), orientation, stored_shape_px=marked.shape)
    assert box.tolist() == [ys.min(), xs.min(), ys.max() + 1, xs.max() + 1]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_pictures_are_turned_as_their_exif_data_say(tmp_path: Path, suffix: str) -> None:
    path = write_picture(tmp_path / f"a{suffix}", 6)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    (scene,) = slide_info(path)["scenes"]
    assert (scene["orientation"], scene["shape"]) == (6, [210, 130])
    with open_slide(path) as slide:
        np.testing.assert_array_equal(whole(slide.scene()), expected)
        overview = slide.scene().overview(100)
        assert overview is None or overview.shape[0] > overview.shape[1]


def test_a_png_may_say_it_behind_its_pixels(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.png", 8)
    data = path.read_bytes()
    start = data.index(b"eXIf") - 4
    chunk = data[start : start + 12 + int.from_bytes(data[start : start + 4])]
    path.write_bytes(data.replace(chunk, b"")[:-12] + chunk + data[-12:])
    with open_slide(path) as slide:
        np.testing.assert_array_equal(whole(slide.scene()), upright(PICTURE, 8))


@pytest.mark.parametrize("value", [0, 9, 700])
def test_what_is_no_orientation_changes_nothing(tmp_path: Path, value: int) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PICTURE, extratags=[(274, 3, 1, value, True)])
    with open_slide(path) as slide:
        np.testing.assert_array_equal(whole(slide.scene()), PICTURE)


def test_info_says_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(write_picture(tmp_path / "a.png", 6))]) == 0
    assert "turned by 90° to the right, as the file says" in capsys.readouterr().out


def test_a_copy_is_upright_or_as_it_is_stored(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.png", 5)
    for flags, expected in (([], upright(PICTURE, 5)), (["--as-stored"], PICTURE)):
        out = tmp_path / f"{len(flags)}.ome.zarr"
        sizes = ["--pixel-size", "0.5x0.4"]
        assert main(["convert", str(path), str(out), *flags, *sizes, "--progress", "none"]) == 0
        with open_slide(out) as slide:
            np.testing.assert_array_equal(whole(slide.scene()), expected)
            assert slide.scene().pixel_size_um == (0.4, 0.5)


class _OnStage(Mosaic):
    def _read(self, region: Region, level: int, channel: int) -> np.ndarray:
        return np.zeros(region.shape, np.uint8)


@pytest.mark.parametrize("orientation", EVERY)
def test_the_map_to_the_stage_turns_too(orientation: int) -> None:
    affine = np.array([[0.5, 0.1, 1000], [-0.1, 0.4, 2000]])
    stored = _OnStage(
        path=Path("a"), levels=[Level((30, 50), (1, 1))], dtype=np.dtype(np.uint8), stage={"affine": affine.tolist()}
    )
    seen = turned(stored, orientation)
    (box,) = upright_boxes(np.array([[4, 20, 4, 20]]), orientation, stored_shape_px=(30, 50))
    assert seen.stage is not None
    there = np.array(seen.stage["affine"]) @ [box[1], box[0], 1]
    np.testing.assert_allclose(there, affine @ [20, 4, 1])
