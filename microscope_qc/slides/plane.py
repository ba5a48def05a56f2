"""Which picture of a slide is meant: its focus plane, time point, page and channels.

A slide may hold many pictures of one size. Those that are shown one at a time form its stack: focus planes, time
points, and pages (of a plain TIFF, or whatever else a format lists: phases, angles, colour pictures of a polariser).
Channels are shown together, each in its colour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from microscope_qc.core.errors import InputError
from microscope_qc.core.wording import things

WORDS = {"z": "focus plane", "t": "time point", "page": "page"}
"""What the pictures along each axis of a stack are called."""
MOST_PLANES = 1_000_000
"""A stack of more pictures is a mistake in the file."""


@dataclass(frozen=True, slots=True)
class StackAxis:
    """One axis of a stack.

    Parameters
    ----------
    key
        "z", "t" or "page".
    size
        Number of pictures along it; at least two.
    word
        What one of them is called, for users.
    names
        Names of the pictures, where the file has them: one for each.
    """

    key: str
    size: int
    word: str = ""
    names: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What one of its pictures is called."""
        return self.word or WORDS[self.key]

    def words(self, index: int) -> str:
        """``focus plane 3 of 12``, or ``page 2 of 7 (BSE)``."""
        name = f" ({self.names[index]})" if index < len(self.names) and self.names[index] else ""
        return f"{self.title} {index + 1} of {self.size}{name}"


@dataclass(frozen=True, slots=True)
class StackPlace:
    """A place in a stack, each counted from 0; axes that a slide does not have stay at 0."""

    z: int = 0
    t: int = 0
    page: int = 0

    def along(self, key: str) -> int:
        """Index along an axis."""
        index: int = getattr(self, key)
        return index

    def moved(self, key: str, index: int) -> StackPlace:
        """The same place with another index along one axis."""
        return replace(self, **{key: index})

    def within(self, stack: Sequence[StackAxis]) -> StackPlace:
        """The nearest place that a stack has."""
        if self is FIRST or not stack:  # by far most slides; asked for every tile
            return FIRST
        sizes = {axis.key: axis.size for axis in stack}
        return StackPlace(**{f.name: min(max(0, self.along(f.name)), sizes.get(f.name, 1) - 1) for f in fields(self)})

    def to_dict(self) -> dict[str, int]:
        """As values that JSON can store, without zeros."""
        return {field.name: self.along(field.name) for field in fields(self) if self.along(field.name)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StackPlace:
        """A place from :meth:`to_dict`'s values; raises ValueError when they are not such values."""
        place = {field.name: values.get(field.name, 0) for field in fields(cls)}
        if not all(isinstance(index, int) and not isinstance(index, bool) and index >= 0 for index in place.values()):
            raise ValueError("a place in a stack is counted in whole numbers from 0")
        return cls(**place)


FIRST = StackPlace()


@dataclass(frozen=True, slots=True)
class Plane:
    """What of a slide is read.

    Parameters
    ----------
    place
        The picture of the stack.
    channels
        Indices of the channels, ascending; None for all of them.
    """

    place: StackPlace = FIRST
    channels: tuple[int, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As values that JSON can store; empty for what is read without a choice."""
        return self.place.to_dict() | ({} if self.channels is None else {"channels": list(self.channels)})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Plane:
        """A plane from :meth:`to_dict`'s values; raises ValueError when they are not such values."""
        channels = values.get("channels")
        if channels is not None:
            if not isinstance(channels, Sequence) or not channels:
                raise ValueError("the channels of a plane are a list")
            if not all(isinstance(i, int) and not isinstance(i, bool) and i >= 0 for i in channels):
                raise ValueError("channels are counted in whole numbers from 0")
            channels = tuple(sorted(set(channels)))
        return cls(StackPlace.from_dict(values), channels)


def planes_in(stack: Sequence[StackAxis]) -> int:
    """Number of pictures of a stack."""
    count = 1
    for axis in stack:
        count *= axis.size
    return count


def stack_words(stack: Sequence[StackAxis]) -> str:
    """``5 focus planes, 3 time points``."""
    return ", ".join(things(axis.size, axis.title) for axis in stack)


def check_place(name: str, stack: Sequence[StackAxis], place: StackPlace) -> None:
    """Reject a place that a stack does not have.

    Raises
    ------
    InputError
        Naming the slide ``name`` and what it has.
    """
    axes = {axis.key: axis for axis in stack}
    for field in fields(place):
        index, axis = place.along(field.name), axes.get(field.name)
        if not 0 <= index < (1 if axis is None else axis.size):
            word = WORDS[field.name] if axis is None else axis.title
            has = things(1 if axis is None else axis.size, word)
            raise InputError(f"{name} has {has}; {word} {index + 1} does not exist.")
