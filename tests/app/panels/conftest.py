"""A real project over a small real picture for each test, without a main window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from panels_support import PIXEL_UM, findings, write_picture


@pytest.fixture(scope="session", autouse=True)
def patience() -> None:
    """Wait up to a minute where a test names no limit: pytest-qt's five seconds are too short on a busy computer."""
    from pytestqt.qtbot import QtBot

    for wait in (QtBot.waitUntil, QtBot.waitSignal, QtBot.waitSignals, QtBot.waitExposed, QtBot.waitActive):
        wait.__kwdefaults__["timeout"] = 60_000


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings of this test alone."""
    folder = tmp_path / "config"
    monkeypatch.setenv("MICROSCOPE_QC_CONFIG_DIR", str(folder))
    monkeypatch.setenv("MICROSCOPE_QC_MODELS", str(tmp_path / "own models"))
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Any]:
    """Two slides; twelve findings on the first."""
    from microscope_qc.project import Project

    slides = [write_picture(tmp_path / f"S{number}.png", seed=number) for number in (1, 2)]
    made = Project.create(tmp_path / "t.mqc", slides=slides)
    for slide in made.slides:
        made.slides.set_pixel_size(slide.id, PIXEL_UM)
    made.boxes.add(made.slides[0].id, findings(made.classes), title="Import")
    yield made
    made.close()


@pytest.fixture
def session(project: Any) -> Iterator[Any]:
    """A session on the project; its notices and centre requests are kept."""
    from microscope_qc.app.session.session import Session

    made = Session()
    made.seen = SimpleNamespace(notices=[], centred=[])  # type: ignore[attr-defined]
    made.notice.connect(made.seen.notices.append)  # type: ignore[attr-defined]
    made.centre_requested.connect(made.seen.centred.append)  # type: ignore[attr-defined]
    made.set_project(project)
    yield made


@pytest.fixture
def jobs(qtbot: Any) -> Iterator[Any]:
    """A job runner that is stopped at the end."""
    from microscope_qc.app.base.jobs import JobRunner

    runner = JobRunner()
    yield runner
    runner.close()
