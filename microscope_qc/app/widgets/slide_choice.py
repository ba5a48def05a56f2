"""Which slides something is for: the one on screen, those chosen in the list, or all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QRadioButton, QVBoxLayout, QWidget

from microscope_qc.core.wording import things

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session


def chosen_slide_ids(session: Session) -> list[int]:
    """Return the slides chosen in the list, or the slide on screen where none is."""
    chosen = list(session.scope.chosen_ids)
    return chosen or ([] if session.slide is None else [session.slide.id])


class SlideChoice(QWidget):
    """A button for each choice that makes a difference; several chosen slides are offered first.

    Parameters
    ----------
    further
        Words and slides of more choices, offered before all slides.
    """

    changed = Signal()

    def __init__(
        self, session: Session, further: Sequence[tuple[str, list[int]]] = (), parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        every = [] if session.project is None else [slide.id for slide in session.project.slides]
        here = [] if session.slide is None else [session.slide.id]
        chosen = chosen_slide_ids(session)
        offers: list[tuple[str, list[int]]] = []
        if len(chosen) == 1 and session.project is not None:
            offers.append((session.project.slides.by_id(chosen[0]).name, chosen))
        elif here and session.slide is not None:
            offers.append((f"This slide, {session.slide.name}", here))
        if 1 < len(chosen) < len(every):
            offers.append((f"The {things(len(chosen), 'selected slide')}", chosen))
        offers += [(words, ids) for words, ids in further if set(ids) not in ({*every}, {*chosen})]
        if len(every) > 1:
            offers.append((f"All {things(len(every), 'slide')}", every))
        self.buttons: list[QRadioButton] = []
        self._ids: list[list[int]] = []
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for words, ids in offers:
            button = QRadioButton(words)
            self.buttons.append(button)
            self._ids.append(ids)
            column.addWidget(button)
        preferred = next((place for place, ids in enumerate(self._ids) if ids == chosen or set(ids) == set(chosen)), 0)
        if self.buttons:
            self.buttons[preferred].setChecked(True)
        for button in self.buttons:
            button.toggled.connect(lambda checked: self.changed.emit() if checked else None)

    def slide_ids(self) -> list[int]:
        """The slides of the choice."""
        return next((ids for button, ids in zip(self.buttons, self._ids, strict=True) if button.isChecked()), [])
