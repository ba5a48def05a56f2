"""Magnet and particle slides: determinism, tiling, boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microscope_qc.synthetic import MagnetSlide, ParticleSlide, coco_truth
from microscope_qc.synthetic.flat import FlatSlide

SHAPE = (1200, 1500)


@pytest.fixture(scope="module", params=[MagnetSlide, ParticleSlide])
def pair(request: pytest.FixtureRequest) -> tuple[FlatSlide, np.ndarray]:
    slide = request.param(SHAPE, seed=2, defects=9)
    return slide, slide.read(0, 0, *SHAPE)


@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_tiling_does_not_matter(pair: tuple[FlatSlide, np.ndarray], data: st.DataObject) -> None:
    slide, whole = pair
    y0, x0 = data.draw(st.integers(0, SHAPE[0] - 1)), data.draw(st.integers(0, SHAPE[1] - 1))
    y1 = data.draw(st.integers(y0 + 1, min(SHAPE[0], y0 + 600)))
    x1 = data.draw(st.integers(x0 + 1, min(SHAPE[1], x0 + 600)))
    np.testing.assert_array_equal(slide.read(y0, x0, y1, x1), whole[y0:y1, x0:x1])


def test_same_seed_same_slide(pair: tuple[FlatSlide, np.ndarray]) -> None:
    slide, whole = pair
    again = type(slide)(SHAPE, seed=2, defects=9)
    assert again.defects == slide.defects
    np.testing.assert_array_equal(again.read(500, 100, 700, 900), whole[500:700, 100:900])


def test_boxes_frame_what_the_defects_changed(pair: tuple[FlatSlide, np.ndarray]) -> None:
    slide, whole = pair
    clean = type(slide)(SHAPE, seed=2, defects=9, draw_defects=False).read(0, 0, *SHAPE)
    change = np.abs(whole.astype(np.float32) - clean).mean(axis=2) > 14
    assert len(slide.defects) == 9
    outside = change.copy()
    for d in slide.defects:
        y0, x0, y1, x1 = (int(v) for v in (d.y0, d.x0, d.y1, d.x1))
        inside = change[y0:y1, x0:x1]
        assert inside.any(axis=1).mean() > 0.8
        assert inside.any(axis=0).mean() > 0.8
        outside[y0 - 6 : y1 + 6, x0 - 6 : x1 + 6] = False
    assert outside.sum() == 0


def test_every_class_and_coco(pair: tuple[FlatSlide, np.ndarray]) -> None:
    slide, _ = pair
    assert {d.code for d in slide.defects} == set(slide.codes)
    document = coco_truth(slide, "a.tif")
    assert [c["name"] for c in document["categories"]] == list(slide.codes)
    assert len(document["annotations"]) == len(slide.defects)


def test_texture_tiles_without_a_seam(pair: tuple[FlatSlide, np.ndarray]) -> None:
    """Neighbouring rows and columns across the tile's border differ as much as inside it."""
    texture = pair[0].texture().astype(np.float32)[..., 0]
    inner = np.abs(np.diff(texture, axis=0)).mean()
    assert np.abs(texture[0] - texture[-1]).mean() < 1.35 * inner
    assert np.abs(texture[:, 0] - texture[:, -1]).mean() < 1.35 * inner
