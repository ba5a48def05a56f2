"""Judgements of findings: whether they are defects, their class, and whether the SEM visits them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.core.errors import InputError
from microscope_qc.workflows.review import judging

if TYPE_CHECKING:
    from microscope_qc.app.session.navigation import Navigation
    from microscope_qc.app.session.state import SessionState
    from microscope_qc.app.session.suggested import Suggested
    from microscope_qc.app.session.writing import Writing
    from microscope_qc.project import Project


class Judging:
    """Judges findings of any slide of the project; each call is one entry of the history."""

    def __init__(
        self, session: SessionState, navigation: Navigation, writing: Writing, suggested: Suggested
    ) -> None:  # fmt: skip
        self._session, self._navigation, self._writing, self._suggested = session, navigation, writing, suggested
        self.at_random: Callable[[np.ndarray], bool] = lambda ids: False
        """Whether findings are the next ones of a random sample, and nobody chose them."""

    def _project(self) -> Project:
        if self._session.project is None:
            raise InputError("No project is open.", hint="Open a slide or a project first.")
        return self._session.project

    def confirm(self, ids: np.ndarray) -> None:
        """Confirm findings: they are defects."""
        if len(ids):
            at_random, carry_out = self.at_random(ids), self._writing.carry_out
            judging.confirm(self._project(), ids, carry_out=carry_out, at_random=at_random)

    def reject(self, ids: np.ndarray, reason: str) -> None:
        """Reject findings: they are not defects, because of ``reason``."""
        if len(ids):
            at_random, carry_out = self.at_random(ids), self._writing.carry_out
            judging.reject(self._project(), ids, reason, carry_out=carry_out, at_random=at_random)

    def unreview(self, ids: np.ndarray) -> None:
        """Take a judgement back."""
        if len(ids):
            judging.unreview(self._project(), ids, carry_out=self._writing.carry_out)

    def relabel(self, ids: np.ndarray, class_id: int) -> None:
        """Change the class of findings; that of the box just drawn is the class of the next one too."""
        if len(ids):
            at_random, carry_out = self.at_random(ids), self._writing.carry_out
            judging.relabel(self._project(), ids, class_id, carry_out=carry_out, at_random=at_random)
            if self._session.tool == "draw" and ids.tolist() == [self._session.drawn_last]:
                self._session.set_draw_class(class_id)

    def take_measured_class(self, ids: np.ndarray, *, add_classes: bool = False) -> None:
        """Give findings the classes that their compositions mean, and say so where they mean none."""
        from microscope_qc.workflows.stage import edx_classes

        project = self._project()
        found = edx_classes.proposals(project, edx_classes.rules_of(project), ids.tolist())
        if add_classes:
            edx_classes.add_missing_classes(project, found)
        if not edx_classes.take(project, found, carry_out=self._writing.carry_out):
            self._session.notice.emit("No composition of these findings means a class.")

    def choose(self, ids: np.ndarray, chosen: bool) -> None:
        """Add findings to the SEM travel list, or remove them."""
        if len(ids):
            judging.choose(self._project(), ids, chosen, carry_out=self._writing.carry_out)

    def set_note(self, ids: np.ndarray, note: str) -> None:
        """Set the note of findings."""
        if len(ids):
            judging.set_note(self._project(), ids, note, carry_out=self._writing.carry_out)

    # -- the selection, or the suggestion that is looked at ----------------------------------------------------------

    def confirm_and_next(self) -> None:
        """Confirm the selection, then go to the next finding; a suggestion becomes a finding."""
        if self._suggested.current is not None:
            self._suggested.judge_current(accepted=True)
        else:
            self._and_next(self.confirm)

    def reject_and_next(self, reason: str) -> None:
        """Reject the selection, then go to the next finding; a suggestion is wrong, whatever the reason."""
        if self._suggested.current is not None:
            self._suggested.judge_current(accepted=False)
        else:
            self._and_next(lambda ids: self.reject(ids, reason))

    def step(self, by: int) -> None:
        """Go to the next finding (1), or the one before (-1); from a suggestion to a suggestion."""
        if self._suggested.current is not None:
            self._suggested.step(by)
        elif by > 0:
            self._navigation.next()
        else:
            self._navigation.previous()

    def _and_next(self, judge: Callable[[np.ndarray], None]) -> None:
        """Keep a selection of several, so that the user sees what was judged."""
        ids = self._session.selection.ids
        if len(ids) == 0:
            self._session.notice.emit("Select a finding first.")
            return
        following = self._navigation.after_current() if len(ids) == 1 else None
        judge(ids)
        if len(ids) > 1:
            return
        if following is None:
            self._navigation.say_end()
        else:
            self._navigation.select_and_centre(following)

    def press_class_key(self, key: str) -> None:
        """Set the class with this key for the selection, or as the class to draw when nothing is selected.

        A suggestion becomes a finding of this class.
        """
        session = self._session
        wanted = next((item for item in session.classes if item.key == key), None)
        if wanted is None:
            session.notice.emit(f"No class has the key {key}.")
        elif self._suggested.current is not None:
            self._suggested.judge_current(accepted=True, class_id=wanted.id)
        elif len(session.selection):
            self.relabel(session.selection.ids, wanted.id)
        else:
            session.set_draw_class(wanted.id)
            session.notice.emit(f"Drawing {wanted.code}, {wanted.name}.")
