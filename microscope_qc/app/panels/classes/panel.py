"""Classes of the project: colour, code, name, key and number of shown findings; the last row adds a class.

Where classes have groups they stand below headings, with the number of shown findings of the group.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QPoint, QSize, Qt, Signal
from qtpy.QtGui import QBrush, QColor
from qtpy.QtWidgets import (
    QColorDialog,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QMenu,
    QToolButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.panels.classes.manager import delete_class
from microscope_qc.app.widgets.class_chip import chip_icon, short_key, suggest_code
from microscope_qc.app.widgets.gating import allow
from microscope_qc.app.widgets.scope_switch import ScopeSwitch
from microscope_qc.core.class_colours import next_colour
from microscope_qc.core.defect_class import grouped
from microscope_qc.core.wording import count_text, things

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session
    from microscope_qc.core.defect_class import DefectClass

KEY, CODE, NAME, COUNT = range(4)
GROUP = Qt.ItemDataRole.UserRole + 1
"""Name of the group that a heading stands for; None in the row of a class."""


class ClassesDock(QWidget):
    """A click chooses the class to draw with; a double-click edits.

    ``manage_requested`` asks for the class manager, at a class or at none (0).
    """

    manage_requested = Signal(int)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.tree = QTreeWidget()
        self.tree.setColumnCount(4)
        self.tree.setHeaderHidden(True)
        self.tree.setRootIsDecorated(False)
        self.tree.setIndentation(0)
        self.tree.setUniformRowHeights(True)
        self.tree.setIconSize(QSize(14, 14))
        self.tree.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header = self.tree.header()
        if header is not None:
            header.setMinimumSectionSize(20)
            header.setStretchLastSection(False)
            header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
            for place in (KEY, CODE, COUNT):
                header.setSectionResizeMode(place, QHeaderView.ResizeMode.ResizeToContents)
        self.tree.currentItemChanged.connect(self._on_current_item_changed)
        self.tree.itemDoubleClicked.connect(self._on_item_double_clicked)
        self.tree.customContextMenuRequested.connect(self._on_menu_requested)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.scope = ScopeSwitch(session)
        column.addWidget(self.scope)
        column.addWidget(self.tree, 1)
        column.addLayout(self._new_row())
        self._due = Refresh(self, self._count, after_ms=100)
        for signal in (session.classes_changed, session.project_changed, theme.SWITCH.switched):
            link(self, signal, self._fill)
        for signal in (session.scoped.changed, session.filter_changed, session.slide_changed):
            link(self, signal, self._due.soon)
        link(self, session.draw_class_changed, self._on_draw_class_changed)
        self._fill()

    def sizeHint(self) -> QSize:
        """Qt: ten classes without scrolling."""
        return QSize(232, 320)

    def _new_row(self) -> QHBoxLayout:
        self.new_name = QLineEdit()
        self.new_name.setPlaceholderText("New class name")
        self.new_code = QLineEdit()
        self.new_code.setPlaceholderText("Code")
        self.new_code.setFixedWidth(56)
        self.new_code.setMaxLength(12)
        self.new_colour = QToolButton()
        self.new_colour.setToolTip("Colour")
        self.new_colour.clicked.connect(self._on_colour_clicked)
        self._chosen_colour = ""
        self.add_button = QToolButton()
        self.add_button.setIcon(theme.icon("plus"))
        self.add_button.setToolTip("Add the class")
        self.add_button.clicked.connect(self.add)
        self.new_name.textChanged.connect(self._on_new_name_changed)
        self.new_name.returnPressed.connect(self.add)
        self.new_code.returnPressed.connect(self.add)
        for line in (self.new_name, self.new_code):
            line.installEventFilter(self)
        row = QHBoxLayout()
        row.setContentsMargins(theme.STEP, theme.STEP, theme.STEP, theme.STEP)
        row.setSpacing(theme.STEP // 2)
        row.addWidget(self.new_name, 1)
        self.manage_button = QToolButton()
        self.manage_button.setIcon(theme.icon("cog-outline"))
        self.manage_button.setToolTip("Manage classes: rename, merge, recolour, reorder; class sets")
        self.manage_button.clicked.connect(lambda: self.manage_requested.emit(0))
        for widget in (self.new_code, self.new_colour, self.add_button, self.manage_button):
            row.addWidget(widget)
        self._show_new_fields("")
        return row

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: refresh the free colour when the user begins a new class."""
        if event.type() == QEvent.Type.FocusIn:
            self._show_colour()
        return False

    # -- the list ----------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        self.tree.blockSignals(True)
        self.tree.clear()
        groups = grouped(self._session.classes)
        for group, classes in groups.items():
            above = self._heading(group) if any(groups) else self.tree.invisibleRootItem()
            above.addChildren([_class_row(item) for item in classes])
        self.tree.expandAll()
        self.tree.blockSignals(False)
        self._on_draw_class_changed(self._session.draw_class_id)
        self._show_colour()
        self._due.now()
        allow(self._session, self.new_name, self.new_code, self.new_colour, self.add_button)
        self.manage_button.setEnabled(self._session.project is not None)

    def _heading(self, group: str) -> QTreeWidgetItem:
        heading = QTreeWidgetItem()
        heading.setData(0, GROUP, group or "Without a group")
        heading.setFlags(Qt.ItemFlag.ItemIsEnabled)
        font = heading.font(0)
        font.setBold(True)
        heading.setFont(0, font)
        heading.setForeground(0, QBrush(QColor(theme.current().quiet)))
        self.tree.addTopLevelItem(heading)
        heading.setFirstColumnSpanned(True)
        return heading

    def rows(self) -> Iterator[QTreeWidgetItem]:
        """The rows of the classes, from top to bottom, without headings."""
        for place in range(self.tree.topLevelItemCount()):
            top = self.tree.topLevelItem(place)
            if top is not None and top.data(0, GROUP) is None:
                yield top
            elif top is not None:
                yield from filter(None, map(top.child, range(top.childCount())))

    def _count(self) -> None:
        shown, where = self._session.scoped.shown.class_counts(), self._session.scope.words
        of_group: dict[str, int] = {}
        for row in self.rows():
            count = shown.get(row.data(0, Qt.ItemDataRole.UserRole), 0)
            row.setText(COUNT, count_text(count) if count else "")
            row.setToolTip(COUNT, f"{things(count, 'finding')} shown on {where}")
            if (heading := row.parent()) is not None:
                of_group[heading.data(0, GROUP)] = of_group.get(heading.data(0, GROUP), 0) + count
        for place in range(self.tree.topLevelItemCount()):
            heading = self.tree.topLevelItem(place)
            if heading is not None and (group := heading.data(0, GROUP)) is not None:
                heading.setText(0, f"{group}   {count_text(of_group[group])}" if of_group.get(group) else group)

    def _on_draw_class_changed(self, class_id: int) -> None:
        self.tree.blockSignals(True)
        for row in self.rows():
            if row.data(0, Qt.ItemDataRole.UserRole) == class_id:
                self.tree.setCurrentItem(row)
        self.tree.blockSignals(False)

    def _on_current_item_changed(self, row: QTreeWidgetItem | None, _before: object) -> None:
        if row is not None and row.data(0, GROUP) is None:
            self._session.set_draw_class(int(row.data(0, Qt.ItemDataRole.UserRole)))

    def _on_item_double_clicked(self, row: QTreeWidgetItem, _column: int) -> None:
        if row.data(0, GROUP) is None:
            self.manage_requested.emit(int(row.data(0, Qt.ItemDataRole.UserRole)))

    def _on_menu_requested(self, place: QPoint) -> None:
        row = self.tree.itemAt(place)
        if row is None or row.data(0, GROUP) is not None:
            return
        class_id = int(row.data(0, Qt.ItemDataRole.UserRole))
        menu = QMenu(self)
        menu.addAction(theme.icon("pencil-outline"), "Edit…", lambda: self.manage_requested.emit(class_id))
        menu.addAction(theme.icon("select-all"), "Select its findings", lambda: self._select(class_id))
        delete = menu.addAction(
            theme.icon("delete-outline"), "Delete…", lambda: delete_class(self._session, class_id, self)
        )
        if delete is not None:
            delete.setEnabled(self._session.can_write)
        viewport = self.tree.viewport()
        menu.exec((viewport or self.tree).mapToGlobal(place))

    def _select(self, class_id: int) -> None:
        scoped = self._session.scoped
        rows = scoped.table.rows
        self._session.selection.set(rows["id"][(rows["class_id"] == class_id) & scoped.shown.mask()])

    # -- changing classes --------------------------------------------------------------------------------------------

    def add(self) -> None:
        """Add the class of the row at the bottom."""
        project = self._session.project
        name = self.new_name.text().strip()
        code = self.new_code.text().strip() or suggest_code(name, {item.code for item in self._session.classes})
        if project is None or not code:
            self.new_name.setFocus()
            return
        colour = self._chosen_colour or next_colour([item.colour for item in self._session.classes])
        made = project.classes.add(code, name=name or code, colour=colour)
        self.new_name.clear()
        self.new_code.clear()
        self._chosen_colour = ""
        self._session.set_draw_class(made.id)
        key = f", key {made.key}" if made.key else ""
        self._session.notice.emit(f"Class {made.code} added{key}.")

    def _show_new_fields(self, name: str) -> None:
        """Show code and colour of a new class only while it is being named."""
        for widget in (self.new_code, self.new_colour):
            widget.setVisible(bool(name))
        self.manage_button.setVisible(not name)

    def _on_new_name_changed(self, name: str) -> None:
        self._show_new_fields(name)
        taken = {item.code for item in self._session.classes}
        self.new_code.setPlaceholderText(suggest_code(name, taken) or "Code")

    def _on_colour_clicked(self) -> None:
        colour = QColorDialog.getColor(QColor(self._colour()), self, "Colour of the new class")
        if colour.isValid():
            self._chosen_colour = colour.name()
            self._show_colour()

    def _colour(self) -> str:
        return self._chosen_colour or next_colour([item.colour for item in self._session.classes])

    def _show_colour(self) -> None:
        self.new_colour.setIcon(chip_icon(self._colour()))


def _class_row(item: DefectClass) -> QTreeWidgetItem:
    row = QTreeWidgetItem([short_key(item.key), item.code, item.name, ""])
    row.setData(0, Qt.ItemDataRole.UserRole, item.id)
    row.setToolTip(KEY, f"Key {item.key}" if item.key else "No key; the class manager gives one")
    row.setIcon(CODE, chip_icon(item.colour))
    row.setToolTip(NAME, f"{item.code}  {item.name}\n{item.description}".strip())
    row.setTextAlignment(COUNT, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    row.setForeground(KEY, QBrush(QColor(theme.current().quiet)))
    return row
