"""The page of a list of findings that is empty: why it is, and a button that shows what is hidden, and only that."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QWidget

from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.session.scope import ScopeKind
from microscope_qc.app.session.session import Session
from microscope_qc.app.widgets.parts import EmptyPage
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.hiding import Hider
from microscope_qc.core.wording import count_text, plural, things
from microscope_qc.project import Project
from microscope_qc.workflows.review.why_nothing import WhyNothing, elsewhere, lift, looking_why, why_words

STEP_S = 0.012
"""So long it looks through slides before the window goes on."""
AFTER_MS = 40


class NothingFound(EmptyPage):
    """Says why nothing is listed; kept up to date while it is visible.

    Parameters
    ----------
    nothing_open
        The sentence while no slide is open.
    by_field
        Whether a search field beside it says why a search cannot be read.
    """

    detect_requested = Signal()
    open_requested = Signal()

    def __init__(
        self, session: Session, nothing_open: str, parent: QWidget | None = None, *, by_field: bool = False
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._nothing_open, self._by_field = nothing_open, by_field
        self._act: Callable[[], object] = lambda: None
        self._looking: Iterator[None] = iter(())
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.timeout.connect(self._look_on)
        self._due = Refresh(self, self._refresh, after_ms=AFTER_MS)
        self.text.setTextFormat(Qt.TextFormat.PlainText)  # it repeats what was typed
        self.button.clicked.connect(self._on_clicked)
        for signal in (session.filter_changed, session.slide_changed, session.boxes_changed, session.slides_changed):
            link(self, signal, self._due.soon)
        for signal in (session.scope.changed, session.scoped.loading_changed, session.runs_changed):
            link(self, signal, self._due.soon)

    def refresh(self) -> None:
        """Find out at once why nothing is listed."""
        self._due.now()

    def _refresh(self) -> None:
        self._again.stop()
        self._looking = iter(())
        session = self._session
        if session.project is None or session.slide is None:
            self._offer(self._nothing_open, "Open a slide…", self.open_requested.emit)
        elif session.scoped.loading:
            self.say(f"Reading the findings of {session.scope.words} …")
        elif session.shown.limited:
            self._offer(
                "None of the findings of the comparison passes the filter.", "Clear the filter", session.clear_filter
            )
        else:
            self._looking = self._look(session.project)
            self._look_on()

    def _look_on(self) -> None:
        until = time.monotonic() + STEP_S
        try:
            for _ in self._looking:
                if time.monotonic() > until:
                    self._again.start(0)
                    return
        except MicroscopeQCError:  # a slide went away meanwhile: what it tells brings the next refresh
            self._due.soon()

    def _look(self, project: Project) -> Iterator[None]:
        here = self._session.scope.slide_ids
        why = yield from looking_why(project, here)
        if why.hiding is not None or why.fault or not (why.text or why.total):
            self._say_here(project, why, here)
            return
        words = why_words(project, why, f"on {self._session.scope.words}")
        if why.total:
            self._offer(words, "Clear the search", self._clear_search)
        else:
            self._offer(words, "Run a detection…", self.detect_requested.emit)
        there: list[tuple[int, int]] = []
        for number, count in elsewhere(project, [slide.id for slide in project.slides if slide.id not in here]):
            there += [(number, count)] if count else []
            yield
        if there:
            self._say_elsewhere(project, f"{words} {_there_words(project, why.text, there)}", there[0][0])

    def _clear_search(self) -> None:
        self._session.set_filter(text="")

    def _say_here(self, project: Project, why: WhyNothing, here: tuple[int, ...]) -> None:
        if why.fault:
            words = "Nothing is shown: the search cannot be read." if self._by_field else why.fault
            self._offer(words, "Clear the search", self._clear_search)
        elif why.hiding is None:
            scanned = any(run.slide_id in here and run.state == "finished" for run in project.runs)
            words = "The detection found nothing. Run another one" if scanned else "No findings yet. Run a detection"
            self._offer(f"{words}, or draw boxes on the slide (B).", "Run a detection…", self.detect_requested.emit)
        else:
            by, count = why.hiding.by, why.hiding.count
            reason = self._session.why_not_write() if by & (Hider.LIMIT | Hider.RUNS) else ""
            words = why_words(project, why, f"on {self._session.scope.words}")
            self._offer(words, f"Show {plural(count, 'it', 'them')}", lambda: lift(project, by, here), reason=reason)

    def _say_elsewhere(self, project: Project, words: str, first: int) -> None:
        """Findings on slides that are not listed: go to the first, or list all slides."""
        scope = self._session.scope
        if scope.kind is ScopeKind.SLIDE:
            name = project.slides.by_id(first).name
            self._offer(words, f"Go to {name}", lambda: self._session.show_slide(first))
        else:
            self._offer(words, "Look on all slides", lambda: scope.set_kind(ScopeKind.ALL))

    def _offer(self, words: str, button: str, act: Callable[[], object], *, reason: str = "") -> None:
        self._act = act
        self.say(words, button)
        self.button.setEnabled(not reason)
        self.button.setToolTip(reason)

    def _on_clicked(self) -> None:
        try:
            self._act()
        except MicroscopeQCError as error:
            self._session.notice.emit(str(error))


def _there_words(project: Project, text: str, there: list[tuple[int, int]]) -> str:
    """``On S2, 4 findings fit “crack”, and 12 on 3 other slides.``"""
    (first, count), others = there[0], there[1:]
    words = f"On {project.slides.by_id(first).name}, {things(count, 'finding')} {plural(count, 'fits', 'fit')} “{text}”"
    more = f", and {count_text(sum(found for _, found in others))} on {things(len(others), 'other slide')}"
    return f"{words}{more if others else ''}."
