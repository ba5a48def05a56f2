"""What the XML of a CZI says: pixel size, channels, scene names and stage positions."""

from __future__ import annotations

import contextlib
import decimal
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.slides.base import usable_size
from microscope_qc.slides.czi.directory import SubBlocks
from microscope_qc.slides.czi.stage import tile_positions
from microscope_qc.slides.pixels import Channel

MAX_XML_CHARS = 256 << 20


@dataclass(frozen=True)
class CziMetadata:
    """What the metadata contains; missing values are None, never zero."""

    pixel_size_um: tuple[float, float] | None = None
    channels: Sequence[Channel] = ()
    scenes: dict[int, str] = field(default_factory=dict)
    stages: dict[int | None, dict[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def channel(self, index: int, dtype: np.dtype) -> Channel:
        """Name, colour and display window of a channel; the file gives the window as a fraction of the type's range."""
        if index >= len(self.channels):
            return Channel(f"Channel {index + 1}")
        channel = self.channels[index]
        if channel.window is None or dtype.kind != "u":
            return Channel(channel.name, channel.colour)
        top = float(np.iinfo(dtype).max)
        return Channel(channel.name, channel.colour, (channel.window[0] * top, channel.window[1] * top))

    def scene_names(self, indices: Sequence[int]) -> dict[int, str]:
        """A unique name for every scene: the name in the file, with the index added where names repeat."""
        names = {index: self.scenes.get(index, "") for index in indices}
        used = [name for name in names.values() if name]
        for index, name in names.items():
            if not name:
                names[index] = str(index) if len(indices) > 1 else ""
            elif used.count(name) > 1:
                names[index] = f"{name} ({index})"
        return names

    def stage(self, scene: int | None) -> dict[str, Any] | None:
        """Stage position of a scene; None where the file does not say."""
        return self.stages.get(scene, self.stages.get(None))


def parse_metadata(path: Path, xml: str, blocks: SubBlocks | None) -> CziMetadata:
    """Read the metadata XML, and the stage positions of some tiles.

    With damaged XML the pixel size and the names are lost, but the slide still opens.
    """
    from defusedxml import ElementTree
    from defusedxml.common import DefusedXmlException

    unreadable = CziMetadata(notes=("its metadata cannot be read: pixel size unknown",))
    if len(xml) > MAX_XML_CHARS:
        return unreadable
    try:
        root = ElementTree.fromstring(xml.rstrip("\0"))
    except (ElementTree.ParseError, DefusedXmlException, ValueError):
        return unreadable
    scenes, stages = {}, _sem_stage(root)
    for node in root.iterfind(".//Information/Image/Dimensions/S/Scenes/Scene"):
        index = _number(node.get("Index"))
        if index is None:
            continue
        scenes[int(index)] = (node.get("Name") or "").strip()
        centre = [_number(part) for part in (node.findtext("CenterPosition") or "").split(",")]
        if len(centre) == 2 and None not in centre:
            stages[int(index)] = {"source": "CZI scene", "center_um": centre}
    if blocks is not None:
        for scene, tiles in _tiles(path, blocks).items():
            stages.setdefault(scene, {"source": "CZI tiles"})["tiles"] = tiles
    return CziMetadata(_pixel_size(root), _channels(root), scenes, stages)


def _pixel_size(root: Any) -> tuple[float, float] | None:
    sizes: dict[str | None, float | None] = {}
    for node in root.iterfind(".//Scaling/Items/Distance"):
        sizes.setdefault(node.get("Id"), _micrometres(node.findtext("Value")))
    y, x = sizes.get("Y"), sizes.get("X")
    return (y, x) if y is not None and x is not None else None


def _micrometres(metres: str | None) -> float | None:
    """Metres as text to micrometres, in decimal: 4E-07 is 0.4 and not 0.39999999999999997."""
    if _number(metres) is None:
        return None
    return usable_size(float(decimal.Decimal(str(metres).strip()) * 1_000_000))


def _channels(root: Any) -> list[Channel]:
    shown = {node.get("Id"): node for node in root.iterfind(".//DisplaySetting/Channels/Channel")}
    channels = []
    for number, node in enumerate(root.iterfind(".//Information/Image/Dimensions/Channels/Channel"), start=1):
        setting = shown.get(node.get("Id"))
        setting = node if setting is None else setting
        name = (node.get("Name") or setting.get("Name") or "").strip() or f"Channel {number}"
        colour = setting.findtext("Color") or node.findtext("Color") or ""
        low, high = _number(setting.findtext("Low")), _number(setting.findtext("High"))
        window = (low, high) if low is not None and high is not None and 0 <= low < high <= 1 else None
        # colours are written #AARRGGBB
        channels.append(Channel(name, f"#{colour[3:].lower()}" if len(colour) == 9 else "#ffffff", window))
    return channels


def _sem_stage(root: Any) -> dict[int | None, dict[str, Any]]:
    parameters = root.find(".//SEMData/Parameters")
    if parameters is None:
        return {}
    named = {"x_mm": "StageCenterX", "y_mm": "StageCenterY", "z_mm": "StageZPosition"}
    stage: dict[str, Any] = {}
    for key, tag in named.items():
        value, _, unit = (parameters.findtext(tag) or "").strip().partition(" ")
        number = _number(value)
        factor = {"mm": 1.0, "um": 1e-3, "µm": 1e-3, "m": 1e3, "nm": 1e-6}.get(unit.strip())
        if number is not None and factor is not None:
            stage[key] = number * factor
    for key, tag in {"rotation_deg": "StageRotation", "tilt_deg": "StageTilt"}.items():
        number = _number((parameters.findtext(tag) or "").replace("°", "").strip())
        if number is not None:
            stage[key] = number
    return {None: {"source": "CZI SEM", **stage}} if "x_mm" in stage and "y_mm" in stage else {}


def _tiles(path: Path, blocks: SubBlocks) -> dict[int | None, list[dict[str, Any]]]:
    # damaged tile metadata is no reason to reject a slide that libCZI can open
    with contextlib.suppress(ValueError, OSError, struct.error):
        return tile_positions(path, blocks)
    return {}


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None
