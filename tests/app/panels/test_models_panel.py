"""The Models page: what it lists, one click in and one click back, and evaluations that open in Review."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comparison_toys import comparison, keep
from learning_toys import untrained_model
from qtpy.QtCore import QUrl

from microscope_qc.app.panels.models.panel import ModelsPanel
from microscope_qc.app.session.measuring import Measuring
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.workflows.detection.places import weights_fingerprint
from microscope_qc.workflows.learning.which_findings import Spot

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
        if arguments[0] == "models" and "--keep" in arguments:
            keep(Path(arguments[4]), self.document, "now")
        elif "--keep" in arguments:
            folder = Path(arguments[2]) / "evaluations" / weights_fingerprint(Path(arguments[1]))
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "evaluation.json").write_text(json.dumps(self.document))
            (folder / "page.html").write_text("the page")
        yield Progress(0, 1)


@pytest.fixture
def commands() -> Commands:
    return Commands()


@pytest.fixture
def panel(qtbot: Any, session: Any, toy: Path, commands: Commands) -> Iterator[ModelsPanel]:
    from microscope_qc.app.base.jobs import JobRunner

    jobs = JobRunner()
    measuring = Measuring(session, jobs, command=commands)
    made = ModelsPanel(
        session, jobs, measuring, command=commands, name_asked=lambda *_: "another", delete_asked=lambda *_: True
    )
    qtbot.addWidget(made)
    made.show()
    qtbot.waitUntil(lambda: names(made) == ["toy", "li-ion", "li-ion-ssd"])
    yield made
    jobs.close()


def names(panel: ModelsPanel) -> list[str]:
    return [panel.list.item(row).text().split("\n")[0] for row in range(panel.list.count())]


def follow(panel: ModelsPanel, words: str) -> None:
    """Click the link that says this."""
    address = next(
        address for address, said in re.findall(r'<a href="([^"]*)"[^>]*>(?:<span[^>]*>)?([^<]*)', panel.about.toHtml())
        if said == words
    )  # fmt: skip
    panel.about.anchorClicked.emit(QUrl(address))


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
    assert chooser.argument == "li-ion" and chooser.list.findText("toy") >= 0
    session.project.models.use(toy, name="toy")
    assert chooser.argument == str(toy)
    session.project.history.undo()
    session.project.history.redo()
    assert chooser.argument == str(toy)


def test_a_model_in_use_that_was_deleted_is_named_and_no_other_takes_its_place(
    qtbot: Any, session: Any, toy: Path
) -> None:
    from microscope_qc.app.panels.detect.models import ModelChooser

    session.project.models.use(toy, name="toy")
    shutil.rmtree(toy)
    chooser = ModelChooser(session)
    qtbot.addWidget(chooser)
    assert chooser.card is None and chooser.argument == "" and chooser.list.count() == 2
    said = chooser.about.text()
    assert said.startswith(f"toy is in use here, but cannot be used: There is no model {toy}.")
    assert said.endswith("Choose another model.")
    chooser.list.setCurrentIndex(0)
    assert chooser.argument == "li-ion" and "cannot be used" not in chooser.about.text()
    chooser.refresh()
    assert chooser.argument == "li-ion", "what was chosen stays"


def test_models_that_come_and_go_are_so_in_the_detect_panel_at_once(
    qtbot: Any, panel: ModelsPanel, session: Any, toy: Path
) -> None:
    from microscope_qc.app.panels.detect.models import ModelChooser

    chooser = ModelChooser(session)
    qtbot.addWidget(chooser)
    panel.choose(toy)
    panel.duplicate()
    qtbot.waitUntil(lambda: chooser.list.findText("another") >= 0)
    assert chooser.argument == "li-ion", "the choice stays"
    panel.choose(toy)
    panel.delete()
    qtbot.waitUntil(lambda: chooser.list.findText("toy") < 0 and "toy" not in names(panel))


def test_facts_and_scores_of_the_chosen_model_are_shown(panel: ModelsPanel) -> None:
    panel.list.setCurrentRow(names(panel).index("li-ion-ssd"))
    said = panel.about.toPlainText()
    for words in ("0.9 µm", "Cathode round particle", "0.976", "Licence", "synthetic"):
        assert words in said, words


def test_a_list_that_is_read_again_shows_the_chosen_model_once(
    qtbot: Any, panel: ModelsPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel.list.setCurrentRow(1)
    shown: list[str] = []
    monkeypatch.setattr(panel.about, "setHtml", shown.append)
    with qtbot.waitSignal(panel.list.model().modelReset):
        panel.refresh()
    qtbot.waitUntil(lambda: len(names(panel)) == 3)
    assert panel.chosen is not None and panel.chosen.name == "li-ion"
    assert len(shown) == 1 and "li-ion" in shown[0]


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


def test_a_window_that_only_reads_changes_no_model_of_the_project(
    qtbot: Any, panel: ModelsPanel, session: Any, commands: Commands
) -> None:
    from microscope_qc.app.session.session import Session
    from microscope_qc.project import Project

    theirs = untrained_model(session.project.path / "models" / "theirs")
    reader = Session()
    reader.set_project(Project.open(session.project.path, write=False))
    other = ModelsPanel(
        reader, panel._jobs, Measuring(reader, panel._jobs, command=commands), name_asked=lambda *_: "another",
        delete_asked=lambda *_: True,
    )  # fmt: skip
    qtbot.addWidget(other)
    other.show()
    qtbot.waitUntil(lambda: "theirs" in names(other))
    other.choose(theirs)
    for act in (other.delete, other.rename):
        with pytest.raises(InputError, match="open for reading only"):
            act()
    assert theirs.exists()
    reader.set_project(None)


def test_a_comparison_with_the_model_in_use_is_made_and_kept(
    qtbot: Any, panel: ModelsPanel, session: Any, toy: Path, commands: Commands
) -> None:
    project = session.project
    project.models.use("li-ion-ssd", name="li-ion-ssd")
    qtbot.waitUntil(lambda: panel.in_use is not None)
    commands.document = comparison(toy, panel.in_use.folder, [1, 2, 3])
    panel.choose(toy)
    assert panel.compare.isEnabled()
    panel.compare.click()
    qtbot.waitUntil(lambda: "No difference is shown." in panel.about.toPlainText())
    assert commands.given == [["models", "compare", str(toy), str(panel.in_use.folder), str(project.path), "--keep"]]
    with qtbot.waitSignal(panel.comparison_requested) as asked:
        follow(panel, "Show the comparison")
    assert asked.args[0] == project.path / "comparisons" / "now"
    project.models.use(toy, name="toy")
    qtbot.waitUntil(lambda: "No difference is shown." not in panel.about.toPlainText())


def test_a_file_is_taken_in_by_a_process_of_its_own(qtbot: Any, panel: ModelsPanel, commands: Commands) -> None:
    panel.import_from("/some/where/x.mqcmodel")
    qtbot.waitUntil(lambda: commands.given == [["models", "import", "/some/where/x.mqcmodel"]])


def evaluated(ids: list[int]) -> dict[str, Any]:
    """A document as an evaluation keeps it."""
    own = {"precision": 0.5, "recall": 0.25, "f1": 1 / 3, "ap50": 0.4, "ap50_interval": [0.2, 0.6], "truth": 4.0}
    return {
        "model": "toy", "pictures": 9, "part": "test", "date": "2026-03-01T09:30:00+01:00", "data": "unlike",
        "asked_part": "", "classes": ["ACP", "AFP"], "notes": ["A note."], "truth": 12, "places": 9,
        "map50": 0.4, "map50_interval": [0.3, 0.5], "precision": 0.5, "recall": 0.25, "f1": 1 / 3,
        "per_class": {"ACP": own, "AFP": own}, "by_size": {"small": {"ap50": 0.1, "truth": 3.0}},
        "confusion": [[3, 0, 1], [0, 2, 2], [1, 1, 0]],
        "outcomes": {"right": 5, "wrong box": 4, "false": 2, "missed": 3},
        "curves": {
            "pr ACP": [[0.1, 1, 0.9], [0.25, 0.5, 0.3]], "pr AFP": [[0.2, 1, 0.9], [0.3, 0.4, 0.3]],
            "calibration": [[0.3, 0.4, 5, 0.1, 0.8], [0.7, 0.8, 5, 0.3, 0.99]],
        },
        "findings": {
            "right": {"numbers": ids[3:5], "spots": []}, "wrong box": {"numbers": [], "spots": []},
            "wrong class": {"numbers": [], "spots": []}, "missed": {"numbers": ids[:3], "spots": []},
            "false": {"numbers": ids[5:6],
                      "spots": [{"slide": 2, "box": [5, 5, 9, 9], "class": "ACP", "confidence": 0.8}]},
        },
    }  # fmt: skip


def test_an_evaluation_is_shown_kept_and_opens_in_review(
    qtbot: Any, panel: ModelsPanel, session: Any, toy: Path, commands: Commands, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from microscope_qc.app.base import theme

    project = session.project
    ids = project.boxes.rows(project.slides[0].id, every=True)["id"].tolist()
    commands.document = evaluated(ids)
    panel.choose(toy)
    assert panel.evaluate.isEnabled() and not panel.page.isEnabled()
    panel.evaluate.click()
    assert not panel.evaluate.isEnabled(), "one at a time"
    qtbot.waitUntil(lambda: "Evaluated on what is kept for the test" in panel.about.toPlainText())
    assert commands.given == [["evaluate", str(toy), str(project.path), "--keep"]]
    said = panel.about.toPlainText()
    for words in ("2026-03-01 09:30", "0.400 [0.300, 0.500]", "Of 12 marked defects", "missed (3)", "false (2)",
                  "S2 ACP 0.80", "or a second time: 4.", "small", "is AFP", "A note."):  # fmt: skip
        assert words in said, words
    qtbot.waitUntil(lambda: "Out of date" in panel.about.toPlainText())  # nothing of this project was measured on

    def colours() -> set[str]:
        picture = panel.about.pictures["chart:pr"]
        return {picture.pixelColor(x, y).name() for x in range(picture.width()) for y in range(picture.height())}

    ours = {one.colour.lower() for one in session.classes if one.code in ("ACP", "AFP")}
    assert set(panel.about.pictures) == {"chart:pr", "chart:calibration"}
    light = theme.current().base
    assert ours | {light} <= colours()
    with monkeypatch.context() as dark:
        dark.setattr(theme, "current", lambda: theme.DARK)
        theme.SWITCH.switched.emit()
        assert ours | {theme.DARK.base} <= colours() and light not in colours()

    session.selection.set(ids[4:5])
    with qtbot.waitSignal(panel.review_requested):
        follow(panel, "missed (3)")
    assert session.selection.current is None, "the first of them is looked at next"
    assert session.scoped.shown.rows()["id"].tolist() == ids[:3] and session.scope.kind == "all"
    with qtbot.waitSignal(panel.spot_requested) as asked:
        follow(panel, "S2 ACP 0.80")
    assert asked.args[0] == Spot(2, (5, 5, 9, 9), "ACP", 0.8)
    out = tmp_path / "mine.html"
    monkeypatch.setattr("microscope_qc.app.panels.models.panel.QFileDialog.getSaveFileName", lambda *_: (str(out), ""))
    follow(panel, "Save page…")
    qtbot.waitUntil(lambda: out.exists() and out.read_text() == "the page")


def test_a_kept_evaluation_is_shown_at_the_next_start(
    qtbot: Any, panel: ModelsPanel, session: Any, toy: Path, commands: Commands
) -> None:
    ids = session.project.boxes.rows(session.project.slides[0].id, every=True)["id"].tolist()
    commands.document = evaluated(ids)
    for _ in commands(["evaluate", str(toy), str(session.project.path), "--keep"]):
        pass
    again = ModelsPanel(session, panel._jobs, Measuring(session, panel._jobs, command=commands))
    qtbot.addWidget(again)
    again.show()
    qtbot.waitUntil(lambda: "toy" in names(again))
    again.choose(toy)
    qtbot.waitUntil(lambda: "Evaluated on what is kept for the test" in again.about.toPlainText())
    assert again.evaluate.text() == "Evaluate again"
