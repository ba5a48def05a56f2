"""Files written whole, jobs that stop when asked."""

from __future__ import annotations

import pytest

from microscope_qc.core.errors import Cancelled
from microscope_qc.core.files import WriteError, atomic_path, atomic_write
from microscope_qc.core.jobs import CancelToken, Progress, TimeLeft, retold, run_job


def test_a_failed_write_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.txt"
    atomic_write(target, "old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_name_as_long_as_the_disk_allows_is_written(tmp_path):
    path = tmp_path / ("x" * 251 + ".xml")
    atomic_write(path, "new")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_full_disk_is_a_sentence(tmp_path):
    with pytest.raises(WriteError, match="disk is full"), atomic_path(tmp_path / "a.txt"):
        raise OSError(28, "No space left on device")


def test_writing_below_a_file_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(WriteError, match="cannot be written"):
        atomic_write(tmp_path / "file" / "a.txt", "x")


def test_a_name_that_no_file_can_have_is_a_sentence(tmp_path):
    with pytest.raises(WriteError, match="cannot be the name of a file"):
        atomic_write(tmp_path / "a\0b.txt", "x")


def counting(closed):
    try:
        for i in range(10):
            yield Progress(i, 10, "tiles")
    finally:
        closed.append(True)
    return "result"


def test_a_job_gives_its_result_and_a_cancelled_one_is_closed():
    closed, seen = [], []
    assert run_job(counting(closed), seen.append) == "result"
    assert [p.fraction for p in seen] == [i / 10 for i in range(10)]
    token = CancelToken()
    with pytest.raises(Cancelled):
        run_job(counting(closed), lambda p: token.cancel() if p.done == 3 else None, token)
    assert closed == [True, True]


def test_a_job_is_part_of_another_one_which_tells_its_progress_and_closes_it():
    closed, seen = [], []
    assert run_job(retold(counting(closed), lambda p: Progress(p.done, 20, "parts")), seen.append) == "result"
    assert seen == [Progress(i, 20, "parts") for i in range(10)]
    half_done = retold(counting(closed), lambda p: p)
    assert next(half_done) == Progress(0, 10, "tiles")
    half_done.close()
    assert closed == [True, True]


def test_time_left_follows_the_pace():
    now = [0.0]
    estimate = TimeLeft(lambda: now[0])
    assert estimate.update(Progress(7, 0)) is None
    now[0] = 500.0  # it was loading all the time
    assert estimate.update(Progress(0, 100)) is None
    now[0] += 10.0
    assert estimate.update(Progress(20, 100)) == pytest.approx(40.0)
