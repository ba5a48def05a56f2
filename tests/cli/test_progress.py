"""Jobs on the command line: progress in three ways, and stopping."""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.cli import progress
from microscope_qc.core.errors import Cancelled
from microscope_qc.core.jobs import Progress


def counting(steps: int, closed: list | None = None, *, note: str = ""):
    """A job of so many steps whose result is their sum."""
    try:
        for step in range(steps):
            yield Progress(step + 1, steps, "tiles", note)
        return sum(range(steps))
    finally:
        if closed is not None:
            closed.append(True)


def with_mode(mode: str) -> argparse.Namespace:
    return argparse.Namespace(progress=mode)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("mode", ["auto", "none", "json"])
def test_the_result_is_returned_and_stdout_stays_clean(mode, capsys):
    assert progress.run(counting(5), with_mode(mode)) == 10
    assert capsys.readouterr().out == ""


def test_none_is_silent(capsys):
    progress.run(counting(50), with_mode("none"))
    assert capsys.readouterr().err == ""


def test_json_lines_have_the_promised_keys_and_end_with_the_last_step(capsys):
    progress.run(counting(5000, note="Folie 气孔"), with_mode("json"))
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert all(set(line) == {"done", "total", "unit", "note", "seconds_left"} for line in lines)
    assert lines[0]["done"] == 1
    assert lines[-1] == {"done": 5000, "total": 5000, "unit": "tiles", "note": "Folie 气孔", "seconds_left": 0.0}
    assert len(lines) < 5000  # a parent need not read every one


def test_json_is_throttled(capsys):
    now = [0.0]
    lines = progress._JsonLines(clock=lambda: now[0])
    for step, moment in enumerate([0.0, 0.01, 0.02, 0.2, 0.21]):
        now[0] = moment
        lines.show(Progress(step, 5), None)
    assert [json.loads(line)["done"] for line in capsys.readouterr().err.splitlines()] == [0, 3]
    lines.close()
    lines.close()
    assert [json.loads(line)["done"] for line in capsys.readouterr().err.splitlines()] == [4]


def test_a_parent_that_has_ended_stops_the_job(monkeypatch):
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    closed: list = []
    with pytest.raises(Cancelled):
        progress.run(counting(5, closed), with_mode("json"))
    assert closed


def test_a_terminal_shows_one_line_that_ends(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    progress.run(counting(40), with_mode("auto"))
    text = terminal.getvalue()
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert "100 %" in text.rsplit("\r", 1)[1]
    assert "40/40 tiles" in text


def test_a_line_never_wraps(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "50")
    progress.run(counting(3, note="n" * 500), with_mode("auto"))
    assert max(len(line) for line in terminal.getvalue().replace("\n", "").split("\r")) < 50


def test_a_log_file_gets_a_plain_line_now_and_then(capsys):
    now = [0.0]
    lines = progress._Lines(clock=lambda: now[0])
    for second in range(35):
        now[0] = float(second)
        lines.show(Progress(second, 70, "tiles", "row 3"), 35.0)
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 3
    assert shown[0].split() == ["14", "%", "10/70", "tiles", "0:35", "left", "row", "3"]
    assert "\r" not in "".join(shown)


def test_a_closed_terminal_does_not_stop_the_job(monkeypatch):
    class Full(Terminal):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    assert progress.run(counting(5), with_mode("auto")) == 10
    monkeypatch.setattr(sys, "stderr", None)
    assert progress.run(counting(5), with_mode("auto")) == 10


def test_an_unknown_total_is_shown_as_a_count(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    def job():
        yield Progress(7, 0, "files")

    progress.run(job(), with_mode("auto"))
    assert "7 files" in terminal.getvalue()
    assert "%" not in terminal.getvalue()


@pytest.mark.skipif(os.name == "nt", reason="signals of another kind")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_closes_the_job_and_restores_the_handlers(number):
    closed: list = []
    before = signal.getsignal(number)

    def job():
        try:
            yield Progress(0, 10)
            os.kill(os.getpid(), number)
            yield Progress(1, 10)
            pytest.fail("went on after the signal")
        finally:
            closed.append(True)

    with pytest.raises(Cancelled):
        progress.run(job(), with_mode("none"))
    assert closed == [True]
    assert signal.getsignal(number) == before


@pytest.mark.skipif(os.name == "nt", reason="signals of another kind")
def test_a_second_signal_does_not_wait_for_the_next_step():
    closed: list = []

    def job():
        try:
            yield Progress(0, 10)
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            pytest.fail("went on after two signals")
        finally:
            closed.append(True)

    with pytest.raises(KeyboardInterrupt):
        progress.run(job(), with_mode("none"))
    assert closed == [True]


def test_a_failing_job_fails_with_its_own_error():
    def job():
        yield Progress(0, 1)
        raise ZeroDivisionError("by nought")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError, match="by nought"):
        progress.run(job(), with_mode("none"))
    assert signal.getsignal(signal.SIGINT) == before


def test_it_runs_outside_the_main_thread_too():
    results: list = []
    thread = threading.Thread(target=lambda: results.append(progress.run(counting(5), with_mode("none"))))
    thread.start()
    thread.join()
    assert results == [10]


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (Progress(0, 0, "tiles", "loading the model"), "loading the model"),
        (Progress(7, 0, "files", "reading"), "7 files  reading"),
        (Progress(0, 4, "tiles", "looking"), "  0 %  0/4 tiles  looking"),
        (Progress(0, 0, "tiles"), "0 tiles"),
    ],
)
def test_nothing_is_counted_before_there_is_anything_to_count(told, line):
    assert progress._line_text(told, None) == line


CHILD = """
import argparse, sys, types
from microscope_qc import cli
from microscope_qc.cli import progress
from microscope_qc.core.jobs import Progress

def job():
    try:
        step = 0
        while True:
            step += 1
            yield Progress(step, 0, "steps")
    finally:
        print("closed", flush=True)

module = types.ModuleType("endless")
def register(subparsers):
    subparsers.add_parser("endless").set_defaults(handler=lambda args: progress.run(job(), args))
module.register = register
sys.modules["microscope_qc.cli.endless"] = module
cli.MODULE_OF["endless"] = "endless"
sys.exit(cli.main(["endless", "--progress", "json"]))
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of another kind")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_child_told_to_stop_ends_with_130(number):
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert json.loads(child.stderr.readline())["done"] == 1
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 130
    assert out == "closed\n"
    assert err.splitlines()[-1] == "Stopped."


def test_json_documents_hold_what_the_rooms_return(capsys):
    progress.print_json(
        {
            "path": Path("a") / "b.czi",
            "array": np.arange(3, dtype=np.int32),
            "number": np.float32(0.5),
            "nothing": float("nan"),
            "endless": np.array([np.inf, 1.0]),
            "flag": np.bool_(True),
            1: ("ä", None),
        }
    )
    assert json.loads(capsys.readouterr().out) == {
        "path": str(Path("a") / "b.czi"),
        "array": [0, 1, 2],
        "number": 0.5,
        "nothing": None,
        "endless": [None, 1.0],
        "flag": True,
        "1": ["ä", None],
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_plain_documents_pass_unchanged(document):
    assert progress._plain(document) == document
