"""The page at the start."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtGui import QColor, QImage

from microscope_qc.app.base.settings import AppSettings
from microscope_qc.app.shell import welcome
from microscope_qc.core.errors import InputError

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

pytestmark = pytest.mark.window


def test_pictures_that_are_there_are_shown_and_others_left_out(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    colours = {"annotate": "#ff0000", "review": "#00ff00"}
    for name, colour in colours.items():
        image = QImage(1600, 1000, QImage.Format.Format_RGB32)
        image.fill(QColor(colour))
        assert image.save(str(tmp_path / f"{name}.png"))
    (tmp_path / "sem.png").write_bytes(b"cut off")

    def find(*parts: str) -> Path:
        if parts[0] != "welcome":
            raise InputError("not here")
        return tmp_path / parts[1]

    monkeypatch.setattr(welcome, "resource", find)
    page: Any = welcome.WelcomePage(AppSettings())
    qtbot.addWidget(page)
    page.resize(1366, 700)
    with qtbot.waitExposed(page):
        page.show()
    pictures = page.findChildren(welcome.Screenshot)
    assert [(picture.width(), picture.height()) for picture in pictures] == [(280, 175)] * 2
    for picture, colour in zip(sorted(pictures, key=lambda item: item.x()), colours.values(), strict=True):
        assert picture.grab().toImage().pixelColor(140, 87) == QColor(colour)
