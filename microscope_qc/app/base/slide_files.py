"""Slides in file dialogs, which cannot choose both files and folders."""

from __future__ import annotations

from pathlib import Path

PROJECT_FILE, PROJECT_SUFFIX = "project.sqlite", ".mqc"


def slide_filter() -> str:
    """What file dialogs show: slides, projects, and files inside folders that are slides or projects."""
    from microscope_qc.slides.registry import file_suffixes, inside_folders

    patterns = [*(f"*{suffix}" for suffix in file_suffixes()), PROJECT_FILE, *inside_folders()]
    return f"Slides and projects ({' '.join(patterns)});;All files (*)"


def containing_slide(path: Path) -> Path:
    """Return the project or OME-Zarr folder that a chosen file is part of; any other path as it is."""
    from microscope_qc.slides.registry import READERS, inside_folders

    if path.name not in (PROJECT_FILE, *inside_folders()):
        return path
    folder = path.parent
    stores = {
        PROJECT_SUFFIX,
        *(suffix for reader in READERS.values() if reader.is_folder for suffix in reader.suffixes),
    }
    # a file of a level or a label inside the store means the store as well
    for above in (folder, *folder.parents[:3]):
        if above.suffix.lower() in stores:
            return above
    return folder
