"""Slide readers by name: which one a path is for, and readers of other packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from microscope_qc.core import plugins
from microscope_qc.core.errors import SlideError
from microscope_qc.core.plugins import Match
from microscope_qc.slides import open_slide, opening, registry
from microscope_qc.slides.picture import open_picture
from microscope_qc.slides.registry import READERS, file_suffixes, inside_folders, readable, reader_of
from microscope_qc.slides.slide_reader import SlideReader


@pytest.mark.parametrize(
    ("name", "head", "reader"),
    [
        ("a.czi", b"ZISRAWFILE\0\0", "czi"),
        ("a.png", b"ZISRAWFILE\0\0", "czi"),
        ("a", b"II*\0", "tiff"),
        ("a", b"MM\0*", "tiff"),
        ("a", b"II+\0", "tiff"),
        ("a", b"MM\0+", "tiff"),
        ("a", b"\x89PNG\r\n\x1a\n", "picture"),
        ("a", b"\xff\xd8\xff\xe0", "picture"),
        ("a", b"BM" + bytes(12) + b"\x28\0\0\0", "picture"),
        ("a.bmp", b"BMW is a text", None),
        ("a", b"RIFF\0\0\0\0WEBPVP8 ", "picture"),
        ("a.wav", b"RIFF\0\0\0\0WAVEfmt ", None),
        ("a", b"\0\0\0\x0cjP  \r\n\x87\n", "picture"),
        ("a.virtual.json", b"{}", "virtual"),
        ("A.VIRTUAL.JSON", b"{}", "virtual"),
        ("a.json", b"{}", None),
        ("a.czi", b"PK\3\4", None),
    ],
)
def test_a_file_is_known_by_its_content(name: str, head: bytes, reader: str | None) -> None:
    found = reader_of(Path("nowhere") / name, head)
    assert (found and found.name) == reader


def test_any_folder_may_be_an_ome_zarr(tmp_path: Path) -> None:
    folder = tmp_path / "a.virtual.json"
    folder.mkdir()
    assert reader_of(folder, b"") is READERS.get("ome-zarr")


def test_every_built_in_says_what_it_is() -> None:
    for name, reader in READERS.items():
        assert reader.name == name
    assert readable() == "CZI, OME-Zarr, OME-TIFF, SVS, TIFF, PNG, JPEG, BMP, WebP or JPEG 2000"
    pictures = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".jp2", ".j2k")
    assert file_suffixes() == (".czi", ".tif", ".tiff", ".svs", *pictures, ".virtual.json")
    assert set(inside_folders()) == {"zarr.json", ".zattrs", ".zgroup"}


def starts_with_mine(path: Path, head: bytes) -> Match:
    return Match.CERTAIN if head.startswith(b"MINE") else Match.NONE


def open_mine(path: Path):
    plain = path.with_suffix(".png")
    plain.write_bytes(path.read_bytes()[4:])
    return open_picture(plain)


def fail(*_):
    raise LookupError("no such lamp")


MINE = SlideReader("mine", "Mine", (".mine",), starts_with_mine, open_mine, saved_as=("Mine",))
BROKEN = SlideReader("broken", "Broken", (".broken",), fail, fail)
FRAGILE = SlideReader(
    "fragile", "Fragile", (".fragile",), lambda path, head: plugins.certain(head.startswith(b"FRAGILE")), fail
)
FOLDERS = SlideReader(
    "folders", "Folders", (".stack",), lambda path, head: plugins.certain((path / "stack.txt").is_file()), open_mine,
    is_folder=True, inside=("stack.txt",),
)  # fmt: skip
CAPITAL = SlideReader("capital", "Capital", (".CAP",), starts_with_mine, open_mine)


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> plugins.Registry[SlideReader]:
    names = ("mine", "broken", "fragile", "folders", "capital")
    points = tuple(EntryPoint(name, f"{__name__}:{name.upper()}", "") for name in names)
    monkeypatch.setattr(plugins, "_entry_points", lambda group: points)
    own = plugins.Registry("slide_readers", registry._a_reader, READERS._builtin, what="slide reader")
    monkeypatch.setattr(registry, "READERS", own)
    monkeypatch.setattr(opening, "READERS", own)
    return own


def test_those_of_other_packages_stand_beside_them(readers: plugins.Registry[SlideReader], tmp_path: Path) -> None:
    Image.fromarray(np.full((30, 40), 7, np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "b.mine").write_bytes(b"MINE" + (tmp_path / "a.png").read_bytes())
    with open_slide(tmp_path / "b.mine") as slide:
        assert slide.scenes[0].shape == (30, 40)
    with open_slide(tmp_path / "a.png") as slide:
        assert slide.format == "png"
    assert ".mine" in registry.file_suffixes()
    assert registry.readable().endswith("WebP, JPEG 2000 or Mine")
    assert {problem.name: problem.reason for problem in readers.problems} == {
        "broken": "LookupError: no such lamp.",
        "capital": "a suffix begins with a dot and is in small letters.",
    }
    (tmp_path / "c.mine").write_bytes(b"not so")
    with pytest.raises(SlideError, match="does not hold what its name says"):
        open_slide(tmp_path / "c.mine")


def test_one_that_fails_when_it_opens_a_slide_is_named(readers: object, tmp_path: Path) -> None:
    (tmp_path / "a.fragile").write_bytes(b"FRAGILE")
    with pytest.raises(SlideError, match=f"the reader fragile of {__name__} failed .no such lamp.") as raised:
        open_slide(tmp_path / "a.fragile")
    assert raised.value.hint


def test_a_folder_of_another_kind_is_told_from_an_ome_zarr(readers: object, tmp_path: Path) -> None:
    (tmp_path / "stack.txt").write_text("one file of many")
    found = registry.reader_of(tmp_path, b"")
    assert found is not None and found.name == "folders"
    with pytest.raises(SlideError, match="stack.txt is one file of a Folders"):
        open_slide(tmp_path / "stack.txt")
