"""Tasks and their bar: it costs little while it only says that something goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import QEvent, QObject

from microscope_qc.app.base.jobs import JobRunner
from microscope_qc.app.widgets.job_bar import JobBar
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.jobs import Job, Progress

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

pytestmark = pytest.mark.window


class Paints(QObject):
    """Counts how often a widget is painted."""

    count = 0

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        self.count += event.type() == QEvent.Type.Paint
        return False


def test_it_moves_step_by_step_and_not_with_every_frame(qtbot: QtBot) -> None:
    bar, paints = JobBar(), Paints()
    qtbot.addWidget(bar)
    bar.resize(120, 6)
    bar.setRange(0, 0)
    bar.installEventFilter(paints)
    bar.show()
    qtbot.waitExposed(bar)
    qtbot.waitUntil(lambda: paints.count > 0)
    first, seen = bar.grab().toImage(), paints.count
    steps = bar._next
    with qtbot.waitSignals([steps.timeout] * 2):
        pass
    qtbot.waitUntil(lambda: paints.count > seen)
    assert paints.count - seen <= 4, "once for each step"
    assert bar.grab().toImage() != first
    bar.setRange(0, 1000)
    bar.setValue(300)
    bar.grab()
    assert not steps.isActive()
    bar.setRange(0, 0)
    bar.grab()
    assert steps.isActive()
    bar.hide()
    assert not steps.isActive()


def test_a_job_whose_end_cannot_be_written_keeps_nothing_from_being_stopped(qtbot: QtBot) -> None:
    runner = JobRunner()
    stopped: list[bool] = []

    def job(fails: bool) -> Job[None]:
        try:
            while True:
                yield Progress(0, 0, "tiles", "")
        finally:
            stopped.append(fails)
            if fails:
                raise MicroscopeQCError("The disk is full.", hint="Free some space.")

    handles = [runner.run_in_slices(job(fails), "Detect") for fails in (True, False)]
    qtbot.waitUntil(lambda: all(handle.progress.unit == "tiles" for handle in handles))
    runner.close()
    assert stopped == [True, False] and runner._long._shutdown
