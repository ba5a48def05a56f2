"""How well models do on the open project: evaluations that it keeps, and comparisons with the model in use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from microscope_qc.app.base.signals import link
from microscope_qc.app.session.scope import ScopeKind
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.jobs import CancelToken, Job
from microscope_qc.ml.library import model_folder
from microscope_qc.workflows.learning.which_findings import ListedPlaces
from microscope_qc.workflows.models.in_child import run_command
from microscope_qc.workflows.models.kept_comparison import KeptComparison, comparison_changed, read_comparisons
from microscope_qc.workflows.models.kept_evaluation import KeptEvaluation, data_changed, read_evaluation
from microscope_qc.workflows.models.shelf import shelf_reader

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobHandle, JobRunner
    from microscope_qc.app.session.state import SessionState


LOOK_MS = 1500
"""After a change it is looked up whether data have changed when a user pauses."""


class Measuring(QObject):
    """Measures models in processes of their own, one at a time, and knows how well they did.

    Models and comparisons are named by their folders. ``changed`` is sent when anything is known that was not.

    Parameters
    ----------
    command
        Runs a command of the program in a process of its own; replaced in tests.
    """

    changed = Signal()
    asked = Signal()  # for all that is known of :attr:`wanted`
    comparison_asked = Signal()  # for :attr:`wanted_comparison`

    def __init__(
        self, session: SessionState, jobs: JobRunner, *, command: Callable[..., Job[None]] = run_command
    ) -> None:
        super().__init__()
        self._session, self._jobs, self._command = session, jobs, command
        self._kept: dict[Path, KeptEvaluation | None] = {}
        self._stale: dict[Path, bool] = {}
        self._comparisons: Sequence[KeptComparison] = ()
        self._comparing = 0
        self._handle: JobHandle | None = None
        self._checking: CancelToken | None = None
        self._checking_comparison: CancelToken | None = None
        self.wanted: Path | None = None
        self.wanted_comparison: Path | None = None
        link(self, session.project_changed, self._on_project_changed)
        self.look_at_comparisons()

    # -- what is known -----------------------------------------------------------------------------------------------

    @property
    def handle(self) -> JobHandle | None:
        """The measurement that runs; None while none does."""
        return self._handle

    def evaluation(self, folder: Path) -> KeptEvaluation | None:
        """What the project keeps of a model, as far as :meth:`look` has read it."""
        return self._kept.get(folder)

    def is_stale(self, folder: Path) -> bool:
        """Whether what a model was measured on, or a comparison, is marked otherwise by now."""
        return self._stale.get(folder, False)

    @property
    def comparisons(self) -> Sequence[KeptComparison]:
        """Those that the project keeps, the newest first, as far as :meth:`look_at_comparisons` has read them."""
        return self._comparisons

    def comparison(self, folder: Path) -> KeptComparison | None:
        """The newest comparison of a model with the one in use now; None where there is none."""
        used = "" if self._session.project is None else self._session.project.models.argument
        return next(
            (
                kept for kept in self._comparisons
                if kept.new is not None and kept.old is not None
                and kept.new.folder == folder and kept.old.argument == used
            ), None,
        )  # fmt: skip

    def show_comparison(self, folder: Path) -> None:
        """Ask for a comparison, where they are shown."""
        self.wanted_comparison = folder
        self.comparison_asked.emit()

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

    def look_at_comparisons(self) -> None:
        """Read which comparisons the project keeps, in another thread."""
        self._comparing += 1
        project = self._session.project
        if project is not None and not self._jobs.closed:
            path, shelf = project.path, shelf_reader(project)
            self._jobs.call(lambda: read_comparisons(path, shelf()), partial(self._take_comparisons, self._comparing))

    def _take_comparisons(self, number: int, found: Sequence[KeptComparison]) -> None:
        before, now = ([(kept.folder, kept.new, kept.old) for kept in part] for part in (self._comparisons, found))
        if number == self._comparing and before != now:
            self._comparisons = found
            self.changed.emit()

    def check_comparison(self, kept: KeptComparison) -> None:
        """Find out whether what the models were compared on has changed since, for :meth:`is_stale`."""
        project = self._session.project
        if self._checking_comparison is not None:
            self._checking_comparison.cancel()
        if project is not None and not self._jobs.closed:
            self._checking_comparison = self._jobs.behind(
                comparison_changed(project.path, kept), partial(self._take_changed, kept.folder),
                lambda _error: self._take_changed(kept.folder, True),
            )  # fmt: skip

    def _take_changed(self, folder: Path, stale: bool) -> None:
        self._checking_comparison = None
        if self._stale.get(folder, False) != stale:
            self._stale[folder] = stale
            self.changed.emit()

    def _on_project_changed(self) -> None:
        self._kept, self._stale, self._comparisons = {}, {}, ()
        self.wanted = self.wanted_comparison = None
        self.look_at_comparisons()
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
        if project is not None and project.models.current is not None:
            self._compare(folder, name, model_folder(project.models.argument), project.models.current.name)

    def compare_again(self, kept: KeptComparison) -> None:
        """Compare the same two models on what is marked now."""
        if kept.new is not None and kept.old is not None:
            self._compare(kept.new.folder, kept.new.name, kept.old.folder, kept.old.name)

    def _compare(self, new: Path, name: str, old: Path, other: str) -> None:
        project = self._session.project
        if project is not None and self._handle is None:
            arguments = ["models", "compare", str(new), str(old), str(project.path), "--keep"]
            self._run(arguments, f"Comparing {name} with {other}", self.look_at_comparisons)

    def _run(self, arguments: list[str], title: str, done: Callable[[], None]) -> None:
        def ended(act: Callable[[], None]) -> None:
            self._handle = None
            try:
                act()
            finally:
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
