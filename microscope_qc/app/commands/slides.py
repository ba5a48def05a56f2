"""The slide on screen: pixel size, facts, next and previous."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QMessageBox

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import with_slide, writing_slide
from microscope_qc.core.wording import things

if TYPE_CHECKING:
    from microscope_qc.app.context import Context

ASKED = "asked_pixel_size"
"""Setting of a project: slides whose pixel size was asked for."""


def _pixel_size(context: Context) -> None:
    """Ask for the size of a pixel, as a number or by drawing along the scale bar."""
    _ask_pixel_size(context, None)


def _ask_pixel_size(context: Context, line_px: float | None) -> None:
    from microscope_qc.app.dialogs.slide import PixelSizeDialog

    session = context.session
    project, slide = session.project, session.slide
    if project is None or slide is None:
        return
    dialog = PixelSizeDialog(session, line_px, context.navigator.window)
    answer = dialog.exec()
    if dialog.draw_requested:
        session.set_tool("measure")
        session.notice.emit("Drag along the scale bar, from end to end.")
    elif answer:
        project.slides.set_pixel_size(slide.id, dialog.size_um())


def take_line(context: Context, length_px: float) -> None:
    """Ask how long the line is that was drawn along a scale bar."""
    context.session.set_tool("select")
    _ask_pixel_size(context, length_px)


def ask_pixel_size_once(context: Context) -> None:
    """Offer once to set the pixel size of the slide on screen, if its file does not give it."""
    session, navigator = context.session, context.navigator
    project, slide = session.project, session.slide
    if project is None or slide is None or session.mosaic is None or project.read_only:
        return
    asked = project.settings.get(ASKED, [])
    if slide.pixel_size_um is not None or slide.id in asked:
        return
    # a question must not replace an error; it is asked when the slide is shown again
    if navigator.ask(
        f"The file of {slide.name} does not say how large a pixel is.",
        "Sizes in µm and detections need it: enter a number, or draw along the scale bar.",
        "Set pixel size…",
        lambda: navigator.trigger("slide.pixel_size"),
    ):
        project.settings.set(ASKED, [*asked, slide.id])


def _info(context: Context) -> None:
    from microscope_qc.app.dialogs.slide import SlideInfoDialog

    SlideInfoDialog(context.session, context.navigator.window).exec()


def _next(context: Context) -> None:
    _step(context, +1)


def _previous(context: Context) -> None:
    _step(context, -1)


def _step(context: Context, step: int) -> None:
    session = context.session
    project, slide = session.project, session.slide
    if project is None or slide is None:
        return
    ids = [record.id for record in project.slides]
    place = ids.index(slide.id) + step
    if 0 <= place < len(ids):
        session.show_slide(ids[place])
    else:
        session.notice.emit("That was the last slide." if step > 0 else "That was the first slide.")


def _remove(context: Context) -> None:
    """Remove the slide from the project, after saying what goes with it."""
    project, slide = context.session.project, context.session.slide
    if project is None or slide is None:
        return
    findings = things(len(project.boxes.table(slide.id)), "finding")
    marks = things(len(project.marks.of_slide(slide.id)), "mark")
    box = QMessageBox(context.navigator.window)
    box.setWindowTitle("Remove slide")
    box.setText(f"Remove {slide.name} from the project?")
    box.setInformativeText(
        f"{findings} and {marks} will be removed with it. The slide's file is not deleted. Undo brings everything back."
    )
    remove = box.addButton("Remove slide", QMessageBox.ButtonRole.AcceptRole)
    box.addButton(QMessageBox.StandardButton.Cancel)
    box.exec()
    if box.clickedButton() is remove:
        project.slides.remove(slide.id)


ACTIONS = (
    Action("slide.pixel_size", "Set pixel size…", "Slide", _pixel_size, (), "ruler", when=writing_slide),
    Action("slide.info", "About this slide", "Slide", _info, (), "information-outline", when=with_slide),
    Action("slide.next", "Next slide", "Slide", _next, ("Ctrl+PgDown",), "arrow-down", when=with_slide, group=1),
    Action(
        "slide.previous", "Previous slide", "Slide", _previous, ("Ctrl+PgUp",), "arrow-up", when=with_slide, group=1
    ),
    Action(
        "slide.remove",
        "Remove slide from the project…",
        "Slide",
        _remove,
        (),
        "image-remove-outline",
        when=writing_slide,
        group=2,
    ),
)
