"""Slides in file dialogs, which cannot choose files and folders alike."""

from __future__ import annotations

from pathlib import Path

SLIDE_FILTER = (
    "Slides and projects (*.czi *.tif *.tiff *.svs *.png *.jpg *.jpeg project.sqlite zarr.json .zattrs);;All files (*)"
)
INSIDE_FOLDERS = {"project.sqlite", "zarr.json", ".zattrs", ".zgroup"}
"""Files that stand for the folder they lie in."""


def the_slide(path: Path) -> Path:
    """The folder that a file inside a project or an OME-Zarr stands for; any other path as it is."""
    if path.name in INSIDE_FOLDERS:
        folder = path.parent
        # a level or a label inside the store stands for the store, too
        for above in (folder, *folder.parents[:3]):
            if above.suffix.lower() in {".mqc", ".zarr"}:
                return above
        return folder
    return path
