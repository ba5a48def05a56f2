"""Where the command palette leads besides commands: slides, classes, and findings by their number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from microscope_qc.app.dialogs.go_to import parse_number
from microscope_qc.core.errors import MicroscopeQCError

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session


@dataclass(frozen=True, slots=True)
class Destination:
    """One line of the palette that is no command."""

    words: str
    icon: str
    go: Callable[[], object]


def destinations(session: Session, typed: str) -> Iterator[Destination]:
    """All slides and classes of the project, and the finding whose number was typed."""
    if session.project is None:
        return
    number = parse_number(typed)
    if number is not None:
        yield Destination(f"Go to finding › #{number}", "crosshairs-gps", partial(_go_to, session, number))
    for slide in session.project.slides:
        yield Destination(f"Go to slide › {slide.name}", "image-outline", partial(session.show_slide, slide.id))
    for item in session.classes:
        show = partial(session.set_filter, class_ids=frozenset({item.id}))
        yield Destination(f"Show only class › {item.code}  {item.name}", "filter-outline", show)


def _go_to(session: Session, number: int) -> None:
    try:
        session.navigation.go_to_number(number)
    except MicroscopeQCError as error:
        session.notice.emit(str(error))
