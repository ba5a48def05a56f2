"""What the window offers to panels, commands and dialogs through its context, and to its own actions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from qtpy.QtGui import QAction
from qtpy.QtWidgets import QMainWindow, QWidget

from microscope_qc.app.actions.book import ActionBook
from microscope_qc.app.base.settings import AppSettings, save_settings
from microscope_qc.app.commands.files import open_paths
from microscope_qc.app.context import Context
from microscope_qc.app.session.session import Session
from microscope_qc.app.shell.dividers import Dividers
from microscope_qc.app.shell.docking import LazyDock
from microscope_qc.app.shell.feedback import MessageBar
from microscope_qc.app.shell.offers import Offers
from microscope_qc.app.shell.pages import Pages
from microscope_qc.app.shell.workspaces import Workspaces

W = TypeVar("W", bound=QWidget)


class WindowNavigator:
    """A :class:`~microscope_qc.app.context.Navigator`.

    Actions, panels and workspaces need the context, which holds the navigator: :meth:`take` adds them later.
    """

    context: Context
    book: ActionBook
    docks: Mapping[str, LazyDock]
    workspaces: Workspaces
    dividers: Dividers

    def __init__(
        self,
        window: QMainWindow,
        session: Session,
        settings: AppSettings,
        pages: Pages,
        *,
        message_bar: MessageBar,
        offers: Offers,
    ) -> None:
        self._window, self._session, self._settings = window, session, settings
        self._pages, self._message_bar, self._offers = pages, message_bar, offers
        self._only: dict[type[QWidget], QWidget] = {}

    def take(
        self,
        context: Context,
        book: ActionBook,
        docks: Mapping[str, LazyDock],
        workspaces: Workspaces,
        dividers: Dividers,
    ) -> None:
        """Add what was made with the context."""
        self.context, self.book, self.docks = context, book, docks
        self.workspaces, self.dividers = workspaces, dividers

    @property
    def window(self) -> QWidget:
        """The parent of dialogs."""
        return self._window

    @property
    def in_review(self) -> bool:
        """Whether the Review workspace is shown, which has no room for panels."""
        return self.workspaces.current == "review"

    # -- going somewhere ---------------------------------------------------------------------------------------------

    def open_paths(self, paths: Iterable[str | Path]) -> None:
        """Open slides or projects."""
        open_paths(self.context, paths)

    def show_panel(self, name: str) -> QWidget | None:
        """Open a panel and return its content; None, with a notice, if it is not installed."""
        dock = self.docks.get(name)
        if dock is None:
            self._session.notice.emit("This panel is not installed.")
            return None
        if self.in_review:
            self.workspaces.use(next((other for other in dock.spec.workspaces if other != "review"), "annotate"))
        content = dock.build()
        dock.show()
        dock.raise_()
        return content

    def show_canvas(self) -> None:
        """Show the canvas in the middle, switching the workspace if needed."""
        if self._pages.currentWidget() is not self._pages.canvas:
            self.workspaces.use("annotate")

    def show_page(self) -> None:
        """Show the page that belongs in the middle: welcome page, canvas or review page."""
        self._pages.show_for(self.workspaces.current)

    def use_workspace(self, name: str) -> None:
        """Switch to a workspace; the arrangement of the one before is remembered."""
        self.workspaces.use(name)

    def train(self) -> None:
        """Open the Learn workspace and begin a training there, as it is set, or say why it cannot begin."""
        self.workspaces.use("learn")
        self._pages.train()

    def only(self, kind: type[W], make: Callable[[], W]) -> W:
        """Return the window's one widget of a kind; ``make`` creates it the first time."""
        found = self._only.get(kind)
        if not isinstance(found, kind):
            found = self._only[kind] = make()
        return found

    # -- actions -----------------------------------------------------------------------------------------------------

    def trigger(self, action_id: str) -> None:
        """Do an action, or say why it cannot be done."""
        self.book.trigger(action_id)

    def menu_actions(self, action_ids: Iterable[str]) -> list[QAction]:
        """Actions for a context menu."""
        return [self.book.actions[action_id] for action_id in action_ids]

    def refresh_actions(self, *_: object) -> None:
        """Enable and disable actions now, and update their texts soon."""
        self.book.refresh_soon()

    # -- saying and keeping ------------------------------------------------------------------------------------------

    def ask(
        self, message: str, hint: str, button: str, action: Callable[[], None], *, is_open: Callable[[], bool]
    ) -> bool:
        """Offer a step in the message bar; False while the bar shows an error, which a question must not replace.

        The question goes when the slide or the project changes and ``is_open`` says that it needs no answer any more.
        """
        if self._message_bar.shows_error:
            return False
        self._message_bar.ask(message, hint, button, action, is_open=is_open)
        return True

    def offer(
        self, words: str, button: str, accept: Callable[[], None], later: Callable[[], None] = lambda: None
    ) -> None:
        """Offer a step in a quiet bar, with a button that puts it off; further offers wait for the answer."""
        self._offers.offer(words, button, accept, later)

    def save_settings(self) -> None:
        """Save the settings; a failure is shown, not raised."""
        words = save_settings(self._settings)
        if words:
            self._session.notice.emit(words)
