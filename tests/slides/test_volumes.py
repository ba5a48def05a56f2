"""Volumes of every format: the voxels, their size, and what is said about those that cannot be read."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile

from microscope_qc.core.blocks import Block, blocks_of, whole
from microscope_qc.core.errors import InputError, MicroscopeQCError, SlideError
from microscope_qc.slides.volumes.flat import RawLayout
from microscope_qc.slides.volumes.opening import open_volume
from microscope_qc.slides.volumes.zarr_store import create_store, open_store

SHAPE = (5, 7, 9)
GREY = np.random.default_rng(3).integers(0, 60_000, SHAPE).astype(np.uint16)
MIDDLE = Block((1, 2, 3), (4, 6, 9))


def nrrd(folder: Path, *, encoding: str = "raw", endian: str = "little", extra: str = "") -> Path:
    body = GREY.astype("<u2" if endian == "little" else ">u2").tobytes()
    head = (
        f"NRRD0004\n# made for a test\ntype: unsigned short\ndimension: 3\nsizes: 9 7 5\nencoding: {encoding}\n"
        f"endian: {endian}\n{extra}\n"
    )
    path = folder / f"{encoding}.nrrd"
    path.write_bytes(head.encode() + (gzip.compress(body) if encoding == "gzip" else body))
    return path


def metaimage(folder: Path, *, packed: bool = False, data: str = "LOCAL") -> Path:
    body = GREY.tobytes()
    body = zlib.compress(body) if packed else body
    head = (
        "ObjectType = Image\nNDims = 3\nDimSize = 9 7 5\nElementType = MET_USHORT\nElementSpacing = 0.2 0.3 0.4\n"
        f"DistanceUnits = um\nCompressedData = {packed}\nElementDataFile = {data}\n"
    )
    path = folder / ("all.mha" if data == "LOCAL" else "head.mhd")
    path.write_bytes(head.encode() + (body if data == "LOCAL" else b""))
    if data != "LOCAL":
        (folder / data).write_bytes(body)
    return path


def mrc(folder: Path) -> Path:
    head = bytearray(1024)
    head[0:16] = struct.pack("<4i", 9, 7, 5, 6)
    head[28:40] = struct.pack("<3i", 9, 7, 5)
    head[40:52] = struct.pack("<3f", 9 * 2000, 7 * 3000, 5 * 4000)
    head[64:76] = struct.pack("<3i", 1, 2, 3)
    head[208:214] = b"MAP \x44\x44"
    path = folder / "tomogram.mrc"
    path.write_bytes(bytes(head) + GREY.tobytes())
    return path


def imagej(folder: Path) -> Path:
    path = folder / "imagej.tif"
    tifffile.imwrite(
        path, GREY, imagej=True, resolution=(1 / 0.2, 1 / 0.3), metadata={"axes": "ZYX", "spacing": 0.4, "unit": "um"}
    )
    return path


def ome_tiff(folder: Path) -> Path:
    path = folder / "volume.ome.tif"
    sizes = {"PhysicalSizeX": 200, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 300, "PhysicalSizeYUnit": "nm"}
    tifffile.imwrite(path, GREY, metadata={"axes": "ZYX", **sizes, "PhysicalSizeZ": 0.4}, compression="zlib")
    return path


def ome_zarr(folder: Path) -> Path:
    path = folder / "volume.ome.zarr"
    create_store(path, SHAPE, np.uint16, voxel_um=(0.4, 0.3, 0.2), name="volume").write(whole(SHAPE), GREY)
    return path


SIZED = {
    "nrrd": lambda f: nrrd(f, extra='spacings: 200 300 400\nspace units: "nm" "nm" "nm"\n'),
    "nrrd gzip": lambda f: nrrd(f, encoding="gzip", extra='spacings: 0.2 0.3 0.4\nunits: "um" "um" "um"\n'),
    "nrrd big endian": lambda f: nrrd(
        f, endian="big", extra='space directions: (0.2,0,0) (0,0.3,0) (0,0,0.4)\nspace units: "um" "um" "um"\n'
    ),
    "mha": metaimage,
    "mha packed": lambda f: metaimage(f, packed=True),
    "mhd": lambda f: metaimage(f, data="voxels.raw"),
    "mhd packed": lambda f: metaimage(f, packed=True, data="voxels.zraw"),
    "mrc": mrc,
    "imagej": imagej,
    "ome-tiff": ome_tiff,
    "ome-zarr": ome_zarr,
}


@pytest.mark.parametrize("make", SIZED.values(), ids=SIZED)
def test_voxels_and_their_size_are_those_of_the_file(make, tmp_path):
    with open_volume(make(tmp_path)) as volume:
        assert volume.shape == SHAPE and volume.dtype == np.uint16
        assert volume.voxel_um == pytest.approx((0.4, 0.3, 0.2), rel=1e-5)
        assert volume.voxel_source
        np.testing.assert_array_equal(volume.read(whole(SHAPE)), GREY)
        np.testing.assert_array_equal(volume.read(MIDDLE), GREY[MIDDLE.slices])


def folder_of_slices(folder: Path, suffix: str = ".tif") -> Path:
    made = folder / "slices"
    made.mkdir()
    for number, plane in enumerate(GREY):  # without leading zeros: by name 10 comes before 9
        if suffix == ".png":
            from PIL import Image

            Image.fromarray(plane).save(made / f"s{number + 8}.png")
        else:
            tifffile.imwrite(made / f"s{number + 8}.tif", plane)
    (made / "notes.txt").write_text("not a slice")
    return made


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_a_folder_of_slices_is_read_in_the_order_of_its_numbers(suffix, tmp_path):
    with open_volume(folder_of_slices(tmp_path, suffix)) as volume:
        np.testing.assert_array_equal(volume.read(whole(SHAPE)), GREY)
        assert volume.voxel_um is None and "distance" in volume.voxel_source


def test_a_raw_file_needs_its_layout_and_a_given_voxel_counts(tmp_path):
    path = tmp_path / "scan.raw"
    path.write_bytes(b"head" + GREY.astype(">u2").tobytes())
    with pytest.raises(SlideError, match="does not say what shape"):
        open_volume(path)
    layout = RawLayout(SHAPE, "uint16", big_endian=True, offset=4)
    with open_volume(path, raw=layout, voxel_um=(1, 1, 1)) as volume:
        np.testing.assert_array_equal(volume.read(whole(SHAPE)), GREY)
        assert (volume.voxel_um, volume.voxel_source) == ((1, 1, 1), "given by the user")
    with pytest.raises(SlideError, match="of the type uint8 need 319"):
        open_volume(path, raw=RawLayout(SHAPE, "uint8", offset=4))
    with pytest.raises(InputError, match="no type of voxels"):
        open_volume(path, raw=RawLayout(SHAPE, "complex64"))
    with pytest.raises(InputError, match="voxel of"):
        open_volume(path, raw=layout, voxel_um=(0, 1, 1))


def test_a_spacing_without_a_unit_is_not_guessed(tmp_path):
    with open_volume(nrrd(tmp_path, extra="spacings: 0.064 0.064 0.064\n")) as volume:
        assert volume.voxel_um is None
        assert volume.voxel_source == "the file gives 0.064 x 0.064 x 0.064 without a unit"


def cut(path: Path, share: float = 0.6) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def unequal(folder: Path) -> Path:
    made = folder_of_slices(folder)
    tifffile.imwrite(made / "s99.tif", GREY[0, :3])
    return made


def colour(folder: Path) -> Path:
    path = folder / "colour.tif"
    tifffile.imwrite(path, np.zeros((3, 8, 8, 3), np.uint8), photometric="rgb")
    return path


def text(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content)
    return path


BAD = {
    "cut nrrd": (lambda f: cut(nrrd(f)), "cut off"),
    "cut gzip": (lambda f: cut(nrrd(f, encoding="gzip")), "damaged"),
    "cut mha": (lambda f: cut(metaimage(f)), "cut off"),
    "cut packed mha": (lambda f: cut(metaimage(f, packed=True), 0.9), "damaged"),
    "cut mrc": (lambda f: cut(mrc(f)), "cut off"),
    "cut header": (lambda f: cut(mrc(f), 0.3), "does not hold|cut off"),
    "unequal slices": (unequal, "not alike: s99.tif has 9 x 3"),
    "empty folder": (lambda f: (f / "empty").mkdir() or f / "empty", "0 pictures"),
    "colour": (colour, "in colour"),
    "one picture": (lambda f: tifffile.imwrite(f / "a.tif", GREY[0]) or f / "a.tif", "single picture"),
    "foreign": (lambda f: text(f, "a.docx", "hello"), "not a volume this program can read"),
    "nothing": (lambda f: text(f, "a.nrrd", ""), "is empty"),
    "missing": (lambda f: f / "none.nrrd", "does not exist"),
    "huge": (lambda f: text(f, "a.mhd", "NDims = 3\nDimSize = 900000 9 9\nElementType = MET_UCHAR\n"
                            "ElementDataFile = LOCAL\n"), "cannot be right"),
    "two axes": (lambda f: text(f, "a.mhd", "NDims = 2\nDimSize = 9 9\nElementType = MET_UCHAR\n"
                                "ElementDataFile = LOCAL\n"), "2 axes"),
    "other folder": (lambda f: text(f, "a.mhd", "NDims = 3\nDimSize = 9 9 9\nElementType = MET_UCHAR\n"
                                    "ElementDataFile = ../a.raw\n"), "another folder"),
    "missing data": (lambda f: text(f, "a.mhd", "NDims = 3\nDimSize = 9 9 9\nElementType = MET_UCHAR\n"
                                    "ElementDataFile = a.raw\n"), "which is missing"),
    "odd type": (lambda f: text(f, "a.nrrd", "NRRD0004\ntype: block\nsizes: 9 9 9\nencoding: raw\n\n"), "block"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "sentence"), BAD.values(), ids=BAD)
def test_what_cannot_be_read_gets_one_sentence(make, sentence, tmp_path):
    path = make(tmp_path)
    with pytest.raises(MicroscopeQCError, match=sentence), open_volume(path) as volume:
        volume.read(whole(volume.shape))


def test_a_damaged_slice_is_named_and_the_others_can_be_read(tmp_path):
    made = folder_of_slices(tmp_path)
    with open_volume(made) as volume:
        (made / "s10.tif").write_bytes(b"II*\0broken")
        with pytest.raises(SlideError, match=r"Slice 3 of slices \(s10.tif\)"):
            volume.read(whole(SHAPE))
        np.testing.assert_array_equal(volume.read(Block((0, 0, 0), (2, 7, 9))), GREY[:2])


def test_an_unpacked_file_goes_when_the_volume_is_closed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    volume = open_volume(nrrd(tmp_path, encoding="gzip"))
    assert len(list((tmp_path / "scratch").iterdir())) == 1
    volume.close()
    assert list((tmp_path / "scratch").iterdir()) == []
    with pytest.raises(SlideError, match="was closed"):
        volume.read(whole(SHAPE))


def test_blocks_cover_a_volume_once():
    seen = np.zeros((7, 10, 5), int)
    for block in blocks_of(seen.shape, (3, 4, 5)):
        seen[block.slices] += 1
        grown = block.grown(2, seen.shape)
        assert np.zeros(grown.shape)[block.inside(grown)].shape == block.shape
    assert (seen == 1).all()


def test_a_block_outside_is_refused(tmp_path):
    with open_volume(mrc(tmp_path)) as volume, pytest.raises(InputError, match="not inside"):
        volume.read(Block((0, 0, 0), (6, 7, 9)))


def test_labels_are_written_block_by_block_and_read_back(tmp_path):
    path = tmp_path / "labels.ome.zarr"
    store = create_store(path, (70, 80, 90), np.uint32, voxel_um=None, name="labels", labels=True)
    values = np.random.default_rng(1).integers(0, 9, (70, 80, 90)).astype(np.uint32)
    for block in blocks_of((70, 80, 90), (64, 64, 64)):
        store.write(block, values[block.slices])
    again = open_store(path)
    assert again is not None
    np.testing.assert_array_equal(again.read(whole(again.shape)), values)
    with open_volume(path) as volume:
        np.testing.assert_array_equal(volume.read(whole(volume.shape)), values)
        assert volume.voxel_um is None
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "kept.txt").write_text("mine")
    with pytest.raises(InputError, match="not an OME-Zarr"):
        create_store(tmp_path / "other", (4, 4, 4), np.uint8, voxel_um=None, name="")


def test_real_electrode_volumes_open(real_data):
    path = real_data / "volumes/taufactor-electrode/docs/notebooks/electrode.tiff"
    with open_volume(path) as volume:
        assert volume.shape == (256, 256, 256)
        assert set(np.unique(volume.read(Block((100, 0, 0), (104, 256, 256))))) == {0, 85, 170}


def test_info_describes_what_only_a_volume_is(tmp_path, capsys):
    from microscope_qc.cli import main

    assert main(["info", str(metaimage(tmp_path)), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["format"] == "MetaImage" and found["volume"]["shape"] == list(SHAPE)
    assert found["volume"]["voxel_um"] == [0.4, 0.3, 0.2]
    assert main(["info", str(folder_of_slices(tmp_path))]) == 0
    assert "5 x 7 x 9 (z, y, x) voxels, uint16" in capsys.readouterr().out
    assert main(["info", str(cut(mrc(tmp_path)))]) == 2
    assert "cut off" in capsys.readouterr().err
