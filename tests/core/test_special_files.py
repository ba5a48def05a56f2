"""A pipe, a socket or a device is refused before it is read: reading one may never end."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from microscope_qc.core.class_sets import load_class_set
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.files import special_kind
from microscope_qc.core.sheets import read_sheet
from microscope_qc.exchange.registry import FORMATS, detect_format
from microscope_qc.slides import open_slide
from microscope_qc.workflows.detection.mask_pictures import read_mask_picture
from microscope_qc.workflows.detection.places import weights_fingerprint
from microscope_qc.workflows.intake.masks import looks_like_mask

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes in folders")


@pytest.fixture
def pipe(tmp_path: Path) -> Callable[[str], Path]:
    def make(suffix: str) -> Path:
        path = tmp_path / f"a{suffix}"
        os.mkfifo(path)
        return path

    return make


def test_what_is_no_file_is_told(pipe: Callable[[str], Path], tmp_path: Path):
    (tmp_path / "plain").write_text("x")
    assert [special_kind(path) for path in (tmp_path, tmp_path / "plain", tmp_path / "none")] == ["", "", ""]
    assert special_kind(pipe("")) == "a pipe" and special_kind("/dev/null") == "a device"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        assert special_kind(tmp_path / "s") == "a socket"


@pytest.mark.parametrize("name", FORMATS)
def test_annotations(name: str, pipe: Callable[[str], Path], tmp_path: Path):
    known = FORMATS.get(name)
    path = pipe(known.suffix)
    for read in (lambda: detect_format(path), lambda: known.read(path), lambda: known.read(tmp_path)):
        with pytest.raises(MicroscopeQCError):
            read()


@pytest.mark.parametrize(
    ("read", "suffix"),
    [
        (read_sheet, ".csv"),
        (read_sheet, ".xlsx"),
        (load_class_set, ".json"),
        (open_slide, ".tif"),
        (lambda path: read_mask_picture(path, (9, 9)), ".png"),
    ],
)
def test_other_files(read: Callable[[Path], object], suffix: str, pipe: Callable[[str], Path]):
    with pytest.raises(MicroscopeQCError, match="pipe"):
        read(pipe(suffix))


def test_models_and_masks(pipe: Callable[[str], Path], tmp_path: Path):
    os.mkfifo(tmp_path / "weights.safetensors")
    with pytest.raises(MicroscopeQCError, match="pipe"):
        weights_fingerprint(tmp_path)
    assert not looks_like_mask(pipe(".png"))
