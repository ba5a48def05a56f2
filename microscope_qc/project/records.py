"""Frozen records, one per row of a table, as a project gives them to its callers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from microscope_qc.core.composition import Amount
from microscope_qc.core.orientation import AS_STORED, turned_shape
from microscope_qc.core.outline import Outline
from microscope_qc.project.runs.plan import RunPlan


@dataclass(frozen=True, slots=True)
class SlideRecord:
    """One scene of one slide file.

    ``path`` is where the slide is now (absolute); when ``missing`` it is where it was last seen.
    ``scene`` is None when the file has one scene only. ``content`` is the hash of the whole file ("" until it was
    read), ``fields`` holds what a user said about the specimen, by name of the field. ``orientation`` is how the stored
    picture is turned (:mod:`microscope_qc.core.orientation`): shape, pixel size and boxes are those of the turned one.
    """

    id: int
    name: str
    path: Path
    relative_path: str
    scene: str | None
    fingerprint: str
    shape_px: tuple[int, int]
    pixel_size_um: tuple[float, float] | None
    missing: bool = False
    content: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    orientation: int = AS_STORED

    @property
    def stored_shape_px(self) -> tuple[int, int]:
        """Height and width of the picture as it is stored, before it was turned."""
        return turned_shape(self.shape_px, self.orientation)


@dataclass(frozen=True, slots=True)
class Mark:
    """A place that can be recognised under the SEM; stage coordinates are None until they were read there.

    A mark that ``is_check`` is kept out of the fit of an alignment and tells how far off it is.
    """

    id: int
    slide_id: int
    name: str
    y_px: float
    x_px: float
    stage_x_mm: float | None = None
    stage_y_mm: float | None = None
    is_check: bool = False


@dataclass(frozen=True, slots=True)
class RegistrationRecord:
    """A stored alignment between slide pixels and a stage."""

    id: int
    slide_id: int
    name: str
    data: dict[str, Any]


MEASUREMENT_KINDS = ("point", "area", "line", "reference")


@dataclass(frozen=True, slots=True)
class EdxMeasurement:
    """A composition that EDX measured at one place, as a file said it.

    ``import_id`` is common to all that came at once, ``row`` the line of the file from 1 (0 where it is not known).
    ``stage_mm`` is (x, y); ``place_px`` is (y, x) on the slide ``on_slide``, by the alignment it was read in with.
    ``note`` says what is doubtful in it.
    """

    id: int
    import_id: int
    source: str
    file_hash: str
    row: int
    label: str
    kind: str = "point"
    stage_mm: tuple[float, float] | None = None
    on_slide: int | None = None
    place_px: tuple[float, float] | None = None
    kv: float | None = None
    amounts: tuple[Amount, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class MeasurementLink:
    """The finding that a measurement belongs to; ``matched_by`` is "label", "position" or "user"."""

    id: int
    slide_id: int
    measurement_id: int
    finding_id: int
    matched_by: str


@dataclass(frozen=True, slots=True)
class StoredSpectrum:
    """The counts behind a measurement, as :mod:`microscope_qc.core.xray_spectrum` stores them."""

    id: int
    measurement_id: int
    data: str


@dataclass(frozen=True, slots=True)
class AreaRecord:
    """An area that a user declared complete: every defect of ``class_ids`` within ``outline`` is marked.

    ``drawn`` is when the program drew it at random ("" of an outline of a user). Before such an area was searched it
    has no classes, and ``user`` and ``declared`` are empty.
    """

    id: int
    slide_id: int
    outline: Outline
    class_ids: frozenset[int]
    user: str
    declared: str
    drawn: str = ""


@dataclass(frozen=True, slots=True)
class Standard:
    """What a user fixed to hold numbers against, by kind and name; ``kept`` is when."""

    id: int
    kind: str
    name: str
    data: dict[str, Any]
    user: str
    kept: str


@dataclass(frozen=True, slots=True)
class RunClass:
    """The class that a label of a run's model means."""

    id: int
    slide_id: int
    run_id: int
    label: int
    class_id: int


@dataclass(frozen=True, slots=True)
class ModelInUse:
    """The model that detections use unless another one is named.

    ``model`` is the name of a bundled model, or the path of a folder, from the project's folder where it is
    ``inside_project``.
    """

    id: int
    model: str
    name: str
    inside_project: bool


RUN_STATES = ("running", "finished", "stopped", "failed")


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One detection over a slide or a part of it. ``found`` counts all findings it brought, also those deleted since;
    ``name`` is what a user called it ("" where nobody did).

    ``settings`` are those of the plan (:attr:`RunPlan.settings <microscope_qc.project.runs.plan.RunPlan.settings>`) as
    they were stored when the run began.
    """

    id: int
    slide_id: int
    folder: Path
    plan: RunPlan
    settings: dict[str, Any]
    state: str
    started: str
    finished: str | None
    shown: bool
    found: int
    name: str = ""

    @property
    def title(self) -> str:
        """What a user called it, otherwise its model."""
        return self.name or self.plan.title


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of the project's history.

    ``kind`` is "command" (can be undone), "run" (switched on and off with the run), "made" (part of the project's
    making), "kept" (can no longer be undone because later findings rely on it) or "dropped" (was undone, and
    another command took its place). ``box_ids`` holds the first thousand of ``box_count`` boxes.
    """

    id: int
    time: str
    user: str
    title: str
    kind: str
    undone: bool
    slide_id: int | None = None
    box_ids: tuple[int, ...] = field(default_factory=tuple)
    box_count: int = 0
    run_id: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What a step of the history did to one row: ``kind`` is "added", "changed" or "removed".

    ``before`` and ``after`` name the columns that changed with their values, "" where there was or is no such row.
    """

    item: str
    kind: str
    before: str
    after: str
    slide_id: int | None = None
