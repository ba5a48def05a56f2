"""The page of the Learn workspace, with trainings that a test writes."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from comparison_toys import comparison, keep
from learning_toys import untrained_classifier, untrained_model
from panels_support import PIXEL_UM, write_picture
from qtpy.QtCore import QPointF, Qt
from qtpy.QtGui import QImage
from qtpy.QtTest import QTest

from microscope_qc.app.base.settings import AppSettings
from microscope_qc.app.panels.learn.settings import TrainSettingsForm
from microscope_qc.app.session.measuring import Measuring
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.jobs import Job, Progress, TimedProgress
from microscope_qc.ml.cards import WEIGHTS_NAME, ModelCard, write_card
from microscope_qc.project.scenes import read_facts
from microscope_qc.workflows.learning.following import TrainingFailed
from microscope_qc.workflows.learning.request import ExamplePicture, is_to_end, read_request
from microscope_qc.workflows.learning.supply import Supply, outcome

LEFT = Qt.MouseButton.LeftButton


class Trainer:
    """Follows trainings as a test says: one step at a time."""

    def __init__(self) -> None:
        self.may_end, self.begun = threading.Event(), threading.Event()
        self.fails = ""
        self.paused: dict[str, Any] = {"state": "paused", "share": 0.25}
        self.folders: list[Path] = []

    def __call__(self, folder: Path, children: object) -> Job[ModelCard]:
        self.folders.append(folder)
        write_epoch(folder, 1)
        try:
            while not (self.may_end.is_set() or is_to_end(folder)):
                self.begun.set()
                yield TimedProgress(30, 120, "steps", "epoch 2 of 8, loss 0.412", 95.0)
                threading.Event().wait(0.01)
        except GeneratorExit:
            (folder / "status.json").write_text(json.dumps(self.paused))
            raise
        if self.fails:
            (folder / "status.json").write_text(json.dumps({"state": "failed", "message": self.fails}))
            raise TrainingFailed(f"The training ended early: {self.fails}")
        yield Progress(120, 120, "steps", "choosing the default confidence")
        return finish(folder)


def write_epoch(folder: Path, epochs: int) -> None:
    """What a training leaves in its folder after some epochs."""
    lines = ["epoch,loss,map50"] + [f"{n},{1.5 / n},{0.2 * n}" for n in range(1, epochs + 1)]
    (folder / "curve.csv").write_text("\n".join(lines) + "\n")
    (folder / "checkpoint.pt").write_bytes(b"")
    (folder / "examples").mkdir(exist_ok=True)
    pictures = []
    for number in range(2):
        cv2.imwrite(str(folder / "examples" / f"{number}.jpg"), np.full((64, 96, 3), 90, np.uint8))
        found = [[12, 12, 30, 40, 0, 0.83]]
        pictures.append(
            {"file": f"examples/{number}.jpg", "name": f"S{number}", "truth": [[10, 10, 30, 40, 0]], "found": found}
        )
    shown = {"classes": ["ACP"], "epoch": epochs, "confidence": 0.4, "pictures": pictures}
    (folder / "examples.json").write_text(json.dumps(shown))
    (folder / "status.json").write_text(
        json.dumps({"state": "running", "share": 0.1, "notes": ["1 picture left out."]})
    )


def finish(folder: Path, **metrics: float) -> ModelCard:
    card = ModelCard(
        name=folder.name, task="detect", architecture="ssd-tiny", classes=["ACP"], class_names=["ACP"], tile_px=64,
        overlap_px=0, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2), confidence=0.4, training={"validation_images": 3},
        metrics={"map50": 0.71, "map50_interval": [0.6, 0.8], "truth": 31, "finds": 30, **metrics},
    )  # fmt: skip
    write_card(card, folder)
    return card


@pytest.fixture
def trainer() -> Trainer:
    return Trainer()


@pytest.fixture
def settings() -> AppSettings:
    return AppSettings()


@pytest.fixture
def page(session: Any, jobs: Any, settings: AppSettings, qtbot: Any, trainer: Trainer) -> Iterator[Any]:
    from microscope_qc.app.panels.learn.page import LearnPage

    made = LearnPage(session, jobs, Measuring(session, jobs), settings, follow=trainer)
    qtbot.addWidget(made)
    made.resize(1366, 700)
    made.show()
    qtbot.waitExposed(made)
    yield made
    trainer.may_end.set()
    qtbot.waitUntil(lambda: not made.run.running)
    made.close_crops()


def confirm(project: Any, count: int) -> None:
    """Confirm the first findings of the first slide."""
    rows = project.boxes.rows(project.slides[0].id, every=True)
    project.boxes.edit(rows["id"][:count], state=ReviewState.CONFIRMED)


def shows(qtbot: Any, condition: Callable[[], object]) -> None:
    qtbot.waitUntil(lambda: bool(condition()))


def press(button: Any) -> None:
    assert button.isVisible() and button.isEnabled()
    QTest.mouseClick(button, LEFT)


def test_without_anything_judged_it_says_what_to_do_first(page: Any, qtbot: Any) -> None:
    shows(qtbot, lambda: "Confirm or draw about 50 defects first." in page.supply.advice.text())
    assert not page.train.isEnabled() and "Confirm or draw some defects first" in page.train.toolTip()
    with qtbot.waitSignal(page.label_requested):
        press(page.label)


def test_what_will_be_learned_follows_what_is_judged(page: Any, project: Any, session: Any, qtbot: Any) -> None:
    confirm(project, 5)
    rows = project.boxes.rows(project.slides[0].id, every=True)
    project.boxes.edit(rows["id"][5:7], state=ReviewState.REJECTED, reason="false positive")
    shows(qtbot, lambda: page.supply.supply.truths == 5)
    supply: Supply = page.supply.supply
    assert supply.rejected == (("false positive", 2),) and supply.slides_judged == 1
    assert sum(one.truths for one in supply.classes) == 5
    assert "Rejected, learned as background: 2 false positive." in page.supply.rest.text()
    assert "About 45 more defects" in page.supply.advice.text()
    shows(qtbot, page.train.isEnabled)
    assert page.supply.advice.text().startswith(
        "Only this slide: 1 other slide of the project is left aside. To learn from all, choose All slides above."
    )
    session.scope.set_kind("all")
    shows(qtbot, lambda: page.supply.supply.slides == 2)
    assert "left aside. To learn from all" not in page.supply.advice.text()


def test_slides_out_of_focus_are_named_and_can_be_kept(
    page: Any, project: Any, session: Any, qtbot: Any, tmp_path: Path, trainer: Trainer
) -> None:
    assert not page.supply.bad.isVisible()
    files = [write_picture(tmp_path / f"T{number}.png", seed=number) for number in range(9)]
    cv2.imwrite(str(files[8]), cv2.GaussianBlur(cv2.imread(str(files[8])), (0, 0), 5))
    project.slides.add_many([read_facts(file) for file in files])
    for slide in project.slides:
        project.slides.set_pixel_size(slide.id, PIXEL_UM)
    session.scope.set_kind("all")
    shows(qtbot, lambda: page.supply.bad.text() == "1 picture is out of focus and is left out: T8.")
    assert page.supply.bad.isVisible()
    page.settings.keep_bad.setChecked(True)
    shows(qtbot, lambda: page.supply.bad.text() == "1 picture is out of focus and is learned from all the same: T8.")
    confirm(project, 6)
    shows(qtbot, page.train.isEnabled)
    press(page.train)
    shows(qtbot, lambda: trainer.folders)
    assert read_request(trainer.folders[0]).keep_bad
    trainer.may_end.set()
    shows(qtbot, lambda: not page.run.running)


def test_a_training_is_started_watched_paused_continued_and_used(
    page: Any, project: Any, session: Any, qtbot: Any, trainer: Trainer
) -> None:
    confirm(project, 6)
    shows(qtbot, page.train.isEnabled)
    page.settings.minutes.setValue(7)
    page.settings.name.setText("My first")
    press(page.train)
    shows(qtbot, lambda: page.loss.points == [(1.0, 1.5)] and page.score.points == [(1.0, 0.2)])
    (folder,) = trainer.folders
    request = read_request(folder)
    assert folder == project.path / "models" / "My first" and request.settings == {"minutes": 7.0}
    assert request.network == "lite0" and request.slide_ids == (project.slides[0].id,)
    shows(qtbot, lambda: "epoch 2 of 8" in page.story.text().lower() and "left" in page.story.text())
    shows(qtbot, lambda: page.bar.value() == 250 and len(page.examples.examples) == 2)
    assert page.examples.examples[0].image.width() == 96 and len(page.examples.cells()) == 2
    shows(qtbot, lambda: "1 picture left out." in page.notes.text() and not page.train.isVisible())
    page.grab()  # it can be drawn

    press(page.pause)
    shows(qtbot, lambda: not page.run.running and page.go_on.isVisible())
    assert "Nothing is lost" in page.story.text() and folder.is_dir()
    press(page.go_on)
    shows(qtbot, lambda: len(trainer.folders) == 2 and page.run.running and trainer.begun.is_set())
    shows(qtbot, page.keep.isVisible)
    told: list[int] = []
    session.models_changed.connect(lambda: told.append(1))
    press(page.keep)
    shows(qtbot, lambda: not page.run.running and page.verdict.use.isVisible())
    assert told == [1], "lists of models follow"
    assert "score (mAP50) 0.71 (95 %: 0.60 to 0.80)" in page.result.text() and "31 defects" in page.result.text()
    with qtbot.waitSignal(page.model_used):
        press(page.verdict.use)
    assert project.models.argument == str(folder)


def test_what_is_found_is_named_inside_the_picture_and_words_do_not_cover_each_other(
    qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from microscope_qc.app.panels.learn import examples

    drawn: list[tuple[str, QPointF]] = []
    monkeypatch.setattr(examples, "draw_words", lambda painter, place, words, colour: drawn.append((words, place)))
    found = [[10.0, 90.0, 60.0, 99.0, 0, 0.9], [12.0, 91.0, 61.0, 99.0, 0, 0.5], [10.0, 2.0, 30.0, 20.0, 0, 0.4]]
    picture = ExamplePicture(Path("0.jpg"), "S1", [], found)
    grid = examples.ExampleGrid()
    qtbot.addWidget(grid)
    grid.resize(220, 240)
    grid.show_examples([examples.ShownExample(picture, QImage(100, 100, QImage.Format.Format_RGB32))], ["pitted"], {})
    grid.grab()
    assert [words for words, _ in drawn] == ["pitted 0.90", "pitted 0.40"], "the less confident one there is not named"
    (cell,) = grid.cells()
    wide = grid.fontMetrics().horizontalAdvance("pitted 0.90")
    assert all(cell.left() <= place.x() <= cell.right() - wide for _, place in drawn)


def start_choices(page: Any) -> list[str]:
    """What the list of starts offers."""
    return [page.settings.start.start_from.itemText(row) for row in range(page.settings.start.start_from.count())]


def choose_start(page: Any, qtbot: Any, words: str) -> None:
    """Open the settings and choose a start with the keyboard."""
    if not page.settings.fold.isChecked():
        press(page.settings.fold)
    shows(qtbot, page.settings.start.start_from.isVisible)
    row = next(row for row, text in enumerate(start_choices(page)) if words in text)
    QTest.keyClick(page.settings.start.start_from, Qt.Key.Key_Home)
    for _ in range(row):
        QTest.keyClick(page.settings.start.start_from, Qt.Key.Key_Down)
    assert words in page.settings.start.start_from.currentText()


def test_a_training_starts_from_the_model_in_use(
    page: Any, project: Any, settings: AppSettings, qtbot: Any, trainer: Trainer
) -> None:
    model = untrained_model(project.path / "models" / "older")
    assert len(start_choices(page)) == 3 and "ImageNet" in page.settings.start.start_from.currentText()
    project.models.use(str(model), name="older")
    shows(qtbot, lambda: "The model in use (older)" in start_choices(page))
    assert "ImageNet" in page.settings.start.start_from.currentText(), "as before, until the user chooses"
    choose_start(page, qtbot, "(older)")
    assert "Best for more labels on slides like those that it knows" in page.settings.start.about.text()
    assert settings.learn_start == "model in use" and "forgotten" in page.settings.start.start_from.toolTip()
    confirm(project, 6)
    shows(qtbot, page.train.isEnabled)
    press(page.train)
    shows(qtbot, lambda: trainer.folders)
    request = read_request(trainer.folders[0])
    assert request.network is None and request.settings == {"minutes": 20.0, "start": "models/older"}
    trainer.may_end.set()
    shows(qtbot, lambda: not page.run.running)


def test_another_network_starts_from_a_file_of_weights(
    page: Any, project: Any, qtbot: Any, trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    press(page.settings.fold)
    shows(qtbot, page.settings.start.network.isVisible)
    names = [page.settings.start.network.itemData(row) for row in range(page.settings.start.network.count())]
    QTest.keyClick(page.settings.start.network, Qt.Key.Key_Home)
    for _ in range(names.index("faster-rcnn-resnet50")):
        QTest.keyClick(page.settings.start.network, Qt.Key.Key_Down)
    assert start_choices(page) == ["A file of weights…", "Nothing"]
    assert page.settings.start.start_from.currentText() == "Nothing", "no weights of it come with the program"
    answers = ["", str(tmp_path / "resnet50.pth")]
    monkeypatch.setattr(
        "microscope_qc.app.panels.learn.start.QFileDialog.getOpenFileName", lambda *_: (answers.pop(0), "")
    )
    for chosen in ("Nothing", "A file of weights (resnet50.pth)"):  # the first time the dialog is closed
        QTest.keyClick(page.settings.start.start_from, Qt.Key.Key_Home)
        assert page.settings.start.start_from.currentText() == chosen
    confirm(project, 6)
    shows(qtbot, page.train.isEnabled)
    press(page.train)
    shows(qtbot, lambda: trainer.folders)
    request = read_request(trainer.folders[0])
    assert request.network == "faster-rcnn-resnet50" and request.task == "detect"
    assert request.settings["network_settings"] == {"backbone": str(tmp_path / "resnet50.pth")}
    trainer.may_end.set()
    shows(qtbot, lambda: not page.run.running)


def test_only_a_model_that_can_be_one_is_offered_as_a_start_and_the_choice_is_remembered(
    page: Any, project: Any, settings: AppSettings, qtbot: Any, tmp_path: Path
) -> None:
    settings.learn_start = "model in use"
    project.models.use("li-ion-ssd", name="li-ion-ssd")
    shows(qtbot, lambda: page.settings.start.start_from.currentText() == "The model in use (li-ion-ssd)")
    for model in (untrained_classifier(tmp_path / "windows"), tmp_path / "gone"):
        project.models.use(str(model), name=model.name)
        shows(qtbot, lambda: len(start_choices(page)) == 3)
        assert "ImageNet" in page.settings.start.start_from.currentText()
        project.models.use("li-ion-ssd", name="li-ion-ssd")
        shows(qtbot, lambda: page.settings.start.start_from.currentText() == "The model in use (li-ion-ssd)")
    project.models.clear()
    assert len(start_choices(page)) == 3


def test_cancelling_asks_once_more_and_keeps_nothing(page: Any, project: Any, qtbot: Any, trainer: Trainer) -> None:
    confirm(project, 6)
    shows(qtbot, page.train.isEnabled)
    press(page.train)
    shows(qtbot, lambda: page.run.training is not None and page.run.training.curve)
    shows(qtbot, page.cancel.isVisible)
    press(page.cancel)
    shows(qtbot, lambda: page.cancel.text() == "Cancel, and lose what was learned")
    assert page.run.running
    press(page.cancel)
    shows(qtbot, lambda: "nothing of it is kept" in page.story.text())
    assert not trainer.folders[0].exists()
    shows(qtbot, page.train.isVisible)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"state": "failed", "message": "The disk is full; checkpoint.pt was not written."}, "The disk is full"),
        ({"state": "running"}, "the last steps could not be written. It goes on from what was kept before"),
    ],
)
def test_a_pause_that_could_not_be_written_is_not_called_one(
    page: Any, project: Any, qtbot: Any, trainer: Trainer, status: dict[str, str], words: str
) -> None:
    confirm(project, 5)
    shows(qtbot, page.train.isEnabled)
    press(page.train)
    shows(qtbot, lambda: page.run.running and page.loss.points)
    trainer.paused = status
    press(page.pause)
    shows(qtbot, lambda: not page.run.running and words in page.story.text())
    assert "Nothing is lost" not in page.story.text() and page.go_on.isVisible()


def test_what_went_wrong_stands_there_and_it_can_be_continued(
    page: Any, project: Any, qtbot: Any, trainer: Trainer
) -> None:
    confirm(project, 6)
    shows(qtbot, page.train.isEnabled)
    trainer.fails = "The disk is full."
    trainer.may_end.set()
    press(page.train)
    shows(qtbot, lambda: "The disk is full." in page.story.text() and page.go_on.isVisible())
    trainer.fails = ""
    press(page.go_on)
    shows(qtbot, lambda: len(trainer.folders) == 2 and page.verdict.isVisible())
    assert trainer.folders[0] == trainer.folders[1] and not page.run.running
    assert "The disk is full." not in page.story.text()


def test_one_whose_folder_is_deleted_says_so_and_is_not_offered_again(
    page: Any, project: Any, qtbot: Any, trainer: Trainer
) -> None:
    confirm(project, 5)
    shows(qtbot, page.train.isEnabled)
    assert page.train.property("primary")
    press(page.train)
    shows(qtbot, lambda: page.run.running and page.loss.points)
    trainer.fails, folder = "its folder was deleted", trainer.folders[-1]
    trainer.may_end.set()
    shows(qtbot, lambda: not page.run.running and page.go_on.isVisible())
    shutil.rmtree(folder)
    page.run.look()
    shows(qtbot, lambda: not page.go_on.isVisible() and page.run.training is None)
    assert "its folder was deleted" in page.story.text() and page.train.isEnabled()
    assert not page.cancel.isVisible() and not page.loss.isVisible()


def test_a_class_that_is_renamed_while_it_is_learned_is_named(
    page: Any, project: Any, qtbot: Any, trainer: Trainer
) -> None:
    confirm(project, 5)
    shows(qtbot, page.train.isEnabled)
    press(page.train)
    shows(qtbot, lambda: page.run.running and page.run.training is not None and page.run.training.classes)
    assert page.run.training.class_ids["ACP"] == project.classes.by_code("ACP").id
    assert "renamed" not in page.notes.text()
    project.classes.edit(project.classes.by_code("ACP").id, code="NEW")
    shows(
        qtbot,
        lambda: "ACP was renamed since the training began: what the model finds of it is NEW here" in page.notes.text(),
    )
    trainer.may_end.set()
    shows(qtbot, page.verdict.use.isVisible)
    assert "ACP was renamed" in page.notes.text()


def test_a_training_that_was_interrupted_is_offered_when_the_project_is_opened(
    session: Any, project: Any, jobs: Any, qtbot: Any, trainer: Trainer
) -> None:
    from microscope_qc.app.panels.learn.page import LearnPage
    from microscope_qc.workflows.learning.request import ask_for_training

    folder = ask_for_training(project.path, "killed")
    write_epoch(folder, 3)
    made = LearnPage(session, jobs, Measuring(session, jobs), AppSettings(), follow=trainer)
    qtbot.addWidget(made)
    made.show()
    shows(qtbot, lambda: "“killed” was interrupted" in made.story.text() and made.go_on.isVisible())
    assert len(made.loss.points) == 3 and made.keep.isVisible()
    assert made.go_on.property("primary") and not made.train.property("primary"), "it is what most will press"
    made.close_crops()


def test_a_window_that_only_reads_leaves_a_training_of_another_alone(
    project: Any, jobs: Any, qtbot: Any, trainer: Trainer
) -> None:
    from microscope_qc.app.panels.learn.page import LearnPage
    from microscope_qc.app.session.session import Session
    from microscope_qc.project import Project
    from microscope_qc.workflows.learning.request import ask_for_training

    write_epoch(ask_for_training(project.path, "long"), 3)
    reader = Session()
    reader.set_project(Project.open(project.path, write=False))
    made = LearnPage(reader, jobs, Measuring(reader, jobs), AppSettings(), follow=trainer)
    qtbot.addWidget(made)
    made.show()
    shows(qtbot, lambda: "“long” goes on where this project is open for writing" in made.story.text())
    assert len(made.loss.points) == 3
    for button in (made.go_on, made.keep, made.cancel, made.pause):
        assert not button.isVisible(), button.text()
    made.close_crops()
    reader.set_project(None)


def test_a_worse_model_is_said_to_be_so_before_it_is_put_in_use(
    session: Any, project: Any, jobs: Any, qtbot: Any
) -> None:
    from microscope_qc.app.panels.learn.page import LearnPage
    from microscope_qc.workflows.learning.request import ask_for_training

    given: list[list[str]] = []
    said = [("second is worse than li-ion-ssd: F1 -0.1.", "old"), ("second is better than li-ion-ssd: F1 +0.1.", "new")]

    def command(arguments: list[str]) -> Job[None]:
        given.append(arguments)
        verdict, ahead = said[len(given) - 1]
        document = comparison(Path(arguments[2]), Path(arguments[3]), [1, 2, 3], verdict=verdict, ahead=ahead)
        keep(project.path, document, str(len(given)))
        yield Progress(0, 1)

    folder = ask_for_training(project.path, "second")
    write_epoch(folder, 3)
    finish(folder)
    (folder / WEIGHTS_NAME).write_bytes(b"weights")
    page = LearnPage(session, jobs, Measuring(session, jobs, command=command), AppSettings())
    qtbot.addWidget(page)
    page.show()
    verdict = page.verdict
    shows(qtbot, verdict.use.isVisible)
    assert not verdict.compare.isVisible() and verdict.evaluate.isVisible(), "no other model is in use"
    project.models.use("li-ion-ssd", name="li-ion-ssd")
    shows(qtbot, verdict.compare.isVisible)
    assert "Which of the two is better has not been measured" in verdict.words.text()
    press(verdict.compare)
    shows(qtbot, lambda: "second is worse than li-ion-ssd" in verdict.words.text())
    assert given[0][:3] == ["models", "compare", str(folder)] and Path(given[0][3]).name == "li-ion-ssd"
    press(verdict.use)
    assert verdict.use.text() == "Use it although li-ion-ssd is better"
    assert project.models.argument == "li-ion-ssd", "it is said first"
    with qtbot.waitSignal(page.comparison_requested) as asked:
        verdict.words.linkActivated.emit("comparison")
    assert asked.args == [project.path / "comparisons" / "1"]
    press(verdict.compare)
    shows(qtbot, lambda: "second is better than li-ion-ssd" in verdict.words.text())
    shows(qtbot, lambda: verdict.use.text() == "Use this model")
    press(verdict.use)
    assert project.models.argument == str(folder)
    shows(qtbot, lambda: verdict.use.text() == "In use" and not verdict.compare.isVisible())
    page.close_crops()


def test_one_that_found_nothing_says_so_and_what_to_do() -> None:
    said = outcome({"map50": 0.0, "truth": 12, "finds": 0}, pictures=2)
    assert said[0] == "It found nothing of the 12 defects that were kept apart to measure it."
    assert "Let it learn for longer" in said[1]
    assert "So few defects" in outcome({"map50": 0.5, "truth": 12, "finds": 9}, pictures=2)[-1]


def test_a_classifier_is_trained_with_its_own_settings(
    page: Any, project: Any, qtbot: Any, trainer: Trainer, settings: AppSettings
) -> None:
    form = page.settings
    press(form.fold)
    shows(qtbot, form.paste.isVisible)
    loss, sampling = form.classifier.loss, form.classifier.sampling
    assert not loss.isVisible() and form.crop.currentData() == 384
    QTest.keyClick(form.start.network, Qt.Key.Key_Home)
    for _ in range(form.start.network.findData("resnet50")):
        QTest.keyClick(form.start.network, Qt.Key.Key_Down)
    assert form.start.network.currentText() == "Classifier: ResNet-50"
    assert loss.isVisible() and sampling.isVisible() and not form.paste.isVisible()
    assert form.crop.currentData() == 256
    QTest.keyClick(loss, Qt.Key.Key_End)
    assert loss.currentText() == "Focal: hard examples count more" and settings.classifier == {"loss": "focal"}
    form.start.network.setCurrentIndex(form.start.network.findData("glcm-svm"))
    assert loss.findData("focal") < 0, "it is fitted at once"
    form.start.network.setCurrentIndex(form.start.network.findData("resnet50"))
    confirm(project, 6)
    shows(qtbot, page.train.isEnabled)
    press(page.train)
    shows(qtbot, lambda: trainer.folders)
    request = read_request(trainer.folders[0])
    assert (request.task, request.network) == ("classify", "resnet50")
    assert request.settings == {"minutes": 20.0, "loss": "focal", "sampling": "recrop"}
    shows(qtbot, lambda: page.score.title == "Score (F1)")
    again = TrainSettingsForm(settings)
    qtbot.addWidget(again)
    again.start.network.setCurrentIndex(again.start.network.findData("light"))
    assert again.asked()["settings"]["loss"] == "focal", "it is remembered"
    trainer.may_end.set()
    shows(qtbot, lambda: not page.run.running)


def test_a_cross_validation_is_asked_for_with_what_is_chosen(page: Any, qtbot: Any) -> None:
    form = page.settings
    press(form.fold)
    form.start.network.setCurrentIndex(form.start.network.findData("light"))
    form.minutes.setValue(3)
    with qtbot.waitSignal(page.folds_requested) as asked:
        press(form.folds)
    assert asked.args == ["light", 3]


def test_a_classifier_in_use_is_a_start_for_classifiers(page: Any, project: Any, qtbot: Any, tmp_path: Path) -> None:
    project.models.use(str(untrained_classifier(tmp_path / "windows")), name="windows")
    form = page.settings.start
    form.network.setCurrentIndex(form.network.findData("light"))
    shows(qtbot, lambda: "The model in use (windows)" in start_choices(page))
    choose_start(page, qtbot, "(windows)")
    asked = page.settings.asked()
    assert (asked["task"], asked["network"]) == ("classify", None)
    assert asked["settings"]["start"] == str(tmp_path / "windows")
    form.network.setCurrentIndex(form.network.findData("lite0"))
    assert "The model in use (windows)" not in start_choices(page)
