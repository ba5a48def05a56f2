"""What is written as OME-Zarr is read back pixel for pixel, at every level, and by other readers too."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from microscope_qc.core.errors import Cancelled, InputError, SlideError
from microscope_qc.core.files import WriteError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import CancelToken, run_job
from microscope_qc.slides import Channel, open_slide, slide_info
from microscope_qc.slides.pyramid.write import halve, level_shapes, write_ome_zarr


def picture(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    """Noise over the whole range of a type."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return rng.normal(0, 1000, shape).astype(kind)
    limits = np.iinfo(kind)
    return rng.integers(limits.min, limits.max, shape, dtype=kind, endpoint=True)


def write(out: Path, pixels: np.ndarray, *, rgb: bool = False, **more) -> Path:
    """Write an array (h, w), (h, w, 3) or (c, h, w)."""
    several = pixels.ndim == 3 and not rgb

    def read(region: Region) -> np.ndarray:
        part = (slice(region.y0, region.y1), slice(region.x0, region.x1))
        return pixels[(slice(None), *part)] if several else pixels[part]

    shape = pixels.shape[1:] if several else pixels.shape[:2]
    more.setdefault("channels", [Channel("A", "#ff0000"), Channel("B", "#00ff00", (5.0, 90.0))] if several else ())
    return run_job(write_ome_zarr(out, shape=shape, dtype=pixels.dtype, rgb=rgb, read=read, **more))


def averaged(pixels: np.ndarray, factor: int) -> np.ndarray:
    """Mean over blocks of the whole image; blocks that the border cuts are averaged over the pixels they have."""
    height, width = pixels.shape[:2]
    rows, columns = np.arange(0, height, factor), np.arange(0, width, factor)
    sums = np.add.reduceat(np.add.reduceat(pixels.astype(float), rows, axis=0), columns, axis=1)
    counts = np.outer(np.minimum(factor, height - rows), np.minimum(factor, width - columns))
    return sums / counts.reshape(*counts.shape, *([1] * (pixels.ndim - 2)))


@pytest.mark.parametrize(
    ("shape", "dtype", "rgb"),
    [
        ((1111, 2050, 3), "uint8", True),
        ((1111, 2050), "uint8", False),
        ((700, 5003), "uint16", False),
        ((2, 1300, 900), "uint16", False),
        ((640, 1025, 3), "uint16", True),
        ((600, 520), "int8", False),
        ((600, 520), "int32", False),
        ((600, 700), "float32", False),
        ((1, 1), "uint8", False),
        ((3, 4200), "uint8", False),
    ],
)
def test_round_trip(tmp_path: Path, shape: tuple[int, ...], dtype: str, rgb: bool) -> None:
    pixels = picture(shape, dtype)
    several = pixels.ndim == 3 and not rgb
    out = write(
        tmp_path / "a.ome.zarr", pixels, rgb=rgb, pixel_size_um=(0.25, 0.5), origin_px=(-7, 9), stage={"x_mm": 1.5}
    )
    with open_slide(out) as slide:
        mosaic = slide.scene()
        assert mosaic.dtype == pixels.dtype
        assert mosaic.rgb == rgb
        assert mosaic.pixel_size_um == (0.25, 0.5)
        assert mosaic.origin_px == (-7, 9)
        assert mosaic.stage == {"x_mm": 1.5}
        full = Region(0, 0, *mosaic.shape)
        for channel in range(len(mosaic.channels)):
            expected = pixels[channel] if several else pixels
            np.testing.assert_array_equal(mosaic.read(full, channel=channel), expected)
        if several:
            assert mosaic.channels == (Channel("A", "#ff0000"), Channel("B", "#00ff00", (5.0, 90.0)))


def test_a_lost_shard_is_not_background(tmp_path: Path) -> None:
    out = write(tmp_path / "a.ome.zarr", np.zeros((700, 900), np.uint8), rgb=False)
    (out / "0" / "c" / "0" / "0" / "0").unlink()
    with open_slide(out) as slide:
        mosaic = slide.scene()
        np.testing.assert_array_equal(mosaic.read(Region(0, 0, 350, 450), level=1), 0)
        with pytest.raises(SlideError, match="damaged or missing"):
            mosaic.read(Region(0, 0, 9, 10))


def test_levels_are_means_over_the_full_resolution(tmp_path: Path) -> None:
    pixels = picture((2111, 4501, 3), "uint8")
    with open_slide(write(tmp_path / "a.ome.zarr", pixels, rgb=True)) as slide:
        mosaic = slide.scene()
        assert [level.shape for level in mosaic.levels] == [(2111, 4501), (1056, 2251), (528, 1126), (264, 563)]
        assert [level.downsample for level in mosaic.levels] == [(1, 1), (2, 2), (4, 4), (8, 8)]
        for index in (1, 2, 3):
            got = mosaic.read(Region(0, 0, *mosaic.levels[index].shape), level=index).astype(float)
            height, width = 2111 // 2**index, 4501 // 2**index  # blocks completely inside
            difference = (got - averaged(pixels, 2**index))[:height, :width]
            assert np.abs(difference).max() <= 0.5 * index + 0.01  # each level rounds once
            assert abs(difference.mean()) < 0.15 * index


def test_shards_meet_without_a_seam(tmp_path: Path) -> None:
    # a ramp over several shards shows every shift by one pixel
    y, x = np.mgrid[0:4200, 0:8300].astype(np.uint16)
    pixels = (x * 5 + y * 2).astype(np.uint16)
    with open_slide(write(tmp_path / "a.ome.zarr", pixels, workers=3)) as slide:
        mosaic = slide.scene()
        np.testing.assert_array_equal(mosaic.read(Region(4000, 4000, 4200, 8300)), pixels[4000:4200, 4000:8300])
        for index in range(1, len(mosaic.levels)):
            got = mosaic.read(Region(0, 0, *mosaic.levels[index].shape), level=index).astype(float)
            height, width = 4200 // 2**index, 8300 // 2**index
            difference = (got - averaged(pixels, 2**index))[:height, :width]
            assert np.abs(difference).max() <= 0.5 * index + 0.01


def test_the_reference_reader_reads_it(tmp_path: Path) -> None:
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    pixels = picture((1300, 1100, 3), "uint8")
    out = write(tmp_path / "a.ome.zarr", pixels, rgb=True, pixel_size_um=(0.3, 0.4), name="Cell 7")
    location = parse_url(out)
    assert location is not None
    node = next(iter(Reader(location)()))
    assert [level.shape for level in node.data] == [(3, 1300, 1100), (3, 650, 550), (3, 325, 275)]
    np.testing.assert_array_equal(np.asarray(node.data[0]), np.moveaxis(pixels, 2, 0))
    scales = [t[0]["scale"] for t in node.metadata["coordinateTransformations"]]
    np.testing.assert_allclose(scales, [[1, 0.3, 0.4], [1, 0.6, 0.8], [1, 1.2, 1.6]])
    assert node.metadata["name"] == ["Red", "Green", "Blue"] or node.metadata["channel_names"] == [
        "Red",
        "Green",
        "Blue",
    ]


def test_zarr_python_reads_it_and_it_is_sharded(tmp_path: Path) -> None:
    pixels = picture((1300, 5000, 3), "uint8")
    out = write(tmp_path / "a.ome.zarr", pixels, rgb=True)
    array = zarr.open_array(out / "0", mode="r")
    assert array.chunks == (3, 512, 512)
    assert array.shards == (3, 1536, 4096)
    np.testing.assert_array_equal(array[:, 1000:1300, 4000:5000], np.moveaxis(pixels[1000:1300, 4000:5000], 2, 0))
    assert len(list((out / "0").rglob("c/*/*/*"))) == 2


def test_every_pixel_is_read_once_and_in_bounded_tiles(tmp_path: Path) -> None:
    asked = np.zeros((5000, 4500), np.uint8)
    lock = threading.Lock()

    def read(region: Region) -> np.ndarray:
        assert max(region.shape) <= 1024
        with lock:
            asked[region.y0 : region.y1, region.x0 : region.x1] += 1
        return np.zeros(region.shape, np.uint8)

    run_job(write_ome_zarr(tmp_path / "a.ome.zarr", shape=asked.shape, dtype="uint8", rgb=False, read=read, workers=4))
    assert asked.min() == asked.max() == 1


def test_cancelling_leaves_nothing(tmp_path: Path) -> None:
    token = CancelToken()
    job = write_ome_zarr(
        tmp_path / "a.ome.zarr",
        shape=(9000, 9000),
        dtype="uint8",
        rgb=False,
        read=lambda region: np.zeros(region.shape, np.uint8),
    )
    with pytest.raises(Cancelled):
        run_job(job, lambda progress: token.cancel() if progress.done == 20 else None, token)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_reader_leaves_nothing_and_is_reported(tmp_path: Path) -> None:
    def read(region: Region) -> np.ndarray:
        if region.y0 > 1000:
            raise InputError("The source is gone.")
        return np.zeros(region.shape, np.uint8)

    with pytest.raises(InputError, match="gone"):
        run_job(write_ome_zarr(tmp_path / "a.ome.zarr", shape=(3000, 600), dtype="uint8", rgb=False, read=read))
    assert list(tmp_path.iterdir()) == []


def test_an_old_pyramid_is_replaced_only_at_the_end(tmp_path: Path) -> None:
    out = write(tmp_path / "a.ome.zarr", np.full((600, 600), 7, np.uint8))
    with pytest.raises(InputError):
        run_job(write_ome_zarr(out, shape=(600, 600), dtype="uint8", rgb=False, read=_refuse))
    assert open_slide(out).scene().read(Region(0, 0, 2, 2)).max() == 7
    write(out, np.full((50, 60), 9, np.uint8))
    assert slide_info(out)["scenes"][0]["shape"] == [50, 60]
    assert open_slide(out).scene().read(Region(0, 0, 2, 2)).max() == 9
    assert [path.name for path in tmp_path.iterdir()] == ["a.ome.zarr"]


def _refuse(region: Region) -> np.ndarray:
    raise InputError("no")


def test_a_folder_that_is_not_a_zarr_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(InputError, match="not overwritten"):
        write(tmp_path / "thesis", np.zeros((5, 5), np.uint8))
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args, **kwargs):
        raise ValueError("RESOURCE_EXHAUSTED: Error writing file: No space left on device [errno 28]")

    monkeypatch.setattr("microscope_qc.slides.pyramid.write.create_level", full)
    with pytest.raises(WriteError, match="disk is full"):
        write(tmp_path / "a.ome.zarr", np.zeros((5, 5), np.uint8))
    assert list(tmp_path.iterdir()) == []


@given(st.integers(1, 100_000), st.integers(1, 100_000))
def test_level_shapes_end_at_512(height: int, width: int) -> None:
    shapes = level_shapes((height, width))
    assert shapes[0] == (height, width)
    assert min(shapes[-1]) <= 512
    assert all(min(shape) > 512 for shape in shapes[:-1])


@given(
    arrays(
        st.sampled_from([np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int64, np.uint64, np.bool_]),
        st.tuples(st.just(1), st.integers(1, 9), st.integers(1, 9)),
    ),
    st.booleans(),
)
def test_halving_rounds_the_mean_of_the_pixels_in_a_block(planes: np.ndarray, ties_up: bool) -> None:
    padded = np.pad(planes, ((0, 0), (0, planes.shape[1] % 2), (0, planes.shape[2] % 2)), mode="edge").astype(object)
    sums = sum(padded[:, y::2, x::2] for y in (0, 1) for x in (0, 1))  # Python's integers never overflow
    expected = ((sums + (2 if ties_up else 1)) // 4).astype(planes.dtype)
    np.testing.assert_array_equal(halve(planes, ties_up=ties_up), expected)


@given(
    arrays(st.sampled_from([np.float16, np.float32, np.float64]), (1, 7, 8), elements=st.floats(-100, 100, width=16))
)
def test_halving_averages_floats(planes: np.ndarray) -> None:
    half = halve(planes)
    assert half.dtype == planes.dtype
    np.testing.assert_allclose(half[0], averaged(planes[0], 2), rtol=1e-3, atol=0.1)
