"""From what a user asks for to the plane of a slide, and back to words."""

from __future__ import annotations

from dataclasses import dataclass

from microscope_qc.core.errors import InputError
from microscope_qc.core.wording import listed, things
from microscope_qc.slides.base import Mosaic
from microscope_qc.slides.display import DisplaySettings, visible_channels
from microscope_qc.slides.plane import WORDS, Plane, StackPlace


@dataclass(frozen=True, slots=True)
class PlaneChoice:
    """What a user asks for; everything is counted from 1, and None leaves the first.

    ``channels`` are names or numbers; none of them leaves those that are shown without a choice. On a slide whose
    pages have names (the colour pictures of a polariser, the detectors of a microscope) one of those names chooses
    the page.
    """

    channels: tuple[str, ...] = ()
    z: int | None = None
    t: int | None = None
    page: int | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing was asked for."""
        return self == PlaneChoice()

    def on(self, mosaic: Mosaic) -> Plane:
        """The plane of a slide.

        Raises
        ------
        InputError
            When the slide has no such channel or picture, with what it has.
        """
        place = StackPlace()
        sizes = {axis.key: axis for axis in mosaic.stack}
        for key in WORDS:
            number: int | None = getattr(self, key)
            if number is None:
                continue
            axis = sizes.get(key)
            word, size = (WORDS[key], 1) if axis is None else (axis.title, axis.size)
            if not 1 <= number <= size:
                raise InputError(
                    f"{mosaic.path.name} has {things(size, word)}; {word} {number} does not exist.",
                    hint="They are counted from 1.",
                )
            place = place.moved(key, number - 1)
        return self._with_channels(mosaic, place)

    def left_open(self, mosaic: Mosaic) -> tuple[str, ...]:
        """The axes of a slide's stack along which nothing was asked for."""
        channels, pages = _names(mosaic)
        named = any(
            _number_of(word, channels) is None and _number_of(word, pages) is not None for word in self.channels
        )
        return tuple(
            axis.key for axis in mosaic.stack if getattr(self, axis.key) is None and not (axis.key == "page" and named)
        )

    def _with_channels(self, mosaic: Mosaic, place: StackPlace) -> Plane:
        channels, pages = _names(mosaic)
        chosen: set[int] = set()
        for wanted in self.channels:
            found, page = _number_of(wanted, channels), _number_of(wanted, pages)
            if found is not None:
                chosen.add(found)
            elif page is None:
                has = ", ".join(f"{name} ({number})" for number, name in enumerate((channels or pages)[:20], 1))
                raise InputError(
                    f"{mosaic.path.name} has no channel called {wanted}.",
                    hint=f"It has: {has}." if has else "It has one picture in colour and no channels to choose from.",
                )
            elif self.page is not None or len(self.channels) > 1:
                raise InputError(f"{mosaic.path.name} can be read one picture at a time.", hint="Choose one of them.")
            else:
                place = place.moved("page", page)
        if not chosen:
            return Plane(place, default_plane(mosaic).channels)
        return _plane(mosaic, place, tuple(sorted(chosen)))


def _names(mosaic: Mosaic) -> tuple[list[str], list[str]]:
    """What channels can be called, and the pages that have names; a colour picture has no channels to choose from."""
    page = next((axis for axis in mosaic.stack if axis.key == "page"), None)
    return [] if mosaic.rgb else [channel.name for channel in mosaic.channels], [] if page is None else list(page.names)


def _number_of(wanted: str, names: list[str]) -> int | None:
    """Index of a name, with or without capitals, or of a number counted from 1."""
    plain = wanted.strip().casefold()
    for index, name in enumerate(names):
        if name.casefold() == plain:
            return index
    return int(plain) - 1 if plain.isdecimal() and 1 <= int(plain) <= len(names) else None


def shown_plane(mosaic: Mosaic, display: DisplaySettings) -> Plane:
    """The plane that display settings show; the default channels where none is visible."""
    visible = tuple(visible_channels(mosaic, display)) or mosaic.default_channels
    return _plane(mosaic, display.place.within(mosaic.stack), visible)


def default_plane(mosaic: Mosaic) -> Plane:
    """The plane that is read without a choice: the first picture, in the channels that are shown without one."""
    return shown_plane(mosaic, DisplaySettings())


def _plane(mosaic: Mosaic, place: StackPlace, channels: tuple[int, ...]) -> Plane:
    """A plane that names its channels, except where all of them are shown without a choice."""
    every = tuple(range(len(mosaic.channels)))
    return Plane(place, None if channels == every == mosaic.default_channels else channels)


def plane_words(mosaic: Mosaic, plane: Plane, *, only_chosen: bool = False) -> str:
    """What a plane shows: ``channel XPL, focus plane 3 of 12``; empty where a slide has only one picture.

    With ``only_chosen`` nothing is said of channels when all of them are shown.
    """
    words = []
    count = len(mosaic.channels)
    if count > 1 and not (only_chosen and plane.channels is None):
        chosen = mosaic.default_channels if plane.channels is None else plane.channels
        names = [mosaic.channels[index].name for index in chosen if index < count]
        if len(names) == 1:
            words.append(f"channel {names[0]}")
        elif len(names) == count:
            words.append(f"all {count} channels blended in their colours")
        else:
            words.append(f"channels {listed(names)} blended in their colours")
    place = plane.place.within(mosaic.stack)
    words += [axis.words(place.along(axis.key)) for axis in mosaic.stack]
    return ", ".join(words)
