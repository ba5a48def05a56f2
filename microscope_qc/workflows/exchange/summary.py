"""What an import did or would do, and what keeps it from being done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.wording import things
from microscope_qc.project import Project


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What was imported, or would be in a dry run.

    ``slides`` counts boxes by slide name, ``classes`` by class name in the file (also those the map leaves out),
    ``mapped`` gives the class code of each of them ("" is left out), ``skipped`` counts boxes that cannot be used by
    reason, ``unmatched`` names pictures that belong to no slide with the reason. ``noted`` counts what was read
    otherwise than it is written, ``places`` says where that and the skipped boxes are, ``files_left_out`` what is wrong
    with files of the folder. ``asked`` holds the slides that a picture may be and ``without_class`` counts boxes that
    have no class in the file and were given none, where the user must decide; nothing is imported before.
    In ``classes`` and ``mapped`` the class "" stands for none. ``duplicates`` counts boxes that
    coincide with one of the same class in the project or earlier in the file; they are imported too unless that was
    declined. ``outlines`` and ``attributes`` count boxes that have some, ``unclear_turn`` those on turned slides of
    which nothing tells whether they were marked before or after the turn.
    """

    format: str
    boxes: int
    slides: dict[str, int]
    new_classes: tuple[str, ...]
    skipped: dict[str, int]
    unmatched: dict[str, str]
    dry_run: bool
    box_ids: tuple[int, ...] = field(default=(), repr=False)
    classes: dict[str, int] = field(default_factory=dict)
    mapped: dict[str, str] = field(default_factory=dict)
    without_class: int = 0
    noted: dict[str, int] = field(default_factory=dict)
    places: dict[str, tuple[str, ...]] = field(default_factory=dict)
    files_left_out: dict[str, str] = field(default_factory=dict)
    duplicates: int = 0
    outlines: int = 0
    attributes: int = 0
    asked: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unclear_turn: int = 0


def nothing_matches(path: Path, unmatched: dict[str, str], project: Project) -> ExchangeError:
    """Say that no picture of a file is a slide of the project."""
    name, reason = next(iter(unmatched.items()))
    slides = ", ".join(record.name for record in project.slides[:8]) or "none yet"
    further = f" and {len(project.slides) - 8} more" if len(project.slides) > 8 else ""
    several = f" and {len(unmatched) - 1} more" if len(unmatched) > 1 else ""
    return ExchangeError(
        f"No picture of {path.name} belongs to a slide of {project.name}: {name}{several} ({reason}).",
        hint=f"The slides are: {slides}{further}. If the file belongs to one, choose it (--slide on the command line).",
    )


def require_clear(summary: ImportSummary) -> None:
    """Refuse an import about which the user must decide something first.

    Raises
    ------
    ExchangeError
        With what is to be decided, and how.
    """
    if summary.asked:
        raise _not_clear(summary.asked)
    if summary.without_class:
        raise ExchangeError(
            f"{things(summary.without_class, 'box of the file has', 'boxes of the file have')} no class.",
            hint="Choose one, or leave them out (--class CODE or --class = on the command line).",
        )


def _not_clear(asked: Mapping[str, tuple[str, ...]]) -> ExchangeError:
    picture, slides = next(iter(asked.items()))
    also = [name for name, others in asked.items() if name != picture and set(others) & set(slides)]
    if len(slides) > 1:
        words = f"The picture {picture} may be any of the slides {', '.join(slides[:8])}."
    else:
        words = f"The slide {slides[0]} may be any of the pictures {', '.join([picture, *also][:8])}."
    return ExchangeError(
        words,
        hint=f"Choose the slide of each picture, or none (on the command line --picture {picture}=NAME or "
        f"--picture {picture}= for each, or --slide NAME for all).",
    )
