"""The trainings of a project as the window knows them: started, watched, paused, ended, continued."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtGui import QImage

from microscope_qc.app.base.newest import NewestWork
from microscope_qc.app.base.signals import link
from microscope_qc.app.panels.learn.dividing import divide
from microscope_qc.app.panels.learn.examples import ShownExample
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.jobs import Job
from microscope_qc.workflows.learning.request import (
    Training,
    TrainingState,
    ask_for_training,
    discard,
    end_with_best,
    go_on,
    read_training,
    trainings,
)

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobHandle, JobRunner
    from microscope_qc.app.session.session import Session

LOOK_MS = 1000
PAUSED = "Paused. Nothing is lost: continue it whenever you like."
NOT_WHOLLY = "Paused, but the last steps could not be written. It goes on from what was kept before."
Follow = Callable[..., Job[Any]]


def _follow(*arguments: Any) -> Job[Any]:
    from microscope_qc.workflows.learning.following import follow_training

    return follow_training(*arguments)


class LearnRun(QObject):
    """One training at a time; ``changed`` is sent when anything about it is new.

    Attributes
    ----------
    training
        The one that runs, or that was looked at last; None where the project has none.
    examples
        Its examples with their pixels.
    others
        All trainings of the project, the newest last.
    said
        How it ended, for the user.
    """

    changed = Signal()
    finished = Signal()

    def __init__(
        self, session: Session, jobs: JobRunner, parent: QObject | None = None, *, follow: Follow | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._jobs, self._follow = session, jobs, follow or _follow
        self.training: Training | None = None
        self.examples: list[ShownExample] = []
        self.others: list[Training] = []
        self.said = ""
        self._handle: JobHandle | None = None
        self._after: Callable[[Path], None] | None = None
        self._folder: Path | None = None
        self._images: dict[Path, QImage] = {}
        self._reader = NewestWork("learn", self)
        self._look = QTimer(self)
        self._look.setInterval(LOOK_MS)
        self._look.timeout.connect(self.look)
        self.destroyed.connect(self._reader.close)
        link(self, session.project_changed, self._on_project_changed)
        self._on_project_changed()

    def close(self) -> None:
        """Wait for the thread that reads (the window is closing)."""
        self._look.stop()
        self._reader.close()

    # -- what is shown -----------------------------------------------------------------------------------------------

    @property
    def handle(self) -> JobHandle | None:
        """The training that runs; None while none does."""
        return self._handle

    @property
    def running(self) -> bool:
        """Whether a training runs, or is on its way to an end."""
        return self._handle is not None

    @property
    def ending(self) -> bool:
        """Whether it was told to pause, or to end with the best so far."""
        return self._handle is not None and (self._handle.cancelling or self._after is not None)

    def look(self) -> None:
        """Read what is new in the folder, in another thread."""
        folder = self._folder
        if folder is not None and not self._reader.busy("read"):
            self._reader.ask("read", lambda: self._read(folder), self._take)

    def list_all(self) -> None:
        """Read which trainings there are, in another thread."""
        project = self._session.project
        if project is not None:
            path = project.path
            self._reader.ask("list", lambda: trainings(path), self._take_all)

    def _read(self, folder: Path) -> tuple[Training, list[ShownExample]] | None:
        try:
            training = read_training(folder)
        except MicroscopeQCError:  # deleted meanwhile
            return None
        shown = []
        for picture in training.examples:
            image = self._images.get(picture.file)
            if image is None:
                image = self._images[picture.file] = QImage(str(picture.file))
            shown.append(ShownExample(picture, image))
        return training, shown

    def _take(self, read: tuple[Training, list[ShownExample]] | None) -> None:
        if read is None:
            self._forget_deleted()
            return
        if read[0].folder != self._folder:
            return
        self.training, self.examples = read
        state = self.training.state
        if self.said == PAUSED and not self.running and state in (TrainingState.FAILED, TrainingState.RUNNING):
            self.said = self.training.message or NOT_WHOLLY  # such as on a full disk
        self.changed.emit()

    def _forget_deleted(self) -> None:
        """Show no training whose folder was deleted; one that runs is told of that by the process that trains."""
        if not self.running and self.training is not None and self.training.folder == self._folder:
            self.training, self.examples, self._folder = None, [], None
            self.list_all()
            self.changed.emit()

    def _take_all(self, found: list[Training]) -> None:
        project = self._session.project
        if project is None or any(one.folder.parent.parent != project.path for one in found):
            return
        self.others = found
        if self._folder is None and found:
            self._folder = found[-1].folder
            self.look()
        self.changed.emit()

    def _on_project_changed(self) -> None:
        self.training, self.examples, self.others, self.said = None, [], [], ""
        self._folder = None
        self._images = {}
        self.list_all()
        self.changed.emit()

    def show(self, folder: Path) -> None:
        """Look at another training of the project."""
        if not self.running:
            self._folder, self.said = folder, ""
            self.look()

    # -- what the user does ------------------------------------------------------------------------------------------

    def start(self, name: str, **asked: Any) -> None:
        """Begin a training, see :func:`microscope_qc.workflows.learning.request.ask_for_training`."""
        project = self._session.project
        if project is None or self.running:
            return
        path = project.path

        def ask() -> None:
            classes = {defect.code: defect.id for defect in project.classes}
            self._jobs.call(lambda: ask_for_training(path, name, classes=classes, **asked), self._go, self._on_failed)

        divide(self._session, self._jobs, project, ask, self._on_failed)

    def go_on(self, *, to_end: bool = False) -> None:
        """Continue the training that is shown, or only end it with the best so far."""
        training = self.training
        if training is not None and not self.running:
            folder, write = training.folder, end_with_best if to_end else go_on
            self._jobs.call(lambda: write(folder), lambda _: self._go(folder), self._on_failed)

    def pause(self) -> None:
        """Stop, and keep everything for later."""
        if self._handle is not None:
            self._handle.cancel()
            self.changed.emit()

    def keep_best(self) -> None:
        """End it with the best so far."""
        if self._folder is not None and self.running:
            folder = self._folder
            self._jobs.call(lambda: end_with_best(folder))
            self.said = "Ending with the best so far: it is measured once more."
            self.changed.emit()

    def cancel(self) -> None:
        """Stop, and delete what was learned."""
        if self._handle is not None:
            self._after = self._discard
            self._handle.cancel()
            self.changed.emit()
        elif self.training is not None and self.training.state is not TrainingState.FINISHED:
            self._discard(self.training.folder)

    def _discard(self, folder: Path) -> None:
        self._jobs.call(lambda: discard(folder), lambda _: self._on_discarded(), self._on_not_discarded)

    def _on_discarded(self) -> None:
        self.training, self.examples, self._folder = None, [], None
        self.said = "The training was cancelled, and nothing of it is kept."
        self.list_all()
        self.changed.emit()

    def _on_not_discarded(self, error: BaseException) -> None:
        self.said = str(error)
        self.list_all()
        self.changed.emit()

    # -- what happens ------------------------------------------------------------------------------------------------

    def _go(self, folder: Path) -> None:
        if self.running or self._jobs.closed:
            return
        self._folder, self.said, self._after = folder, "", None
        self.examples = []
        self.training = None
        handle = self._jobs.run(
            self._follow(folder, self._jobs.detector), f"Training {folder.name}", on_done=self._on_done,
            on_failed=self._on_failed, on_cancelled=self._on_cancelled,
        )  # fmt: skip
        self._handle = handle
        handle.changed.connect(self.changed)
        self._look.start()
        self.look()
        self.changed.emit()

    def _end(self, said: str) -> None:
        self._handle, self.said = None, said
        self._look.stop()
        self._reader.forget("read")
        self.look()
        self.list_all()
        self.changed.emit()

    def _on_done(self, _card: Any) -> None:
        self._end("")
        self.finished.emit()

    def _on_cancelled(self) -> None:
        after, folder = self._after, self._folder
        self._after = None
        self._end(PAUSED)
        if after is not None and folder is not None:
            after(folder)

    def _on_failed(self, error: BaseException) -> None:
        words = str(error) if isinstance(error, MicroscopeQCError) else f"The training failed ({error}); see the log."
        self._end(words)
