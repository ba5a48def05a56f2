"""A project of two tiny slides for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_slides import write_slide

from microscope_qc.project import Project


@pytest.fixture
def slide_files(tmp_path: Path) -> list[Path]:
    """Two slides."""
    return [write_slide(tmp_path / f"S1 {number}.png", seed=number) for number in (45, 46)]


@pytest.fixture
def project(tmp_path: Path, slide_files: list[Path]) -> Iterator[Project]:
    """An open project with two slides and the Li-ion classes."""
    with Project.create(tmp_path / "cell.mqc", slides=slide_files) as made:
        yield made
