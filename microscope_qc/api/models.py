"""Models: run, trained and measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microscope_qc.api.projects import slide_ids
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project

if TYPE_CHECKING:
    import pandas

    from microscope_qc.api.projects import OnProgress
    from microscope_qc.workflows.watching import Watched


def detect(
    project: Path | str,
    model: str | None = None,
    *,
    slides: Sequence[str] | None = None,
    device: str = "auto",
    fresh: bool = False,
    on_progress: OnProgress = None,
) -> pandas.DataFrame:
    """Find defects on slides of a project, as the command ``detect`` does; what was interrupted continues.

    Parameters
    ----------
    model
        Name or folder of a model; None takes the one in use in the project.
    slides
        Names of slides; None takes all.
    device
        ``auto``, ``cpu`` or ``cuda:0``.
    fresh
        Begin again instead of continuing.

    Returns
    -------
    pandas.DataFrame
        One row for each slide: ``slide``, ``run``, ``findings``, ``counted`` (at the project's confidence limit and
        above), ``tiles``, ``damaged_tiles``, ``seconds``, and ``why_not`` where it could not be scanned.

    Raises
    ------
    ModelError
        When the model cannot be used.
    DetectionFailed
        When nothing can be scanned any more; what was found before is kept.
    """
    import pandas as pd

    from microscope_qc.workflows.detection.many import detect_many
    from microscope_qc.workflows.models.shelf import named_model

    with Project.open(project) as opened:
        numbers = slide_ids(opened, slides)
        job = detect_many(opened, named_model(model, opened), slide_ids=numbers, device=device, fresh=fresh)
        done = run_job(job, on_progress)
    columns = ["slide", "run", "findings", "counted", "tiles", "damaged_tiles", "seconds", "why_not"]
    rows: list[list[Any]] = [
        [one.slide.name, one.result.run_id, one.result.findings, one.result.shown, one.result.tiles,
         one.result.damaged_tiles, one.result.seconds, ""]
        for one in done.slides
    ]  # fmt: skip
    rows += [[left.slide, None, None, None, None, None, None, str(left.error)] for left in done.left_out]
    return pd.DataFrame(rows, columns=columns)


def unusual(
    project: Path | str,
    *,
    slides: Sequence[str] | None = None,
    good: Sequence[str] = (),
    device: str = "auto",
    fresh: bool = False,
    on_progress: OnProgress = None,
) -> pandas.DataFrame:
    """Find what is unlike the rest of slides, without labels, as the command ``unusual`` does.

    Parameters
    ----------
    slides
        Names of slides; None takes all.
    good
        Slides to learn from, instead of each itself.
    device
        ``auto``, ``cpu`` or ``cuda:0``.
    fresh
        Learn and look again instead of continuing.

    Returns
    -------
    pandas.DataFrame
        One row for each finding, the most unusual of a slide first: ``slide``, ``finding``, ``y0``, ``x0``, ``y1``,
        ``x1`` in full-resolution pixels, ``confidence``, ``p`` (share of normal places that are as far from what is
        usual), ``area_um2`` (missing without a pixel size), and ``state``.

    Raises
    ------
    InputError
        When the project is open for reading only.
    ModelError
        When there is too little to learn from, or a slide could not be done.
    """
    import pandas as pd

    from microscope_qc.core.boxes import ReviewState
    from microscope_qc.workflows.review.severity import ANOMALY
    from microscope_qc.workflows.unusual.describing import AREA
    from microscope_qc.workflows.unusual.finding import find_unusual_on

    with Project.open(project) as opened:
        names = [slide.name for slide in opened.slides] if slides is None else slides
        numbers, learned = ([opened.slides.named(name).id for name in some] for some in (names, good))
        job = find_unusual_on(opened, numbers, good=learned, device=device, fresh=fresh)
        done, left_out = run_job(job, on_progress)
        if left_out:
            raise left_out[0].error
        rows: list[list[Any]] = []
        for slide, one in done:
            found = opened.opinions.findings_of_run(one.detection.run_id)
            about = opened.attributes.of_boxes(slide.id, found["id"])
            for row in found[found["confidence"].argsort()[::-1]]:
                known = about.get(int(row["id"]), {})
                place = [float(row[name]) for name in ("y0", "x0", "y1", "x1", "confidence")]
                state = ReviewState(int(row["state"])).word
                rows.append([slide.name, int(row["id"]), *place, known.get(ANOMALY), known.get(AREA), state])
    columns = ["slide", "finding", "y0", "x0", "y1", "x1", "confidence", "p", "area_um2", "state"]
    return pd.DataFrame(rows, columns=columns)


def train(
    *data: Path | str,
    out: Path | str,
    task: str = "detect",
    network: str | None = None,
    minutes: float | None = None,
    start: Path | str | None = None,
    on_progress: OnProgress = None,
    **settings: Any,
) -> dict[str, Any]:
    """Train a model from projects or annotated pictures; an unfinished training in ``out`` is continued.

    Parameters
    ----------
    data
        Projects ``NAME.mqc``, or folders or files of annotated pictures.
    out
        Folder of the model.
    task, network
        As the command ``train`` has them; None takes the default of the task.
    minutes
        How long it may take, instead of a number of ``epochs``.
    start
        Name or folder of a model whose weights it starts from.
    **settings
        Others of the command ``train``, with ``_`` for ``-``: ``epochs``, ``batch``, ``seed``, ``crop_px``, ...

    Returns
    -------
    dict
        The model's card: ``classes``, ``metrics``, ``pixel_size_um`` and others.

    Raises
    ------
    InputError
        When a setting is wrong, or ``out`` holds a finished model.
    ExchangeError, ModelError
        When the data cannot be learned from, or the training cannot start from ``start``.
    """
    from microscope_qc.workflows.learning.train import train as training

    job = training(list(data), out, task=task, network=network, start=start, minutes=minutes, **settings)
    card: dict[str, Any] = run_job(job, on_progress).model_dump(mode="json")
    return card


def evaluate(
    model: Path | str,
    data: Path | str,
    *,
    confidence: float | None = None,
    iou: float = 0.5,
    part: str = "",
    device: str = "auto",
    on_progress: OnProgress = None,
) -> dict[str, Any]:
    """Measure a model on a project or annotated pictures, as the command ``evaluate`` does.

    Parameters
    ----------
    model
        Name of a bundled model, or a model's folder.
    data
        A project, or a folder or file of annotated pictures.
    confidence
        Threshold; None takes the model's.
    iou
        Overlap that counts as found.
    part
        ``test``, ``validation``, ``train`` or ``all``; "" takes what is kept for the test, else for validation, else
        all.

    Returns
    -------
    dict
        The document that ``evaluate --json`` prints: ``map50``, ``map50_interval`` and others.

    Raises
    ------
    ModelError, ExchangeError
        When the model cannot be used, or the data cannot be measured on.
    """
    from microscope_qc.workflows.learning.evaluate import evaluate as evaluation

    job = evaluation(model, data, confidence=confidence, iou=iou, part=part, device=device)
    return run_job(job, on_progress).document()


def watch(
    folder: Path | str,
    model: str | None = None,
    *,
    project: Path | str | None = None,
    report: Path | str | None = None,
    on_slide: Callable[[Watched], None] = lambda slide: None,
    once: bool = True,
    settled_s: float = 10.0,
    subfolders: bool = True,
    device: str = "auto",
    on_progress: OnProgress = None,
) -> pandas.DataFrame:
    """Add the slides of a folder to a project and scan those that are new, as the command ``watch`` does.

    Parameters
    ----------
    model
        Name or folder of a model; None takes the one in use in the project.
    project
        Folder ``NAME.mqc``, made when it is not there; None names it as the folder, beside it.
    report
        Report of the project, written again after each round that found something.
    on_slide
        Called with each slide when it is done.
    once
        End when everything that is there now is done; else it waits for more until ``on_progress`` raises.
    settled_s
        Seconds without a change before a file is taken.

    Returns
    -------
    pandas.DataFrame
        One row for each slide that was new: ``slide``, ``path``, ``findings``, ``seconds``, and ``why_not`` where it
        could not be scanned.

    Raises
    ------
    InputError
        When there is no such folder.
    ModelError
        When the model cannot be used.
    DetectionFailed
        When nothing can be scanned any more; what was found before is kept.
    """
    import pandas as pd

    from microscope_qc.workflows.detection.run import choose_model
    from microscope_qc.workflows.models.shelf import named_model
    from microscope_qc.workflows.watching import project_of_folder, watch_folder

    with project_of_folder(folder, project) as opened:
        job = watch_folder(
            opened, folder, choose_model(named_model(model, opened)), report=report, once=once, subfolders=subfolders,
            settled_s=settled_s, device=device, tell=on_slide,
        )  # fmt: skip
        done = run_job(job, on_progress).done
    rows: list[list[Any]] = [[one.name, one.path, one.findings, one.seconds, one.why_not] for one in done]
    return pd.DataFrame(rows, columns=["slide", "path", "findings", "seconds", "why_not"])
