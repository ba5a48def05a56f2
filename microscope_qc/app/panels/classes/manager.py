"""Everything about the classes of a project in one window: every change is saved at once and is one undo step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QHideEvent, QKeySequence, QShowEvent
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.base.signals import link
from microscope_qc.app.panels.classes.dialogs import DeleteClassDialog, MergeDialog
from microscope_qc.app.panels.classes.example import ExampleField
from microscope_qc.app.panels.classes.form import ClassColumn, ClassForm
from microscope_qc.app.panels.classes.list import ClassList
from microscope_qc.app.widgets.class_chip import suggest_code
from microscope_qc.app.widgets.gating import allow
from microscope_qc.app.widgets.parts import EmptyPage
from microscope_qc.core.class_sets import SUFFIX, load_class_set, save_class_set
from microscope_qc.core.defect_class import CLASS_SETS, DefectClass
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.wording import things

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session

SET_TITLES = {"li-ion": "Li-ion cross-sections", "patches": "Patches", "magnet": "Sintered magnets"}
COUNT_MS = 250


class ClassManager(QDialog):
    """List, fields and example of the classes; it stays open next to the slide and follows undo.

    Parameters
    ----------
    ask_open, ask_save
        Replace the file dialogs in tests: each returns a path, "" for none.
    """

    def __init__(
        self,
        session: Session,
        parent: QWidget | None = None,
        *,
        ask_open: Callable[[], str] | None = None,
        ask_save: Callable[[], str] | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("classManager")
        self.setWindowTitle("Classes")
        self._session = session
        self._ask_open = ask_open or self._ask_open_dialog
        self._ask_save = ask_save or self._ask_save_dialog
        self._counts: dict[int, int] = {}
        self.list = ClassList()
        self.form = ClassForm()
        self.example = ExampleField(session)
        self.reason = QLabel()
        self.reason.setWordWrap(True)
        self.empty = EmptyPage()
        self.empty.say("No classes yet.\nAdd one, or load a class set.", "Add a class")
        self.several = QLabel()
        self.several.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.several.setWordWrap(True)
        self.pages = QStackedWidget()
        self.column = ClassColumn(self.form, self.example)
        for page in (self.empty, self.column, self.several):
            self.pages.addWidget(page)
        self._build_buttons()
        self._lay_out()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(COUNT_MS)
        self._soon.timeout.connect(self._count)
        self.list.itemSelectionChanged.connect(self._show_chosen)
        self.list.reordered.connect(self._on_reordered)
        self.form.edited.connect(self._on_edited)
        self.example.chosen.connect(lambda box_id: self._on_edited({"example_box": box_id}))
        self.empty.button.clicked.connect(self.add)
        for signal in (session.classes_changed, session.project_changed):
            link(self, signal, self.refresh)
        for signal in (session.boxes_changed, session.history_changed):
            link(self, signal, self._on_boxes_changed)
        for signal in (session.slide_changed, session.mosaic_changed, session.selection.changed):
            link(self, signal, self.example.refresh)
        link(self, session.history_changed, self._show_undo)
        self.refresh()

    def _build_buttons(self) -> None:
        self.add_button = self._button("Add", "plus", self.add, "Add a class at the end")
        self.up = self._button("", "arrow-up", partial(self.list.move_by, -1), "Move up (rows can also be dragged)")
        self.down = self._button("", "arrow-down", partial(self.list.move_by, 1), "Move down")
        self.merge_button = self._button("Merge…", "call-merge", self.merge, "Make one class of several")
        self.delete_button = self._button("Delete…", "delete-outline", self.delete, "")
        for button in (self.up, self.down):
            button.setFixedWidth(34)
            button.setStyleSheet("padding: 5px 4px;")
        self.sets = self._button("Class sets", "shape-plus-outline", None, "")
        menu = QMenu(self.sets)
        for name, classes in CLASS_SETS.items():
            codes = ", ".join(item.code for item in classes)
            action = menu.addAction(
                f"Add {SET_TITLES.get(name, name)} ({len(classes)})", partial(self.take, classes, SET_TITLES[name])
            )
            action.setToolTip(codes)
        menu.setToolTipsVisible(True)
        menu.addSeparator()
        self._load_action = menu.addAction(theme.icon("folder-open-outline"), "Add from a file…", self.load)
        self._save_action = menu.addAction(theme.icon("content-save-outline"), "Save these classes…", self.save)
        self.sets.setMenu(menu)
        self.undo = self._button("Undo", "undo", self._session.undoing.undo, "")
        self.redo = self._button("Redo", "redo", self._session.undoing.redo, "")
        self.undo.setShortcut(QKeySequence(QKeySequence.StandardKey.Undo))
        self.redo.setShortcut(QKeySequence("Ctrl+Shift+Z"))

    def _button(self, text: str, icon: str, clicked: Callable[..., object] | None, tip: str) -> QPushButton:
        button = QPushButton(theme.icon(icon), text)
        button.setAutoDefault(False)
        button.setToolTip(tip)
        if clicked is not None:
            button.clicked.connect(lambda _checked=False: self._saying(clicked))
        return button

    def _lay_out(self) -> None:
        below = QHBoxLayout()
        below.setSpacing(theme.STEP // 2)
        for button in (self.add_button, self.up, self.down, self.merge_button, self.delete_button):
            below.addWidget(button)
        below.addStretch(1)
        below.addWidget(self.sets)
        left = QVBoxLayout()
        left.setSpacing(theme.STEP)
        left.addWidget(self.list, 1)
        left.addLayout(below)
        line = QFrame()
        line.setFrameShape(QFrame.Shape.VLine)
        line.setProperty("line", True)
        middle = QHBoxLayout()
        middle.setSpacing(2 * theme.STEP)
        middle.addLayout(left, 5)
        middle.addWidget(line)
        middle.addWidget(self.pages, 4)
        hint = QLabel("Every change is saved at once; undo reverts it.")
        hint.setProperty("quiet", True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.close)
        buttons.button(QDialogButtonBox.StandardButton.Close).setAutoDefault(False)
        last = QHBoxLayout()
        last.setSpacing(theme.STEP)
        last.addWidget(self.undo)
        last.addWidget(self.redo)
        last.addWidget(hint, 1)
        last.addWidget(buttons)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP)
        whole.setSpacing(2 * theme.STEP)
        whole.addWidget(self.reason)
        whole.addLayout(middle, 1)
        whole.addLayout(last)
        self.list.setMinimumWidth(430)
        self.pages.setMinimumWidth(380)
        self.resize(920, 560)

    # -- showing -----------------------------------------------------------------------------------------------------

    def show_class(self, class_id: int) -> None:
        """Show the fields of a class."""
        self.list.choose([class_id], current=class_id)
        self._show_chosen()

    def refresh(self) -> None:
        """Show the current classes."""
        project = self._session.project
        self._counts = {} if project is None else project.classes.box_counts()
        self.list.show_classes(self._session.classes, self._counts)
        self._show_chosen()
        self._show_undo()

    def _on_boxes_changed(self, *_: object) -> None:
        if self.isVisible() and not self._soon.isActive():
            self._soon.start()

    def showEvent(self, event: QShowEvent) -> None:
        """Qt: update the counts that changed while it was closed."""
        super().showEvent(event)
        self.refresh()

    def hideEvent(self, event: QHideEvent) -> None:
        """Qt: stop counting."""
        self._soon.stop()
        super().hideEvent(event)

    def _count(self) -> None:
        project = self._session.project
        self._counts = {} if project is None else project.classes.box_counts()
        self.list.show_counts(self._counts)
        self.example.refresh()

    def _show_chosen(self) -> None:
        chosen, current = self.list.chosen_ids(), self.list.current_id()
        before = self.form.item
        if before is not None and before.id != current and any(item.id == before.id for item in self._session.classes):
            self._saying(self.form.keep)
        if not self._session.classes:
            self.pages.setCurrentWidget(self.empty)
        elif len(chosen) > 1:
            findings = things(sum(self._counts.get(number, 0) for number in chosen), "finding")
            self.several.setText(f"{len(chosen)} classes with {findings}.\nMerge makes one class of them.")
            self.pages.setCurrentWidget(self.several)
        elif current is not None:
            item = self._session.class_of(current)
            self.form.show_class(item, self._session.classes)
            self.example.show_class(item)
            self.pages.setCurrentWidget(self.column)
        self._enable()

    def _enable(self) -> None:
        session, chosen = self._session, self.list.chosen_ids()
        writing = allow(session, self.add_button, self.form, self.empty.button)
        reason = session.why_not_write()
        self.reason.setText(reason)
        self.reason.setVisible(bool(reason))
        order = self.list.order()
        nothing = "" if chosen else "Choose a class first."
        allow(session, self.up, unless=nothing or ("It is the first." if chosen == order[: len(chosen)] else ""))
        allow(session, self.down, unless=nothing or ("It is the last." if chosen == order[-len(chosen) :] else ""))
        allow(session, self.merge_button, unless="" if len(order) > 1 else "There is only one class.")
        allow(session, self.delete_button, unless="" if len(chosen) == 1 else "Choose one class.")
        self.list.setDragEnabled(writing)
        self.sets.setEnabled(session.project is not None)
        menu = self.sets.menu()
        for action in menu.actions():
            action.setEnabled(writing or action is self._save_action)
        self._save_action.setEnabled(bool(session.classes))

    def _show_undo(self) -> None:
        project = self._session.project
        undo = project.history.undo_title if project is not None and project.history.can_undo else ""
        redo = project.history.redo_title if project is not None and project.history.can_redo else ""
        for button, title, verb in ((self.undo, undo, "Undo"), (self.redo, redo, "Redo")):
            button.setEnabled(bool(title))
            button.setToolTip(f"{verb}: {title}" if title else f"Nothing to {verb.lower()}.")

    # -- changing ----------------------------------------------------------------------------------------------------

    def add(self) -> None:
        """Add a class and start editing its name."""
        project = self._session.project
        if project is None:
            return
        taken = {item.code for item in self._session.classes}
        made = project.classes.add(suggest_code("New", taken), name="New class")
        self.show_class(made.id)
        self.form.name.setFocus()
        self.form.name.selectAll()

    def delete(self) -> None:
        """Delete the chosen class; if it has findings, ask what to do with them."""
        class_id = self.list.current_id()
        if class_id is not None:
            delete_class(self._session, class_id, self)

    def merge(self) -> None:
        """Make one class of the chosen ones; with only one chosen, say how to choose more."""
        project, chosen = self._session.project, self.list.chosen_ids()
        if project is None:
            return
        if len(chosen) < 2:
            self._session.notice.emit("Choose the classes to merge: Ctrl-click adds one.")
            self.several.setText("Choose the classes to merge in the list:\nCtrl-click adds one.")
            self.pages.setCurrentWidget(self.several)
            return
        dialog = MergeDialog(self._session, chosen, project.classes.box_counts(), self)
        if dialog.exec():
            target = dialog.target_id()
            project.classes.merge(chosen, target, carry_out=self._session.writing.carry_out)
            self.show_class(target)

    def take(self, classes: tuple[DefectClass, ...], title: str) -> None:
        """Add the classes of a set that the project lacks."""
        project = self._session.project
        if project is None:
            return
        have = {item.code for item in self._session.classes}
        missing = [item.code for item in classes if item.code not in have]
        if not missing:
            self._session.notice.emit(f"All classes of {title} are already here.")
            return
        self._saying(lambda: project.classes.take(classes, title=f"Add class set {title}"))
        rest = len(classes) - len(missing)
        self._session.notice.emit(
            f"{things(len(missing), 'class', 'classes')} added" + (f"; {rest} were already here." if rest else ".")
        )

    def load(self) -> None:
        """Add classes from a file."""
        chosen = self._ask_open()
        if chosen:
            self._saying(lambda: self.take(load_class_set(chosen), Path(chosen).name.removesuffix(SUFFIX)))

    def save(self) -> None:
        """Write the classes into a file for other projects."""
        chosen = self._ask_save()
        if chosen:
            self._saying(
                lambda: self._session.notice.emit(f"Written: {save_class_set(chosen, self._session.classes).name}")
            )

    def _ask_open_dialog(self) -> str:
        return QFileDialog.getOpenFileName(self, "Add classes from a file", "", f"Class sets (*{SUFFIX} *.json)")[0]

    def _ask_save_dialog(self) -> str:
        return QFileDialog.getSaveFileName(self, "Save these classes", f"classes{SUFFIX}", f"Class sets (*{SUFFIX})")[0]

    def _on_reordered(self, order: list[int]) -> None:
        project = self._session.project
        if project is not None:
            self._saying(lambda: project.classes.reorder(order))

    def _on_edited(self, fields: dict[str, Any]) -> None:
        project, item = self._session.project, self.form.item
        if project is None or item is None:
            return
        if self._saying(lambda: project.classes.edit(item.id, **fields)):
            holder = next((c for c in self._session.classes if c.id == item.id), None)
            if "key" in fields and holder is not None and fields["key"]:
                self._session.notice.emit(f"Key {fields['key']} is {holder.code} now.")
        else:
            self.form.show_class(self._session.class_of(item.id), self._session.classes)

    def _saying(self, change: Callable[..., object]) -> bool:
        """Make a change; errors that the user can correct are shown in this window. Returns whether it was made."""
        try:
            change()
        except MicroscopeQCError as error:
            theme.mark_error(self.reason)
            self.reason.setText(str(error))
            self.reason.show()
            return False
        if self._session.can_write:
            self.reason.hide()
        return True


def delete_class(session: Session, class_id: int, parent: QWidget) -> None:
    """Delete a class; if it has findings, ask what to do with them."""
    project = session.project
    if project is None or project.read_only:
        return
    count = project.classes.box_counts().get(class_id, 0)
    if count == 0:
        project.classes.delete(class_id, carry_out=session.writing.carry_out)
        return
    dialog = DeleteClassDialog(session.class_of(class_id), count, session.classes, parent)
    if dialog.exec():
        project.classes.delete(class_id, move_to=dialog.move_to(), carry_out=session.writing.carry_out)
