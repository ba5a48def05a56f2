"""What is learned from labels while they are made: features, suggestions, and what looks alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microscope_qc.api.projects import slide_ids
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project

if TYPE_CHECKING:
    import pandas

    from microscope_qc.api.projects import OnProgress


def embed(
    project: Path | str, *, slides: Sequence[str] | None = None, device: str = "auto", on_progress: OnProgress = None
) -> pandas.DataFrame:
    """Keep what a network sees of slides, as the command ``embed`` does, so that learning from labels needs no pixels.

    Parameters
    ----------
    slides
        Names of slides; None takes all.

    Returns
    -------
    pandas.DataFrame
        One row for each slide: ``slide``, ``folder``, ``bytes``, ``unread`` (parts that could not be read), and
        ``why_not``.

    Raises
    ------
    InputError
        When there is no such slide.
    """
    import pandas as pd

    from microscope_qc.workflows.suggestions.embedding import embed_project

    with Project.open(project, write=False) as opened:
        numbers = slide_ids(opened, slides)
        done = run_job(embed_project(opened, slide_ids=numbers, device=device), on_progress)
    rows: list[list[Any]] = [[one.slide.name, one.folder, one.nbytes, one.unread, ""] for one in done.slides]
    rows += [[left.slide, None, None, None, str(left.error)] for left in done.left_out]
    return pd.DataFrame(rows, columns=["slide", "folder", "bytes", "unread", "why_not"])


def learn(
    project: Path | str, *, slides: Sequence[str] | None = None, on_progress: OnProgress = None
) -> dict[str, Any]:
    """Say how good what is learned from the labels of a project is, as ``learn --json`` does.

    The slides need features: :func:`embed`.

    Raises
    ------
    InputError
        When there is no such slide.
    """
    from microscope_qc.workflows.suggestions.checking import check_project

    with Project.open(project, write=False) as opened:
        numbers = slide_ids(opened, slides)
        good = run_job(check_project(opened, slide_ids=numbers), on_progress)
        said: dict[str, Any] = good.document({defect.id: defect.code for defect in opened.classes})
    return said


def suggest(
    project: Path | str, *, slides: Sequence[str] | None = None, keep: bool = False, on_progress: OnProgress = None
) -> pandas.DataFrame:
    """Learn from all that is labelled in a project and suggest places, as the command ``suggest`` does.

    What was suggested before is replaced. Suggestions are no findings: nothing counts or exports them. The slides need
    features: :func:`embed`.

    Parameters
    ----------
    slides
        Names of slides; None takes all.
    keep
        Keep them as a detection, whose findings count.

    Returns
    -------
    pandas.DataFrame
        One row for each slide with features: ``slide``, ``suggestions``, and ``run`` where they were kept.

    Raises
    ------
    InputError
        When there is no such slide, or nothing to learn from.
    """
    import pandas as pd

    from microscope_qc.workflows.suggestions.keeping import keep_as_detection
    from microscope_qc.workflows.suggestions.round import suggest as suggesting

    with Project.open(project, write=keep) as opened:
        done = run_job(suggesting(opened, slide_ids=slide_ids(opened, slides)), on_progress)
        runs = {one.slide_id: keep_as_detection(opened, one.slide_id).id for one in done.slides if keep and one.count}
    rows = [[one.name, one.count, runs.get(one.slide_id)] for one in done.slides]
    return pd.DataFrame(rows, columns=["slide", "suggestions", "run"])


def similar(
    project: Path | str,
    finding: int,
    *,
    slides: Sequence[str] | None = None,
    count: int = 24,
    on_progress: OnProgress = None,
) -> pandas.DataFrame:
    """Find the findings of a project that look most like one, as the command ``similar`` does.

    The slides need features: :func:`embed`.

    Parameters
    ----------
    finding
        Its number.
    slides
        Names of slides; None takes all.
    count
        How many.

    Returns
    -------
    pandas.DataFrame
        The most alike first: ``id``, ``slide``, and ``alike`` (1 is the same, 0 as unlike as any other).

    Raises
    ------
    InputError
        When there is no such finding, or its slide has no features.
    """
    import pandas as pd

    from microscope_qc.workflows.suggestions.similar import looks_of_findings

    with Project.open(project, write=False) as opened:
        looks = run_job(looks_of_findings(opened, slide_ids=slide_ids(opened, slides)), on_progress)
        names = {slide.id: slide.name for slide in opened.slides}
    rows = [[one.finding_id, names[one.slide_id], one.alike] for one in looks.like(finding, count=count)]
    return pd.DataFrame(rows, columns=["id", "slide", "alike"])
