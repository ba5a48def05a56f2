"""What the private tags of microscopes say about the pixel size: Zeiss, FEI and Thermo, Phenom, TESCAN, Olympus, Gatan,
TVIPS.

Each is asked about one page, and checks as far as its tags tell that they were written for a picture of this size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from microscope_qc.slides.scale import (
    LENGTHS_UM,
    Statement,
    alike,
    doubtful,
    fits,
    length_unit_um,
    other_frame,
    statement,
)
from microscope_qc.slides.sidecar import metres, tescan_statements
from microscope_qc.slides.tag_text import local_name, number, parsed_xml

ZEISS_SEM, FEI_SFEG, FEI_HELIOS, FEI_XML, TESCAN, TVIPS = 34118, 34680, 34682, 34683, 50431, 37706
OLYMPUS_INI, OLYMPUS_SIS = 33471, 33560
GATAN_UNITS, GATAN_SIZES = (65003, 65004), (65009, 65010)
BEAMS = ("EBeam", "IBeam")
"""The beams that scan; what FEI calls by another name, or by none of a detector's, is a camera."""
MOST_CHARACTERS = 4 << 20


def makers_statements(page: Any) -> list[Statement]:
    """What the tags of a microscope say about the pixels of a page."""
    shape = int(page.imagelength), int(page.imagewidth)
    return [found for ask in _MAKERS for found in ask(page.tags, shape)]


def _zeiss(tags: Any, shape: tuple[int, int]) -> list[Statement]:
    metadata = _mapping(tags, ZEISS_SEM)
    stated = [zeiss_length_um(metadata.get(key)) for key in ("ap_image_pixel_size", "ap_pixel_size")]
    sizes = [size for size in stated if size]
    width, height = (zeiss_length_um(metadata.get(key)) for key in ("ap_width", "ap_height"))
    if width:
        # the stated size may be that of another store resolution than the picture's, the width is that of the picture
        across = width / shape[1]
        for size in sizes:
            if alike((size, size), (across, across)):
                return statement("Zeiss", size, size)
        if height and alike((height / shape[0],) * 2, (across, across)):
            return statement("Zeiss", across, across)
        return doubtful("Zeiss", "its file states the width of a picture of another shape")
    if not sizes:
        return []
    stored = re.findall(r"[0-9]+", str((metadata.get("dp_image_store") or ("", ""))[1:2]))
    if len(stored) == 2 and not fits((float(stored[0]), float(stored[1])), shape):
        return doubtful("Zeiss", other_frame(float(stored[0]), float(stored[1])))
    return statement("Zeiss", sizes[0], sizes[0])


def zeiss_length_um(entry: Any) -> float | None:
    """From ("Pixel Size", 27.9, "nm")."""
    if not isinstance(entry, tuple) or len(entry) < 3:
        return None
    value, unit = number(entry[1]), length_unit_um(entry[2])
    return None if value is None or unit is None else value * unit


def _fei(tags: Any, shape: tuple[int, int]) -> list[Statement]:
    metadata = _mapping(tags, FEI_HELIOS) or _mapping(tags, FEI_SFEG)
    if not metadata:
        return []
    scan, image = _section(metadata, "Scan"), _section(metadata, "Image")
    frame = [number(image.get(f"Resolution{axis}")) or 0.0 for axis in "XY"]
    if min(frame) > 0 and not fits(frame, shape):
        return doubtful("FEI", other_frame(*frame))
    beam = str(_section(metadata, "Beam").get("Beam") or "")
    if _is_camera(metadata, beam):
        own = _section(metadata, beam)
        if min(frame) > 0 and own.get("HFW") and own.get("VFW"):
            return metres("FEI camera", own["VFW"], own["HFW"], parts=(frame[1], frame[0]))
        return doubtful("FEI", "it was taken by a camera, and its file states the scale of the electron beam")
    found = metres("FEI", scan.get("PixelHeight"), scan.get("PixelWidth"))
    field = number(scan.get("HorFieldsize"))
    if found and field and frame[0] > 0:
        across = field / frame[0] * 1e6
        if not alike((across,), (found[0].size_um[1],)):  # type: ignore[arg-type, index]
            return doubtful("FEI", "what its file states about picture and pixels does not fit")
    return found


def _is_camera(metadata: Mapping[str, Any], beam: str) -> bool:
    names = [beam, *(str(_section(metadata, "Detectors").get("Name") or "").split(","))]
    if any(re.search(r"nav|ccd|camera", name, re.IGNORECASE) for name in names):
        return True
    return bool(beam) and beam not in BEAMS


def _phenom(tags: Any, shape: tuple[int, int]) -> list[Statement]:
    root = parsed_xml(_text(tags, FEI_XML))
    sides: list[float | None] = []
    for name in ("pixelHeight", "pixelWidth"):
        node = next((node for node in (root.iter() if root is not None else ()) if local_name(node) == name), None)
        value = number(node.text) if node is not None else None
        unit = length_unit_um(node.get("unit")) if node is not None else None
        sides.append(None if value is None or unit is None else value * unit)
    return statement("Phenom", sides[0] or sides[1], sides[1])


def _tescan(tags: Any, shape: tuple[int, int]) -> list[Statement]:
    return tescan_statements(_text(tags, TESCAN))


def _olympus(tags: Any, shape: tuple[int, int]) -> list[Statement]:
    told = {**_mapping(tags, OLYMPUS_INI), **_mapping(tags, OLYMPUS_SIS)}
    return metres("Olympus", told.get("pixelsizey"), told.get("pixelsizex"))


def _gatan(tags: Any, shape: tuple[int, int]) -> list[Statement]:
    units = [length_unit_um(_value(tags, code)) for code in GATAN_UNITS]
    sides = [number(_value(tags, code)) for code in GATAN_SIZES]
    if None in units or None in sides:
        return []
    first, second = (abs(side or 0) * (unit or 0) for side, unit in zip(sides, units, strict=True))
    if not alike((first,), (second,)):  # type: ignore[arg-type]
        return doubtful("Gatan", "its file states two sides of a pixel, but not which is the width")
    return statement("Gatan", first, second)


def _tvips(tags: Any, shape: tuple[int, int]) -> list[Statement]:
    told = _mapping(tags, TVIPS)
    y, x = (number(told.get(f"PixelSize{axis}")) for axis in "YX")
    per_nm = LENGTHS_UM["nm"]
    return statement("TVIPS", None if y is None else y * per_nm, None if x is None else x * per_nm)


_MAKERS: tuple[Callable[[Any, tuple[int, int]], list[Statement]], ...] = (
    _zeiss, _fei, _phenom, _tescan, _olympus, _gatan, _tvips,
)  # fmt: skip


def _value(tags: Any, code: int) -> Any:
    tag = tags.get(code)
    return None if tag is None else tag.value


def _mapping(tags: Any, code: int) -> Mapping[str, Any]:
    value = _value(tags, code)
    return value if isinstance(value, dict) else {}


def _section(metadata: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = metadata.get(name)
    return section if isinstance(section, dict) else {}


def _text(tags: Any, code: int) -> str:
    value = _value(tags, code)
    if isinstance(value, bytes):
        value = value[:MOST_CHARACTERS].decode("utf-8", "replace")
    return value[:MOST_CHARACTERS] if isinstance(value, str) else ""
