"""The slide on screen: pixel size, place, facts, neighbours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QMessageBox

from microscope_qc.app.commands.files import SLIDE_FILTER, the_slide
from microscope_qc.core.errors import InputError
from microscope_qc.project.scenes import SceneFacts, read_facts

if TYPE_CHECKING:
    from microscope_qc.app.shell.main_window import MainWindow
    from microscope_qc.project import Project


class SlideCommands:
    """The Slide menu."""

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        self._session = window.session

    def pixel_size_dialog(self) -> None:
        """Ask for the size of a pixel, as a number or by drawing along the scale bar."""
        self._ask_pixel_size(None)

    def _ask_pixel_size(self, line_px: float | None) -> None:
        from microscope_qc.app.dialogs.slide import PixelSizeDialog

        project, slide = self._session.project, self._session.slide
        if project is None or slide is None:
            return
        dialog = PixelSizeDialog(self._session, line_px, self._window)
        answer = dialog.exec()
        if dialog.draw_requested:
            self._session.set_tool("measure")
            self._session.notice.emit("Drag along the scale bar, from end to end.")
        elif answer:
            project.slides.set_pixel_size(slide.id, dialog.size_um())

    def slide_info(self) -> None:
        """Show what is known about the slide."""
        from microscope_qc.app.dialogs.slide import SlideInfoDialog

        SlideInfoDialog(self._session, self._window).exec()

    def convert_slide(self) -> None:
        """Offer a copy of the slide that shows at once at every zoom."""
        self._window.conversions.propose()

    def next_slide(self) -> None:
        """The slide below in the list."""
        self._step(+1)

    def previous_slide(self) -> None:
        """The slide above in the list."""
        self._step(-1)

    def _step(self, step: int) -> None:
        project, slide = self._session.project, self._session.slide
        if project is None or slide is None:
            return
        ids = [record.id for record in project.slides]
        place = ids.index(slide.id) + step
        if 0 <= place < len(ids):
            self._session.show_slide(ids[place])
        else:
            self._session.notice.emit("That was the last slide." if step > 0 else "That was the first slide.")

    def remove_slide(self) -> None:
        """Take the slide out of the project, after saying what goes with it."""
        project, slide = self._session.project, self._session.slide
        if project is None or slide is None:
            return
        finds = len(project.boxes.table(slide.id))
        marks = len(project.marks.of_slide(slide.id))
        box = QMessageBox(self._window)
        box.setWindowTitle("Remove slide")
        box.setText(f"Remove {slide.name} from the project?")
        box.setInformativeText(
            f"{finds} finds and {marks} marks go with it. The slide's file stays where it is. "
            "Undo brings all of it back."
        )
        remove = box.addButton("Remove slide", QMessageBox.ButtonRole.AcceptRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.exec()
        if box.clickedButton() is remove:
            project.slides.remove(slide.id)

    def locate(self, slide_id: int) -> None:
        """Ask where a slide lies now."""
        project = self._session.project
        if project is None or slide_id == 0:
            return
        slide = next(record for record in project.slides if record.id == slide_id)
        folder = slide.path.parent
        start = str(folder if folder.exists() else project.path.parent)
        chosen, _ = QFileDialog.getOpenFileName(self._window, f"Where is {slide.path.name}?", start, SLIDE_FILTER)
        if not chosen:
            return
        place = the_slide(Path(chosen))
        self._session.notice.emit(f"Looking whether {place.name} is {slide.name} …")
        self._window.jobs.call(
            lambda: read_facts(place, scene=slide.scene)[0],
            on_done=lambda facts: self._relocate(project, slide_id, facts),
        )

    def _relocate(self, project: Project, slide_id: int, facts: SceneFacts) -> None:
        if project is not self._session.project or not any(record.id == slide_id for record in project.slides):
            return  # closed, or the slide was removed, meanwhile
        try:
            project.slides.relocate(slide_id, facts.path, facts=facts)
        except InputError as error:
            answer = QMessageBox.question(
                self._window, "Another slide", f"{error}\n\nUse it all the same? The boxes stay where they are."
            )
            if answer == QMessageBox.StandardButton.Yes:
                project.slides.relocate(slide_id, facts.path, facts=facts, force=True)

    def set_size_from_line(self, length_px: float) -> None:
        """A line was drawn along a scale bar: ask how long that is."""
        self._session.set_tool("select")
        self._ask_pixel_size(length_px)
