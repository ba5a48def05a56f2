"""Marks, alignment with the SEM's stage, and the travel list."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import with_project, with_slide, writing
from microscope_qc.app.panels.spec import PanelSpec

if TYPE_CHECKING:
    from microscope_qc.app.context import Context


def _make(context: Context, parent: QWidget) -> QWidget:
    from microscope_qc.app.panels.sem.panel import SemDock

    sem = SemDock(context.session, context.jobs, context.settings, parent, save=context.navigator.save_settings)
    sem.gallery_requested.connect(lambda: context.navigator.show_panel("gallery"))
    return sem


def _open(context: Context) -> None:
    context.navigator.show_panel("sem")


def _import_edx(context: Context) -> None:
    from microscope_qc.app.panels.sem.panel import SemDock

    dock = context.navigator.show_panel("sem")
    if isinstance(dock, SemDock):
        dock.measurements.ask()


def _edit_rules(context: Context) -> None:
    from microscope_qc.app.panels.sem.rules_dialog import RulesDialog

    dialog = RulesDialog(context.session, context.navigator.window)
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()


def _step(by: int, context: Context) -> None:
    from microscope_qc.app.panels.sem.panel import SemDock

    dock = context.navigator.show_panel("sem")
    if isinstance(dock, SemDock):
        dock.step(by)


ACTIONS = (
    Action("sem.open", "Marks and alignment", "SEM", _open, (), "map-marker-radius-outline", when=with_slide),
    Action("sem.next", "Next place", "SEM", partial(_step, +1), ("J",), "chevron-right", when=with_slide),
    Action("sem.previous", "Previous place", "SEM", partial(_step, -1), ("Shift+J",), "chevron-left", when=with_slide),
    Action(
        "sem.import_edx",
        "Import EDX table or spectra…",
        "SEM",
        _import_edx,
        (),
        "table-arrow-right",
        when=writing,
        tooltip="Compositions and spectra that were measured at the SEM come back to their findings",
    ),
    Action(
        "sem.edx_rules",
        "Rules from composition to class…",
        "SEM",
        _edit_rules,
        (),
        "flask-outline",
        when=with_project,
        tooltip="Which class a composition means; the card of a finding proposes it",
    ),
)
PANEL = PanelSpec("sem", "SEM", "microscope", "right", _make, ("sem",), actions=ACTIONS)
