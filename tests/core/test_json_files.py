"""Files of JSON that users choose are read, or refused in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from microscope_qc.core import json_files
from microscope_qc.core.errors import InputError
from microscope_qc.core.json_files import read_json

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_read_with_or_without_a_mark_of_its_encoding(tmp_path: Path) -> None:
    for mark in (b"", b"\xef\xbb\xbf"):
        (tmp_path / "a.json").write_bytes(mark + '{"µ": 1}'.encode())
        assert read_json(tmp_path / "a.json", what="rules", suffix=".rules.json") == {"µ": 1}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b" " * 200_000, "too large for rules"),
    ],
    ids=["missing", "cut off", "other encoding", "deep", "large"],
)
def test_others_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, problem: str
) -> None:
    monkeypatch.setattr(json_files, "LARGEST_BYTES", 150_000)
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=problem) as caught:
        read_json(tmp_path / "a.json", what="rules", suffix=".rules.json")
    assert caught.value.hint
