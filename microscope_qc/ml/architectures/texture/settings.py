"""Settings of the classifiers of textures. No torch in here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from microscope_qc.ml.architectures.base import NetworkSettings

Distance = Annotated[int, Field(gt=0, le=64)]


class TextureSettings(NetworkSettings):
    """What all of them have: ``examples`` is how many windows are learned from at most."""

    examples: int = Field(default=4000, ge=2, le=100_000)


class CooccurrenceSettings(TextureSettings):
    """Grey levels that occur beside each other, and a support vector machine.

    Attributes
    ----------
    levels
        Grey levels that are told apart.
    distances
        Between the pixels of a pair.
    penalty
        Of what lies on the wrong side: the larger, the closer the machine follows its examples.
    vectors
        Support vectors; a training sets it.
    """

    levels: int = Field(default=32, ge=2, le=256)
    distances: tuple[Distance, ...] = Field(default=(1, 2, 4), min_length=1, max_length=8)
    penalty: float = Field(default=10.0, gt=0, le=1e9)
    vectors: int = Field(default=0, ge=0, le=100_000)


class PatternSettings(TextureSettings):
    """Local binary patterns at several radii, and boosted trees.

    Attributes
    ----------
    radii
        Of the circles; each has eight points per pixel of its radius.
    stages, depth
        Trees for each class, one after another, and how often each divides.
    pace
        Share of what each tree says that is added.
    """

    radii: tuple[Annotated[int, Field(gt=0, le=16)], ...] = Field(default=(1, 2, 3), min_length=1, max_length=8)
    stages: int = Field(default=100, gt=0, le=5000)
    depth: int = Field(default=3, gt=0, le=8)
    pace: float = Field(default=0.1, gt=0, le=1)
