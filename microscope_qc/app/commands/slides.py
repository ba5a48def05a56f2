"""The slide on screen: pixel size, facts, next and previous."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QMessageBox

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import with_slide, writing_slide
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import listed, things
from microscope_qc.project.counting import StateCounts, count_states

if TYPE_CHECKING:
    from microscope_qc.app.context import Context
    from microscope_qc.core.errors import ChangedSlideError
    from microscope_qc.project import Project
    from microscope_qc.project.records import SlideRecord
    from microscope_qc.project.scenes import SceneFacts

REMOVED_AT_ONCE = 5000
"""So many slides and findings are removed within a click; more are left to a worker."""

ASKED = "asked_pixel_size"
"""Setting of a project: slides whose pixel size was asked for."""


def _pixel_size(context: Context) -> None:
    """Ask for the size of a pixel, as a number or by drawing along the scale bar."""
    _ask_pixel_size(context, None)


def _ask_pixel_size(context: Context, line_px: float | None) -> None:
    from microscope_qc.app.dialogs.slide import PixelSizeDialog

    session = context.session
    project = session.project
    if project is None or session.slide is None:
        return
    dialog = PixelSizeDialog(session, line_px, context.navigator.window)
    answer = dialog.exec()
    if dialog.draw_requested:
        session.set_tool("measure")
        session.notice.emit("Drag along the scale bar, from end to end.")
    elif answer:
        project.slides.set_pixel_sizes(dialog.slide_ids(), dialog.size_um())


def take_line(context: Context, length_px: float) -> None:
    """Ask how long the line is that was drawn along a scale bar."""
    context.session.set_tool("select")
    _ask_pixel_size(context, length_px)


def ask_pixel_size_once(context: Context) -> None:
    """Offer once to set the pixel size of the slide on screen and of all others whose files do not give it."""
    session, navigator = context.session, context.navigator
    project, slide = session.project, session.slide
    if project is None or slide is None or session.mosaic is None or project.read_only:
        return
    asked = project.settings.get(ASKED, [])
    if slide.pixel_size_um is not None or slide.id in asked:
        return
    bare = {record.id for record in project.slides if record.pixel_size_um is None}
    others = f"The files of {slide.name} and {things(len(bare) - 1, 'other slide')} do"

    def is_open() -> bool:
        # as long as its words are true: the panel of detections still asks for the size of a slide without one
        return session.project is project and bare == {
            record.id for record in project.slides if record.pixel_size_um is None
        }

    # a question must not replace an error; it is asked when the slide is shown again
    if navigator.ask(
        f"{others if len(bare) > 1 else f'The file of {slide.name} does'} not say how large a pixel is.",
        "Sizes in µm and detections need it: enter a number, or draw along the scale bar.",
        "Set pixel size…",
        lambda: navigator.trigger("slide.pixel_size"),
        is_open=is_open,
    ):
        project.settings.remember(ASKED, sorted({*asked, *bare}))


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


def _chosen(context: Context) -> list[SlideRecord]:
    """The slides chosen in the list, or the slide on screen where none is."""
    from microscope_qc.app.widgets.slide_choice import chosen_slide_ids

    project = context.session.project
    return [] if project is None else [project.slides.by_id(number) for number in chosen_slide_ids(context.session)]


def _rename(context: Context) -> None:
    """Edit the name of the chosen slide in the list."""
    from microscope_qc.app.panels.slides.panel import SlidesDock

    dock = context.navigator.show_panel("slides")
    if isinstance(dock, SlidesDock):
        dock.rename_current()


def _show_in_folder(context: Context) -> None:
    """Open the folder of the chosen slide in the system's file manager."""
    from qtpy.QtCore import QUrl
    from qtpy.QtGui import QDesktopServices

    for folder in dict.fromkeys(record.path.parent for record in _chosen(context)[:1]):
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder))):
            context.session.notice.emit(f"The folder {folder} cannot be opened.")


def _locate(context: Context) -> None:
    """Say where the chosen slide is now; one that is missing comes first."""
    from microscope_qc.app.panels.slides.locating import locate

    chosen = sorted(_chosen(context), key=lambda record: not record.missing)
    if chosen:
        locate(context, chosen[0].id)


# -- files that have changed -------------------------------------------------------------------------------------------


def say_changed(context: Context, slides: Sequence[SlideRecord]) -> None:
    """Say that the files of slides hold something else than their findings were made on, and offer to accept them."""
    from microscope_qc.workflows.intake.changes import changed_words

    words = f"{changed_words(slides)} Reports, training and coordinates wait until you have compared them."
    if not context.session.can_write:
        context.session.notice.emit(words)
        return
    button = "Accept the changed file" if len(slides) == 1 else "Accept the changed files"
    ids = [slide.id for slide in slides]
    context.navigator.offer(words, button, lambda: _accept_all(context, ids))


def ask_to_accept(
    context: Context, error: ChangedSlideError, ask: Callable[[str, str, str, Callable[[], None]], None]
) -> None:
    """Say why something waits, and offer to accept the files."""
    hint = "Compare them first. Findings that were made before are marked as found on an earlier version."
    ask(error.message, hint, "Accept the changed file", lambda: _accept_all(context, error.slide_ids))


def _changed_in(context: Context) -> list[SlideRecord]:
    from microscope_qc.workflows.intake.changes import is_changed

    project = context.session.project
    return [] if project is None else [slide for slide in _chosen(context) if is_changed(project, slide)]


def _with_changed(context: Context) -> str:
    return writing_slide(context) or ("" if _changed_in(context) else "The file of this slide has not changed.")


def _accept(context: Context) -> None:
    """Take what the files of the chosen slides hold now."""
    _accept_all(context, [slide.id for slide in _changed_in(context)])


def _accept_all(context: Context, slide_ids: Sequence[int]) -> None:
    from microscope_qc.workflows.intake.changes import accept_facts, facts_of_changed

    session = context.session
    project = session.project
    if project is None:
        return
    slides = [slide for slide in project.slides if slide.id in slide_ids]

    def on_done(facts: dict[int, SceneFacts]) -> None:
        if session.project is project:
            for slide_id, found in facts.items():
                accept_facts(project, slide_id, found)
            session.show_again()

    context.jobs.run(facts_of_changed(slides), "Accept changed files", on_done=on_done)


def _remove(context: Context) -> None:
    """Remove the chosen slides from the project, after saying what goes with them."""
    project, records = context.session.project, _chosen(context)
    if project is None or not records:
        return
    # counted in a worker: what does not count at present goes too
    context.jobs.call(
        partial(count_states, project.path, None), on_done=partial(_ask_to_remove, context, project, records)
    )


def _ask_to_remove(
    context: Context, project: Project, records: list[SlideRecord], counts: dict[int, StateCounts]
) -> None:
    if project is not context.session.project:
        return
    ids = {record.id for record in records}
    found = [counts[number] for number in ids if number in counts]
    parts = [
        things(sum(count.kept + count.rejected for count in found), "finding"),
        things(sum(mark.slide_id in ids for mark in project.marks), "mark"),
        things(sum(run.slide_id in ids for run in project.runs), "detection"),
        things(sum(area.slide_id in ids for area in project.areas), "declared area"),
    ]
    kept = [words for words in parts[2:] if not words.startswith("0 ")]
    one = len(records) == 1
    box = QMessageBox(context.navigator.window)
    box.setWindowTitle("Remove slide" if one else "Remove slides")
    box.setText(f"Remove {records[0].name if one else things(len(records), 'slide')} from the project?")
    with_it, files = ("it", "The slide's file is") if one else ("them", "The slides' files are")
    box.setInformativeText(
        f"{listed([*parts[:2], *kept])} will be removed with {with_it}. {files} not deleted. "
        "Undo brings everything back."
    )
    if not one:
        box.setDetailedText("\n".join(record.name for record in records))
    remove = box.addButton(box.windowTitle(), QMessageBox.ButtonRole.AcceptRole)
    box.addButton(QMessageBox.StandardButton.Cancel)
    box.exec()
    if box.clickedButton() is remove:
        there = {record.id for record in project.slides}
        many = sum(count.kept + count.rejected for count in found) + len(records)
        _take_out(context, project, [record.id for record in records if record.id in there], many=many)


def _take_out(context: Context, project: Project, slide_ids: list[int], *, many: int) -> None:
    """Remove slides; ``many`` rows are left to a worker."""
    session, jobs = context.session, context.jobs
    pending = project.slides.prepare_removing(slide_ids)
    if many < REMOVED_AT_ONCE or jobs.running:
        # a running detection adds findings and must not wait for a lock
        pending.write()
        pending.finish()
        return

    def write() -> Job[None]:
        yield Progress(0, 0, "", "removing")
        pending.write()

    def finish(_: None) -> None:
        if session.project is project:
            pending.finish()

    jobs.run(
        write(),
        pending.title,
        on_done=finish,
        on_cancelled=pending.give_up,
    )
    context.navigator.refresh_actions()


def _remove_words(context: Context) -> str:
    count = len(context.session.scope.chosen_ids)
    return f"Remove {things(count, 'slide')} from the project…" if count > 1 else ""


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
        group=3,
        words=_remove_words,
    ),
    Action("slide.rename", "Rename slide", "Slide", _rename, ("F2",), "rename-outline", when=writing_slide),
    Action("slide.folder", "Show in its folder", "Slide", _show_in_folder, (), "folder-eye-outline", when=with_slide),
    Action(
        "slide.accept",
        "Accept the changed file",
        "Slide",
        _accept,
        (),
        "file-check-outline",
        when=_with_changed,
        tooltip="Its findings are marked as found on an earlier version",
    ),
    Action("slide.locate", "Locate its file…", "Slide", _locate, (), "folder-search-outline", when=writing_slide),
)
