"""Position lists in documented formats of other programs. None of them has been tried on an instrument.

SerialEM navigator (autodoc text, um), Probe for EPMA digitised positions (mm), BigWarp landmarks, useq-schema sequences
(um), Micro-Manager 2 position lists (um), ImageJ ROI sets (slide pixels).
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

from microscope_qc.core.cells import printable
from microscope_qc.core.files import atomic_path, atomic_write
from microscope_qc.correlation.stage_format import StageFormat, unit_of_its_own
from microscope_qc.correlation.targets import OUTSIDE, Target, TargetList


def _label(target: Target) -> str:
    """Number and class of a finding without the characters that the formats use themselves; whether it is uncertain."""
    code = "".join(c for c in printable(target.class_code) if c.isprintable() and c not in '"[]=')
    return f"{target.finding_id} {code}{f' {OUTSIDE}' if target.outside_marks else ''}".strip()


def write_nav(path: Path | str, targets: TargetList) -> Path:
    """SerialEM navigator file of points. One point needs ``NumPts = 1``; maps are not written."""
    lines = ["AdocVersion = 2.00", f"LastSavedAs = {Path(path).name}", ""]
    z_um = (targets.stage_z_mm or 0.0) * 1000
    for target in targets.targets:
        x_um, y_um = target.stage_x_mm * 1000, target.stage_y_mm * 1000
        lines += [
            f"[Item = {target.finding_id}]",
            "Color = 0",
            f"StageXYZ = {x_um:.3f} {y_um:.3f} {z_um:.3f}",
            "NumPts = 1",
            "Regis = 1",
            "Type = 0",
            f"Note = {_label(target)}",
            f"PtsX = {x_um:.3f}",
            f"PtsY = {y_um:.3f}",
            "",
        ]
    atomic_write(path, "\n".join(lines) + "\n")
    return Path(path)


def write_epma(path: Path | str, targets: TargetList) -> Path:
    """Probe for EPMA position file (.pos): three lines of zeros, then one line per unknown sample."""
    z = targets.stage_z_mm or 0.0
    lines = ["0,0,0,0"] * 3
    for index, target in enumerate(targets.targets, start=1):
        position = f"{target.stage_x_mm:.6f},{target.stage_y_mm:.6f},{z:.6f}"
        lines.append(f'2,{index},"{_label(target)}",{position},0,1,0,0,""')
    atomic_write(path, "\r\n".join(lines) + "\r\n")
    return Path(path)


def write_bigwarp(path: Path | str, targets: TargetList) -> Path:
    """BigWarp landmarks of the marks: moving = slide pixels x, y; fixed = stage um x, y; no header."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    fitted = targets.registration
    for number, (px, mm) in enumerate(zip(fitted.marks_px, fitted.stage_mm, strict=True)):
        writer.writerow([f"Pt-{number}", "true", *(f"{v:.3f}" for v in (px[1], px[0], mm[0] * 1000, mm[1] * 1000))])
    atomic_write(path, out.getvalue())
    return Path(path)


def write_useq(path: Path | str, targets: TargetList) -> Path:
    """useq-schema MDASequence as YAML: stage positions in um."""
    import yaml

    positions = []
    for target in targets.targets:
        position: dict[str, float | str] = {
            "x": round(target.stage_x_mm * 1000, 3),
            "y": round(target.stage_y_mm * 1000, 3),
            "name": _label(target),
        }
        if targets.stage_z_mm is not None:
            position["z"] = round(targets.stage_z_mm * 1000, 3)
        positions.append(position)
    root = {"axis_order": "p", "stage_positions": positions}
    # one position per line: innermost mappings are written in braces
    atomic_write(path, yaml.safe_dump(root, sort_keys=False, allow_unicode=True, default_flow_style=None, width=1000))
    return Path(path)


def write_micromanager(path: Path | str, targets: TargetList) -> Path:
    """Micro-Manager 2 position list (property map); devices are named XY and Z and can be renamed on loading."""

    def scalar(kind: str, value: object) -> dict[str, object]:
        return {"type": kind, "scalar": value}

    def array(kind: str, value: list[object]) -> dict[str, object]:
        return {"type": kind, "array": value}

    stage_positions = [
        {
            "DefaultXYStage": scalar("STRING", "XY"),
            "DefaultZStage": scalar("STRING", ""),
            "DevicePositions": array(
                "PROPERTY_MAP",
                [
                    {
                        "Device": scalar("STRING", "XY"),
                        "Position_um": array(
                            "DOUBLE", [round(target.stage_x_mm * 1000, 3), round(target.stage_y_mm * 1000, 3)]
                        ),
                    }
                ],
            ),
            "GridCol": scalar("INTEGER", 0),
            "GridRow": scalar("INTEGER", 0),
            "Label": scalar("STRING", _label(target)),
            "Properties": scalar("PROPERTY_MAP", {}),
        }
        for target in targets.targets
    ]
    root = {
        "encoding": "UTF-8",
        "format": "Micro-Manager Property Map",
        "major_version": 2,
        "minor_version": 0,
        "map": {"StagePositions": array("PROPERTY_MAP", list(stage_positions))},
    }
    atomic_write(path, json.dumps(root, ensure_ascii=False, indent=2))
    return Path(path)


def write_imagej(path: Path | str, targets: TargetList) -> Path:
    """ImageJ ROI set (.zip): one rectangle per finding, in slide pixels.

    The sides are kept as floating point numbers (sub-pixel rectangle), which have room for a large slide.
    """
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for target in targets.targets:
            name = _roi_name(target)
            entry = zipfile.ZipInfo(f"{name}.roi")  # without the time of writing, so that equal lists give equal files
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, _roi(target, name), zipfile.ZIP_DEFLATED)
    return Path(path)


def _roi_name(target: Target) -> str:
    """Label as a file name; a ROI counts two bytes per character, so a character that takes four is left out."""
    return "".join("_" if c in "/\\" else c for c in _label(target) if ord(c) < 0x10000)


def _roi(target: Target, name: str) -> bytes:
    from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi

    left, top = target.x_px - target.width_px / 2, target.y_px - target.height_px / 2
    whole = [
        max(-32768, min(32767, round(side))) for side in (left, top, left + target.width_px, top + target.height_px)
    ]
    roi = ImagejRoi(
        roitype=ROI_TYPE.RECT,
        options=ROI_OPTIONS.SUB_PIXEL_RESOLUTION,
        name=name,
        left=whole[0],
        top=whole[1],
        right=whole[2],
        bottom=whole[3],
        xd=left,
        yd=top,
        widthd=target.width_px,
        heightd=target.height_px,
    )
    return roi.tobytes()


SERIALEM = StageFormat("nav", "SerialEM navigator", ".nav", unit_of_its_own(write_nav))
EPMA = StageFormat("epma", "Probe for EPMA positions", ".pos", unit_of_its_own(write_epma))
BIGWARP = StageFormat("bigwarp", "BigWarp landmarks (marks)", ".csv", unit_of_its_own(write_bigwarp), marks_only=True)
IMAGEJ = StageFormat("imagej", "ImageJ ROI set", ".zip", unit_of_its_own(write_imagej))
USEQ = StageFormat("useq", "useq-schema sequence", ".yaml", unit_of_its_own(write_useq))
MICROMANAGER = StageFormat("micromanager", "Micro-Manager position list", ".pos", unit_of_its_own(write_micromanager))
