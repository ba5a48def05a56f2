"""Places where there is no finding."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from microscope_qc.app.context import Context
    from microscope_qc.workflows.learning.which_findings import Spot


def show_spot(context: Context, spot: Spot) -> None:
    """Show a place on its slide."""
    context.navigator.show_canvas()
    context.session.show_slide(spot.slide)
    canvas = context.canvas
    canvas.set_view(canvas.view.fitted(*spot.box, margin=6.0))
