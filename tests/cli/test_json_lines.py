"""``--json-lines``: everything that a command says is one JSON object per line on stdout."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import types

import pytest
from command_table import parser_of

from microscope_qc import __version__, cli
from microscope_qc.cli import main, progress
from microscope_qc.core.jobs import Progress


def told(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    """What was told; every line is an object."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def command(monkeypatch):
    """Make ``act`` call a handler."""

    def use(handler):
        module = types.ModuleType("fake")

        def register(subparsers):
            act = subparsers.add_parser("act")
            act.add_argument("--number", type=int)
            act.add_argument("--json", action="store_true")
            act.set_defaults(handler=handler)

        module.register = register
        monkeypatch.setitem(sys.modules, "microscope_qc.cli.fake", module)
        monkeypatch.setitem(cli.MODULE_OF, "act", "fake")

    return use


def test_start_progress_text_result_and_end_are_told_in_order(command, capsys):
    def job():
        for step in range(3):
            yield Progress(step + 1, 3, "tiles")
        return "ä"

    def handler(args: argparse.Namespace) -> int:
        print("half a ", end="")
        print("line")
        progress.print_json({"found": progress.run(job(), args), "json": args.json})
        print('{"one": "more"}', flush=True)
        print("not ended", end="")
        return 0

    command(handler)
    assert main(["act", "--json-lines"]) == 0
    start, text, *steps, result, more, last, end = told(capsys)
    assert start == {"event": "start", "command": "act", "version": __version__, "pid": os.getpid()}
    assert text == {"event": "text", "text": "half a line"}
    assert {step["event"] for step in steps} == {"progress"}
    assert steps[-1] | {"seconds_left": 0} == {
        "event": "progress", "done": 3, "total": 3, "unit": "tiles", "note": "", "seconds_left": 0,
    }  # fmt: skip
    assert result == {"event": "result", "result": {"found": "ä", "json": True}}
    assert more == {"event": "result", "result": {"one": "more"}}
    assert last == {"event": "text", "text": "not ended"}
    assert (end["event"], end["exit_code"], end["error"]) == ("end", 0, None)
    assert end["seconds"] >= 0
    assert sys.stdout is not None and not isinstance(sys.stdout, progress.LineTeller)


def test_without_progress_there_is_none(command, capsys):
    def job():
        yield Progress(1, 1)

    command(lambda args: progress.run(job(), args))
    assert main(["act", "--json-lines", "--progress", "none"]) == 0
    assert [line["event"] for line in told(capsys)] == ["start", "end"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["info", "no-such-slide.tif"], 2, "no-such-slide.tif"),
        (["act", "--number", "three"], 2, "invalid int value: 'three'"),
        (["act", "--number", "7"], 1, "by nought"),
        (["act"], 130, "Stopped."),
    ],
)
def test_however_it_ends_the_end_is_told(command, capsys, monkeypatch, tmp_path, arguments, code, words):
    def handler(args):
        if args.number:
            raise ZeroDivisionError("by nought")
        raise KeyboardInterrupt

    command(handler)
    monkeypatch.setattr("microscope_qc.cli.fault.log_folder", lambda: tmp_path / "log")
    assert main([*arguments, "--json-lines"]) == code
    lines, err = capsys.readouterr()
    end = [json.loads(line) for line in lines.splitlines()][-1]
    assert (end["event"], end["exit_code"]) == ("end", code)
    assert words in end["error"]
    assert words in err, "people read it, too"


@pytest.mark.parametrize("name", [name for group in cli.COMMANDS.values() for name in group])
def test_every_command_has_it(name):
    for parser in cli._leaves(parser_of(name)):
        assert "--json-lines" in parser._option_string_actions, parser.prog


def test_a_real_command_tells_its_document(cell, capsys):
    assert main(["stats", str(cell), "--json-lines"]) == 0
    lines = told(capsys)
    (result,) = [line["result"] for line in lines if line["event"] == "result"]
    assert main(["stats", str(cell), "--json", "--progress", "none"]) == 0
    assert result == json.loads(capsys.readouterr().out)
    assert lines[-1]["exit_code"] == 0


@pytest.mark.skipif(os.name == "nt", reason="pipes of another kind")
def test_a_reader_that_has_gone_ends_it_quietly(cell):
    line = f"{sys.executable} -m microscope_qc stats '{cell}' --json-lines | head -n 1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, timeout=240)
    assert json.loads(done.stdout)["event"] == "start"
    assert done.stderr in ("", "Stopped.\n")
