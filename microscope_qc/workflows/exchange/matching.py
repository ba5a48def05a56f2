"""Which slide a picture of an annotation file is.

A file names its pictures; a slide has the path of its file. They are the same where the names agree, and of several
that do, where most of the folders before the name agree too. What fits twice is left to the user.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from microscope_qc.core.errors import InputError
from microscope_qc.core.orientation import AS_STORED, orientation_words, upright_boxes, upright_outline
from microscope_qc.exchange.document import Box, Document, ImageEntry
from microscope_qc.exchange.pictures import (
    ANY_PICTURE,
    file_name_of,
    picture_path,
    sizes_by_ending,
    without_suffix,
    without_upload,
)
from microscope_qc.project import Project
from microscope_qc.project.records import SlideRecord
from microscope_qc.project.scenes import slide_stem

PictureMap = Mapping[str, str | None]
_EXACT, _STEM, _UPLOAD = 3, 2, 1


@dataclass(slots=True)
class Matched:
    """Which slide each picture is.

    ``slides`` holds pairs of picture and slide, ``unmatched`` the reason for each path that is no slide, ``asked`` the
    names of the slides that a path may be: several, or one that several pictures may be. ``noted`` counts boxes that
    were turned with their picture, or may have to be, ``unclear_turn`` those of which nothing in the file tells.
    """

    slides: list[tuple[ImageEntry, SlideRecord]] = field(default_factory=list)
    unmatched: dict[str, str] = field(default_factory=dict)
    asked: dict[str, tuple[str, ...]] = field(default_factory=dict)
    noted: Counter[str] = field(default_factory=Counter)
    unclear_turn: int = 0


@dataclass(frozen=True, slots=True)
class _Fit:
    """How well a picture and a slide agree: the kind of name that they share, and parts of the path from its end."""

    record: SlideRecord
    name: int
    parts: int
    same_case: int

    def beats(self, other: _Fit) -> bool:
        """Whether it agrees in everything at least as well, and in something better."""
        mine, others = (self.name, self.parts), (other.name, other.parts)
        if mine == others:
            return self.same_case > other.same_case
        return self.name >= other.name and self.parts >= other.parts


class _Names:
    """The slides by everything that their pictures may be called."""

    def __init__(self, slides: Iterable[SlideRecord]) -> None:
        self._by_name: dict[str, list[tuple[SlideRecord, tuple[str, ...], int, bool]]] = defaultdict(list)
        for record in slides:
            for address, kind, whole in _addresses(record):
                parts = tuple(address.split("/"))
                self._by_name[parts[-1].casefold()].append((record, parts, kind, whole))

    def fitting(self, image: ImageEntry) -> list[_Fit]:
        """The best ones, one for each slide; several where none is better than all others."""
        stem = without_suffix(image.name)
        before = image.path.split("/")[:-1]
        best: dict[int, _Fit] = {}
        whole_name = _STEM if image.name == stem else _EXACT  # without a suffix it may be a slide's name or a file's
        for name, most in ((image.name, whole_name), (stem, _STEM), (without_upload(stem), _UPLOAD)):
            for record, parts, kind, whole in self._by_name.get(name.casefold(), ()):
                shared, same_case = _shared([*before, name], parts)
                if whole and shared < len(parts):
                    continue
                fit = _Fit(record, min(most, kind), shared, same_case)
                known = best.get(record.id)
                if known is None or fit.beats(known):
                    best[record.id] = fit
        return [fit for fit in best.values() if not any(other.beats(fit) for other in best.values())]


def picture_address(record: SlideRecord) -> str:
    """Path that means this slide: of its file, or in its folder the name of the file and the scene."""
    place = picture_path(record.path.as_posix())
    if record.scene is None:
        return place
    return picture_path(f"{place.rpartition('/')[0]}/{slide_stem(record.path)} {record.scene}")


def _addresses(record: SlideRecord) -> Iterable[tuple[str, int, bool]]:
    """Paths that mean a slide, the best kind of agreement they can give, and whether all of it must agree."""
    place = picture_path(record.path.as_posix())
    folder = place.rpartition("/")[0]
    name = picture_path(record.name)
    yield name, _EXACT, True
    yield file_name_of(record.name), _STEM, True
    yield picture_address(record), _EXACT, False
    if record.scene is not None:
        yield place, _STEM, False
    for stem in dict.fromkeys((slide_stem(record.path), record.path.stem, file_name_of(record.path.name))):
        yield picture_path(f"{folder}/{stem}"), _STEM, False


def _shared(mine: Sequence[str], others: Sequence[str]) -> tuple[int, int]:
    """Parts that agree from the end, and how many of them in small and capital letters too."""
    count = same = 0
    for a, b in zip(reversed(mine), reversed(others), strict=False):
        if a.casefold() != b.casefold():
            break
        count, same = count + 1, same + (a == b)
    return count, same


def slide_sizes(project: Project, slide: str | None = None) -> dict[str, tuple[int, int]]:
    """Height and width in px by every path and name that a label file may have for a slide.

    With the name of one slide, any picture has its size: a user says that the file is about it.
    """
    slides = project.slides if slide is None else [project.slides.named(slide)]
    sizes = sizes_by_ending((address, record.shape_px) for record in slides for address, _, _ in _addresses(record))
    return sizes if slide is None else {**sizes, ANY_PICTURE: slides[0].shape_px}


def match_pictures(
    document: Document,
    slides: Sequence[SlideRecord],
    chosen: SlideRecord | None = None,
    picture_map: PictureMap | None = None,
    *,
    as_stored: bool = False,
) -> Matched:
    """Find the slide of every picture.

    Parameters
    ----------
    chosen
        The slide that a user named for the file: a picture that the file does not name, or that has another name than
        all slides, belongs to it where it is the only one with boxes.
    picture_map
        Path of a picture -> name of its slide, None to leave it out, as a user decided.
    as_stored
        Boxes were marked on pictures as they are stored, where their stated size does not tell and the slide is turned.

    Raises
    ------
    InputError
        When ``picture_map`` names a picture or slide that does not exist.
    """
    result = Matched()
    decided = _decided(document, slides, picture_map or {})
    names = _Names(slides)
    filled = [image for image in document.images if image.boxes]
    fits: dict[str, list[_Fit]] = {}
    for image in document.images:
        if image.path in decided:
            record = decided[image.path]
            if record is None:
                result.unmatched[image.path] = "left out"
            else:
                _put(image, record, result, as_stored)
            continue
        fitting = _of_its_size(image, names.fitting(image))
        if not fitting and filled == [image] and (chosen or (len(slides) == 1 and not image.named)):
            fitting = [_Fit(chosen or slides[0], _EXACT, 1, 1)]
        if chosen and fitting:
            elsewhere = fitting[0].record.name
            fitting = [fit for fit in fitting if fit.record.id == chosen.id]
            if not fitting:
                result.unmatched[image.path] = f"is the slide {elsewhere}, not {chosen.name}"
                continue
        fits[image.path] = fitting
    _settle(document, fits, result, as_stored)
    return result


def _decided(
    document: Document, slides: Sequence[SlideRecord], picture_map: PictureMap
) -> dict[str, SlideRecord | None]:
    by_name = {record.name: record for record in slides}
    known = {image.path for image in document.images}
    decided: dict[str, SlideRecord | None] = {}
    for path, name in picture_map.items():
        if path not in known:
            raise InputError(f"The file has no picture {path}.", hint=f"It has {', '.join(sorted(known)[:8])}.")
        if name is not None and name not in by_name:
            raise InputError(f"There is no slide {name}.", hint=f"The slides are {', '.join(list(by_name)[:8])}.")
        decided[path] = None if name is None else by_name[name]
    return decided


def _of_its_size(image: ImageEntry, fits: list[_Fit]) -> list[_Fit]:
    """Of several slides those that have the picture's size, if there are any."""
    same = [fit for fit in fits if image.shape_px in (fit.record.shape_px, fit.record.stored_shape_px)]
    return same if len(fits) > 1 and same else fits


def _settle(document: Document, fits: dict[str, list[_Fit]], result: Matched, as_stored: bool) -> None:
    """Give every picture its slide; where two fit, or two pictures fit one slide, the user must say."""
    claims: dict[int, list[tuple[str, _Fit]]] = defaultdict(list)
    for image in document.images:
        if image.boxes:
            for fit in fits.get(image.path, ()):
                claims[fit.record.id].append((image.path, fit))
    for image in document.images:
        if image.path not in fits:
            continue
        if not fits[image.path]:
            result.unmatched[image.path] = "no slide of this name"
            continue
        mine = fits[image.path][0]
        rivals = [(path, fit) for path, fit in claims[mine.record.id] if path != image.path and not mine.beats(fit)]
        if len(fits[image.path]) == 1 and any(fit.beats(mine) and len(fits[path]) == 1 for path, fit in rivals):
            result.unmatched[image.path] = f"another picture of the file fits the slide {mine.record.name} better"
        elif len(fits[image.path]) == 1 and not rivals:
            _put(image, mine.record, result, as_stored)
        elif image.boxes:
            result.asked[image.path] = tuple(fit.record.name for fit in fits[image.path])


def _put(image: ImageEntry, record: SlideRecord, result: Matched, as_stored: bool) -> None:
    """Boxes are where the picture is seen upright; other programs mark some pictures as they are stored."""
    if image.shape_px not in (None, record.shape_px, record.stored_shape_px):
        (ih, iw), (h, w) = image.shape_px or (0, 0), record.shape_px
        result.unmatched[image.path] = f"is {iw} x {ih} px, but the slide {record.name} is {w} x {h} px"
        return
    if record.orientation != AS_STORED and image.boxes:
        sizes_differ = record.stored_shape_px != record.shape_px
        clear = sizes_differ and image.shape_px is not None and image.size_stated
        result.unclear_turn += 0 if clear else len(image.boxes)
        if image.shape_px == record.stored_shape_px if clear else as_stored:
            image = replace(image, boxes=_upright_boxes(image, record), shape_px=record.shape_px)
            note = f"marked on the picture of {record.name} as it is stored: {_turned(record)} with it"
            result.noted[note] += len(image.boxes)
        elif not clear:
            note = f"taken as marked on {record.name} as it is shown; the stored picture is {_turned(record)}"
            result.noted[f"{note}, and nothing in the file tells: look whether they lie on their defects"] += len(
                image.boxes
            )
    result.slides.append((image, record))


def _turned(record: SlideRecord) -> str:
    return orientation_words(record.orientation)


def _upright_boxes(image: ImageEntry, record: SlideRecord) -> list[Box]:
    """Boxes of the stored picture in the upright one."""
    stored, (height, width) = record.stored_shape_px, record.shape_px
    # shares of a picture were taken of the upright one, as no other size was known
    down, along = (1.0, 1.0) if image.size_stated else (stored[0] / height, stored[1] / width)
    sides = np.array([(box.y0, box.x0, box.y1, box.x1) for box in image.boxes], float) * (down, along, down, along)
    turned = upright_boxes(sides, record.orientation, stored_shape_px=stored).tolist()
    outlines = [box.outline and box.outline.scaled(down, along) for box in image.boxes]
    return [
        replace(
            box, y0=y0, x0=x0, y1=y1, x1=x1,
            outline=outline and upright_outline(outline, record.orientation, stored_shape_px=stored),
        )
        for box, (y0, x0, y1, x1), outline in zip(image.boxes, turned, outlines, strict=True)
    ]  # fmt: skip
