"""What is learned while a user labels, and what it suggests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import writing, writing_slide
from microscope_qc.app.panels.spec import PanelSpec

if TYPE_CHECKING:
    from microscope_qc.app.context import Context


def _make(context: Context, parent: QWidget) -> QWidget:
    from microscope_qc.app.panels.suggestions.panel import SuggestionsDock

    dock = SuggestionsDock(context.session, parent)
    dock.next_requested.connect(lambda: context.navigator.trigger("suggest.next"))
    dock.keep_requested.connect(lambda: context.navigator.trigger("suggest.keep"))
    dock.model_requested.connect(lambda: context.navigator.trigger("suggest.model"))
    return dock


def _learn(context: Context) -> None:
    learning = context.session.learning
    learning.set_on(not learning.on)
    if learning.on and not context.navigator.in_review:
        context.navigator.show_panel("suggestions")


def _learns(context: Context) -> bool:
    return context.session.learning.on


def _next(context: Context) -> None:
    context.session.suggested.step(1)


def _previous(context: Context) -> None:
    context.session.suggested.step(-1)


def _keep(context: Context) -> None:
    """Make a detection of what is suggested on the slide on screen."""
    from microscope_qc.workflows.suggestions.keeping import keep

    session = context.session
    project, slide = session.project, session.slide
    if project is None or slide is None:
        return
    found = session.suggested.to_judge()

    def say(_run: object) -> None:
        session.notice.emit(f"{len(found)} suggestions are kept as a detection: see “Detections on this slide”.")

    session.learning.keep(keep(project, slide, found), say)


def _make_model(context: Context) -> None:
    context.navigator.train()


def _suggested(context: Context) -> str:
    if len(context.session.suggested):
        return ""
    if context.session.suggested.all_count:
        return "No suggestion on this slide is so sure: lower “sure ≥” beside the suggestions."
    return "Nothing is suggested on this slide: switch on “Learn from my labels” and label some defects."


def _can_keep(context: Context) -> str:
    if context.session.learning.keeping:
        return "They are being kept."
    return writing_slide(context) or _suggested(context)


ACTIONS = (
    Action(
        "suggest.learn", "Learn from my labels", "Detect", _learn, ("Ctrl+L",), "school-outline", when=writing_slide,
        tooltip="Suggests what looks like the defects that you have labelled", checked=_learns, group=1,
    ),
    Action("suggest.next", "Next suggestion", "Detect", _next, ("K",), "debug-step-over", when=_suggested, group=1),
    Action(
        "suggest.previous", "Previous suggestion", "Detect", _previous, ("Shift+K",), "debug-step-out", when=_suggested,
        group=1,
    ),
    Action(
        "suggest.keep", "Keep suggestions as a detection", "Detect", _keep, icon="content-save-outline", when=_can_keep,
        tooltip="Those shown are findings then, which are counted and can be hidden with that detection", group=1,
    ),
    Action(
        "suggest.model", "Make it a model", "Detect", _make_model, icon="school", when=writing,
        tooltip="Trains a network from the same labels, and compares it with the model in use", group=1,
    ),
)  # fmt: skip
PANEL = PanelSpec(
    "suggestions", "Suggestions", "school-outline", "right", _make, ("annotate",), tab_with="detect", actions=ACTIONS
)
