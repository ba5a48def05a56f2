"""What speaks for the class of the selected finding: the dialog follows the selection, and names what it lacks."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from learning_toys import untrained_classifier, untrained_model

from microscope_qc.app.dialogs.evidence import ABOUT, NO_CLASSIFIER, SELECT, EvidenceDialog
from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.project import Project


class Command:
    """Stands for the process: writes a picture whose grey is the number of the finding."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.stopped = 0
        self.waits = self.fails = False

    def __call__(self, arguments: Sequence[str]) -> Job[None]:
        self.asked.append(list(arguments))
        try:
            yield Progress(0, 2)
            while self.waits:
                yield Progress(0, 2)
            if self.fails:
                raise ModelError("The model is damaged.")
        except GeneratorExit:
            self.stopped += 1
            raise
        finding, out = (arguments[arguments.index(flag) + 1] for flag in ("--finding", "--out"))
        cv2.imwrite(out, np.full((40, 120, 3), int(finding) % 256, np.uint8))


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MICROSCOPE_QC_MODELS", str(tmp_path / "mine"))
    return tmp_path / "mine"


@pytest.fixture
def command() -> Command:
    return Command()


@pytest.fixture
def dialog(session: Any, jobs: Any, qtbot: Any, shelf: Path, command: Command) -> Iterator[EvidenceDialog]:
    untrained_model(shelf / "detector")
    untrained_classifier(shelf / "windows")
    made = EvidenceDialog(session, jobs, command=command)
    qtbot.addWidget(made)
    made.show()
    qtbot.waitExposed(made)
    yield made
    made.close()


def shows(qtbot: Any, condition: Callable[[], object]) -> None:
    qtbot.waitUntil(lambda: bool(condition()))


def grey(dialog: EvidenceDialog) -> int:
    return -1 if dialog.view.image is None else dialog.view.image.pixelColor(3, 3).red()


def test_it_looks_at_the_selected_finding_and_goes_on_to_the_next(
    dialog: EvidenceDialog, session: Any, command: Command, qtbot: Any
) -> None:
    shows(qtbot, lambda: dialog.models.count() == 1)
    assert dialog.models.currentText() == "windows", "a detector has no such maps"
    assert dialog.words.text() == SELECT and dialog.view.image is None
    first, second = session.findings.order_ids()[:2].tolist()
    session.selection.set([first])
    shows(qtbot, lambda: grey(dialog) == first)
    assert dialog.words.text() == ABOUT and not dialog.bar.isVisible()
    session.selection.set([second])
    shows(qtbot, lambda: grey(dialog) == second)
    asked = len(command.asked)
    session.selection.set([first])
    shows(qtbot, lambda: grey(dialog) == first)
    assert len(command.asked) == asked == 2, "what was looked at is kept"
    dialog.grab()  # it can be drawn
    session.selection.set([])
    shows(qtbot, lambda: dialog.words.text() == SELECT)
    assert dialog.view.image is None


def test_what_is_no_longer_asked_for_is_stopped(
    dialog: EvidenceDialog, session: Any, command: Command, jobs: Any, qtbot: Any
) -> None:
    shows(qtbot, lambda: dialog.models.count() == 1)
    first, second = session.findings.order_ids()[:2].tolist()
    command.waits = True
    session.selection.set([first])
    shows(qtbot, dialog.bar.isVisible)
    session.selection.set([second])
    shows(qtbot, lambda: command.stopped == 1)
    dialog.close()
    shows(qtbot, lambda: command.stopped == 2 and not jobs.running)
    assert [asked[asked.index("--finding") + 1] for asked in command.asked] == [str(first), str(second)]
    assert dialog.view.image is None, "neither was shown"


def test_a_finding_of_another_project_is_another_one(
    dialog: EvidenceDialog, session: Any, project: Any, command: Command, qtbot: Any, tmp_path: Path
) -> None:
    shows(qtbot, lambda: dialog.models.count() == 1)
    finding = int(session.findings.order_ids()[0])
    session.selection.set([finding])
    shows(qtbot, lambda: grey(dialog) == finding)
    shutil.copytree(project.path, tmp_path / "copy.mqc", ignore=shutil.ignore_patterns("*lock*"))
    with Project.open(tmp_path / "copy.mqc", write=False) as other:
        session.set_project(other)
        session.selection.set([finding])
        shows(qtbot, lambda: str(other.path) in command.asked[-1])
        assert len(command.asked) == 2, "what was shown of the same number is not taken for it"
        session.set_project(project)


def test_what_fails_is_said(dialog: EvidenceDialog, session: Any, command: Command, qtbot: Any) -> None:
    shows(qtbot, lambda: dialog.models.count() == 1)
    command.fails = True
    session.selection.set(session.findings.order_ids()[:1].tolist())
    shows(qtbot, lambda: "damaged" in dialog.words.text())
    assert not dialog.bar.isVisible()


def test_without_a_classifier_it_says_how_to_get_one(session: Any, jobs: Any, qtbot: Any, shelf: Path) -> None:
    made = EvidenceDialog(session, jobs, command=Command())
    qtbot.addWidget(made)
    made.show()
    shows(qtbot, lambda: made.words.text() == NO_CLASSIFIER)
    assert made.models.count() == 0 and made.view.image is None
    made.close()
