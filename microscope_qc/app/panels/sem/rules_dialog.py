"""Rules from composition to class in one window, tested at once against what the project holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.panels.sem.rules_model import CONDITION, NEW, RulesModel
from microscope_qc.app.panels.sem.tables import fit_table, plain_table
from microscope_qc.app.widgets.parts import note
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.wording import things
from microscope_qc.correlation.conditions import HOW
from microscope_qc.correlation.edx_rules import (
    SUFFIX,
    EdxRule,
    EdxRules,
    coating_in,
    load_rules,
    save_rules,
    shipped_rules,
)

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session

FILES = f"Rules (*{SUFFIX});;All files (*)"


class RulesDialog(QDialog):
    """Shows and changes the rules of the open project; they are stored with “Keep”.

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
        self.setObjectName("edxRules")
        self.setWindowTitle("Rules from composition to class")
        self._session, self._project = session, session.project
        self._ask_open = ask_open or (lambda: QFileDialog.getOpenFileName(self, "Rules", "", FILES)[0])
        self._ask_save = ask_save or (lambda: QFileDialog.getSaveFileName(self, "Save rules", "", FILES)[0])
        self.model, self.table = RulesModel(self._count, self), QTableView()
        self.coating, self.words = QLineEdit(), note()
        self.add, self.remove = QPushButton(theme.icon("plus"), "Add"), QPushButton("Remove")
        self.up, self.down = QPushButton("Earlier"), QPushButton("Later")
        self.load, self.save, self.ours = (
            QPushButton("Load…"),
            QPushButton("Save as…"),
            QPushButton("Rules of the program"),
        )
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.keep = self.buttons.addButton("Keep", QDialogButtonBox.ButtonRole.AcceptRole)
        self._lay_out()
        self._connect()
        self._begin()

    def _lay_out(self) -> None:
        self.table.setModel(self.model)
        plain_table(self.table)
        self.coating.setPlaceholderText("none")
        self.coating.setToolTip("Elements of a coating: they are left out, and the rest is scaled to 100 %")
        form = QFormLayout()
        form.setHorizontalSpacing(2 * theme.STEP)
        form.addRow("Coating to leave out", self.coating)
        acts = QHBoxLayout()
        for button in (self.add, self.remove, self.up, self.down, self.load, self.save, self.ours):
            button.setAutoDefault(False)
            acts.addWidget(button)
        acts.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP)
        column.addWidget(
            note(
                f"The first rule that holds proposes its class; nothing is changed by itself. {HOW} Keeping rules is a "
                "step of the history: undo takes it back."
            )
        )
        column.addLayout(form)
        column.addWidget(self.table)
        column.addLayout(acts)
        column.addWidget(self.words)
        column.addStretch(1)
        column.addWidget(self.buttons)
        self.resize(900, 560)

    def _connect(self) -> None:
        self.model.edited.connect(self._show)
        self.model.refused.connect(lambda words: self._say(words, error=True))
        self.coating.textEdited.connect(lambda _text: self._on_coating_edited())
        self.add.clicked.connect(self._on_add_clicked)
        self.remove.clicked.connect(self._on_remove_clicked)
        self.up.clicked.connect(lambda: self._move(-1))
        self.down.clicked.connect(lambda: self._move(1))
        self.load.clicked.connect(self._on_load_clicked)
        self.save.clicked.connect(self._on_save_clicked)
        self.ours.clicked.connect(lambda: self._take(shipped_rules()))
        self.buttons.accepted.connect(self._on_keep_clicked)
        self.buttons.rejected.connect(self.reject)

    def _begin(self) -> None:
        from microscope_qc.workflows.stage.edx_classes import rules_of

        try:
            self._take(shipped_rules() if self._project is None else rules_of(self._project))
        except MicroscopeQCError as error:
            self._take(shipped_rules())
            self._say(str(error), error=True)

    @property
    def rules(self) -> EdxRules:
        """The rules as they stand in the window.

        Raises
        ------
        InputError
            When the coating is none of elements.
        """
        return EdxRules(tuple(self.model.rules), coating_in(self.coating.text()))

    def _count(self, rules: Sequence[EdxRule]) -> list[int]:
        from microscope_qc.workflows.stage.edx_classes import counts

        try:
            coating = coating_in(self.coating.text())
        except MicroscopeQCError:
            coating = ()
        return [0] * len(rules) if self._project is None else counts(self._project, EdxRules(tuple(rules), coating))[0]

    def _take(self, rules: EdxRules) -> None:
        self.coating.setText(", ".join(rules.coating))
        self.model.show(rules.rules)
        fit_table(self.table, rows=(6, 16))
        self._show()

    def _show(self) -> None:
        measured = 0 if self._project is None else len(self._project.measurements.compositions)
        self._say(f"{things(measured, 'finding')} of this project measured.")
        self.keep.setEnabled(self._session.can_write)

    def _say(self, words: str, *, error: bool = False) -> None:
        theme.mark_error(self.words, error)
        self.words.setText(words)

    def _on_coating_edited(self) -> None:
        try:
            coating_in(self.coating.text())
        except MicroscopeQCError as error:
            self._say(str(error), error=True)
            self.keep.setEnabled(False)
            return
        self.model.count_again()
        self._show()

    def _on_add_clicked(self) -> None:
        self.model.show([*self.model.rules, NEW])
        index = self.model.index(len(self.model.rules) - 1, CONDITION)
        self.table.setCurrentIndex(index)
        self.table.scrollTo(index)
        self.table.edit(index)

    def _on_remove_clicked(self) -> None:
        place = self.table.currentIndex().row()
        if 0 <= place < len(self.model.rules):
            self.model.show([rule for n, rule in enumerate(self.model.rules) if n != place])
            self._show()

    def _move(self, by: int) -> None:
        place = self.table.currentIndex().row()
        if 0 <= place < len(self.model.rules):
            self.table.selectRow(self.model.move(place, by))

    def _on_load_clicked(self) -> None:
        if chosen := self._ask_open():
            try:
                self._take(load_rules(Path(chosen)))
            except MicroscopeQCError as error:
                self._say(str(error), error=True)

    def _on_save_clicked(self) -> None:
        if chosen := self._ask_save():
            try:
                self._say(f"Written: {save_rules(Path(chosen), self.rules)}")
            except MicroscopeQCError as error:
                self._say(str(error), error=True)

    def _on_keep_clicked(self) -> None:
        from microscope_qc.workflows.stage.edx_classes import keep_rules

        if self._project is None or self._session.project is not self._project:
            self.reject()
            return
        try:
            keep_rules(self._project, self.rules)
        except MicroscopeQCError as error:
            self._say(str(error), error=True)
            return
        self.accept()
