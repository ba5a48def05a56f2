"""What models are measured on in a project, as a fingerprint: whether a measurement is still about what is marked."""

from __future__ import annotations

import hashlib
from pathlib import Path

from microscope_qc.core.jobs import Job
from microscope_qc.workflows.learning.from_project import read_project
from microscope_qc.workflows.learning.kept_apart import to_measure_on


def measured_fingerprint(project: Path, model_um: float | None, part: str = "") -> Job[str]:
    """Fingerprint of what is marked where a model of this pixel size is measured; opens no slide.

    Parameters
    ----------
    part
        See :func:`microscope_qc.workflows.learning.kept_apart.to_measure_on`.

    Raises
    ------
    ModelError
        When nothing is marked.
    """
    read = yield from read_project(project, model_um=model_um, open_files=False)
    data, _ = to_measure_on(read, part)
    sizes = sorted({str(image.pixel_size_um) for image in data.images})
    return hashlib.sha256("\n".join([data.fingerprint(), *sizes]).encode()).hexdigest()[:32]
