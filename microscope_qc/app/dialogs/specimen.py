"""What is known of the specimens on one slide or several, as a form."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QCompleter,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QLineEdit,
    QMenu,
    QMessageBox,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.dialogs.specimen_field import NewFieldDialog
from microscope_qc.app.widgets.parts import heading, scrolled
from microscope_qc.core.errors import InputError, MicroscopeQCError
from microscope_qc.core.specimen import FieldKind, SpecimenField
from microscope_qc.core.wording import things

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session

SEVERAL = "several values"
_EXAMPLES = {FieldKind.DATE: "2018-02-08"}
_LEFT = ("Specimen",)
MOST_SUGGESTED = 2000


class SpecimenDialog(QDialog):
    """A line for each field; only lines that were changed are set, on all of the slides, as one step of undo.

    Parameters
    ----------
    slide_ids
        The slides; where their values differ the line says so.
    """

    def __init__(self, session: Session, slide_ids: Sequence[int], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._slide_ids = list(slide_ids)
        self.lines: dict[str, QLineEdit | QComboBox] = {}
        self._before: dict[str, str | None] = {}  # None: several values
        project = session.project
        assert project is not None
        self._project = project
        names = [project.slides.by_id(number).name for number in self._slide_ids]
        title = names[0] if len(names) == 1 else things(len(names), "slide")
        self.setWindowTitle(f"Specimen: {title}")
        self._body = QWidget()
        self._columns = QHBoxLayout()
        self.problem = QLabel()
        self.problem.setWordWrap(True)
        theme.mark_error(self.problem)
        self.add_button = QPushButton(theme.icon("plus"), "Add a field…")
        self.add_button.setAutoDefault(False)
        self.add_button.clicked.connect(self._on_add_clicked)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.save_button = buttons.addButton("Save", QDialogButtonBox.ButtonRole.AcceptRole)
        self.save_button.setDefault(True)
        buttons.accepted.connect(self._on_accepted)
        buttons.rejected.connect(self.reject)
        last = QHBoxLayout()
        last.addWidget(self.add_button)
        last.addStretch(1)
        last.addWidget(buttons)
        self._place = QVBoxLayout()
        whole = QVBoxLayout(self)
        whole.setContentsMargins(2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP)
        whole.setSpacing(theme.STEP)
        if len(names) > 1:
            several = QLabel(f"What you enter is set on {things(len(names), 'slide')}; the rest stays as it is.")
            several.setProperty("quiet", True)
            whole.addWidget(several)
        whole.addLayout(self._place, 1)
        whole.addWidget(self.problem)
        whole.addLayout(last)
        self._area: QWidget | None = None
        self._build({})
        self.resize(760, 460)

    # -- the form ----------------------------------------------------------------------------------------------------

    def _build(self, typed: dict[str, str]) -> None:
        """Make the lines; ``typed`` is what was entered before and stays."""
        if self._area is not None:
            self._place.removeWidget(self._area)
            self._area.deleteLater()
        self.lines.clear()
        sections: dict[str, list[SpecimenField]] = {}
        for field in self._project.fields.known:
            sections.setdefault("Own fields" if field.id else field.section, []).append(field)
        halves = (QVBoxLayout(), QVBoxLayout())
        for half in halves:
            half.setSpacing(theme.STEP // 2)
        for name, fields in sections.items():
            half = halves[0] if name in _LEFT else halves[1]
            half.addWidget(heading(name))
            form = QFormLayout()
            form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
            form.setHorizontalSpacing(2 * theme.STEP)
            form.setVerticalSpacing(theme.STEP // 2)
            for field in fields:
                form.addRow(self._label(field), self._line(field, typed.get(field.name)))
            half.addLayout(form)
            half.addSpacing(theme.STEP)
        columns = QHBoxLayout()
        columns.setSpacing(4 * theme.STEP)
        for half in halves:
            half.addStretch(1)
            columns.addLayout(half, 1)
        self._area = scrolled(columns, self)
        self._place.addWidget(self._area)
        self._check()

    def _label(self, field: SpecimenField) -> QWidget:
        label = QLabel(field.heading)
        if not field.id:
            return label
        button = QToolButton()
        button.setIcon(theme.icon("dots-vertical"))
        button.setToolTip("Rename or remove this field")
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(button)
        menu.addAction("Rename…", partial(self._rename, field))
        if field.kind is FieldKind.CHOICE:
            menu.addAction("Choices…", partial(self._edit_choices, field))
        menu.addAction("Remove…", partial(self._remove, field))
        button.setMenu(menu)
        both = QWidget()
        row = QHBoxLayout(both)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(label)
        row.addWidget(button)
        return both

    def _line(self, field: SpecimenField, typed: str | None) -> QWidget:
        values = {field.text(self._project.slides.by_id(n).fields.get(field.name)) for n in self._slide_ids}
        before = values.pop() if len(values) == 1 else None
        self._before[field.name] = before
        if field.kind is FieldKind.CHOICE:
            line: QLineEdit | QComboBox = self._choices(field, before, typed)
        else:
            line = QLineEdit(before if typed is None else typed)
            line.setMaxLength(1000)
            line.setPlaceholderText(SEVERAL if before is None else _EXAMPLES.get(field.kind, ""))
            line.setModified(typed is not None)
            if field.kind is FieldKind.TEXT:
                line.setCompleter(self._completer(field, line))
            line.textEdited.connect(self._check)
        self.lines[field.name] = line
        return line

    def _choices(self, field: SpecimenField, before: str | None, typed: str | None) -> QComboBox:
        line = QComboBox()
        if before is None:
            line.addItem(SEVERAL, None)
        line.addItem("", "")
        for choice in field.choices:
            line.addItem(choice, choice)
        line.setCurrentIndex(max(0, line.findData(before if typed is None else typed)))
        line.activated.connect(self._check)
        return line

    def _completer(self, field: SpecimenField, line: QLineEdit) -> QCompleter:
        texts = {field.text(value) for value in self._project.fields.values(field.name).values()}
        completer = QCompleter(sorted(texts)[:MOST_SUGGESTED], line)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        return completer

    def changed(self) -> dict[str, str]:
        """What was entered, by the name of the field; fields that were left alone are not in it."""
        found: dict[str, str] = {}
        for name, line in self.lines.items():
            before = self._before[name]
            if isinstance(line, QComboBox):
                if line.currentData() is not None and line.currentData() != before:
                    found[name] = str(line.currentData())
            elif line.isModified() and line.text() != before:
                found[name] = line.text()
        return found

    def _check(self, *_: object) -> None:
        problems = []
        for name, text in self.changed().items():
            try:
                self._project.fields.named(name).parse(text)
            except InputError as error:
                problems.append(str(error))
        self.problem.setText(problems[0] if problems else "")
        self.problem.setVisible(bool(problems))
        self.save_button.setEnabled(not problems)
        self.save_button.setToolTip(problems[0] if problems else "")

    def _on_accepted(self) -> None:
        values = self.changed()
        if self._saying(lambda: self._project.fields.set(dict.fromkeys(self._slide_ids, values))):
            self.accept()

    # -- own fields --------------------------------------------------------------------------------------------------

    def _saying(self, change: object) -> bool:
        try:
            change()  # type: ignore[operator]
        except MicroscopeQCError as error:
            self.problem.setText(str(error))
            self.problem.show()
            return False
        return True

    def _on_add_clicked(self) -> None:
        dialog = NewFieldDialog(self._project, self)
        if dialog.exec():
            self._build(self.changed())

    def _rename(self, field: SpecimenField) -> None:
        name, done = QInputDialog.getText(self, "Rename field", "Name", QLineEdit.EchoMode.Normal, field.name)
        if done and name.strip() != field.name:
            typed = self.changed()
            if self._saying(lambda: self._project.fields.edit(field.id, name=name)):
                new = self._project.fields.by_id(field.id).name
                self._build({new if known == field.name else known: text for known, text in typed.items()})

    def _edit_choices(self, field: SpecimenField) -> None:
        text, done = QInputDialog.getMultiLineText(
            self, "Choices", f"What {field.name} can be, one on each line", "\n".join(field.choices)
        )
        if done and self._saying(lambda: self._project.fields.edit(field.id, choices=text.splitlines())):
            self._build(self.changed())

    def _remove(self, field: SpecimenField) -> None:
        count = len(self._project.fields.values(field.name))
        box = QMessageBox(self)
        box.setWindowTitle("Remove field")
        box.setText(f"Remove the field {field.name}?")
        values = f"Its values on {things(count, 'slide')} go with it. " if count else "No slide has a value of it. "
        box.setInformativeText(f"{values}Undo brings everything back.")
        remove = box.addButton("Remove field", QMessageBox.ButtonRole.AcceptRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.exec()
        if box.clickedButton() is remove:
            typed = self.changed()
            typed.pop(field.name, None)
            if self._saying(lambda: self._project.fields.remove(field.id)):
                self._build(typed)
