"""Virtual slides: consistent everywhere and at every level, of any size, and rejected when their file is invalid."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.cli import main
from microscope_qc.core.errors import InputError, SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.slides import Mosaic, open_slide, slide_info
from microscope_qc.slides.virtual.reader import FORMAT, VirtualMosaic, write_virtual
from microscope_qc.workflows.samples.synth import make

HUGE = (170_000, 200_000)
GOOD = {"format": FORMAT, "version": 1, "shape": [3000, 4000], "seed": 3, "pixel_size_um": [0.1, 0.2]}


def huge(seed: int = 0) -> Mosaic:
    """A slide of 100 GB that needs no file."""
    return VirtualMosaic(Path("a.virtual.json"), {**GOOD, "shape": list(HUGE), "seed": seed})


def test_a_slide_of_100_gb_is_described(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "big.virtual.json"
    assert main(["synth", "electrode", str(path), "--size", "170000x200000", "--seed", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"written": [str(path)]}
    assert [p.name for p in tmp_path.iterdir()] == ["big.virtual.json"]
    assert path.stat().st_size < 1000
    info = slide_info(path)
    assert info["format"] == "virtual"
    (scene,) = info["scenes"]
    assert scene["shape"] == [170_000, 200_000]
    assert scene["levels"][1] == [85_000, 100_000]
    assert min(scene["levels"][-1]) <= 512 < min(scene["levels"][-2])
    assert (scene["rgb"], scene["dtype"]) == (True, "uint8")
    assert scene["pixel_size_um"] == [0.1, 0.1]


@given(st.integers(0, 9), st.integers(0, 2**31), st.integers(0, 2**31), st.integers(1, 300), st.integers(1, 300))
def test_however_a_region_is_cut_its_pixels_are_the_same(level: int, y: int, x: int, height: int, width: int) -> None:
    mosaic = huge()
    rows, columns = mosaic.levels[level].shape
    y, x = y % max(1, rows - 300), x % max(1, columns - 300)
    whole = mosaic.read(Region(y, x, y + 300, x + 300), level=level)
    part = mosaic.read(Region(y + 300 - height, x, y + 300, x + width), level=level)
    np.testing.assert_array_equal(part, whole[300 - height :, :width])


def test_a_region_larger_than_one_piece_of_the_drawing() -> None:
    mosaic = huge()
    wide = mosaic.read(Region(100, 0, 103, 40_000), level=1)
    np.testing.assert_array_equal(wide[:, 16_000:17_000], mosaic.read(Region(100, 16_000, 103, 17_000), level=1))


@pytest.mark.parametrize("level", range(9))
def test_a_coarse_level_is_the_average_of_the_finer_one(level: int) -> None:
    mosaic = huge()
    rows, columns = mosaic.levels[level + 1].shape
    dice = np.random.default_rng(level)
    for _ in range(3):
        y, x = int(dice.integers(0, rows - 256)), int(dice.integers(0, columns - 256))
        coarse = mosaic.read(Region(y, x, y + 256, x + 256), level=level + 1).astype(int)
        fine = mosaic.read(Region(2 * y, 2 * x, 2 * y + 512, 2 * x + 512), level=level)
        averaged = cv2.resize(fine, (256, 256), interpolation=cv2.INTER_AREA).astype(int)
        assert np.abs(coarse - averaged).mean() < 10
        assert np.abs((coarse - averaged).mean(axis=(0, 1))).max() < 1.5
        blurred = [cv2.blur(picture.astype(np.float32), (32, 32)) for picture in (coarse, averaged)]
        assert np.abs(blurred[0] - blurred[1]).mean() < 2.0


def test_it_has_structure_at_every_level() -> None:
    mosaic = huge()
    for index, level in enumerate(mosaic.levels):
        tile = mosaic.read(Region(0, 0, 512, 512).clip(level.shape), level=index)
        assert 30 < tile.mean() < 200
        assert tile.std() > 8
    overview = mosaic.read(Region(0, 0, *mosaic.levels[-1].shape), level=len(mosaic.levels) - 1)
    areas = cv2.resize(overview, (4, 4), interpolation=cv2.INTER_AREA).mean(axis=2)
    assert np.ptp(areas) > 3  # not uniform grey from afar


def test_another_seed_is_another_slide() -> None:
    region = Region(50_000, 50_000, 50_200, 50_200)
    same = huge(4).read(region)
    np.testing.assert_array_equal(huge(4).read(region), same)
    assert (huge(5).read(region) != same).mean() > 0.5
    assert huge(4).fingerprint() != huge(5).fingerprint()


def test_reads_from_many_threads_agree() -> None:
    mosaic = huge(1)
    regions = [Region(i * 9000, i * 7000, i * 9000 + 200, i * 7000 + 300) for i in range(16)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(mosaic.read, regions))
    for region, pixels in zip(regions, together, strict=True):
        np.testing.assert_array_equal(mosaic.read(region), pixels)


def test_sides_beyond_every_level_of_the_pattern() -> None:
    mosaic = VirtualMosaic(Path("a.virtual.json"), {**GOOD, "shape": [10_000_000, 10_000_000]})
    coarsest = len(mosaic.levels) - 1
    assert coarsest == 15
    for level in range(coarsest + 1):
        rows, columns = mosaic.levels[level].shape
        assert mosaic.read(Region(rows - 40, columns - 50, rows, columns), level=level).shape == (40, 50, 3)


def test_a_slow_drive_is_simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    path = write_virtual(tmp_path / "a.virtual.json", shape=(3000, 4000), delay_ms=50, pixel_size_um=None)
    with open_slide(path) as slide:
        assert slide.scene().pixel_size_um is None
        slide.scene().read(Region(0, 0, 9, 9))
        slide.scene().read(Region(-9, 0, 9, 9), level=1)
    assert waits == [0.05, 0.05]


def test_without_a_pyramid(tmp_path: Path) -> None:
    path = write_virtual(tmp_path / "a.virtual.json", shape=(3000, 4000), pyramid=False)
    assert slide_info(path)["scenes"][0]["levels"] == [[3000, 4000]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape": [-5, 100]}, "cannot be right"),
        ({"shape": [0, 100]}, "cannot be right"),
        ({"shape": [10**8, 100]}, "cannot be right"),
        ({"shape": [10**400, 100]}, "has no size"),
        ({"shape": [3.5, 100]}, "has no size"),
        ({"shape": [True, True]}, "has no size"),
        ({"shape": "big"}, "has no size"),
        ({"shape": [1, 2, 3]}, "has no size"),
        ({"shape": None}, "has no size"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**70}, "seed"),
        ({"seed": "x"}, "seed"),
        ({"pixel_size_um": [0, 0]}, "pixel size"),
        ({"pixel_size_um": [-1, 1]}, "pixel size"),
        ({"pixel_size_um": [float("nan"), 1]}, "pixel size"),
        ({"pixel_size_um": 3}, "pixel size"),
        ({"delay_ms": -1}, "delay"),
        ({"delay_ms": 1e9}, "delay"),
        ({"delay_ms": float("inf")}, "delay"),
        ({"delay_ms": []}, "delay"),
        ({"pyramid": 1}, "pyramid"),
        ({"format": "x"}, "does not say"),
    ],
)
def test_invalid_values_are_one_sentence(tmp_path: Path, change: dict, words: str) -> None:
    path = tmp_path / "a.virtual.json"
    path.write_text(json.dumps({**GOOD, **change}))
    with pytest.raises(SlideError, match=words) as caught:
        slide_info(path)
    assert caught.value.hint
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"3", b"{", b"\xff\xfe", b"[" * 60_000, b" " * 100_000, b'{"shape": 1e999}']
)
def test_invalid_files_are_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.virtual.json"
    path.write_bytes(content)
    with pytest.raises(SlideError) as caught:
        slide_info(path)
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not end with"):
        write_virtual(tmp_path / "a.json", shape=(9, 9))
    with pytest.raises(InputError, match="cannot be right"):
        write_virtual(tmp_path / "a.virtual.json", shape=(0, 9))
    with pytest.raises(InputError, match="no virtual slide of the kind magnet"):
        run_job(make("magnet", tmp_path / "a.virtual.json"))
    with pytest.raises(InputError, match="no truth"):
        run_job(make("electrode", tmp_path / "a.virtual.json", defects=3))
    assert list(tmp_path.iterdir()) == []
