"""What the window remembers between starts: theme, shortcuts, recent projects, workspaces.

One small file. If it cannot be read, it is set aside; it never blocks the start.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, Literal

from platformdirs import user_config_path
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.files import atomic_write
from microscope_qc.correlation.sites import USUAL_PATTERN

log = logging.getLogger(__name__)

RECENT = 12


class AppSettings(BaseModel):
    """Contents of the settings file; unknown fields of a newer version are dropped, invalid ones make it unreadable."""

    model_config = ConfigDict(extra="ignore", validate_assignment=True)

    theme: Literal["system", "light", "dark"] = "system"
    shortcuts: dict[str, list[str]] = Field(default_factory=dict)
    recent: list[str] = Field(default_factory=list)
    workspace: str = "annotate"
    layouts: dict[str, str] = Field(default_factory=dict)  # workspace -> QMainWindow.saveState as hex
    dock_sizes: dict[str, dict[str, tuple[int, int]]] = Field(default_factory=dict)  # workspace -> panel -> px
    column_widths: dict[str, dict[str, int]] = Field(default_factory=dict)  # panel -> title of a column -> px
    splitters: dict[str, list[int]] = Field(default_factory=dict)  # "panel place" -> px
    geometry: str = ""
    cache_mb: int | None = Field(default=None, ge=32, le=1_000_000)  # decoded tiles; None: see default_limit
    legend: bool = True  # on the canvas
    legend_folded: bool | None = None  # None: where it would cover much of the canvas
    declared_areas: bool = True  # outlined on the canvas
    position_unit: str = ""  # of the dialog that goes to a position
    stage_order: Literal["short", "worst", "severity", "number"] = "short"  # of the travel list
    stage_unit: Literal["mm", "um"] = "mm"  # of coordinate tables and drive sheet
    edx_sites: str = USUAL_PATTERN  # how labels of EDX spectra name sites and points
    edx_columns: dict[str, dict[str, Any]] = Field(default_factory=dict)  # layout of a table -> what its columns hold
    slide_columns: list[str] = Field(default_factory=lambda: ["findings", "left"])  # of the list of slides
    slide_order: tuple[str, bool] = ("", False)  # column that sorts it ("": as added), whether downwards
    judge_zoom: float = Field(
        default=0.5, ge=0.01, le=4.0
    )  # screen pixels per slide pixel from which an area counts as viewed
    learn_start: Literal["backbone", "model in use", "random"] = "backbone"  # what trainings start from
    classifier: dict[str, str] = Field(default_factory=dict)  # loss and sampling of trainings
    statistics: dict[str, str] = Field(default_factory=dict)  # choices on its page
    report: dict[str, str] = Field(default_factory=dict)  # choices in its dialog
    tour_seen: bool = False  # or declined: it is not offered again
    detector_ready: bool = True  # the process for models is started before it is needed, and kept

    def add_recent(self, path: Path) -> None:
        """Put a project first in the list of recent ones."""
        text = str(path)
        self.recent = [text, *(item for item in self.recent if item != text)][:RECENT]


def apply_cache_limit(settings: AppSettings) -> None:
    """Limit the cache of decoded tiles as the settings say."""
    from microscope_qc.slides.tile_cache import default_limit, shared_cache

    wanted = settings.cache_mb
    shared_cache().set_limit(default_limit() if wanted is None else wanted * 1_000_000)


def config_folder() -> Path:
    """Folder of the settings; ``MICROSCOPE_QC_CONFIG_DIR`` moves it."""
    chosen = os.environ.get("MICROSCOPE_QC_CONFIG_DIR")
    return Path(chosen) if chosen else user_config_path("microscope-qc", appauthor=False)


def settings_path() -> Path:
    """The settings file."""
    return config_folder() / "settings.json"


def load_settings() -> tuple[AppSettings, str]:
    """Read the settings; returns them and a sentence for the user ("" when all is well)."""
    path = settings_path()
    try:
        return AppSettings.model_validate_json(path.read_text(encoding="utf-8")), ""
    except FileNotFoundError:
        return AppSettings(), ""
    except (OSError, ValueError, ValidationError) as error:
        log.warning("settings unreadable: %s", error)
        aside = path.with_suffix(".unreadable.json")
        try:
            path.replace(aside)
        except OSError as moving:
            log.warning("cannot set them aside: %s", moving)
            return AppSettings(), f"The settings could not be read; defaults are used. The file is {path}."
        return AppSettings(), f"The settings could not be read; defaults are used. The old file is now {aside.name}."


def save_settings(settings: AppSettings) -> str:
    """Write the settings at once; returns a sentence for the user when that fails, "" otherwise."""
    try:
        atomic_write(settings_path(), settings.model_dump_json(indent=1))
    except MicroscopeQCError as error:
        log.warning("settings not written: %s", error)
        return f"The settings could not be saved: {error}"
    return ""
