"""Opening, dropping, closing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import with_project
from microscope_qc.app.base.slide_files import PROJECT_SUFFIX, containing_slide, slide_filter
from microscope_qc.app.commands.intake import add_slides, offer_folder, start_folder, take_project, tell
from microscope_qc.app.commands.save_as_new import may_leave
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import Job, Progress

if TYPE_CHECKING:
    from microscope_qc.app.context import Context
    from microscope_qc.app.session.session import Session
    from microscope_qc.project import Project
    from microscope_qc.slides import Mosaic
    from microscope_qc.workflows.intake.adding import IntakePlan

    _Opened = tuple[Path, Project, IntakePlan | None]

T = TypeVar("T")

AHEAD_MS = 1500
"""A slide's project is opened once the slide is on screen, but after this time at the latest."""

# -- opening -----------------------------------------------------------------------------------------------------------


def _open(context: Context) -> None:
    """Ask for slides or a project."""
    chosen, _ = QFileDialog.getOpenFileNames(
        context.navigator.window, "Open slide or project", start_folder(context), slide_filter()
    )
    open_paths(context, chosen)


def _open_folder(context: Context) -> None:
    """Ask for a folder of pictures, or the folder of a project."""
    window = context.navigator.window
    chosen = QFileDialog.getExistingDirectory(window, "Open a folder of pictures, or a project", start_folder(context))
    if chosen:
        open_paths(context, [chosen])


def open_paths(context: Context, paths: Iterable[str | Path]) -> None:
    """Open what was chosen, dropped or given on the command line.

    The first project is opened, and whatever else is named added to it. Without one a single slide opens its own
    project, a folder or several slides that of the folder.
    """
    places = list(dict.fromkeys(containing_slide(Path(os.path.abspath(path))) for path in paths))  # noqa: PTH100
    projects = [path for path in places if path.suffix.lower() == PROJECT_SUFFIX]
    slides = [path for path in places if path.suffix.lower() != PROJECT_SUFFIX]
    if projects:
        _open_one(context, projects[0], slides)
    elif len(slides) == 1:
        _open_slide_or_folder(context, slides[0])
    elif slides:
        _open_together(context, slides)


def _open_slide_or_folder(context: Context, place: Path) -> None:
    from microscope_qc.slides.registry import file_suffixes

    def go_on(is_folder: bool) -> None:
        if is_folder:
            _open_together(context, [place])
        else:
            _open_one(context, place, [])

    if place.name.lower().endswith(file_suffixes()):
        go_on(False)
    else:  # the disk says: it may answer slowly
        context.jobs.call(lambda: _is_folder(place), on_done=go_on)


def _open_one(context: Context, first: Path, rest: list[Path]) -> None:
    def open_it() -> None:
        context.jobs.run(
            _as_job(lambda: _open_project(first), f"Opening {first.name}"),
            f"Open {first.name}",
            on_done=lambda project: _take_project(context, project, first, rest),
            on_failed=lambda error: _opening_failed(context, error),
        )

    if context.session.project is None and first.suffix.lower() != PROJECT_SUFFIX:
        _look_ahead(context, first, then=open_it)
    else:
        open_it()


def _open_together(context: Context, places: list[Path]) -> None:
    """Open the project of a folder or of several slides; made here, it holds all of them from the start."""
    session = context.session

    def on_done(opened: _Opened) -> None:
        folder, project, plan = opened
        take_project(context, project)
        if not _shows(session, project):
            return
        if plan is not None and session.project is project:
            tell(context, list(project.slides), plan)
        elif places == [folder]:
            offer_folder(context, folder)  # pictures that came since
        elif session.can_write:
            add_slides(context, places)

    context.jobs.run(
        _opened_together(places),
        f"Open {places[0].name}",
        on_done=on_done,
        on_failed=lambda error: _opening_failed(context, error),
    )


def _opened_together(places: list[Path]) -> Job[_Opened]:
    from microscope_qc.workflows.intake.opening import folder_of, open_together

    folder = folder_of(places)
    project, plan = yield from open_together(places, program="window")
    _read_boxes(project)
    return folder, project, plan


def _shows(session: Session, project: Project) -> bool:
    """Whether a project is on screen, opened now or before."""
    return session.project is not None and session.project.path == project.path


def _look_ahead(context: Context, path: Path, *, then: Callable[[], None]) -> None:
    """Show a slide before its project is opened: that needs a fingerprint of the slide, which may take seconds."""
    canvas, session = context.canvas, context.session
    waiting = QTimer(canvas, singleShot=True, interval=AHEAD_MS)

    def go_on(*_: object) -> None:
        if waiting.isActive():  # else it has gone on already
            waiting.setInterval(0)

    def on_opened(mosaic: Mosaic) -> None:
        if session.project is None and waiting.isActive():
            canvas.show_ahead(mosaic)
            context.navigator.show_page()

    shown = canvas.thumbnail_ready.connect(go_on)
    waiting.timeout.connect(lambda: canvas.thumbnail_ready.disconnect(shown))
    waiting.timeout.connect(then)
    waiting.start()
    # opening the project reports what is wrong with the slide
    context.jobs.call(lambda: _first_scene(path), on_done=on_opened, on_failed=go_on)


def _opening_failed(context: Context, error: BaseException) -> None:
    if context.session.project is None and context.session.ahead is not None:
        context.canvas.show_ahead(None)
        context.navigator.show_page()
    context.errors.take(error)


def _take_project(context: Context, project: Project, first: Path, further: list[Path]) -> None:
    take_project(context, project)
    if not _shows(context.session, project):
        return
    if further:
        add_slides(context, further)
    elif first.suffix.lower() != PROJECT_SUFFIX:
        _show_slide_at(context, first)
        offer_folder(context, first.parent)


def _show_slide_at(context: Context, place: Path) -> None:
    """Show the slide that was opened: its project may be that of its folder, left on another one."""
    project, shown = context.session.project, context.session.slide
    slides = project.slides if project is not None else ()
    found = next((slide.id for slide in slides if slide.path == place), None)
    if found is not None and (shown is None or shown.path != place):
        context.session.show_slide(found)


def open_for_writing(context: Context, place: Path) -> None:
    """Close a project that is open for reading and open it again."""
    context.session.set_project(None)
    open_paths(context, [place])


def _open_sample(context: Context) -> None:
    """Unpack the sample in the background, unless it is there already, and open it."""
    from microscope_qc.workflows.samples.demo import sample_folder
    from microscope_qc.workflows.samples.ready import PROJECT_NAME, ready_sample

    chosen = os.environ.get("MICROSCOPE_QC_SAMPLE_DIR")
    out = Path(chosen) if chosen else sample_folder()
    made = out / PROJECT_NAME
    if made.exists():
        open_paths(context, [made])
    else:
        context.jobs.run(ready_sample(out), "Unpack the sample", on_done=lambda place: open_paths(context, [place]))


# -- dropping, closing -------------------------------------------------------------------------------------------------


def dropped(context: Context, paths: list[Path]) -> None:
    """Open or add what was dropped on the window: a project is opened, slides and folders are added or opened."""
    places = [containing_slide(path) for path in paths]
    if any(path.suffix.lower() == PROJECT_SUFFIX for path in places) or not context.session.can_write:
        open_paths(context, places)
    else:
        add_slides(context, places)


def _close_project(context: Context) -> None:
    """Close the project; everything is saved already."""
    if context.jobs.running:
        raise InputError("A task is still running on this project.", hint="Wait for it, or stop it first.")
    if may_leave(context):
        context.session.set_project(None)


def _is_folder(path: Path) -> bool:
    from microscope_qc.workflows.intake.finding import is_slide_folder

    return path.is_dir() and not is_slide_folder(path)


def _first_scene(path: Path) -> Mosaic:
    from microscope_qc.slides import open_slide

    return open_slide(path).scenes[0]


def _open_project(path: Path) -> Project:
    from microscope_qc.workflows.open import project_for

    project = project_for(path, program="window")
    _read_boxes(project)
    return project


def _read_boxes(project: Project) -> None:
    try:
        for slide in project.slides:  # in this thread: reading them later would freeze the window
            project.boxes.table(slide.id)
    except BaseException:
        project.close()
        raise


def _as_job(work: Callable[[], T], note: str) -> Job[T]:
    yield Progress(0, 0, "", note)
    return work()


ACTIONS = (
    Action("file.open", "Open slide or project…", "File", _open, ("Ctrl+O",), "folder-open-outline", toolbar=True),
    Action(
        "file.open_folder", "Open a folder…", "File", _open_folder, ("Ctrl+Shift+O",), "folder-multiple-image",
        tooltip="A folder of pictures as one project, or the folder of a project",
    ),
    Action("file.sample", "Open the sample", "File", _open_sample, (), "flask-outline"),
    Action("file.close", "Close project", "File", _close_project, ("Ctrl+W",), "close", when=with_project, group=3),
)  # fmt: skip
