"""What the window works over: this slide, selected slides, all slides."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import with_project
from microscope_qc.app.session.scope import ScopeKind

if TYPE_CHECKING:
    from microscope_qc.app.context import Context


def _work_over(kind: ScopeKind, context: Context) -> None:
    context.session.scope.set_kind(kind)
    context.navigator.refresh_actions()


def _works_over(kind: ScopeKind, context: Context) -> bool:
    return context.session.scope.kind is kind


def _possible(kind: ScopeKind, context: Context) -> str:
    scope, project = context.session.scope, context.session.project
    if project is None or not project.slides:
        return with_project(context) or "There is no slide in this project yet."
    chosen = kind is not ScopeKind.SELECTED or scope.chosen_ids or scope.kind is ScopeKind.SELECTED
    return "" if chosen else "Select slides in the list of slides first."


def _scope(kind: ScopeKind, key: str, icon: str) -> Action:
    return Action(
        f"scope.{kind.value}", kind.words, "Review/Work over", partial(_work_over, kind), (key,), icon,
        "Gallery, table, counts, filters and review go over these slides", when=partial(_possible, kind), group=1,
        checked=partial(_works_over, kind),
    )  # fmt: skip


ACTIONS = (
    _scope(ScopeKind.SLIDE, "Alt+1", "image-outline"),
    _scope(ScopeKind.SELECTED, "Alt+2", "checkbox-multiple-marked-outline"),
    _scope(ScopeKind.ALL, "Alt+3", "image-multiple-outline"),
)
