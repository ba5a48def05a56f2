"""Whatever is given, the answer is pixels or one sentence with what to do; never a traceback, never a crash."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from microscope_qc.core.errors import SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.slides import open_slide, slide_info
from microscope_qc.slides.pyramid import write_ome_zarr

CHILD = Path(__file__).with_name("decode_child.py")


def refuse(path: Path, words: str) -> None:
    """Opening and reading ends in a sentence with these words, and with a hint."""
    with pytest.raises(SlideError, match=words) as caught:
        slide_info(path)
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_missing_empty_and_foreign(tmp_path: Path) -> None:
    refuse(tmp_path / "gone.czi", "does not exist")
    for name in ("a.czi", "a.tif", "a.png"):
        (tmp_path / name).write_bytes(b"")
        refuse(tmp_path / name, "is empty")
    (tmp_path / "letter.docx").write_bytes(b"PK\x03\x04 a letter")
    refuse(tmp_path / "letter.docx", "is no slide")
    (tmp_path / "renamed.czi").write_bytes(b"a text that was renamed")
    refuse(tmp_path / "renamed.czi", "does not hold what its name says")
    refuse(Path("bad\0name.tif"), "cannot be read|does not exist")


def test_content_decides_and_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    Image.fromarray(np.full((9, 8), 3, np.uint8)).save(path, format="PNG")
    assert slide_info(path)["format"] == "png"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((5, 5), np.uint8))
    path.chmod(0)
    refuse(path, "may not read")


def test_unreadable_as_the_system_reports_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((5, 5), np.uint8))

    def forbid(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", forbid)
    refuse(path, "may not read")


def test_folders_that_hold_no_picture(tmp_path: Path) -> None:
    refuse(tmp_path, "no OME-Zarr")
    (tmp_path / ".zgroup").write_text('{"zarr_format": 2}')
    refuse(tmp_path, "without a picture")
    (tmp_path / ".zattrs").write_text("{ broken")
    refuse(tmp_path, "damaged")
    (tmp_path / ".zattrs").write_text("[1, 2]")
    refuse(tmp_path, "damaged")
    refuse(tmp_path / ".zattrs", "one file of an OME-Zarr")


def test_a_folder_around_a_picture_says_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    _pyramid(tmp_path / "inner")
    with pytest.raises(SlideError) as caught:
        slide_info(tmp_path)
    assert str(tmp_path / "inner") in caught.value.hint


def _pyramid(path: Path) -> Path:
    pixels = np.arange(90, dtype=np.uint8).reshape(9, 10)
    job = write_ome_zarr(
        path,
        shape=(9, 10),
        dtype="uint8",
        rgb=False,
        read=lambda r: pixels[r.y0 : r.y1, r.x0 : r.x1],
        pixel_size_um=(0.5, 0.5),
    )
    return run_job(job)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(datasets=[]),
        lambda m: m.update(datasets="0"),
        lambda m: m.update(datasets=[{"path": ""}]),
        lambda m: m.update(datasets=[{"path": "/etc"}]),
        lambda m: m.update(datasets=[{"path": "7"}]),
        lambda m: m.update(axes=[{"name": "x"}, {"name": "y"}]),
        lambda m: m.update(axes=[{"name": "a"}, {"name": "b"}, {"name": "c"}]),
        lambda m: m.update(axes=[]),
        lambda m: m.clear(),
    ],
)
def test_wrong_zarr_metadata_is_a_sentence(tmp_path: Path, change) -> None:
    path = _pyramid(tmp_path / "a.ome.zarr")
    document = json.loads((path / "zarr.json").read_text())
    change(document["attributes"]["ome"]["multiscales"][0])
    (path / "zarr.json").write_text(json.dumps(document))
    refuse(path, "a.ome.zarr")


@pytest.mark.parametrize("scale", [[1, 0, 0], [1, -0.5, -0.5], [1, "a", "b"], [1], None, [1, 1e300, 1e300]])
def test_an_impossible_pixel_size_is_unknown(tmp_path: Path, scale: object) -> None:
    path = _pyramid(tmp_path / "a.ome.zarr")
    document = json.loads((path / "zarr.json").read_text())
    document["attributes"]["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"] = scale
    (path / "zarr.json").write_text(json.dumps(document))
    size = slide_info(path)["scenes"][0]["pixel_size_um"]
    assert size is None or scale in ([1], None)  # a scale that does not fit the axes is left out: 1 um
    if scale in ([1], None):
        assert size == [1.0, 1.0]


def test_a_damaged_chunk_is_noticed(tmp_path: Path) -> None:
    path = _pyramid(tmp_path / "a.ome.zarr")
    chunk = next(p for p in (path / "0").rglob("*") if p.is_file() and p.name != "zarr.json")
    content = bytearray(chunk.read_bytes())
    content[10] ^= 0xFF  # inside the compressed pixels: only the checksum can tell
    chunk.write_bytes(content)
    refuse(path, "cannot be decoded")


def test_a_pixel_size_of_zero_cannot_be_given(tmp_path: Path) -> None:
    path = _pyramid(tmp_path / "a.ome.zarr")
    with pytest.raises(SlideError, match="cannot be 0"):
        open_slide(path, pixel_size_um=0)
    with open_slide(path, pixel_size_um=2.5) as slide:
        assert slide.scene().pixel_size_um == (2.5, 2.5)


def test_ome_xml_with_entities_is_not_expanded(tmp_path: Path) -> None:
    bomb = (
        '<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0" Name="&b;"/></OME>'
    )
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.full((9, 8), 5, np.uint8), description=bomb, metadata=None)
    info = slide_info(path)
    assert info["scenes"][0]["shape"] == [9, 8]
    assert info["scenes"][0]["name"] == ""


def test_a_slide_that_vanishes_after_opening(tmp_path: Path) -> None:
    path = _pyramid(tmp_path / "a.ome.zarr")
    with open_slide(path) as slide:
        mosaic = slide.scene()
        shutil.rmtree(path)
        # missing chunks are background by the format's own rule; what matters is that nothing crashes
        assert mosaic.read(Region(0, 0, 9, 10)).shape == (9, 10)


GROUPS = {
    "czi-small": ["czi/100x100.czi", "czi/newCZI_compressed.czi", "czi/tiles.czi"],
    "czi-mosaic": ["czi/S3_1Pos_2Mosaic_T1_Z1_CH1.czi", "czi/mosaic_test.czi", "czi/1_tileregion.czi"],
    "czi-single": ["czi/RGB-8bit.czi", "czi/Al2O3_SE_020_sp.czi"],
    "ome-tiff": ["tiff/cells-2c.ome.tif", "tiff/cells.ome.tif", "tiff/viv-multi-channel.ome.tif"],
    "stack": ["tiff/multi-channel-z-series.ome.tif", "tiff/cells-gray16.tif"],
    "tiled": ["tiff/CMU-1-Small-Region.svs", "tiff/boxes.tiff", "tiff/sample.tif", "tiff/unopenable.tiff"],
    "jpeg": ["tiff/cells.jpg"],
}


def _damage(folder: Path, files: list[Path], count: int) -> str:
    command = [sys.executable, str(CHILD), str(folder), str(count), *map(str, files)]
    child = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert child.returncode == 0, f"ended with {child.returncode}\n{child.stdout[-600:]}\n{child.stderr[-3000:]}"
    assert child.stderr == ""
    return child.stdout


@pytest.mark.parametrize("group", GROUPS)
def test_truncated_and_damaged_real_files(real_data: Path, tmp_path: Path, group: str) -> None:
    files = [real_data / "slides" / name for name in GROUPS[group]]
    said = _damage(tmp_path, files, 4)
    for file in files:
        for percent in (1, 50):
            line = next(line for line in said.splitlines() if line.startswith(f"{file.name}: cut at {percent} %"))
            assert "readable" not in line, line


@pytest.mark.long
@pytest.mark.parametrize("group", GROUPS)
def test_damaged_real_files_many_times(real_data: Path, tmp_path: Path, group: str) -> None:
    for name in GROUPS[group]:
        _damage(tmp_path, [real_data / "slides" / name], 300)
