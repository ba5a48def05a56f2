"""What the tags of a TIFF say about pixel size, channels and stage: OME, Aperio, ImageJ, Zeiss and FEI SEM, plain."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from microscope_qc.core.orientation import checked_orientation
from microscope_qc.slides.base import usable_size

MAX_XML_CHARS = 256 << 20
# print resolutions (72 to 1200 dots per inch) are 21 um or coarser; scanners and microscopes write finer ones
COARSEST_TAG_UM = 10.0
MOST_NAMED_PAGES = 64
LONGEST_NAME = 60
OME_UNITS = {
    "ym": 1e-18, "zm": 1e-15, "am": 1e-12, "fm": 1e-9, "pm": 1e-6, "Å": 1e-4, "nm": 1e-3, "µm": 1.0, "μm": 1.0,
    "um": 1.0, "mm": 1e3, "cm": 1e4, "dm": 1e5, "m": 1e6, "in": 25_400.0, "mi": 1.609344e9, "km": 1e9,
}  # fmt: skip
IMAGEJ_UNITS = {
    "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "um": 1.0, "µm": 1.0, "μm": 1.0, "\\u00b5m": 1.0, "nm": 1e-3,
    "nanometer": 1e-3, "mm": 1e3, "millimeter": 1e3, "cm": 1e4, "m": 1e6, "meter": 1e6, "inch": 25_400.0,
}  # fmt: skip


@dataclass(frozen=True)
class OmeImage:
    """One ``Image`` of the OME-XML; ``channels`` are pairs of a name and a colour or None."""

    pixel_size_um: tuple[float, float] | None = None
    channels: tuple[tuple[str, str | None], ...] = ()
    stage: dict[str, Any] | None = None


@dataclass(frozen=True)
class TiffFacts:
    """What the file as a whole says."""

    images: tuple[OmeImage, ...] = ()
    own_size_um: tuple[float, float] | None = None
    stage: dict[str, Any] | None = None
    imagej_unit_um: float | None = None
    imagej: bool = False
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

    def pixel_size_um(self, index: int, keyframe: Any) -> tuple[float, float] | None:
        """(y, x) of a series: from OME, then the vendor's tags, then plausible resolution tags."""
        ome = self.image(index)
        if ome is not None and ome.pixel_size_um is not None:
            return ome.pixel_size_um
        if self.own_size_um is not None:
            return self.own_size_um
        return _tag_size(keyframe, self)


def is_sound_ome(description: str) -> bool:
    """Whether OME-XML is safe to pass on: it parses without entities, and names only files in the same folder."""
    root = _xml(description)
    if root is None:
        return False
    names = [node.get("FileName", "") for node in root.iter() if _local(node) == "UUID"]
    return not any(separator in name for name in names for separator in ("/", "\\", ":", "\0"))


def file_facts(file: Any) -> TiffFacts:
    """Collect the metadata of a tifffile.TiffFile."""
    if file.is_ome:
        root = _xml(file.pages[0].description)
        images = [_ome_image(node) for node in (root if root is not None else ()) if _local(node) == "Image"]
        return TiffFacts(images=tuple(images), scientific=True)
    if file.is_imagej:
        told = file.imagej_metadata or {}
        unit = str(told.get("unit", "")).strip().lower()
        names = _short_names(told.get("Labels"))
        return TiffFacts(imagej=True, imagej_unit_um=IMAGEJ_UNITS.get(unit), scientific=True, page_names=names)
    if file.is_svs:
        match = re.search(r"\bMPP\s*=\s*([0-9.eE+-]+)", file.pages[0].description or "")
        size = usable_size(_number(match.group(1)) if match else None)
        return TiffFacts(own_size_um=(size, size) if size else None)
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


def _tag_size(keyframe: Any, facts: TiffFacts) -> tuple[float, float] | None:
    unit = _tag(keyframe, "ResolutionUnit")
    if facts.imagej:
        unit_um, coarsest = facts.imagej_unit_um, math.inf
    else:
        unit_um, coarsest = {2: 25_400.0, 3: 10_000.0}.get(int(unit) if unit else 0), COARSEST_TAG_UM
    if unit_um is None:
        return None
    sizes = []
    for name in ("YResolution", "XResolution"):
        value = _tag(keyframe, name)
        if not isinstance(value, tuple) or len(value) != 2 or not value[0] or not value[1]:
            return None
        size = usable_size(unit_um * value[1] / value[0])
        if size is None or size > coarsest:
            return None
        sizes.append(size)
    return sizes[0], sizes[1]


def _tag(keyframe: Any, name: str) -> Any:
    tag = keyframe.tags.get(name)
    return None if tag is None else tag.value


def _ome_image(image: Any) -> OmeImage:
    pixels = next((node for node in image if _local(node) == "Pixels"), None)
    if pixels is None:
        return OmeImage()
    y = _ome_length(pixels, "PhysicalSizeY", default="µm")
    x = _ome_length(pixels, "PhysicalSizeX", default="µm")
    channels = []
    plane = None
    for node in pixels:
        if _local(node) == "Channel":
            channels.append((str(node.get("Name") or "").strip(), _ome_colour(node.get("Color"))))
        elif _local(node) == "Plane" and plane is None:
            plane = node
    stage = None
    if plane is not None:
        x_um, y_um = _ome_length(plane, "PositionX"), _ome_length(plane, "PositionY")
        if x_um is not None and y_um is not None:
            stage = {"source": "OME plane", "x_mm": x_um / 1000, "y_mm": y_um / 1000}
    sizes = (usable_size(y), usable_size(x))
    size_um = (sizes[0], sizes[1]) if sizes[0] is not None and sizes[1] is not None else None
    return OmeImage(size_um, tuple(channels), stage)


def _ome_length(node: Any, name: str, *, default: str = "") -> float | None:
    """In um; None for a position without a unit or in the "reference frame"."""
    number = _number(node.get(name))
    factor = OME_UNITS.get(node.get(f"{name}Unit", default))
    return None if number is None or factor is None else number * factor


def _ome_colour(text: str | None) -> str | None:
    """``#rrggbb`` from OME's signed 32-bit RGBA number."""
    try:
        value = int(text or "") & 0xFFFFFFFF
    except ValueError:
        return None
    return f"#{value >> 8:06x}"


def _fei(metadata: Mapping[str, Any]) -> TiffFacts:
    scan, stage = metadata.get("Scan"), metadata.get("Stage")
    scan, stage = (part if isinstance(part, dict) else {} for part in (scan, stage))
    y, x = _number(scan.get("PixelHeight")), _number(scan.get("PixelWidth"))
    y, x = (usable_size(None if v is None else v * 1e6) for v in (y, x))
    x_m, y_m, z_m = (_number(stage.get(f"Stage{axis}")) for axis in "XYZ")
    place: dict[str, Any] | None = None
    if x_m is not None and y_m is not None:
        place = {"source": "FEI SEM", "x_mm": x_m * 1000, "y_mm": y_m * 1000}
        if z_m is not None:
            place["z_mm"] = z_m * 1000
        rotation = _number(stage.get("StageR"))
        if rotation is not None:
            place["rotation_deg"] = math.degrees(rotation)
    return TiffFacts(own_size_um=(y, x) if y is not None and x is not None else None, stage=place, scientific=True)


def _zeiss(metadata: Mapping[str, Any]) -> TiffFacts:
    size = None
    for key in ("ap_image_pixel_size", "ap_pixel_size"):
        size = usable_size(_zeiss_length(metadata.get(key), 1.0))
        if size is not None:
            break
    place: dict[str, Any] | None = {"source": "Zeiss SEM"}
    assert place is not None
    for axis in "xyz":
        length = _zeiss_length(metadata.get(f"ap_stage_at_{axis}"), 1e-3)
        if length is not None:
            place[f"{axis}_mm"] = length
    for key, name in (("rotation_deg", "ap_stage_at_r"), ("tilt_deg", "ap_stage_at_t")):
        angle = metadata.get(name)
        number = _number(angle[1]) if isinstance(angle, tuple) and len(angle) > 1 else None
        if number is not None:
            place[key] = number
    if "x_mm" not in place or "y_mm" not in place:
        place = None
    return TiffFacts(own_size_um=(size, size) if size else None, stage=place, scientific=True)


def _zeiss_length(entry: Any, per_um: float) -> float | None:
    """From ("Pixel Size", 27.9, "nm"): in um, times ``per_um``."""
    if not isinstance(entry, tuple) or len(entry) < 3:
        return None
    number, factor = _number(entry[1]), OME_UNITS.get(str(entry[2]).strip())
    return None if number is None or factor is None else number * factor * per_um


def _xml(text: str | None) -> Any:
    from defusedxml import ElementTree
    from defusedxml.common import DefusedXmlException

    if not text or len(text) > MAX_XML_CHARS:
        return None
    try:
        return ElementTree.fromstring(text, forbid_dtd=True)
    except (ElementTree.ParseError, DefusedXmlException, ValueError):
        return None


def _local(node: Any) -> str:
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
