"""The theme is switched while the window is open: everything follows, as if it had been made so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QApplication, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.widgets.crops import CropProvider

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from microscope_qc.app.shell.main_window import MainWindow

pytestmark = pytest.mark.window

PANELS = (
    "slides", "classes", "bookmarks", "card", "detect", "sem", "display", "history", "table",
    "areas", "jobs", "log",
)  # fmt: skip
MOST_PX = 60
"""Pixels that may differ: a cursor, a focus."""


@pytest.fixture
def light(window: MainWindow) -> Iterator[MainWindow]:
    """The window in the light theme, with a finding selected, a class without a group and one with."""
    before = window.settings.theme
    window.theme_switcher.use("light")
    session = window.session
    session.project.classes.edit(session.classes[0].id, group="")
    session.selection.set([int(session.table.rows["id"][2])])
    yield window
    window.theme_switcher.use(before)


def test_panels_look_as_if_they_had_been_made_in_the_new_theme(light: MainWindow, qtbot: QtBot) -> None:
    def shown(name: str) -> QWidget:
        host = QWidget()
        qtbot.addWidget(host)
        host.resize(420, 520)
        panel = light.docks[name].spec.factory(light.context, host)
        panel.setGeometry(0, 0, 420, 520)
        host.show()
        return host

    old = {name: shown(name) for name in PANELS}
    light.theme_switcher.use("dark")
    new = {name: shown(name) for name in PANELS}
    unlike = {name: differing(still(old[name], qtbot), still(new[name], qtbot)) for name in PANELS}
    assert {name: count for name, count in unlike.items() if count > MOST_PX} == {}


def test_the_list_of_layers_follows_the_theme(light: MainWindow) -> None:
    """It holds napari's own widgets, of which there is one."""
    panel = light.navigator.show_panel("layers")
    assert panel is not None
    sheets = []
    for name in ("light", "dark"):
        light.theme_switcher.use(name)
        assert light.canvas.picture.model.theme == name
        sheets.append(panel.widget().styleSheet())
    assert sheets[0] != sheets[1]
    light.docks["layers"].hide()


def still(widget: QWidget, qtbot: QtBot) -> QImage:
    """A picture of a widget that has stopped changing."""
    pictures: list[QImage] = []

    def is_still() -> bool:
        picture = widget.grab().toImage()
        busy = any(crops.waiting for crops in widget.findChildren(CropProvider))
        if busy or (pictures and pictures[-1] != picture):
            pictures.clear()
        pictures.append(picture)
        return len(pictures) > 8

    qtbot.waitUntil(is_still)
    return pictures[-1]


def differing(one: QImage, other: QImage) -> int:
    """Number of pixels that are clearly not the same."""
    a, b = (
        np.frombuffer(p.convertToFormat(QImage.Format.Format_RGB32).constBits(), np.uint8).reshape(p.height(), -1, 4)
        for p in (one, other)
    )
    return int((np.abs(a[..., :3].astype(int) - b[..., :3]).max(axis=2) > 24).sum())


def test_what_a_style_sheet_says_of_properties_follows_them(light: MainWindow, qtbot: QtBot) -> None:
    from qtpy.QtWidgets import QLabel

    label = QLabel("not a number")
    qtbot.addWidget(label)
    for wrong in (True, False):
        theme.mark_error(label, wrong)
        colours = theme.current()
        assert label.palette().windowText().color().name() == (colours.error if wrong else colours.text)
    assert QApplication.instance() is not None
