"""A network that can be trained. Lists show it, so that torch is imported only when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from microscope_qc.ml.architectures.base import NetworkSettings
from microscope_qc.ml.architectures.window_classifier.architecture import WindowArchitecture

if TYPE_CHECKING:
    from microscope_qc.ml.architectures.window_classifier.network import WindowClassifier


class Settings(NetworkSettings):
    """What can be set with ``train --network-setting NAME=VALUE``; kept in the card of a model."""

    widths: tuple[Annotated[int, Field(gt=0, le=1024)], ...] = Field(default=(16, 32, 64), min_length=1, max_length=6)


class Network(WindowArchitecture[Settings]):
    """A classifier of windows: it inherits its training, its measuring and how it is slid over slides."""

    name, title, settings = "template-net", "Separable convolutions (template)", Settings

    def stride_px(self, settings: Settings) -> int:
        """How many pixels lie between two places that it tells apart."""
        return 1 << len(settings.widths)

    def build(self, settings: Settings, classes: int) -> WindowClassifier:
        """One output more than there are classes, for windows that show none of them."""
        from microscope_qc_template.network import build

        return build(settings.widths, outputs=classes + 1)

    def begin(self, network: WindowClassifier, settings: Settings) -> str:
        """Give it the weights it starts from, and say which; "" where these are random."""
        return ""


NETWORK = Network()
