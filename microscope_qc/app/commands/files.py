"""Opening, adding, closing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import with_project, writing
from microscope_qc.app.base.slide_files import containing_slide, slide_filter
from microscope_qc.core.errors import InputError, MicroscopeQCError
from microscope_qc.core.jobs import Job, Progress

if TYPE_CHECKING:
    from microscope_qc.app.context import Context
    from microscope_qc.project import Project
    from microscope_qc.project.scenes import SceneFacts
    from microscope_qc.slides import Mosaic

T = TypeVar("T")

AHEAD_MS = 1500
"""A slide's project is opened once the slide is on screen, but after this time at the latest."""

# -- opening -----------------------------------------------------------------------------------------------------------


def _open(context: Context) -> None:
    """Ask for a slide or a project."""
    chosen, _ = QFileDialog.getOpenFileName(
        context.navigator.window, "Open slide or project", _folder(context), slide_filter()
    )
    if chosen:
        open_paths(context, [chosen])


def open_paths(context: Context, paths: Iterable[str | Path]) -> None:
    """Open what was chosen, dropped or given on the command line.

    The first project or slide is opened; further slides are added to its project.
    """
    places = [containing_slide(Path(path)) for path in paths]
    if not places:
        return
    first, rest = places[0], places[1:]

    def open_it() -> None:
        context.jobs.run(
            _as_job(lambda: _open_project(first), f"Opening {first.name}"),
            f"Open {first.name}",
            on_done=lambda project: _take_project(context, project, rest),
            on_failed=lambda error: _opening_failed(context, error),
        )

    if context.session.project is None and first.suffix.lower() != ".mqc":
        _look_ahead(context, first, then=open_it)
    else:
        open_it()


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


def _take_project(context: Context, project: Project, further: list[Path]) -> None:
    session = context.session
    if session.project is not None and session.project.path == project.path:
        # opened twice in one window: the second one could only read
        project.close()
        session.notice.emit(f"{session.project.name} is already open.")
    else:
        session.set_project(project)
        context.settings.add_recent(project.path)
        context.navigator.save_settings()
    add_slides(context, [path for path in further if path.suffix.lower() != ".mqc"])


def open_for_writing(context: Context, place: Path) -> None:
    """Close a project that is open for reading and open it again."""
    context.session.set_project(None)
    open_paths(context, [place])


def _open_sample(context: Context) -> None:
    """Make the sample project in the background and open it."""
    from microscope_qc.workflows.samples import demo

    chosen = os.environ.get("MICROSCOPE_QC_SAMPLE_DIR")
    out = Path(chosen) if chosen else demo.sample_folder()
    made = out / demo.PROJECT_NAME
    if made.exists():
        open_paths(context, [made])
    else:
        context.jobs.run(demo.sample(out), "Make the sample", on_done=lambda path: open_paths(context, [path]))


# -- adding, dropping, closing -----------------------------------------------------------------------------------------


def _add_slide(context: Context) -> None:
    """Ask for slides to add."""
    chosen, _ = QFileDialog.getOpenFileNames(context.navigator.window, "Add slides", _folder(context), slide_filter())
    add_slides(context, [containing_slide(Path(path)) for path in chosen])


def add_slides(context: Context, paths: list[Path]) -> None:
    """Add slides to the open project one by one, one undo step each; one that fails does not stop the others."""
    session = context.session
    project = session.project
    if not paths or project is None:
        return
    if project.read_only:
        raise InputError("This project is open for reading only.", hint="Close it where it is open for writing.")

    from microscope_qc.project.scenes import read_facts

    first, rest = paths[0], paths[1:]

    def on_read(facts: list[SceneFacts]) -> None:
        if session.project is not project:
            return  # another project was opened meanwhile
        try:
            session.show_slide(project.slides.add_scenes(facts).id)
        except MicroscopeQCError as error:
            context.errors.take(error)
        add_slides(context, rest)

    def on_failed(error: BaseException) -> None:
        context.errors.take(error)
        if session.project is project:
            add_slides(context, rest)

    context.jobs.run(
        _as_job(lambda: read_facts(first), f"Reading {first.name}"),
        f"Add {first.name}",
        on_done=on_read,
        on_failed=on_failed,
    )


def dropped(context: Context, paths: list[Path]) -> None:
    """Open or add files that were dropped on the window: a project is opened, slides are added or opened."""
    places = [containing_slide(path) for path in paths]
    projects = [path for path in places if path.suffix.lower() == ".mqc"]
    if projects:
        open_paths(context, projects[:1])
    elif context.session.can_write:
        add_slides(context, places)
    else:
        open_paths(context, places)


def _close_project(context: Context) -> None:
    """Close the project; everything is saved already."""
    if context.jobs.running:
        raise InputError("A task is still running on this project.", hint="Wait for it, or stop it first.")
    context.session.set_project(None)


def _folder(context: Context) -> str:
    project = context.session.project
    if project is not None:
        return str(project.path.parent)
    recent = context.settings.recent
    return str(Path(recent[0]).parent) if recent else str(Path.home())


def _first_scene(path: Path) -> Mosaic:
    from microscope_qc.slides import open_slide

    return open_slide(path).scenes[0]


def _open_project(path: Path) -> Project:
    from microscope_qc.workflows.open import project_for

    project = project_for(path, program="window")
    try:
        for slide in project.slides:  # in this thread: reading them later would freeze the window
            project.boxes.table(slide.id)
    except BaseException:
        project.close()
        raise
    return project


def _as_job(work: Callable[[], T], note: str) -> Job[T]:
    yield Progress(0, 0, "", note)
    return work()


ACTIONS = (
    Action("file.open", "Open slide or project…", "File", _open, ("Ctrl+O",), "folder-open-outline", toolbar=True),
    Action("file.sample", "Open the sample", "File", _open_sample, (), "flask-outline"),
    Action("file.add_slide", "Add slide…", "File", _add_slide, (), "image-plus-outline", when=writing, group=1),
    Action("file.close", "Close project", "File", _close_project, ("Ctrl+W",), "close", when=with_project, group=3),
)
