"""The page of the Learn workspace."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget
from superqt import QFlowLayout

from microscope_qc.app.base import theme
from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.panels.learn.curves import CurveChart, column
from microscope_qc.app.panels.learn.examples import ExampleGrid
from microscope_qc.app.panels.learn.preview import PreviewDialog
from microscope_qc.app.panels.learn.run import Follow, LearnRun
from microscope_qc.app.panels.learn.settings import TrainSettingsForm
from microscope_qc.app.panels.learn.supply import SupplyView
from microscope_qc.app.panels.learn.verdict import Verdict
from microscope_qc.app.widgets.job_bar import JobBar
from microscope_qc.app.widgets.parts import column_of, heading, note, scrolled, sentence
from microscope_qc.core.wording import duration_text, elapsed_text
from microscope_qc.project.model_classes import class_changes
from microscope_qc.workflows.learning.request import Training, TrainingState
from microscope_qc.workflows.learning.starting import startable
from microscope_qc.workflows.learning.supply import outcome

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.base.settings import AppSettings
    from microscope_qc.app.session.measuring import Measuring
    from microscope_qc.app.session.session import Session

SIDE_PX = 344
GAP_PX = 6
_ALL_THE_ROOM = 1000
_READY = "Press Train: it takes as long as you allow, and can be paused at any time."
_MAP50, _F1 = "Score (mAP50)", "Score (F1)"
_WAITS = {
    True: "The training “{}” was interrupted. Nothing is lost.",
    False: "The training “{}” goes on where this project is open for writing, or was interrupted there.",
}
_FIRST = "After the first epoch, the curves and some places that it does not learn from are shown here."


class LearnPage(QWidget):
    """Left: what will be learned, and the buttons. Right: how well it learns, and how well it has learned.

    Parameters
    ----------
    follow
        Does the training, and is followed to its end; replaced in tests.
    by_parts
        Whether the page is empty at first, and somebody else takes the steps of ``making``.
    """

    label_requested = Signal()
    model_used = Signal()
    all_requested = Signal(object)  # what is known of the model in this folder
    comparison_requested = Signal(object)  # folder of a comparison
    folds_requested = Signal(str, int)  # cross-validation of a network, so many minutes each

    def __init__(
        self,
        session: Session,
        jobs: JobRunner,
        measuring: Measuring,
        settings: AppSettings,
        parent: QWidget | None = None,
        *,
        follow: Follow | None = None,
        by_parts: bool = False,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("learn")
        self.setWindowTitle("Learn")
        self._session, self._jobs, self._measuring, self._settings = session, jobs, measuring, settings
        self._follow = follow
        self.preview: PreviewDialog | None = None
        self._sure = self._train_soon = False
        self.making = self._make()
        if not by_parts:
            deque(self.making, maxlen=0)

    # -- parts -------------------------------------------------------------------------------------------------------

    def _make(self) -> Iterator[None]:
        """Make one part after the other, what follows a project last; nothing is there to press before."""
        self.train = QPushButton("Train")
        self.label = QPushButton("Label defects…")
        self.pause, self.keep, self.cancel = (
            QPushButton("Pause"),
            QPushButton("Stop and keep best"),
            QPushButton("Cancel"),
        )
        self.go_on = QPushButton("Continue")
        self.bar, self.story = JobBar(), sentence()
        self.story.setTextFormat(Qt.TextFormat.RichText)
        above, right = self._lay_out()
        yield
        self.supply = SupplyView(self._session, self._jobs)
        above.insertWidget(1, self.supply)
        yield
        self.settings = TrainSettingsForm(self._settings)
        above.insertWidget(above.count() - 1, self.settings)
        yield
        self._fill_right(right)
        yield
        self.run = LearnRun(self._session, self._jobs, self, follow=self._follow)
        self._connect()
        self._listen()
        self._offer_model()
        self._refresh()

    def _lay_out(self) -> tuple[QVBoxLayout, QVBoxLayout]:
        """Put the buttons in their place; what comes above them, and the column on the right, are given back."""
        buttons = QFlowLayout()
        buttons.setHorizontalSpacing(GAP_PX)
        buttons.setVerticalSpacing(GAP_PX)
        for button in (self.train, self.go_on, self.pause, self.keep, self.cancel, self.label):
            buttons.addWidget(button)
            button.hide()
        self.bar.hide()
        above = column_of(heading("What will be learned"), 6)
        above.addStretch(1)
        foot = column_of(self.bar, self.story, buttons)
        foot.setContentsMargins(12, 6, 12, 8)
        side = QVBoxLayout()
        side.setContentsMargins(0, 0, 0, 0)
        side.addWidget(scrolled(above, self), 1)
        side.addLayout(foot)
        holder = QWidget()
        holder.setLayout(side)
        holder.setFixedWidth(SIDE_PX)
        right = column_of()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(holder)
        row.addWidget(scrolled(right, self), 1)
        return above, right

    def _fill_right(self, right: QVBoxLayout) -> None:
        self.title, self.result, self.notes = heading(""), sentence(), note()
        self.result.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.result.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.verdict = Verdict(self._session, self._measuring)
        self.loss, self.score = CurveChart("Loss"), CurveChart(_MAP50, highest=1.0)
        self.examples = ExampleGrid()
        self.legend = note("Outlined: what is there. Dashed: what the model finds, with its confidence.")
        for part in (self.verdict, self.loss, self.score, self.examples, self.legend, self.notes):
            part.hide()
        charts = QGridLayout()
        charts.addWidget(self.loss, 0, 0)
        charts.addWidget(self.score, 0, 1)
        for part in (self.title, self.result, self.verdict):
            right.addWidget(part)
        right.addLayout(charts)
        right.addWidget(self.legend)
        right.addWidget(self.examples, _ALL_THE_ROOM)
        right.addWidget(self.notes)
        right.addStretch(1)  # takes the room while there are no examples

    def _listen(self) -> None:
        session = self._session
        self._due = Refresh(self, self._refresh)
        self.run.changed.connect(self._due.soon)
        self.run.finished.connect(session.models_changed.emit)
        self.supply.counted.connect(self._due.soon)
        self.supply.counted.connect(self._on_counted)
        self.settings.keep_bad.toggled.connect(self.supply.keep_bad)
        for signal in (session.project_changed, session.classes_changed, session.slides_changed):
            link(self, signal, self._due.soon)
        link(self, session.project_changed, self._on_project_changed)
        link(self, session.model_in_use_changed, self._offer_model)

    def _connect(self) -> None:
        self.train.clicked.connect(self._on_train_clicked)
        self.go_on.clicked.connect(self._on_go_on_clicked)
        self.pause.clicked.connect(self.run.pause)
        self.keep.clicked.connect(self._on_keep_clicked)
        self.cancel.clicked.connect(self._on_cancel_clicked)
        self.label.clicked.connect(self.label_requested)
        self.verdict.model_used.connect(self.model_used)
        self.verdict.all_requested.connect(self.all_requested)
        self.verdict.comparison_requested.connect(self.comparison_requested)
        self.settings.preview_requested.connect(self._on_preview_requested)
        self.settings.folds_requested.connect(self._on_folds_requested)
        self.pause.setToolTip("What was learned is kept; continue later")
        self.keep.setToolTip("Ends it now with the best that it has learned so far, measured")
        self.go_on.setToolTip("Goes on where it was, with what it began with")

    def close_crops(self) -> None:
        """Stop the thread that reads (the window is closing)."""
        self.run.close()

    # -- what is shown -----------------------------------------------------------------------------------------------

    def why_not(self) -> str:
        """Why a training cannot start; "" if it can."""
        if not self._session.can_write:
            return "This project is open for reading only."
        if self.run.running:
            return "A training is running."
        return "" if self.supply.supply.truths else "Confirm or draw some defects first."

    def _refresh(self) -> None:
        run, training, project = self.run, self.run.training, self._session.project
        self.settings.suggest_name(None if project is None else project.path)
        paused = self._waits(training) and self._session.can_write  # else it may go on elsewhere
        why_not = self.why_not()
        self.train.setText("Train" if not paused else "Train again")
        self._show_first(self.go_on if paused else self.train)
        self.train.setVisible(not run.running)
        self.train.setEnabled(not why_not)
        self.train.setToolTip(why_not)
        self.settings.setVisible(not run.running)
        self.settings.preview.setEnabled(bool(self.supply.supply.truths))
        self.label.setVisible(not run.running and not self.supply.supply.truths)
        self.go_on.setVisible(paused)
        self.pause.setVisible(run.running)
        self.keep.setVisible(run.running or (paused and training is not None and training.has_learned))
        self.cancel.setVisible(run.running or paused)
        for button in (self.pause, self.keep, self.cancel):
            button.setEnabled(not run.ending)
        self.cancel.setText("Cancel, and lose what was learned" if self._sure else "Cancel")
        self._show_story()
        self._show_training(training)

    def _show_first(self, button: QPushButton) -> None:
        """Give the look of what is to be pressed first to one of two buttons."""
        for one in (self.train, self.go_on):
            if one.property("primary") != (one is button):
                one.setProperty("primary", one is button)
                theme.polish(one)

    def _waits(self, training: Training | None) -> bool:
        """Whether a training of this project was paused, failed or killed."""
        return not self.run.running and training is not None and training.state is not TrainingState.FINISHED

    def _show_story(self) -> None:
        run, handle, training = self.run, self.run.handle, self.run.training
        self.bar.setVisible(handle is not None)
        if handle is None:
            words = run.said
            if not words and training is not None and self._waits(training):
                words = training.message or _WAITS[self._session.can_write].format(training.name)
            self.story.setText(_rich(words))
            self.story.setVisible(bool(words))
            return
        progress = handle.progress
        if progress.total > 0:
            self.bar.setRange(0, 1000)
            self.bar.setValue(round(1000 * progress.fraction))
        elif training is None or not training.curve:  # else it only measures for a while
            self.bar.setRange(0, 0)
        words = "Pausing …" if handle.cancelling else run.said or progress.note or "starting"
        left, said = handle.seconds_left, _rich(words[0].upper() + words[1:])
        if left is not None and not handle.cancelling and not run.said:
            said += f". <b>{duration_text(left)}</b> left"
        self.story.setText(said)
        self.story.show()

    def _show_training(self, training: Training | None) -> None:
        curve = [] if training is None else training.curve
        losses = column(curve, "loss")
        self.loss.show_points(losses)
        classifies = training is not None and training.request.task == "classify"
        self.score.show_points(
            column(curve, "f1" if classifies else "map50"), title=_F1 if classifies else _MAP50,
            until=losses[-1][0] if losses else 0.0,
        )  # fmt: skip
        for part in (self.loss, self.score):
            part.setVisible(training is not None)
        colours = {one.code: one.colour for one in self._session.classes}
        self.examples.show_examples(self.run.examples, [] if training is None else training.classes, colours)
        self.legend.setVisible(bool(self.run.examples))
        self.examples.setVisible(bool(self.run.examples))
        self.title.setText("" if training is None else training.name)
        done = training is not None and training.card is not None and not self.run.running
        self.verdict.setVisible(done)
        if done and training is not None and training.card is not None:
            self.verdict.show_model(training.folder, training.card)
        if training is None:
            said = _READY if self.supply.supply.truths else ""
        elif done and training.card is not None:
            places = int(str(training.card.training.get("validation_images", 0)))
            took = f"Trained in {elapsed_text(60 * training.minutes)}."
            start = training.card.training.get("start")
            said = " ".join([*outcome(dict(training.card.metrics), pictures=places, start=start), took])
        else:
            said = "" if curve else _FIRST
        self.result.setText(said)
        notes = [] if training is None else [*training.notes, *self._class_changes(training)]
        self.notes.setText("<br>".join(escape(line) for line in notes))
        self.notes.setVisible(bool(notes))

    def _class_changes(self, training: Training) -> list[str]:
        learned = training.classes if training.card is None else training.card.classes
        return class_changes(training.class_ids, learned, self._session.classes)

    def _offer_model(self) -> None:
        """Offer the model in use as a start where it can be one, which its folder tells another thread."""
        project = self._session.project
        model = "" if project is None else project.models.argument

        def take(found: tuple[str, str]) -> None:
            if self._session.project is project and project is not None and project.models.argument == model:
                self.settings.start.offer_model(found[0], model, found[1])

        if model:
            self._jobs.call(lambda: startable(model), take)
        else:
            self.settings.start.offer_model("", "")

    def _on_project_changed(self) -> None:
        self.settings.start.offer_model("", "")
        self._offer_model()

    # -- what the user does ------------------------------------------------------------------------------------------

    def train_when_counted(self) -> None:
        """Begin a training as it is set, as soon as it is known what there is to learn."""
        self._train_soon = True
        self.supply.count_again()

    def _on_counted(self) -> None:
        if not self._train_soon:
            return
        self._train_soon = False
        why_not = self.why_not()
        if why_not:
            self._session.notice.emit(why_not)
        else:
            self._on_train_clicked()

    def _on_train_clicked(self) -> None:
        if self.why_not():
            return
        self._sure = False
        self.run.start(
            self.settings.name.text(), slide_ids=self._scope(), trained_on=self._trained_on(), **self.settings.asked()
        )

    def _scope(self) -> tuple[int, ...] | None:
        project, ids = self._session.project, self._session.scope.slide_ids
        return None if project is None or len(ids) == len(project.slides) else ids

    def _trained_on(self) -> str:
        project, supply = self._session.project, self.supply.supply
        return f"{supply.truths} defects on {supply.slides_judged} slides of {project.name}" if project else ""

    def _on_preview_requested(self) -> None:
        project = self._session.project
        if project is None:
            return
        asked = self.settings.asked()
        chosen = {
            **{name: value for name, value in asked.items() if name != "settings"}, "slide_ids": self._scope(),
            **asked["settings"],
        }  # fmt: skip
        self.preview = PreviewDialog(self._jobs, project.path, chosen, self)
        self.preview.destroyed.connect(self._on_preview_closed)
        self.preview.open()

    def _on_folds_requested(self) -> None:
        self.folds_requested.emit(self.settings.start.kind.name, self.settings.minutes.value())

    def _on_preview_closed(self) -> None:
        self.preview = None

    def _on_go_on_clicked(self) -> None:
        self.run.go_on()

    def _on_keep_clicked(self) -> None:
        if self.run.running:
            self.run.keep_best()
        else:
            self.run.go_on(to_end=True)

    def _on_cancel_clicked(self) -> None:
        """Ask once more, on the button itself, where something was learned."""
        training = self.run.training
        if not self._sure and training is not None and training.curve:
            self._sure = True
            self._due.soon()
            return
        self._sure = False
        self.run.cancel()


def _rich(text: str) -> str:
    """Text as it stands, for a label of rich text."""
    return escape(text, quote=False).replace("\n", "<br>")
