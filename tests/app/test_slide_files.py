"""What file dialogs show of slides, and which slide a file inside a folder belongs to."""

from __future__ import annotations

from pathlib import Path

import pytest

from microscope_qc.app.base.slide_files import containing_slide, slide_filter


def test_the_filter_shows_every_kind_of_slide() -> None:
    assert slide_filter() == (
        "Slides and projects (*.czi *.tif *.tiff *.svs *.png *.jpg *.jpeg *.bmp *.webp *.jp2 *.j2k "
        "*.virtual.json project.sqlite zarr.json "
        ".zattrs .zgroup);;All files (*)"
    )


@pytest.mark.parametrize(
    ("chosen", "meant"),
    [
        ("a/S1.png", "a/S1.png"),
        ("a/cell.mqc/project.sqlite", "a/cell.mqc"),
        ("a/S1.ome.zarr/zarr.json", "a/S1.ome.zarr"),
        ("a/S1.ome.zarr/0/.zattrs", "a/S1.ome.zarr"),
        ("a/S1.zarr/labels/truth/0/zarr.json", "a/S1.zarr"),
        ("a/plain/.zgroup", "a/plain"),
    ],
)
def test_a_file_inside_a_store_means_the_store(chosen: str, meant: str) -> None:
    assert containing_slide(Path(chosen)) == Path(meant)
