"""The set-up: which Python fits, when there is nothing to do, what uv means, how tests are counted."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
INSTALLERS = ROOT / "installers"

sys.path.insert(0, str(INSTALLERS))
import checks  # noqa: E402
import environment  # noqa: E402
import find_python  # noqa: E402
import system_libraries  # noqa: E402
import uv_tool  # noqa: E402

sys.path.remove(str(INSTALLERS))


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ((3, 8, 18), False),
        ((3, 10, 9), False),
        ((3, 11, 0), False),
        ((3, 11, 1), True),
        ((3, 12, 0), True),
        ((3, 13, 9), True),
        ((3, 14, 0), False),
    ],
)
def test_which_python_fits(version, fits):
    assert find_python.fits(version) is fits
    assert not find_python.fits(version, "pypy")
    assert not find_python.fits(version, is_64_bit=False)


def fake_python(path: Path, answer: str, code: int = 0) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{answer}'\nexit {code}\n")
    path.chmod(0o755)
    return path


@pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")
def test_a_signpost_to_a_python_that_is_not_there_is_passed_by(tmp_path, monkeypatch):
    broken = fake_python(tmp_path / "a" / "python3.12", "command not found", 127)
    old = fake_python(tmp_path / "b" / "python3.13", "cpython True 3 10 2")
    good = fake_python(tmp_path / "c" / "python3.11", "cpython True 3 11 9")
    commands = [[str(broken)], [str(old)], [str(tmp_path / "missing")], [str(good)]]
    monkeypatch.setattr(find_python, "this_one_fits", lambda: False)
    monkeypatch.setattr(find_python, "candidates", lambda: commands)
    assert find_python.find() == [str(good)]
    monkeypatch.setattr(find_python, "candidates", lambda: commands[:-1])
    with pytest.raises(find_python.SetupError, match=r"3\.11, 3\.12 or 3\.13"):
        find_python.find()


def test_the_scripts_can_be_read_by_old_pythons():
    for name in ("run.py", "test.py", "old_python.py"):
        ast.parse((INSTALLERS / name).read_text(encoding="utf-8"), feature_version=(3, 5))
    ast.parse((INSTALLERS / "find_python.py").read_text(encoding="utf-8"), feature_version=(3, 8))


def test_the_scripts_need_nothing_but_the_standard_library():
    own = {path.stem for path in INSTALLERS.glob("*.py")}
    for path in INSTALLERS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= own | set(sys.stdlib_module_names), path.name


def test_own_options_are_taken_from_the_front_only(tmp_path):
    options, rest = environment.parse_options(
        ["--setup-only", "--wheelhouse", str(tmp_path), "--torch-index=https://x/y=z", "demo", "--setup-only"], usage=""
    )
    assert (options.setup_only, options.wheelhouse, options.torch_index) == (True, tmp_path.resolve(), "https://x/y=z")
    assert rest == ["demo", "--setup-only"]
    assert environment.parse_options([], usage="")[1] == []


@pytest.mark.parametrize("words", [["--wheelhouse"], ["--torch-index"], ["--wheelhouse", "/no/such/folder"]])
def test_wrong_options_are_one_sentence(words):
    with pytest.raises(environment.SetupError):
        environment.parse_options(words, usage="")


@pytest.fixture
def venv(tmp_path) -> environment.Venv:
    """An environment that looks complete, without its stamp."""
    venv = environment.Venv(tmp_path / ".venv")
    venv.programs.mkdir(parents=True)
    venv.python.touch()
    venv.program.touch()
    return venv


def test_nothing_is_done_twice(venv):
    options = environment.Options()
    assert not environment._is_ready(venv, options)
    venv.write_stamp(environment._wanted(options, {}))
    assert environment._is_ready(venv, options)
    venv.program.unlink()
    assert not environment._is_ready(venv, options)


def test_an_interruption_is_noticed(venv):
    venv.write_stamp(environment._wanted(environment.Options(), {}))
    venv.forget_stamp()
    venv.forget_stamp()
    assert not environment._is_ready(venv, environment.Options())
    (venv.folder / environment._STAMP).write_text("{half")
    assert not environment._is_ready(venv, environment.Options())
    (venv.folder / environment._STAMP).write_text("[]")
    assert not environment._is_ready(venv, environment.Options())


def test_what_was_set_up_for_the_tests_is_enough_for_the_program_but_not_the_other_way_round(venv):
    tests = environment.Options(extras={"test"})
    venv.write_stamp(environment._wanted(tests, {}))
    assert environment._is_ready(venv, environment.Options())
    venv.write_stamp(environment._wanted(environment.Options(), {}))
    assert not environment._is_ready(venv, tests)


def test_another_torch_stays_until_a_third_is_asked_for(venv):
    venv.write_stamp(environment._wanted(environment.Options(torch_index="https://a"), {}))
    assert environment._is_ready(venv, environment.Options())
    assert not environment._is_ready(venv, environment.Options(torch_index="https://b"))


def test_a_moved_checkout_and_new_needs_are_noticed(venv, monkeypatch, tmp_path):
    options = environment.Options()
    venv.write_stamp({**environment._wanted(options, {}), "root": "elsewhere"})
    assert not environment._is_ready(venv, options)
    venv.write_stamp(environment._wanted(options, {}))
    changed = tmp_path / "constraints.txt"
    changed.write_text("numpy==1.0\n")
    monkeypatch.setattr(environment, "CONSTRAINTS", changed)
    assert not environment._is_ready(venv, options)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("cause: tcp connect error\ncause: Connection refused (os error 111)", "could not be reached"),
        ("error: failed to write: No space left on device (os error 28)", "disk is full"),
        ("error: No solution found when resolving dependencies", "not all packages"),
        ("error: Permission denied (os error 13)", "could not be written"),
        ("warning: x\nerror: something new\n", "uv said: error: something new"),
        ("", "uv said: nothing"),
    ],
)
def test_uvs_words_become_a_sentence(words, sentence):
    assert sentence.lower() in uv_tool._cause(words).lower()


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
def test_a_failed_installation_is_one_sentence_and_keeps_uvs_words(tmp_path, capsys):
    uv = fake_python(tmp_path / "uv", "error: No solution found", 1)
    with pytest.raises(find_python.SetupError, match="Not all packages"):
        uv_tool.install([str(uv)], Path(sys.executable), [], log=tmp_path / "log")
    assert "No solution found" in (tmp_path / "log").read_text()
    assert "No solution found" in capsys.readouterr().out


@pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")
def test_a_uv_that_does_not_start_or_is_too_old_is_passed_by(tmp_path):
    private = tmp_path / "private"
    assert not uv_tool._starts([str(fake_python(tmp_path / "a", "uv 0.4.30"))], private)
    assert not uv_tool._starts([str(fake_python(tmp_path / "b", "uv 0.9.1", 127))], private)
    assert not uv_tool._starts([str(tmp_path / "none")], private)
    assert uv_tool._starts([str(fake_python(tmp_path / "c", "uv 0.13.8 (x86_64)"))], private)


def test_the_torch_family_is_what_another_index_replaces():
    family = ["torch==2.15.0", "torchvision==0.29.2", "triton==3.9.0 ; x", "nvidia-cublas==1", "cuda-bindings==1"]
    assert all(environment._is_torch_family(pin) for pin in family)
    assert not any(environment._is_torch_family(pin) for pin in ("torchmetrics==1.9.0", "numpy==2.4.6", "# torch"))


@pytest.mark.parametrize(
    ("output", "counts"),
    [
        ("== 3 passed in 1.2s ==", (3, 0, 0)),
        ("1 failed, 12 passed, 2 skipped, 4 deselected, 3 warnings in 61.50s (0:01:01)", (12, 1, 2)),
        ("2 errors in 0.5s", (0, 2, 0)),
        ("1 passed, 1 error in 0.5s", (1, 1, 0)),
        ("1 xfailed, 1 xpassed in 0.5s", (1, 0, 1)),
        ("no tests ran in 0.1s", (0, 0, 0)),
        ("FAILED x - assert 3 passed in 4\n7 passed in 2s", (7, 0, 0)),
        ("Segmentation fault", (0, 0, 0)),
    ],
)
def test_counting(output, counts):
    assert tuple(checks.count_tests(output).values()) == counts


def run_code(code: str) -> checks.Check:
    check = checks.Check("x", [sys.executable, "-c", code], is_tests=True)
    return checks._run(check, free=None, width=1, limit=60)


def test_tests_that_die_before_counting_count_as_a_failure():
    assert run_code("import os; os._exit(11)").counts["failed"] == 1
    assert not run_code("import os; os._exit(11)").good
    assert not run_code("print('1 failed, 2 passed in 3s')").good
    good = run_code("print('2 passed, 1 skipped in 3s')")
    assert good.good
    assert good.counts == {"passed": 2, "failed": 0, "skipped": 1}


def test_a_hang_ends_as_a_failure_with_what_was_said():
    code = "import threading; print('began'); threading.Event().wait(99)"
    check = checks.Check("x", [sys.executable, "-u", "-c", code], is_tests=True)
    done = checks._run(check, free=None, width=1, limit=3)
    assert not done.good
    assert "began" in done.output
    assert "Not done after 3 s" in done.output
    if sys.platform != "win32":
        assert "most recent call first" in done.output  # where it hung


def test_the_summary_ends_with_the_counts(capsys):
    first, second = run_code("print('2 passed, 1 skipped in 3s')"), run_code("print('1 failed in 3s')")
    assert checks._summary([first], 1.0) == 0
    assert checks._summary([first, second], 1.0) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "2 passed, 1 failed, 1 skipped"


def test_why_tests_were_skipped_is_summed_up():
    check = checks.Check("x", [])
    check.output = "SKIPPED [2] tests/a.py:7: no data\nSKIPPED [1] tests/b/c.py: no data\nSKIPPED [1] t.py:1: long\n"
    assert checks._skip_reasons([check]) == {"no data": 3, "long": 1}


def test_every_test_file_runs_once():
    quiet, windowed = checks.sort_files()
    everything = sorted((ROOT / "tests").rglob("test_*.py"))
    assert sorted([*quiet, *windowed]) == everything
    assert sorted(sum(checks._shares(quiet, 4), [])) == quiet
    assert Path(__file__).resolve() in quiet
    groups = checks._windows(windowed)
    assert sorted(sum(groups.values(), [])) == [file.relative_to(ROOT).as_posix() for file in sorted(windowed)]
    assert len(groups["tests/app"]) > 1 and not any(len(files) > 1 for name, files in groups.items() if "e2e" in name)


def test_window_files_are_known_by_their_marks_and_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "ROOT", tmp_path)
    for name, text in {
        "core/test_a.py": "",
        "core/test_b.py": "pytestmark = pytest.mark." + "window",
        "app/test_c.py": "",
        "e2e/test_d.py": "@pytest.mark." + "story",
        "cli/test_e.py": "a = 'mark.windows'",
    }.items():
        (tmp_path / "tests" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tests" / name).write_text(text)
    quiet, windowed = checks.sort_files()
    assert [file.name for file in quiet] == ["test_e.py", "test_a.py"]
    assert [file.name for file in windowed] == ["test_c.py", "test_b.py", "test_d.py"]
    with pytest.raises(environment.SetupError):
        checks.sort_files([tmp_path / "pyproject.toml"])


@pytest.mark.skipif(not system_libraries.is_debian_like(), reason="dpkg is Debian's")
def test_missing_system_libraries_are_named(monkeypatch):
    monkeypatch.setattr(system_libraries, "_WINDOW", ("dpkg", "no-such-package-anywhere"))
    assert system_libraries.missing(tests=False) == ["no-such-package-anywhere"]


def test_without_root_the_one_command_is_printed(monkeypatch, capsys):
    monkeypatch.setattr(system_libraries, "missing", lambda *, tests: ["libx", "liby"])
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    system_libraries.provide(tests=False)
    assert "sudo apt-get install -y libx liby" in capsys.readouterr().out


def test_the_scripts_help_themselves():
    for name in ("run.py", "test.py"):
        done = subprocess.run(
            [sys.executable, str(INSTALLERS / name), "--help"], capture_output=True, text=True, check=True, timeout=60
        )
        assert f"installers/{name}" in done.stdout
