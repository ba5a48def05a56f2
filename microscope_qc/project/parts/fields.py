"""What users say about the specimens on slides, and the fields that they added for it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from microscope_qc.core.errors import InputError
from microscope_qc.core.specimen import (
    LONGEST_NAME,
    LONGEST_TEXT,
    STANDARD_FIELDS,
    FieldKind,
    SpecimenField,
    Value,
    field_key,
    find_field,
)
from microscope_qc.core.wording import listed, plural
from microscope_qc.project.deltas import Delta, columns_of
from microscope_qc.project.parts.sequence import RecordPart
from microscope_qc.project.parts.slides import Slides
from microscope_qc.project.store import Store

MOST_CHOICES = 200
_NAMED = 3
"""Fields that the history names; more are only counted."""
_ONE_BY_ONE = 20


class Fields(RecordPart[SpecimenField]):
    """The fields that users added to a project; :attr:`known` are these and the standard ones."""

    table = "fields"
    noun = "field"

    def __init__(self, store: Store, slides: Slides) -> None:
        super().__init__(store, store.memory.fields)
        self._slides = slides

    @property
    def known(self) -> tuple[SpecimenField, ...]:
        """All fields: the standard ones, then those that users added."""
        return (*STANDARD_FIELDS, *self)

    def named(self, name: str) -> SpecimenField:
        """Return a field by its name or title.

        Raises
        ------
        InputError
            When there is none; the message lists the names.
        """
        found = find_field(self.known, name)
        if found is None:
            names = ", ".join(field.name for field in self.known)
            raise InputError(
                f"There is no field {name} in {self._store.name}.",
                hint=f"Its fields are {names}; others can be added.",
            )
        return found

    def of(self, slide_id: int) -> dict[str, Value]:
        """Return what is said about a slide's specimen, by the name of the field."""
        return dict(self._slides.by_id(slide_id).fields)

    def values(self, name: str) -> dict[int, Value]:
        """Return the value of a field on each slide that has one, by slide id."""
        field = self.named(name)
        return {slide.id: slide.fields[field.name] for slide in self._slides if field.name in slide.fields}

    # -- fields of one's own ----------------------------------------------------------------------------------------

    def add(
        self, name: str, kind: FieldKind | str = FieldKind.TEXT, *, unit: str = "", choices: Iterable[str] = ()
    ) -> SpecimenField:
        """Add a field (undoable).

        Raises
        ------
        InputError
            When the name is empty or taken, or a choice has nothing to choose from.
        """
        self._store.require_writable()
        (field,) = self._new([SpecimenField(name, name, _kind(kind), unit, tuple(choices))])
        self._store.commit(f"Add field {field.name}", [Delta.inserted("fields", [_row_of(field)])])
        return self.by_id(field.id)

    def edit(self, field_id: int, *, name: str | None = None, choices: Iterable[str] | None = None) -> SpecimenField:
        """Rename an added field, which keeps its values, or change what can be chosen (one step of undo).

        Raises
        ------
        InputError
            When the name is taken, or slides have a choice that would be gone.
        """
        self._store.require_writable()
        row, before = self._row(field_id), self.by_id(field_id)
        wanted = replace(
            before,
            name=before.name if name is None else name,
            choices=before.choices if choices is None else tuple(choices),
        )
        after = _checked(wanted, [field for field in self.known if field.id != field_id])
        gone = set(self.values(before.name).values()) - set(after.choices)
        if after.kind is FieldKind.CHOICE and gone:
            raise InputError(
                f"{listed(sorted(map(str, gone)))} is still chosen on a slide.", hint="Change it there first."
            )
        new = _row_of(after)
        changes = {key: value for key, value in new.items() if row[key] != value}
        deltas = [Delta.edited("fields", row, changes)] if changes else []
        if after.name != before.name:
            moved = {n: {before.name: None, after.name: value} for n, value in self.values(before.name).items()}
            deltas += self._changed(moved)[0]
            title = f"Rename field {before.name} to {after.name}"
        else:
            title = f"Choices of field {before.name}"
        self._store.commit(title, deltas)
        return self.by_id(field_id)

    def remove(self, field_id: int) -> None:
        """Remove an added field with its values (one step of undo)."""
        self._store.require_writable()
        row, field = self._row(field_id), self.by_id(field_id)
        deltas, slides = self._changed({number: {field.name: None} for number in self.values(field.name)})
        values = f" with its values on {len(slides)} {plural(len(slides), 'slide')}" if slides else ""
        self._store.commit(f"Remove field {field.name}{values}", [*deltas, Delta.deleted("fields", [row])])

    # -- values -----------------------------------------------------------------------------------------------------

    def set(
        self,
        values_of: Mapping[int, Mapping[str, object]],
        *,
        new: Sequence[SpecimenField] = (),
        title: str = "",
    ) -> None:
        """Set fields of slides, as one step of undo.

        Parameters
        ----------
        values_of
            For each slide id, values by the name of the field, as :meth:`SpecimenField.parse` takes them; None or ""
            removes a value. Fields that are not named stay as they are.
        new
            Fields that are added with it.
        title
            Of the step in the history.

        Raises
        ------
        InputError
            When a slide or field does not exist, or a value is none of the field's.
        """
        self._store.require_writable()
        made = self._new(new)
        known = (*self.known, *made)
        field_of: dict[str, SpecimenField] = {}
        parsed: dict[int, dict[str, Value | None]] = {}
        for slide_id, values in values_of.items():
            self._slides.by_id(slide_id)
            wanted = parsed[slide_id] = {}
            for name, value in values.items():
                field = field_of.get(name)
                if field is None:
                    field = field_of[name] = find_field(known, name) or self.named(name)
                wanted[field.name] = field.parse(value)
        deltas, slide_ids = self._changed(parsed)
        names = [_word(field) for field in known if self._differs(field.name, parsed)]
        self._store.commit(
            title or self._title(names, slide_ids),
            [Delta.inserted("fields", [_row_of(field) for field in made]), *deltas],
            slide_id=slide_ids[0] if len(slide_ids) == 1 else None,
        )

    def _differs(self, name: str, values_of: Mapping[int, Mapping[str, Value | None]]) -> bool:
        return any(
            name in values and self._slides.by_id(number).fields.get(name) != values[name]
            for number, values in values_of.items()
        )

    def _title(self, names: Sequence[str], slide_ids: Sequence[int]) -> str:
        what = listed(names) if len(names) <= _NAMED else f"{len(names)} fields"
        if len(slide_ids) == 1:
            return f"Set {what} of {self._slides.by_id(slide_ids[0]).name}"
        return f"Set {what} of {len(slide_ids)} slides"

    def _changed(self, values_of: Mapping[int, Mapping[str, Value | None]]) -> tuple[list[Delta], list[int]]:
        """Deltas of the slides that get other values, and the ids of these slides."""
        texts: dict[int, str] = {}
        for slide_id, values in values_of.items():
            before = self._slides.by_id(slide_id).fields
            after = {name: value for name, value in {**before, **values}.items() if value is not None}
            if after != before:
                texts[slide_id] = json.dumps(after, ensure_ascii=False, allow_nan=False, sort_keys=True)
        if not texts:
            return [], []
        if len(texts) > _ONE_BY_ONE:
            stored = {row["id"]: row["fields"] for row in self._store.rows("slides")}
        else:
            stored = {number: self._store.row("slides", number, what="slide")["fields"] for number in texts}
        old = columns_of([{"id": number, "fields": stored[number]} for number in texts])
        new = columns_of([{"id": number, "fields": text} for number, text in texts.items()])
        return [Delta("slides", old, new)], list(texts)

    def _new(self, wanted: Sequence[SpecimenField]) -> list[SpecimenField]:
        made: list[SpecimenField] = []
        for field in wanted:
            number = self._store.next_id("fields") + len(made)
            made.append(replace(_checked(field, [*self.known, *made]), id=number))
        return made


def _kind(kind: FieldKind | str) -> FieldKind:
    try:
        return FieldKind(kind)
    except ValueError as error:
        kinds = ", ".join(FieldKind)
        raise InputError(f"There is no kind of field “{kind}”.", hint=f"Choose {kinds}.") from error


def _checked(field: SpecimenField, others: Iterable[SpecimenField]) -> SpecimenField:
    name, unit = (" ".join(str(text).split()) for text in (field.name, field.unit))
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or set(name) & set("{}*="):
        raise InputError(
            f"A field cannot be called “{name[:60]}”.",
            hint=f"Give it a name of at most {LONGEST_NAME} characters, without {{ }} * =.",
        )
    key = field_key(name)
    for other in others:
        if key in map(field_key, (other.name, other.title or other.name, *other.also)):
            raise InputError(f"There is a field {other.title or other.name} already.", hint="Choose another name.")
    if unit and (field.kind is not FieldKind.NUMBER or len(unit) > 30 or not unit.isprintable()):
        raise InputError(
            f"“{unit[:60]}” cannot be the unit of {name}.", hint="Numbers have units, up to 30 characters."
        )
    choices = tuple(dict.fromkeys(" ".join(str(choice).split()) for choice in field.choices))
    choices = tuple(choice for choice in choices if choice)
    if (field.kind is FieldKind.CHOICE) != bool(choices):
        raise InputError(
            f"The field {name} is {'a choice, but has nothing to choose from' if not choices else 'no choice'}.",
            hint="Name what can be chosen." if not choices else "Make it a choice, or leave the words out.",
        )
    if len(choices) > MOST_CHOICES or any(len(c) > LONGEST_TEXT or not c.isprintable() for c in choices):
        raise InputError(f"{name} has too many or too long choices.", hint=f"There can be {MOST_CHOICES} of one line.")
    return SpecimenField(name, name, field.kind, unit, choices, id=field.id)


def _word(field: SpecimenField) -> str:
    """Name of a field within a sentence: Br and what users named stay as they are written."""
    return field.title.lower() if field.section in ("Specimen", "Picture") else field.title


def _row_of(field: SpecimenField) -> dict[str, Any]:
    return {
        "id": field.id, "name": field.name, "kind": field.kind.value, "unit": field.unit,
        "choices": json.dumps(field.choices, ensure_ascii=False),
    }  # fmt: skip
