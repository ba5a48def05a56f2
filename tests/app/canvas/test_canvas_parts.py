"""Parts of the canvas that need no window: view, gestures, settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.app.base import settings as settings_module
from microscope_qc.app.canvas.view import View, scale_bar
from microscope_qc.app.dialogs.palette import match_score
from microscope_qc.app.session.selection import Selection
from microscope_qc.app.widgets.class_chip import suggest_code


@given(
    st.floats(-1e5, 1e5), st.floats(-1e5, 1e5), st.floats(1e-3, 60), st.floats(0, 2000), st.floats(0, 1200),
    st.floats(0.2, 5),
)  # fmt: skip
def test_zooming_keeps_the_place_under_the_mouse(
    y: float, x: float, zoom: float, sx: float, sy: float, factor: float
) -> None:
    view = View(y, x, zoom, 1600, 1000)
    place = view.to_slide(sx, sy)
    assert view.to_screen(*place) == pytest.approx((sx, sy), abs=1e-3)
    after = view.zoomed(factor, sx, sy, least=1e-4)
    assert after.to_slide(sx, sy) == pytest.approx(place, abs=1e-6 * max(1, abs(y), abs(x)) + 1e-6 / zoom)


def test_the_scale_bar_names_its_unit() -> None:
    view = View(0, 0, 1.0, 1000, 800)
    assert scale_bar(view, (0.5, 0.5)) == (pytest.approx(100), "50 µm")
    assert scale_bar(view, None)[1] == "100 px"
    assert scale_bar(View(0, 0, 0.01, 1000, 800), (0.5, 0.5))[1] == "5 mm"


def test_the_selection_speaks_only_when_it_changes() -> None:
    selection = Selection()
    said: list[int] = []
    selection.changed.connect(lambda: said.append(len(selection)))
    selection.set([3, 1])
    selection.set([1, 3])
    assert (said, selection.current) == ([2], 1)
    selection.toggle(3)
    selection.toggle(9)
    assert (selection.ids.tolist(), selection.current) == ([1, 9], 9)
    selection.clear()
    assert selection.current is None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"theme": "purple"}', '{"shortcuts": 3}', "\x00\x01", '{"recent": {"a": 1}}']
)
def test_unreadable_settings_never_block_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setenv("MICROSCOPE_QC_CONFIG_DIR", str(tmp_path))
    (tmp_path / "settings.json").write_text(content)
    settings, words = settings_module.load_settings()
    assert settings.theme == "system"
    assert "could not be read" in words
    settings.theme = "dark"
    assert settings_module.save_settings(settings) == ""
    assert settings_module.load_settings()[0].theme == "dark"
    assert json.loads((tmp_path / "settings.json").read_text())["theme"] == "dark"


def test_settings_that_cannot_be_written_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MICROSCOPE_QC_CONFIG_DIR", str(tmp_path / "file" / "below"))
    assert "could not be saved" in settings_module.save_settings(settings_module.AppSettings())


@pytest.mark.parametrize(
    ("name", "code"),
    [("Anode hollow space", "AHS"), ("Scratch", "SCR"), ("Large pore", "LPO"), ("", ""), ("Überlänge", "ÜBE")],
)
def test_a_code_is_suggested_from_the_name(name: str, code: str) -> None:
    assert suggest_code(name, set()) == code
    if code:
        assert suggest_code(name, {code}) == f"{code}2"


def test_the_palette_prefers_beginnings_of_words() -> None:
    assert match_score("zoom", "View Fit slide") == 0
    assert match_score("fit", "Fit slide") > match_score("fit", "Outfit")
