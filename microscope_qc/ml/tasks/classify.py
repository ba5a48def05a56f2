"""Classification: a network classifies windows that are slid over a slide."""

from __future__ import annotations

from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.tasks.kinds import TaskKind


class Classification(TaskKind):
    """Scores of windows, a map of them, and boxes from class activation maps."""

    name, title, does, model = "classify", "Classification of windows", "classifies windows", "a classifier of windows"

    def check(self, card: ModelCard) -> None:
        """See :class:`TaskKind`."""
        check_windows(card)


def check_windows(card: ModelCard) -> None:
    """Check that the windows of a card fit into its tiles, and that the tiles cover all windows.

    Raises
    ------
    ValueError
        When they do not.
    """
    if card.windows is None:
        raise ValueError("a model of this task needs windows")
    largest = max(card.windows.scales)
    if card.tile_px < card.windows.window_px * largest:
        raise ValueError("a tile is smaller than a window")
    if card.overlap_px < (card.windows.window_px - card.windows.stride_px) * largest:
        raise ValueError("tiles overlap too little: windows between them would be missed")


CLASSIFY = Classification()
