"""Views of a slide that a user wants to come back to."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QInputDialog,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QPushButton,
    QStackedLayout,
    QToolButton,
    QWidget,
)

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import with_slide
from microscope_qc.app.base import theme
from microscope_qc.app.base.signals import link
from microscope_qc.app.canvas.view import View
from microscope_qc.app.panels.spec import PanelSpec
from microscope_qc.app.widgets.delete_key import DeleteKey
from microscope_qc.app.widgets.parts import EmptyPage, column_of
from microscope_qc.core.wording import place_text, zoom_text
from microscope_qc.project.parts.bookmarks import LONGEST_NAME, Bookmark

if TYPE_CHECKING:
    from microscope_qc.app.context import Context
    from microscope_qc.app.session.session import Session

MENU = "View/Bookmarks"
IN_MENU = 30
"""Number of bookmarks in the menu; the panel lists all."""


class BookmarksDock(QWidget):
    """Lists the bookmarks of the slide on screen.

    ``chosen`` carries the :class:`Bookmark` to go to; ``add_requested`` asks to keep the view on screen.
    """

    chosen = Signal(object)
    add_requested = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("bookmarks")
        self._session, self._view = session, session.slide_view
        self._deleted: tuple[int, Bookmark] | None = None
        self.empty = EmptyPage()
        self.items = QListWidget()
        self.items.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.items.setEditTriggers(QListWidget.EditTrigger.EditKeyPressed)
        DeleteKey(self.items, self.delete_current)
        self.add = QPushButton(theme.icon("bookmark-plus-outline"), "Add this view…")
        self.rename, self.delete = QToolButton(), QToolButton()
        for button, icon, tip in (
            (self.rename, "pencil-outline", "Rename (F2)"),
            (self.delete, "delete-outline", "Delete (Del)"),
        ):
            button.setIcon(theme.icon(icon))
            button.setToolTip(tip)
        self.put_back = QPushButton()
        self.put_back.hide()
        row = QHBoxLayout()
        row.setSpacing(theme.STEP // 2)
        row.addWidget(self.add, 1)
        row.addWidget(self.rename)
        row.addWidget(self.delete)
        page = QWidget()
        column = column_of(self.items, self.put_back, row)
        column.setContentsMargins(0, 0, 0, 0)
        for layout in (row,):
            layout.setContentsMargins(theme.STEP, 0, theme.STEP, theme.STEP)
        page.setLayout(column)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self.empty)
        self._stack.addWidget(page)
        self.items.itemActivated.connect(self._on_activated)
        self.items.itemClicked.connect(self._on_activated)
        self.items.itemChanged.connect(self._on_renamed)
        self.items.currentRowChanged.connect(lambda _row: self._enable())
        self.add.clicked.connect(self.add_requested)
        self.empty.button.clicked.connect(self.add_requested)
        self.rename.clicked.connect(lambda: self.items.editItem(self.items.currentItem()))
        self.delete.clicked.connect(self.delete_current)
        self.put_back.clicked.connect(self._on_put_back)
        self._view.bookmarks_changed.connect(self._fill)
        link(self, session.slide_changed, self._forget_deleted)
        link(self, session.slides_changed, self._fill)  # another pixel size
        self._fill()

    def _forget_deleted(self) -> None:
        self._deleted = None
        self._fill()

    def _fill(self) -> None:
        bookmarks, row = self._view.bookmarks, self.items.currentRow()
        self.items.blockSignals(True)
        self.items.clear()
        for place, bookmark in enumerate(bookmarks, start=1):
            item = QListWidgetItem(bookmark.name)
            item.setIcon(theme.icon(f"numeric-{place}-circle-outline" if place <= 9 else "bookmark-outline"))
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
            item.setToolTip(f"{place}  {bookmark.name}\n{self.words_of(bookmark)}")
            self.items.addItem(item)
        if bookmarks:
            self.items.setCurrentRow(min(max(row, 0), len(bookmarks) - 1))
        self.items.blockSignals(False)
        if self._session.slide is None:
            self.empty.say("Views of a slide that you want to come back to are listed here.")
        else:
            self.empty.say("Views that you want to come back to are listed here.", "Add this view…")
        self._stack.setCurrentIndex(1 if bookmarks or self._deleted else 0)
        self.put_back.setVisible(self._deleted is not None)
        if self._deleted is not None:
            self.put_back.setText(f"Restore “{self._deleted[1].name}”")
        self._enable()

    def _enable(self) -> None:
        for button in (self.rename, self.delete):
            button.setEnabled(self.items.currentRow() >= 0)

    def words_of(self, bookmark: Bookmark) -> str:
        """Position and zoom of a bookmark."""
        place = place_text(bookmark.y, bookmark.x, self._session.pixel_size_um)
        return f"{place}, {zoom_text(bookmark.zoom * self.devicePixelRatioF())}"

    def _on_activated(self, item: QListWidgetItem) -> None:
        self.chosen.emit(self._view.bookmarks[self.items.row(item)])

    def _on_renamed(self, item: QListWidgetItem) -> None:
        row, name = self.items.row(item), item.text().strip()
        if name:
            self._view.rename_bookmark(row, name)
        else:
            self._fill()

    def delete_current(self) -> None:
        """Delete the selected bookmark; a button restores it."""
        row = self.items.currentRow()
        if row >= 0:
            self._deleted = row, self._view.bookmarks[row]
            self._view.delete_bookmark(row)

    def _on_put_back(self) -> None:
        if self._deleted is not None:
            (row, bookmark), self._deleted = self._deleted, None
            self._view.restore_bookmark(row, bookmark)


def add_bookmark(context: Context) -> None:
    """Save the view on screen under a name."""
    view, kept = context.canvas.view, context.session.slide_view
    proposal = f"Place {len(kept.bookmarks) + 1}"
    name, accepted = QInputDialog.getText(context.navigator.window, "Add bookmark", "Name of this view", text=proposal)
    if accepted:
        place = kept.add_bookmark(Bookmark(name.strip()[:LONGEST_NAME] or proposal, view.y, view.x, view.zoom))
        context.session.notice.emit(f"Bookmark {place + 1}: {kept.bookmarks[place].name}")


def go_to_bookmark(context: Context, bookmark: Bookmark) -> None:
    """Show the view of a bookmark."""
    canvas = context.canvas
    context.navigator.show_canvas()
    view = canvas.view
    canvas.set_view(View(bookmark.y, bookmark.x, bookmark.zoom, view.width, view.height))
    canvas.setFocus()


def fill_menu(context: Context, menu: QMenu, fixed: int) -> None:
    """List the bookmarks below the first ``fixed`` entries of a menu."""
    for action in menu.actions()[fixed:]:
        menu.removeAction(action)
    bookmarks = context.session.slide_view.bookmarks
    if bookmarks:
        menu.addSeparator()
    for place, bookmark in enumerate(bookmarks[:IN_MENU], start=1):
        words = f"{'&' if place <= 9 else ''}{place}  {bookmark.name.replace('&', '&&')}"
        menu.addAction(words, partial(go_to_bookmark, context, bookmark))


def _make(context: Context, parent: QWidget) -> QWidget:
    dock = BookmarksDock(context.session, parent)
    dock.add_requested.connect(lambda: context.navigator.trigger("bookmark.add"))
    dock.chosen.connect(partial(go_to_bookmark, context))
    return dock


def _open(context: Context) -> None:
    context.navigator.show_panel("bookmarks")


ACTIONS = (
    Action(
        "bookmark.add",
        "Add bookmark…",
        MENU,
        add_bookmark,
        ("Ctrl+B",),
        "bookmark-plus-outline",
        when=with_slide,
        group=1,
        tooltip="Saves the view on screen under a name",
    ),
    Action("bookmark.list", "Bookmarks", MENU, _open, (), "bookmark-multiple-outline", when=with_slide, group=1),
)
PANEL = PanelSpec(
    "bookmarks", "Bookmarks", "bookmark-multiple-outline", "left", _make, tab_with="slides", actions=ACTIONS
)
