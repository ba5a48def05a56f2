"""Which journal a folder gets, and the payloads of the history."""

from __future__ import annotations

from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as arrays
from project_support import some_rows

from microscope_qc.core.errors import ProjectError
from microscope_qc.project import Project, storage
from microscope_qc.project.deltas import Delta, pack, unpack

MOUNTS = r"""
/dev/sda1 / ext4 rw,relatime 0 0
server:/export /mnt/lab nfs4 rw 0 0
//nas/slides /mnt/With\040Blank cifs rw 0 0
/dev/sdb1 /mnt/lab/local ext4 rw 0 0
me@host:/x /home/me/x fuse.sshfs rw 0 0
C:\134 /mnt/c 9p rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/me/a.mqc", "ext4"),
        ("/mnt/lab/a.mqc", "nfs4"),
        ("/mnt/laboratory/a.mqc", "ext4"),
        ("/mnt/lab/local/a.mqc", "ext4"),
        ("/mnt/With Blank/deep/a.mqc", "cifs"),
        ("/home/me/x", "fuse.sshfs"),
        ("/mnt/c/Users", "9p"),
    ],
)
def test_the_file_system_of_a_folder(folder: str, kind: str) -> None:
    assert storage.filesystem_type(Path(folder), storage.parse_mounts(MOUNTS)) == kind


@pytest.mark.parametrize(("fstype", "mode"), [("ext4", "wal"), ("nfs4", "delete"), ("fuse.sshfs", "delete")])
def test_a_network_drive_gets_the_rollback_journal(
    project: Project, monkeypatch: pytest.MonkeyPatch, fstype: str, mode: str
) -> None:
    project.boxes.add(project.slides[0].id, some_rows(3))
    project.close()
    monkeypatch.setattr(storage, "mounts", lambda: [("/", fstype)])
    with Project.open(project.path) as again:
        assert again._store.database.pragma("journal_mode") == [(mode,)]
        assert again._store.database.pragma("synchronous") == [(2,)]
        assert again._store.database.pragma("foreign_keys") == [(1,)]
        again.boxes.add(again.slides[0].id, some_rows(3))
        with Project.open(project.path, write=False) as reader:
            assert len(reader.boxes.rows()) == 6


def test_a_closed_project_is_one_database_file(project: Project) -> None:
    project.boxes.add(project.slides[0].id, some_rows(3))
    assert (project.path / "project.sqlite-wal").exists()
    project.close()
    assert [file.name for file in project.path.glob("project*")] == ["project.sqlite"]
    assert (project.path / "project.sqlite").read_bytes()[18] == 1  # not in WAL mode: readable from anywhere


plain = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text()


@given(
    numbers=arrays.arrays(st.sampled_from([np.float64, np.float32, np.int64, np.uint8, np.bool_]), st.integers(0, 20)),
    texts=st.lists(plain, max_size=20),
)
def test_payloads_are_read_back_as_they_were(numbers: np.ndarray, texts: list[object]) -> None:
    objects = np.empty(len(texts), object)
    objects[:] = texts
    ids = np.arange(len(numbers))
    delta = Delta("boxes", {"id": ids, "y0": numbers}, {"id": ids[:0], "note": objects})
    (back,) = unpack(pack([delta]))
    assert back.table == "boxes"
    for side in ("before", "after"):
        expected, found = getattr(delta, side), getattr(back, side)
        assert list(expected) == list(found)
        for name in expected:
            assert expected[name].dtype == found[name].dtype
            if expected[name].dtype == object:
                assert expected[name].tolist() == found[name].tolist()
            else:
                np.testing.assert_array_equal(expected[name], found[name])


@given(st.binary(max_size=200), st.integers(0, 200), st.booleans())
def test_a_spoilt_payload_is_an_error_not_a_crash(noise: bytes, place: int, replace: bool) -> None:
    ids = np.arange(3)
    whole = pack([Delta("boxes", {"id": ids}, {"id": ids, "y0": ids * 1.5, "note": np.array(["a", "b", "c"], object)})])
    if not noise:
        noise = b"\x01"
    spoilt = whole[:place] + noise + (whole[place + len(noise) :] if replace else b"")
    if spoilt[: len(whole)] == whole:
        return
    with pytest.raises(ProjectError):
        unpack(spoilt)
