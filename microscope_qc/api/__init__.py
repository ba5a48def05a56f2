"""For scripts and notebooks: what the command line does, with tables of pandas; every call waits for its result.

What is listed in ``__all__`` is stable: it changes with a warning, one version before. Long tasks take
``on_progress``, which is called with each :class:`~microscope_qc.core.jobs.Progress`.
"""

from microscope_qc.api.compositions import classify_edx, compositions, edx_spectrum, import_edx, link_edx
from microscope_qc.api.labels import embed, learn, similar, suggest
from microscope_qc.api.models import detect, evaluate, train, unusual, watch
from microscope_qc.api.numbers import (
    agreement,
    areas_searched,
    compare_batches,
    draw_areas,
    largest,
    plot,
    process_control,
    severity,
    statistics,
    verdicts,
    where,
)
from microscope_qc.api.projects import OpenProject, export, new_project, open_project, sample
from microscope_qc.api.slides import LazySlide, open_slide
from microscope_qc.api.stage import fit_stage, stage_drift
from microscope_qc.api.volumes import correct_particles, particles, structure
from microscope_qc.workflows.results.report import report_of as report

__all__ = [
    "LazySlide",
    "OpenProject",
    "agreement",
    "areas_searched",
    "classify_edx",
    "compare_batches",
    "compositions",
    "correct_particles",
    "detect",
    "draw_areas",
    "edx_spectrum",
    "embed",
    "evaluate",
    "export",
    "fit_stage",
    "import_edx",
    "largest",
    "learn",
    "link_edx",
    "new_project",
    "open_project",
    "open_slide",
    "particles",
    "plot",
    "process_control",
    "report",
    "sample",
    "severity",
    "similar",
    "stage_drift",
    "statistics",
    "structure",
    "suggest",
    "train",
    "unusual",
    "verdicts",
    "watch",
    "where",
]
