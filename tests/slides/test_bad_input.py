"""Any input gives pixels, or one sentence and a hint; never a traceback, never a crash."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from pylibCZIrw import czi as zeiss

from microscope_qc.core.errors import SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.slides import open_slide, slide_info
from microscope_qc.slides.pyramid.write import write_ome_zarr

CHILD = Path(__file__).with_name("decode_child.py")


def refuse(path: Path, words: str) -> None:
    """Opening and reading fails with a message that matches ``words``, and with a hint."""
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
    refuse(tmp_path / "letter.docx", "is not a slide")
    (tmp_path / "renamed.czi").write_bytes(b"a text that was renamed")
    refuse(tmp_path / "renamed.czi", "does not hold what its name says")
    refuse(Path("bad\0name.tif"), "cannot be read|does not exist")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_pipes_and_devices_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tif")
    refuse(tmp_path / "a.tif", "a pipe or a device")
    refuse(Path(os.devnull), "a pipe or a device")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "lzw.tif"])
def test_sizes_that_a_file_cannot_hold_take_no_memory(tmp_path: Path, name: str) -> None:
    path, side = tmp_path / name, 16_000
    if path.suffix == ".tif":
        kind = "lzw" if name == "lzw.tif" else "zlib"
        tifffile.imwrite(path, np.zeros((64, 64), np.uint8), compression=kind, rowsperstrip=64)
        with tifffile.TiffFile(path) as file:
            places = {tag.valueoffset: side for tag in file.pages[0].tags if tag.code in (256, 257, 278)}
        form = "<H"
    else:
        Image.fromarray(np.zeros((64, 64), np.uint8)).save(path)
        start = path.read_bytes().index(b"IHDR") + 4 if name == "a.png" else path.read_bytes().index(b"\xff\xc0") + 5
        places, form = {start + (2 if name == "a.png" else 0): side, start + (6 if name == "a.png" else 2): side}, ">H"
    data = bytearray(path.read_bytes())
    for place, value in places.items():
        struct.pack_into(form, data, place, value)
    if name == "a.png":
        end = data.index(b"IHDR") + 17
        struct.pack_into(">I", data, end, zlib.crc32(data[end - 17 : end]))
    path.write_bytes(data)
    tracemalloc.start()
    refuse(path, "damaged")
    assert tracemalloc.get_traced_memory()[1] < side * side / 4
    tracemalloc.stop()


def test_a_damaged_list_of_reduced_copies_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    copies = (65_000, 4, 5000, tuple(range(8, 5008)), True)
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8), extratags=[copies])
    path.write_bytes(path.read_bytes().replace(struct.pack("<HHI", *copies[:3]), struct.pack("<HHI", 330, 4, 5000)))
    refuse(path, "damaged")


def test_content_decides_and_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    Image.fromarray(np.full((9, 8), 3, np.uint8)).save(path, format="PNG")
    assert slide_info(path)["format"] == "png"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((5, 5), np.uint8))
    path.chmod(0)
    refuse(path, "Permission denied")


def test_unreadable_as_the_system_reports_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((5, 5), np.uint8))

    def forbid(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", forbid)
    refuse(path, "Permission denied")


def test_folders_without_an_image(tmp_path: Path) -> None:
    refuse(tmp_path, "not an OME-Zarr")
    (tmp_path / ".zgroup").write_text('{"zarr_format": 2}')
    refuse(tmp_path, "without an image")
    (tmp_path / ".zattrs").write_text("{ broken")
    refuse(tmp_path, "damaged")
    (tmp_path / ".zattrs").write_text("[1, 2]")
    refuse(tmp_path, "damaged")
    refuse(tmp_path / ".zattrs", "one file of an OME-Zarr")


def test_a_folder_around_an_image_says_where_it_is(tmp_path: Path) -> None:
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
    refuse(path, "is damaged or missing")


def test_a_pixel_size_of_zero_cannot_be_given(tmp_path: Path) -> None:
    path = _pyramid(tmp_path / "a.ome.zarr")
    with pytest.raises(SlideError, match="pixel size of 0"):
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
        # a missing chunk means background in this format, a missing slide does not
        with pytest.raises(SlideError, match="no longer there"):
            mosaic.read(Region(0, 0, 9, 10))


def test_a_png_with_one_wrong_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 80, 3), np.uint8)).save(path)
    content = bytearray(path.read_bytes())
    content[-60] ^= 4  # among the last pixels, where decoders do not complain
    path.write_bytes(content)
    refuse(path, "is damaged")
    path.write_bytes(path.read_bytes()[:-12])  # without its end chunk
    refuse(path, "is damaged")


@pytest.mark.parametrize("field", range(4))
def test_a_czi_tile_with_an_impossible_header_is_refused(tmp_path: Path, field: int) -> None:
    """libCZI trusts the header of a tile: a wrong length crashed the process."""
    pixels = np.random.default_rng(0).integers(0, 255, (90, 80, 1), np.uint8)
    path = tmp_path / "a.czi"
    with zeiss.create_czi(str(path), compression_options="zstd0:") as czi:
        czi.write(pixels)
    content = bytearray(path.read_bytes())
    at = content.index(b"ZISRAWSUBBLOCK") + 32
    # length of the metadata, of the attachment, of the pixels; the kind of pixels in its own directory entry
    where, value = ((at + 3, 0x70), (at + 7, 0x90), (at + 13, 0x70), (at + 18, 4))[field]
    content[where] = value
    path.write_bytes(content)
    refuse(path, "cannot be decoded")


def test_a_czi_with_a_billion_channels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.czi"
    with zeiss.create_czi(str(path)) as czi:
        czi.write(np.zeros((90, 80, 1), np.uint8))
        czi.write(np.zeros((90, 80, 1), np.uint8), location=(80, 0))
    content = bytearray(path.read_bytes())
    at = content.rindex(b"C\0\0\0", content.index(b"ZISRAWDIRECTORY"))
    content[at + 7] = 0x3F
    path.write_bytes(content)
    refuse(path, "damaged CZI")


def test_ome_metadata_at_the_end_that_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.zeros((2, 40, 50), np.uint8), metadata={"axes": "CYX"}, tile=(16, 16))
    content = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        description = file.pages[0].tags[270]
        assert description.valueoffset + description.valuebytecount == len(content)  # else this shows nothing
    path.write_bytes(content[:-9])
    refuse(path, "damaged TIFF")


@pytest.mark.parametrize("kind", ["tiles", "bare"])
def test_a_drive_that_fails_while_a_tiff_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    path = tmp_path / "a.tif"
    options = {"tile": (64, 64), "compression": "zlib"} if kind == "tiles" else {}
    tifffile.imwrite(path, np.zeros((300, 300), np.uint8), **options)
    with open_slide(path) as slide:

        def fail(self, *args):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(tifffile.FileHandle, "read", fail)
        monkeypatch.setattr(tifffile.FileHandle, "readinto", fail)
        with pytest.raises(SlideError, match="cannot be decoded"):
            slide.scene().read(Region(0, 0, 300, 300))


def test_an_uncompressed_tiff_that_is_truncated_while_it_is_open(tmp_path: Path) -> None:
    """A memory map would crash the process here."""
    path = tmp_path / "a.tif"
    pixels = np.random.default_rng(0).integers(0, 255, (3000, 2000), np.uint8)
    tifffile.imwrite(path, pixels)
    with open_slide(path) as slide:
        mosaic = slide.scene()
        np.testing.assert_array_equal(mosaic.read(Region(5, 100, 60, 300)), pixels[5:60, 100:300])
        os.truncate(path, 1_000_000)
        for region in (Region(2000, 0, 2100, 2000), Region(2000, 5, 2100, 50)):
            with pytest.raises(SlideError, match="cannot be decoded"):
                mosaic.read(region)


def test_a_drive_that_fails_while_a_png_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((30, 30), np.uint8)).save(path)
    with open_slide(path) as slide:

        def fail(self, *args, **kwargs):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(Path, "open", fail)
        with pytest.raises(SlideError, match="is damaged"):
            slide.scene().read(Region(0, 0, 9, 9))


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
