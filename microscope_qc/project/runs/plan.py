"""What a run is to do: ``card.json`` in its folder, and a column of the project's table of runs.

Without torch. Nothing else reads or writes this JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError

from microscope_qc.core.errors import ProjectError
from microscope_qc.core.files import atomic_write
from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.core.orientation import AS_STORED
from microscope_qc.slides.plane import Plane

PLAN_NAME = "card.json"
EVERYTHING = "everything"
"""Scan area of a run that leaves out neither resin nor empty area."""
_NEEDED = ("slide", "model", "region", "tile_px", "overlap_px")


def _to_region(value: object) -> object:
    if isinstance(value, Sequence) and not isinstance(value, str):
        y0, x0, y1, x1 = (int(part) for part in value)
        return Region(y0, x0, y1, x1)
    return value


def _from_region(region: Region) -> list[int]:
    return [region.y0, region.x0, region.y1, region.x1]


RegionList = Annotated[Region, BeforeValidator(_to_region), PlainSerializer(_from_region)]
"""A region that is stored as [y0, x0, y1, x1]."""


class SlidePlace(BaseModel):
    """Where a run's slide was when the run was last started or continued.

    Attributes
    ----------
    path
        Absolute.
    scene
        None when the file has one scene only.
    pixel_size_um
        (y, x); None takes that of the file.
    orientation
        How the stored pixels are turned (:mod:`microscope_qc.core.orientation`).
    """

    model_config = ConfigDict(frozen=True)

    path: str
    scene: str | None = None
    pixel_size_um: tuple[float, float] | None = None
    orientation: int = AS_STORED


class RunPlan(BaseModel):
    """What a run is to do.

    All fields have defaults: a run of another program or an older version may lack some. :func:`read_plan`
    requires those without which nothing can be computed.

    Attributes
    ----------
    run_id, created
        Number of the run, and when it was started.
    slide
        Where the slide is.
    model, model_relative, model_name
        Name of a bundled model or the path of a model's folder; that path from the project's folder ("" for a bundled
        model); and the model's own name.
    weights
        Fingerprint of the model's weights, "" where it is not known.
    region
        Part of the slide, full-resolution pixels.
    tile_px, overlap_px, lattice_px
        Side and overlap of tiles, and where they may begin, full-resolution pixels; see
        :class:`microscope_qc.core.geometry.TileGrid`.
    scale
        Full-resolution pixels per model pixel (y, x).
    classes, class_names
        Codes and names of the model's classes; a candidate's label is an index into them.
    confidence, candidate_confidence
        Threshold that the model suggests, and the lowest confidence that is kept.
    told_apart
        Whether boxes of a class in one tile are kept as the model tells them apart; runs begun by earlier versions are
        continued without.
    device
        "auto", "cpu" or "cuda:0".
    skip_empty
        Whether resin and empty area are left out.
    area
        The scan area as one of the :attr:`settings`: the fingerprint of a mask, ``EVERYTHING``, or None where
        the program tells material from resin.
    plane
        The picture of a stack and the channels that were chosen, as
        :meth:`Plane.to_dict <microscope_qc.slides.plane.Plane.to_dict>` says it; None where nothing was chosen.
    """

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())

    run_id: int = 0
    created: str = ""
    slide: SlidePlace | None = None
    model: str = ""
    model_relative: str = ""
    model_name: str = ""
    weights: str = ""
    region: RegionList | None = None
    tile_px: int = 0
    overlap_px: int = 0
    lattice_px: tuple[float, float] = (0.0, 0.0)
    scale: tuple[float, float] = (1.0, 1.0)
    classes: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    confidence: float = 0.0
    candidate_confidence: float = 0.05
    told_apart: bool = False
    device: str = "auto"
    skip_empty: bool = False
    area: str | None = None
    plane: dict[str, int | list[int]] | None = None

    @property
    def title(self) -> str:
        """Name of the model, for users; "a model" where it is not known."""
        name = self.model_name or self.model.rstrip("/\\").replace("\\", "/").rpartition("/")[2]
        return name or "a model"

    @property
    def settings(self) -> dict[str, object]:
        """What makes two runs over a slide the same: a run with equal settings is continued."""
        settings: dict[str, object] = {
            "model": self.model_name,
            "weights": self.weights,
            "region": None if self.region is None else _from_region(self.region),
            "scale": [round(value, 6) for value in self.scale],
        }
        if self.area is not None:
            settings["area"] = self.area
        if self.plane is not None:
            settings["plane"] = self.plane
        return settings

    def chosen_plane(self) -> Plane | None:
        """The plane that was chosen; None where nothing was.

        Raises
        ------
        ProjectError
            When it cannot be read.
        """
        try:
            return None if self.plane is None else Plane.from_dict(self.plane)
        except ValueError as error:
            raise ProjectError(f"Run {self.run_id} does not say which plane it looks at ({error}).") from error

    def grid(self) -> TileGrid:
        """Tiles of the run.

        Raises
        ------
        ProjectError
            When the plan has no tiles.
        """
        try:
            if self.region is None:
                raise ValueError("no region")
            return TileGrid(self.region, self.tile_px, self.overlap_px, self.lattice_px)
        except ValueError as error:
            raise ProjectError(f"Run {self.run_id} does not say which tiles it has ({error}).") from error

    def document(self) -> dict[str, object]:
        """The fields that were set, as JSON values."""
        return self.model_dump(mode="json", exclude_unset=True)


def plan_of(document: str) -> RunPlan:
    """Read a plan from the project's table; an empty one where it is damaged, so that the project opens."""
    try:
        return RunPlan.model_validate(json.loads(document))
    except (ValueError, RecursionError):  # pydantic's error is a ValueError too
        return RunPlan()


def read_plan(folder: Path) -> RunPlan:
    """Read the plan of the run in a folder.

    Raises
    ------
    ProjectError
        When the folder holds no run, or its plan lacks something.
    """
    try:
        data = json.loads((folder / PLAN_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ProjectError(
            f"{folder} is not the folder of a detection ({error}).", hint="Start the detection again."
        ) from error
    missing = [name for name in _NEEDED if not isinstance(data, dict) or name not in data]
    if missing:
        raise ProjectError(f"The plan of the run {folder} lacks {', '.join(missing)}.")
    try:
        return RunPlan.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ProjectError(f"The plan of the run {folder} is damaged: {where}: {first['msg']}.") from error


def write_plan(folder: Path, plan: RunPlan) -> None:
    """Write a run's plan into its folder."""
    atomic_write(folder / PLAN_NAME, json.dumps(plan.document(), indent=1, ensure_ascii=False))
