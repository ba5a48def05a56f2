"""Densities of the slide on screen beside the areas that users declared complete."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import QLabel, QSplitter, QStackedLayout, QVBoxLayout, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.panels.areas.declared import DeclaredAreas
from microscope_qc.app.panels.areas.numbers import DensityTable, density_lines
from microscope_qc.app.widgets.parts import EmptyPage
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.wording import share_text

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session
    from microscope_qc.project import Project

AFTER_MS = 250
WHAT = "Densities count only what was scanned by a detection or declared complete by a user."
HOW = (
    f"{WHAT}\nIf you have looked through an area yourself and every defect in it is marked, declare it: choose the "
    "tool, then drag a rectangle or click the corners."
)

Place = tuple["Project", int]


class DensitiesPanel(QWidget):
    """Counts, areas and densities by class, worked out in the background.

    ``tool_requested`` asks for the tool that declares areas complete.
    """

    tool_requested = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("densities")
        self._session = session
        self._working: Place | None = None
        self._again = False
        self._shown: Place | None = None
        self.table = DensityTable()
        self.notes = QLabel()
        self.notes.setTextFormat(Qt.TextFormat.RichText)
        self.notes.setWordWrap(True)
        self.declared = DeclaredAreas(session)
        self.empty = EmptyPage()
        self._build()
        self.empty.button.clicked.connect(self.tool_requested)
        self.declared.tool_requested.connect(self.tool_requested)
        self._due = Refresh(self, self.refresh, after_ms=AFTER_MS)
        for signal in (session.boxes_changed, session.inclusion_changed, session.areas_changed, session.runs_changed,
                       session.classes_changed, session.slides_changed):  # fmt: skip
            link(self, signal, self._due.soon)
        for signal in (session.slide_changed, session.project_changed):
            link(self, signal, self._on_slide_changed)
        self._on_slide_changed()

    def _build(self) -> None:
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.table, 1)
        self.notes.setContentsMargins(theme.STEP, theme.STEP // 2, theme.STEP, theme.STEP // 2)
        column.addWidget(self.notes)
        parts = QSplitter()
        parts.addWidget(left)
        parts.addWidget(self.declared)
        parts.setStretchFactor(0, 1)
        parts.setSizes([760, 232])
        parts.setChildrenCollapsible(False)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self.empty)
        self._stack.addWidget(parts)
        self._parts = parts

    def sizeHint(self) -> QSize:
        """Qt: room for some classes."""
        return QSize(900, 216)

    @property
    def up_to_date(self) -> bool:
        """Whether the numbers of the slide on screen are shown as they are now."""
        return self._shown is not None and self._shown == self._place() and not (self._working or self._due.due)

    def _place(self) -> Place | None:
        project, slide = self._session.project, self._session.slide
        return None if project is None or slide is None else (project, slide.id)

    def _on_slide_changed(self) -> None:
        self._shown = None  # numbers of another slide must not stand under this one
        self.table.show_lines([])
        self._say("")
        self.empty.say(f"{WHAT}\nOpen a slide first." if self._place() is None else "Working out the densities…")
        self._stack.setCurrentWidget(self.empty)
        self._due.soon()

    # -- working out -------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Work the numbers out again; what was asked for meanwhile is worked out once, after that."""
        place = self._place()
        if place is None:
            return
        if self._working is not None:
            self._again = True
            return
        from microscope_qc.workflows.results.statistics import slide_findings, slide_numbers

        known = slide_findings(*place)
        if self._session.jobs is None:
            self._take(place, slide_numbers(known))
            return
        self._working = place
        self._session.jobs.call(
            lambda: slide_numbers(known),
            on_done=lambda found: self._on_done(place, found),
            on_failed=lambda error: self._on_failed(place, error),
        )

    def _on_done(self, place: Place, found: dict[str, Any]) -> None:
        self._end()
        self._take(place, found)

    def _on_failed(self, place: Place, error: BaseException) -> None:
        self._end()
        if place == self._place():
            self.table.show_lines([])
            self._shown = place
            self._stack.setCurrentWidget(self._parts)
            self._say(f"The densities could not be worked out: {error}", bad=True)
        if not isinstance(error, MicroscopeQCError):
            raise error

    def _end(self) -> None:
        self._working = None
        if self._again:
            self._again = False
            self._due.soon()

    def _take(self, place: Place, found: dict[str, Any]) -> None:
        if place != self._place():  # another slide came on screen
            return
        self._shown = place
        something = bool(found["classes"] or found["warnings"] or self._session.declaring.areas())
        if not something:
            self.empty.say(HOW, "I have looked at all of this…" if self._session.can_write else "")
        self._stack.setCurrentWidget(self._parts if something else self.empty)
        self.table.show_lines(density_lines(found))
        words = []
        if found["masked_share"]:
            words.append(f"{share_text(found['masked_share'])} of what was to be scanned was left out by the mask.")
        self._say(" ".join([*words, *found["warnings"]]), bad=bool(found["warnings"]))

    def _say(self, words: str, *, bad: bool = False) -> None:
        colour = theme.current().error if bad else theme.current().quiet
        self.notes.setText(f"<span style='color:{colour}'>{escape(words)}</span>")
        self.notes.setVisible(bool(words))
