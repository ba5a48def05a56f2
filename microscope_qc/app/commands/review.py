"""Judging by menus and keys, wherever the focus is."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import has_selection, judgeable, selected, with_project, writing
from microscope_qc.app.widgets.review_keys import REVIEW_KEYS, RejectStrip
from microscope_qc.core.defect_class import CLASS_KEYS

if TYPE_CHECKING:
    from microscope_qc.app.context import Context


def _confirm(context: Context) -> None:
    context.session.judging.confirm_and_next()


def ask_reason(context: Context) -> None:
    """Ask for the reason on the canvas, reject, and go on; a suggestion is rejected at once."""
    if context.session.suggested.current is not None:
        context.session.suggested.judge_current(accepted=False)
        return

    def make() -> RejectStrip:
        strip = RejectStrip(context.canvas)
        strip.chosen.connect(context.session.judging.reject_and_next)
        return strip

    context.navigator.only(RejectStrip, make).popup()


def _unreview(context: Context) -> None:
    context.session.judging.unreview(context.session.selection.ids)


def _choose(context: Context) -> None:
    """Choose for the SEM, or take the choice back if all are chosen."""
    session = context.session
    ids = session.selection.ids
    if len(ids):
        session.judging.choose(ids, not bool(session.rows_of(ids)["chosen"].all()))


def _same_for_similar(context: Context) -> None:
    """Preview the findings similar to this one, then judge them."""
    from microscope_qc.app.widgets.apply_to_similar import SimilarDialog

    SimilarDialog(context.session, context.navigator.window).exec()


def _same_for_alike(context: Context) -> None:
    """Preview the findings that look like this one, then judge them."""
    from microscope_qc.app.widgets.alike_dialog import AlikeDialog

    AlikeDialog(context.session, context.jobs, context.navigator.window).exec()


def _explain(context: Context) -> None:
    """Show what a classifier takes the selected finding for; the dialog stays open, and goes on to the next ones."""
    from microscope_qc.app.dialogs.evidence import EvidenceDialog

    def make() -> EvidenceDialog:
        return EvidenceDialog(context.session, context.jobs, context.navigator.window)

    dialog = context.navigator.only(EvidenceDialog, make)
    dialog.show()
    dialog.raise_()


def _take_measured_class(context: Context) -> None:
    context.session.judging.take_measured_class(context.session.selection.ids)


def _severity(context: Context) -> None:
    from microscope_qc.app.dialogs.severity import SeverityDialog

    SeverityDialog(context.session, context.jobs, context.navigator.window).exec()


def _second_review(context: Context) -> None:
    from microscope_qc.app.dialogs.second_review import SecondReviewDialog

    dialog = SecondReviewDialog(context.session, context.navigator.window)
    dialog.exec()
    dialog.deleteLater()


def _next(context: Context) -> None:
    context.session.judging.step(1)


def _previous(context: Context) -> None:
    context.session.judging.step(-1)


def _write_note(context: Context) -> None:
    from microscope_qc.app.panels.finding.panel import FindingDock

    card = context.navigator.show_panel("card")
    if isinstance(card, FindingDock):
        card.note.setFocus()
        card.note.selectAll()


def _press_class_key(key: str, context: Context) -> None:
    context.session.judging.press_class_key(key)


def _class_words(key: str, context: Context) -> str:
    item = next((item for item in context.session.classes if item.key == key), None)
    return "" if item is None else f"{item.code}  {item.name}"


def _class_key(key: str) -> Action:
    return Action(
        f"class.{key}",
        f"Class with the key {key}",
        "Review/Class",
        partial(_press_class_key, key),
        (key,),
        when=writing,
        group=2,
        tooltip="Sets the class of the selection, or the class to draw",
        words=partial(_class_words, key),
    )


ACTIONS = (
    Action(
        "review.confirm",
        "Confirm and next",
        "Review",
        _confirm,
        REVIEW_KEYS["review.confirm"],
        "check",
        when=judgeable,
    ),
    Action(
        "review.reject",
        "Reject with reason and next…",
        "Review",
        ask_reason,
        REVIEW_KEYS["review.reject"],
        "close",
        when=judgeable,
        tooltip="Then a letter: F false positive, P preparation artefact, D duplicate, …",
    ),
    Action(
        "review.unreview",
        "Back to unreviewed",
        "Review",
        _unreview,
        REVIEW_KEYS["review.unreview"],
        "backup-restore",
        when=selected,
    ),
    Action(
        "review.choose",
        "Choose for the SEM",
        "Review",
        _choose,
        REVIEW_KEYS["review.choose"],
        "star-outline",
        when=selected,
    ),
    Action(
        "review.similar",
        "Apply to similar findings…",
        "Review",
        _same_for_similar,
        REVIEW_KEYS["review.similar"],
        "content-duplicate",
        when=selected,
        tooltip="First shows which findings would change",
    ),
    Action(
        "review.alike",
        "Same for all that look like it…",
        "Review",
        _same_for_alike,
        ("Shift+E",),
        "image-multiple-outline",
        when=selected,
        tooltip="First shows which findings would change, with a slider of how alike they must look",
    ),
    Action(
        "review.explain",
        "What speaks for its class…",
        "Review",
        _explain,
        icon="eye-outline",
        when=has_selection,
        tooltip="What a classifier takes it for, and which pixels speak for that",
    ),
    Action(
        "review.composition",
        "Class by composition",
        "Review",
        _take_measured_class,
        ("T",),
        "flask-outline",
        when=selected,
        tooltip="Gives the class that the rules propose for what EDX measured; the card says why",
    ),
    Action(
        "review.severity",
        "Severity…",
        "Review",
        _severity,
        icon="alert-octagon-outline",
        when=with_project,
        tooltip="Weights and limits that “Most severe first” goes by",
    ),
    Action(
        "review.again",
        "Second review…",
        "Review",
        _second_review,
        icon="account-multiple-check-outline",
        when=with_project,
        tooltip="Somebody judges findings again without seeing how they were judged; says how well both agree",
    ),
    Action(
        "review.next",
        "Next finding",
        "Review",
        _next,
        REVIEW_KEYS["review.next"],
        "chevron-right",
        when=with_project,
        group=1,
    ),
    Action(
        "review.previous",
        "Previous finding",
        "Review",
        _previous,
        REVIEW_KEYS["review.previous"],
        "chevron-left",
        when=with_project,
        group=1,
    ),
    Action(
        "review.note",
        "Write a note",
        "Review",
        _write_note,
        ("Ctrl+N",),
        "note-edit-outline",
        when=selected,
        group=1,
    ),
    *(_class_key(key) for key in CLASS_KEYS),
)
