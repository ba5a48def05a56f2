"""The SEM panel: marks, alignment, travel list, measurements, exports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QMimeData, QModelIndex, QTimer, Signal
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QShowEvent
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.panels.sem.mark_tools import MarkTools
from microscope_qc.app.panels.sem.marks import STAGE_X, MarksModel, made_from, places_of
from microscope_qc.app.panels.sem.measurements import MeasurementList
from microscope_qc.app.panels.sem.orientation import OrientationChoice
from microscope_qc.app.panels.sem.result import alignment_html
from microscope_qc.app.panels.sem.stage_bar import StageBar
from microscope_qc.app.panels.sem.tables import fit_table, plain_table
from microscope_qc.app.panels.sem.travel import TravelModel, severity_of
from microscope_qc.app.session.session import Session
from microscope_qc.app.widgets.crop_slides import follow_slides
from microscope_qc.app.widgets.crops import CropProvider, CropSpec
from microscope_qc.app.widgets.export_buttons import AskPath, ExportButtons
from microscope_qc.app.widgets.parts import column_of, heading, note, scrolled, sentence
from microscope_qc.core.boxes import BoxChange
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.wording import things
from microscope_qc.workflows.stage.options import ORDERS

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.base.settings import AppSettings
    from microscope_qc.correlation.registration import Registration
    from microscope_qc.project.records import RegistrationRecord

DEFAULT_NAME = "R1"
THUMBNAIL_PX = 512
REFRESH_MS = 60
TABLE_SUFFIXES = (".csv", ".txt", ".xlsx", ".xlsm", ".msa", ".emsa", ".ems", ".h5oina")
ADVICE = (
    "Place 4 to 6 marks near the corners on features you will recognise, then enter the stage position that the SEM "
    "shows for each. A sample that was mounted again needs a new alignment."
)


class SemDock(QWidget):
    """From marks to stage coordinates of the chosen findings.

    Parameters
    ----------
    settings, save
        What the window remembers about the stage, and how that is saved.
    """

    gallery_requested = Signal()

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
        self.setObjectName("sem")
        self.setWindowTitle("SEM")
        self._session = session
        self._settings, self._save = settings, save
        self.registration: Registration | None = None
        self._stored: RegistrationRecord | None = None
        self._both: tuple[Registration, Registration] | None = None
        self._asked_about: object = None
        self._unasked: int | None = None
        self.crops = CropProvider(self, cache_bytes=8 << 20, workers=1)
        self.marks = MarksModel(session, self)
        self.table = QTableView()
        self.place = QPushButton("Place mark")
        self.delete = QPushButton("Delete")
        self.mark_tools = MarkTools(session, jobs, self.marks, self.table)
        self.marks_note = note()
        self.choice = OrientationChoice()
        self.name = QComboBox()
        self.align = QPushButton("Align")
        self.result = sentence()
        self.route = QComboBox()
        self.travel = TravelModel(session, self)
        self.travel_table = QTableView()
        self.travel_note = note()
        self.stage = StageBar(session, jobs, settings)
        self._start_mm: tuple[float, float] | None = None
        self.measurements = MeasurementList(session, jobs, settings, save=save, crops=self.crops)
        self.exports = ExportButtons(session, jobs, settings, save=save, ask_path=ask_path)
        self._build()
        self._driving_to = 0
        self._visited = np.empty(0, np.int64)  # all that are chosen, those left out too
        self._due = Refresh(self, self.refresh, after_ms=REFRESH_MS)
        for signal in (session.marks_changed, session.slides_changed, session.registrations_changed):
            link(self, signal, self._due.soon)
        for signal in (session.classes_changed, session.stage_changed):
            link(self, signal, self._due.soon)
        link(self, session.boxes_changed, self._on_boxes_changed)
        link(self, session.slide_changed, self._on_slide_changed)
        link(self, session.mosaic_changed, self._on_mosaic_changed)
        link(self, session.tool_changed, self._on_tool_changed)
        link(self, session.mark_placed, self._on_mark_placed)
        self.crops.ready.connect(lambda _specs: self._show_choice())
        follow_slides(self, self.crops, session)
        self._on_mosaic_changed()
        self._on_slide_changed()

    # -- parts -------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.table.setModel(self.marks)
        plain_table(self.table)
        self.place.setCheckable(True)
        self.place.setIcon(theme.icon("map-marker-plus-outline"))
        self.place.clicked.connect(self._on_place_clicked)
        self.delete.setIcon(theme.icon("delete-outline"))
        self.delete.clicked.connect(self._on_delete_clicked)
        self.setAcceptDrops(True)
        self.align.setProperty("primary", "true")
        self.align.clicked.connect(self._on_align_clicked)
        self.name.setEditable(True)
        self.name.setToolTip("Name of the alignment; exports contain it")
        self.name.setFixedWidth(104)  # Qt would make it as narrow as its first name
        self.choice.chosen.connect(lambda _mirror: self._show_align_button())
        for key, text in ORDERS.items():
            self.route.addItem(text, key)
        self.route.currentIndexChanged.connect(self._on_route_chosen)
        self.travel_table.setModel(self.travel)
        plain_table(self.travel_table)
        self.travel_table.clicked.connect(self._on_travel_clicked)
        self.stage.moved.connect(self._on_stage_moved)
        self.stage.step_wanted.connect(self.step)
        self.stage.order_wanted.connect(self._on_order_wanted)
        mark_buttons = QHBoxLayout()
        mark_buttons.addWidget(self.place)
        mark_buttons.addWidget(self.delete)
        mark_buttons.addStretch(1)
        align_row = QHBoxLayout()
        align_row.addWidget(self.align)
        align_row.addWidget(self.name)
        align_row.addStretch(1)
        travel_head = QHBoxLayout()
        travel_head.addWidget(heading("Travel list"), 1)
        travel_head.addWidget(self.route)
        content = column_of(
            heading("Marks"), self.marks_note, self.table, mark_buttons, self.mark_tools, 8,
            heading("Alignment"), self.choice, align_row, self.result, 8,
            travel_head, self.travel_note, self.travel_table, self.stage, 8,
            heading("EDX measurements"), self.measurements, 8,
            heading("Export"), self.exports,
        )  # fmt: skip
        content.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(scrolled(content, self))

    def close_crops(self) -> None:
        """Stop the thread that reads the thumbnail (the window is closing)."""
        self.crops.close()

    def showEvent(self, event: QShowEvent) -> None:
        """Qt: refresh the panel."""
        super().showEvent(event)
        self._due.now()
        if self._unasked is not None:  # a mark was placed before this panel was shown
            QTimer.singleShot(0, self, self._ask_stage_position)

    # -- what is shown -----------------------------------------------------------------------------------------------

    def _on_boxes_changed(self, change: BoxChange) -> None:
        """Follow the findings that are chosen, and those that were; the list has nothing to do with the others."""
        table = self._session.table
        there = change.ids[table.has(change.ids)]
        if np.isin(change.ids, self._visited).any() or table.chosen[table.rows_of(there)].any():
            self._due.soon()

    def refresh(self) -> None:
        """Show the current marks, alignment and travel list."""
        self._due.stop()
        project, slide = self._session.project, self._session.slide
        marks = project.marks.of_slide(slide.id) if project is not None and slide is not None else []
        self._load_registration()
        fresh = self.registration is not None and made_from(self.registration, marks)
        self.marks.show(marks, self.registration if fresh else None)
        fit_table(self.table, rows=(2, 6))
        missing = self.marks.without_stage
        text = ADVICE if len(marks) < 3 else ""
        if marks and missing:
            text = f"{things(missing, 'mark')} without a stage position: enter what the SEM’s stage shows. " + text
        self.marks_note.setText(text.strip())
        self.marks_note.setVisible(bool(text))
        self._try_both()
        self._show_choice()
        self._show_result(fresh)
        self._show_travel()
        self._show_align_button()
        self.place.setEnabled(slide is not None and self._session.can_write)
        self.place.setToolTip("" if self.place.isEnabled() else "Open a slide in a project that you can edit.")
        self.delete.setEnabled(bool(marks) and self._session.can_write)
        self.mark_tools.refresh()

    def _load_registration(self) -> None:
        """Load the newest alignment of the slide (undo may have removed one)."""
        project, slide = self._session.project, self._session.slide
        found = [r for r in project.registrations if r.slide_id == slide.id] if project and slide else []
        stored = found[-1] if found else None
        if stored == self._stored:
            return
        self._stored, self.registration = stored, None
        if stored is not None:
            from microscope_qc.correlation.registration import Registration

            try:
                self.registration = Registration.from_dict(stored.data)
            except MicroscopeQCError as error:
                self._session.notice.emit(str(error))
        names = [record.name for record in found] or [DEFAULT_NAME]
        self.name.clear()
        self.name.addItems(names)
        self.name.setCurrentText(names[-1])

    def _try_both(self) -> None:
        """Check whether the marks leave the orientation open, and fit both if they do."""
        from microscope_qc.core.errors import RegistrationError
        from microscope_qc.correlation.registration import fit

        complete = self.marks.complete
        key = [(m.name, m.y_px, m.x_px, m.stage_x_mm, m.stage_y_mm) for m in complete]
        if key == self._asked_about:
            return
        self._asked_about = key
        self._both = None
        self.choice.forget()
        size = self._session.pixel_size_um
        if len(complete) < 2 or size is None:
            return
        px, mm = places_of(complete)
        names = [mark.name for mark in complete]
        try:
            certain = fit(px, mm, size, names=names).mirror_certain
        except RegistrationError:
            certain = False
        if not certain:
            try:
                self._both = (
                    fit(px, mm, size, mirror=False, names=names),
                    fit(px, mm, size, mirror=True, names=names),
                )
            except RegistrationError:
                self._both = None

    def _show_choice(self) -> None:
        slide = self._session.slide
        self.choice.setVisible(self._both is not None and slide is not None)
        if self._both is None or slide is None:
            return
        crop = self.crops.get(CropSpec.whole(slide.shape_px, longest_px=THUMBNAIL_PX))
        image = crop.image if crop is not None else None
        self.choice.plain.show_fit(self._both[0], slide.shape_px, image)
        self.choice.mirrored.show_fit(self._both[1], slide.shape_px, image)

    def _why_not_align(self) -> str:
        if not self._session.can_write:
            return "Open a slide in a project that you can edit."
        if self._session.pixel_size_um is None:
            return "The slide’s pixel size is not known. Set it first (Slide menu)."
        if len(self.marks.complete) < 2:
            return "At least two marks need a stage position; three are better."
        if self._both is not None and self.choice.mirror is None:
            return "Choose one of the two pictures, or place one more mark far from the others."
        return ""

    def _show_align_button(self) -> None:
        why_not = self._why_not_align()
        self.align.setEnabled(not why_not)
        self.align.setToolTip(why_not)

    def _show_result(self, fresh: bool) -> None:
        if self.registration is None:
            self.result.setText(self._why_not_align() or "Ready to align.")
            return
        from microscope_qc.workflows.stage.travel import travel_rows

        rows, _ = travel_rows(self._chosen_rows())
        slide = self._session.slide
        if len(rows):
            places, where = _centres(rows), "on the travel list"
        else:
            height, width = slide.shape_px if slide is not None else (1, 1)
            places, where = np.array([[0, 0], [0, width], [height, 0], [height, width]], float), "on the slide"
        html = alignment_html(
            self.registration, name=self._stored.name if self._stored else "", places_px=places, places=where
        )
        stale = "" if fresh else "<p style='color: #D55E00'>⚠ The marks have changed since: align again.</p>"
        self.result.setText(stale + html)

    def _chosen_rows(self) -> np.ndarray:
        table = self._session.table
        return table.rows[table.chosen]

    def _show_travel(self) -> None:
        from microscope_qc.workflows.stage.travel import travel_order, travel_rows

        self.route.blockSignals(True)
        self.route.setCurrentIndex(self.route.findData(self._settings.stage_order))
        self.route.blockSignals(False)
        chosen = self._chosen_rows()
        self._visited = chosen["id"].copy()
        rows, rejected = travel_rows(chosen)
        order = travel_order(
            rows,
            self._session.classes,
            self.registration,
            order=self._settings.stage_order,
            pixel_size_um=self._session.pixel_size_um,
            severity=severity_of(self._session, rows["id"], self._settings.stage_order),
            start_mm=self._start_mm,
        )
        self.travel.show(rows[order], self.registration)
        fit_table(self.travel_table, rows=(1, 9))
        if len(rows) == 0:
            text = "Choose findings for the SEM with S in the gallery; they appear here with their stage positions."
        else:
            text = f"{things(len(rows), 'finding')} chosen."
            if self.registration is None:
                text += " Stage positions appear after the alignment."
            outside = sum(target.outside_marks for target in self.travel.targets)
            if outside:
                text += f" {things(outside, 'finding')} outside the marks (orange): the error grows quickly there."
        if rejected:
            text += f" {things(rejected, 'chosen finding')} left out (rejected)."
        self.travel_note.setText(text)
        self.travel_table.setVisible(len(rows) > 0)
        self._show_stage()
        self.exports.refresh()

    def _show_stage(self) -> None:
        """Show where the stage is on the slide, and where it should drive to."""
        now, slide, place = self._session.stage_now, self._session.slide, None
        if now.xy_mm is not None and self.registration is not None and slide is not None:
            y, x = self.registration.from_stage(np.array([now.xy_mm]))[0]
            place = slide.id, float(y), float(x)
        now.show(now.xy_mm, place)
        ids = self.travel.rows["id"].tolist()
        number = ids.index(self._driving_to) if self._driving_to in ids else -1
        target = self.travel.targets[number] if number >= 0 and self.travel.targets else None
        self.stage.show_target(target, number + 1, len(ids))
        if number >= 0:
            self.travel_table.selectRow(number)

    # -- what the user does ------------------------------------------------------------------------------------------

    def _on_place_clicked(self, checked: bool) -> None:
        self._session.set_tool("mark" if checked else "select")

    def _on_delete_clicked(self) -> None:
        project = self._session.project
        index = self.table.currentIndex()
        if project is None or not index.isValid():
            self._session.notice.emit("Select a mark first.")
            return
        try:
            project.marks.delete(self.marks.marks[index.row()].id)
        except MicroscopeQCError as error:
            self._session.notice.emit(str(error))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Qt: SEM pictures and EDX tables are for this panel."""
        if self._session.can_write and _files_of(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Qt: take what was dropped, after the other program's drag has ended."""
        paths = _files_of(event.mimeData())
        event.acceptProposedAction()
        QTimer.singleShot(0, self, lambda: self._take_files(paths))

    def _take_files(self, paths: list[Path]) -> None:
        tables = [path for path in paths if path.suffix.lower() in TABLE_SUFFIXES]
        self.measurements.import_all(tables)
        if pictures := [path for path in paths if path not in tables]:
            self.mark_tools.read_pictures(pictures)

    def _on_align_clicked(self) -> None:
        from microscope_qc.workflows.stage.stage import fit_registration

        project, slide = self._session.project, self._session.slide
        if self._why_not_align() or project is None or slide is None:
            return
        mirror = self.choice.mirror if self._both is not None else None
        try:
            name = self.name.currentText().strip() or DEFAULT_NAME
            fit_registration(project, slide.id, name=name, mirror=mirror)
        except MicroscopeQCError as error:
            self.result.setText(str(error))
            return
        self.refresh()

    def _on_route_chosen(self, _index: int) -> None:
        self._settings.stage_order = self.route.currentData()
        self._save()
        self._show_travel()
        self._session.stage_changed.emit()

    def _on_travel_clicked(self, index: QModelIndex) -> None:
        self._drive_to(index.row())

    def step(self, by: int) -> None:
        """Go to the next or a previous place of the travel list."""
        ids = self.travel.rows["id"].tolist()
        at = ids.index(self._driving_to) if self._driving_to in ids else -1 if by > 0 else len(ids)
        if not ids:
            self._session.notice.emit("The travel list is empty: choose findings with S.")
        elif 0 <= at + by < len(ids):
            self._drive_to(at + by)
        else:
            self._session.notice.emit(f"That was the {'last' if by > 0 else 'first'} place of the travel list.")

    def _drive_to(self, place: int) -> None:
        self._driving_to = int(self.travel.rows["id"][place])
        self._session.navigation.select_and_centre(self._driving_to)
        self._show_stage()

    def _on_stage_moved(self, x_mm: float, y_mm: float) -> None:
        self._session.stage_now.show((x_mm, y_mm), None)
        self._show_stage()

    def _on_order_wanted(self) -> None:
        self._start_mm = self._session.stage_now.xy_mm
        self._show_travel()

    # -- what happens ------------------------------------------------------------------------------------------------

    def _on_mark_placed(self, y: float, x: float) -> None:
        """Take a mark from the canvas and ask for its stage position."""
        project, slide = self._session.project, self._session.slide
        if project is None or slide is None:
            return
        taken = {mark.name for mark in project.marks.of_slide(slide.id)}
        name = next(f"M{number}" for number in range(1, len(taken) + 2) if f"M{number}" not in taken)
        project.marks.add(slide.id, name, y, x)
        self.refresh()
        self._unasked = self.marks.marks[-1].id
        if self.isVisible():
            self._ask_stage_position()

    def _ask_stage_position(self) -> None:
        """Ask for the stage position of the mark that was placed last."""
        rows = [row for row, mark in enumerate(self.marks.marks) if mark.id == self._unasked]
        self._unasked = None
        if rows:
            index = self.marks.index(rows[0], STAGE_X)
            self.table.setCurrentIndex(index)
            self.table.scrollTo(index)
            self.table.setFocus()
            self.table.edit(index)

    def _on_tool_changed(self, tool: str) -> None:
        self.place.setChecked(tool == "mark")

    def _on_slide_changed(self) -> None:
        self._stored, self.registration, self._asked_about = None, None, None
        self.name.clear()
        self.name.addItem(DEFAULT_NAME)
        self._due.soon()

    def _on_mosaic_changed(self) -> None:
        self.crops.set_mosaic(self._session.mosaic)
        self._due.soon()


def _files_of(data: QMimeData | None) -> list[Path]:
    urls = [] if data is None else data.urls()
    return [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]


def _centres(rows: np.ndarray) -> np.ndarray:
    return np.stack([(rows["y0"] + rows["y1"]) / 2, (rows["x0"] + rows["x1"]) / 2], axis=1)
