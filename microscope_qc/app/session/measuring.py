"""How well models do on the open project: evaluations that it keeps, and comparisons with the model in use."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from microscope_qc.app.base.signals import link
from microscope_qc.app.session.scope import ScopeKind
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.jobs import CancelToken, Job
from microscope_qc.ml.library import model_folder
from microscope_qc.workflows.learning.which_findings import ListedPlaces
from microscope_qc.workflows.models.in_child import run_command
from microscope_qc.workflows.models.kept_evaluation import KeptEvaluation, data_changed, read_evaluation

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobHandle, JobRunner
    from microscope_qc.app.session.state import SessionState


LOOK_MS = 1500
"""After a change it is looked up whether data have changed when a user pauses."""


class Measuring(QObject):
    """Measures models in processes of their own, one at a time, and knows how well they did.

    Models are named by their folders. ``changed`` is sent when anything is known that was not.

    Parameters
    ----------
    command
        Runs a command of the program in a process of its own; replaced in tests.
    """

    changed = Signal()
    asked = Signal()  # for all that is known of :attr:`wanted`

    def __init__(
        self, session: SessionState, jobs: JobRunner, *, command: Callable[..., Job[None]] = run_command
    ) -> None:
        super().__init__()
        self._session, self._jobs, self._command = session, jobs, command
        self._kept: dict[Path, KeptEvaluation | None] = {}
        self._stale: dict[Path, bool] = {}
        self._compared: dict[tuple[Path, str], dict[str, Any]] = {}
        self._handle: JobHandle | None = None
        self._checking: CancelToken | None = None
        self.wanted: Path | None = None
        link(self, session.project_changed, self._on_project_changed)

    # -- what is known -----------------------------------------------------------------------------------------------

    @property
    def handle(self) -> JobHandle | None:
        """The measurement that runs; None while none does."""
        return self._handle

    def evaluation(self, folder: Path) -> KeptEvaluation | None:
        """What the project keeps of a model, as far as :meth:`look` has read it."""
        return self._kept.get(folder)

    def is_stale(self, folder: Path) -> bool:
        """Whether what a model was measured on is marked otherwise by now."""
        return self._stale.get(folder, False)

    def comparison(self, folder: Path) -> Mapping[str, Any] | None:
        """The comparison of a model with the one in use now; None where that was not made since the start."""
        project = self._session.project
        return None if project is None else self._compared.get((folder, project.models.argument))

    def show_all(self, folder: Path) -> None:
        """Ask for all that is known of a model, where models are shown."""
        self.wanted = folder
        self.asked.emit()

    def look(self, folder: Path) -> None:
        """Read what the project keeps of a model, and then whether the data have changed, in other threads."""
        project = self._session.project
        if project is not None and not self._jobs.closed:
            path = project.path
            self._jobs.call(lambda: read_evaluation(path, folder), partial(self._take, path, folder))

    def _take(self, path: Path, folder: Path, kept: KeptEvaluation | None) -> None:
        project = self._session.project
        if project is None or project.path != path or self._jobs.closed:
            return
        before, self._kept[folder] = self._kept.get(folder), kept
        if before != kept:
            self.changed.emit()
        if self._checking is not None:
            self._checking.cancel()
            self._checking = None
        if kept is not None:
            job = data_changed(path, folder, kept)
            self._checking = self._jobs.behind(
                job, partial(self._take_stale, folder, kept), lambda _error: self._take_stale(folder, kept, True)
            )

    def _take_stale(self, folder: Path, kept: KeptEvaluation, stale: bool) -> None:
        self._checking = None
        if self._kept.get(folder) is kept and self._stale.get(folder, False) != stale:
            self._stale[folder] = stale
            self.changed.emit()

    def _on_project_changed(self) -> None:
        self._kept, self._stale, self._compared, self.wanted = {}, {}, {}, None
        self.changed.emit()

    # -- measuring ---------------------------------------------------------------------------------------------------

    def evaluate(self, folder: Path, name: str) -> None:
        """Measure a model on what the project keeps for the test, else on what was held out, else on all of it."""
        project = self._session.project
        if project is not None and self._handle is None:
            arguments = ["evaluate", str(folder), str(project.path), "--keep"]
            self._run(arguments, f"Evaluating {name}", lambda: self.look(folder))

    def compare(self, folder: Path, name: str) -> None:
        """Compare a model with the one in use, on the same places of the project.

        Raises
        ------
        ModelError
            When the model in use is no longer there.
        """
        project = self._session.project
        if project is None or self._handle is not None or project.models.current is None:
            return
        used, other = project.models.argument, project.models.current.name
        drafts = Path(tempfile.mkdtemp(prefix="models-"))
        out = drafts / "comparison.json"
        arguments = ["models", "compare", str(folder), str(model_folder(used)), str(project.path), "--out", str(out)]

        def done() -> None:
            if self._session.project is project:
                self._compared[folder, used] = json.loads(out.read_text(encoding="utf-8"))

        self._run(
            arguments, f"Comparing {name} with {other}", done, lambda: shutil.rmtree(drafts, ignore_errors=True)
        )  # fmt: skip

    def _run(
        self, arguments: list[str], title: str, done: Callable[[], None], at_last: Callable[[], None] = lambda: None
    ) -> None:
        def ended(act: Callable[[], None]) -> None:
            self._handle = None
            try:
                act()
            finally:
                at_last()
                self.changed.emit()

        self._handle = self._jobs.run(
            self._command(arguments), title, lambda _: ended(done),
            lambda error: ended(partial(self._on_failed, error)), lambda: ended(lambda: None),
        )  # fmt: skip
        self.changed.emit()

    def _on_failed(self, error: BaseException) -> None:
        if not isinstance(error, MicroscopeQCError):
            raise error
        self._session.notice.emit(str(error))

    # -- what is opened ----------------------------------------------------------------------------------------------

    def show_findings(self, places: ListedPlaces) -> None:
        """Show only these findings in the lists of the window, on whichever slides they are."""
        session = self._session
        if not len(places.numbers) or session.project is None:
            return
        session.clear_filter()
        session.selection.clear()  # the first of them is looked at next
        session.set_filter(numbers=frozenset(places.numbers))
        if len(session.project.slides) > 1:
            session.scope.set_kind(ScopeKind.ALL)
