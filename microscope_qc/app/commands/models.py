"""Models on this computer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microscope_qc.app.actions.action import Action

if TYPE_CHECKING:
    from microscope_qc.app.context import Context


def _show_models(context: Context) -> None:
    from microscope_qc.app.dialogs.models import ModelsDialog

    ModelsDialog(context.navigator.window).exec()


ACTIONS = (Action("models.list", "Models on this computer", "Models", _show_models, (), "brain"),)
