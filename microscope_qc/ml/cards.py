"""The card beside a model's weights, which describes the model. No torch in here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from microscope_qc.core.errors import ModelError
from microscope_qc.core.files import atomic_write, special_kind

CARD_NAME = "model.json"
WEIGHTS_NAME = "weights.safetensors"
LARGEST_BYTES = 16 << 20
MOST_CLASSES = 1000
SMALLEST_STEP_PX = 16
"""Distance of neighbouring tiles: with less of it, a slide would have millions of tiles."""
MOST_WINDOWS = 100_000
"""Windows in a tile."""
SMALLEST_PIXEL_UM, LARGEST_PIXEL_UM = 1e-5, 1e4
_LONGEST_CODE = 200
_DEEPEST_NAMED = 4


def _one_line(text: str) -> str:
    """Without line breaks and control characters, which would break tables, file names and the terminal."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _name(text: str) -> str:
    name = _one_line(text)
    if not name:
        raise ValueError("it is empty")
    return name


Line = Annotated[str, AfterValidator(_one_line)]
Code = Annotated[str, Field(max_length=_LONGEST_CODE), AfterValidator(_name)]
PixelSize = Annotated[float, Field(ge=SMALLEST_PIXEL_UM, le=LARGEST_PIXEL_UM)]
Mean = Annotated[float, Field(ge=0, le=1)]
Deviation = Annotated[float, Field(ge=1e-3, le=10)]


class WindowSettings(BaseModel):
    """How a window classifier or an anomaly model scans a slide.

    Attributes
    ----------
    window_px, stride_px
        Side of a window and distance between windows, in pixels of the model's size.
    scales
        Windows are also scanned this many times larger (an image pyramid); 1 is the model's own size.
    cam_share
        A finding's box encloses what is above this share of the maximum of the window's map: its class activations, or
        the errors of an anomaly model.
    input_px
        Side to which a window is scaled for the network, of a model that has learned from whole pictures: it sees a
        picture as one window, whatever its size. None where windows are seen as they are.
    shared
        Whether neighbouring windows share their features where the network allows it; they then see a little beyond
        their border, instead of padding.
    """

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    window_px: int = Field(gt=0, le=4096)
    stride_px: int = Field(gt=0, le=4096)
    scales: tuple[float, ...] = Field(default=(1.0,), min_length=1, max_length=8)
    cam_share: float = Field(default=0.45, gt=0, lt=1)
    input_px: int | None = Field(default=None, gt=0, le=4096)
    shared: bool = True

    @model_validator(mode="after")
    def _consistent(self) -> WindowSettings:
        if self.stride_px > self.window_px:
            raise ValueError("windows leave gaps: their stride is larger than they are")
        distinct = len(set(self.scales)) == len(self.scales)
        if self.scales[0] != 1 or min(self.scales) < 1 or max(self.scales) > 16 or not distinct:
            raise ValueError("scales must begin with 1, be different, and be at most 16")
        return self


class AnomalySettings(BaseModel):
    """From a window's mean squared error, in the units of the normalisation, to a confidence: a logistic curve.

    Attributes
    ----------
    threshold
        The error at which the confidence is 0.5.
    spread
        How much more error raises the confidence from 0.5 to 0.73; three times as much raises it to 0.95.
    """

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    threshold: float = Field(gt=0, le=1e6)
    spread: float = Field(gt=0, le=1e6)


Ratio = Annotated[float, Field(ge=0, le=1e6)]
Activation = Annotated[float, Field(ge=-1e9, le=1e9)]
Spread = Annotated[float, Field(gt=0, le=1e9)]


class Familiar(BaseModel):
    """What the tiles that a model learned from look like, so that a slide unlike them is noticed.

    Attributes
    ----------
    brightness, contrast
        Lowest and highest mean, and standard deviation, of a tile's grey values (0 to 255).
    mean, spread
        Of each of the network's deepest features, averaged over a tile; empty where the network gives none.
    usual
        Distance from the mean, in spreads, that 95 % of the tiles stay below.
    """

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    brightness: tuple[Ratio, Ratio]
    contrast: tuple[Ratio, Ratio]
    mean: list[Activation] = Field(default_factory=list, max_length=4096)
    spread: list[Spread] = Field(default_factory=list, max_length=4096)
    usual: Ratio = 0.0

    @model_validator(mode="after")
    def _consistent(self) -> Familiar:
        if len(self.mean) != len(self.spread):
            raise ValueError("mean and spread of the features differ in length")
        return self


class ModelCard(BaseModel):
    """What a model finds, at which pixel size, and how well.

    Attributes
    ----------
    task, architecture
        Names in the registries of tasks and networks; they may be unknown to this program.
    classes
        Short codes; a candidate's label is an index into them.
    pixel_size_um
        Pixel size the model works at; None where images are used as they are.
    trained_at_um
        Pixel size of the slides that it learned from, where they had one: theirs are fit for it, too.
    tile_px, overlap_px
        Side and overlap of tiles, in pixels of the model's size.
    mean, std
        Normalisation of red, green and blue (0 to 1).
    confidence
        Findings below it are initially hidden.
    trained_on
        One line for the user.
    network
        Settings of the architecture.
    windows
        How a classifier or an anomaly model scans a slide; None for other tasks.
    anomaly
        Which errors of an anomaly model are anomalous; None for other tasks.
    familiar
        What its training data look like; None where that was not stored.
    """

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    format: Literal[1] = 1
    name: Code
    task: Code
    architecture: Code
    network: dict[str, JsonValue] = Field(default_factory=dict)
    classes: list[Code] = Field(min_length=1, max_length=MOST_CLASSES)
    class_names: list[Line] = Field(max_length=MOST_CLASSES)
    pixel_size_um: PixelSize | None = None
    trained_at_um: PixelSize | None = None
    tile_px: int = Field(ge=32, le=8192)
    overlap_px: int = Field(ge=0)
    mean: tuple[Mean, Mean, Mean]
    std: tuple[Deviation, Deviation, Deviation]
    confidence: float = Field(ge=0, le=1)
    trained_on: Line = ""
    windows: WindowSettings | None = None
    anomaly: AnomalySettings | None = None
    familiar: Familiar | None = None
    metrics: dict[str, JsonValue] = Field(default_factory=dict)
    fingerprint: str = ""
    training: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> ModelCard:
        if self.overlap_px >= self.tile_px:
            raise ValueError("tiles overlap by more than their size")
        if len(self.class_names) != len(self.classes):
            raise ValueError("classes and class_names differ in length")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("a class is listed twice")
        if self.tile_px - self.overlap_px < SMALLEST_STEP_PX:
            raise ValueError(f"tiles are less than {SMALLEST_STEP_PX} px apart")
        if self.windows is not None and (self.tile_px // self.windows.stride_px + 1) ** 2 > MOST_WINDOWS:
            raise ValueError(f"a tile has more than {MOST_WINDOWS} windows")
        return self


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong: ``mean.2: Input should be less than or equal to 1``."""
    first = error.errors()[0]
    where = ".".join(_one_line(str(part))[:40] for part in first["loc"][:_DEEPEST_NAMED])
    said = "is not known" if first["type"] == "extra_forbidden" else str(first["msg"]).removeprefix("Value error, ")
    return f"{where}: {said}" if where else said


def read_card(folder: Path) -> ModelCard:
    """Read the card of a model folder.

    Raises
    ------
    ModelError
        When there is none, or it is invalid.
    """
    path = folder / CARD_NAME
    kind = special_kind(path)
    if kind:
        raise ModelError(f"The model card {path} is {kind}, not a file.", hint="Copy the model again.")
    try:
        large = path.stat().st_size > LARGEST_BYTES
        data = None if large else json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{folder} is not a model: it has no {CARD_NAME}.", hint="Choose a model's folder.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"The model card {path} cannot be read ({error}).", hint="Copy the model again.") from error
    if large:
        raise ModelError(f"{path} is too large to be a model card.", hint="Copy the model again.")
    if isinstance(data, dict) and isinstance(data.get("format"), int) and data["format"] > 1:
        raise ModelError(f"{folder.name} was made by a newer version of microscope-qc.", hint="Update microscope-qc.")
    try:
        return ModelCard.model_validate(data)
    except ValidationError as error:
        raise ModelError(
            f"The model card {path} is invalid: {first_problem(error)}.", hint="Copy the model again."
        ) from error


def write_card(card: ModelCard, folder: Path) -> None:
    """Write the card into a model folder."""
    atomic_write(folder / CARD_NAME, json.dumps(card.model_dump(), ensure_ascii=False, indent=2) + "\n")
