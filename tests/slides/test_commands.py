"""info, convert and synth, through the window's jobs and through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from microscope_qc.cli import main
from microscope_qc.cli.slides import parse_size
from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.slides import Mosaic, open_slide, slide_info
from microscope_qc.workflows.conversion.convert import convert
from microscope_qc.workflows.samples.synth import default_defects, make, truth_path

SAME = ("shape", "dtype", "rgb", "channels", "pixel_size_um", "origin_px", "stage")


def same_pixels(a: Mosaic, b: Mosaic) -> None:
    """All channels of two mosaics are equal."""
    for channel in range(len(a.channels)):
        full = Region(0, 0, *a.shape)
        np.testing.assert_array_equal(a.read(full, channel=channel), b.read(full, channel=channel))


@pytest.mark.parametrize(
    "name",
    [
        "czi/RGB-8bit.czi",
        "czi/tiles.czi",
        "czi/1_tileregion.czi",
        "tiff/CMU-1-Small-Region.svs",
        "tiff/multi-channel-z-series.ome.tif",
        "tiff/sample.tif",
        "tiff/cells.jpg",
        "ome-zarr/blobs_image_v04.ome.zarr",
    ],
)
def test_converting_loses_nothing(real_data: Path, tmp_path: Path, name: str) -> None:
    source = real_data / "slides" / name
    (out,) = run_job(convert(source, tmp_path / "a.ome.zarr"))
    before, after = slide_info(source)["scenes"][0], slide_info(out)["scenes"][0]
    assert {key: after[key] for key in SAME} == {key: before[key] for key in SAME}
    assert min(after["levels"][-1]) <= 512
    with open_slide(source) as old, open_slide(out) as new:
        same_pixels(old.scene(), new.scene())
        assert [c.window for c in old.scene().channels] == [c.window for c in new.scene().channels]
        assert old.scene().fingerprint() == new.scene().fingerprint()


def test_several_scenes_become_several_slides(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "slides/czi/S3_1Pos_2Mosaic_T1_Z1_CH1.czi"
    written = run_job(convert(source, tmp_path / "a.ome.zarr"))
    assert [path.name for path in written] == ["a_TR1.ome.zarr", "a_P1.ome.zarr", "a_TR2.ome.zarr"]
    with open_slide(source) as old:
        for path, mosaic in zip(written, old.scenes, strict=True):
            with open_slide(path) as new:
                same_pixels(mosaic, new.scene())
    (one,) = run_job(convert(source, tmp_path / "b.ome.zarr", scene="P1"))
    assert one.name == "b.ome.zarr"
    with pytest.raises(InputError, match="no scene called X"):
        run_job(convert(source, tmp_path / "c.ome.zarr", scene="X"))


def test_a_slide_is_not_converted_into_itself(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 30), np.uint8))
    (out,) = run_job(convert(tmp_path / "a.tif", tmp_path / "a.ome.zarr"))
    with pytest.raises(InputError, match="into itself"):
        run_job(convert(out, tmp_path / "." / "a.ome.zarr"))
    assert slide_info(out)["scenes"][0]["shape"] == [20, 30]


def test_synth_writes_slide_and_truth_determined_by_the_seed(tmp_path: Path) -> None:
    outs = [tmp_path / name for name in ("a.ome.zarr", "b.ome.zarr", "c.ome.zarr")]
    for out, seed in zip(outs, (3, 3, 4), strict=True):
        assert run_job(make("electrode", out, shape=(300, 260), seed=seed, defects=2)) == out
    pixels = []
    for out in outs:
        with open_slide(out) as slide:
            mosaic = slide.scene()
            assert mosaic.shape == (300, 260)
            assert mosaic.rgb
            assert mosaic.pixel_size_um == pytest.approx((0.3, 0.3))
            pixels.append(mosaic.read(Region(0, 0, 300, 260)))
    assert np.array_equal(pixels[0], pixels[1])
    assert not np.array_equal(pixels[0], pixels[2])
    truth = json.loads(truth_path(outs[0]).read_text())
    assert truth_path(outs[0]).name == "a.truth.json"
    assert truth["images"][0]["file_name"] == "a.ome.zarr"
    assert truth["annotations"]
    for annotation in truth["annotations"]:
        x, y, width, height = annotation["bbox"]
        assert 0 <= x < x + width <= 260
        assert 0 <= y < y + height <= 300


def test_default_number_of_defects_follows_the_area() -> None:
    assert default_defects((8192, 8192)) == 150
    assert default_defects((4096, 8192)) == 75
    assert default_defects((64, 64)) == 1


@pytest.mark.parametrize("change", [{"shape": (0, 100)}, {"seed": -1}, {"defects": -5}, {"shape": (10**7, 100)}])
def test_synth_refuses_impossible_numbers(tmp_path: Path, change: dict) -> None:
    with pytest.raises(InputError):
        run_job(make("electrode", tmp_path / "a.ome.zarr", **{"shape": (128, 128), **change}))
    assert list(tmp_path.iterdir()) == []


def test_sizes() -> None:
    assert parse_size("8192") == (8192, 8192)
    assert parse_size("4096x8192") == (4096, 8192)
    for text in ("", "x", "12x", "-5", "1.5", "5x5x5"):
        with pytest.raises(InputError):
            parse_size(text)


def test_info_command(real_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = real_data / "slides/tiff/CMU-1-Small-Region.svs"
    assert main(["info", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == slide_info(path)
    assert main(["info", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "2220 x 2967 pixels" in shown
    assert "0.499 um" in shown
    assert main(["info", str(real_data / "slides/tiff/multi-channel-z-series.ome.tif")]) == 0
    assert "5 focus planes (--z)" in capsys.readouterr().out


def test_commands_end_with_2_and_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.czi").write_bytes(b"")
    for arguments in (
        ["info", str(tmp_path / "a.czi")],
        ["info", str(tmp_path / "gone.tif"), "--json"],
        ["convert", str(tmp_path / "a.czi"), str(tmp_path / "out.ome.zarr")],
        ["synth", "electrode", str(tmp_path / "out.ome.zarr"), "--size", "big"],
    ):
        assert main(arguments) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert len(captured.err.strip().splitlines()) == 1
        assert "Traceback" not in captured.err
    assert [path.name for path in tmp_path.iterdir()] == ["a.czi"]


def test_convert_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.arange(600, dtype=np.uint16).reshape(20, 30))
    out = tmp_path / "out.ome.zarr"
    arguments = ["convert", str(tmp_path / "a.tif"), str(out), "--pixel-size", "0.5", "--progress", "none", "--json"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out) == {"written": [str(out)]}
    assert slide_info(out)["scenes"][0]["pixel_size_um"] == [0.5, 0.5]
