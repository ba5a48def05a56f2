"""The Models page: what it lists, one click in and one click back, and comparisons that open in Review."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from learning_toys import untrained_model

from microscope_qc.app.panels.models.panel import ModelsPanel
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.numbers import exact_text

pytestmark = pytest.mark.window


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MICROSCOPE_QC_MODELS", str(tmp_path / "own"))
    return untrained_model(tmp_path / "own" / "toy")


class Commands:
    """Takes the place of child processes."""

    def __init__(self) -> None:
        self.given: list[list[str]] = []
        self.document: dict[str, Any] = {}

    def __call__(self, arguments: list[str]) -> Job[None]:
        self.given.append(arguments)
        if "--out" in arguments:
            Path(arguments[-1]).write_text(json.dumps(self.document))
        yield Progress(0, 1)


@pytest.fixture
def commands() -> Commands:
    return Commands()


@pytest.fixture
def panel(qtbot: Any, session: Any, toy: Path, commands: Commands) -> Iterator[ModelsPanel]:
    from microscope_qc.app.base.jobs import JobRunner

    jobs = JobRunner()
    made = ModelsPanel(session, jobs, command=commands, name_asked=lambda *_: "another", delete_asked=lambda *_: True)
    qtbot.addWidget(made)
    made.show()
    qtbot.waitUntil(lambda: names(made) == ["toy", "li-ion-ssd"])
    yield made
    jobs.close()


def names(panel: ModelsPanel) -> list[str]:
    return [panel.list.item(row).text().split("\n")[0] for row in range(panel.list.count())]


def test_a_model_is_put_in_use_and_taken_back(qtbot: Any, panel: ModelsPanel, session: Any, toy: Path) -> None:
    panel.choose(toy)
    assert panel.use.isEnabled() and not panel.compare.isEnabled() and panel.in_use is None
    panel.use.click()
    assert session.project.models.argument == str(toy)
    qtbot.waitUntil(lambda: panel.in_use is not None and not panel.use.isEnabled())
    session.project.history.undo()
    qtbot.waitUntil(lambda: panel.in_use is None and panel.use.isEnabled())


def test_the_detect_panel_takes_the_model_in_use(qtbot: Any, session: Any, toy: Path) -> None:
    from microscope_qc.app.panels.detect.models import ModelChooser

    chooser = ModelChooser(session)
    qtbot.addWidget(chooser)
    assert chooser.argument == "li-ion-ssd" and chooser.list.findText("toy") >= 0
    session.project.models.use(toy, name="toy")
    assert chooser.argument == str(toy)
    session.project.history.undo()
    session.project.history.redo()
    assert chooser.argument == str(toy)


def test_facts_and_scores_of_the_chosen_model_are_shown(panel: ModelsPanel) -> None:
    panel.list.setCurrentRow(names(panel).index("li-ion-ssd"))
    said = panel.about.toPlainText()
    for words in ("0.9 µm", "Cathode round particle", "0.976", "Licence", "synthetic"):
        assert words in said, words


def test_a_model_is_renamed_copied_and_deleted(qtbot: Any, panel: ModelsPanel, session: Any, toy: Path) -> None:
    panel.choose(toy)
    panel.rename()
    qtbot.waitUntil(lambda: "another" in names(panel))
    panel.list.setCurrentRow(names(panel).index("li-ion-ssd"))
    panel._ask_name = lambda *_: "copy"
    panel.duplicate()
    qtbot.waitUntil(lambda: "copy" in names(panel))
    assert (session.project.path / "models" / "copy" / "model.json").exists()
    panel.list.setCurrentRow(names(panel).index("another"))
    panel.delete()
    qtbot.waitUntil(lambda: "another" not in names(panel))
    assert not toy.exists()


def test_a_comparison_is_shown_and_opens_in_review(
    qtbot: Any, panel: ModelsPanel, session: Any, toy: Path, commands: Commands
) -> None:
    project = session.project
    project.models.use("li-ion-ssd", name="li-ion-ssd")
    qtbot.waitUntil(lambda: panel.in_use is not None)
    rows = project.boxes.rows(project.slides[0].id, every=True)[:3]
    picture = str(project.slides[0].path)
    missed = [
        {"kind": "found by new only", "picture": picture, "scene": None, "class": "ACP", "confidence": None,
         "box": [float(exact_text(float(row[side]))) for side in ("y0", "x0", "y1", "x1")]}
        for row in rows[:2]
    ]  # fmt: skip
    of_class = {"precision": 0.5, "recall": 0.5, "ap50": 0.4, "finds": 4, "truth": 4}
    model = {"map50": 0.4, "precision": 0.5, "recall": 0.5, "per_class": {"ACP": of_class}}
    commands.document = {
        "verdict": "No difference is shown.", "truth": 4, "places": 9, "classes": ["ACP"], "notes": ["A note."],
        "new": model | {"model": "toy"}, "old": model | {"model": "li-ion-ssd"}, "disagreements": missed,
        "mcnemar": {"both": 1, "only_new": 2, "only_old": 0, "neither": 1, "p": 0.5},
    }  # fmt: skip
    panel.choose(toy)
    assert panel.compare.isEnabled()
    panel.compare.click()
    qtbot.waitUntil(lambda: "No difference is shown." in panel.about.toPlainText())
    said = panel.about.toPlainText()
    assert "2 found by toy only: show in Review" in said and "A note." in said
    assert commands.given[0][:4] == ["models", "compare", str(toy), str(panel.in_use.folder)]
    from qtpy.QtCore import QUrl

    with qtbot.waitSignal(panel.review_requested):
        panel.about.anchorClicked.emit(QUrl("only:found by new only"))
    shown = project.filters.current.text
    assert shown == f"number={rows['id'][0]},{rows['id'][1]}"


def test_a_file_is_taken_in_by_a_process_of_its_own(qtbot: Any, panel: ModelsPanel, commands: Commands) -> None:
    panel.import_from("/some/where/x.mqcmodel")
    qtbot.waitUntil(lambda: commands.given == [["models", "import", "/some/where/x.mqcmodel"]])
