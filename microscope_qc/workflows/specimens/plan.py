"""What is to be taken over into the fields of slides: shown first, then made as one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from microscope_qc.core.specimen import SpecimenField, Value
from microscope_qc.project import Project
from microscope_qc.project.records import SlideRecord


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A value that a field of a slide gets; None is no value."""

    slide_id: int
    slide: str
    field: SpecimenField
    before: Value | None
    after: Value | None


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """Changes of fields, and what cannot be taken over.

    Attributes
    ----------
    changes
        By slide and field; values that slides have already are not among them.
    new
        Fields that the project lacks and gets with them.
    problems
        A sentence for everything that is left out.
    slides
        Number of slides that something was said about, also where it is there already.
    """

    changes: tuple[FieldChange, ...]
    new: tuple[SpecimenField, ...] = ()
    problems: tuple[str, ...] = ()
    slides: int = 0

    @property
    def slide_count(self) -> int:
        """Number of slides that change."""
        return len({change.slide_id for change in self.changes})


@dataclass(frozen=True, slots=True)
class SlidesAndFields:
    """Slides and fields of a project as they are now, so that another thread may make a plan for them."""

    slides: tuple[SlideRecord, ...]
    fields: tuple[SpecimenField, ...]

    @classmethod
    def of(cls, source: Project | SlidesAndFields) -> SlidesAndFields:
        """Take them from a project."""
        return source if isinstance(source, SlidesAndFields) else cls(tuple(source.slides), source.fields.known)


def changes_of(slide: SlideRecord, values: Mapping[SpecimenField, Value | None]) -> list[FieldChange]:
    """Return what would change on a slide."""
    return [
        FieldChange(slide.id, slide.name, field, slide.fields.get(field.name), after)
        for field, after in values.items()
        if slide.fields.get(field.name) != after
    ]


def take_over(project: Project, plan: FieldPlan, *, title: str = "") -> None:
    """Make the changes of a plan, and the new fields that they need, as one step of undo.

    Raises
    ------
    InputError
        When a slide is gone, or a field has become another one, since the plan was made.
    """
    values: dict[int, dict[str, object]] = {}
    for change in plan.changes:
        values.setdefault(change.slide_id, {})[change.field.name] = change.after
    project.fields.set(values, new=plan.new, title=title)
