"""The sample that comes with the program, as layers."""

from __future__ import annotations

from microscope_qc.core.jobs import run_job
from microscope_qc.napari_plugin.reading import LayerData, read_layers
from microscope_qc.workflows.samples.demo import sample_folder
from microscope_qc.workflows.samples.ready import ready_sample


def sample_layers() -> list[LayerData]:
    """Return the sample slide and its findings; it is unpacked into the user's documents at the first time.

    Raises
    ------
    WriteError
        When the disk is full or read-only.
    """
    return read_layers(str(run_job(ready_sample(sample_folder()))))
