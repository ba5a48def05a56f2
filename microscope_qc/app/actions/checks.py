"""When an action can be used: "" when it can, otherwise a sentence that says why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from microscope_qc.app.context import Context

Check = Callable[["Context"], str]


def always(context: Context) -> str:
    """Usable at any time."""
    return ""


def with_project(context: Context) -> str:
    """Needs a project."""
    return "" if context.session.project is not None else "Open a slide or a project first."


def with_slide(context: Context) -> str:
    """Needs a slide on screen."""
    return "" if context.session.slide is not None else "Open a slide first."


def writing(context: Context) -> str:
    """Needs a project that this window may change."""
    return context.session.why_not_write()


def writing_slide(context: Context) -> str:
    """Needs a slide of a project that this window may change."""
    return with_slide(context) or writing(context)


def selected(context: Context) -> str:
    """Needs selected findings in a project that this window may change."""
    return writing(context) or ("" if len(context.session.selection) else "Select a finding first.")


def has_selection(context: Context) -> str:
    """Needs selected findings."""
    return with_project(context) or ("" if len(context.session.selection) else "Select a finding first.")


def judgeable(context: Context) -> str:
    """Needs selected findings, or a suggestion that is looked at, in a project that this window may change."""
    return writing(context) if context.session.suggested.current is not None else selected(context)
