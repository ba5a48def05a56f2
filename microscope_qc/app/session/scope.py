"""What the window works over: the slide on screen, the slides chosen in the list, or all slides of the project."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from psygnal import Signal

from microscope_qc.core.wording import things

if TYPE_CHECKING:
    from microscope_qc.project import Project

SETTING = "scope"
"""Under this name the project remembers the kind and the chosen slides."""


class ScopeKind(StrEnum):
    """Which slides the lists, counts and jobs of the window are about."""

    SLIDE = "slide"
    SELECTED = "selected"
    ALL = "all"

    @property
    def words(self) -> str:
        """The kind as it stands on the switch."""
        return {"slide": "This slide", "selected": "Selected slides", "all": "All slides"}[self.value]


class Scope:
    """The slides that gallery, table, counts, filters, review and jobs work over.

    ``changed`` is sent when the kind or the resolved slides change, after the window has taken over the change that
    caused it: a handler finds slide, table and scope in agreement.
    """

    changed: ClassVar[Signal] = Signal()
    chosen_changed: ClassVar[Signal] = Signal()  # whatever the kind is

    def __init__(self) -> None:
        self._project: Project | None = None
        self._slide_id: int | None = None
        self._kind = ScopeKind.SLIDE
        self._chosen: frozenset[int] = frozenset()
        self._told: tuple[ScopeKind, tuple[int, ...]] = (ScopeKind.SLIDE, ())

    @property
    def kind(self) -> ScopeKind:
        """Which of the three it is."""
        return self._kind

    @property
    def slide_ids(self) -> tuple[int, ...]:
        """Ids of the slides in the scope, in the order of the project.

        Where no slide was chosen, "selected" means the slide on screen: that is the one marked in the list.
        """
        if self._project is None:
            return ()
        if self._kind is ScopeKind.ALL:
            return self._project.slides.ids
        chosen = self.chosen_ids if self._kind is ScopeKind.SELECTED else ()
        return chosen or (() if self._slide_id is None else (self._slide_id,))

    @property
    def chosen_ids(self) -> tuple[int, ...]:
        """Ids of the slides chosen in the list of slides, in the order of the project."""
        if self._project is None:
            return ()
        return tuple(slide.id for slide in self._project.slides if slide.id in self._chosen)

    @property
    def words(self) -> str:
        """What the scope is, as part of a sentence: "this slide", "3 selected slides", "all 12 slides"."""
        if self._kind is ScopeKind.SLIDE:
            return "this slide"
        count = len(self.slide_ids)
        return f"all {things(count, 'slide')}" if self._kind is ScopeKind.ALL else things(count, "selected slide")

    def set_kind(self, kind: ScopeKind | str) -> None:
        """Work over other slides, and remember it in the project."""
        wanted = ScopeKind(kind)
        if wanted is not self._kind:
            self._kind = wanted
            self._remember()
            self.tell()

    def set_chosen(self, slide_ids: Iterable[int]) -> None:
        """Take over which slides are chosen in the list, and remember it in the project."""
        chosen = frozenset(int(number) for number in slide_ids)
        if chosen != self._chosen:
            self._chosen = chosen
            self._remember()
            self.chosen_changed.emit()
            self.tell()

    # -- for the state of the window ---------------------------------------------------------------------------------

    def show_project(self, project: Project | None) -> None:
        """Take over what the project remembers; :meth:`tell` sends the signal."""
        self._project, self._slide_id = project, None
        stored = None if project is None else project.settings.get(SETTING)
        self._kind, self._chosen = _stored(stored)

    def show_slide(self, slide_id: int | None) -> None:
        """Take over which slide is on screen; :meth:`tell` sends the signal."""
        self._slide_id = slide_id

    def tell(self) -> None:
        """Send the signal if the scope is another one than at the last signal."""
        now = self._kind, self.slide_ids
        if now != self._told:
            self._told = now
            self.changed.emit()

    def _remember(self) -> None:
        project = self._project
        if project is not None and not project.read_only and not project.is_writing:
            project.settings.remember(SETTING, {"kind": self._kind.value, "chosen": sorted(self._chosen)})


def _stored(setting: object) -> tuple[ScopeKind, frozenset[int]]:
    """Kind and chosen slides from a setting; "this slide" where it cannot be read."""
    if not isinstance(setting, dict):
        return ScopeKind.SLIDE, frozenset()
    chosen = setting.get("chosen")
    numbers = [number for number in chosen if isinstance(number, int)] if isinstance(chosen, list) else []
    try:
        return ScopeKind(str(setting.get("kind"))), frozenset(numbers)
    except ValueError:
        return ScopeKind.SLIDE, frozenset(numbers)
