"""Files of every kind, written by other libraries, are read as they were written."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pylibCZIrw import czi as zeiss

from microscope_qc.core.errors import InputError, SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.slides import Mosaic, open_slide, slide_info
from microscope_qc.slides.plane import StackPlace

RNG = np.random.default_rng(5)
GREY = RNG.integers(0, 255, (300, 421), np.uint8)
GREY16 = RNG.integers(0, 65535, (300, 421), np.uint16)
COLOUR = RNG.integers(0, 255, (300, 421, 3), np.uint8)
COLOUR16 = RNG.integers(0, 65535, (300, 421, 3), np.uint16)


def whole(mosaic: Mosaic, **more) -> np.ndarray:
    """All full-resolution pixels."""
    return mosaic.read(Region(0, 0, *mosaic.shape), **more)


@pytest.mark.parametrize(
    ("pixels", "options"),
    [
        (GREY, {}),
        (GREY16, {"byteorder": ">"}),
        (GREY, {"compression": "zlib", "rowsperstrip": 7}),
        (GREY16, {"compression": "lzw", "predictor": True, "tile": (64, 128)}),
        (COLOUR, {"tile": (64, 64), "photometric": "rgb"}),
        (COLOUR, {"compression": "deflate", "rowsperstrip": 300, "photometric": "rgb"}),
        (np.moveaxis(COLOUR, 2, 0), {"planarconfig": "separate", "photometric": "rgb", "tile": (64, 64)}),
        (np.moveaxis(COLOUR16, 2, 0), {"planarconfig": "separate", "photometric": "rgb"}),
        (COLOUR16, {"photometric": "rgb", "bigtiff": True}),
        (RNG.normal(size=(300, 421)).astype(np.float32), {"compression": "zstd"}),
        (RNG.integers(-99, 99, (300, 421), np.int16), {}),
    ],
)
def test_tiff_variants(tmp_path: Path, pixels: np.ndarray, options: dict) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, **options)
    with open_slide(path) as slide:
        mosaic = slide.scene()
        expected = np.moveaxis(pixels, 0, 2) if options.get("planarconfig") else pixels
        assert mosaic.rgb == (expected.ndim == 3)
        assert mosaic.dtype == expected.dtype
        np.testing.assert_array_equal(whole(mosaic), expected)
        part = mosaic.read(Region(63, 60, 130, 300))
        np.testing.assert_array_equal(part, expected[63:130, 60:300])
        assert mosaic.read_rgb8(Region(0, 0, 5, 6)).shape == (5, 6, 3)


def test_tiff_black_and_white_and_palettes(tmp_path: Path) -> None:
    bits = GREY > 127
    Image.fromarray(bits).save(tmp_path / "bits.tif", compression="group4")
    Image.fromarray(GREY).save(tmp_path / "inverted.tif", tiffinfo={262: 0})
    tifffile.imwrite(tmp_path / "palette.tif", GREY, photometric="palette", colormap=_colormap())
    assert np.array_equal(whole(open_slide(tmp_path / "bits.tif").scene()), np.asarray(bits, np.uint8) * 255)
    np.testing.assert_array_equal(
        whole(open_slide(tmp_path / "inverted.tif").scene()), np.asarray(Image.open(tmp_path / "inverted.tif"))
    )
    mosaic = open_slide(tmp_path / "palette.tif").scene()
    assert mosaic.rgb
    np.testing.assert_array_equal(whole(mosaic), (_colormap() >> 8).astype(np.uint8).T[GREY])


def _colormap() -> np.ndarray:
    ramp = np.arange(256, dtype=np.uint16) * 257
    return np.stack([ramp, ramp[::-1], ramp // 2])


def test_ome_tiff_with_pyramid_channels_and_scenes(tmp_path: Path) -> None:
    path = tmp_path / "two.ome.tif"
    first = RNG.integers(0, 65535, (2, 600, 800), np.uint16)
    metadata = {
        "axes": "CYX",
        "PhysicalSizeX": 310.0,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 0.62,
        "Channel": {"Name": ["SE", "BSE"]},
        "Name": "Left",
    }
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(first, subifds=2, tile=(128, 128), compression="zlib", metadata=metadata)
        writer.write(first[:, ::2, ::2], subfiletype=1, tile=(128, 128), compression="zlib")
        writer.write(first[:, ::4, ::4], subfiletype=1, tile=(128, 128), compression="zlib")
        writer.write(COLOUR, photometric="rgb", metadata={"axes": "YXS", "Name": "Right"})
    info = slide_info(path)
    assert info["format"] == "ome-tiff"
    left, right = info["scenes"]
    assert (left["name"], right["name"]) == ("Left", "Right")
    assert left["levels"] == [[600, 800], [300, 400], [150, 200]]
    assert left["channels"] == ["SE", "BSE"]
    assert left["pixel_size_um"] == pytest.approx([0.62, 0.31])
    assert right["rgb"]
    assert right["pixel_size_um"] is None
    with open_slide(path) as slide:
        mosaic = slide.scene("Left")
        for channel in (0, 1):
            np.testing.assert_array_equal(whole(mosaic, channel=channel), first[channel])
            got = mosaic.read(Region(10, 20, 150, 200), level=2, channel=channel)
            np.testing.assert_array_equal(got, first[channel, ::4, ::4][10:150, 20:200])
        np.testing.assert_array_equal(whole(slide.scene("Right")), COLOUR)
        with pytest.raises(InputError, match="no scene called Middle"):
            slide.scene("Middle")


def test_ome_tiff_of_several_files_never_reads_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    tifffile.imwrite(tmp_path / "secret.tif", GREY)
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="421" SizeY="300" '
        'SizeC="1" SizeZ="1" SizeT="1">'
        '<Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData IFD="0" PlaneCount="1">'
        '<UUID FileName="../secret.tif">urn:uuid:00000000-0000-0000-0000-000000000000</UUID></TiffData>'
        "</Pixels></Image></OME>"
    )
    path = tmp_path / "inner" / "a.ome.tif"
    tifffile.imwrite(path, np.zeros((300, 421), np.uint8), description=xml, metadata=None)
    with open_slide(path) as slide:
        assert whole(slide.scene()).max() == 0
        assert slide.scene().notes


def test_every_plane_of_an_imagej_stack_is_read(tmp_path: Path) -> None:
    stack = RNG.integers(0, 65535, (4, 3, 2, 50, 60), np.uint16)
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "TZCYX", "unit": "um"}, resolution=(2.0, 4.0))
    with open_slide(path) as slide:
        mosaic = slide.scene()
        assert [(axis.key, axis.size) for axis in mosaic.stack] == [("z", 3), ("t", 4)]
        assert mosaic.pixel_size_um == (0.25, 0.5)
        for channel in (0, 1):
            for t, z in np.ndindex(4, 3):
                place = StackPlace(z=z, t=t)
                np.testing.assert_array_equal(whole(mosaic, channel=channel, place=place), stack[t, z, channel])


@pytest.mark.parametrize(
    ("resolution", "unit", "expected"),
    [
        ((20_000, 25_000), "CENTIMETER", (0.4, 0.5)),
        ((50_800, 50_800), "INCH", (0.5, 0.5)),
        ((300, 300), "INCH", None),
        ((1, 1), "NONE", None),
        ((0, 0), "CENTIMETER", None),
    ],
)
def test_resolution_tags_count_only_where_they_can_be_right(
    tmp_path: Path, resolution: tuple, unit: str, expected: tuple | None
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, resolution=resolution, resolutionunit=unit)
    size = open_slide(path).scene().pixel_size_um
    assert size == (pytest.approx(expected) if expected else None)


def test_electron_microscopes(tmp_path: Path) -> None:
    fei = (
        "[Scan]\r\nPixelWidth=2e-008\r\nPixelHeight=3e-008\r\n"
        "[Stage]\r\nStageX=0.0015\r\nStageY=-0.0025\r\nStageZ=0.004\r\n"
    )
    tifffile.imwrite(tmp_path / "fei.tif", GREY, extratags=[(34682, 2, None, fei, True)])
    mosaic = open_slide(tmp_path / "fei.tif").scene()
    assert mosaic.pixel_size_um == pytest.approx((0.03, 0.02))
    assert mosaic.stage is not None
    assert [mosaic.stage[key] for key in ("x_mm", "y_mm", "z_mm")] == pytest.approx([1.5, -2.5, 4.0])
    zeiss_text = (
        "\r\nAP_PIXEL_SIZE\r\nPixel Size = 27.91 nm\r\nAP_STAGE_AT_X\r\nStage at X = 48.471 mm\r\n"
        "AP_STAGE_AT_Y\r\nStage at Y = 49.975 mm\r\n"
    )
    tifffile.imwrite(tmp_path / "zeiss.tif", GREY, extratags=[(34118, 2, None, zeiss_text, True)])
    mosaic = open_slide(tmp_path / "zeiss.tif").scene()
    assert mosaic.pixel_size_um == pytest.approx((0.02791, 0.02791))
    assert mosaic.stage is not None
    assert (mosaic.stage["x_mm"], mosaic.stage["y_mm"]) == pytest.approx((48.471, 49.975))


def test_pictures(tmp_path: Path) -> None:
    alpha = np.dstack([COLOUR, GREY])
    Image.fromarray(GREY).save(tmp_path / "grey.png")
    Image.fromarray(GREY16).save(tmp_path / "grey16.png")
    Image.fromarray(alpha, "RGBA").save(tmp_path / "alpha.png")
    Image.fromarray(GREY > 99).save(tmp_path / "bits.png")
    Image.fromarray(COLOUR).quantize(16).save(tmp_path / "palette.png")
    Image.fromarray(COLOUR).save(tmp_path / "a.jpg", quality=90)
    import cv2

    cv2.imwrite(str(tmp_path / "colour16.png"), COLOUR16[..., ::-1])
    expected = {
        "grey.png": GREY,
        "grey16.png": GREY16,
        "alpha.png": COLOUR,
        "bits.png": np.asarray(GREY > 99, np.uint8) * 255,
        "palette.png": np.asarray(Image.open(tmp_path / "palette.png").convert("RGB")),
        "a.jpg": np.asarray(Image.open(tmp_path / "a.jpg")),
        "colour16.png": COLOUR16,
    }
    for name, pixels in expected.items():
        with open_slide(tmp_path / name) as slide:
            mosaic = slide.scene()
            assert (mosaic.dtype, mosaic.rgb) == (pixels.dtype, pixels.ndim == 3), name
            np.testing.assert_array_equal(whole(mosaic), pixels, err_msg=name)
    assert open_slide(tmp_path / "alpha.png").scene().notes == ("transparency is not shown",)


def test_a_huge_png_is_rejected_before_it_is_decoded(tmp_path: Path) -> None:
    import struct
    import zlib

    path = tmp_path / "bomb.png"
    Image.fromarray(GREY).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 100_000, 100_000)
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    path.write_bytes(content)
    with pytest.raises(SlideError, match="too large"):
        open_slide(path)


def test_czi_written_by_zeiss_own_library(tmp_path: Path) -> None:
    path = tmp_path / "a.czi"
    left, right = COLOUR[:, :200], COLOUR[:, 200:]
    with zeiss.create_czi(str(path)) as writer:
        writer.write(left[..., ::-1].copy(), location=(-300, 40), scene=0)
        writer.write(right[..., ::-1].copy(), location=(5000, 40), scene=1)
        writer.write_metadata("doc", scale_x=0.3e-6, scale_y=0.4e-6)
    with open_slide(path) as slide:
        assert [mosaic.name for mosaic in slide.scenes] == ["0", "1"]
        assert [mosaic.origin_px for mosaic in slide.scenes] == [(40, -300), (40, 5000)]
        assert slide.scenes[0].pixel_size_um == pytest.approx((0.4, 0.3))
        np.testing.assert_array_equal(whole(slide.scenes[0]), left)
        np.testing.assert_array_equal(whole(slide.scenes[1]), right)
    with pytest.raises(SlideError, match="was closed"):
        slide.scenes[0].read(Region(0, 0, 5, 5))


def _write_zarr(
    path: Path, arrays: list[np.ndarray], *, version: str, attributes: dict | None = None, **multiscale
) -> None:
    kind = 3 if version == "0.5" else 2
    group = zarr.open_group(path, mode="w", zarr_format=kind)
    for index, array in enumerate(arrays):
        group.create_array(str(index), data=array, chunks=tuple(min(64, side) for side in array.shape), fill_value=0)
    axes = [
        {"name": n, "type": "channel" if n == "c" else "space", "unit": "nanometer"} for n in "cyx"[-arrays[0].ndim :]
    ]
    datasets = [
        {
            "path": str(i),
            "coordinateTransformations": [{"type": "scale", "scale": [1.0] * (a.ndim - 2) + [300.0 * 2**i] * 2}],
        }
        for i, a in enumerate(arrays)
    ]
    body = {"version": version, "axes": axes, "datasets": datasets, **multiscale}
    ome = {"multiscales": [body], **(attributes or {})}
    group.attrs.update({"ome": {"version": version, **ome}} if version == "0.5" else ome)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_zarr_versions_units_and_missing_chunks(tmp_path: Path, version: str) -> None:
    path = tmp_path / "a.zarr"
    _write_zarr(path, [GREY16, GREY16[::2, ::2]], version=version)
    missing = path / "0" / ("c/1/2" if version == "0.5" else "1.2")
    missing.unlink()
    expected = GREY16.copy()
    expected[64:128, 128:192] = 0
    with open_slide(path) as slide:
        mosaic = slide.scene()
        assert mosaic.pixel_size_um == pytest.approx((0.3, 0.3))
        np.testing.assert_array_equal(whole(mosaic), expected)
        np.testing.assert_array_equal(mosaic.read(Region(3, 5, 99, 120), level=1), GREY16[::2, ::2][3:99, 5:120])


def test_zarr_colours_make_rgb(tmp_path: Path) -> None:
    planes = np.moveaxis(COLOUR, 2, 0)
    colours = [{"label": n, "color": c} for n, c in zip("RGB", ("FF0000", "00FF00", "0000FF"), strict=True)]
    _write_zarr(tmp_path / "rgb.zarr", [planes], version="0.4", attributes={"omero": {"channels": colours}})
    stains = [{"label": n, "color": c} for n, c in zip("abc", ("FF0000", "FFFF00", "0000FF"), strict=True)]
    _write_zarr(tmp_path / "stains.zarr", [planes], version="0.4", attributes={"omero": {"channels": stains}})
    np.testing.assert_array_equal(whole(open_slide(tmp_path / "rgb.zarr").scene()), COLOUR)
    mosaic = open_slide(tmp_path / "stains.zarr").scene()
    assert not mosaic.rgb
    assert [channel.colour for channel in mosaic.channels] == ["#ff0000", "#ffff00", "#0000ff"]
    mixed = mosaic.read_rgb8(Region(0, 0, 300, 421)).astype(int)
    assert np.array_equal(mixed[..., 0], np.minimum(255, planes[0].astype(int) + planes[1]))
    assert np.array_equal(mixed[..., 1], planes[1])


def test_zarr_layouts_with_several_images(tmp_path: Path) -> None:
    series = tmp_path / "series.zarr"
    zarr.open_group(series, mode="w", zarr_format=2, attributes={"bioformats2raw.layout": 3})
    _write_zarr(series / "0", [GREY], version="0.4")
    _write_zarr(series / "1", [GREY16], version="0.4")
    with open_slide(series) as slide:
        assert [mosaic.name for mosaic in slide.scenes] == ["0", "1"]
        np.testing.assert_array_equal(whole(slide.scene("1")), GREY16)
    plate = tmp_path / "plate.zarr"
    zarr.open_group(plate, mode="w", zarr_format=2, attributes={"plate": {"wells": [{"path": "B/03"}]}})
    zarr.open_group(plate / "B/03", mode="w", zarr_format=2, attributes={"well": {"images": [{"path": "0"}]}})
    _write_zarr(plate / "B/03/0", [GREY], version="0.4")
    with open_slide(plate) as slide:
        assert [mosaic.name for mosaic in slide.scenes] == ["B/03/0"]


def test_zarr_that_points_outside_its_folder_is_refused(tmp_path: Path) -> None:
    _write_zarr(tmp_path / "secret.zarr", [GREY], version="0.4")
    _write_zarr(tmp_path / "a.zarr", [GREY], version="0.4")
    attributes = json.loads((tmp_path / "a.zarr/.zattrs").read_text())
    attributes["multiscales"][0]["datasets"][0]["path"] = "../secret.zarr/0"
    (tmp_path / "a.zarr/.zattrs").write_text(json.dumps(attributes))
    with pytest.raises(SlideError, match="outside its own folder"):
        open_slide(tmp_path / "a.zarr")


@pytest.fixture(scope="module")
def one_of_each(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("slides")
    paths = {kind: folder / f"a.{kind}" for kind in ("tif", "png", "zarr", "czi")}
    tifffile.imwrite(paths["tif"], COLOUR, tile=(64, 64), compression="zlib", photometric="rgb")
    Image.fromarray(COLOUR).save(paths["png"])
    rgb = {"omero": {"channels": []}}
    _write_zarr(paths["zarr"], [np.moveaxis(COLOUR, 2, 0)], version="0.5", attributes=rgb)
    with zeiss.create_czi(str(paths["czi"])) as writer:
        writer.write(COLOUR[..., ::-1].copy(), location=(-7, 1000))
    return paths


@given(st.integers(-500, 800), st.integers(-500, 800), st.integers(0, 500), st.integers(0, 500))
def test_any_region_of_any_format(one_of_each: dict[str, Path], y: int, x: int, height: int, width: int) -> None:
    canvas = np.zeros((1800, 1800, 3), np.uint8)
    canvas[500:800, 500:921] = COLOUR
    region = Region(y, x, y + height, x + width)
    expected = canvas[y + 500 : y + 500 + height, x + 500 : x + 500 + width]
    for path in one_of_each.values():
        with open_slide(path) as slide:
            got = slide.scene().read(region)
            assert got.dtype == np.uint8
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("kind", ["tif", "png", "zarr", "czi"])
def test_many_threads_read_one_slide(one_of_each: dict[str, Path], kind: str) -> None:
    start = threading.Barrier(8)
    dice = np.random.default_rng(1)
    regions = [Region(int(y), int(x), int(y) + 90, int(x) + 110) for y, x in dice.integers(0, 200, (160, 2))]

    with open_slide(one_of_each[kind]) as slide, ThreadPoolExecutor(8) as pool:
        mosaic = slide.scene()

        def read(index: int) -> bool:
            if index < 8:
                start.wait()
            region = regions[index]
            return np.array_equal(mosaic.read(region), COLOUR[region.y0 : region.y1, region.x0 : region.x1])

        assert all(pool.map(read, range(160)))


def test_a_wrong_level_or_channel_or_size_is_refused(one_of_each: dict[str, Path]) -> None:
    mosaic = open_slide(one_of_each["tif"]).scene()
    with pytest.raises(InputError, match="level 1"):
        mosaic.read(Region(0, 0, 5, 5), level=1)
    with pytest.raises(InputError, match="channel 1"):
        mosaic.read(Region(0, 0, 5, 5), channel=1)
    with pytest.raises(InputError, match="too large"):
        mosaic.read(Region(0, 0, 200_000, 200_000))
