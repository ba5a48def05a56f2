"""Where lies what can be made again, such as thumbnails and features."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Folder of what can be made again; ``MICROSCOPE_QC_CACHE`` moves it.

    Where the settings were moved, it lies beside them.
    """
    from platformdirs import user_cache_path

    chosen, settings = os.environ.get("MICROSCOPE_QC_CACHE"), os.environ.get("MICROSCOPE_QC_CONFIG_DIR")
    if chosen or settings:
        return Path(chosen) if chosen else Path(str(settings)) / "cache"
    return user_cache_path("microscope-qc", appauthor=False)
