"""What the canvas shows: position, zoom, legend and viewed areas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import has_selection, with_slide
from microscope_qc.core.wording import share_text

if TYPE_CHECKING:
    from microscope_qc.app.context import Context

STEP = 1.5


def _fit_selection(context: Context) -> None:
    context.canvas.fit_selection()


def _fit_slide(context: Context) -> None:
    context.canvas.fit_slide()


def _zoom_full(context: Context) -> None:
    """One slide pixel per pixel of the screen."""
    context.canvas.zoom_to(1.0 / context.canvas.devicePixelRatioF())


def _zoom_in(context: Context) -> None:
    context.canvas.zoom_by(STEP)


def _zoom_out(context: Context) -> None:
    context.canvas.zoom_by(1 / STEP)


def _go_to(context: Context) -> None:
    from microscope_qc.app.dialogs.go_to import GoToDialog

    dialog = GoToDialog(context.session, context.canvas.view, context.settings, context.navigator.window)
    if not dialog.exec():
        return
    if dialog.number is not None:
        context.session.navigation.go_to_number(dialog.number)
    else:
        context.canvas.go_to(*dialog.place_px())
        context.navigator.save_settings()


def _toggle_veil(context: Context) -> None:
    """Dim what has not been viewed on the overview map, or stop doing so."""
    view = context.session.slide_view
    view.set_veil(not view.veil)
    if view.veil:
        context.session.notice.emit(
            f"{share_text(view.seen.share).capitalize()} of this slide has been viewed closely enough to judge."
        )


def _veiled(context: Context) -> bool:
    return context.session.slide_view.veil


def _toggle_legend(context: Context) -> None:
    """Show or hide what colours and lines mean."""
    settings = context.settings
    settings.legend = not settings.legend
    context.canvas.legend.set_wanted(settings.legend)
    context.navigator.save_settings()
    context.navigator.refresh_actions()


def _with_legend(context: Context) -> bool:
    return context.canvas.legend.wanted


def _forget_seen(context: Context) -> None:
    context.session.slide_view.forget_seen()
    context.session.notice.emit("Nothing of this slide counts as viewed any more.")


ACTIONS = (
    Action(
        "view.fit_selection",
        "Fit selection",
        "View",
        _fit_selection,
        ("F",),
        "fit-to-page-outline",
        when=has_selection,
    ),
    Action(
        "view.fit_slide",
        "Fit slide",
        "View",
        _fit_slide,
        ("Shift+F",),
        "fit-to-screen-outline",
        when=with_slide,
        toolbar=True,
    ),
    Action(
        "view.full_size",
        "One slide pixel per screen pixel",
        "View",
        _zoom_full,
        (),
        "numeric-1-box-outline",
        when=with_slide,
    ),
    Action("view.go_to", "Go to position or finding…", "View", _go_to, ("G",), "crosshairs-gps", when=with_slide),
    Action(
        "view.veil",
        "Dim what has not been viewed",
        "View",
        _toggle_veil,
        ("Shift+V",),
        "eye-check-outline",
        when=with_slide,
        group=3,
        checked=_veiled,
        tooltip="On the overview map; what was on screen for a moment, large enough to judge, counts as viewed",
    ),
    Action(
        "view.legend",
        "Legend",
        "View",
        _toggle_legend,
        ("Shift+L",),
        "map-legend",
        when=with_slide,
        group=3,
        checked=_with_legend,
        tooltip="What colours and lines mean, on the canvas",
    ),
    Action(
        "view.forget_seen",
        "Forget what was viewed",
        "View",
        _forget_seen,
        (),
        "eye-off-outline",
        when=with_slide,
        group=3,
    ),
    Action("view.zoom_in", "Zoom in", "View", _zoom_in, ("+", "="), "magnify-plus-outline", when=with_slide, group=6),
    Action("view.zoom_out", "Zoom out", "View", _zoom_out, ("-",), "magnify-minus-outline", when=with_slide, group=6),
)
