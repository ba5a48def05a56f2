"""A conversion keeps every plane of a slide, and other programs find them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from pylibCZIrw import czi as zeiss

from microscope_qc.cli import main
from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.slides import Mosaic, open_slide
from microscope_qc.slides.plane import StackAxis, StackPlace
from microscope_qc.slides.plane_choice import PlaneChoice
from microscope_qc.slides.pyramid.levels import halve, level_shapes
from microscope_qc.slides.pyramid.part import part_folder
from microscope_qc.workflows.conversion.convert import convert

DICE = np.random.default_rng(3)
STAGES = ("crossed", "parallel", "45 degrees")


def whole(mosaic: Mosaic, **more) -> np.ndarray:
    return mosaic.read(Region(0, 0, *mosaic.shape), **more)


@pytest.fixture
def five_axes(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """t, z, c, y, x; two levels and not a multiple of the chunks."""
    pixels = DICE.integers(0, 65535, (2, 3, 2, 530, 1025), np.uint16)
    metadata = {"axes": "TZCYX", "Channel": {"Name": ["BSE", "SE"], "Color": [-16776961, 65535]}}
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, metadata=metadata)
    return tmp_path / "a.ome.tif", pixels


def test_all_axes_are_kept(five_axes: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, pixels = five_axes
    out = tmp_path / "a.ome.zarr"
    assert run_job(convert(path, out)) == [out]
    stored = zarr.open_group(out, mode="r")
    np.testing.assert_array_equal(np.asarray(stored["0"]), np.moveaxis(pixels, 2, 1))  # t, c, z, y, x
    for t, z in np.ndindex(2, 3):
        np.testing.assert_array_equal(np.asarray(stored["1"][t, :, z]), halve(pixels[t, z], ties_up=True))
    assert len(list(stored.arrays())) == len(level_shapes((530, 1025))) == 2
    with open_slide(out) as copy, open_slide(path) as slide:
        assert copy.scene().fingerprint() == slide.scene().fingerprint()
        assert copy.scene().stack == slide.scene().stack
        assert [(c.name, c.colour) for c in copy.scene().channels] == [("BSE", "#ff0000"), ("SE", "#0000ff")]
        for t, z, c in np.ndindex(2, 3, 2):
            place = StackPlace(z=z, t=t)
            np.testing.assert_array_equal(whole(copy.scene(), channel=c, place=place), pixels[t, z, c])


def test_other_programs_open_it(five_axes: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader
    from ome_zarr_models.v05 import Image

    path, pixels = five_axes
    out = tmp_path / "a.ome.zarr"
    run_job(convert(path, out))
    image = Image.from_zarr(zarr.open_group(out, mode="r"))  # checks the metadata against the specification
    assert [axis.name for axis in image.ome_attributes.multiscales[0].axes] == list("tczyx")
    location = parse_url(out)
    assert location is not None
    node = next(iter(Reader(location)()))
    np.testing.assert_array_equal(np.asarray(node.data[0]), np.moveaxis(pixels, 2, 1))
    assert node.metadata["channel_names"] == ["BSE", "SE"]


@pytest.mark.parametrize("times", [1, 2])
def test_colour_pages_keep_their_names(tmp_path: Path, times: int) -> None:
    """The colour pictures of a polariser lie along the time axis, and are pages again when they are opened."""
    pixels = DICE.integers(0, 255, (3, times, 60, 70, 3), np.uint8)
    with zeiss.create_czi(str(tmp_path / "a.czi")) as czi:
        for c, t in np.ndindex(3, times):
            czi.write(pixels[c, t], plane={"C": c, "T": t})
        czi.write_metadata("a", channel_names=dict(enumerate(STAGES)))
    run_job(convert(tmp_path / "a.czi", tmp_path / "a.ome.zarr"))
    assert zarr.open_group(tmp_path / "a.ome.zarr", mode="r")["0"].shape == (3 * times, 3, 1, 60, 70)
    with open_slide(tmp_path / "a.ome.zarr") as copy:
        mosaic = copy.scene()
        assert mosaic.rgb
        time = (StackAxis("t", 2),) if times == 2 else ()
        assert mosaic.stack == (*time, StackAxis("page", 3, "channel", STAGES))
        for c, t in np.ndindex(3, times):
            np.testing.assert_array_equal(whole(mosaic, place=StackPlace(t=t, page=c)), pixels[c, t, ..., ::-1])


def test_a_stopped_conversion_of_a_stack_is_continued(five_axes: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, pixels = five_axes
    out = tmp_path / "a.ome.zarr"
    job = convert(path, out, keep_stopped=True)
    for progress in job:
        if progress.fraction > 0.6:
            break
    job.close()
    kept = {file: file.stat().st_mtime_ns for file in part_folder(out).glob("0/c/*/*/*/*/*")}
    assert kept
    run_job(convert(path, out))
    again = {part_folder(out) / file.relative_to(out): file.stat().st_mtime_ns for file in out.glob("0/c/*/*/*/*/*")}
    assert sum(again[file] == when for file, when in kept.items()) >= 4, "what was there is not written again"
    np.testing.assert_array_equal(np.asarray(zarr.open_group(out, mode="r")["0"]), np.moveaxis(pixels, 2, 1))


def test_progress_goes_once_from_nothing_to_all(five_axes: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    seen = [p.fraction for p in convert(five_axes[0], tmp_path / "a.ome.zarr") if p.unit == "tiles"]
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_only_what_was_chosen(five_axes: tuple[Path, np.ndarray], tmp_path: Path, capsys) -> None:
    path, pixels = five_axes
    out = tmp_path / "b.ome.zarr"
    assert main(["convert", str(path), str(out), "--channel", "se", "--t", "2", "--json"]) == 0
    capsys.readouterr()
    with open_slide(out) as copy:
        mosaic = copy.scene()
        assert [channel.name for channel in mosaic.channels] == ["SE"]
        assert [(axis.key, axis.size) for axis in mosaic.stack] == [("z", 3)], "no focus plane was chosen: all are kept"
        for z in range(3):
            np.testing.assert_array_equal(whole(mosaic, place=StackPlace(z=z)), pixels[1, z, 1])
    assert main(["convert", str(path), str(out), "--z", "4"]) == 2
    assert "has 3 focus planes; focus plane 4 does not exist" in capsys.readouterr().err
    assert main(["convert", str(path), str(out), "--channel", "EDX"]) == 2
    assert "It has: BSE (1), SE (2)" in capsys.readouterr().err


def test_what_is_left_out_is_said(tmp_path: Path, capsys) -> None:
    pixels = DICE.integers(0, 255, (40, 50, 4), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=["unassalpha"])
    assert main(["convert", str(tmp_path / "a.tif"), str(tmp_path / "a.ome.zarr")]) == 0
    assert "transparency is not shown" in capsys.readouterr().err


def test_a_damaged_picture_of_a_stack(tmp_path: Path) -> None:
    pages = DICE.integers(0, 255, (3, 2048, 1200), np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pages, photometric="minisblack", tile=(256, 256), compression="zlib", metadata=None)
    with tifffile.TiffFile(path) as file:
        offset = file.pages[1].dataoffsets[3]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 40)
    run_job(convert(path, tmp_path / "a.ome.zarr"))
    stored = np.asarray(zarr.open_group(tmp_path / "a.ome.zarr", mode="r")["0"])[:, 0, 0]
    for number in (0, 2):
        np.testing.assert_array_equal(stored[number], pages[number])
    assert 0 < (stored[1] != pages[1]).mean() < 0.05
    document = json.loads((tmp_path / "a.ome.zarr/zarr.json").read_text())
    assert document["attributes"]["microscope_qc"]["damaged"]


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (PlaneChoice(channels=("crossed",)), StackPlace(page=0)),
        (PlaneChoice(channels=("3",)), StackPlace(page=2)),
        (PlaneChoice(page=2), StackPlace(page=1)),
    ],
)
def test_names_of_colour_pages_are_channels_to_the_user(tmp_path: Path, choice: PlaneChoice, words: StackPlace) -> None:
    pixels = DICE.integers(0, 255, (3, 30, 40, 3), np.uint8)
    metadata = {"axes": "CYXS", "Channel": {"Name": list(STAGES)}}
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, photometric="rgb", metadata=metadata)
    with open_slide(tmp_path / "a.ome.tif") as slide:
        mosaic = slide.scene()
        assert choice.on(mosaic).place == words
        assert choice.left_open(mosaic) == ()
        with pytest.raises(InputError, match="one picture at a time"):
            PlaneChoice(channels=("crossed", "parallel")).on(mosaic)
