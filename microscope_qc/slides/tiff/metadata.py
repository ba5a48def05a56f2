"""What the metadata of a TIFF say about pixel size, channels and stage."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from microscope_qc.core.orientation import checked_orientation
from microscope_qc.slides.scale import (
    COARSEST_PRINT_UM,
    PRINT_UNITS,
    Statement,
    length_unit_um,
    plain_unit,
    settled,
    statement,
)
from microscope_qc.slides.sidecar import sidecar_statements
from microscope_qc.slides.tag_text import local_name, number, parsed_xml
from microscope_qc.slides.tiff.makers import makers_statements, zeiss_length_um

MOST_NAMED_PAGES = 64
LONGEST_NAME = 60
OME_UNITS = {
    "ym": 1e-18, "zm": 1e-15, "am": 1e-12, "fm": 1e-9, "pm": 1e-6, "Å": 1e-4, "nm": 1e-3, "µm": 1.0, "μm": 1.0,
    "um": 1.0, "mm": 1e3, "cm": 1e4, "dm": 1e5, "m": 1e6, "in": 25_400.0, "mi": 1.609344e9, "km": 1e9,
}  # fmt: skip


@dataclass(frozen=True)
class OmeImage:
    """One ``Image`` of the OME-XML; ``channels`` are pairs of a name and a colour or None."""

    scale: tuple[Statement, ...] = ()
    channels: tuple[tuple[str, str | None], ...] = ()
    stage: dict[str, Any] | None = None


@dataclass(frozen=True)
class TiffFacts:
    """What the file as a whole says."""

    images: tuple[OmeImage, ...] = ()
    own_scale: list[Statement] = field(default_factory=list)
    stage: dict[str, Any] | None = None
    imagej: bool = False
    imagej_units: tuple[str, str] = ("", "")
    scientific: bool = field(default=False)
    page_names: tuple[str, ...] = ()

    def names_of(self, index: int) -> dict[str, tuple[str, ...]]:
        """Names of a series' pictures along tifffile's axes, where the file has them."""
        ome = self.image(index)
        if ome is not None:
            return {"C": tuple(name for name, _ in ome.channels)}
        return dict.fromkeys("IQZTC", self.page_names) if index == 0 else {}

    def image(self, index: int) -> OmeImage | None:
        """The OME image of a series."""
        return self.images[index] if index < len(self.images) else None

    def stage_of(self, index: int) -> dict[str, Any] | None:
        """The stage position of a series."""
        ome = self.image(index)
        return ome.stage if ome is not None else self.stage

    def orientation_of(self, keyframe: Any) -> int:
        """How the pages of a series are to be turned."""
        return checked_orientation(_tag(keyframe, "Orientation"))

    def scale(self, index: int, keyframe: Any, *, path: Path) -> tuple[tuple[float, float] | None, str]:
        """Pixel size (y, x) of a series in um, and a note about it: from OME, the tags of a microscope or a scanner,
        ImageJ and plausible resolutions, and from the file that some microscopes write beside it.
        """
        ome = self.image(index)
        said = list(ome.scale) if ome is not None else []
        of_maker = makers_statements(keyframe)
        said += of_maker + (self.own_scale if index == 0 else [])
        if self.imagej or not any(one.doubt for one in of_maker):
            said += _resolution(keyframe, self)
        shape = int(keyframe.imagelength), int(keyframe.imagewidth)
        return settled(said + (sidecar_statements(path, shape) if index == 0 else []))


def is_sound_ome(description: str) -> bool:
    """Whether OME-XML is safe to pass on: it parses without entities, and names only files in the same folder."""
    root = parsed_xml(description)
    if root is None:
        return False
    names = [node.get("FileName", "") for node in root.iter() if local_name(node) == "UUID"]
    return not any(separator in name for name in names for separator in ("/", "\\", ":", "\0"))


def file_facts(file: Any) -> TiffFacts:
    """Collect the metadata of a tifffile.TiffFile."""
    if file.is_ome:
        root = parsed_xml(file.pages[0].description)
        images = [_ome_image(node) for node in (root if root is not None else ()) if local_name(node) == "Image"]
        return TiffFacts(images=tuple(images), scientific=True)
    if file.is_imagej:
        told = file.imagej_metadata or {}
        unit = str(told.get("unit") or "")
        units = str(told.get("yunit") or unit), unit
        names = _short_names(told.get("Labels"))
        return TiffFacts(imagej=True, imagej_units=units, scientific=True, page_names=names)
    if file.is_svs:
        match = re.search(r"\bMPP\s*=\s*([0-9.eE+-]+)", file.pages[0].description or "")
        size = number(match.group(1)) if match else None
        return TiffFacts(own_scale=statement("Aperio", size, size))
    if file.is_fei:
        return _fei(file.fei_metadata or {})
    if file.is_sem:
        return _zeiss(file.sem_metadata or {})
    return TiffFacts(page_names=_page_names(file))


def _page_names(file: Any) -> tuple[str, ...]:
    """What the pages are called, such as the detectors of an electron microscope."""
    if not 1 < len(file.pages) <= MOST_NAMED_PAGES:
        return ()
    return _short_names([_tag(page, "PageName") if hasattr(page, "tags") else "" for page in file.pages])


def _short_names(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list | tuple) or not all(isinstance(value, str | None) for value in values):
        return ()
    lines = [(value or "").strip().splitlines() for value in values]
    return tuple(line[0].strip()[:LONGEST_NAME] if line else "" for line in lines)


def _resolution(keyframe: Any, facts: TiffFacts) -> list[Statement]:
    """What the resolution tags say, where they are more than how large the picture is to be printed."""
    unit = number(_tag(keyframe, "ResolutionUnit"))
    units = facts.imagej_units if facts.imagej else ({2: "inch", 3: "cm"}.get(int(unit or 0), ""),) * 2
    sizes: list[float] = []
    for name, written in zip(("YResolution", "XResolution"), units, strict=True):
        value, unit_um = _tag(keyframe, name), length_unit_um(written)
        if unit_um is None or not isinstance(value, tuple) or len(value) != 2 or not value[0] or not value[1]:
            return []
        # ImageJ, too, writes inches and centimetres only because the picture had a print resolution before
        coarsest = COARSEST_PRINT_UM if plain_unit(written) in PRINT_UNITS else math.inf
        sizes.append(unit_um * value[1] / value[0])
        if sizes[-1] > coarsest:
            return []
    return statement("ImageJ" if facts.imagej else "its resolution", *sizes)


def _tag(keyframe: Any, name: str) -> Any:
    tag = keyframe.tags.get(name)
    return None if tag is None else tag.value


def _ome_image(image: Any) -> OmeImage:
    pixels = next((node for node in image if local_name(node) == "Pixels"), None)
    if pixels is None:
        return OmeImage()
    y = _ome_length(pixels, "PhysicalSizeY", default="µm")
    x = _ome_length(pixels, "PhysicalSizeX", default="µm")
    channels = []
    plane = None
    for node in pixels:
        if local_name(node) == "Channel":
            channels.append((str(node.get("Name") or "").strip(), _ome_colour(node.get("Color"))))
        elif local_name(node) == "Plane" and plane is None:
            plane = node
    stage = None
    if plane is not None:
        x_um, y_um = _ome_length(plane, "PositionX"), _ome_length(plane, "PositionY")
        if x_um is not None and y_um is not None:
            stage = {"source": "OME plane", "x_mm": x_um / 1000, "y_mm": y_um / 1000}
    scale = tuple(statement("OME", y, x))
    return OmeImage(scale, tuple(channels), stage)


def _ome_length(node: Any, name: str, *, default: str = "") -> float | None:
    """In um; None for a position without a unit or in the "reference frame"."""
    length = number(node.get(name))
    factor = OME_UNITS.get(node.get(f"{name}Unit", default))
    return None if length is None or factor is None else length * factor


def _ome_colour(text: str | None) -> str | None:
    """``#rrggbb`` from OME's signed 32-bit RGBA number."""
    try:
        value = int(text or "") & 0xFFFFFFFF
    except ValueError:
        return None
    return f"#{value >> 8:06x}"


def _fei(metadata: Mapping[str, Any]) -> TiffFacts:
    stage = metadata.get("Stage")
    stage = stage if isinstance(stage, dict) else {}
    x_m, y_m, z_m = (number(stage.get(f"Stage{axis}")) for axis in "XYZ")
    place: dict[str, Any] | None = None
    if x_m is not None and y_m is not None:
        place = {"source": "FEI SEM", "x_mm": x_m * 1000, "y_mm": y_m * 1000}
        if z_m is not None:
            place["z_mm"] = z_m * 1000
        for key, name in (("rotation_deg", "StageR"), ("tilt_deg", "StageT")):
            angle = number(stage.get(name))
            if angle is not None:
                place[key] = math.degrees(angle)
        beam = metadata.get("Beam")
        shifts = [number(beam.get(f"BeamShift{axis}")) for axis in "XY"] if isinstance(beam, dict) else []
        if any(shifts):
            place["beam_shifted"] = True
    return TiffFacts(stage=place, scientific=True)


def _zeiss(metadata: Mapping[str, Any]) -> TiffFacts:
    place: dict[str, Any] | None = {"source": "Zeiss SEM"}
    assert place is not None
    for axis in "xyz":
        length_um = zeiss_length_um(metadata.get(f"ap_stage_at_{axis}"))
        if length_um is not None:
            place[f"{axis}_mm"] = length_um / 1000
    for key, name in (("rotation_deg", "ap_stage_at_r"), ("tilt_deg", "ap_stage_at_t")):
        angle = metadata.get(name)
        degrees = number(angle[1]) if isinstance(angle, tuple) and len(angle) > 1 else None
        if degrees is not None:
            place[key] = degrees
    shifts = [metadata.get(f"ap_beamshift_{axis}") for axis in "xy"]
    if any(isinstance(shift, tuple) and len(shift) > 1 and number(shift[1]) for shift in shifts):
        place["beam_shifted"] = True
    if "x_mm" not in place or "y_mm" not in place:
        place = None
    return TiffFacts(stage=place, scientific=True)
