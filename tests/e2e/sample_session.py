"""Child of the sample story: a user's session in the real window; each completed act is reported on stdout.

``python sample_session.py OUT`` with MICROSCOPE_QC_SAMPLE_DIR and MICROSCOPE_QC_CONFIG_DIR set. After the
last act it keeps running until it is killed.
"""

from __future__ import annotations

import faulthandler
import json
import sys
from pathlib import Path
from typing import Any

from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from window_driver import CTRL, KEY, LEFT, SHIFT, User, run_when_shown, stage_position, state_of

from microscope_qc.core.boxes import ReviewState

DETECTOR = "li-ion"
BOX = (300.0, 420.0, 380.0, 560.0)
FEWEST = 6


class SampleStory:
    """The acts, in order."""

    def __init__(self, user: User, out: Path) -> None:
        self.user = user
        self.window = user.window
        self.session = user.session
        self.out = out
        self.drawn = 0

    def tell(self, act: str, **facts: Any) -> None:
        """Report an act as done: from here on it must survive anything."""
        project = self.session.project
        state = None if project is None else state_of(project)
        print(json.dumps({"act": act, **facts, "state": state}), flush=True)

    def run(self) -> None:
        """Everything, from the welcome page to the exports."""
        self.open_sample()
        self.detect()
        self.draw_undo_redo()
        self.review()
        self.place_marks_and_align()
        self.export()
        self.tell("last")

    def open_sample(self) -> None:
        assert self.window.pages.currentWidget() is self.window.welcome
        QTest.mouseClick(self.window.welcome.sample_button, LEFT)
        self.user.wait_until(lambda: self.session.project is not None, "the sample", patience_s=240)
        self.user.wait_for_slide()
        shown = len(self.window.canvas.boxes.rows)
        assert shown > 0, "it comes with its findings"
        self.tell("open", project=str(self.session.project.path), findings=shown)

    def draw_undo_redo(self) -> None:
        self.user.press(KEY.Key_F, SHIFT)
        self.drawn = self.user.draw_box(*BOX)
        count = len(self.session.table)
        self.user.press(KEY.Key_Z, CTRL)
        assert self.drawn not in self.session.table
        assert "Undone: Draw" in self.window.toast.text
        self.user.press(KEY.Key_Z, CTRL | SHIFT)
        assert self.drawn in self.session.table and len(self.session.table) == count
        self.user.press(KEY.Key_V)
        assert self.session.tool == "select"
        self.tell("draw", box=self.drawn)

    def detect(self) -> None:
        """Look for the defects once more."""
        dock = self.window.navigator.show_panel("detect")
        assert dock.card is not None and dock.card.name == DETECTOR, f"{DETECTOR} is not among the models"
        self.user.wait_until(lambda: dock.start.isEnabled() and dock.start.text() == "Detect again", "the panel")
        self.user.click(dock.start)
        self.user.wait_until(lambda: len(self.session.project.runs) == 2, "the detection to start")
        self.user.wait_until(lambda: not dock.running, "the detection", patience_s=240)
        assert dock.story.text().startswith("Done"), dock.story.text()
        self.tell("detect", findings=self.session.project.runs[-1].found)

    def review(self) -> None:
        gallery = self.window.navigator.show_panel("gallery")
        view, slider = gallery.view, gallery.header.confidence
        while len(gallery.model.ids) < FEWEST and slider.value() > slider.minimum():
            self.user.press(KEY.Key_PageDown, on=slider)
            QTest.qWait(1)
        assert len(gallery.model.ids) >= FEWEST, "too few findings to review"
        self.user.wait_until(
            lambda: self.drawn in list(gallery.model.ids) and not self.session.findings.sorting, "the gallery in order"
        )
        self.user.click_cell(view, 0)
        assert self.session.selection.current == gallery.model.ids[0]
        confirmed = [self._judge(view, choose=number < 2) for number in range(3)]
        rejected = [self._judge(view, reason=letter) for letter in (KEY.Key_F, KEY.Key_D)]
        while self.session.selection.current != confirmed[-1]:
            self.user.press(KEY.Key_Left, on=view)
        self.user.press(KEY.Key_4, on=view)
        self.user.press(KEY.Key_S, on=view)
        self.tell("review", confirmed=confirmed, rejected=rejected, relabelled=confirmed[-1])

    def _judge(self, view: Any, *, choose: bool = False, reason: KEY | None = None) -> int:
        """Judge the current finding, which moves on to the next; the box drawn by hand needs no judgement."""
        if self.session.selection.current == self.drawn:
            self.user.press(KEY.Key_Right, on=view)
        current = self.session.selection.current
        assert self.session.table.get([current])["state"][0] == ReviewState.UNREVIEWED
        if choose:
            self.user.press(KEY.Key_S, on=view)
        if reason is None:
            self.user.press(KEY.Key_Return, on=view)
        else:
            self.user.press(KEY.Key_N, on=view)
            self.user.press_focused(reason)
        assert self.session.table.get([current])["state"][0] != ReviewState.UNREVIEWED
        return int(current)

    def place_marks_and_align(self) -> None:
        self.user.press(KEY.Key_3, CTRL)
        assert self.window.workspaces.current == "sem"
        self.user.wait_until(self.window.docks["sem"].isVisible, "the SEM panel")
        self.user.press(KEY.Key_F, SHIFT)
        height, width = self.session.slide.shape_px
        size_um = self.session.pixel_size_um
        for y, x in ((0.08, 0.1), (0.12, 0.9), (0.9, 0.15)):
            self.user.place_mark(y * height, x * width, lambda y, x: stage_position(y, x, size_um))
        self.user.press(KEY.Key_V)
        self.user.align()
        self.tell("align")

    def export(self) -> None:
        self.user.export("coco", self.out / "findings.json")
        self.user.export("stage:csv", self.out / "places.csv")
        self.tell("export")


def main() -> int:
    """Run the story; returns 1 when an act failed, otherwise runs until it is killed."""
    faulthandler.dump_traceback_later(600, exit=True)  # a hang shows where, and ends
    out = Path(sys.argv[1])
    app = QApplication(sys.argv[:1])
    from microscope_qc.app.shell.main_window import MainWindow

    window = MainWindow()
    run_when_shown(window, SampleStory(User(window), out).run)
    return int(app.exec())


if __name__ == "__main__":
    sys.exit(main())
