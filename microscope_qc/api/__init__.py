"""For scripts and notebooks: what the command line does, with tables of pandas; every call waits for its result."""

from microscope_qc.api.compositions import classify_edx, compositions, import_edx, link_edx
from microscope_qc.api.numbers import (
    areas_searched,
    compare_batches,
    draw_areas,
    plot,
    process_control,
    severity,
    statistics,
    verdicts,
    where,
)
from microscope_qc.workflows.results.report import report_of as report

__all__ = [
    "areas_searched", "classify_edx", "compare_batches", "compositions", "draw_areas", "import_edx",
    "link_edx", "plot", "process_control", "report", "severity", "statistics", "verdicts", "where",
]  # fmt: skip
