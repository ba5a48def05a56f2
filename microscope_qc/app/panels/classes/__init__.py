"""Classes of the project: the list next to the slide, and the class manager."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import with_project
from microscope_qc.app.panels.spec import PanelSpec

if TYPE_CHECKING:
    from microscope_qc.app.context import Context


def manage_classes(context: Context, class_id: int = 0) -> None:
    """Open the class manager next to the slide, at a class if one is given."""
    from microscope_qc.app.panels.classes.manager import ClassManager

    manager = context.navigator.only(ClassManager, lambda: ClassManager(context.session, context.navigator.window))
    manager.show()
    manager.raise_()
    manager.activateWindow()
    if class_id:
        manager.show_class(class_id)


def _make(context: Context, parent: QWidget) -> QWidget:
    from microscope_qc.app.panels.classes.panel import ClassesDock

    dock = ClassesDock(context.session, parent)
    dock.manage_requested.connect(partial(manage_classes, context))
    return dock


ACTIONS = (
    Action(
        "classes.manage",
        "Classes…",
        "Edit",
        manage_classes,
        ("Ctrl+K",),
        "shape-outline",
        when=with_project,
        group=3,
        tooltip="Add, rename, merge, recolour, reorder; class sets",
    ),
)
PANEL = PanelSpec("classes", "Classes", "shape-outline", "left", _make, ("annotate",), actions=ACTIONS)
