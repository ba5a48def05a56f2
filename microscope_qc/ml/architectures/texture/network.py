"""Classifiers of textures, without a gradient: fitted by scikit-learn, stored as tensors, and computed by torch.

So they are stored, checked and loaded as all models are, and no object of another library is in a file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from microscope_qc.core.arrays import Floats, Ints
from microscope_qc.ml.architectures.texture.describing import (
    PER_DISTANCE,
    binary_patterns,
    cooccurrence,
)
from microscope_qc.ml.architectures.texture.settings import CooccurrenceSettings, PatternSettings, TextureSettings

_NEVER = 1e300
"""A value above everything: finite, as damaged weights are not."""
_ABSENT = -30.0
"""Score of a class of which there was no example."""
S = TypeVar("S", bound=TextureSettings)


class TextureClassifier(nn.Module, ABC, Generic[S]):
    """Scores (n, outputs) of windows from numbers that describe their textures (n, k).

    Attributes
    ----------
    settings
        Those that its state fits.
    outputs
        Number of classes, including "none of them".
    """

    def __init__(self, settings: S, *, outputs: int) -> None:
        super().__init__()
        self.settings, self.outputs = settings, outputs

    @abstractmethod
    def describe(self, grey: np.ndarray) -> Floats:
        """Numbers (k,) that describe a grey picture, uint8 (h, w)."""

    @abstractmethod
    def learn(self, described: Floats, labels: Ints, weights: Floats, *, seed: int) -> None:
        """Fit the classifier to examples (n, k) of at least two classes, each with its weight (n,)."""


class SupportVectors(TextureClassifier[CooccurrenceSettings]):
    """A support vector machine for each class against the others, with radial kernels."""

    def __init__(self, settings: CooccurrenceSettings, *, outputs: int) -> None:
        super().__init__(settings, outputs=outputs)
        inputs, vectors = PER_DISTANCE * len(settings.distances), settings.vectors
        for name, shape in {
            "mean": (inputs,), "spread": (inputs,), "vectors": (vectors, inputs), "shares": (outputs, vectors),
            "offsets": (outputs,), "width": (),
        }.items():  # fmt: skip
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))

    mean: Tensor
    spread: Tensor
    vectors: Tensor
    shares: Tensor
    offsets: Tensor
    width: Tensor

    def describe(self, grey: np.ndarray) -> Floats:
        """See :func:`cooccurrence`."""
        return cooccurrence(grey, levels=self.settings.levels, distances=self.settings.distances)

    def learn(self, described: Floats, labels: Ints, weights: Floats, *, seed: int) -> None:
        """See :class:`TextureClassifier`."""
        from sklearn.svm import SVC

        mean, spread = described.mean(axis=0), np.maximum(described.std(axis=0), 1e-12)
        scaled = (described - mean) / spread
        width = 1.0 / max(scaled.shape[1] * float(scaled.var()), 1e-12)
        shares, offsets = np.zeros((self.outputs, len(scaled))), np.full(self.outputs, _ABSENT)
        for label in np.unique(labels).tolist():
            machine = SVC(C=self.settings.penalty, gamma=width)
            machine.fit(scaled, labels == label, sample_weight=weights)
            shares[label, machine.support_] = machine.dual_coef_[0]
            offsets[label] = machine.intercept_[0]
        used = np.flatnonzero(shares.any(axis=0))
        for name, values in {
            "mean": mean, "spread": spread, "vectors": scaled[used], "shares": shares[:, used], "offsets": offsets,
            "width": np.array(width),
        }.items():  # fmt: skip
            setattr(self, name, torch.tensor(values, dtype=torch.float64, device=self.mean.device))
        self.settings = self.settings.model_copy(update={"vectors": len(used)})

    def forward(self, described: Tensor) -> Tensor:
        """Distance to the border of each class, (n, outputs)."""
        scaled = (described.double() - self.mean) / self.spread
        alike = torch.exp(-self.width * torch.cdist(scaled, self.vectors).square())
        return alike @ self.shares.T + self.offsets


class BoostedTrees(TextureClassifier[PatternSettings]):
    """Trees for each class, each of which corrects what those before it say.

    Tree nodes are numbered as in a heap: node ``i`` divides into ``2 i + 1`` and ``2 i + 2``. What is not divided goes
    on to the left without a change.
    """

    def __init__(self, settings: PatternSettings, *, outputs: int) -> None:
        super().__init__(settings, outputs=outputs)
        inner, leaves = 2**settings.depth - 1, 2**settings.depth
        trees = (settings.stages, outputs)
        self.register_buffer("asks", torch.zeros((*trees, inner), dtype=torch.int64))
        self.register_buffer("limits", torch.full((*trees, inner), _NEVER, dtype=torch.float64))
        self.register_buffer("says", torch.zeros((*trees, leaves), dtype=torch.float64))
        self.register_buffer("first", torch.full((outputs,), _ABSENT, dtype=torch.float64))

    asks: Tensor
    limits: Tensor
    says: Tensor
    first: Tensor

    def describe(self, grey: np.ndarray) -> Floats:
        """See :func:`binary_patterns`."""
        return binary_patterns(grey, radii=self.settings.radii)

    def learn(self, described: Floats, labels: Ints, weights: Floats, *, seed: int) -> None:
        """See :class:`TextureClassifier`."""
        from sklearn.ensemble import GradientBoostingClassifier

        settings = self.settings
        model = GradientBoostingClassifier(
            learning_rate=settings.pace, n_estimators=settings.stages, max_depth=settings.depth, random_state=seed,
            subsample=0.8,
        )  # fmt: skip
        examples = described.astype(np.float32)
        model.fit(examples, labels, sample_weight=weights)
        for state, blank in ((self.asks, 0), (self.limits, _NEVER), (self.says, 0.0), (self.first, _ABSENT)):
            state.fill_(blank)
        # of two classes there are trees for the second one only: the first then scores 0
        own = model.classes_.tolist() if len(model.classes_) > 2 else model.classes_[1:].tolist()
        said = np.asarray(model.decision_function(examples)).reshape(len(examples), len(own))
        for stage, trees in enumerate(model.estimators_):
            for place, label in enumerate(own):
                self._take(stage, label, trees[place].tree_)
                said[:, place] -= settings.pace * trees[place].predict(examples)
        self.first[model.classes_.tolist()] = 0.0
        self.first[own] = torch.tensor(said.mean(axis=0), dtype=torch.float64, device=self.first.device)

    def _take(self, stage: int, label: int, tree: Any) -> None:
        """Copy a tree of scikit-learn."""
        inner = 2**self.settings.depth - 1
        waiting = [(0, 0)]
        while waiting:
            place, node = waiting.pop()
            leaf = tree.children_left[node] < 0
            if place >= inner:
                self.says[stage, label, place - inner] = self.settings.pace * float(tree.value[node, 0, 0])
                continue
            if not leaf:
                self.asks[stage, label, place] = int(tree.feature[node])
                self.limits[stage, label, place] = float(tree.threshold[node])
                waiting.append((2 * place + 2, int(tree.children_right[node])))
            waiting.append((2 * place + 1, node if leaf else int(tree.children_left[node])))

    def forward(self, described: Tensor) -> Tensor:
        """Logarithm of how likely each class is, up to what all have in common, (n, outputs)."""
        values = described.float().double()  # as the trees were fitted
        stages, outputs = self.settings.stages, self.outputs
        node = torch.zeros((len(values), stages, outputs), dtype=torch.int64, device=values.device)
        for _ in range(self.settings.depth):
            asks = self.asks.expand(len(values), -1, -1, -1).gather(3, node[..., None])[..., 0]
            limits = self.limits.expand(len(values), -1, -1, -1).gather(3, node[..., None])[..., 0]
            known = asks.clamp(0, values.shape[1] - 1)  # a damaged file asks for anything
            seen = values.gather(1, known.flatten(1)).view_as(limits)
            node = 2 * node + 1 + (seen > limits).long()
        leaf = node - (2**self.settings.depth - 1)
        said = self.says.expand(len(values), -1, -1, -1).gather(3, leaf[..., None])[..., 0]
        return said.sum(dim=1) + self.first
