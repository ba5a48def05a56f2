"""Learning rate schedules."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR

WARM_UP = 0.06
"""Share of the steps used for the warm-up."""
_FIRST, _LAST = 0.05, 0.01


def warm_up_and_cosine(optimiser: Optimizer, steps: int) -> LRScheduler:
    """A linear warm-up from a twentieth of the optimiser's rate, then half a cosine down to a hundredth of it."""
    warm = max(1, round(WARM_UP * steps))
    highest = float(optimiser.param_groups[0]["lr"])
    return SequentialLR(
        optimiser,
        [
            LinearLR(optimiser, start_factor=_FIRST, total_iters=warm),
            CosineAnnealingLR(optimiser, T_max=max(1, steps - warm), eta_min=_LAST * highest),
        ],
        milestones=[warm],
    )
