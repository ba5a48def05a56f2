"""Reads the pictures of a report: each slide is opened once, and only where a picture of it is shown."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from microscope_qc.analysis.ranking import size_um
from microscope_qc.core.arrays import Rows
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import NO_CLASS, metric_text, place_text, size_text
from microscope_qc.project.records import SlideRecord
from microscope_qc.reports.contact_sheet import draw_numbered
from microscope_qc.reports.crops import bounded_jpeg, crop, decoded, jpeg
from microscope_qc.reports.document import Finding, as_uri
from microscope_qc.slides import Mosaic
from microscope_qc.workflows.left_out import LeftOut
from microscope_qc.workflows.scenes import open_scene

MAP_PX, SMALL_PX = 1440, 112
"""Longer side of a slide's picture under its map, and in a line of the table of many slides."""
MOST_BYTES = 350_000
"""A picture of a slide, or a contact sheet, takes no more."""
MOST_SMALL = 500
"""Slides with a small picture in the table."""
CELL_PX, PER_SHEET = 124, 80
_FINE = 92
"""Quality of cells, which are coded once more with their sheet."""


@dataclass(frozen=True, slots=True, eq=False)
class PlaceInReport:
    """A finding and its slide."""

    slide_id: int
    row: np.void

    @property
    def number(self) -> int:
        """Of the finding."""
        return int(self.row["id"])


@dataclass(frozen=True, slots=True)
class SlidePictures:
    """JPEGs of a whole slide, b"" without one."""

    map: bytes = b""
    thumbnail: bytes = b""


def worst_of_class(
    records: Sequence[SlideRecord], rows_of: Mapping[int, Rows], class_id: int, most: int
) -> tuple[list[PlaceInReport], int]:
    """Return the worst findings of a class over all slides, by size and then by confidence, and how many there are."""
    sizes: list[np.ndarray] = [np.zeros(0)]
    confidences: list[np.ndarray] = [np.zeros(0)]
    slides, places = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for record in records:
        rows = rows_of[record.id]
        mine = np.flatnonzero(rows["class_id"] == class_id)
        sizes.append(size_um(rows[mine], record.pixel_size_um or (1.0, 1.0)))
        confidences.append(np.nan_to_num(rows["confidence"][mine].astype(float), nan=1.0))  # a user was sure
        slides.append(np.full(len(mine), record.id))
        places.append(mine)
    order = np.lexsort((-np.concatenate(confidences), -np.concatenate(sizes)))
    slide, place = np.concatenate(slides), np.concatenate(places)
    worst = order[:most].tolist()
    return [PlaceInReport(int(slide[n]), rows_of[int(slide[n])][place[n]]) for n in worst], len(order)


class Pictures:
    """Pictures of findings and of slides.

    Parameters
    ----------
    large, small
        Findings with a picture of their own, and on contact sheets.
    maps
        Ids of slides whose picture stands under a map.
    """

    def __init__(
        self,
        classes: Sequence[DefectClass],
        large: Sequence[PlaceInReport],
        small: Sequence[PlaceInReport],
        *,
        maps: Collection[int],
    ) -> None:
        self._classes = {cls.id: cls for cls in classes}
        self._maps = maps
        self._large, self._small = _by_slide(large), _by_slide(small)
        self._of = len({place.number for place in large}) + len({place.number for place in small})
        self._done = 0
        self._findings: dict[int, Finding] = {}
        self._cells: dict[int, tuple[bytes, str]] = {}
        self.left_out: list[LeftOut] = []

    def read(self, record: SlideRecord, number: int, slides: int) -> Job[SlidePictures]:
        """Read all pictures of a slide, the ``number``-th of so many."""
        large, small = self._large.get(record.id, {}), self._small.get(record.id, {})
        for place in large.values():  # what cannot be read has no picture, and keeps its words
            self._findings[place.number] = self._finding(record, place.row, "")
        mapped, thumbnail = record.id in self._maps, slides > 1 and number < MOST_SMALL
        if not (large or small or mapped or thumbnail):
            return SlidePictures()
        total = self._of + slides
        try:
            with open_scene(record) as mosaic:
                taken = SlidePictures(
                    _whole(mosaic, MAP_PX) if mapped else b"", _whole(mosaic, SMALL_PX) if thumbnail else b""
                )
                for place in large.values():
                    yield Progress(self._done + number, total, "pictures", record.name)
                    um_per_px = record.pixel_size_um and record.pixel_size_um[1]
                    pixels = crop(mosaic, place.row, self._class(place.row).colour, um_per_px=um_per_px)
                    self._findings[place.number] = self._finding(record, place.row, as_uri(jpeg(pixels)))
                    self._done += 1
                for place in small.values():
                    yield Progress(self._done + number, total, "pictures", record.name)
                    pixels = crop(mosaic, place.row, self._class(place.row).colour, side_px=CELL_PX)
                    self._cells[place.number] = jpeg(pixels, quality=_FINE), _short(record, place.row)
                    self._done += 1
                return taken
        except MicroscopeQCError as error:
            told = MicroscopeQCError(f"No pictures of {record.name}: {error}")
            self.left_out.append(LeftOut(record.path, record.name, told))
            return SlidePictures()

    def finding(self, place: PlaceInReport) -> Finding:
        """Return a finding of :attr:`large` with its picture."""
        return self._findings[place.number]

    def sheets(self, places: Sequence[PlaceInReport]) -> tuple[list[str], int]:
        """Return contact sheets of findings that could be read (JPEG, data URI), and how many these are."""
        cells = [self._cells[place.number] for place in places if place.number in self._cells]
        sheets = []
        for start in range(0, len(cells), PER_SHEET):
            sheet = draw_numbered([(decoded(data), words) for data, words in cells[start : start + PER_SHEET]])
            sheets.append(as_uri(bounded_jpeg(sheet, MOST_BYTES)))
        return sheets, len(cells)

    def _class(self, row: np.void) -> DefectClass:
        return self._classes.get(int(row["class_id"]), NO_CLASS)

    def _finding(self, record: SlideRecord, row: np.void, picture: str) -> Finding:
        cls, confidence = self._class(row), float(row["confidence"])
        return Finding(
            defect_id=int(row["id"]), code=cls.code, name=cls.name, colour=cls.colour,
            size=size_text(row, record.pixel_size_um), confidence=None if np.isnan(confidence) else confidence,
            state=ReviewState(int(row["state"])).word, reason=str(row["reason"]), note=str(row["note"]),
            slide=record.name, picture=picture,
            position=place_text(
                float(row["y0"] + row["y1"]) / 2, float(row["x0"] + row["x1"]) / 2, record.pixel_size_um
            ),
        )  # fmt: skip


def _by_slide(places: Sequence[PlaceInReport]) -> dict[int, dict[int, PlaceInReport]]:
    """Places by slide and number, each once."""
    found: dict[int, dict[int, PlaceInReport]] = {}
    for place in places:
        found.setdefault(place.slide_id, {})[place.number] = place
    return found


def _short(record: SlideRecord, row: np.void) -> str:
    """``#12  14.2 µm``."""
    if record.pixel_size_um is None:
        return f"#{int(row['id'])}"
    return f"#{int(row['id'])}  {metric_text(float(size_um(np.array([row]), record.pixel_size_um)[0]))}"


def _whole(mosaic: Mosaic, longest_px: int) -> bytes:
    height, width = mosaic.shape
    factor = min(1.0, longest_px / max(height, width))
    shape = max(1, round(height * factor)), max(1, round(width * factor))
    return bounded_jpeg(mosaic.read_scaled(Region(0, 0, height, width), shape), MOST_BYTES)
