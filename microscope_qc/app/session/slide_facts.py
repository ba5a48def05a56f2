"""What a filter must know of the findings of many slides, as few times as possible. No Qt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from microscope_qc.core.box_facts import BoxFacts
from microscope_qc.core.box_filter import BoxFilter
from microscope_qc.core.errors import InputError
from microscope_qc.core.finding_texts import folded
from microscope_qc.core.query import QueryError
from microscope_qc.core.search import read_search

if TYPE_CHECKING:
    from collections.abc import Hashable

    from microscope_qc.project import Project


def facts_of(
    project: Project, slide_ids: Iterable[int], box_filter: BoxFilter
) -> Iterator[tuple[BoxFacts, tuple[int, ...]]]:
    """Slides that are alike to a filter, and the facts about all their findings; slides that were removed are left out.

    To most filters all slides with one pixel size are alike. A search tells them apart by the words that stand in their
    names; one with conditions looks at each slide by itself, as does one for what some runs found.
    """
    alike: dict[Hashable, tuple[BoxFacts, list[int], dict[int, str]]] = {}
    words, slide_ids = _words(project, box_filter.text), list(slide_ids)
    project.boxes.read_facts(slide_ids)
    for slide_id in slide_ids:
        try:
            facts = project.boxes.facts(slide_id)
        except InputError:
            continue
        key: Hashable = slide_id
        if words is not None and box_filter.found_by is None:
            name = folded(facts.slide) if words else ""
            size = facts.pixel_size_um if box_filter.size_um is not None else None
            key = size, frozenset(word for word in words if word in name)
        _, members, texts = alike.setdefault(key, (facts, [], {}))
        members.append(slide_id)
        texts.update(facts.attributes)
    for facts, members, texts in alike.values():
        yield replace(facts, attributes=texts), tuple(members)


def _words(project: Project, text: str) -> tuple[str, ...] | None:
    """Words that a search looks for; None where it has conditions, which may name slides and sizes."""
    if not text:
        return ()
    try:
        search = read_search(text, project.filters.known())
    except QueryError:  # finds nothing, whatever the slide
        return ()
    return None if search.terms else search.words
