"""The README's table of formats, statistics and networks says what the registries hold."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from microscope_qc.analysis.registry import STATISTICS
from microscope_qc.core.plugins import Registry
from microscope_qc.correlation.registry import STAGE_FORMATS
from microscope_qc.exchange.registry import FORMATS
from microscope_qc.ml.architectures.base import ARCHITECTURES
from microscope_qc.ml.tasks.kinds import TASKS
from microscope_qc.slides.registry import READERS
from microscope_qc.workflows.exports import EXPORTS

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- what the registries hold -->", "<!-- end of it -->"


def own(registry: Registry) -> list:
    """What is built in."""
    return [thing for name, thing in registry.items() if not registry.package_of(name)]


def titles(registry: Registry) -> list[str]:
    """Titles of what is built in."""
    return [thing.title for thing in own(registry)]


def networks() -> Iterable[str]:
    """Titles of networks and what they are called, by task."""
    for task in own(TASKS):
        of_task = [kind for kind in own(ARCHITECTURES) if kind.task == task.name]
        yield f"{task.title}: {'; '.join(f'{kind.title} (`{kind.name}`)' for kind in of_task)}"


def table() -> str:
    """The table as it must stand in the README."""
    slides = dict.fromkeys(name for reader in own(READERS) for name in reader.saved_as)
    rows = {
        "Slides": ", ".join(slides),
        "Annotations, in and out": ", ".join(titles(FORMATS)),
        "Stage positions": ", ".join(titles(STAGE_FORMATS)),
        "Other exports": ", ".join(titles(EXPORTS)),
        "Statistics, beside counts and densities": ", ".join(titles(STATISTICS)),
        "Tasks and networks": "<br>".join(networks()),
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {head} | {text} |" for head, text in rows.items())])


def test_the_readme_lists_what_the_registries_hold():
    text = README.read_text(encoding="utf-8")
    found = re.search(f"{re.escape(BEGIN)}\n(.*?)\n{re.escape(END)}", text, re.DOTALL)
    assert found, "the README has no marked table"
    assert found[1] == table()
