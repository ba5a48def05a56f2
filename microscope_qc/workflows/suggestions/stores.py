"""Where the features of a project's slides are. No torch in here."""

from __future__ import annotations

from pathlib import Path

from microscope_qc.ml.backbones import LITE0_SHA256
from microscope_qc.ml.features.grid import PREPROCESSING, FeatureGrid
from microscope_qc.ml.features.room import features_folder
from microscope_qc.ml.features.store import FeatureStore
from microscope_qc.project.records import SlideRecord
from microscope_qc.slides import Mosaic
from microscope_qc.slides.plane_choice import default_plane
from microscope_qc.workflows.intake.changes import file_stamp


def store_of(slide: SlideRecord, whole: Mosaic, *, root: Path | None = None) -> FeatureStore:
    """Where the features of a slide are, or will be.

    They are found by the slide's content; those that were computed before it was known, by its fingerprint, as long as
    the file is older than they are.
    """
    root = features_folder() if root is None else root
    grid = FeatureGrid.of(whole, slide.pixel_size_um or whole.pixel_size_um)

    def store(identity: str) -> FeatureStore:
        about = {
            "slide": identity, "scene": slide.scene, "plane": default_plane(whole).to_dict(),
            "orientation": slide.orientation, "backbone": LITE0_SHA256, "preprocessing": PREPROCESSING,
        }  # fmt: skip
        return FeatureStore(root, grid, about)

    known = store(slide.content or slide.fingerprint)
    if slide.content and not known.folder.exists():
        before, stamp = store(slide.fingerprint), file_stamp(slide.path)
        if stamp is not None and before.begun_ns > stamp[1]:
            return before
    return known
