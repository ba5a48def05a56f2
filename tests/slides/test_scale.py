"""A pixel size is taken only from what is said about this very picture; what contradicts it is told."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from microscope_qc.cli import main
from microscope_qc.slides import open_slide
from microscope_qc.slides.scale import length_um, length_unit_um, settled, statement

SHAPE = (96, 128)
Size = tuple[float, float] | None


def write(folder: Path, *tags: tuple[int, int, Any], shape: tuple[int, int] = SHAPE, **more: Any) -> Path:
    """A TIFF with private tags, given as their number, type and value."""
    extra = [
        (code, kind, len(value) if isinstance(value, bytes | str) else 1, value, True) for code, kind, value in tags
    ]
    path = folder / "a.tif"
    tifffile.imwrite(path, np.zeros(shape, np.uint8), extratags=extra, metadata=None, **more)
    return path


def scale_of(path: Path) -> tuple[Size, str]:
    with open_slide(path) as slide:
        scene = slide.scene()
        assert not scene.scale_note or scene.scale_note in scene.notes
        return scene.pixel_size_um, scene.scale_note


def expect(path: Path, size: Size, note: str = "") -> None:
    found, said = scale_of(path)
    assert found == (None if size is None else pytest.approx(size, rel=1e-3))
    assert note in said if note else not said


# -- Zeiss -------------------------------------------------------------------------------------------------------------


def zeiss(folder: Path, shape: tuple[int, int] = SHAPE, **values: str) -> Path:
    lines = ["0"] + [line for key, value in values.items() for line in (key.upper(), f"{key} = {value}")]
    return write(folder, (34118, 2, "\r\n".join(lines) + "\r\n"), shape=shape)


@pytest.mark.parametrize(
    ("values", "size", "note"),
    [
        ({"ap_image_pixel_size": "2.5 nm", "ap_width": "320.0 nm"}, 0.0025, ""),
        ({"ap_pixel_size": "2.5 nm", "ap_width": "640.0 nm", "ap_height": "480.0 nm"}, 0.005, ""),
        ({"ap_pixel_size": "2.5 nm", "ap_width": "640.0 nm", "ap_height": "640.0 nm"}, None, "another shape"),
        ({"ap_pixel_size": "2.5 nm"}, 0.0025, ""),
        ({"ap_pixel_size": "2.5 nm", "dp_image_store": "128 * 96"}, 0.0025, ""),
        ({"ap_pixel_size": "2.5 nm", "dp_image_store": "1024 * 768"}, None, "1024 x 768"),
    ],
)
def test_zeiss(tmp_path: Path, values: dict[str, str], size: float | None, note: str) -> None:
    expect(zeiss(tmp_path, **values), None if size is None else (size, size), note)


# -- FEI, Thermo, Phenom -----------------------------------------------------------------------------------------------


def fei(folder: Path, frame: tuple[int, int] = (128, 90), beam: str = "EBeam", **sections: str) -> Path:
    text = f"[Beam]\r\nBeam={beam}\r\n[Scan]\r\nPixelWidth=2e-08\r\nPixelHeight=3e-08\r\nHorFieldsize=2.56e-06\r\n"
    text += f"[Image]\r\nResolutionX={frame[0]}\r\nResolutionY={frame[1]}\r\n"
    text += "".join(f"[{name}]\r\n{lines}\r\n" for name, lines in sections.items())
    return write(folder, (34682, 2, text))


def test_fei(tmp_path: Path) -> None:
    expect(fei(tmp_path), (0.03, 0.02))
    expect(fei(tmp_path, frame=(1536, 1024)), None, "1536 x 1024")
    expect(fei(tmp_path, Scan="PixelWidth=4e-08\r\nPixelHeight=4e-08\r\nHorFieldsize=2.56e-06"), None, "does not fit")


def test_the_picture_of_a_camera_has_not_the_scale_of_the_beam(tmp_path: Path) -> None:
    expect(fei(tmp_path, Detectors="Name=NavCam"), None, "a camera")
    expect(fei(tmp_path, beam="Nav-Cam"), None, "a camera")
    expect(fei(tmp_path, beam="IRBeam", IRBeam="HFW=1.28e-3\r\nVFW=0.9e-3"), (10, 10))


def test_phenom(tmp_path: Path) -> None:
    sides = '<pixelWidth unit="nm">42</pixelWidth><pixelHeight unit="um">0.05</pixelHeight>'
    expect(write(tmp_path, (34683, 2, f'<?xml version="1.0"?><FeiImage>{sides}</FeiImage>')), (0.05, 0.042))


# -- others ------------------------------------------------------------------------------------------------------------


def test_tescan(tmp_path: Path) -> None:
    expect(write(tmp_path, (50431, 7, b"\x00ImageStripSize=25\nPixelSizeX=1e-8\nPixelSizeY=2e-8\n")), (0.02, 0.01))


def test_olympus(tmp_path: Path) -> None:
    path = write(tmp_path, (33560, 4, 12_345))
    data = bytearray(path.read_bytes())
    place = len(data)
    at = data.index(struct.pack("<HHII", 33560, 4, 1, 12_345))
    data[at + 8 : at + 12] = struct.pack("<I", place)
    data += struct.pack("<4s6xhhhhh6x32sH", b"SIS0", 0, 0, 1, 1, 100, b"picture", 1)
    data += struct.pack("<hhI", 1, 1, place + 68)
    data += struct.pack("<10xhdd8xd2x34s32s", -6, 0.25, 0.5, 50.0, b"camera", b"kind")
    path.write_bytes(data)
    expect(path, (0.5, 0.25))


def gatan(folder: Path, x: float, y: float, unit: str) -> Path:
    return write(folder, (65003, 2, unit), (65004, 2, unit), (65009, 12, x), (65010, 12, y))


def test_gatan(tmp_path: Path) -> None:
    expect(gatan(tmp_path, 12.5, 12.5, "nm"), (0.0125, 0.0125))
    expect(gatan(tmp_path, 12.5, 12.5, "um"), (12.5, 12.5))
    expect(gatan(tmp_path, 0.02, 0.02, "1/nm"), None)
    expect(gatan(tmp_path, 12.5, 10.0, "nm"), None, "which is the width")


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_a_file_beside_the_picture(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(np.zeros((96, 128), np.uint8)).save(path)
    text = path.with_suffix(".txt")
    text.write_text("$CM_FORMAT JEOL/SEM\n$CM_FULL_SIZE 128 90\n$$SM_MICRON_BAR 40\n$$SM_MICRON_MARKER 10um\n")
    expect(path, (0.25, 0.25))
    text.write_text("$CM_FULL_SIZE 1280 960\n$$SM_MICRON_BAR 40\n$$SM_MICRON_MARKER 10um\n")
    expect(path, None, "1280 x 960")
    text.write_text("[SemImageFile]\r\nDataSize=128x96\r\nPixelSize=24.8\r\n", encoding="utf-16")
    expect(path, (0.0248, 0.0248))
    text.write_text("0 0.5 0.5 0.1 0.1\n")  # labels
    expect(path, None)
    text.unlink()
    (tmp_path / f"a-{suffix[1:]}.hdr").write_text("[MAIN]\r\nPixelSizeX=5e-7\r\nPixelSizeY=5e-7\r\n")
    expect(path, (0.5, 0.5))


# -- ImageJ and resolutions --------------------------------------------------------------------------------------------


def imagej(folder: Path, resolution: tuple[float, float], **metadata: str) -> Path:
    path = folder / "a.tif"
    tifffile.imwrite(path, np.zeros(SHAPE, np.uint8), imagej=True, resolution=resolution, metadata=metadata)
    return path


@pytest.mark.parametrize(
    ("unit", "per_unit", "um"),
    [
        ("nanometers", 2, 0.0005), ("micrometers", 2, 0.5), ("Micron", 2, 0.5), ("um", 2, 0.5),
        ("\\u00B5m", 4, 0.25), ("millimetres", 500, 2), ("nm", 0.1, 0.01), ("inch", 300, None), ("inches", 10_160, 2.5),
        ("cm", 118.11, None), ("cm", 40_000, 0.25), ("pixel", 2, None), ("mm", 20, 50),
    ],
)  # fmt: skip
def test_imagej(tmp_path: Path, unit: str, per_unit: float, um: float | None) -> None:
    expect(imagej(tmp_path, (per_unit, per_unit), unit=unit), None if um is None else (um, um))


def test_imagej_with_a_letter_that_is_not_ascii(tmp_path: Path) -> None:
    path = imagej(tmp_path, (2, 2), unit="?m")
    path.write_bytes(path.read_bytes().replace(b"unit=?m", b"unit=\xb5m"))
    expect(path, (0.5, 0.5))


def test_imagej_with_other_units_downwards(tmp_path: Path) -> None:
    expect(imagej(tmp_path, (2, 4), unit="um", yunit="nm"), (0.00025, 0.5))


@pytest.mark.parametrize("dots", [72, 96, 300, 600, 1200])
def test_print_resolutions_are_no_pixel_sizes(tmp_path: Path, dots: int) -> None:
    expect(write(tmp_path, resolution=(dots, dots), resolutionunit="INCH"), None)
    expect(write(tmp_path, resolution=(dots / 2.54, dots / 2.54), resolutionunit="CENTIMETER"), None)


def test_contradictions_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.ome.tif"
    size = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    options = {"resolution": (40_000, 40_000), "resolutionunit": "CENTIMETER", "metadata": size}
    tifffile.imwrite(path, np.zeros(SHAPE, np.uint8), ome=True, **options)
    expect(path, (0.5, 0.5), "0.5 µm by OME and as 0.25 µm by its resolution")
    assert main(["info", str(path)]) == 0
    assert "the first is taken" in capsys.readouterr().out
    assert main(["new", str(tmp_path / "a.mqc"), str(path), "--progress", "none"]) == 0
    assert "a.ome.tif: its pixel size is stated as" in capsys.readouterr().err


def test_the_tags_of_the_first_picture_are_not_about_another_one(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    text = "0\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 2.5 nm\r\n"
    with tifffile.TiffWriter(path) as writer:
        extra = [(34118, 2, len(text), text, True)]
        writer.write(np.zeros(SHAPE, np.uint8), extratags=extra, metadata=None)
        writer.write(np.zeros((48, 64), np.uint8), metadata=None)
    with open_slide(path) as slide:
        assert [scene.pixel_size_um for scene in slide.scenes] == [(0.0025, 0.0025), None]


def test_units_and_lengths() -> None:
    assert [length_unit_um(unit) for unit in ("Å", "nm\0", "Micrometre", "μm", "parsec", None)] == [
        1e-4, 1e-3, 1.0, 1.0, None, None,
    ]  # fmt: skip
    assert [length_um(text) for text in ("10um", "1,5 mm", "500nm", "10", "x um")] == [10, 1500, 0.5, None, None]
    assert settled([*statement("a", 1, 1), *statement("b", 1.005, 1)]) == ((1, 1), "")
    assert settled(statement("a", 0, float("nan"))) == (None, "")


def test_info_says_what_is_doubtful(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(fei(tmp_path, frame=(1536, 1024))), "--json"]) == 0
    (scene,) = json.loads(capsys.readouterr().out)["scenes"]
    assert scene["pixel_size_um"] is None and "1536 x 1024" in " ".join(scene["notes"])


def test_a_size_that_is_given_settles_it(tmp_path: Path) -> None:
    with open_slide(fei(tmp_path, frame=(1536, 1024)), pixel_size_um=0.5) as slide:
        assert slide.scene().pixel_size_um == (0.5, 0.5) and not slide.scene().scale_note and not slide.scene().notes
