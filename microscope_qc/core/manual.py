"""The manual: pages of Markdown that come with the program, their order, and the search in them.

The pages lie in ``resources/manual``. ``index.md`` lists them: what it does not link to is in no table of contents.
Links in them are relative paths of other pages, with ``#heading`` where a place on a page is meant, and
``action:ID`` for something that can be done in the window.
"""

from __future__ import annotations

import difflib
import math
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from microscope_qc.core.errors import InputError
from microscope_qc.core.resources import resource

FOLDER = "manual"
INDEX = "index"
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
ACTION = "action:"

_HEADING = re.compile(r"^(#{1,6}) +(.+?) *$", re.MULTILINE)
_WORD = re.compile(r"\w+")
_WEIGHTS = {"title": 8.0, "heading": 4.0, "text": 1.0}
"""How much a word says about a section by where it stands."""
_PREFIX = 0.6
"""What the beginning of a word counts of the whole."""
_AROUND = 70


@dataclass(frozen=True, slots=True)
class ManualSection:
    """What stands below one heading of a page; ``text`` is free of marks."""

    page: str
    heading: str
    text: str

    @property
    def anchor(self) -> str:
        """The heading as it stands in links."""
        return anchor_of(self.heading)


@dataclass(frozen=True, slots=True)
class ManualPage:
    """One page: its name (its path without ``.md``), title, Markdown, and what it is made of."""

    name: str
    title: str
    markdown: str
    sections: tuple[ManualSection, ...]

    def links(self) -> Iterator[tuple[str, str, bool]]:
        """Text and target of each link as they stand there, and whether it is a picture."""
        for mark, text, target in LINK.findall(self.markdown):
            yield text, target, bool(mark)


@dataclass(frozen=True, slots=True)
class ManualHit:
    """A section in which all words occur, with some of the text around the first of them."""

    page: str
    title: str
    heading: str
    anchor: str
    around: str


class Manual:
    """All pages by name.

    Parameters
    ----------
    texts
        Markdown by the name of a page; ``index`` must be among them.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        if INDEX not in texts:
            raise InputError("The manual has no table of contents.", hint="Install microscope-qc again.")
        self.pages = {name: _page(name, text) for name, text in texts.items()}

    @cached_property
    def contents(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Headings of the table of contents, and the names of the pages below each, in order."""
        found = []
        for title, body in _parts(self.pages[INDEX].markdown):
            names = [self.resolve(INDEX, target)[0] for mark, _, target in LINK.findall(body) if not mark]
            if names:
                found.append((title, tuple(dict.fromkeys(names))))
        return tuple(found)

    def resolve(self, page: str, target: str) -> tuple[str, str]:
        """Page and anchor that a link on a page means.

        Raises
        ------
        InputError
            When there is no such page.
        """
        path, _, anchor = target.partition("#")
        name = page
        if path:
            name = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)).removesuffix(".md")
        if name not in self.pages:
            raise InputError(
                f"The manual has no page {name}.", hint="Its table of contents lists those that there are."
            )
        return name, anchor

    def search(self, words: str, *, most: int = 50) -> list[ManualHit]:
        """Sections in which all words occur, best first; the beginning of a word is enough.

        A word that occurs nowhere is taken for the one that is written most like it.
        """
        wanted = [self._meant(word) for word in _words(words)]
        if not wanted:
            return []
        scores: list[dict[int, float]] = [self._scores(word) for word in wanted]
        common = set(scores[0]).intersection(*scores[1:])
        best = sorted(common, key=lambda number: (-sum(score[number] for score in scores), number))
        return [self._hit(self._sections[number], wanted) for number in best[:most]]

    def marked(self, words: str) -> list[str]:
        """The words of a search as they are to be marked on a page."""
        return [self._meant(word) for word in _words(words)]

    @cached_property
    def _sections(self) -> list[ManualSection]:
        order = [name for _, names in self.contents for name in names]
        names = [*order, *(name for name in self.pages if name not in order and name != INDEX)]
        return [section for name in names for section in self.pages[name].sections]

    @cached_property
    def _index(self) -> dict[str, dict[int, float]]:
        """By word: how much it says about which section."""
        found: dict[str, dict[int, float]] = defaultdict(dict)
        for number, section in enumerate(self._sections):
            first = section.heading == self.pages[section.page].title
            weights: dict[str, float] = defaultdict(float)
            for word in _words(section.heading):
                weights[word] += _WEIGHTS["title" if first else "heading"]
            for word, times in Counter(_words(section.text)).items():
                weights[word] += _WEIGHTS["text"] * (1 + math.log(times))
            for word, weight in weights.items():
                found[word][number] = weight
        return dict(found)

    def _meant(self, word: str) -> str:
        if any(known.startswith(word) for known in self._index):
            return word
        near = difflib.get_close_matches(word, self._index, n=1, cutoff=0.75)
        return near[0] if near else word

    def _scores(self, word: str) -> dict[int, float]:
        found: dict[int, float] = {}
        for known, weights in self._index.items():
            if known.startswith(word):
                # a word that stands in few sections says more about them
                share = (1.0 if known == word else _PREFIX) * math.log(1 + len(self._sections) / len(weights))
                for number, weight in weights.items():
                    found[number] = max(found.get(number, 0.0), share * weight)
        return found

    def _hit(self, section: ManualSection, words: list[str]) -> ManualHit:
        lowered = section.text.casefold()
        places = [found.start() for word in words if (found := re.search(rf"\b{re.escape(word)}", lowered))]
        at = min(places, default=0)
        begin = 0 if at < _AROUND else section.text.rfind(" ", 0, at - _AROUND // 2) + 1
        around = section.text[begin : begin + 2 * _AROUND].strip()
        around = f"{'… ' if begin else ''}{around}{' …' if begin + 2 * _AROUND < len(section.text) else ''}"
        return ManualHit(section.page, self.pages[section.page].title, section.heading, section.anchor, around)


@cache
def manual() -> Manual:
    """Read the manual of this installation.

    Raises
    ------
    InputError
        When it is missing from the installation.
    """
    folder = resource(FOLDER)
    texts = {
        path.relative_to(folder).with_suffix("").as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*.md"))
    }
    return Manual(texts)


def picture_of(page: str, target: str) -> Path:
    """File of a picture on a page; it need not exist, and lies within the manual."""
    folder = resource(FOLDER).resolve()
    path = folder.joinpath(posixpath.dirname(page), target).resolve()
    return path if path.is_relative_to(folder) else folder / Path(target).name


def anchor_of(heading: str) -> str:
    """A heading as it stands in links: in small letters, with hyphens between its words."""
    return re.sub(r"[^\w\- ]", "", _plain(heading).casefold()).replace(" ", "-")


def _page(name: str, text: str) -> ManualPage:
    parts = list(_parts(text))
    if not parts:
        raise InputError(f"The page {name} of the manual has no heading.", hint="Install microscope-qc again.")
    sections = tuple(ManualSection(name, _plain(title), _plain(body)) for title, body in parts)
    return ManualPage(name, sections[0].heading, text, sections)


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """Headings, and what stands between them; lines of code that begin with # are none."""
    hidden = re.sub(r"^```.*?^```", lambda code: re.sub(r"(?m)^#", " ", code[0]), text, flags=re.DOTALL | re.MULTILINE)
    found = list(_HEADING.finditer(hidden))
    ends = [*(heading.start() for heading in found[1:]), len(text)]
    for heading, end in zip(found, ends, strict=False):
        yield heading[2], text[heading.end() : end]


def _plain(markdown: str) -> str:
    """Text without the marks of Markdown."""
    text = LINK.sub(lambda link: "" if link[1] else link[2], markdown)
    text = re.sub(r"^```\w*$|^\|[-| :]+\|$", "", text, flags=re.MULTILINE)
    text = re.sub(r"[*`|]|^\s*(?:[-#>]|\d+\.)+ ", " ", text, flags=re.MULTILINE)
    return " ".join(text.split())


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.casefold()) if len(word) > 1 or word.isdigit()]
