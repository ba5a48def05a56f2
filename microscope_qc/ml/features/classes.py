"""Which class a place is of: a linear classifier on how it looks, which knows a new class from its first example.

No torch in here.
"""

from __future__ import annotations

import warnings

import numpy as np

from microscope_qc.core.arrays import Floats, Ints

_PENALTY = 2e-3
_MOST_STEPS = 60


class LinearClasses:
    """Multinomial logistic regression; each class counts alike, however many examples it has.

    Parameters
    ----------
    looks : (n, k)
        Of the examples.
    labels : (n,)
        Their classes, any integers.
    """

    def __init__(self, looks: Floats, labels: Ints) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        self.labels, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
        self._mean, self._spread = looks.mean(axis=0), np.maximum(looks.std(axis=0), 0.1 * looks.std() + 1e-6)
        self._fitted: LogisticRegression | None = None
        if len(self.labels) < 2:
            return
        self._fitted = LogisticRegression(C=0.5 / _PENALTY, max_iter=_MOST_STEPS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._fitted.fit(self._scaled(looks), index, sample_weight=1.0 / counts[index] / len(counts))

    def _scaled(self, looks: Floats) -> Floats:
        scaled: Floats = ((looks - self._mean) / self._spread).astype(np.float32)
        return scaled

    def shares(self, looks: Floats) -> Floats:
        """Probability of each of :attr:`labels`, (n, classes)."""
        if self._fitted is None or not len(looks):
            return np.full((len(looks), len(self.labels)), 1.0 / len(self.labels))
        shares: Floats = self._fitted.predict_proba(self._scaled(looks))
        return shares
