"""Networks, built from the settings that a model card carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from microscope_qc.core.errors import ModelError

if TYPE_CHECKING:
    from microscope_qc.ml.architectures.autoencoder import Autoencoder
    from microscope_qc.ml.architectures.ssd.network import SSD
    from microscope_qc.ml.architectures.window_classifier import WindowClassifier

DETECTORS = ("ssd", "ssd-tiny")
CLASSIFIERS = ("light", "resnet18", "resnet50", "vgg19")
AUTOENCODERS = ("autoencoder",)


def build_detector(architecture: str, settings: dict[str, Any], *, classes: int) -> SSD:
    """Make an untrained detector.

    Parameters
    ----------
    architecture : str
        One of :data:`DETECTORS`.
    settings : dict
        Fields of the network's settings that differ from its defaults.
    classes : int
        Number of classes, background not counted.

    Raises
    ------
    ModelError
        When the network or one of its settings is not known.
    """
    from microscope_qc.ml.architectures.ssd.network import SSD, SSDSettings

    if architecture not in DETECTORS:
        raise ModelError(
            f"There is no detection network named {architecture!r}.", hint=f"Choose one of: {', '.join(DETECTORS)}."
        )
    defaults = SSDSettings.tiny() if architecture == "ssd-tiny" else SSDSettings()
    try:
        chosen = defaults.updated(settings)
    except (TypeError, ValueError) as error:
        raise ModelError(f"The network settings do not fit {architecture}: {error}.") from error
    return SSD(chosen, classes=classes)


def build_classifier(architecture: str, settings: dict[str, Any], *, classes: int) -> WindowClassifier:
    """Make an untrained classifier of windows.

    Parameters
    ----------
    architecture : str
        One of :data:`CLASSIFIERS`.
    settings : dict
        Settings of the network that differ from its defaults ("widths" of "light").
    classes : int
        Number of classes; the network has one output more, for windows that show none of them.

    Raises
    ------
    ModelError
        When the network or one of its settings is not known.
    """
    from microscope_qc.ml.architectures.window_classifier import build

    if architecture not in CLASSIFIERS:
        raise ModelError(
            f"There is no classification network named {architecture!r}.",
            hint=f"Choose one of: {', '.join(CLASSIFIERS)}.",
        )
    return build(architecture, settings, outputs=classes + 1)


def build_autoencoder(architecture: str, settings: dict[str, Any]) -> Autoencoder:
    """Make an untrained autoencoder of windows.

    Parameters
    ----------
    architecture : str
        One of :data:`AUTOENCODERS`.
    settings : dict
        Settings of the network that differ from its defaults: "widths", the channels after each halving, and "slope",
        that of its rectifiers below zero.

    Raises
    ------
    ModelError
        When the network or one of its settings is not known.
    """
    from microscope_qc.ml.architectures.autoencoder import build

    if architecture not in AUTOENCODERS:
        raise ModelError(
            f"There is no anomaly network named {architecture!r}.", hint=f"Choose one of: {', '.join(AUTOENCODERS)}."
        )
    return build(architecture, settings)
