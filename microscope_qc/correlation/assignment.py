"""Which of several places belong together, one to one, and where that is not clear."""

from __future__ import annotations

import numpy as np

from microscope_qc.core.arrays import Floats

MARGIN = 1.0
"""Another assignment must cost so much more for a pair to be clear."""
NO_PARTNER = 2.0
"""What it costs to leave a place without a partner: as much as one at 1.4 times the expected error."""


def clear_pairs(costs: Floats) -> list[int | None]:
    """Return the column that clearly belongs to each row; None where there is none, or where it is not clear.

    Each row and each column is taken once at most, so that the sum of the costs is least. A pair is clear when every
    assignment without it costs :data:`MARGIN` more. A single pair within the expected error is clear, therefore.

    Parameters
    ----------
    costs
        (n, m) squared distances, in units of the expected error (95 %); inf where a pair is out of the question.

    Notes
    -----
    For places with normal errors the expected error is 2.45 standard deviations, so that a difference of 1 makes the
    other assignment exp(2.45**2 / 2) = 20 times less likely.
    """
    columns = np.flatnonzero(np.isfinite(costs).any(axis=0))
    count = len(costs)
    alone = np.full((count, count), np.inf)
    np.fill_diagonal(alone, NO_PARTNER)
    table = np.hstack([costs[:, columns], alone])
    best, partners = _least(table)
    result: list[int | None] = [None] * count
    for row, partner in enumerate(partners):
        if partner < len(columns):
            known, table[row, partner] = table[row, partner], np.inf
            if _least(table)[0] - best >= MARGIN - 1e-9:
                result[row] = int(columns[partner])
            table[row, partner] = known
    return result


def _least(table: Floats) -> tuple[float, list[int]]:
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(table)
    return float(table[rows, columns].sum()), columns.tolist()
