"""How particles are told from pores, and from each other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from microscope_qc.core.errors import InputError

Filter = Literal["gaussian", "median", "none"]
Threshold = Literal["otsu", "triangle", "multi-otsu", "sauvola"]


@dataclass(frozen=True, slots=True)
class ParticleSettings:
    """The classical way: filter, threshold, morphology, watershed of the distance to the pores.

    Attributes
    ----------
    filter, filter_size
        What smooths the grey values; standard deviation of the Gaussian, or radius of the median, in voxels.
    threshold, level
        How the grey value between pore and particle is found; ``level`` gives it instead.
    window
        Side of the neighbourhood of Sauvola's local threshold, in voxels.
    dark
        Whether particles are darker than pores.
    opening, closing
        Radius in voxels of what is cut off, and of what is closed; 0 leaves it out.
    fill_holes
        Whether pores that a particle encloses belong to it.
    split_depth
        Two parts are two particles when the neck between them is narrower than both by more than this radius, in
        voxels: the h of h-maxima.
    split_share
        The same as a share of the smaller radius, 0 to 1; the larger of the two limits counts.
    largest_radius
        In voxels; necks of still larger particles are not seen. None estimates it.
    smallest
        Particles of fewer voxels are left out.
    block
        Side of the blocks in voxels.
    """

    filter: Filter = "gaussian"
    filter_size: float = 1.0
    threshold: Threshold = "otsu"
    level: float | None = None
    window: int = 51
    dark: bool = False
    opening: int = 0
    closing: int = 0
    fill_holes: bool = True
    split_depth: float = 1.5
    split_share: float = 0.0
    largest_radius: int | None = None
    smallest: int = 64
    block: int = 256

    def check(self) -> None:
        """Raise an InputError where a number or a word is impossible."""
        if self.filter not in get_args(Filter) or self.threshold not in get_args(Threshold):
            raise InputError(
                f"There is no filter {self.filter} with the threshold {self.threshold}.",
                hint=f"Choose from {', '.join((*get_args(Filter), *get_args(Threshold)))}.",
            )
        ranges = {
            "size of the filter": (self.filter_size, 0, 20), "opening": (self.opening, 0, 50),
            "closing": (self.closing, 0, 50), "depth of a split": (self.split_depth, 0, 1000),
            "share of a split": (self.split_share, 0, 1), "window": (self.window, 3, 501),
            "smallest particle": (self.smallest, 1, 1e12), "side of a block": (self.block, 64, 1024),
            "largest radius": (self.largest_radius or 8, 2, 512),
        }  # fmt: skip
        for name, (value, low, high) in ranges.items():
            if not low <= value <= high:
                raise InputError(f"The {name} cannot be {value:g}.", hint=f"Give {low:g} to {high:g}.")
        if self.block % 64:
            raise InputError(f"The side of a block cannot be {self.block}.", hint="Give a multiple of 64.")

    @property
    def margin(self) -> int:
        """Voxels beyond a block on which its mask depends, beside the distance."""
        smoothing = math.ceil(4 * self.filter_size) if self.filter != "none" else 0
        local = self.window // 2 if self.threshold == "sauvola" and self.level is None else 0
        return smoothing + local + 2 * (self.opening + self.closing)
