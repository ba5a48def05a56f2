"""Slides without overview levels: the offer to convert, the conversion in the background, and use of the copy."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Qt
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QWidget

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import with_slide
from microscope_qc.app.base import theme
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.wording import bytes_text
from microscope_qc.project.records import SlideRecord
from microscope_qc.project.scenes import SceneFacts
from microscope_qc.workflows.conversion.child import (
    ConversionPlan,
    convert_in_child,
    discard_unfinished,
    plan_conversion,
)

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobHandle, JobRunner
    from microscope_qc.app.session.session import Session
    from microscope_qc.project import Project
    from microscope_qc.slides import Mosaic

log = logging.getLogger(__name__)


class OfferBar(QFrame):
    """A sentence or two above the canvas, with a button for the next step and one that puts it off."""

    def __init__(self, parent: QWidget | None = None, *, icon: str = "layers-triple-outline") -> None:
        super().__init__(parent)
        self.setObjectName("offerBar")
        self._picture = icon
        self._icon = QLabel()
        self._text = QLabel()
        self._text.setTextFormat(Qt.TextFormat.PlainText)
        self._text.setWordWrap(True)
        self._text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.accept_button, self.later_button = QPushButton(), QPushButton("Not now")
        self.accept_button.setProperty("primary", True)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, theme.STEP, theme.STEP, theme.STEP)
        row.setSpacing(theme.STEP)
        row.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self._text, 1)
        row.addWidget(self.accept_button, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.later_button, 0, Qt.AlignmentFlag.AlignVCenter)
        self._accept: Callable[[], None] = self.hide
        self._later: Callable[[], None] = self.hide
        self.accept_button.clicked.connect(lambda: self._answer(self._accept))
        self.later_button.clicked.connect(lambda: self._answer(self._later))
        self.hide()

    @property
    def text(self) -> str:
        """The sentences shown."""
        return self._text.text()

    def offer(
        self, words: str, button: str, accept: Callable[[], None], later: Callable[[], None] = lambda: None
    ) -> None:
        """Show a text and offer a step."""
        self._accept, self._later = accept, later
        self._text.setText(words)
        self.accept_button.setText(button)
        self.refresh_theme()
        self.show()

    def refresh_theme(self) -> None:
        """Apply the colours of the theme."""
        colours = theme.current()
        self._icon.setPixmap(theme.icon(self._picture, colours.accent).pixmap(20, 20))
        self.setStyleSheet(
            f"#offerBar {{ background: {colours.base}; border: none; border-left: 4px solid {colours.accent};"
            f" border-bottom: 1px solid {colours.line}; }} #offerBar QLabel {{ background: transparent; }}"
        )

    def _answer(self, action: Callable[[], None]) -> None:
        self.hide()
        action()


class Conversions(QObject):
    """Offers, runs and finishes conversions of the slides of a window."""

    def __init__(self, session: Session, jobs: JobRunner, bar: OfferBar) -> None:
        super().__init__(bar)
        self._session, self._jobs, self.bar = session, jobs, bar
        self._running: dict[tuple[str, int], JobHandle] = {}
        session.slide_changed.connect(self._on_slide_changed)
        session.mosaic_changed.connect(self._on_mosaic_changed)

    def action(self) -> Action:
        """Return the action that offers a conversion, whether or not the slide needs one."""
        return Action(
            "slide.convert",
            "Convert to a fast copy…",
            "Slide",
            lambda _context: self.propose(),
            (),
            "layers-triple-outline",
            when=with_slide,
            tooltip="A lossless OME-Zarr pyramid next to the slide, written in the background",
        )

    # -- offering ----------------------------------------------------------------------------------------------------

    def _on_slide_changed(self) -> None:
        self.bar.hide()

    def _on_mosaic_changed(self) -> None:
        from microscope_qc.slides.preview import needs_conversion

        mosaic = self._session.mosaic
        if mosaic is not None and needs_conversion(mosaic) and not self._session.slide_view.no_conversion:
            self.propose(asked=False)

    def propose(self, *, asked: bool = True) -> None:
        """Offer to convert the slide on screen; ``asked`` if the user requested it, needed or not."""
        project, slide, mosaic = self._session.project, self._session.slide, self._session.mosaic
        if project is None or slide is None:
            return
        if mosaic is None:
            self._session.notice.emit("The slide is not open yet.")
        elif _key(project, slide) in self._running:
            if asked:
                self._session.notice.emit(f"{slide.name} is already being converted.")
        else:
            self._jobs.call(
                lambda: plan_conversion(slide, mosaic),
                on_done=lambda plan: self._on_planned(slide, mosaic, plan, asked),
                on_failed=lambda error: self._on_plan_failed(error, asked),
            )

    def _on_plan_failed(self, error: BaseException, asked: bool) -> None:
        if asked or not isinstance(error, MicroscopeQCError):
            raise error
        log.warning("no conversion offered: %s", error)

    def _on_planned(self, slide: SlideRecord, mosaic: Mosaic, plan: ConversionPlan, asked: bool) -> None:
        project = self._session.project
        if mosaic is not self._session.mosaic or project is None:
            return
        later = self.bar.hide if asked else self._session.slide_view.refuse_conversion
        if plan.copy is not None and not project.read_only:
            words = f"There is already a fast copy of {slide.name}: {plan.out.name}."
            self.bar.offer(words, "Use it", partial(self.use, project, slide.id, plan.copy), later)
            return
        self.bar.offer(
            plan_words(slide.name, plan, asked=asked),
            "Convert in the background",
            partial(self.start, project, slide, plan),
            later,
        )

    # -- converting --------------------------------------------------------------------------------------------------

    def start(self, project: Project, slide: SlideRecord, plan: ConversionPlan) -> None:
        """Convert in a child process; the user goes on working."""
        key = _key(project, slide)
        handle = self._jobs.run(
            convert_in_child(slide, plan.out),
            f"Converting {slide.name}",
            on_done=lambda facts: self._on_converted(project, slide, facts),
            on_cancelled=lambda: self._on_stopped(slide, plan),
        )
        self._running[key] = handle
        handle.ended.connect(lambda: self._running.pop(key, None))

    def _on_stopped(self, slide: SlideRecord, plan: ConversionPlan) -> None:
        # only if the user stopped it: a conversion interrupted by closing the window goes on at the next start
        self._jobs.call(lambda: discard_unfinished(plan.out))
        self._session.notice.emit(f"The conversion of {slide.name} was stopped; the unfinished copy was deleted.")

    def _on_converted(self, project: Project, slide: SlideRecord, facts: SceneFacts) -> None:
        self._session.notice.emit(f"{slide.name} has been converted: {facts.path}")
        if project is self._session.project and not project.read_only:
            self.bar.offer(
                f"{slide.name} has been converted: {facts.path.name}. The project can use this copy from now on: "
                "findings, marks and judgements stay as they are, and the original file is not changed.",
                "Use it",
                partial(self.use, project, slide.id, facts),
            )

    def use(self, project: Project, slide_id: int, facts: SceneFacts) -> None:
        """Point the project's slide at a converted copy (can be undone)."""
        if project is not self._session.project:
            self._session.notice.emit("The project of this slide is no longer open.")
            return
        slide = project.slides.by_id(slide_id)
        project.slides.relocate(slide_id, facts.path, facts=facts, title=f"Use the fast copy of {slide.name}")
        self._session.notice.emit(f"{slide.name} now uses {facts.path.name}. Undo goes back to {slide.path.name}.")


def plan_words(name: str, plan: ConversionPlan, *, asked: bool) -> str:
    """Explain a conversion in plain words and numbers."""
    size = f"{bytes_text(plan.decoded_bytes)} of pixels"
    space = f"needs up to {bytes_text(plan.needed_bytes)} in {plan.out.parent}, {bytes_text(plan.free_bytes)} are free"
    if plan.free_bytes < plan.needed_bytes:
        space += " – this may not be enough"
    if asked:
        return f"A copy of {name} as an OME-Zarr pyramid is shown at once at every zoom ({size}). It {space}."
    return (
        f"{name} has no overview levels: zoomed out it is coarse and slow, because {size} would have to be read. "
        f"A converted copy is shown at once at every zoom. It {space}."
    )


def _key(project: Project, slide: SlideRecord) -> tuple[str, int]:
    return str(project.path), slide.id
