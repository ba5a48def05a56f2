"""Child of the story of densities: a user marks defects, declares an area complete and reads the density.

``python densities_session.py PROJECT`` with MICROSCOPE_QC_CONFIG_DIR set. Each act is told on stdout when it is done;
after the last one it runs until it is killed.
"""

from __future__ import annotations

import faulthandler
import json
import sys
from pathlib import Path
from typing import Any

from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from window_driver import CTRL, KEY, SHIFT, User, run_when_shown, state_of

AREA = ((150.0, 200.0), (650.0, 1000.0))
"""Opposite corners, y, x: 500 x 800 px of 0.5 um are 0.1 mm2."""
INSIDE = ((200, 300), (300, 500), (400, 700), (600, 900))
OUTSIDE = ((900, 300), (1000, 1200))
SIDE = 40.0


def densities(user: User) -> dict[str, list[str]]:
    """Every line of the panel by its class, once it is up to date."""
    panel = user.window.navigator.show_panel("areas")
    user.wait_until(lambda: panel.up_to_date, "the densities")
    table = panel.table
    lines = [
        [table.item(row, column).text() for column in range(table.columnCount())] for row in range(table.rowCount())
    ]
    return {line[0].split()[0]: line for line in lines}


class DensitiesStory:
    """The acts in order."""

    def __init__(self, user: User, project: Path) -> None:
        self.user, self.session, self.window = user, user.session, user.window
        self.project = project

    def tell(self, act: str, **facts: Any) -> None:
        """Acknowledge an act: from here on it must survive anything."""
        print(json.dumps({"act": act, **facts, "state": state_of(self.session.project)}), flush=True)

    def run(self) -> None:
        """Everything, from drawing to the density."""
        user = self.user
        self.window.navigator.open_paths([self.project])
        user.wait_until(lambda: self.session.project is not None, "the project")
        user.wait_for_slide()
        user.press(KEY.Key_F, SHIFT)
        for y, x in (*INSIDE, *OUTSIDE):
            user.draw_box(y - SIDE / 2, x - SIDE / 2, y + SIDE / 2, x + SIDE / 2)
        self.tell("draw", densities=densities(user))
        user.press(KEY.Key_A)
        user.wait_until(lambda: self.session.tool == "area", "the tool")
        QTest.qWait(100)  # its bar makes the canvas lower
        user.press(KEY.Key_F, SHIFT)
        user.drag(*AREA)
        self.tell("declare", densities=densities(user), toast=self.window.toast.text)
        user.press(KEY.Key_Z, CTRL)
        self.tell("undo", densities=densities(user), toast=self.window.toast.text)
        user.press(KEY.Key_Z, CTRL | SHIFT)
        self.tell("last", densities=densities(user))


def main() -> int:
    """Run the story; returns 1 when an act failed, otherwise runs until it is killed."""
    faulthandler.dump_traceback_later(600, exit=True)  # a hang shows where, and ends
    app = QApplication(sys.argv[:1])
    from microscope_qc.app.shell.main_window import MainWindow

    window = MainWindow()
    run_when_shown(window, DensitiesStory(User(window), Path(sys.argv[1])).run)
    return int(app.exec())


if __name__ == "__main__":
    sys.exit(main())
