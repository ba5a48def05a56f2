"""Opening, adding, closing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog

from microscope_qc.core.errors import InputError, MicroscopeQCError
from microscope_qc.core.jobs import Job, Progress

if TYPE_CHECKING:
    from microscope_qc.app.shell.main_window import MainWindow
    from microscope_qc.project import Project
    from microscope_qc.project.scenes import SceneFacts
    from microscope_qc.slides import Mosaic

SLIDE_FILTER = (
    "Slides and projects (*.czi *.tif *.tiff *.svs *.png *.jpg *.jpeg project.sqlite zarr.json .zattrs);;All files (*)"
)
AHEAD_MS = 1500
"""A slide's project is opened after its first picture, but not later than this."""
INSIDE_FOLDERS = {"project.sqlite", "zarr.json", ".zattrs", ".zgroup"}
"""Files that stand for the folder they lie in: file dialogs cannot choose files and folders alike."""


class FileCommands:
    """The File menu."""

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        self._session = window.session

    # -- opening -----------------------------------------------------------------------------------------------------

    def open_dialog(self) -> None:
        """Ask for a slide or a project."""
        chosen, _ = QFileDialog.getOpenFileName(self._window, "Open slide or project", self._folder(), SLIDE_FILTER)
        if chosen:
            self.open_paths([chosen])

    def open_paths(self, paths: Iterable[str | Path]) -> None:
        """Open what was chosen, dropped or given on the command line.

        The first project or slide is opened; further slides are added to its project.
        """
        places = [the_slide(Path(path)) for path in paths]
        if not places:
            return
        first, rest = places[0], places[1:]

        def open_it() -> None:
            self._window.jobs.run(
                _as_job(lambda: _open_project(first), f"Opening {first.name}"),
                f"Open {first.name}",
                on_done=lambda project: self._on_project_opened(project, rest),
                on_failed=self._on_opening_failed,
            )

        if self._session.project is None and first.suffix.lower() != ".mqc":
            self._look_ahead(first, then=open_it)
        else:
            open_it()

    def _look_ahead(self, path: Path, *, then: Callable[[], None]) -> None:
        """Show a slide's picture before its project: that takes a fingerprint of the slide, which may take seconds."""
        waiting = QTimer(self._window, singleShot=True, interval=AHEAD_MS)

        def go_on(*_: object) -> None:
            if waiting.isActive():  # else it has gone on already
                waiting.setInterval(0)

        def on_opened(mosaic: Mosaic) -> None:
            if self._session.project is None and waiting.isActive():
                self._window.canvas.show_ahead(mosaic)
                self._window.show_page()

        shown = self._window.canvas.thumbnail_ready.connect(go_on)
        waiting.timeout.connect(lambda: self._window.canvas.thumbnail_ready.disconnect(shown))
        waiting.timeout.connect(then)
        waiting.start()
        # whatever is wrong with the slide is said by the opening itself
        self._window.jobs.call(lambda: _first_scene(path), on_done=on_opened, on_failed=go_on)

    def _on_opening_failed(self, error: BaseException) -> None:
        if self._session.project is None and self._session.ahead is not None:
            self._window.canvas.show_ahead(None)
            self._window.show_page()
        self._window.errors.take(error)

    def _on_project_opened(self, project: Project, further: list[Path]) -> None:
        session = self._session
        if session.project is not None and session.project.path == project.path:
            # opened twice in one window: the second opening could only read
            project.close()
            session.notice.emit(f"{session.project.name} is open already.")
        else:
            session.set_project(project)
            self._window.settings.add_recent(project.path)
            self._window.save_settings()
        self.add_slides([path for path in further if path.suffix.lower() != ".mqc"])

    def open_for_writing(self, place: Path) -> None:
        """Close a project that is open for reading and open it anew."""
        self._session.set_project(None)
        self.open_paths([place])

    def add_slide_dialog(self) -> None:
        """Ask for slides to add."""
        chosen, _ = QFileDialog.getOpenFileNames(self._window, "Add slides", self._folder(), SLIDE_FILTER)
        self.add_slides([the_slide(Path(path)) for path in chosen])

    def add_slides(self, paths: list[Path]) -> None:
        """Add slides to the open project one after the other, one step of undo each; a bad one stops no other."""
        project = self._session.project
        if not paths or project is None:
            return
        if project.read_only:
            raise InputError("This project is open for reading only.", hint="Close it where it is open for writing.")

        from microscope_qc.project.scenes import read_facts

        first, rest = paths[0], paths[1:]

        def on_read(facts: list[SceneFacts]) -> None:
            if self._session.project is not project:
                return  # another project was opened meanwhile
            with self._saying_errors():
                self._session.show_slide(project.slides.add_scenes(facts).id)
            self.add_slides(rest)

        def on_failed(error: BaseException) -> None:
            self._window.errors.take(error)
            if self._session.project is project:
                self.add_slides(rest)

        self._window.jobs.run(
            _as_job(lambda: read_facts(first), f"Reading {first.name}"),
            f"Add {first.name}",
            on_done=on_read,
            on_failed=on_failed,
        )

    def dropped(self, paths: list[Path]) -> None:
        """Files were dropped on the window: a project is opened, slides are added or opened."""
        places = [the_slide(path) for path in paths]
        projects = [path for path in places if path.suffix.lower() == ".mqc"]
        if projects:
            self.open_paths(projects[:1])
        elif self._session.can_write:
            self.add_slides(places)
        else:
            self.open_paths(places)

    def open_sample(self) -> None:
        """Make the sample project in the background and open it."""
        from microscope_qc.workflows.samples import demo

        chosen = os.environ.get("MICROSCOPE_QC_SAMPLE_DIR")
        out = Path(chosen) if chosen else demo.sample_folder()
        made = out / demo.PROJECT_NAME
        if made.exists():
            self.open_paths([made])
        else:
            self._window.jobs.run(demo.sample(out), "Make the sample", on_done=lambda path: self.open_paths([path]))

    def close_project(self) -> None:
        """Close the project; everything is saved already."""
        if self._window.jobs.running:
            raise InputError("Something is still running on this project.", hint="Wait for it, or stop it first.")
        self._session.set_project(None)

    @contextmanager
    def _saying_errors(self) -> Iterator[None]:
        """Show what went wrong in the bar, and go on."""
        try:
            yield
        except MicroscopeQCError as error:
            self._window.errors.take(error)

    def _folder(self) -> str:
        project = self._session.project
        if project is not None:
            return str(project.path.parent)
        recent = self._window.settings.recent
        return str(Path(recent[0]).parent) if recent else str(Path.home())


def the_slide(path: Path) -> Path:
    """The folder that a file inside a project or an OME-Zarr stands for; any other path as it is."""
    if path.name in INSIDE_FOLDERS:
        folder = path.parent
        # a level or a label inside the store stands for the store, too
        for above in (folder, *folder.parents[:3]):
            if above.suffix.lower() in {".mqc", ".zarr"}:
                return above
        return folder
    return path


def _first_scene(path: Path) -> Mosaic:
    from microscope_qc.slides import open_slide

    return open_slide(path).scenes[0]


def _open_project(path: Path) -> Project:
    from microscope_qc.workflows.open import project_for

    project = project_for(path, program="window")
    try:
        for slide in project.slides:  # here and now: the window would stand still for them
            project.boxes.table(slide.id)
    except BaseException:
        project.close()
        raise
    return project


def _as_job(work: Callable[[], Any], note: str) -> Job[Any]:
    yield Progress(0, 0, "", note)
    return work()
