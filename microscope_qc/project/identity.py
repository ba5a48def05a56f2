"""Which slides are the same: those with the same content, or as far as that is not known with the same fingerprint."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Generic, Protocol, TypeVar


class Identifiable(Protocol):
    """What is stored about a scene of a slide, or was read from its file."""

    @property
    def path(self) -> Path:
        """The slide's file or folder."""

    @property
    def scene(self) -> str | None:
        """Name of the scene, None in a file with one only."""

    @property
    def fingerprint(self) -> str:
        """Digest of 64 sampled blocks of pixels, a first look."""

    @property
    def content(self) -> str:
        """Digest of the whole file, "" until it was read."""

    @property
    def orientation(self) -> int:
        """How its stored pixels are turned."""


S = TypeVar("S", bound=Identifiable)


def are_same(first: Identifiable, second: Identifiable) -> bool:
    """Whether two are the same slide.

    Contents say so where both are known and of one format. The converted copy of a slide holds other bytes but the
    same pixels: across formats the fingerprints decide.
    """
    return first.scene == second.scene and hold_the_same(first, second)


def hold_the_same(first: Identifiable, second: Identifiable) -> bool:
    """As :func:`are_same`, whatever their scenes are called: a converted scene is alone in its file."""
    if first.content and second.content and format_of(first.path) == format_of(second.path):
        return first.content == second.content
    return first.fingerprint == second.fingerprint


def same_file(first: Identifiable, second: Identifiable) -> bool:
    """Whether two are known to lie in files of one content."""
    return bool(first.content) and first.content == second.content and format_of(first.path) == format_of(second.path)


def orientation_at(known: Identifiable, facts: Identifiable) -> int:
    """How a known slide is turned once it is read from another file that holds the same.

    From a copy of its file it is turned as before, so that its boxes stay where they are, and from another file, such
    as its converted copy, as that file's fingerprint was taken.
    """
    return known.orientation if same_file(known, facts) else facts.orientation


def format_of(path: Path) -> str:
    """What the name of a slide ends in, in small letters."""
    return path.suffix.lower()


class KnownSlides(Generic[S]):
    """Finds the slide that is the same as another among any number of them, without comparing it with each."""

    def __init__(self, slides: Iterable[S] = ()) -> None:
        self._by_content: dict[tuple[str, str, str | None], S] = {}
        # by fingerprint and scene, then by format and whether the content is known
        self._by_fingerprint: dict[tuple[str, str | None], dict[tuple[str, bool], S]] = {}
        self._by_place: dict[tuple[Path, str | None], S] = {}
        for slide in slides:
            self.add(slide)

    def add(self, slide: S) -> None:
        """Know a slide; of several that are the same the first one is found."""
        kind, known = format_of(slide.path), bool(slide.content)
        if known:
            self._by_content.setdefault((kind, slide.content, slide.scene), slide)
        self._by_fingerprint.setdefault((slide.fingerprint, slide.scene), {}).setdefault((kind, known), slide)
        self._by_place.setdefault((slide.path, slide.scene), slide)

    def learn(self, slide: S, better: S) -> None:
        """Replace a known slide by the same one with its content."""
        alike, unknown = self._alike(slide), (format_of(slide.path), False)
        if alike.get(unknown) is slide:
            del alike[unknown]
        place = slide.path, slide.scene
        if self._by_place.get(place) is slide:
            self._by_place[place] = better
        self.add(better)

    def at(self, slide: Identifiable) -> S | None:
        """Return the known slide that lies where this one does."""
        return self._by_place.get((slide.path, slide.scene))

    def like(self, slide: Identifiable) -> S | None:
        """Return the known slide that is the same (see :func:`are_same`)."""
        kind = format_of(slide.path)
        if slide.content and (found := self._by_content.get((kind, slide.content, slide.scene))) is not None:
            return found
        for (other_kind, known), other in self._alike(slide).items():
            if not (slide.content and known and other_kind == kind):
                return other
        return None

    def in_doubt(self, slide: Identifiable) -> S | None:
        """Return a known slide of the same format and fingerprint where a content is missing that would decide."""
        kind = format_of(slide.path)
        for (other_kind, known), other in self._alike(slide).items():
            if other_kind == kind and not (slide.content and known):
                return other
        return None

    def _alike(self, slide: Identifiable) -> dict[tuple[str, bool], S]:
        return self._by_fingerprint.get((slide.fingerprint, slide.scene), {})
