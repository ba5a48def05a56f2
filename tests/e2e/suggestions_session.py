"""Child of the story of suggestions: a user labels, judges what is suggested, keeps it, makes a model of it.

``python suggestions_session.py FOLDER FIRST LAST`` with MICROSCOPE_QC_CONFIG_DIR and MICROSCOPE_QC_CACHE set. FOLDER
holds the project ``P.mqc`` and ``truth.json``; FIRST and LAST name acts of :data:`ACTS`. Each is told on stdout when it
is done; some end in the middle of something. After the last one it runs until it is killed.
"""

from __future__ import annotations

import faulthandler
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QComboBox
from window_driver import CTRL, KEY, SHIFT, User, run_when_shown, state_of

from microscope_qc.core.matching import iou_matrix

ACTS = ("draw", "switch", "learn", "suggested", "judge", "relearned", "keep", "kept", "model", "resumed", "end")
LABELS = JUDGED = 20
SAME = 0.2
"""Overlap from which a suggestion is of a drawn defect."""
ZOOM = 1.0


class SuggestionsStory:
    """The acts, in order."""

    def __init__(self, user: User, folder: Path) -> None:
        self.user, self.window, self.session = user, user.window, user.session
        self.learning, self.dotted = user.window.learning, user.session.suggested
        self.folder = folder
        truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
        self.codes = [code for code, _ in truth]
        self.boxes = np.array([box for _, box in truth], float)

    def tell(self, act: str, **facts: Any) -> None:
        """Report an act as done: from here on it must survive anything."""
        shown = len(self.session.shown_rows())
        worker = self.window.jobs.detector._child
        pid = worker.pid if worker is not None and worker.running else 0
        told = {"act": act, **facts, "shown": shown, "worker": pid, "state": state_of(self.session.project)}
        print(json.dumps(told), flush=True)

    def run(self, first: str, last: str) -> None:
        """Open the project and do some of the acts."""
        self.window.navigator.open_paths([self.folder / "P.mqc"])
        self.user.wait_until(lambda: self.session.project is not None, "the project")
        self.user.wait_for_slide()
        self.tell("open")
        for act in ACTS[ACTS.index(first) : ACTS.index(last) + 1]:
            self.tell(act, **(getattr(self, act)() or {}))

    # -- acts --------------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Twenty of the defects."""
        keys = {item.code: item.key for item in self.session.classes}
        self.window.canvas.zoom_to(ZOOM)
        for code, (y0, x0, y1, x1) in zip(self.codes[:LABELS], self.boxes[:LABELS].tolist(), strict=True):
            self.window.canvas.go_to((y0 + y1) / 2, (x0 + x1) / 2)
            self.user.draw_box(y0, x0, y1, x1)
            self.user.press(getattr(KEY, f"Key_{keys[code]}"))
        self.user.press(KEY.Key_V)
        self.user.press(KEY.Key_F, SHIFT)

    def switch(self) -> None:
        """Ends while the slide is read."""
        self.user.press(KEY.Key_L, CTRL)
        panel = self.window.docks["suggestions"].build()
        self.user.wait_until(panel.isVisible, "the panel")
        self.user.wait_until(
            lambda: "Reading S1 once" in panel.switch.story.text() and "%" in panel.switch.story.text(),
            "how far the slide is read",
        )

    def learn(self) -> None:
        """Ends in the middle of a round."""
        self.user.wait_until(lambda: self._doing("learning from"), "a round")

    def suggested(self) -> dict[str, Any]:
        """What looks like the labels is shown, dotted, and is no finding."""
        self.user.wait_until(lambda: len(self.dotted) and self.learning.handle is None, "what is suggested")
        panel = self.window.navigator.show_panel("suggestions")
        panel.sure.setValue(0)  # also those that are not sure
        settings = self.session.project.settings
        self.user.wait_until(lambda: settings.get("suggestions_sure") == 0, "that it is remembered")
        self.user.wait_until(lambda: panel.title.text() == f"{len(self.dotted)} suggestions", "how many there are")
        self.user.wait_until(lambda: self.window.canvas.suggestions._frames._count, "the dotted boxes")
        assert len(self.session.shown_rows()) == len(self.session.table) == LABELS
        middles = self._hits()
        return {"suggested": len(self.dotted), "hit": int((middles >= 0).sum())}

    def judge(self) -> dict[str, Any]:
        """Twenty suggestions, half of them the surest ones, half what helps most; a slip is taken back."""
        panel = self.window.navigator.show_panel("suggestions")
        keys = {item.code: item.key for item in self.session.classes}
        said: list[str] = []
        while len(said) < JUDGED:
            if len(said) == JUDGED // 2:
                _choose(self.user, panel.order, "helpful")
            if self.dotted.current is None:  # none yet, or a round does not suggest it any more
                self.user.press(KEY.Key_K)
            current = self.dotted.current
            assert current is not None
            mine = int(self._hits(current)[0])
            before = len(self.session.table)
            if len(said) == 3:
                self._slip(current)
            if mine < 0:
                self.user.press(KEY.Key_N)
                said.append("wrong")
            elif self.session.class_of(int(self.dotted.found.class_ids[current])).code == self.codes[mine]:
                self.user.press(KEY.Key_Return)
                said.append("right")
            else:
                self.user.press(getattr(KEY, f"Key_{keys[self.codes[mine]]}"))
                said.append("other class")
            assert len(self.session.table) == before + 1, "each key makes one finding"
        return {"said": said}

    def _slip(self, current: int) -> None:
        """Press the wrong key, and take it back: the same one is to be judged again."""
        box = self.dotted.box(current)
        self.user.press(KEY.Key_N)
        self.user.press(KEY.Key_Z, CTRL)
        again = self.dotted.current
        assert again is not None and self.dotted.box(again) == box, "what was judged by mistake is looked at again"

    def relearned(self) -> dict[str, Any]:
        """What was judged has been learned, too."""
        states = self.session.table.rows["state"].tolist()
        right = states.count(1)
        self.user.wait_until(
            lambda: self.dotted.found.labels == right and self.learning.handle is None, "the next round"
        )
        switch = self.window.navigator.show_panel("suggestions").switch
        self.user.wait_until(lambda: "Of the last 20 you judged" in switch.good.text(), "how good it is")
        return {"suggested": len(self.dotted), "hit": int((self._hits() >= 0).sum()), "good": switch.good.text()}

    def keep(self) -> None:
        """Ends as soon as the detection is there, whole or not."""
        panel = self.window.navigator.show_panel("suggestions")
        self.user.wait_until(lambda: len(self.dotted), "what is suggested")
        self.user.click(panel.keep)
        self.user.wait_until(lambda: len(self.session.project.runs), "the detection")

    def kept(self) -> None:
        """It is whole; what a kill has interrupted goes on by itself."""
        runs = self.session.project.runs
        self.user.wait_until(lambda: [run.state for run in runs] == ["finished"], "the detection to be whole")
        self.user.wait_until(lambda: not len(self.dotted), "that nothing is suggested twice")

    def model(self) -> None:
        """Ends in the middle of the training."""
        panel = self.window.navigator.show_panel("suggestions")
        self.user.click(panel.model)
        self.user.wait_until(lambda: self.window.workspaces.current == "learn", "the workspace")
        page = self._page()
        self.user.wait_until(lambda: len(page.score.points) >= 2, "a curve")

    def resumed(self) -> None:
        """What was killed goes on."""
        if self.window.workspaces.current != "learn":
            self.user.click(self.window.workspaces.buttons.buttons["learn"])
        page = self._page()
        before = 0
        if not page.run.running:
            self.user.wait_until(page.go_on.isVisible, "the offer to continue")
            before = len(page.loss.points)
            self.user.click(page.go_on)
        self.user.wait_until(lambda: page.run.running and len(page.loss.points) > before, "the curve to go on")

    def end(self) -> dict[str, Any]:
        """Stopped early, with the best so far."""
        page = self._page()
        self.user.click(page.keep)
        self.user.wait_until(page.verdict.use.isVisible, "the end of the training")
        return {"epochs": len(page.loss.points), "model": str(page.run.training.folder)}

    # -- what they have in common ------------------------------------------------------------------------------------

    def _doing(self, words: str) -> bool:
        handle = self.learning.handle
        return handle is not None and words in handle.progress.note

    def _hits(self, *places: int) -> np.ndarray:
        """Which drawn defect each suggestion is of; -1 of none."""
        boxes = self.dotted.found.boxes[list(places) if places else self.dotted.places]
        if not len(boxes):
            return np.zeros(0, int)
        shares = iou_matrix(boxes, self.boxes)
        best = shares.argmax(axis=1)
        return np.where(shares.max(axis=1) >= SAME, best, -1)

    def _page(self) -> Any:
        self.user.wait_until(
            lambda: self.window.pages.learn is not None and self.window.pages.learn.isVisible(), "the Learn page"
        )
        return self.window.pages.learn


def _choose(user: User, box: QComboBox, data: str) -> None:
    """Choose an entry of a list by keys."""
    target = box.findData(data)
    key = KEY.Key_Down if target > box.currentIndex() else KEY.Key_Up
    while box.currentIndex() != target:
        user.press(key, on=box)
        QTest.qWait(1)


def main() -> int:
    """Run the story; returns 1 when an act failed, otherwise runs until it is killed."""
    faulthandler.dump_traceback_later(600, exit=True)  # a hang shows where, and ends
    folder, first, last = Path(sys.argv[1]), *sys.argv[2:4]
    app = QApplication(sys.argv[:1])
    from learning_toys import TINY_TRAINING

    from microscope_qc.app.panels.learn.settings import TrainSettingsForm
    from microscope_qc.app.shell.main_window import MainWindow

    tiny = {"network": "ssd-tiny", "settings": TINY_TRAINING | {"epochs": 400, "patience": 400}}
    TrainSettingsForm.asked = lambda _form: tiny
    window = MainWindow()
    story = SuggestionsStory(User(window), folder)
    run_when_shown(window, lambda: story.run(first, last))
    return int(app.exec())


if __name__ == "__main__":
    sys.exit(main())
