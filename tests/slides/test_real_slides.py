"""Every real slide: this program agrees with tifffile, pylibCZIrw and zarr."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image
from pylibCZIrw import czi as zeiss

from microscope_qc.core.errors import SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.slides import Mosaic, open_slide, slide_info
from microscope_qc.slides.plane import FIRST, StackPlace

CZI = (
    "100x100",
    "1_tileregion",
    "Al2O3_SE_020_sp",
    "RGB-8bit",
    "S3_1Pos_2Mosaic_T1_Z1_CH1",
    "mosaic_test",
    "newCZI_compressed",
    "tiles",
)
TIFF = (
    "CMU-1-Small-Region.svs",
    "boxes.tiff",
    "cells-2c.ome.tif",
    "cells-gray16.tif",
    "cells.ome.tif",
    "multi-channel-z-series.ome.tif",
    "sample.tif",
    "viv-multi-channel.ome.tif",
)
ZARR = (
    "blobs_image_v04.ome.zarr",
    "blobs_image_v05.ome.zarr",
    "fractal/v04/20200812-CardiomyocyteDifferentiation14-Cycle1_B_03_mip.zarr",
)


def whole(mosaic: Mosaic, *, level: int = 0, channel: int = 0, place: StackPlace = FIRST) -> np.ndarray:
    """All pixels of a level."""
    return mosaic.read(Region(0, 0, *mosaic.levels[level].shape), level=level, channel=channel, place=place)


@pytest.mark.parametrize("name", CZI)
def test_czi_agrees_with_pylibczirw(real_data: Path, name: str) -> None:
    path = real_data / "slides/czi" / f"{name}.czi"
    info = slide_info(path)
    with zeiss.open_czi(str(path)) as reader, open_slide(path) as slide:
        total = reader.total_bounding_rectangle_no_pyramid
        scenes = reader.scenes_bounding_rectangle_no_pyramid or {None: total}
        kinds = reader.pixel_types
        assert info["format"] == "czi"
        assert len(info["scenes"]) == len(scenes)
        for (index, rectangle), scene, mosaic in zip(scenes.items(), info["scenes"], slide.scenes, strict=True):
            assert scene["shape"] == [rectangle.h, rectangle.w]
            assert scene["origin_px"] == [rectangle.y, rectangle.x]
            assert scene["rgb"] == kinds[0].startswith("Bgr")
            assert len(scene["channels"]) == (1 if scene["rgb"] else len(kinds))
            for channel in range(len(scene["channels"])):
                pixels = reader.read(roi=tuple(rectangle), scene=index, plane={"C": channel})
                expected = pixels[..., ::-1] if scene["rgb"] else pixels[..., 0]
                assert scene["dtype"] == expected.dtype.name
                np.testing.assert_array_equal(whole(mosaic, channel=channel), expected)


@pytest.mark.parametrize("name", CZI)
def test_czi_pixel_size_is_the_files_own_at_full_precision(real_data: Path, name: str) -> None:
    path = real_data / "slides/czi" / f"{name}.czi"
    with zeiss.open_czi(str(path)) as reader:
        root = ElementTree.fromstring(reader.raw_metadata)
    metres = {d.get("Id"): float(d.findtext("Value")) for d in root.iterfind(".//Scaling/Items/Distance")}
    size = slide_info(path)["scenes"][0]["pixel_size_um"]
    if metres["X"] == 0:
        assert size is None
    else:
        np.testing.assert_allclose(size, [metres["Y"] * 1e6, metres["X"] * 1e6], rtol=1e-15)


def test_czi_scene_names_and_stage(real_data: Path) -> None:
    folder = real_data / "slides/czi"
    scenes = slide_info(folder / "S3_1Pos_2Mosaic_T1_Z1_CH1.czi")["scenes"]
    assert [scene["name"] for scene in scenes] == ["TR1", "P1", "TR2"]
    assert scenes[1]["stage"]["center_um"] == [37980.0, 13020.0]
    # a stage position is that of a tile's centre: tiles of 64 pixels of 1.6 um, 57.6 pixels apart
    first, second = scenes[0]["stage"]["tiles"][:2]
    step_px = np.subtract(second["center_px"], first["center_px"])[::-1]
    step_um = np.subtract(second["center_um"], first["center_um"])
    np.testing.assert_allclose(step_px * 1.6, step_um, atol=1.0)
    sem = slide_info(folder / "Al2O3_SE_020_sp.czi")["scenes"][0]["stage"]
    assert (sem["x_mm"], sem["y_mm"], sem["z_mm"]) == (48.471, 49.975, 36.978)
    assert slide_info(folder / "RGB-8bit.czi")["scenes"][0]["stage"] is None


def test_czi_levels_show_the_same_image_smaller(real_data: Path) -> None:
    with open_slide(real_data / "slides/czi/Al2O3_SE_020_sp.czi") as slide:
        mosaic = slide.scene()
        assert [level.shape for level in mosaic.levels] == [(1536, 2048), (768, 1024), (384, 512)]
        full = whole(mosaic).astype(float)
        for index in (1, 2):
            factor = 2**index
            mean = full.reshape(1536 // factor, factor, 2048 // factor, factor).mean(axis=(1, 3))
            assert np.abs(whole(mosaic, level=index) - mean).max() <= 0.5
            part = mosaic.read(Region(50, 60, 250, 360), level=index)
            np.testing.assert_array_equal(part, whole(mosaic, level=index)[50:250, 60:360])


@pytest.mark.parametrize("name", TIFF)
def test_tiff_agrees_with_tifffile(real_data: Path, name: str) -> None:
    path = real_data / "slides/tiff" / name
    info = slide_info(path)
    keys = {"name", "shape", "levels", "dtype", "rgb", "channels", "pixel_size_um", "origin_px", "stage"}
    keys |= {"colours", "stack", "orientation", "notes"}
    assert set(info["scenes"][0]) == keys
    with tifffile.TiffFile(path) as file, open_slide(path) as slide:
        series = file.series[0]
        scene, mosaic = info["scenes"][0], slide.scene()
        size = dict(zip(series.axes, series.shape, strict=True))
        assert scene["shape"] == [size["Y"], size["X"]]
        assert scene["dtype"] == series.dtype.name
        assert scene["rgb"] == (size.get("S", 1) >= 3)
        assert len(scene["channels"]) == size.get("C", 1)
        assert len(scene["levels"]) == len(series.levels)
        assert [(axis["axis"], axis["size"]) for axis in scene["stack"]] == [("z", 5)] * (size.get("Z", 1) == 5)
        for index, level in enumerate(series.levels):
            planes = np.moveaxis(level.asarray(), series.axes.index("S"), -1) if "S" in size else level.asarray()
            for channel in range(len(scene["channels"])):
                for z in range(size.get("Z", 1)):
                    expected = planes
                    if "C" in size:
                        expected = planes[channel, z] if "Z" in size else planes[channel]
                    there = whole(mosaic, level=index, channel=channel, place=StackPlace(z=z))
                    np.testing.assert_array_equal(there, expected)


@pytest.mark.parametrize(
    ("name", "kind", "size_um"),
    [
        ("CMU-1-Small-Region.svs", "svs", [0.499, 0.499]),  # MPP
        ("boxes.tiff", "tiff", None),  # 72 dots per inch is for printing
        ("sample.tif", "tiff", None),  # 300 dots per inch as well
        ("cells-2c.ome.tif", "ome-tiff", [0.25, 0.25]),  # PhysicalSizeX
        ("cells-gray16.tif", "tiff", [0.25, 0.25]),  # ImageJ: 4 pixels per micrometre
        ("multi-channel-z-series.ome.tif", "ome-tiff", None),
    ],
)
def test_tiff_pixel_sizes(real_data: Path, name: str, kind: str, size_um: list[float] | None) -> None:
    info = slide_info(real_data / "slides/tiff" / name)
    assert info["format"] == kind
    assert info["scenes"][0]["pixel_size_um"] == size_um


@pytest.mark.parametrize("name", ZARR)
def test_zarr_agrees_with_zarr_python(real_data: Path, name: str) -> None:
    path = real_data / "slides/ome-zarr" / name
    info = slide_info(path)
    group = zarr.open_group(path, mode="r")
    attributes = group.attrs.asdict()
    attributes = attributes.get("ome", attributes)
    datasets = attributes["multiscales"][0]["datasets"]
    with open_slide(path) as slide:
        scene, mosaic = info["scenes"][0], slide.scene()
        assert len(scene["levels"]) == len(datasets)
        assert len(scene["channels"]) == 3
        for index, dataset in enumerate(datasets):
            array = group[dataset["path"]]
            assert scene["levels"][index] == list(array.shape[-2:])
            assert scene["dtype"] == array.dtype.name
            for channel in range(3):
                expected = np.asarray(array[channel, 0] if array.ndim == 4 else array[channel])
                np.testing.assert_array_equal(whole(mosaic, level=index, channel=channel), expected)
    expected_um = [0.325, 0.325] if "fractal" in name else None
    assert scene["pixel_size_um"] == expected_um


def test_zarr_labels_beside_an_image_open_too(real_data: Path) -> None:
    path = real_data / "slides/ome-zarr" / ZARR[2] / "labels/nuclei"
    if not path.is_dir():
        pytest.skip("this copy has no labels")
    assert slide_info(path)["scenes"][0]["dtype"] == "uint32"


def test_jpeg_agrees_with_pillow(real_data: Path) -> None:
    path = real_data / "slides/tiff/cells.jpg"
    expected = np.asarray(Image.open(path))
    with open_slide(path) as slide:
        assert slide.format == "jpeg"
        np.testing.assert_array_equal(whole(slide.scene()), expected)


def test_unknown_compression_is_one_sentence(real_data: Path) -> None:
    with pytest.raises(SlideError, match="compressed in a way this program does not support"):
        slide_info(real_data / "slides/tiff/unopenable.tiff")


def test_every_slide_has_a_unique_and_stable_fingerprint(real_data: Path) -> None:
    paths = [real_data / "slides/tiff" / name for name in TIFF]
    prints = []
    for path in paths:
        with open_slide(path) as slide:
            prints.append(slide.scene().fingerprint())
        with open_slide(path, pixel_size_um=3.0) as slide:
            assert slide.scene().fingerprint() == prints[-1]
            assert slide.scene().pixel_size_um == (3.0, 3.0)
    assert len(set(prints)) == len(paths)
