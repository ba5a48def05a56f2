"""The set-up: which Python fits, when there is nothing to do, what uv means, how tests are counted."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
INSTALLERS = ROOT / "installers"

sys.path.insert(0, str(INSTALLERS))
import checks  # noqa: E402
import environment  # noqa: E402
import find_python  # noqa: E402
import shares  # noqa: E402
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


def failed_once(folder: Path, tests: str) -> checks.Check:
    """A share whose tests ran, and failed as they say."""
    file = folder / "test_share.py"
    file.write_text(tests)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:napari", str(file)]
    return checks._run(checks.Check("share", command, is_tests=True), free=None, width=2, limit=60)


def test_a_test_that_lost_a_race_runs_once_more_and_is_named(tmp_path, capsys):
    check = failed_once(
        tmp_path,
        f"""
import pathlib
import pytest
def test_good(): pass
@pytest.mark.parametrize("word", ["two words"])
def test_race(word):
    first = pathlib.Path({str(tmp_path)!r}, "ran")
    if not first.exists():
        first.touch()
        raise OSError("busy - for now")
""",
    )
    assert check.counts == {"passed": 1, "failed": 1, "skipped": 0}
    checks._try_again([check], free=None, limit=60)
    assert check.good
    assert check.counts == {"passed": 2, "failed": 0, "skipped": 0}
    assert checks._summary([check], 1.0) == 0
    assert "passed alone:\n" in (said := capsys.readouterr().out)
    assert "test_race[two words]\n" in said.rpartition("passed alone:")[2]


def test_a_test_that_fails_and_cannot_be_torn_down_runs_once_more_too(tmp_path):
    check = failed_once(
        tmp_path,
        f"""
import pathlib
import pytest
first = pathlib.Path({str(tmp_path)!r}, "ran")
@pytest.fixture
def page():
    yield
    assert first.exists()
def test_race(page):
    if not first.with_name("begun").exists():
        first.with_name("begun").touch()
        raise OSError("busy")
    first.touch()
""",
    )
    assert check.counts == {"passed": 0, "failed": 2, "skipped": 0}
    checks._try_again([check], free=None, limit=60)
    assert check.good
    assert check.counts == {"passed": 1, "failed": 0, "skipped": 0}


@pytest.mark.parametrize(
    "tests", ["def test_bad(): assert False", "def test_bad(bad): pass", "import nothing_called_so"]
)
def test_what_fails_twice_fails(tmp_path, tests):
    check = failed_once(tmp_path, tests)
    checks._try_again([check], free=None, limit=60)
    assert not check.good
    assert check.counts["failed"] == 1


def test_many_failures_are_no_accident(tmp_path):
    body = "\n".join(f"def test_{n}(): assert not __import__('os').path.exists(__file__ + 'x')" for n in range(5))
    check = failed_once(tmp_path, body.replace("assert not", "assert"))
    (tmp_path / "test_share.pyx").touch()
    checks._try_again([check], free=None, limit=60)
    assert not check.good
    assert check.counts["failed"] == 5


def test_why_tests_were_skipped_is_summed_up():
    check = checks.Check("x", [])
    check.output = "SKIPPED [2] tests/a.py:7: no data\nSKIPPED [1] tests/b/c.py: no data\nSKIPPED [1] t.py:1: long\n"
    assert checks._skip_reasons([check]) == {"no data": 3, "long": 1}


def test_every_test_file_runs_once():
    files = shares.test_files()
    assert files == sorted((ROOT / "tests").rglob("test_*.py"))
    cut = shares.cut(files, shares.read_measured())
    assert sorted(sum((share.files for share in cut), ())) == [shares.name_of(file) for file in files]
    share_of = {name: share for share in cut for name in share.files}
    assert not share_of["tests/test_installers.py"].windows
    assert share_of["tests/app/test_window.py"].windows
    assert len(share_of["tests/app/test_window.py"].files) > 1
    for share in cut:
        assert len(share.files) == 1 or "tests/e2e" not in " ".join(share.files), "a story goes alone"
        assert len({"panels" in name for name in share.files if "tests/app" in name}) < 2, "fixtures of their own"


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A checkout whose tests are written by the test: ``tree({name: text})``."""
    monkeypatch.setattr(shares, "ROOT", tmp_path)
    (tmp_path / "pyproject.toml").touch()

    def make(texts: dict[str, str]) -> list[Path]:
        for name, text in texts.items():
            path = tmp_path / "tests" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return shares.test_files()

    return make


def test_window_files_are_known_by_their_marks_and_those_of_their_conftests(tree, tmp_path):
    files = tree(
        {
            "conftest.py": "",
            "core/test_a.py": "",
            "core/test_b.py": "pytestmark = pytest.mark." + "window",
            "app/conftest.py": "item.add_marker(pytest.mark." + "window)",
            "app/test_c.py": "",
            "app/canvas/test_f.py": "",
            "app/panels/conftest.py": "",
            "app/panels/test_g.py": "",
            "e2e/test_d.py": "@pytest.mark." + "story",
            "cli/test_e.py": "a = 'mark.windows'",
        }
    )
    cut = {share.title: (share.windows, [Path(name).name for name in share.files]) for share in shares.cut(files, {})}
    assert cut == {
        "tests without windows": (False, ["test_e.py", "test_a.py"]),
        "tests": (True, ["test_b.py"]),
        "tests/app": (True, ["test_f.py", "test_c.py"]),
        "tests/app/panels": (True, ["test_g.py"]),
        "tests/e2e/test_d.py": (True, ["test_d.py"]),
    }
    with pytest.raises(environment.SetupError):
        shares.test_files([str(tmp_path / "pyproject.toml")])


def test_shares_take_about_the_same_time_and_the_longest_starts_first(tree):
    files = tree({f"core/test_{number}.py": "" for number in range(12)})
    measured = {f"tests/core/test_{number}.py": 10.0 * number for number in range(12)}
    seconds = [share.seconds for share in shares.cut(files, measured)]
    assert sum(seconds) == 660
    assert len(seconds) == 5  # of 150 s at most, as far as whole files fit
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[0] <= 150 and seconds[-1] >= 120


def test_no_share_is_empty(tree):
    files = tree({"test_a.py": "", "test_b.py": "", "test_c.py": ""})
    cut = shares.cut(files, {"tests/test_a.py": 300, "tests/test_b.py": 0, "tests/test_c.py": 0})
    assert all(share.files for share in cut)


def test_a_file_that_was_not_measured_is_estimated_by_its_size(tree):
    files = tree({"test_a.py": "#" * 100, "test_b.py": "#" * 300, "test_c.py": "#" * 50})
    measured = {"tests/test_a.py": 10.0, "tests/test_b.py": 10.0, "tests/test_gone.py": 1e6}
    expected = {"tests/test_a.py": 10.0, "tests/test_b.py": 10.0, "tests/test_c.py": 2.5}
    assert shares.expected_seconds(files, measured) == expected
    assert all(0 < seconds < 1 for seconds in shares.expected_seconds(files, {}).values())


def test_what_was_measured_is_kept_by_file(tree, tmp_path):
    tree({"core/test_a.py": "", "test_b.py": "", "test_c.py": ""})
    report, kept = tmp_path / "1.xml", tmp_path / "seconds.json"
    kept.write_text('{"tests/test_c.py": 7, "tests/test_gone.py": 9, "tests/test_b.py": 3}')
    cases = [("tests.core.test_a", 1.2), ("tests.core.test_a.TestX", 1.4), ("tests.test_b", 0.2), ("elsewhere", 50)]
    report.write_text(
        "<testsuites><testsuite>"
        + "".join(f'<testcase classname="{place}" name="t" time="{time}"/>' for place, time in cases)
        + "</testsuite></testsuites>"
    )
    shares.write_measured([report], kept)
    assert kept.read_text() == '{\n "tests/core/test_a.py": 3,\n "tests/test_b.py": 0,\n "tests/test_c.py": 7\n}\n'
    assert shares.read_measured(kept)["tests/core/test_a.py"] == 3
    assert shares.read_measured(tmp_path / "none.json") == {}


def test_a_test_that_is_in_no_share_fails_the_checks(capsys):
    whole = checks.Check("collection", [], good=True, collected=5)
    first = checks.Check("a", [], is_tests=True, good=True, collected=3)
    second = checks.Check("b", [], is_tests=True, good=True, collected=2)
    assert checks._summary([first, second, whole], 1.0) == 0
    assert "5 tests are collected in one process, 5 in the shares" in capsys.readouterr().out
    second.collected = 1
    assert checks._summary([first, second, whole], 1.0) == 1
    assert "some tests are in no share" in capsys.readouterr().out
    assert run_code("print('3 tests collected\\n3 passed in 1s')").collected == 3


def test_helper_modules_of_the_tests_are_imported_by_names_of_their_own():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    folders = [ROOT / name for name in settings["pythonpath"]]
    helpers = [
        path
        for path in (ROOT / "tests").rglob("*.py")
        if not path.name.startswith("test_")
        and path.name != "conftest.py"
        and path.parent.name != "benchmarks"
        and not path.is_relative_to(ROOT / "tests" / "example_plugin")  # a package that a test installs
    ]
    assert [path for path in helpers if path.parent not in folders] == []
    assert len({path.name for path in helpers}) == len(helpers)


@pytest.mark.skipif(not system_libraries.is_debian_like(), reason="dpkg is Debian's")
def test_missing_system_libraries_are_named(monkeypatch):
    monkeypatch.setattr(system_libraries, "_WINDOW", ("dpkg", "no-such-package-anywhere"))
    monkeypatch.setattr(system_libraries, "_WEB_ENGINE", ("no-such-package|dpkg", "no-such-one|no-such-other"))
    # a package is there by any of its names, and missing by one that can be installed
    assert system_libraries.missing(tests=False) == ["no-such-package-anywhere", "no-such-other"]


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
