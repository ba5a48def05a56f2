"""Which page of the manual belongs to what a user works with, also in dialogs, and the window that shows it."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import QObject
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QApplication, QDialog, QWidget

from microscope_qc.app.actions.book import ActionBook
from microscope_qc.app.context import Context
from microscope_qc.app.dialogs.manual import ManualWindow
from microscope_qc.app.shell.docking import LazyDock
from microscope_qc.app.shell.navigator import WindowNavigator
from microscope_qc.app.shell.welcome import WelcomePage
from microscope_qc.core.manual import INDEX, manual

FIRST, CHANGES = "tasks/first-steps", "reference/changes"

DIALOGS = {
    "AlikeDialog": "tasks/judge", "BackupsDialog": "tasks/trouble", "ClassManager": "panels/classes",
    "ColumnsDialog": "tasks/edx", "DeleteClassDialog": "panels/classes", "DriftDialog": "panels/sem",
    "EdxDialog": "tasks/edx",
    "EvidenceDialog": "panels/card", "ExamplePicker": "panels/classes", "ExportDialog": "tasks/exchange",
    "GoToDialog": "workspaces/annotate", "ImportDialog": "tasks/exchange", "KeyDialog": "tasks/judge",
    "MergeDialog": "panels/classes", "NewFieldDialog": "tasks/open-slides", "PicturesDialog": "tasks/stage",
    "PixelSizeDialog": "tasks/open-slides", "PreviewDialog": "tasks/train", "ReportDialog": "tasks/report",
    "RulesDialog": "tasks/edx", "SecondReviewDialog": "tasks/judge", "SettingsDialog": "tasks/plugins",
    "SeverityDialog": "reference/numbers", "ShortcutsDialog": "tasks/judge", "SimilarDialog": "tasks/judge",
    "SlideInfoDialog": "panels/slides", "SpecimenDialog": "tasks/open-slides", "TrainingDialog": "tasks/exchange",
    "_PlanDialog": "tasks/open-slides",
}  # fmt: skip
"""Pages of dialogs, by the names of their classes or of those that they are made from."""


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


def page_of_dialog(kind: type[QDialog]) -> str | None:
    """Page of a class of dialogs, its own or else that of the nearest class it is made from; None if there is none."""
    return next((DIALOGS[one.__name__] for one in kind.__mro__ if one.__name__ in DIALOGS), None)


class DialogHelp(QObject):
    """Gives every dialog that is opened the key of the manual: a dialog keeps the keys of the window from working.

    The manual belongs to the dialog then, as one of the window could not be used meanwhile.
    """

    def __init__(self, app: QApplication, navigator: WindowNavigator) -> None:
        super().__init__(navigator.window)
        self._app, self._navigator = app, navigator
        app.focusChanged.connect(self._on_focus_changed)

    def close(self) -> None:
        """Stop watching."""
        self._app.focusChanged.disconnect(self._on_focus_changed)

    def _on_focus_changed(self, _before: QWidget | None, now: QWidget | None) -> None:
        dialog = None if now is None else now.window()
        page = page_of_dialog(type(dialog)) if isinstance(dialog, QDialog) else None
        if isinstance(dialog, QDialog) and page is not None and not dialog.findChildren(QShortcut, "help"):
            for keys in self._navigator.book.shortcuts(self._navigator.book.table["help.manual"]):
                shortcut = QShortcut(QKeySequence(keys), dialog)
                shortcut.setObjectName("help")
                shortcut.activated.connect(partial(self._show, dialog, page))

    def _show(self, dialog: QDialog, page: str) -> None:
        window = next(iter(dialog.findChildren(ManualWindow)), None)
        if window is None:
            window = ManualWindow(manual(), partial(words_of, self._navigator.book), dialog)
        window.open_page(page)
        window.show()
        window.raise_()
        window.activateWindow()


def words_of(book: ActionBook, action_id: str) -> str:
    """Where in the menus an action stands and its keys now, as Markdown; "" if there is none of this name."""
    try:
        entry = book.table[action_id]
    except KeyError:
        return ""
    path = [*entry.menu.split("/"), entry.text.rstrip("…")] if entry.menu else [entry.text.rstrip("…")]
    keys = book.native_keys(entry, " or ")
    return f"**{' › '.join(path)}**" + (f" ({keys})" if keys else "")
