"""What became of files that were to be added, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from microscope_qc.core.wording import count_text, listed, things
from microscope_qc.workflows.intake.adding import IntakePlan
from microscope_qc.workflows.intake.finding import LeftOutFile, Reason

NAMED = 5
"""So many files of a reason are named."""

_PROBLEMS = {
    Reason.UNREADABLE: "files that cannot be read",
    Reason.CHANGED: "files that have changed since they were added",
}


def intake_words(added: int, plan: IntakePlan, *, again: bool = False) -> str:
    """``398 slides added. Left out: 83 masks, 12 label files.``"""
    same = 0 if again else len(plan.same)
    if not added and plan.there and not same:
        first = "They are in the project already."
    elif plan.there:
        first = f"{things(added, 'slide')} added, {count_text(plan.there)} in the project already."
    else:
        first = f"{things(added, 'slide')} added."
    counts = Counter(left.reason for left in plan.left_out)
    counts[Reason.SAME] += same
    left = [things(counts[reason], reason.value, _PROBLEMS.get(reason, "")) for reason in Reason if counts[reason]]
    return f"{first} Left out: {', '.join(left)}." if left else first


def problem_lines(plan: IntakePlan) -> Iterator[str]:
    """What is wrong with files that a user may have wanted."""
    for reason, many in _PROBLEMS.items():
        files = [left for left in plan.left_out if left.reason == reason]
        yield from (left.words for left in files[:NAMED])
        if len(files) > NAMED:
            yield f"{count_text(len(files) - NAMED)} more {many}."


def scale_lines(plan: IntakePlan) -> Iterator[str]:
    """What is doubtful about the pixel sizes of slides that are added."""
    doubtful = [scene for scenes in plan.files for scene in scenes if scene.scale_note]
    yield from (f"{scene.path.name}: {scene.scale_note}." for scene in doubtful[:NAMED])
    if len(doubtful) > NAMED:
        yield f"The pixel sizes of {things(len(doubtful) - NAMED, 'more slide')} are doubtful, too."


def skipped_lines(plan: IntakePlan) -> Iterator[str]:
    """One line for each other reason, with the names of some of its files."""
    for reason in Reason:
        files = [left for left in plan.left_out if left.reason == reason]
        if files and reason not in _PROBLEMS:
            yield f"{things(len(files), reason.value)}: {_names(files)}."


def same_words(plan: IntakePlan) -> str:
    """Which pictures are the same as others, by name."""
    words = " ".join(same.words for same in plan.same[:NAMED])
    more = len(plan.same) - NAMED
    return f"{words} {count_text(more)} more are the same as others." if more > 0 else words


def _names(files: Sequence[LeftOutFile]) -> str:
    names = [left.path.name for left in files[:NAMED]]
    more = len(files) - NAMED
    return ", ".join(names) + f" and {count_text(more)} more" if more > 0 else listed(names)
