"""The class of each label of a run, worked out for projects that did not store it yet.

The run's plan holds codes of classes as they were when it began. Classes may have been renamed, merged and deleted
since; the history says how.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import Connection

from microscope_qc.core.errors import ProjectError
from microscope_qc.project.deltas import Delta, unpack

_STEPS = (
    "SELECT id, title, changes FROM log WHERE kind IN ('command', 'kept') AND undone = 0 AND changes IS NOT NULL"
    " AND (title LIKE 'Rename class %' OR title LIKE 'Delete class %' OR title LIKE 'Merge %') ORDER BY id DESC"
)
"""Steps that changed which class a code means, newest first."""
_MERGED = re.compile(r"Merge .* into (.+?)(?: \(\d+ boxes\))?$")


def classes_of_old_runs(connection: Connection) -> Iterator[tuple[int, int, int, int]]:
    """Return run, slide, label and class for every label whose class is still there."""
    classes = _Classes({int(row[0]): str(row[1]) for row in connection.exec_driver_sql("SELECT id, code FROM classes")})
    sql = "SELECT run_id, min(id) FROM log WHERE kind = 'run' GROUP BY run_id"
    began = {row[0]: int(row[1]) for row in connection.exec_driver_sql(sql)}
    steps = _steps(connection)
    step = next(steps, None)
    runs = connection.exec_driver_sql("SELECT id, slide_id, card FROM runs ORDER BY id DESC").all()
    found = []
    for run_id, slide_id, card in runs:
        while step is not None and step[0] > began.get(run_id, 0):
            classes.take_back(*step[1:])
            step = next(steps, None)
        for label, code in enumerate(_codes(card)):
            class_id = classes.now(code)
            if class_id is not None:
                found.append((run_id, slide_id, label, class_id))
    yield from reversed(found)


@dataclass(slots=True)
class _Classes:
    """The classes as they were at some time, and what became of them."""

    codes: dict[int, str]
    became: dict[int, int | None] = field(default_factory=dict)

    def take_back(self, title: str, deltas: list[Delta]) -> None:
        """Go back to the state before a step."""
        for delta in deltas:
            if delta.table != "classes" or "code" not in delta.before:
                continue
            for number, code in zip(delta.before["id"].tolist(), delta.before["code"].tolist(), strict=True):
                if number not in delta.after["id"]:
                    target = _moved_to(number, deltas) or self._named(_MERGED.match(title))
                    self.became[number] = None if target is None else self._is_now(target)
                self.codes[number] = code

    def now(self, code: str) -> int | None:
        """Return today's class of a code of that time; None where it no longer exists."""
        # a class made later may have a code that another one had then: the older one is meant
        known = next((number for number in sorted(self.codes) if self.codes[number] == code), None)
        return None if known is None else self._is_now(known)

    def _named(self, merged: re.Match[str] | None) -> int | None:
        """The class that others were merged into, where no box of theirs shows it."""
        return None if merged is None else next((n for n, code in self.codes.items() if code == merged[1]), None)

    def _is_now(self, number: int) -> int | None:
        return self.became.get(number, number)


def _moved_to(class_id: int, deltas: list[Delta]) -> int | None:
    """The class that the boxes of a deleted one got; None where they were deleted too, or there were none."""
    targets: Counter[int] = Counter()
    for delta in deltas:
        if delta.table == "boxes" and "class_id" in delta.after and "class_id" in delta.before:
            before = dict(zip(delta.before["id"].tolist(), delta.before["class_id"].tolist(), strict=True))
            after = zip(delta.after["id"].tolist(), delta.after["class_id"].tolist(), strict=True)
            targets.update(to for box, to in after if before.get(box) == class_id)
    return targets.most_common(1)[0][0] if targets else None


def _steps(connection: Connection) -> Iterator[tuple[int, str, list[Delta]]]:
    for number, title, payload in connection.exec_driver_sql(_STEPS).all():
        try:
            yield number, title, unpack(payload)
        except ProjectError:  # it cannot be undone either
            continue


def _codes(card: str) -> list[str]:
    try:
        codes = json.loads(card)["classes"]
        return [str(code) for code in codes]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
