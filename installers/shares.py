"""Which test files run in one process: shares of about the same measured time, so that the cores finish together."""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from environment import ROOT, SetupError

MEASURED = ROOT / "installers" / "test_seconds.json"

_MARK = re.compile(r"mark\.(window|story)\b")
# What each process costs once: it imports torch, or Qt and napari. Longer shares would leave a core idle at the end,
# shorter ones would mostly import.
_START_S = 6.0
_SHARE_S = 25 * _START_S
_PLAIN = "tests without windows"
_BYTES_PER_S = 2000.0  # of a file that was not measured, where none was


@dataclass(frozen=True)
class Share:
    """Test files of one process.

    ``seconds`` is the expected time. A share without windows needs neither a screen nor Qt.
    """

    title: str
    files: tuple[str, ...]
    seconds: float
    windows: bool = False


def test_files(chosen: Iterable[str] = ()) -> list[Path]:
    """Return the test files chosen, all of them when none is.

    Raises
    ------
    SetupError
        When one of them is not a test file.
    """
    files = [Path(file).resolve() for file in chosen]
    for file in files:
        if not file.is_relative_to(ROOT / "tests") or not file.is_file():
            raise SetupError(f"{file} is not a test file of this project.")
    return files or sorted((ROOT / "tests").rglob("test_*.py"))


def marks_of(file: Path) -> set[str]:
    """Return which of the marks ``window`` and ``story`` a test file has, itself or through a conftest.py above it."""
    folders = [folder for folder in file.parents if folder.is_relative_to(ROOT / "tests")]
    conftests = [folder / "conftest.py" for folder in folders]
    texts = [path.read_text(encoding="utf-8") for path in (file, *conftests) if path.is_file()]
    return {mark for text in texts for mark in _MARK.findall(text)}


def cut(files: Sequence[Path], measured: Mapping[str, float]) -> list[Share]:
    """Cut test files into shares, the longest first.

    Files without windows go together, and those with windows of one conftest.py, whose fixtures they share; a story
    starts the program itself and goes alone.
    """
    seconds = expected_seconds(files, measured)
    groups: dict[tuple[str, bool], list[str]] = {}
    for file in files:
        marks, name = marks_of(file), name_of(file)
        title = name if "story" in marks else name_of(_conftest(file).parent) if marks else _PLAIN
        groups.setdefault((title, bool(marks)), []).append(name)
    shares = [
        Share(f"{title}{f' {number}' if len(parts) > 1 else ''}", tuple(part), _sum(part, seconds), windows)
        for (title, windows), names in groups.items()
        for parts in [_even(names, seconds)]
        for number, part in enumerate(parts, 1)
    ]
    return sorted(shares, key=lambda share: -share.seconds)


def _conftest(file: Path) -> Path:
    """The nearest conftest.py above a test file."""
    paths = (folder / "conftest.py" for folder in file.parents)
    return next(path for path in paths if path.is_file() or path.parent == ROOT / "tests")


def _even(names: Sequence[str], seconds: Mapping[str, float]) -> list[list[str]]:
    """Parts of about the same time: the longest file first, each to the part that has least so far."""
    count = min(len(names), math.ceil(max(1.0, _sum(names, seconds)) / _SHARE_S))
    parts: list[list[str]] = [[] for _ in range(count)]
    for name in sorted(names, key=lambda name: (-seconds[name], name)):
        min(parts, key=lambda part: _sum(part, seconds)).append(name)
    return [sorted(part) for part in parts if part]


def _sum(names: Iterable[str], seconds: Mapping[str, float]) -> float:
    return sum(seconds[name] for name in names)


def expected_seconds(files: Sequence[Path], measured: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds of each file by its name: measured, else by its size at the rate of the measured ones."""
    sizes = {name_of(file): file.stat().st_size for file in files}
    known = [name for name in sizes if name in measured]
    taken = sum(measured[name] for name in known)
    rate = taken / max(1, sum(sizes[name] for name in known)) if taken else 1 / _BYTES_PER_S
    return {name: measured.get(name, size * rate) for name, size in sizes.items()}


def name_of(file: Path) -> str:
    """Return the path of a file from the root, with "/" on every system."""
    return file.relative_to(ROOT).as_posix()


def read_measured(path: Path = MEASURED) -> dict[str, float]:
    """Return the seconds of each test file when it was last measured; nothing when none was."""
    try:
        return {str(name): float(seconds) for name, seconds in json.loads(path.read_text(encoding="utf-8")).items()}
    except FileNotFoundError:
        return {}


def write_measured(reports: Iterable[Path], path: Path = MEASURED) -> None:
    """Keep what pytest's reports (JUnit XML) say of each file; files that are gone are forgotten."""
    fresh: Counter[str] = Counter()
    for report in reports:
        for case in ET.parse(report).iter("testcase"):
            name = _file_of(case.get("classname", ""))
            if name is not None:
                fresh[name] += float(case.get("time", 0))
    kept = {name: seconds for name, seconds in read_measured(path).items() if (ROOT / name).is_file()}
    rounded = {name: round(seconds) for name, seconds in {**kept, **fresh}.items()}
    path.write_text(json.dumps(rounded, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _file_of(place: str) -> str | None:
    """The test file of a test's place, "tests.core.test_a.TestB" -> "tests/core/test_a.py"."""
    words = place.split(".")
    names = ("/".join(words[:count]) + ".py" for count in range(len(words), 0, -1))
    return next((name for name in names if (ROOT / name).is_file()), None)
