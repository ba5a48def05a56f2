"""What panels, commands and dialogs work with, instead of reaching into the window."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from qtpy.QtWidgets import QWidget

if TYPE_CHECKING:
    from qtpy.QtGui import QAction

    from microscope_qc.app.base.error_sink import ErrorSink
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.base.settings import AppSettings
    from microscope_qc.app.canvas.canvas import Canvas
    from microscope_qc.app.session.session import Session

W = TypeVar("W", bound=QWidget)


class Navigator(Protocol):
    """What the window offers to its panels, commands and dialogs."""

    @property
    def window(self) -> QWidget:
        """The parent of dialogs."""

    @property
    def in_review(self) -> bool:
        """Whether the Review workspace is shown, which has no room for panels."""

    def open_paths(self, paths: Iterable[str | Path]) -> None:
        """Open slides or projects."""

    def show_panel(self, name: str) -> QWidget | None:
        """Open a panel and return its content; None, with a notice, if it is not installed."""

    def show_canvas(self) -> None:
        """Show the canvas in the middle, switching the workspace if needed."""

    def show_page(self) -> None:
        """Show the page that belongs in the middle: welcome page, canvas or review page."""

    def use_workspace(self, name: str) -> None:
        """Switch to a workspace; the arrangement of the one before is remembered."""

    def only(self, kind: type[W], make: Callable[[], W]) -> W:
        """Return the window's one widget of a kind, such as a dialog that stays open; ``make`` creates it.

        Its parent must be the window or something in it, so that it lives as long as the window.
        """

    def train(self) -> None:
        """Open the Learn workspace and begin a training there, as it is set, or say why it cannot begin."""

    def trigger(self, action_id: str) -> None:
        """Do an action, or say why it cannot be done."""

    def menu_actions(self, action_ids: Iterable[str]) -> list[QAction]:
        """Actions for a context menu."""

    def refresh_actions(self, *_: object) -> None:
        """Enable and disable actions now, and update their texts soon."""

    def ask(
        self, message: str, hint: str, button: str, action: Callable[[], None], *, is_open: Callable[[], bool]
    ) -> bool:
        """Offer a step in the message bar; False while the bar shows an error, which a question must not replace.

        The question goes when the slide or the project changes and ``is_open`` says that it needs no answer any more.
        """

    def offer(
        self, words: str, button: str, accept: Callable[[], None], later: Callable[[], None] = lambda: None
    ) -> None:
        """Offer a step in a quiet bar, with a button that puts it off; further offers wait for the answer."""

    def save_settings(self) -> None:
        """Save the settings; a failure is shown, not raised."""


@dataclass(frozen=True, slots=True)
class Context:
    """One window: its session, jobs, canvas, settings, errors, and what it offers to others.

    ``errors`` collects errors and keeps the log.
    """

    session: Session
    jobs: JobRunner
    canvas: Canvas
    settings: AppSettings
    errors: ErrorSink
    navigator: Navigator
