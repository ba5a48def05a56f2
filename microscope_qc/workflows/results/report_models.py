"""What a report says of the models that found what counts."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.geometry import Region
from microscope_qc.project import Project
from microscope_qc.project.records import RunRecord, SlideRecord
from microscope_qc.reports.document import Model, Run


def models_of(project: Project, slides: Mapping[int, SlideRecord]) -> list[Model]:
    """Return the models of all detections on these slides that are switched on, each once."""
    runs_of: dict[tuple[str, str], list[RunRecord]] = {}
    for run in project.runs:
        if run.shown and run.slide_id in slides:
            runs_of.setdefault((run.plan.model, run.plan.weights), []).append(run)
    return [_model(runs, slides) for runs in runs_of.values()]


def _model(runs: Sequence[RunRecord], slides: Mapping[int, SlideRecord]) -> Model:
    """A model and its runs; its card may have moved since."""
    from microscope_qc.ml.library import load_card

    plan, card = runs[0].plan, None
    with contextlib.suppress(MicroscopeQCError):
        card = load_card(plan.model)
    return Model(
        name=plan.title if card is None else card.name,
        task=None if card is None else card.task,
        architecture=None if card is None else card.architecture,
        classes=list(plan.classes if card is None else card.classes),
        confidence=None if card is None else card.confidence,
        pixel_size_um=None if card is None else card.pixel_size_um,
        trained_on="" if card is None else card.trained_on,
        fingerprint=plan.weights,
        metrics={} if card is None else card.metrics,
        runs=[
            Run(
                slide=slides[run.slide_id].name,
                whole=run.plan.region == Region(0, 0, *slides[run.slide_id].shape_px),
                started=run.started, finished=run.finished, state=run.state, found=run.found, settings=run.settings,
            )
            for run in runs
        ],
    )  # fmt: skip
