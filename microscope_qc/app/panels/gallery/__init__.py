"""Every shown finding as a crop, and the filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import with_project, with_slide
from microscope_qc.app.panels.spec import PanelSpec

if TYPE_CHECKING:
    from microscope_qc.app.context import Context


def _make(context: Context, parent: QWidget) -> QWidget:
    from microscope_qc.app.panels.gallery.panel import GalleryDock

    gallery = GalleryDock(context.session, parent)
    gallery.detect_requested.connect(lambda: context.navigator.show_panel("detect"))
    gallery.open_requested.connect(lambda: context.navigator.trigger("file.open"))
    gallery.export_requested.connect(lambda: context.navigator.trigger("file.export"))
    return gallery


def _focus_filter(context: Context) -> None:
    from microscope_qc.app.panels.gallery.panel import GalleryDock

    gallery = context.navigator.show_panel("gallery")
    if isinstance(gallery, GalleryDock):
        gallery.focus_filter()


def _switch_focus(context: Context) -> None:
    """Move the focus from the canvas to the gallery, or back."""
    if context.canvas.picture.native.hasFocus():
        gallery = context.navigator.show_panel("gallery")
        if gallery is not None:
            gallery.setFocus()
    else:
        context.canvas.setFocus()


def _clear_filter(context: Context) -> None:
    context.session.clear_filter()


def _filtered(context: Context) -> str:
    return with_project(context) or ("" if context.session.filter_active else "Nothing is filtered.")


ACTIONS = (
    Action(
        "view.filter", "Filter findings", "View", _focus_filter, ("Ctrl+F",), "filter-outline", when=with_project,
        group=4,
    ),
    Action(
        "view.show_all",
        "Show all findings",
        "View",
        _clear_filter,
        ("Ctrl+Shift+F",),
        "filter-off-outline",
        when=_filtered,
        group=4,
        tooltip="Removes the filter",
    ),
    Action(
        "view.switch", "Canvas or gallery", "View", _switch_focus, ("Tab",), "swap-horizontal", when=with_slide, group=4
    ),
)  # fmt: skip
PANEL = PanelSpec(
    "gallery", "Gallery", "view-grid-outline", "bottom", _make, ("annotate", "statistics"), actions=ACTIONS
)
