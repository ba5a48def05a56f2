"""The preview of the Learn workspace: crops as the network will see them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from qtpy.QtCore import QRectF, QSizeF, Qt
from qtpy.QtTest import QTest

from microscope_qc.app.base.settings import AppSettings
from microscope_qc.app.session.measuring import Measuring
from microscope_qc.core.boxes import ReviewState

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def page(session: Any, jobs: Any, project: Any, qtbot: Any) -> Iterator[Any]:
    from microscope_qc.app.panels.learn.page import LearnPage

    rows = project.boxes.rows(project.slides[0].id, every=True)
    project.boxes.edit(rows["id"], state=ReviewState.CONFIRMED)
    made = LearnPage(session, jobs, Measuring(session, jobs), AppSettings())
    qtbot.addWidget(made)
    made.resize(1366, 700)
    made.show()
    qtbot.waitExposed(made)
    shows(qtbot, made.settings.preview.isEnabled)
    yield made
    made.close_crops()


def shows(qtbot: Any, condition: Callable[[], object]) -> None:
    qtbot.waitUntil(lambda: bool(condition()))


def press(button: Any) -> None:
    assert button.isVisible() and button.isEnabled()
    QTest.mouseClick(button, LEFT)


def opened(page: Any, qtbot: Any) -> Any:
    press(page.settings.preview)
    shows(qtbot, lambda: page.preview is not None and page.preview.isVisible())
    return page.preview


def test_it_draws_with_the_settings_that_are_chosen_now_and_others_on_request(page: Any, qtbot: Any) -> None:
    page.settings.fold.setChecked(True)
    page.settings.crop.setCurrentIndex(page.settings.crop.findData(256))
    page.settings.paste.setValue(100)
    dialog = opened(page, qtbot)
    assert not dialog.others.isEnabled() and dialog.stop.isVisible()
    shows(qtbot, lambda: dialog.grid.drawn is not None)
    first = dialog.grid.drawn
    assert len(first.images) == 24 and first.preview.crops[0].pixels.shape == (256, 256, 3)
    assert first.preview.pasted > 0 and f"{first.preview.pasted} of them pasted (dashed)" in dialog.words.text()
    assert not dialog.bar.isVisible() and not dialog.stop.isVisible()
    dialog.grab()  # it can be drawn
    press(dialog.others)
    shows(qtbot, lambda: dialog.grid.drawn is not first)
    assert (dialog.grid.drawn.preview.crops[0].pixels != first.preview.crops[0].pixels).any()
    dialog.reject()
    shows(qtbot, lambda: page.preview is None)


def test_it_is_stopped_and_closed_at_any_time(page: Any, jobs: Any, qtbot: Any) -> None:
    dialog = opened(page, qtbot)
    press(dialog.stop)
    shows(qtbot, dialog.others.isEnabled)
    assert dialog.words.text() == "Stopped." and dialog.grid.drawn is None
    press(dialog.others)
    dialog.reject()
    shows(qtbot, lambda: page.preview is None and not jobs.running)
    assert [str(handle.state.value) for handle in jobs.history] == ["stopped", "stopped"]


def test_what_cannot_be_read_is_said(page: Any, project: Any, qtbot: Any, tmp_path: Any) -> None:
    (tmp_path / "S1.png").unlink()
    dialog = opened(page, qtbot)
    shows(qtbot, dialog.others.isEnabled)
    assert dialog.grid.drawn is None and "Reading" not in dialog.words.text() and dialog.words.text()


def test_without_defects_there_is_nothing_to_see(session: Any, jobs: Any, qtbot: Any) -> None:
    from microscope_qc.app.panels.learn.page import LearnPage

    made = LearnPage(session, jobs, Measuring(session, jobs), AppSettings())
    qtbot.addWidget(made)
    made.show()
    shows(qtbot, made.supply.advice.text)
    assert not made.settings.preview.isEnabled()
    made.close_crops()


def test_painting_does_not_stop_the_window(page: Any, qtbot: Any) -> None:
    dialog = opened(page, qtbot)
    shows(qtbot, lambda: dialog.grid.drawn is not None)
    took = []
    for _ in range(5):
        began = time.thread_time()  # of the processor, whatever else the computer does
        dialog.grid.repaint()
        took.append(time.thread_time() - began)
    assert min(took) < 0.05


@pytest.mark.parametrize("count", [1, 5, 24])
def test_all_crops_fit(count: int) -> None:
    from microscope_qc.app.panels.learn.boxes import fitting_cells

    room = QRectF(0, 0, 1000, 600)
    cells = fitting_cells(QSizeF(1000, 600), count, below=10)
    assert len(cells) == count and all(room.contains(cell.adjusted(0, 0, 0, 10)) for cell in cells)
    assert not any(a.intersects(b) for number, a in enumerate(cells) for b in cells[:number])
