"""What other packages have brought, as a whole."""

from __future__ import annotations

from typing import Any

from microscope_qc.analysis.registry import STATISTICS
from microscope_qc.core.plugins import PluginProblem, Registry
from microscope_qc.correlation.registry import STAGE_FORMATS
from microscope_qc.exchange.registry import FORMATS
from microscope_qc.ml.architectures.base import ARCHITECTURES
from microscope_qc.ml.tasks.kinds import TASKS
from microscope_qc.slides.registry import READERS
from microscope_qc.workflows.exports import EXPORTS, export_names

REGISTRIES: tuple[Registry[Any], ...] = (
    ARCHITECTURES, TASKS, READERS, FORMATS, STAGE_FORMATS, STATISTICS, EXPORTS,
)  # fmt: skip
"""All but the panels, which only the window knows."""


def left_out() -> list[PluginProblem]:
    """Import every plugin but the panels, and return those that cannot be used."""
    for registry in REGISTRIES:
        registry.usable()
    export_names()  # an export must not be called as an annotation format is
    return [problem for registry in REGISTRIES for problem in registry.problems]
