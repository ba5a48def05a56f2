"""Score map and comparison in the window, as a user sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from microscope_qc.app.base.score_colours import scale_colours
from microscope_qc.app.canvas.scores.heat_layer import parts_around, placed
from microscope_qc.app.canvas.view import View
from microscope_qc.app.session.score_map import ScorePicture
from microscope_qc.core.boxes import make_rows
from microscope_qc.core.geometry import Region
from microscope_qc.project.runs.heatmap import HeatMap
from microscope_qc.project.runs.map_card import MapCard
from microscope_qc.project.runs.plan import RunPlan

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from microscope_qc.app.shell.main_window import MainWindow

pytestmark = pytest.mark.window


def a_run(window: MainWindow, count: int = 0, *, shift_px: float = 0.0) -> Any:
    """A finished run over the first slide with findings in a raster."""
    project = window.session.project
    slide = project.slides[0]
    run = project.runs.start(slide.id, RunPlan(model="net", region=[0, 0, *slide.shape_px]))
    if count:
        place = np.arange(count)
        y, x = 2.0 + 3.4 * (place // 400), 2.0 + 3.9 * (place % 400) + shift_px
        columns = {"y0": y, "x0": x, "y1": y + 3, "x1": x + 3, "confidence": 0.05 + 0.9 * (place % 97) / 97}
        project.runs.add_findings(run.id, make_rows(count, class_id=project.classes[0].id, **columns))
    return project.runs.finish(run.id, "finished")


def pixel(window: MainWindow, y: float, x: float) -> np.ndarray:
    """Colour of the canvas at a place of the slide."""
    image = window.canvas.picture.native.grabFramebuffer()
    left, top = window.canvas.view.to_screen(y, x)
    ratio = image.devicePixelRatio()
    return np.array(image.pixelColor(round(left * ratio), round(top * ratio)).getRgb()[:3], float)


def test_scores_lie_over_the_slide_where_it_was_scanned(window: MainWindow, qtbot: QtBot) -> None:
    run = a_run(window)
    heat = HeatMap.create(run.folder, MapCard((0.0, 0.0), (100.0, 100.0), (12, 16), ("ACP",)))
    values = np.full((1, 6, 16), 0.0, np.float32)
    values[0, 4, 2] = 1.0
    heat.add(Region(0, 0, 600, 1600), values, start_px=(0, 0), step_px=(100, 100))
    heat.flush()
    details = window.navigator.show_panel("detect").run_details
    window.canvas.fit_slide()
    qtbot.waitUntil(lambda: window.canvas.picture.complete, timeout=60_000)
    places = {"high": (450, 250), "low": (150, 1250), "not scanned": (950, 650)}
    before = {name: pixel(window, *place) for name, place in places.items()}
    details.scores.read()
    qtbot.waitUntil(details.score_panel.switch.isEnabled)
    details.score_panel.switch.click()
    qtbot.waitUntil(lambda: details.scores.shown)
    details.score_panel.strength.setValue(50)
    scale = scale_colours().astype(float)
    for name, share in (("high", scale[-1, :3]), ("low", scale[0, :3]), ("not scanned", before["not scanned"])):
        np.testing.assert_allclose(pixel(window, *places[name]), (before[name] + share) / 2, atol=3, err_msg=name)
    (layer,) = [child for child in window.canvas.children() if type(child).__name__ == "HeatLayer"]
    assert layer.scale.isVisible() and (layer.scale.title, layer.scale.low, layer.scale.high) == (
        "Highest score", "0", "1",
    )  # fmt: skip
    window.canvas.zoom_by(20)
    window.canvas.go_to(420, 299)  # at the border of two cells, single pixels as large as a finger
    for x, share in ((296, scale[-1, :3]), (304, scale[0, :3])):
        details.score_panel.strength.setValue(100)
        np.testing.assert_allclose(pixel(window, 420, x), share, atol=3)
    details.score_panel.switch.click()
    window.canvas.fit_slide()
    np.testing.assert_allclose(pixel(window, *places["high"]), before["high"], atol=3)
    assert not layer.scale.isVisible()


def test_a_detail_is_drawn_instead_of_what_is_below_it() -> None:
    outer, inner = (0.0, 0.0, 100.0, 80.0), (20.0, -10.0, 50.0, 30.0)
    parts = parts_around(outer, inner)
    assert sum((y1 - y0) * (x1 - x0) for y0, x0, y1, x1 in parts) == 100 * 80 - 30 * 30
    assert parts_around(outer, (200.0, 0.0, 300.0, 10.0)) == parts_around(outer, None) == [outer]
    assert parts_around(outer, (-1.0, -1.0, 200.0, 200.0)) == []

    picture = ScorePicture(np.zeros((1, 1, 4), np.uint8), (0.0, 0.0), (2.0, 4.0), (0.0, 0.0, 1e6, 1e6), False)
    view = View(y=500_000.5, x=400_000.25, zoom=32.0, width=800, height=600)
    places, cells = placed(picture, [picture.bounds_px], view)
    assert places.tolist() == [[-400.0, -300.0, 400.0, 300.0]], "cut to the screen: nothing is shifted far out"
    assert cells[0].tolist() == [(400_000.25 - 12.5) / 4, (500_000.5 - 9.375) / 2,
                                 (400_000.25 + 12.5) / 4, (500_000.5 + 9.375) / 2]  # fmt: skip


def test_a_hundred_thousand_findings_are_compared_while_the_window_answers(window: MainWindow, qtbot: QtBot) -> None:
    from qtpy.QtCore import QTimer

    count = 100_000
    first, second = a_run(window, count), a_run(window, count, shift_px=0.6)
    total = len(window.session.shown_rows())
    assert count <= total < count + 10, "what both found is there once"
    details = window.navigator.show_panel("detect").run_details
    (strip,) = [child for child in window.canvas.children() if child.objectName() == "compareStrip"]
    assert not strip.isVisible()
    beats: list[int] = []
    clock = QTimer(window)
    clock.timeout.connect(lambda: beats.append(1))
    clock.start(0)
    details.comparison.start(first.id, second.id)
    assert strip.isVisible() and "…" in strip.first.text()
    beats.clear()
    qtbot.waitUntil(lambda: details.comparison.counts is not None, timeout=60_000)
    assert beats, "other events were handled while findings were matched"
    clock.stop()
    assert details.comparison.counts == {"both": count, "first": 0, "second": 0}
    assert len(window.session.shown_rows()) == count
    strip.chips["both"].click()
    assert len(window.session.shown_rows()) == 0
    strip.end.click()
    assert not strip.isVisible() and len(window.session.shown_rows()) == total
