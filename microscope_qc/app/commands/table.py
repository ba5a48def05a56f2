"""The actions of all commands."""

from __future__ import annotations

from microscope_qc.app.actions.action import Action
from microscope_qc.app.commands import (
    areas,
    backups,
    edit,
    exchange,
    files,
    inspections,
    intake,
    review,
    scope,
    slides,
    specimens,
    view,
)

ACTIONS: tuple[Action, ...] = (
    *files.ACTIONS,
    *intake.ACTIONS,
    *exchange.ACTIONS,
    *backups.ACTIONS,
    *edit.ACTIONS,
    *view.ACTIONS,
    *slides.ACTIONS,
    *specimens.ACTIONS,
    *review.ACTIONS,
    *scope.ACTIONS,
    *areas.ACTIONS,
    *inspections.ACTIONS,
)
