"""What a job over many slides could not do, and why: the others are done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from microscope_qc.core.errors import InputError, MicroscopeQCError
from microscope_qc.core.wording import count_text, things

NAMED = 3
"""Slides that are named of those with the same reason."""


class NothingToScan(InputError):
    """The mask of a user leaves nothing of a slide."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A slide (or a whole project, where ``slide`` is empty) that was left out, and why."""

    project: Path
    slide: str
    error: MicroscopeQCError

    @property
    def wanted(self) -> bool:
        """Whether it was left out because of a mask of the user."""
        return isinstance(self.error, NothingToScan)

    @property
    def words(self) -> str:
        """``p.mqc, S3: left out. The slide S3 is not at ... any more.``."""
        where = f"{self.project.name}, {self.slide}" if self.slide else self.project.name
        return f"{where}: left out. {self.error}"


def left_out_lines(left_out: Sequence[LeftOut]) -> list[str]:
    """One line for each slide that was left out; slides with the same reason are one line."""
    groups: dict[str, list[LeftOut]] = {}
    for left in left_out:
        groups.setdefault(str(left.error).replace(left.slide or "\0", "…"), []).append(left)
    return [_line(group) for group in groups.values()]


def _line(group: Sequence[LeftOut]) -> str:
    names = [left.slide for left in group]
    if len(names) == 1:
        return f"{names[0]}: {group[0].error}"
    named = ", ".join(names[:NAMED]) + (f" and {count_text(len(names) - NAMED)} more" if len(names) > NAMED else "")
    return f"{things(len(names), 'slide')} ({named}), such as {names[0]}: {group[0].error}"
