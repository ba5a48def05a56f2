"""Export buttons: in the SEM panel, and in a dialog from the File menu."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt, QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.session.session import Session
from microscope_qc.app.widgets.export_kinds import BUTTONS, file_name, job_of, other_exports, why_not
from microscope_qc.app.widgets.parts import note, sentence
from microscope_qc.app.widgets.scope_switch import ScopeSwitch
from microscope_qc.app.widgets.stage_choice import StageChoice
from microscope_qc.core.boxes import BoxFilter, ReviewState
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.wording import things

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.base.settings import AppSettings
    from microscope_qc.workflows.exports import Export

log = logging.getLogger(__name__)

FOLDER = "export_folder"
REFRESH_MS = 60

AskPath = Callable[[QWidget, "Export", Path], "Path | None"]
"""Asks where to write; called with the parent, the export, and the suggested path."""


def ask_path_dialog(parent: QWidget, export: Export, offered: Path) -> Path | None:
    """Ask with the system's file dialog."""
    if export.is_folder:
        chosen = QFileDialog.getExistingDirectory(parent, f"Folder for {export.title}", str(offered.parent))
        return Path(chosen) / offered.name if chosen else None
    patterns = " ".join(f"*{suffix}" for suffix in (export.suffix, *export.also))
    chosen, _ = QFileDialog.getSaveFileName(parent, export.title, str(offered), f"{export.title} ({patterns})")
    if not chosen:
        return None
    path = Path(chosen)
    return path if path.suffix else path.with_suffix(export.suffix)


class ExportButtons(QWidget):
    """One button per export, a summary of what it would write, and where the last one was written.

    Parameters
    ----------
    settings, save
        What the window remembers about the stage, and how that is saved.
    ask_path
        Replaces the file dialog in tests.
    """

    exported = Signal(object)  # path

    def __init__(
        self,
        session: Session,
        jobs: JobRunner,
        settings: AppSettings,
        parent: QWidget | None = None,
        *,
        save: Callable[[], None],
        ask_path: AskPath | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._jobs = jobs
        self._ask_path = ask_path or ask_path_dialog
        self.buttons: dict[str, QPushButton] = {}
        self.scope = ScopeSwitch(session)
        self.what = note()
        self.stage = StageChoice(session, settings, save=save)
        self.only_shown = QCheckBox("Only what is shown")
        self.done = sentence()
        self.open_folder = QPushButton("Open folder")
        self.other = QPushButton("Other format")
        self._folder: Path | None = None
        self._build()
        self._due = Refresh(self, self.refresh, after_ms=REFRESH_MS)
        self._due.before_use_of(*self.buttons.values(), self.other, self.only_shown)
        link(self, session.boxes_changed, self._due.soon)
        for signal in (session.filter_changed, session.slide_changed, session.scope.changed):
            link(self, signal, self._on_changed)
        for signal in (session.marks_changed, session.registrations_changed):
            link(self, signal, self._on_changed)
        link(self, session.project_changed, self._forget_done)
        self.refresh()

    def _forget_done(self) -> None:
        """Say nothing about what was exported of another project."""
        self.done.hide()
        self.open_folder.hide()

    def _build(self) -> None:
        grid = QGridLayout()
        grid.setSpacing(6)
        self.only_shown.toggled.connect(self.refresh)
        for place, known in enumerate(BUTTONS):
            button = QPushButton(known.text)
            button.setIcon(theme.icon(known.icon))
            button.setAutoDefault(False)
            button.clicked.connect(lambda _=False, name=known.name: self.export(name))
            grid.addWidget(button, place // 2, place % 2)
            self.buttons[known.name] = button
        menu = QMenu(self.other)
        menu.aboutToShow.connect(lambda: self._fill_menu(menu))
        self.other.setMenu(menu)
        grid.addWidget(self.other, len(BUTTONS) // 2, 0, 1, 2)
        self.other.setAutoDefault(False)
        self.open_folder.setAutoDefault(False)
        self.open_folder.setIcon(theme.icon("folder-open-outline"))
        self.open_folder.clicked.connect(self._on_open_folder)
        self.open_folder.hide()
        self.done.hide()
        last = QHBoxLayout()
        last.addWidget(self.done, 1)
        last.addWidget(self.open_folder, 0, Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.scope)
        column.addWidget(self.what)
        column.addWidget(self.stage)
        column.addWidget(self.only_shown)
        column.addLayout(grid)
        column.addLayout(last)

    def _fill_menu(self, menu: QMenu) -> None:
        menu.clear()
        aligned, chosen = self._state()
        for export in other_exports():
            action = menu.addAction(f"{export.title} ({export.suffix})")
            action.setEnabled(not why_not(export, self._session, aligned=aligned, chosen=chosen))
            action.triggered.connect(lambda _=False, name=export.name: self.export(name))

    def _state(self) -> tuple[bool, int]:
        """Whether the slide is aligned, and how many findings are to be visited."""
        from microscope_qc.workflows.stage.travel import travel_rows

        project, slide = self._session.project, self._session.slide
        aligned = project is not None and any(r.slide_id == slide.id for r in project.registrations) if slide else False
        table = self._session.table
        rows, _ = travel_rows(table.rows[table.chosen])
        return aligned, len(rows)

    def _on_changed(self, *_: object) -> None:
        if self.isVisible():
            self.refresh()

    def refresh(self) -> None:
        """Show what would be written, and disable what cannot be."""
        from microscope_qc.workflows.exports import export_named

        self._due.stop()
        self.stage.refresh()
        aligned, chosen = self._state()
        for name, button in self.buttons.items():
            reason = why_not(export_named(name), self._session, aligned=aligned, chosen=chosen)
            button.setEnabled(not reason)
            button.setToolTip(reason)
        self._refresh_shown()
        self.what.setText(self._what(chosen))

    def _refresh_shown(self) -> None:
        """Offer to leave out what the view filter hides, where it hides something."""
        session = self._session
        why = "" if session.project is None or session.project.filters.current != BoxFilter() else "No filter is on."
        if not why and not session.can_write:
            why = "The filter of a project that is open for reading is not stored, so no export can use it."
        self.only_shown.setEnabled(session.project is not None and not why)
        if why:
            self.only_shown.setChecked(False)
        tip = "Annotations leave out what the filter hides; report, overview and stage files are the same either way"
        self.only_shown.setToolTip(why or tip)

    def _what(self, chosen: int) -> str:
        """What would be written of the slides of the scope."""
        scope = self._session.scope
        if scope.kind != "slide":
            which = "what the filter shows of what counts" if self.only_shown.isChecked() else "what counts"
            text = f"Coordinates, drive sheet and overview: {things(chosen, 'chosen finding')} of the slide on screen. "
            return f"{text}Annotations and report: {which} on {scope.words}."
        by_state = self._session.shown.all_counts().sum(axis=0)
        rejected = int(by_state[ReviewState.REJECTED])
        count = things(int(by_state.sum()), "finding")
        text = f"Coordinates, drive sheet and overview: {things(chosen, 'chosen finding')}. "
        without = f" (the report without the {rejected} rejected)" if rejected else ""
        if not self.only_shown.isChecked():
            return f"{text}The others: the {count} that count{without}."
        # a comparison shows less than the filter does; it limits no export
        rows = self._session.table.rows
        counted = self._session.inclusion.mask(rows, rejected=True)
        shown = things(int(np.count_nonzero(counted & self._session.filter.mask(rows))), "finding")
        return f"{text}Annotations: the {shown} that the filter shows, of {count} that count{without}."

    def export(self, name: str) -> None:
        """Ask where, then write the export of this name in the background."""
        from microscope_qc.workflows.exports import export_named

        export = export_named(name)
        if "stage" in export.takes and not self.stage.commit():
            return
        project, slide = self._session.project, self._session.slide
        aligned, chosen = self._state()
        reason = why_not(export, self._session, aligned=aligned, chosen=chosen)
        if reason or project is None or slide is None:
            self._session.notice.emit(reason)
            return
        stored = project.settings.get(FOLDER, "")
        folder = Path(stored) if stored and _is_worth_keeping(Path(stored)) else project.path.parent
        stem = f"{Path(slide.name).name.split('.')[0]}-{file_name(export)}"
        offered = stem if export.is_folder else stem + export.suffix
        path = self._ask_path(self, export, folder / offered)
        if path is not None and not _can_be_written(path.parent):
            self._say(f"Nothing can be written to {path.parent}. Choose another folder.", folder=False)
            path = self._ask_path(self, export, project.path.parent / offered)
        if path is None:
            return
        if self._session.can_write and _is_worth_keeping(path.parent):
            project.settings.remember(FOLDER, str(path.parent))
        self._jobs.run(
            job_of(export, self._session, path, self.stage.options(), shown_only=self.only_shown.isChecked()),
            f"Writing {path.name}",
            on_done=lambda _result: self._on_done(path),
            on_failed=lambda error: self._on_failed(path, error),
        )

    def _on_done(self, path: Path) -> None:
        self._folder = path if path.is_dir() else path.parent
        self._say(f"Written: {path.name}", folder=True)
        self._session.notice.emit(f"Written: {path.name}")
        self.exported.emit(path)

    def _on_failed(self, path: Path, error: BaseException) -> None:
        if isinstance(error, MicroscopeQCError):
            self._say(f"{path.name} was not written. {error}", folder=False)
            return
        self._say(f"{path.name} was not written: {error}. See the log for details.", folder=False)
        log.error("export failed", exc_info=error)

    def _say(self, text: str, *, folder: bool) -> None:
        self.done.setText(text)
        self.done.show()
        self.open_folder.setVisible(folder)

    def _on_open_folder(self) -> Any:
        if self._folder is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._folder)))


def _can_be_written(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK)


def _is_worth_keeping(folder: Path) -> bool:
    """Whether to suggest the folder for the next export: the root of a disk is usually chosen by mistake."""
    return _can_be_written(folder) and folder != folder.parent
