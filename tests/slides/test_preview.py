"""Slides without coarse levels show a preview from few samples; nothing is read completely."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image
from pylibCZIrw import czi as zeiss

from microscope_qc.core.errors import InputError, SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.slides import Mosaic, open_slide, preview
from microscope_qc.slides.preview import decoded_bytes, needs_conversion, sparse_preview
from microscope_qc.slides.tiff import pages as tiff_pages
from microscope_qc.slides.virtual.reader import write_virtual

SIDE = 20_000
TILE = 500


def brightness(row: int, column: int) -> int:
    """A value for every tile of the large files: a gradient with a dark square in it."""
    return 20 if 10 <= row < 16 and 20 <= column < 26 else 60 + 2 * row + column


@functools.lru_cache
def packed(value: int, pixels: int) -> bytes:
    return zlib.compress(np.full(pixels, value, np.uint8).tobytes(), 1)


def truth(shape: tuple[int, int]) -> np.ndarray:
    count = SIDE // TILE
    tiles = np.array([[brightness(i, j) for j in range(count)] for i in range(count)], np.float32)
    return cv2.resize(tiles, shape[::-1], interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def tiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20,000 x 20,000 in deflated tiles, one level."""

    def tiles() -> Iterator[bytes]:
        for row in range(-(-SIDE // 512)):
            for column in range(-(-SIDE // 512)):
                yield packed(brightness(min(39, row), min(39, column)), 512 * 512)

    path = tmp_path_factory.mktemp("preview") / "tiled.tif"
    tifffile.imwrite(path, tiles(), shape=(SIDE, SIDE), dtype=np.uint8, tile=(512, 512), compression="zlib")
    return path


@pytest.fixture(scope="module")
def striped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20,000 x 20,000 in deflated strips of 50 rows that get brighter downwards."""
    path = tmp_path_factory.mktemp("preview") / "strips.tif"
    strips = (packed(40 + row // 4, 50 * SIDE) for row in range(SIDE // 50))
    tifffile.imwrite(path, strips, shape=(SIDE, SIDE), dtype=np.uint8, rowsperstrip=50, compression="zlib")
    return path


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collects the number of pixels of every TIFF tile or strip that is decoded."""
    found: list[int] = []
    whole = tiff_pages.PageReader._decode

    def counted(self, *args) -> np.ndarray:
        piece = whole(self, *args)
        found.append(piece.shape[0] * piece.shape[1])
        return piece

    monkeypatch.setattr(tiff_pages.PageReader, "_decode", counted)
    return found


def test_a_large_tiled_tiff_is_sampled(tiled: Path, decodes: list[int]) -> None:
    with open_slide(tiled) as slide:
        mosaic = slide.scene()
        assert needs_conversion(mosaic)
        assert decoded_bytes(mosaic) == SIDE * SIDE
        assert decodes == []
        pictures = sparse_preview(mosaic)
        first = next(pictures)
        assert len(decodes) <= 16  # the first preview needs only a few reads
        rest = list(pictures)
    assert len(decodes) <= 600
    assert sum(decodes) < 0.45 * SIDE * SIDE
    assert first.shape == (256, 256)
    errors = [np.abs(picture - truth(picture.shape)).mean() for picture in (first, *rest)]
    assert len(errors) >= 5
    assert errors[-1] < 3
    assert errors[-1] < 0.5 * errors[0]
    assert rest[-1][90, 150] < 40  # the dark square is seen


def test_stopping_early_stops_reading(tiled: Path, decodes: list[int]) -> None:
    with open_slide(tiled) as slide:
        pictures = sparse_preview(slide.scene())
        next(pictures)
        pictures.close()
        seen = len(decodes)
        assert seen <= 40
        list(sparse_preview(slide.scene(), max_reads=30))
        assert len(decodes) <= seen + 40
        assert list(sparse_preview(slide.scene(), seconds=0.0)) == []


def test_a_large_striped_tiff_is_sampled(striped: Path, decodes: list[int]) -> None:
    with open_slide(striped) as slide:
        mosaic = slide.scene()
        assert needs_conversion(mosaic)
        *_, last = sparse_preview(mosaic, longest_px=100)
    assert sum(decodes) <= preview.MAX_SAMPLED_PX + 50 * SIDE
    expected = np.linspace(40, 139, 100)
    assert np.abs(last.mean(axis=1) - expected).max() < 4


def test_one_piece_that_is_too_large_gives_nothing(tmp_path: Path, decodes: list[int]) -> None:
    path = tmp_path / "one.tif"
    strip = (packed(40, 9000 * 9000) for _ in range(1))
    tifffile.imwrite(path, strip, shape=(9000, 9000), dtype=np.uint8, rowsperstrip=9000, compression="zlib")
    with open_slide(path) as slide:
        assert needs_conversion(slide.scene())
        assert list(sparse_preview(slide.scene())) == []
    assert decodes == []


def test_a_slide_with_a_pyramid_shows_its_coarsest_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_virtual(tmp_path / "a.virtual.json", shape=(170_000, 200_000))
    with open_slide(path) as slide:
        mosaic = slide.scene()
        assert not needs_conversion(mosaic)
        assert decoded_bytes(mosaic) == 170_000 * 200_000 * 3
        levels = _levels_read(mosaic, monkeypatch)
        (picture,) = sparse_preview(mosaic, longest_px=200)
        assert levels == [len(mosaic.levels) - 1]
    assert picture.shape == (170, 200, 3)
    assert picture.dtype == np.uint8


def test_a_slide_of_100_gb_without_a_pyramid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_virtual(tmp_path / "a.virtual.json", shape=(170_000, 200_000), pyramid=False)
    with open_slide(path) as slide:
        mosaic = slide.scene()
        assert needs_conversion(mosaic)
        levels = _levels_read(mosaic, monkeypatch)
        pictures = list(sparse_preview(mosaic, max_reads=100))
        assert len(levels) <= 110
    assert all(picture.shape == (218, 256, 3) for picture in pictures)
    assert pictures[-1].std() > 3


def _levels_read(mosaic: Mosaic, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    levels: list[int] = []
    read = mosaic._read

    def counted(region: Region, level: int, channel: int) -> np.ndarray:
        levels.append(level)
        return read(region, level, channel)

    monkeypatch.setattr(mosaic, "_read", counted)
    return levels


def test_a_czi_without_a_pyramid_has_one_stored_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.czi"
    tile = np.full((1024, 1024, 1), 90, np.uint8)
    with zeiss.create_czi(str(path)) as czi:
        for row in range(3):
            for column in range(4):
                czi.write(tile + 10 * row, location=(1024 * column, 1024 * row), compression_options="zstd0:")
    with open_slide(path) as slide:
        mosaic = slide.scene()
        assert mosaic.stored_levels == 1 < len(mosaic.levels)
        assert not needs_conversion(mosaic)
        monkeypatch.setattr(preview, "WHOLE_PX", 1_000_000)
        assert needs_conversion(mosaic)
        levels = _levels_read(mosaic, monkeypatch)
        *_, last = sparse_preview(mosaic, longest_px=120)
        assert set(levels) == {0}
    np.testing.assert_allclose(last[::30, ::30], np.repeat([[90], [100], [110]], 4, axis=1), atol=1)


@pytest.mark.parametrize(("version", "dtype"), [(2, np.uint16), (3, np.float32), (3, np.int32)])
def test_an_ome_zarr_of_one_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int, dtype: type[np.generic]
) -> None:
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=version)
    pixels = (np.add.outer(np.arange(900), np.arange(1200)) // 3).astype(dtype)
    group.create_array("0", data=pixels, chunks=(100, 150))
    multiscales = [{"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "0"}]}]
    group.attrs.update({"ome": {"version": "0.5", "multiscales": multiscales}, "multiscales": multiscales})
    monkeypatch.setattr(preview, "WHOLE_PX", 10_000)
    with open_slide(tmp_path / "a.zarr") as slide:
        mosaic = slide.scene()
        assert mosaic.piece_px == (100, 150)
        assert needs_conversion(mosaic)
        *_, last = sparse_preview(mosaic, longest_px=120)
    assert last.dtype == dtype
    expected = cv2.resize(pixels.astype(np.float64), (120, 90), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(last, expected, atol=1)


def test_a_jpeg_is_decoded_small_and_never_completely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"
    pixels = np.zeros((1600, 2400, 3), np.uint8)
    pixels[:, 1200:] = (200, 100, 50)
    Image.fromarray(pixels).save(path, quality=90)
    with open_slide(path) as slide:
        mosaic = slide.scene()
        monkeypatch.setattr(mosaic, "_decode", lambda: pytest.fail("decoded whole"))
        (picture,) = sparse_preview(mosaic, longest_px=150)
        assert mosaic.overview(150).shape == (200, 300, 3)
    assert picture.shape == (100, 150, 3)
    np.testing.assert_allclose(picture[50, [20, 120]], [(0, 0, 0), (200, 100, 50)], atol=4)


def test_a_png_is_read_as_it_is(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png") as slide:
        (picture,) = sparse_preview(slide.scene())
    np.testing.assert_array_equal(picture, pixels)  # never enlarged


def test_damaged_samples_are_left_out(tiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_slide(tiled) as slide:
        mosaic = slide.scene()
        read = mosaic._read

        def left_half_is_damaged(region: Region, level: int, channel: int) -> np.ndarray:
            if region.x0 < SIDE // 2:
                raise SlideError("a part cannot be decoded")
            return read(region, level, channel)

        monkeypatch.setattr(mosaic, "_read", left_half_is_damaged)
        *_, last = sparse_preview(mosaic, longest_px=64, max_reads=100)
        assert np.abs(last[:, 40:].astype(float) - truth((64, 64))[:, 40:]).mean() < 5

        def damaged(region: Region, level: int, channel: int) -> np.ndarray:
            raise SlideError("a part cannot be decoded")

        monkeypatch.setattr(mosaic, "_read", damaged)
        with pytest.raises(SlideError, match="cannot be decoded"):
            list(sparse_preview(mosaic, max_reads=20))


def test_impossible_numbers_are_rejected(tiled: Path) -> None:
    with open_slide(tiled) as slide:
        with pytest.raises(InputError):
            list(sparse_preview(slide.scene(), longest_px=0))
        with pytest.raises(InputError):
            list(sparse_preview(slide.scene(), max_reads=0))


def test_the_display_window_of_a_slide_without_a_pyramid_needs_few_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.czi"
    tile = np.random.default_rng(0).integers(100, 900, (2048, 2048, 1), np.uint16)
    with zeiss.create_czi(str(path)) as czi:
        for number in range(4):
            czi.write(tile, location=(2048 * number, 0))
    with open_slide(path) as slide:
        mosaic = slide.scene()
        read = mosaic._read
        pixels = []

        def counted(region: Region, level: int, channel: int) -> np.ndarray:
            factor = mosaic.levels[level].downsample
            pixels.append(region.shape[0] * region.shape[1] * factor[0] * factor[1])
            return read(region, level, channel)

        monkeypatch.setattr(mosaic, "_read", counted)
        low, high = mosaic.window()
    assert sum(pixels) < 0.1 * 2048 * 8192
    assert (low, high) == pytest.approx((100, 899), abs=5)
