"""What is suggested on the slide on screen: what of it is to be judged, the one that is looked at, judging it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from psygnal import Signal

from microscope_qc.core.arrays import Floats, Ints
from microscope_qc.core.boxes import coordinates, make_rows
from microscope_qc.core.errors import InputError
from microscope_qc.core.matching import iou_matrix, overlapping_pairs
from microscope_qc.core.wording import count_text
from microscope_qc.project.suggestions import SuggestionSet
from microscope_qc.workflows.suggestions import judging

if TYPE_CHECKING:
    from microscope_qc.app.session.state import SessionState
    from microscope_qc.app.session.writing import Writing
    from microscope_qc.core.boxes import BoxChange
    from microscope_qc.project import Project

ORDERS = {"sure": "Surest first", "helpful": "Most useful first"}
"""How suggestions can be ordered, with the words for it."""
SAME = 0.5
"""Overlap from which a suggestion of the next round is taken for the one that was looked at."""
SURE = 0.2
"""Suggestions of which the round is less sure are not shown until a user asks for them."""
FEW = 20
"""So many are shown of those that are less sure where there are not more sure ones, until a user says how sure."""
_SETTING = "suggestions_sure"
_NONE: Ints = np.zeros(0, np.int64)


class Suggested:
    """Suggestions have no numbers: they are named by their places in :attr:`found`, as long as that stays.

    Attributes
    ----------
    found
        What the last round suggested on the slide on screen.
    order
        One of :data:`ORDERS`.
    sure
        Those with a lower score are not shown; None leaves it to the program, see :data:`SURE` and :data:`FEW`.
    """

    changed: ClassVar[Signal] = Signal()  # which are to be judged, or their order
    current_changed: ClassVar[Signal] = Signal()

    def __init__(self, session: SessionState, writing: Writing) -> None:
        self._session, self._writing = session, writing
        self.found = SuggestionSet.none()
        self.order = "sure"
        self.sure: float | None = None
        self._open: Ints = _NONE
        self._shown: Ints = _NONE
        self._ordered: Ints = _NONE
        self._current: int | None = None
        self._judged: dict[int, SuggestionSet] = {}  # here, by the numbers of the findings that they became
        self._back: dict[tuple[float, ...], SuggestionSet] = {}  # by slide and box, if that was taken back
        self._shows = False
        session.project_changed.connect(self._on_project_changed)
        session.selection.changed.connect(self._on_selection_changed)
        session.boxes_changed.connect(self._on_boxes_changed)

    def __len__(self) -> int:
        return len(self._shown)

    # -- which there are ---------------------------------------------------------------------------------------------

    @property
    def places(self) -> Ints:
        """Places in :attr:`found` of those that are shown to be judged, in their order."""
        return self._ordered

    @property
    def all_count(self) -> int:
        """How many are to be judged, also of those that are not sure enough to be shown."""
        return len(self._open)

    @property
    def limit(self) -> float:
        """The score from which they are shown."""
        if self.sure is not None:
            return self.sure
        scores = np.sort(self.found.scores[self._open])[::-1]
        return min(SURE, float(scores[min(FEW, len(scores)) - 1])) if len(scores) else SURE

    @property
    def current(self) -> int | None:
        """The one that is looked at."""
        return self._current

    def box(self, place: int) -> tuple[float, float, float, float]:
        """Its corners y0, x0, y1, x1."""
        y0, x0, y1, x1 = self.found.boxes[place].tolist()
        return y0, x0, y1, x1

    def row(self, place: int) -> np.void:
        """It as the row of a finding without a number."""
        y0, x0, y1, x1 = self.found.boxes[place]
        found: np.void = make_rows(
            1, y0=y0, x0=x0, y1=y1, x1=x1, class_id=self.found.class_ids[place], confidence=self.found.scores[place]
        )[0]
        return found

    def to_judge(self) -> SuggestionSet:
        """Those that are shown to be judged, the surest first."""
        return self.found.only(self._shown[np.argsort(-self.found.scores[self._shown], kind="stable")])

    def at(self, y: float, x: float, *, margin_px: float) -> int | None:
        """The smallest one at a position."""
        y0, x0, y1, x1 = self.found.boxes[self._shown].T
        inside = (y >= y0 - margin_px) & (y <= y1 + margin_px) & (x >= x0 - margin_px) & (x <= x1 + margin_px)
        there = np.flatnonzero(inside)
        if not len(there):
            return None
        sizes = (y1[there] - y0[there]) * (x1[there] - x0[there])
        return int(self._shown[there[int(np.argmin(sizes))]])

    def show(self, found: SuggestionSet, places: Ints) -> None:
        """Show what a round suggests, as far as it is to be judged; the one that is looked at stays where it is.

        What was judged and taken back is shown, too: the round may have left it out because there was a finding.
        """
        self._shows = True
        self._set(*self._with_back(found, places))

    def clear(self) -> None:
        """Suggest nothing."""
        self._shows = False
        if len(self.found) or self._current is not None:
            self._set(SuggestionSet.none(), _NONE)

    def _set(self, found: SuggestionSet, places: Ints) -> None:
        before = None if self._current is None else self.found.boxes[self._current]
        self.found, self._open = found, places
        self._sort()
        now = None if before is None else self._nearest(before)
        moved = (before is None) != (now is None) or self._current != now
        self._current = now
        self.changed.emit()
        if moved:
            self.current_changed.emit()

    def _with_back(self, found: SuggestionSet, places: Ints) -> tuple[SuggestionSet, Ints]:
        slide, classes = self._session.slide, [item.id for item in self._session.classes]
        back = SuggestionSet.none()
        for (slide_id, *_), one in self._back.items():
            if slide is not None and slide_id == slide.id and one.class_ids[0] in classes:
                back = back.with_more(one)
        if not len(back):
            return found, places
        mine, there, _ = overlapping_pairs(back.boxes, found.boxes, iou=judging.SAME_PLACE)
        missing = np.setdiff1d(np.arange(len(back)), mine)
        whole = found.with_more(back.only(missing))
        again = np.concatenate([there, len(found) + np.arange(len(missing))])
        near = [self._findings_in(box) for box in whole.boxes[again]]
        return whole, np.union1d(places, again[judging.free_places(whole.boxes[again], np.concatenate(near))])

    def _findings_in(self, box: Floats) -> Floats:
        """The corners of the findings that touch a box."""
        table = self._session.table
        corners: Floats = table.corners[:, table.inside(*box.tolist())].T
        return corners

    def set_order(self, order: str) -> None:
        """Order them otherwise."""
        if order != self.order:
            self.order = order
            self._sort()
            self.changed.emit()

    def _nearest(self, box: Floats) -> int | None:
        if not len(self._shown):
            return None
        shares = iou_matrix(box[None], self.found.boxes[self._shown])[0]
        best = int(np.argmax(shares))
        return int(self._shown[best]) if shares[best] >= SAME else None

    def set_sure(self, sure: float | None) -> None:
        """Show those with this score and above, also of later rounds."""
        if sure != self.sure:
            self.sure = sure
            self._set(self.found, self._open)

    def keep_sure(self) -> bool:
        """Remember in the project how sure they must be; False while the project cannot be written without waiting."""
        project = self._session.project
        if project is None or not self._session.can_write or project.settings.get(_SETTING) == self.sure:
            return True
        if project.is_writing:
            return False
        project.settings.remember(_SETTING, self.sure)
        return True

    def _sort(self) -> None:
        self._shown = self._open[self.found.scores[self._open] >= self.limit]
        scores, shares = self.found.scores[self._shown], self.found.class_shares[self._shown]
        # most is learned from what is as likely right as wrong, and of what may be of any class
        useful = np.abs(scores - 0.5) + 0.5 * np.abs(shares - 0.5) if self.order == "helpful" else -scores
        self._ordered = self._shown[np.argsort(useful, kind="stable")]

    # -- going to them -----------------------------------------------------------------------------------------------

    def select(self, place: int | None, *, go: bool = False) -> None:
        """Look at one (``go`` brings it into view), or at none."""
        if place is not None and len(self._session.selection):
            self._session.selection.clear()
        if place != self._current:
            self._current = place
            self.current_changed.emit()
        if place is not None and go:
            self._session.area_requested.emit(self.box(place))

    def step(self, by: int) -> None:
        """Go to the next one (1) or to the one before (-1)."""
        order = self._ordered
        if not len(order):
            self._session.notice.emit("Nothing is suggested on this slide now.")
            return
        at = np.flatnonzero(order == (-1 if self._current is None else self._current))
        target = (0 if by > 0 else len(order) - 1) if not len(at) else int(at[0]) + by
        if 0 <= target < len(order):
            self.select(int(order[target]), go=True)
        else:
            self._session.notice.emit("That was the last suggestion." if by > 0 else "That was the first suggestion.")

    # -- judging -----------------------------------------------------------------------------------------------------

    def accept(self, places: Ints, *, class_id: int | None = None) -> None:
        """Make confirmed findings of some; ``class_id`` where it is not the suggested class."""
        project, slide_id = self._where()
        chosen, carry_out = self.found.only(places), self._writing.carry_out
        self._remember(judging.accept(project, slide_id, chosen, class_id=class_id, carry_out=carry_out), chosen)

    def reject(self, places: Ints) -> None:
        """Make rejected findings of some: the next round learns that they are nothing."""
        project, slide_id = self._where()
        chosen = self.found.only(places)
        self._remember(judging.reject(project, slide_id, chosen, carry_out=self._writing.carry_out), chosen)

    def _remember(self, numbers: Ints, chosen: SuggestionSet) -> None:
        self._judged.update({int(number): chosen.only(np.array([row])) for row, number in enumerate(numbers)})

    def come_back(self, numbers: Sequence[int]) -> None:
        """Suggest again what became findings of these numbers, which an undo has taken away, and look at the first.

        Nothing happens unless all of them were suggestions that were judged since the project was opened.
        """
        rows = [self._judged[number] for number in numbers if number in self._judged]
        slide = self._session.slide
        if not rows or len(rows) < len(numbers) or slide is None or self._session.table.has(np.array(numbers)).any():
            return
        self._back.update({(slide.id, *row.boxes[0].tolist()): row for row in rows})
        if self._shows:
            self.show(self.found, self._open)
            self.select(self._nearest(rows[0].boxes[0]))

    def judge_current(self, *, accepted: bool, class_id: int | None = None) -> None:
        """Judge the one that is looked at, and go to the next one."""
        current = self._current
        if current is None:
            raise InputError("No suggestion is chosen.", hint="Choose one first.")
        at = np.flatnonzero(self._ordered == current)
        following = self._ordered[int(at[0]) + 1 :] if len(at) else _NONE
        if accepted:
            self.accept(np.array([current]), class_id=class_id)
        else:
            self.reject(np.array([current]))
        left = following[np.isin(following, self._shown)]  # with it goes what overlaps it
        if not len(left):
            left = self._ordered
            words = "That was the last suggestion"
            self._session.notice.emit(
                f"{words} in this order: on with the first of {count_text(len(left))} before it." if len(left)
                else f"{words}."
            )  # fmt: skip
        if len(left):
            self.select(int(left[0]), go=True)

    def _where(self) -> tuple[Project, int]:
        session = self._session
        if session.project is None or session.slide is None:
            raise InputError("No slide is open.", hint="Open a slide first.")
        return session.project, session.slide.id

    # -- what the session says ---------------------------------------------------------------------------------------

    def _on_project_changed(self) -> None:
        self._judged, self._back = {}, {}
        project = self._session.project
        kept = None if project is None else project.settings.get(_SETTING, None)
        self.sure = float(kept) if isinstance(kept, int | float) and 0 <= kept <= 1 else None

    def _on_selection_changed(self) -> None:
        if len(self._session.selection):
            self.select(None)

    def _on_boxes_changed(self, change: BoxChange) -> None:
        """Take away at once what lies where there is a finding now; what comes back is looked up elsewhere."""
        if change.kind not in {"added", "updated"} or not len(self._open):
            return
        table = self._session.table
        rows = table.get(change.ids[table.has(change.ids)])
        left = judging.free_places(self.found.boxes[self._open], coordinates(rows))
        if len(left) == len(self._open):
            return
        self._open = self._open[left]
        self._sort()
        gone = self._current is not None and not bool((self._shown == self._current).any())
        if gone:
            self._current = None
        self.changed.emit()
        if gone:
            self.current_changed.emit()
