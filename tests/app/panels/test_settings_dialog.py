"""The settings of the program, taken at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from microscope_qc.app.base.settings import AppSettings, load_settings, save_settings
from microscope_qc.app.dialogs.settings import SettingsDialog
from microscope_qc.slides.tile_cache import default_limit, shared_cache
from microscope_qc.workflows.plugins import InstalledPlugin

PLUGINS = [
    InstalledPlugin("statistic", "spread", "lab-a", "1.2", Path("site-packages")),
    InstalledPlugin("panel", "odd", "lab-a", "1.2", Path("site-packages"), "it is a str, not a PanelSpec."),
    InstalledPlugin("network", "net", "lab-b", "", None),
]


@pytest.fixture
def kept() -> list[bool]:
    """What the dialog said of the detector."""
    return []


@pytest.fixture
def opened(qtbot: Any, kept: list[bool]) -> Iterator[tuple[SettingsDialog, AppSettings, list[str]]]:
    """The dialog on settings of its own; the shared cache gets its limit back."""
    settings, themes = AppSettings(), []
    shared_cache().count_elsewhere(0)  # the window of tests before this one may hold tiles
    dialog = SettingsDialog(
        settings, use_theme=themes.append, keep_ready=kept.append, plugins=lambda: PLUGINS,
        save=lambda: save_settings(settings),
    )  # fmt: skip
    qtbot.addWidget(dialog)
    dialog.show()
    yield dialog, settings, themes
    shared_cache().set_limit(default_limit())


def test_memory_is_set_by_hand_and_given_back(opened: tuple) -> None:
    dialog, settings, _ = opened
    assert not dialog.memory.isEnabled()
    assert dialog.memory.value() == round(default_limit() / 1_000_000)
    dialog.own_memory.setChecked(True)
    assert dialog.memory.isEnabled()
    dialog.memory.selectAll()
    QTest.keyClicks(dialog.memory, "256")
    QTest.keyClick(dialog.memory, Qt.Key.Key_Return)
    assert shared_cache().limit == 256_000_000
    assert load_settings()[0].cache_mb == 256
    dialog.own_memory.setChecked(False)
    assert settings.cache_mb is None
    assert shared_cache().limit == default_limit()


def test_theme_and_zoom_take_effect_at_once(opened: tuple) -> None:
    dialog, settings, themes = opened
    dialog.theme.setCurrentIndex(dialog.theme.findData("dark"))
    assert themes == ["dark"]
    dialog.judge.setValue(80)
    assert settings.judge_zoom == 0.8
    assert load_settings()[0].judge_zoom == 0.8


def test_the_detector_is_kept_ready_or_not(opened: tuple, kept: list[bool]) -> None:
    dialog, settings, _ = opened
    assert dialog.ready.isChecked()
    QTest.mouseClick(dialog.ready, Qt.MouseButton.LeftButton, pos=dialog.ready.rect().center() * 0.2)
    assert kept == [False] and not settings.detector_ready and not load_settings()[0].detector_ready
    dialog.ready.click()
    assert kept == [False, True] and load_settings()[0].detector_ready


def test_plugins_are_listed_by_package_with_what_was_refused(opened: tuple) -> None:
    dialog, _, _ = opened
    dialog.pages.setCurrentWidget(dialog.plugins)
    tree = dialog.plugins.tree
    groups = [tree.topLevelItem(place) for place in range(tree.topLevelItemCount())]
    assert [group.text(0) for group in groups] == ["lab-a 1.2   site-packages", "lab-b"]
    lines = [[group.child(place).text(column) for column in range(3)] for group in groups for place in range(9)
             if group.child(place) is not None]  # fmt: skip
    assert lines == [
        ["statistic", "spread", "in use"],
        ["panel", "odd", "Refused: it is a str, not a PanelSpec."],
        ["network", "net", "in use"],
    ]
    assert dialog.plugins.words.text() == "2 packages, 3 plugins, 1 refused."
