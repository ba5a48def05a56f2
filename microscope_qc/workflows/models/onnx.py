"""A detector as ONNX, which other programs run: pixels in, scores and boxes out, checked against the original."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microscope_qc.core.errors import InputError, ModelError
from microscope_qc.core.files import atomic_path
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import bytes_text

if TYPE_CHECKING:
    from microscope_qc.workflows.models.shelf import ModelEntry

SUFFIX = ".onnx"
EXPORTER = ("onnx", "onnxscript")
CHECKER = "onnxruntime"
MOST_SCORES, MOST_BOXES_PX = 1e-3, 0.05
"""Largest differences from the original: of scores (0 to 1), and of the sides of boxes with a score above 0.05."""


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """What was written.

    Attributes
    ----------
    side_px
        Side of the pictures that it takes, in model pixels.
    difference, difference_px
        Largest difference from the original of a score, and of a side of a box; None where it was not checked.
    """

    path: Path
    side_px: int
    size_bytes: int
    difference: float | None
    difference_px: float | None

    def document(self) -> dict[str, Any]:
        """Values that JSON can store."""
        return {
            "path": str(self.path), "side_px": self.side_px, "bytes": self.size_bytes,
            "checked": self.difference is not None, "largest_difference": self.difference,
            "largest_difference_px": self.difference_px,
        }  # fmt: skip

    def words(self) -> list[str]:
        """Lines to show the user."""
        lines = [
            f"{self.path}: {bytes_text(self.size_bytes)}",
            f"  in: pixels, float32 (n, 3, {self.side_px}, {self.side_px}), red, green, blue from 0 to 255",
            "  out: scores (n, places, classes) from 0 to 1; boxes (n, places, 4) as x0, y0, x1, y1 in pixels, among "
            "which the weaker of those that overlap are still to be dropped",
        ]
        if self.difference is None:
            return [*lines, f"  not compared with the original: {CHECKER} is not installed"]
        return [
            *lines,
            f"  compared with the original: scores differ by at most {self.difference:.1e}, boxes by "
            f"{self.difference_px:.1e} px",
        ]


def export_onnx(entry: ModelEntry, out: Path | str) -> Job[OnnxFile]:
    """Write a detector as ONNX, for any number of pictures at once, and compare it with the original.

    Raises
    ------
    InputError
        When the packages that write ONNX are not installed.
    ModelError
        When the model is no detector, cannot be read, or the file does not compute the same.
    """
    if entry.card is None or entry.card.task != "detect":
        raise ModelError(f"{entry.name} is not exported: only detectors are.")
    missing = [name for name in EXPORTER if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"Writing ONNX needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed.",
            hint="Install microscope-qc[onnx].",
        )
    target = Path(out)
    if target.suffix.lower() != SUFFIX:
        target = target.with_name(target.name + SUFFIX)
    yield Progress(0, 3, "", "loading the model")
    from microscope_qc.ml.exporting import Exporter

    card = entry.card
    exporter = Exporter(entry.folder)
    about = {
        "name": card.name, "classes": card.classes, "pixel_size_um": card.pixel_size_um,
        "confidence": card.confidence, "licence": entry.licence,
    }  # fmt: skip
    yield Progress(1, 3, "", "writing")
    with atomic_path(target) as temporary:
        exporter.write(temporary, about)
        yield Progress(2, 3, "", "comparing")
        differences = None if importlib.util.find_spec(CHECKER) is None else exporter.differences(temporary)
        if differences is not None and not (differences[0] <= MOST_SCORES and differences[1] <= MOST_BOXES_PX):
            raise ModelError(
                f"The ONNX file does not compute what the model does: scores differ by {differences[0]:.1e}, boxes by "
                f"{differences[1]:.1e} px. It was not kept.",
                hint="Tell the maintainers, with the versions of onnx and onnxruntime.",
            )
    return OnnxFile(target, exporter.side_px, target.stat().st_size, *(differences or (None, None)))
