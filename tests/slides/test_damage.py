"""The damaged-file campaign: slides of every kind, damaged in every way, read in child processes.

None may crash, hang, raise an error that is not ours or, where the format has a checksum of the damaged part, silently
show other pixels. ``python tests/slides/test_damage.py [COUNT] [SEED]`` prints the table.
"""

from __future__ import annotations

import collections
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from damage_sources import SOURCES, make_sources
from damages import KINDS, STRUCTURE, is_for

CHILD = Path(__file__).with_name("damage_child.py")
SECONDS_PER_CASE = 30.0
FINE = ("refused at opening", "refused at reading", "same pixels", "changed, no checksum")
BAD = ("WRONG SILENT", "FOREIGN", "CRASH", "HANG")


def make_cases(count: int, seed: int, kinds: Sequence[str] = KINDS) -> list[dict]:
    """Every format with every damage in turn, shuffled."""
    dice = random.Random(seed)
    pairs = [(name, kind) for name in SOURCES for kind in kinds if is_for(name, kind)]
    cases: list[dict] = []
    while len(cases) < count:
        dice.shuffle(pairs)
        cases += [
            {"id": len(cases) + i, "format": name, "damage": kind, "seed": dice.randrange(2**31)}
            for i, (name, kind) in enumerate(pairs[: count - len(cases)])
        ]
    return cases


def run_cases(cases: list[dict], sources: Path) -> dict[int, tuple[str, str]]:
    """Outcome and detail of every case; when a child dies, another one runs the rest."""
    found: dict[int, tuple[str, str]] = {}
    left = list(cases)
    while left:
        command = [sys.executable, str(CHILD), str(sources), str(SECONDS_PER_CASE)]
        child = subprocess.run(command, input=json.dumps(left), capture_output=True, text=True, check=False)
        started = -1
        for line in child.stdout.splitlines():
            word, _, rest = line.partition(" ")
            if word == "start":
                started = int(rest)
            elif word == "end":
                number, _, result = rest.partition(" ")
                found[int(number)] = tuple(json.loads(result))
        if child.returncode != 0 or len(found) < len(cases):
            assert started >= 0, f"the child never started\n{child.stderr[-3000:]}"
        if started not in found:
            hung = "Timeout" in child.stderr
            found[started] = ("HANG" if hung else "CRASH", f"exit {child.returncode}: {child.stderr[-1500:]}")
        left = [case for case in left if case["id"] not in found]
    return found


def campaign(count: int, seed: int, kinds: Sequence[str] = KINDS) -> tuple[list[dict], dict[int, tuple[str, str]]]:
    """Make the slides and run the cases."""
    with tempfile.TemporaryDirectory() as name:
        make_sources(Path(name))
        cases = make_cases(count, seed, kinds)
        return cases, run_cases(cases, Path(name))


def table(cases: list[dict], found: dict[int, tuple[str, str]], column: str) -> str:
    """Counts of the outcomes by format or by damage."""
    counts: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    for case in cases:
        counts[case[column]][found[case["id"]][0]] += 1
    words = (*FINE, *BAD)
    lines = [f"{column:<22}" + "".join(f"{word:>22}" for word in words)]
    for name, row in sorted(counts.items()):
        lines.append(f"{name:<22}" + "".join(f"{row[word]:>22}" for word in words))
    total = sum(counts.values(), collections.Counter())
    lines.append(f"{'all':<22}" + "".join(f"{total[word]:>22}" for word in words))
    return "\n".join(lines)


def complaints(cases: list[dict], found: dict[int, tuple[str, str]]) -> list[str]:
    """The cases with an outcome that must not happen."""
    return [f"{case} -> {found[case['id']]}" for case in cases if found[case["id"]][0] in BAD]


def check(count: int, seed: int, kinds: Sequence[str] = KINDS) -> None:
    """Run a campaign, print its tables, and fail on anything bad."""
    cases, found = campaign(count, seed, kinds)
    print(table(cases, found, "format"), "", table(cases, found, "damage"), sep="\n")
    wrong = complaints(cases, found)
    assert not wrong, "\n".join(wrong)
    assert len(found) == count
    outcomes = {result for result, _ in found.values()}
    assert {"refused at opening", "same pixels"} <= outcomes


@pytest.mark.timeout(900)
def test_a_hundred_damaged_files() -> None:
    check(100, 1)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_thousand_damaged_files() -> None:
    check(1000, 2)


@pytest.mark.timeout(900)
def test_odd_structures() -> None:
    check(150, 3, [STRUCTURE])


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_four_thousand_odd_structures() -> None:
    check(4000, 4, [STRUCTURE])


def test_bad_outcomes_are_reported() -> None:
    cases = make_cases(4, 0)
    found = {i: (word, "") for i, word in enumerate(("CRASH", "same pixels", "WRONG SILENT", "HANG"))}
    assert [line.split("->")[1] for line in complaints(cases, found)] == [
        " ('CRASH', '')",
        " ('WRONG SILENT', '')",
        " ('HANG', '')",
    ]
    assert "all" in table(cases, found, "format")


if __name__ == "__main__":
    chosen, seen = campaign(
        int(sys.argv[1]) if len(sys.argv) > 1 else 100, int(sys.argv[2]) if len(sys.argv) > 2 else 1
    )
    print(table(chosen, seen, "format"), "", table(chosen, seen, "damage"), "", *complaints(chosen, seen), sep="\n")
