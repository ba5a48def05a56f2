"""All checks of the project: which there are, side by side on the cores, and one summary."""

from __future__ import annotations

import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

import shares
import system_libraries
from environment import ROOT, Venv
from screens import Screen, open_screens

# A hang must end the run, with its output, before a waiting CI job is cancelled.
_LIMIT_S, _LIMIT_LONG_S = 900, 4 * 3600
_COUNT = re.compile(r"(\d+) (passed|failed|skipped|errors?|xfailed|xpassed)\b")
_COLLECTION = "collection"
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+::.+?)(?: - .*)?$", re.MULTILINE)
# More than this is no accident of a busy machine.
_MOST_TRIED_AGAIN = 4
_COLLECTED = re.compile(r"^(\d+) tests? collected\b", re.MULTILINE)


@dataclass
class Check:
    """One process, and what came of it."""

    title: str
    command: list[str]
    is_tests: bool = False
    needs_screen: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    collected: int = 0
    seconds: float = 0.0
    good: bool = False
    output: str = ""
    passed_alone: list[str] = field(default_factory=list)
    process: subprocess.Popen | None = None


def run_checks(venv: Venv, *, files: list[str], long_counts: bool, fast: bool, measure: bool) -> int:
    """Run everything; print a line per check, the whole output of those that fail, and the counts.

    With ``measure``, what each test file took is kept for the shares of later runs.

    Returns
    -------
    0 when everything passed, 1 otherwise.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to stop, the children and screens end too
    checks = plan(venv, files=files, long_counts=long_counts, fast=fast)
    with tempfile.TemporaryDirectory() as folder:
        if measure:
            _report_times(checks, Path(folder))
        code = _run_all(checks, limit=_LIMIT_LONG_S if long_counts else _LIMIT_S)
        if measure:
            shares.write_measured(sorted(Path(folder).iterdir()))
            print(f"The seconds of each file are in {shares.MEASURED.relative_to(ROOT)}.")
    return code


def _report_times(checks: list[Check], folder: Path) -> None:
    for number, check in enumerate(checks):
        if check.is_tests:
            check.command.append(f"--junitxml={folder / f'{number}.xml'}")


def _run_all(checks: list[Check], *, limit: float) -> int:
    width = min(2, os.cpu_count() or 1)
    started = time.monotonic()
    needs_screens = any(check.needs_screen for check in checks)
    with open_screens(width if needs_screens else 0) as screens:
        free: SimpleQueue[Screen] = SimpleQueue()
        for screen in screens:
            free.put(screen)
        with concurrent.futures.ThreadPoolExecutor(width) as pool:
            running = [pool.submit(_run, check, free=free, width=width, limit=limit) for check in checks]
            try:
                for done in concurrent.futures.as_completed(running):
                    _tell(done.result())
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                _stop(checks)
                raise
        _try_again(checks, free=free, limit=limit)
    return _summary(checks, time.monotonic() - started)


def plan(venv: Venv, *, files: list[str], long_counts: bool, fast: bool) -> list[Check]:
    """The checks in the order of their start: those of the code, then the tests, the long ones first."""
    python = str(venv.python)
    pytest = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    tests = []
    for share in shares.cut(shares.test_files(files), shares.read_measured()):
        if share.windows and fast and not files:
            continue
        # napari's plugin of pytest takes seconds to load
        options = [*(["--long"] if long_counts else []), *([] if share.windows else ["-p", "no:napari"])]
        command = [*pytest, *options, *share.files]
        tests.append(Check(share.title, command, is_tests=True, needs_screen=share.windows))
    if files:
        return tests
    code = [
        Check("lint", [python, "-m", "ruff", "check", "."]),
        Check("format", [python, "-m", "ruff", "format", "--check", "."]),
        Check("imports", [str(venv.programs / "lint-imports")]),
    ]
    if fast:
        return [*code, *tests]
    types = Check("types", [python, "-m", "mypy"])
    return [*code, types, *tests, Check(_COLLECTION, [*pytest, "--collect-only", "-p", "no:napari", "tests"])]


def _run(check: Check, *, free: SimpleQueue[Screen], width: int, limit: float) -> Check:
    screen = free.get() if check.needs_screen else None
    started = time.monotonic()
    # a file, because a pipe stays open as long as any grandchild of a killed check lives
    with tempfile.TemporaryFile() as output:
        check.process = subprocess.Popen(
            check.command,
            cwd=ROOT,
            env=_environment(screen, width),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            code = check.process.wait(limit)
        except subprocess.TimeoutExpired:
            code = _end(check.process) or 1
            output.seek(0, os.SEEK_END)
            output.write(f"\nNot done after {limit:.0f} s.\n".encode())
        finally:
            if screen is not None:
                free.put(screen)
        output.seek(0)
        check.output = output.read().decode("utf-8", "replace")
    check.seconds = time.monotonic() - started
    collected = _COLLECTED.search(check.output)
    check.collected = int(collected[1]) if collected else 0
    if check.is_tests:
        check.counts = count_tests(check.output)
        # pytest's 5: no test was collected, as in a file whose tests are all meant for another system
        check.good = code in (0, 5) and not check.counts["failed"]
        if not check.good and not check.counts["failed"]:
            check.counts["failed"] = 1  # it died before it could count
    else:
        check.good = code == 0
    return check


def _try_again(checks: list[Check], *, free: SimpleQueue[Screen], limit: float) -> None:
    """Run the few tests that failed beside others once more, with the machine to themselves; what passes then is named.

    A window's test can lose a race to a machine that does three other things. It is no secret, and no reason to stop.
    """
    failed = {id(check): _failed_tests(check) for check in checks if check.is_tests and not check.good}
    if not 0 < sum(map(len, failed.values())) <= _MOST_TRIED_AGAIN:
        return
    for check in checks:
        names = failed.get(id(check), [])
        if not names:
            continue
        options = [word for word in check.command if not word.endswith(".py") and not word.startswith("--junitxml")]
        title = f"once more, alone: {', '.join(names)}"
        again = Check(title, [*options, *names], is_tests=True, needs_screen=check.needs_screen)
        _tell(_run(again, free=free, width=1, limit=limit))
        if again.good and again.counts["passed"] == len(names):
            check.good, check.passed_alone = True, names
            check.counts["passed"] += len(names)
            check.counts["failed"] = 0


def _failed_tests(check: Check) -> list[str]:
    """The tests that failed, each once; none where the output names fewer than pytest counted, as after a crash."""
    named = _FAILED.findall(check.output)  # a test that fails and then cannot be torn down is named twice
    return list(dict.fromkeys(named)) if check.counts["failed"] == len(named) else []


def _end(process: subprocess.Popen) -> int:
    """Kill what hangs, after it has written where each of its threads is, if it still can."""
    if os.name == "posix":
        process.send_signal(signal.SIGABRT)
        try:
            return process.wait(10)
        except subprocess.TimeoutExpired:
            pass
    process.kill()
    return process.wait()


def _stop(checks: list[Check]) -> None:
    for check in checks:
        if check.process is not None and check.process.poll() is None:
            check.process.kill()


def count_tests(output: str) -> dict[str, int]:
    """Read pytest's closing line; errors count as failures."""
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    closing = next((line for line in reversed(output.splitlines()) if _COUNT.search(line) and " in " in line), "")
    for number, word in _COUNT.findall(closing):
        name = {"error": "failed", "errors": "failed", "xpassed": "passed", "xfailed": "skipped"}.get(word, word)
        counts[name] += int(number)
    return counts


def _environment(screen: Screen | None, width: int) -> dict[str, str]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", "NO_COLOR": "1"}
    # without byte code on disk every process would compile Qt's and napari's modules again: twenty seconds each
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE"):
        environment.pop(name, None)
    # several checks share the cores
    environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // width)))
    data = ROOT.parent / "shared" / "data"
    if data.is_dir():
        environment.setdefault("MICROSCOPE_QC_DATA", str(data))
    return environment if screen is None else {**environment, **screen.environment}


def _tell(check: Check) -> None:
    counts = ", ".join(f"{number} {word}" for word, number in check.counts.items() if number)
    verdict = "ok    " if check.good else "FAILED"
    print(f"{verdict} {check.seconds:6.1f} s  {check.title}{'  ' + counts if counts else ''}", flush=True)
    if not check.good:
        print(check.output.rstrip() + "\n", flush=True)


def _summary(checks: list[Check], seconds: float) -> int:
    total = {word: sum(check.counts.get(word, 0) for check in checks) for word in ("passed", "failed", "skipped")}
    bad = [check.title for check in checks if not check.good]
    whole = next((check.collected for check in checks if check.title == _COLLECTION), None)
    if whole is not None:
        shared = sum(check.collected for check in checks if check.is_tests)
        print(f"\n{whole} tests are collected in one process, {shared} in the shares")
        if shared != whole:
            bad.append("some tests are in no share, or in two")
    alone = [name for check in checks for name in check.passed_alone]
    if alone:
        print("\nFailed beside other tests, passed alone:\n" + "\n".join(f"  {name}" for name in alone))
    reasons = _skip_reasons(checks)
    if reasons:
        print("\nSkipped:\n" + "\n".join(f"  {number:4d}  {reason}" for reason, number in sorted(reasons.items())))
    print(f"\n{len(checks)} checks in {seconds:.0f} s; " + (f"failed: {', '.join(bad)}" if bad else "all good"))
    if any(check.needs_screen for check in checks) and sys.platform == "linux":
        lacking = system_libraries.missing(tests=True)
        if bad and lacking:
            print(f"Perhaps because these system libraries are missing: {' '.join(lacking)}")
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped", flush=True)
    return 1 if bad else 0


def _skip_reasons(checks: list[Check]) -> dict[str, int]:
    """How often each reason was given, from the lines ``SKIPPED [3] tests/x.py:7: reason``."""
    reasons: dict[str, int] = {}
    for check in checks:
        for number, reason in re.findall(r"^SKIPPED \[(\d+)\] \S+?(?::\d+)?: (.+)$", check.output, flags=re.MULTILINE):
            reasons[reason] = reasons.get(reason, 0) + int(number)
    return reasons
