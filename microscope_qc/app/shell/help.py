"""Which page of the manual belongs to what a user works with, and the window that shows it."""

from __future__ import annotations

from functools import partial

from qtpy.QtWidgets import QApplication, QWidget

from microscope_qc.app.actions.book import ActionBook
from microscope_qc.app.context import Context
from microscope_qc.app.dialogs.manual import ManualWindow
from microscope_qc.app.shell.docking import LazyDock
from microscope_qc.app.shell.navigator import WindowNavigator
from microscope_qc.app.shell.welcome import WelcomePage
from microscope_qc.core.manual import INDEX, manual

FIRST, CHANGES = "tasks/first-steps", "reference/changes"


def show_manual(navigator: WindowNavigator, _context: Context) -> None:
    """Show the page of the panel or workspace that has the focus."""
    show_page(navigator, page_of(QApplication.focusWidget(), navigator.workspaces.current))


def show_page(navigator: WindowNavigator, name: str) -> None:
    """Show a page of the manual in its window."""
    words = partial(words_of, navigator.book)
    window = navigator.only(ManualWindow, lambda: ManualWindow(manual(), words, navigator.window))
    window.open_page(name)
    window.show()
    window.raise_()
    window.activateWindow()


def page_of(widget: QWidget | None, workspace: str) -> str:
    """Page of the panel that a widget is in, otherwise of the workspace; a panel of a plugin has none.

    Parameters
    ----------
    widget
        The one with the focus.
    """
    names = manual().pages
    while widget is not None:
        if isinstance(widget, WelcomePage):
            return FIRST
        if isinstance(widget, LazyDock):
            page = f"panels/{widget.spec.name}"
            return page if page in names else INDEX
        widget = widget.parentWidget()
    page = f"workspaces/{workspace}"
    return page if page in names else INDEX


def words_of(book: ActionBook, action_id: str) -> str:
    """Where in the menus an action stands and its keys now, as Markdown; "" if there is none of this name."""
    try:
        entry = book.table[action_id]
    except KeyError:
        return ""
    path = [*entry.menu.split("/"), entry.text.rstrip("…")] if entry.menu else [entry.text.rstrip("…")]
    keys = book.native_keys(entry, " or ")
    return f"**{' › '.join(path)}**" + (f" ({keys})" if keys else "")
