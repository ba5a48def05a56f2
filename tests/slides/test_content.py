"""The hash of everything that a slide's file or folder holds."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from microscope_qc.core.errors import SlideError
from microscope_qc.core.jobs import CancelToken, run_job
from microscope_qc.slides import content as module
from microscope_qc.slides.content import content_of, small_content


def whole(path: Path) -> str:
    """The content of a slide."""
    return run_job(content_of(path))


def test_a_file_is_known_by_all_of_its_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "a.tif", tmp_path / "b.png"
    first.write_bytes(b"x" * 5_000_000)
    second.write_bytes(b"x" * 4_999_999 + b"y")
    assert whole(first) == hashlib.blake2b(first.read_bytes(), digest_size=16).hexdigest()
    assert whole(first) == small_content(first) != whole(second)
    second.write_bytes(first.read_bytes())
    assert whole(first) == whole(second)


def test_large_files_and_folders_are_not_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SMALL_BYTES", 10)
    (tmp_path / "ten").write_bytes(bytes(10))
    (tmp_path / "eleven").write_bytes(bytes(11))
    assert small_content(tmp_path / "ten") and not small_content(tmp_path / "eleven")
    assert not small_content(tmp_path) and not small_content(tmp_path / "nothing")


def test_a_folder_is_known_by_its_files_and_their_names(tmp_path: Path) -> None:
    def store(name: str) -> Path:
        folder = tmp_path / name
        (folder / "0").mkdir(parents=True)
        (folder / "zarr.json").write_text("{}")
        (folder / "0" / "c").write_bytes(b"pixels")
        return folder

    first, second = store("a.zarr"), store("b.zarr")
    assert whole(first) == whole(second)
    (second / ".DS_Store").write_bytes(b"window of a file manager")
    assert whole(first) == whole(second)
    (second / "0" / "c").rename(second / "0" / "d")
    assert whole(first) != whole(second)
    (second / "0" / "d").rename(second / "0" / "c")
    (second / "0" / "c").write_bytes(b"pixelz")
    assert whole(first) != whole(second)


def test_progress_is_in_bytes_and_it_stops_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(9 << 20))
    steps = list(content_of(path))
    assert [step.done for step in steps] == [4 << 20, 8 << 20, 9 << 20] and {step.total for step in steps} == {9 << 20}
    token = CancelToken()
    token.cancel()
    seen: list[float] = []
    with pytest.raises(Exception, match="^$"):
        run_job(content_of(path), lambda step: seen.append(step.done), token)
    assert seen == [4 << 20]


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match="none.png cannot be read"):
        whole(tmp_path / "none.png")
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "pipe.png")
        with pytest.raises(SlideError, match="not a file"):
            whole(tmp_path / "pipe.png")
        assert small_content(tmp_path / "pipe.png") == ""
        (tmp_path / "s.zarr").mkdir()
        (tmp_path / "s.zarr" / "gone").symlink_to(tmp_path / "nowhere")
        with pytest.raises(SlideError, match="cannot be read"):
            whole(tmp_path / "s.zarr")
