"""The second review in the window: no first verdict is shown, keys judge, and differences go to the gallery."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLabel

from microscope_qc.app.dialogs.second_review import SecondReviewDialog
from microscope_qc.core.boxes import ReviewState
from microscope_qc.workflows.review import second_review
from microscope_qc.workflows.review.second_review import SecondVerdict, second_reviews

pytestmark = pytest.mark.window

LEFT, KEY = Qt.MouseButton.LeftButton, Qt.Key


@pytest.fixture
def judged(session: Any) -> np.ndarray:
    """Six findings of the slide were judged: four confirmed, two rejected."""
    ids = session.table.rows["id"][:6].copy()
    session.project.boxes.edit(ids[:4], state=ReviewState.CONFIRMED)
    session.project.boxes.edit(ids[4:], state=ReviewState.REJECTED, reason="false positive")
    return ids


@pytest.fixture
def dialog(session: Any, judged: np.ndarray, qtbot: Any) -> Iterator[SecondReviewDialog]:
    made = SecondReviewDialog(session)
    qtbot.addWidget(made)
    made.show()
    yield made
    made.close()


def begin(dialog: SecondReviewDialog) -> None:
    dialog.user.setText("B")
    QTest.mouseClick(dialog.begin, LEFT)


def key_of(session: Any, code: str) -> Any:
    key = next(defect.key for defect in session.project.classes if defect.code == code)
    return getattr(KEY, f"Key_{key}")


def test_keys_judge_again_and_the_project_stays_as_it_is(
    dialog: SecondReviewDialog, session: Any, judged: np.ndarray
) -> None:
    assert dialog.count.maximum() == 6
    begin(dialog)
    known = dialog.known
    assert known is not None and known.user == "B" and dialog.pages.currentIndex() == 1
    first = known.findings.tolist()[0]
    code = session.project.classes[1].code
    QTest.keyClick(dialog, key_of(session, code))
    assert dialog.place == 1 and dialog.known.second[first] == SecondVerdict(True, session.project.classes[1].id)
    QTest.keyClick(dialog, KEY.Key_D)
    second = dialog.known.findings.tolist()[1]
    assert dialog.known.second[second] == SecondVerdict(False, 0, "duplicate")
    QTest.keyClick(dialog, KEY.Key_Left)
    assert dialog.place == 1 and dialog.buttons["D"].isDown()
    QTest.keyClick(dialog, KEY.Key_F)
    assert dialog.known.second[second].reason == "false positive"
    states = session.project.boxes.table(session.slide.id).get(judged)["state"]
    assert states.tolist() == [1] * 4 + [2] * 2
    assert session.project.history.undo_title == "Keep the second review “1”"


def test_nothing_in_it_tells_the_first_verdict(dialog: SecondReviewDialog, session: Any) -> None:
    begin(dialog)
    seen = []
    for number in dialog.known.findings.tolist():
        dialog.crop.resize(400, 300)
        words = " ".join(label.text() for label in dialog.findChildren(QLabel) if label.isVisible())
        assert not any(word in words for word in ("confirmed", "rejected", "unreviewed")), words
        assert not any(button.isDown() for button in dialog.buttons.values())
        seen.append(dialog.known.first[number].is_defect)
        dialog._go(dialog.place + 1)
    assert set(seen) == {True, False}


def test_it_goes_on_where_it_was_left_and_shows_the_differences(
    dialog: SecondReviewDialog, session: Any, judged: np.ndarray, qtbot: Any
) -> None:
    begin(dialog)
    QTest.keyClick(dialog, KEY.Key_F)
    dialog.close()
    again = SecondReviewDialog(session)
    qtbot.addWidget(again)
    again.show()
    assert again.pages.currentIndex() == 1 and len(again.known.second) == 1 and again.place == 1
    for _ in range(5):
        QTest.keyClick(again, KEY.Key_F)
    assert again.pages.currentIndex() == 2 and not second_reviews(session.project)[0].is_open
    assert "6 findings judged again" in again.words.text() and "agreement on what is a defect: 0" in again.words.text()
    QTest.mouseClick(again.show_different, LEFT)
    assert sorted(session.scoped.shown.rows()["id"].tolist()) == sorted(judged[:4].tolist())
    session.clear_filter()


def test_without_judged_findings_it_says_so(session: Any, qtbot: Any) -> None:
    rows = session.table.rows
    session.project.boxes.edit(rows["id"].copy(), state=ReviewState.UNREVIEWED, reason="")
    made = SecondReviewDialog(session)
    qtbot.addWidget(made)
    assert not made.begin.isEnabled() and made.why_not.text() == second_review.NO_JUDGED
    made.close()
