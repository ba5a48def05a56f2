"""What must be known beside the rows of a slide to filter its findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from microscope_qc.core.composition import Amount
from microscope_qc.core.opinions import OpinionTable


@dataclass(frozen=True, slots=True)
class Known:
    """What a project has of the things that a search can name."""

    codes: tuple[str, ...] = ()
    slides: tuple[str, ...] = ()
    runs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class BoxFacts:
    """What a filter must know beside the rows of a slide.

    Attributes
    ----------
    pixel_size_um
        (y, x), None where it is not known.
    codes, names
        Short code and name of each class, by its id.
    attributes
        What is written in the attributes of a box, by its id; boxes without any are not in it.
    slide
        Name of the slide.
    known
        Gives what the project has of the things that a search can name. It is called only when one does.
    opinions
        What models say of the findings of the slide.
    compositions
        What EDX measured of findings, in both units, by their id; findings that were not measured are not in it.
    """

    pixel_size_um: tuple[float, float] | None = None
    codes: Mapping[int, str] = field(default_factory=dict)
    attributes: Mapping[int, str] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)
    slide: str = ""
    known: Callable[[], Known] = field(default=Known, compare=False, repr=False)
    opinions: OpinionTable = field(default_factory=OpinionTable, compare=False, repr=False)
    compositions: Mapping[int, Sequence[Amount]] = field(default_factory=dict, compare=False, repr=False)


NO_FACTS = BoxFacts()
