"""What can be done with a detection of the list: in its context menu, under a button, and by keys."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QPoint, Qt, Signal
from qtpy.QtWidgets import QInputDialog, QMenu, QMessageBox, QToolButton, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.widgets.delete_key import DeleteKey
from microscope_qc.core.errors import MicroscopeQCError

if TYPE_CHECKING:
    from microscope_qc.app.panels.detect.runs import RunList
    from microscope_qc.app.session.session import Session
    from microscope_qc.project import Project
    from microscope_qc.project.records import RunRecord

AskName = Callable[[QWidget, str], str | None]
"""Asks for the name of a detection, showing the one it has; None for no change."""
AskDelete = Callable[[QWidget, str, str], bool]
"""Asks whether a detection is to be deleted; gets its name, and what goes and stays."""


def ask_name_dialog(parent: QWidget, name: str) -> str | None:
    """Ask in a small dialog."""
    said, kept = QInputDialog.getText(parent, "Rename detection", "Name (empty: called by its model)", text=name)
    return said if kept else None


def ask_delete_dialog(parent: QWidget, name: str, words: str) -> bool:
    """Ask in a small dialog."""
    box = QMessageBox(parent)
    box.setWindowTitle("Delete detection")
    box.setText(f"Delete the detection {name}?")
    box.setInformativeText(f"{words[:1].upper()}{words[1:]}. Undo brings everything back.")
    delete = box.addButton("Delete detection", QMessageBox.ButtonRole.AcceptRole)
    box.addButton(QMessageBox.StandardButton.Cancel)
    box.exec()
    return box.clickedButton() is delete


class RunMenu(QObject):
    """Menu for the selected detection; F2 renames and Delete deletes it."""

    compare_wanted = Signal(int, int)  # ids of the two runs
    continue_wanted = Signal(object)  # the run

    def __init__(
        self,
        session: Session,
        runs: RunList,
        *,
        ask_name: AskName = ask_name_dialog,
        ask_delete: AskDelete = ask_delete_dialog,
    ) -> None:
        super().__init__(runs)
        self._session, self._runs = session, runs
        self.ask_name, self.ask_delete = ask_name, ask_delete
        self.menu = QMenu(runs)
        self.menu.setToolTipsVisible(True)
        self.menu.aboutToShow.connect(self.fill)
        self.button = QToolButton()
        self.button.setText("Detection")
        self.button.setIcon(theme.icon("dots-vertical"))
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.button.setMenu(self.menu)
        runs.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        runs.customContextMenuRequested.connect(self._on_menu_requested)
        DeleteKey(runs, self.rename, key=Qt.Key.Key_F2)
        DeleteKey(runs, self.delete)
        runs.run_selected.connect(self._on_run_selected)
        self._on_run_selected(runs.selected_run())

    def _on_run_selected(self, run: object) -> None:
        self.button.setEnabled(run is not None)
        self.button.setToolTip("" if run is not None else "There is no detection on this slide yet.")

    def _on_menu_requested(self, place: QPoint) -> None:
        if self._runs.itemAt(place) is not None:
            self.menu.popup(self._runs.viewport().mapToGlobal(place))

    def fill(self) -> None:
        """Fill the menu for the selected detection."""
        menu, run = self.menu, self._runs.selected_run()
        menu.clear()
        if run is None:
            return
        others = [other for other in self._runs.runs if other.id != run.id]
        reading = self._session.why_not_write()
        alone = run.shown and not any(other.shown for other in others)
        self._add("Show only this", "eye", self.show_only, reading or ("Only this one is shown." if alone else ""))
        words, icon = ("Hide", "eye-off-outline") if run.shown else ("Show", "eye-outline")
        self._add(words, icon, self.switch, reading)
        compare = menu.addMenu(theme.icon("compare-horizontal"), "Compare with")
        compare.setEnabled(bool(others))
        for other in others:
            words = f"{other.title}, {str(other.started)[:16].replace('T', ' ')}".replace("&", "&&")
            compare.addAction(words, partial(self.compare_wanted.emit, run.id, other.id))
        menu.addSeparator()
        self._add("Rename…\tF2", "rename-outline", self.rename, reading)
        ended = "It is finished." if run.state == "finished" else "It is running."
        going = "" if self._runs.can_continue(run) else ended
        self._add("Continue", "play-outline", partial(self.continue_wanted.emit, run), reading or going)
        running = "Stop it first." if run.id == self._runs.running_id or run.state == "running" else ""
        self._add("Delete…\tDel", "delete-outline", self.delete, reading or running)

    def _add(self, words: str, icon: str, act: Callable[[], object], why_not: str) -> None:
        action = self.menu.addAction(theme.icon(icon), words, act)
        action.setEnabled(not why_not)
        action.setToolTip(why_not)

    def show_only(self) -> None:
        """Show the findings of the selected detection and hide those of the others, in one step."""
        self._change(lambda project, run: project.runs.show_only(run.id, carry_out=self._session.writing.carry_out))

    def switch(self) -> None:
        """Show or hide the findings of the selected detection."""
        carry_out = self._session.writing.carry_out
        self._change(lambda project, run: project.runs.show(run.id, not run.shown, carry_out=carry_out))

    def rename(self) -> None:
        """Ask for another name of the selected detection."""

        def change(project: Project, run: RunRecord) -> None:
            name = self.ask_name(self._runs, run.name)
            if name is not None:
                project.runs.rename(run.id, name)

        self._change(change)

    def delete(self) -> None:
        """Say what goes with the selected detection and what stays, and delete it."""

        def change(project: Project, run: RunRecord) -> None:
            if self.ask_delete(self._runs, run.title, project.runs.deleting(run.id).words):
                project.runs.delete(run.id, carry_out=self._session.writing.carry_out)

        self._change(change)

    def _change(self, change: Callable[[Project, RunRecord], None]) -> None:
        project, run = self._session.project, self._runs.selected_run()
        if project is None or run is None:
            return
        try:
            change(project, run)
        except MicroscopeQCError as error:
            self._session.notice.emit(str(error))
