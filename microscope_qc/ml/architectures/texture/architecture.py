"""Classifiers of textures as architectures: what was used before networks, to compare with. No torch at import."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from microscope_qc.ml.architectures.base import Architecture
from microscope_qc.ml.architectures.texture.settings import CooccurrenceSettings, PatternSettings, TextureSettings
from microscope_qc.ml.cards import ModelCard

if TYPE_CHECKING:
    import torch
    from torch import nn

    from microscope_qc.ml.architectures.recipe import TrainSettings
    from microscope_qc.ml.architectures.texture.network import BoostedTrees, SupportVectors, TextureClassifier
    from microscope_qc.ml.architectures.texture.recipe import TextureRecipe
    from microscope_qc.ml.architectures.texture.task import TextureTask
    from microscope_qc.ml.datasets.records import Dataset

S = TypeVar("S", bound=TextureSettings)


class TextureArchitecture(Architecture[S]):
    """Numbers that describe the texture of a window, and a classifier of these."""

    task = "classify"
    turns_windows = False  # the pixels in between would be smoother, and with them the texture
    losses = ("cross-entropy", "weighted")  # it is fitted at once: what is hard is not known before
    defaults: Mapping[str, Any] = MappingProxyType({"crop_px": 256, "batch": 16, "epochs": 3})

    def stride_px(self, settings: S) -> int:
        """See :class:`Architecture`."""
        return 1

    @abstractmethod
    def build(self, settings: S, classes: int) -> TextureClassifier[S]:
        """One output more than there are classes, for windows that show none of them."""

    def task_of(
        self,
        card: ModelCard,
        network: nn.Module,
        *,
        device: torch.device,
        threshold: float,
        scale: tuple[float, float],
    ) -> TextureTask:
        """See :class:`Architecture`."""
        from microscope_qc.ml.architectures.texture.task import TextureTask

        return TextureTask(card, cast("TextureClassifier[Any]", network), device=device, threshold=threshold)

    def recipe(self, settings: TrainSettings, dataset: Dataset) -> TextureRecipe:
        """See :class:`Architecture`."""
        from microscope_qc.ml.architectures.texture.recipe import TextureRecipe

        return TextureRecipe(
            settings, dataset, network=self.checked(settings.network_settings), turns=self.turns_windows
        )


class CooccurrenceArchitecture(TextureArchitecture[CooccurrenceSettings]):
    """Grey-level co-occurrence and a support vector machine."""

    name, title = "glcm-svm", "Grey-level co-occurrence and a support vector machine"
    settings = CooccurrenceSettings

    def build(self, settings: CooccurrenceSettings, classes: int) -> SupportVectors:
        """See :class:`TextureArchitecture`."""
        from microscope_qc.ml.architectures.texture.network import SupportVectors

        return SupportVectors(settings, outputs=classes + 1)


class PatternArchitecture(TextureArchitecture[PatternSettings]):
    """Multiresolution local binary patterns and gradient boosting."""

    name, title = "lbp-boosting", "Local binary patterns and gradient boosting"
    settings = PatternSettings

    def build(self, settings: PatternSettings, classes: int) -> BoostedTrees:
        """See :class:`TextureArchitecture`."""
        from microscope_qc.ml.architectures.texture.network import BoostedTrees

        return BoostedTrees(settings, outputs=classes + 1)


GLCM_SVM = CooccurrenceArchitecture()
LBP_BOOSTING = PatternArchitecture()
