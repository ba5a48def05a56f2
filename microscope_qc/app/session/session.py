"""The state of one window and what its user can do: edit, judge, navigate, undo.

Views listen to the signals of the state and call the commands here; no view calls another view.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microscope_qc.app.session.box_editing import BoxEditing
from microscope_qc.app.session.declaring import AreaDeclaring
from microscope_qc.app.session.inspecting import Inspecting
from microscope_qc.app.session.judging import Judging
from microscope_qc.app.session.navigation import Navigation
from microscope_qc.app.session.state import SessionState
from microscope_qc.app.session.suggested import Suggested
from microscope_qc.app.session.undoing import Undoing
from microscope_qc.app.session.writing import Writing

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.session.label_learning import LabelLearning
    from microscope_qc.app.session.measuring import Measuring
    from microscope_qc.app.session.review_order import FindingModel
    from microscope_qc.project import Project


class Session(SessionState):
    """The state of one window, and the commands on it by subject."""

    def __init__(self, jobs: JobRunner | None = None) -> None:
        super().__init__(jobs)
        self.navigation = Navigation(self)
        self.writing = Writing(self)
        self.editing = BoxEditing(self, self.writing)
        self.declaring = AreaDeclaring(self)
        self.inspecting = Inspecting(self, self.declaring)
        self.suggested = Suggested(self, self.writing)
        self.judging = Judging(self, self.navigation, self.writing, self.suggested)
        self.undoing = Undoing(self, self.writing, self.suggested)
        self._findings: FindingModel | None = None
        self._measuring: Measuring | None = None
        self._learning: LabelLearning | None = None

    def _leave_project(self, project: Project) -> None:
        self.writing.before_closing()
        if self._learning is not None:
            self._learning.before_closing()
        super()._leave_project(project)

    @property
    def findings(self) -> FindingModel:
        """The shown findings in review order, which "next" then follows; created on first use."""
        if self._findings is None:
            from microscope_qc.app.session.review_order import FindingModel

            self._findings = FindingModel(self)
            self.navigation.order = self._findings.order_ids
            self.judging.at_random = self._findings.are_next_at_random
        return self._findings

    @property
    def measuring(self) -> Measuring:
        """Evaluates and compares models on the project; created on first use, in a window that runs jobs."""
        if self._measuring is None:
            from microscope_qc.app.session.measuring import Measuring

            assert self.jobs is not None
            self._measuring = Measuring(self, self.jobs)
        return self._measuring

    @property
    def learning(self) -> LabelLearning:
        """Learns from labels while they are made; created on first use, in a window that runs jobs."""
        if self._learning is None:
            from microscope_qc.app.session.label_learning import LabelLearning

            assert self.jobs is not None
            self._learning = LabelLearning(self, self.jobs, self.suggested)
        return self._learning
