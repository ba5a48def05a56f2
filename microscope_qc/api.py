"""For scripts and notebooks: what the command line does, with tables of pandas; every call waits for its result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project

if TYPE_CHECKING:
    import pandas

__all__ = ["statistics"]


def statistics(*projects: Path | str, by: Sequence[str] = ()) -> pandas.DataFrame:
    """Return counts, densities, shares and sizes of groups of slides, as ``stats --group-by`` has them.

    Parameters
    ----------
    projects
        Folders ``NAME.mqc``.
    by
        Fields of specimens, ``slide``, ``project``, ``class`` or ``class-group``; nothing takes all slides together.

    Returns
    -------
    pandas.DataFrame
        One row for each group and class, class group (``rows`` says which), and all classes. Its columns are those of
        the CSV: intervals (95 %) end in ``_low`` and ``_high``, densities are per mm2, sizes in um. What is not known
        is missing, and a column ``..._reason`` says why.

    Raises
    ------
    MicroscopeQCError
        When a project cannot be opened, or there is no such field.
    """
    import pandas as pd

    from microscope_qc.workflows.results.grouping import statistics_by
    from microscope_qc.workflows.results.grouping_text import group_records

    return pd.DataFrame(list(group_records(run_job(statistics_by(_opened(projects), by)))))


def _opened(paths: Sequence[Path | str]) -> Iterator[Project]:
    """Each project, open while its turn lasts."""
    for path in paths:
        with Project.open(path, write=False) as project:
            yield project
