"""What users fixed to hold numbers against: profiles of severity, limits of control charts, events on them, rules
from composition to class, inspections, and second reviews."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from microscope_qc.core.errors import InputError
from microscope_qc.project.deltas import Delta
from microscope_qc.project.owner import now, user_name
from microscope_qc.project.parts.sequence import RecordPart
from microscope_qc.project.records import Standard
from microscope_qc.project.store import Store

SEVERITY, CHART, EVENT, RULES, INSPECTION = "severity", "control chart", "event", "edx rules", "inspection"
SECOND_REVIEW, SECOND_VERDICTS = "second review", "verdicts of a second review"
_WORDS = {
    SEVERITY: "profile of severity",
    CHART: "limits of the control chart",
    EVENT: "event",
    RULES: "rules from composition to class",
    INSPECTION: "inspection",
    SECOND_REVIEW: "second review",
    SECOND_VERDICTS: "verdicts of the second review",
}
LONGEST = 1_000_000


class Standards(RecordPart[Standard]):
    """The standards of a project, oldest first; each is kept, replaced and removed in one undoable step."""

    table = "standards"
    noun = "standard"

    def __init__(self, store: Store) -> None:
        super().__init__(store, store.memory.standards)

    def of(self, kind: str) -> list[Standard]:
        """Return those of a kind, oldest first."""
        return [known for known in self if known.kind == kind]

    def named(self, kind: str, name: str) -> Standard | None:
        """Return the one of a kind that is called so; None where there is none."""
        return next((known for known in self.of(kind) if known.name == name), None)

    def keep(self, kind: str, name: str, data: Mapping[str, Any], *, words: str = "") -> Standard:
        """Keep a standard in place of the one of this kind and name, with who keeps it and when.

        Parameters
        ----------
        words
            What the history calls it; "" takes the name.

        Raises
        ------
        InputError
            When it cannot be stored.
        """
        title = f"Keep the {_WORDS[kind]}" + (f" “{words or name}”" if name else "")
        return self.keep_all(kind, {name: data}, title)[0]

    def keep_all(self, kind: str, data: Mapping[str, Mapping[str, Any]], title: str) -> list[Standard]:
        """Keep standards of a kind by their names, as :meth:`keep` does, in one step that the history calls ``title``.

        Raises
        ------
        InputError
            When one of them cannot be stored; none is then.
        """
        self._store.require_writable()
        texts = {name: _text(kind, one) for name, one in data.items()}
        known = {one.name: one.id for one in self.of(kind)}
        new = [name for name in texts if name not in known]
        known |= {name: number for number, name in enumerate(new, self._store.next_id("standards"))}
        rows = {
            name: {"kind": kind, "name": name, "data": text, "user": user_name(), "kept": now()}
            for name, text in texts.items()
        }
        deltas = [Delta.edited("standards", self._row(known[name]), rows[name]) for name in texts if name not in new]
        if new:
            deltas.append(Delta.inserted("standards", [{"id": known[name], **rows[name]} for name in new]))
        self._store.commit(title, deltas)
        return [self.by_id(known[name]) for name in texts]

    def remove(self, number: int, *others: int, words: str = "") -> None:
        """Remove a standard, and others that belong to it, in one undoable step.

        ``words`` is what the history calls it, "" takes the name.
        """
        self._store.require_writable()
        known = self.by_id(number)
        title = f"Remove the {_WORDS.get(known.kind, known.kind)}" + (f" “{words or known.name}”" if known.name else "")
        self._store.commit(title, [Delta.deleted("standards", [self._row(one) for one in (number, *others)])])


def _text(kind: str, data: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(dict(data), allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise InputError(f"The {_WORDS[kind]} cannot be stored ({error}).") from error
    if len(text) > LONGEST:
        raise InputError(f"The {_WORDS[kind]} is too long.")
    return text
