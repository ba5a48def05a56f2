"""Orders, speeds and words: no window."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("qtpy")
from microscope_qc.app.panels.detect.estimate import Estimate, grid_of, share_words
from microscope_qc.app.panels.detect.pace import FILE, remember, tiles_per_second
from microscope_qc.app.session.orders import order_rows
from microscope_qc.core.boxes import FindingFlag, make_rows
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.geometry import Region


def test_what_a_user_drew_counts_as_most_confident() -> None:
    rows = make_rows(3, id=[1, 2, 3], confidence=[0.2, np.nan, 0.9])
    assert order_rows(rows, "most_confident").tolist() == [1, 2, 0]
    assert order_rows(rows, "least_confident").tolist() == [0, 2, 1]


def test_position_reads_in_bands() -> None:
    rows = make_rows(4, id=[1, 2, 3, 4], y0=[0, 30, 900, 10], x0=[50, 10, 0, 90])
    rows["y1"], rows["x1"] = rows["y0"] + 10, rows["x0"] + 10
    assert order_rows(rows, "position").tolist() == [1, 0, 3, 2]


def test_an_unknown_order_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown order"):
        order_rows(make_rows(1), "by colour")


def test_what_models_disagree_about_comes_first_and_each_part_worst_first() -> None:
    rows = make_rows(4, id=[1, 2, 3, 4], class_id=1, x1=[10, 20, 30, 40], y1=10)
    rows["flags"] = [FindingFlag.DISPUTED, 0, FindingFlag.DISPUTED | FindingFlag.CLASS, FindingFlag.CLASS]
    classes = [DefectClass("ACP", "Anode coating pore", id=1)]
    order = order_rows(rows, "disputed", classes=classes)
    worst = order_rows(rows, "worst", classes=classes).tolist()
    assert order.tolist() == [n for n in worst if n in (0, 2)] + [n for n in worst if n in (1, 3)]
    assert order.tolist() != worst


def test_speeds_are_kept_per_model_and_a_broken_file_is_no_harm(own_settings: Path) -> None:
    assert tiles_per_second("a") is None
    remember("a", 2.5)
    remember("b", 0.0)
    remember("c", math.nan)
    assert tiles_per_second("a") == 2.5
    assert tiles_per_second("b") is None and tiles_per_second("c") is None
    (own_settings / FILE).write_text('{"x": [')
    assert tiles_per_second("a") is None
    remember("a", 4.0)
    assert tiles_per_second("a") == 4.0


def test_a_model_of_coarser_pixels_needs_fewer_tiles() -> None:
    slide = SimpleNamespace(shape_px=(4096, 4096), pixel_size_um=(0.5, 0.5))
    for pixel_um, tiles in ((0.5, 64), (1.0, 16), (None, 64)):
        known = {"task": "detect", "architecture": "ssd", "network": {}}
        card = SimpleNamespace(**known, name="m", tile_px=512, overlap_px=0, pixel_size_um=pixel_um)
        assert len(grid_of(card, slide, None)) == tiles
        for unknown in ({"task": "of another package"}, {"architecture": "of another package"}):
            foreign = SimpleNamespace(**vars(card) | unknown)
            estimate = Estimate(SimpleNamespace(slide=slide), lambda foreign=foreign: foreign)
            assert estimate.words(None, None, at_most=False, in_view=None) == ""
    assert len(grid_of(card, slide, Region(0, 0, 1024, 512))) == 2


def test_the_tiles_that_are_promised_are_those_of_the_run(tmp_path: Path) -> None:
    from PIL import Image

    from microscope_qc.ml.cards import read_card
    from microscope_qc.ml.library import model_folder
    from microscope_qc.project import Project
    from microscope_qc.workflows.detection.run import prepare_run

    Image.new("L", (9000, 7000)).save(tmp_path / "S1.png")
    with Project.create(tmp_path / "P.mqc", slides=[tmp_path / "S1.png"]) as project:
        slide = project.slides.set_pixel_size(project.slides[0].id, 0.31)
        for region in (None, Region(100, 333, 6000, 8000)):
            run = prepare_run(project, slide.id, "li-ion-ssd", region=region)
            assert grid_of(read_card(model_folder("li-ion-ssd")), slide, region) == run.plan.grid()


def test_a_share_is_said_with_as_many_digits_as_it_has() -> None:
    def words(share: float, tiles: int = 62, seconds: float | None = 31.0) -> str:
        return share_words(tiles, share, area="slide", seconds=seconds)

    assert words(0.1, 0) == "Nothing of the slide will be scanned."
    assert words(0.621) == "<b>62 %</b> of the slide will be scanned: about <b>0:31</b> (62 tiles)."
    assert words(1.0, 1, None) == "<b>All</b> of the slide will be scanned: 1 tile."
    assert "<b>0.4 %</b>" in words(0.004) and "<b>99.9 %</b>" in words(0.99999) and "Under 0.1 %" in words(1e-5)
