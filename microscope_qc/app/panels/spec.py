"""The specification of a panel, and the installed panels: built in, or from other packages.

A package adds a panel by an entry point of the group ``microscope_qc.panels`` that names its :class:`PanelSpec`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from microscope_qc.app.actions.action import Action
from microscope_qc.app.base import theme
from microscope_qc.core.plugins import Registry

if TYPE_CHECKING:
    from microscope_qc.app.context import Context

AREAS = ("left", "right", "bottom")
WORKSPACES = ("annotate", "review", "learn", "statistics", "sem")
_HERE = "microscope_qc.app.panels"
BUILT_IN = {
    "slides": f"{_HERE}.slides:PANEL",
    "classes": f"{_HERE}.classes:PANEL",
    "layers": f"{_HERE}.layers:PANEL",
    "bookmarks": f"{_HERE}.bookmarks:PANEL",
    "card": f"{_HERE}.finding:PANEL",
    "detect": f"{_HERE}.detect:PANEL",
    "suggestions": f"{_HERE}.suggestions:PANEL",
    "sem": f"{_HERE}.sem:PANEL",
    "display": f"{_HERE}.display:PANEL",
    "history": f"{_HERE}.history:PANEL",
    "gallery": f"{_HERE}.gallery:PANEL",
    "table": f"{_HERE}.table:PANEL",
    "areas": f"{_HERE}.areas:PANEL",
    "models": f"{_HERE}.models:PANEL",
    "comparisons": f"{_HERE}.models.comparisons:PANEL",
    "studies": f"{_HERE}.learn.studies:PANEL",
    "jobs": f"{_HERE}.jobs:PANEL",
    "log": f"{_HERE}.log:PANEL",
}
"""Panels in order; those that share a place are tabbed in this order."""


@dataclass(frozen=True, slots=True)
class PanelSpec:
    """One panel: its area, the workspaces that show it by default, and its actions.

    Parameters
    ----------
    area
        One of ``AREAS``.
    factory
        Makes the content when the panel is first shown, from the window's context and the parent of the content.
    workspaces
        Some of ``WORKSPACES``.
    tab_with
        Name of the panel that it shares its place with.
    """

    name: str
    title: str
    icon: str
    area: str
    factory: Callable[[Context, QWidget], QWidget]
    workspaces: tuple[str, ...] = ()
    tab_with: str = ""
    actions: tuple[Action, ...] = ()


def panel_registry() -> Registry[PanelSpec]:
    """Return the panels that are installed."""
    return Registry("panels", _checked, BUILT_IN, what="panel")


def _checked(thing: object) -> PanelSpec:
    if not isinstance(thing, PanelSpec):
        raise TypeError(f"it is a {type(thing).__name__}, not a PanelSpec")
    if thing.area not in AREAS:
        raise ValueError(f"its area is {thing.area!r}, not one of {', '.join(AREAS)}")
    unknown = [name for name in thing.workspaces if name not in WORKSPACES]
    if unknown:
        raise ValueError(f"there is no workspace {unknown[0]!r}; there are {', '.join(WORKSPACES)}")
    for action in thing.actions:
        if not isinstance(action, Action):
            raise TypeError(f"one of its actions is a {type(action).__name__}, not an Action")
    for icon in (thing.icon, *(action.icon for action in thing.actions)):
        if icon and not theme.has_icon(icon):
            raise ValueError(f"there is no icon {icon!r}")
    return thing
