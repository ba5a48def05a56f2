"""The frame of the command line: dispatch, exit codes, one sentence per error."""

from __future__ import annotations

import argparse
import errno
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from microscope_qc import __version__, cli
from microscope_qc.cli import fault, main
from microscope_qc.core.errors import Cancelled, SlideError


def fake_module(handler):
    """A command group with ``act WHAT`` and the nested ``act2 deep``."""
    module = types.ModuleType("fake")

    def register(subparsers):
        act = subparsers.add_parser("act")
        act.add_argument("what", nargs="?")
        act.add_argument("--number", type=int)
        act.set_defaults(handler=handler)
        deep = subparsers.add_parser("act2").add_subparsers(required=True).add_parser("deep")
        deep.set_defaults(handler=handler)

    module.register = register
    return module


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Make ``act`` and ``act2`` call the given handler; faults are written to ``tmp_path/log``."""

    def use(handler):
        monkeypatch.setitem(sys.modules, "microscope_qc.cli.fake", fake_module(handler))
        monkeypatch.setitem(cli.MODULE_OF, "act", "fake")
        monkeypatch.setitem(cli.MODULE_OF, "act2", "fake")
        monkeypatch.setattr(fault, "log_folder", lambda: tmp_path / "log")

    return use


@pytest.fixture
def window(monkeypatch):
    """Stand-in for the window's module; returns the list of its calls."""
    calls: list[argparse.Namespace] = []
    module = types.ModuleType("microscope_qc.cli.window")
    module.handler = calls.append
    monkeypatch.setitem(sys.modules, "microscope_qc.cli.window", module)
    return calls


def raiser(error: BaseException):
    def handler(args):
        raise error

    return handler


@pytest.mark.parametrize(("answer", "code"), [(None, 0), (0, 0), (1, 1), (7, 7)])
def test_the_exit_code_is_that_of_the_handler(command, answer, code):
    command(lambda args: answer)
    assert main(["act"]) == code


def test_arguments_reach_the_handler_and_progress_is_added_to_nested_commands(command):
    seen = []
    command(seen.append)
    assert main(["act", "x y", "--number", "3", "--progress", "json"]) == 0
    assert main(["act2", "deep", "--progress", "none"]) == 0
    assert (seen[0].what, seen[0].number, seen[0].progress) == ("x y", 3, "json")
    assert seen[1].progress == "none"


def test_progress_defaults_to_auto_and_a_wrong_value_is_bad_input(command, capsys):
    seen = []
    command(seen.append)
    assert main(["act"]) == 0
    assert seen[0].progress == "auto"
    assert main(["act", "--progress", "loud"]) == 2
    assert "--progress" in capsys.readouterr().err


def test_an_error_for_the_user_is_one_sentence_with_a_hint(command, capsys):
    command(raiser(SlideError("a.czi is truncated.", hint="Copy it again.")))
    assert main(["act"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "a.czi is truncated. Copy it again.\n"


@pytest.mark.parametrize("error", [Cancelled(), KeyboardInterrupt()])
def test_stopping_is_not_an_error(command, capsys, tmp_path, error):
    command(raiser(error))
    assert main(["act"]) == 130
    assert capsys.readouterr().err == "Stopped.\n"
    assert not (tmp_path / "log").exists()


def test_a_fault_of_the_program_is_called_so_and_its_traceback_is_kept(command, capsys, tmp_path):
    command(raiser(ZeroDivisionError("by nought")))
    assert main(["act"]) == 1
    words = capsys.readouterr().err
    (log,) = (tmp_path / "log").iterdir()
    assert words.startswith("Something went wrong in the program.")
    assert "by nought" in words
    assert str(log) in words
    assert "Traceback" not in words
    kept = log.read_text(encoding="utf-8")
    assert "Traceback" in kept
    assert "ZeroDivisionError" in kept
    assert __version__ in kept


def test_a_fault_that_cannot_be_written_is_printed(command, capsys, tmp_path):
    command(raiser(ZeroDivisionError("by nought")))
    (tmp_path / "log").write_text("a file where the folder should be")
    assert main(["act"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_full_disk_is_an_error_for_the_user(command, capsys):
    command(raiser(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    assert main(["act"]) == 2
    assert "disk is full" in capsys.readouterr().err


def test_too_little_memory_is_reported(command, capsys):
    command(raiser(MemoryError()))
    assert main(["act"]) == 1
    assert "memory" in capsys.readouterr().err


def test_bad_arguments_are_one_line(command, capsys):
    command(lambda args: None)
    assert main(["act", "--number", "three"]) == 2
    assert main(["act2"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "--number" in lines[0]
    assert all("--help" in line for line in lines)


def test_a_nul_character_is_bad_input(command, capsys):
    command(lambda args: None)
    assert main(["act", "x\0y.csv"]) == 2
    assert "NUL" in capsys.readouterr().err


def test_abbreviated_options_are_refused(command):
    command(lambda args: None)
    assert main(["act", "--num", "3"]) == 2


def test_version_and_help(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"microscope-qc {__version__}\n"
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for group in cli.COMMANDS.values():
        for name, (_, line) in group.items():
            assert f"{name} " in text
            assert line in text
    assert not any(f"  {name} " in text for name in cli.HIDDEN_COMMANDS)


@pytest.mark.parametrize("name", sorted(cli.MODULE_OF))
def test_every_command_of_the_table_has_help(name, capsys):
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"usage: microscope-qc {name}" in text
    assert "%%" not in text


def test_without_a_command_the_window_opens(window, tmp_path):
    slide = tmp_path / "Überblick 1.czi"
    slide.write_bytes(b"")
    assert main([]) == 0
    assert main([str(slide), str(tmp_path)]) == 0
    assert [args.paths for args in window] == [[], [slide, tmp_path]]
    assert window[0].progress == "auto"


def test_the_windows_own_options(window, monkeypatch):
    module = sys.modules["microscope_qc.cli.window"]
    monkeypatch.setattr(module, "add_arguments", lambda parser: parser.add_argument("--big"), raising=False)
    assert main(["--big", "1"]) == 0
    assert window[0].big == "1"


def test_a_missing_path_is_bad_input_and_no_window_opens(window, tmp_path, capsys):
    assert main([str(tmp_path / "gone.czi")]) == 2
    assert "gone.czi does not exist" in capsys.readouterr().err
    assert main(["null\0byte.czi"]) == 2
    assert main(["x" * 5000]) == 2
    assert window == []


def test_a_mistyped_command_is_guessed(window, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["detct", "project.mqc"]) == 2
    assert "'microscope-qc detect'" in capsys.readouterr().err
    assert main(["qqqqqq"]) == 2
    assert "neither a command nor a file" in capsys.readouterr().err


def test_a_file_named_like_a_command_opens_when_it_looks_like_a_path(window, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("info").mkdir()
    assert main([os.path.join(".", "info")]) == 0  # noqa: PTH118 - pathlib drops the dot
    assert window[0].paths == [Path("info")]


def run(code: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=120, **options)


@pytest.mark.skipif(os.name == "nt", reason="pipes of another kind")
def test_a_closed_pipe_is_quiet():
    code = "import sys; from microscope_qc.cli import main; sys.exit(main(['--help']))"
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=write_end, stderr=subprocess.PIPE, check=False, timeout=120
    )
    os.close(write_end)
    assert done.returncode == 141
    assert done.stderr == b""


def test_output_is_utf8_on_any_console():
    code = (
        "import sys; from microscope_qc import cli; cli._speak_utf8(); print('Bläschen µm 气孔'); "
        "print('Öl', file=sys.stderr)"
    )
    done = run(code, env={**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode("utf-8").strip() == "Bläschen µm 气孔"
    assert done.stderr.decode("utf-8").strip() == "Öl"


def test_the_module_runs_as_the_program():
    done = subprocess.run(
        [sys.executable, "-m", "microscope_qc", "--version"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.strip() == f"microscope-qc {__version__}"
    assert done.returncode == 0
