"""The electrode slide: same pixels however it is read, and boxes that are true."""

from __future__ import annotations

import pickle
from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microscope_qc.synthetic import ElectrodeSlide, coco_truth
from microscope_qc.synthetic.electrode import MUTUAL_GAP_PX, SHARES
from microscope_qc.synthetic.stack import SHORT_STACK_LENGTH_PX, stack_atlas

SHAPE = (1500, 1536)
SEED = 5


@pytest.fixture(scope="module")
def slide() -> ElectrodeSlide:
    return ElectrodeSlide(SHAPE, seed=SEED, defects=12)


@pytest.fixture(scope="module")
def whole(slide: ElectrodeSlide) -> np.ndarray:
    return slide.read(0, 0, *SHAPE)


@pytest.fixture(scope="module")
def large() -> ElectrodeSlide:
    return ElectrodeSlide((8192, 8192), seed=11)


def test_same_seed_same_slide(slide: ElectrodeSlide, whole: np.ndarray) -> None:
    again = ElectrodeSlide(SHAPE, seed=SEED, defects=12)
    assert again.defects == slide.defects
    np.testing.assert_array_equal(again.read(300, 200, 900, 1000), whole[300:900, 200:1000])


def test_another_seed_is_another_slide(slide: ElectrodeSlide) -> None:
    assert ElectrodeSlide(SHAPE, seed=SEED + 1, defects=12).defects != slide.defects


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_tiling_does_not_matter(slide: ElectrodeSlide, whole: np.ndarray, data: st.DataObject) -> None:
    y0 = data.draw(st.integers(0, SHAPE[0] - 1))
    x0 = data.draw(st.integers(0, SHAPE[1] - 1))
    y1 = data.draw(st.integers(y0 + 1, min(SHAPE[0], y0 + 700)))
    x1 = data.draw(st.integers(x0 + 1, min(SHAPE[1], x0 + 700)))
    np.testing.assert_array_equal(slide.read(y0, x0, y1, x1), whole[y0:y1, x0:x1])


def test_fresh_slide_read_in_any_order(whole: np.ndarray) -> None:
    fresh = ElectrodeSlide(SHAPE, seed=SEED, defects=12)
    for y0, x0 in ((1000, 900), (0, 0), (1000, 0), (513, 777)):
        part = fresh.read(y0, x0, y0 + 487, x0 + 600)
        np.testing.assert_array_equal(part, whole[y0 : y0 + 487, x0 : x0 + 600])


def test_travels_to_another_process(slide: ElectrodeSlide, whole: np.ndarray) -> None:
    copy = pickle.loads(pickle.dumps(slide))
    assert copy.defects == slide.defects
    np.testing.assert_array_equal(copy.read(10, 20, 210, 320), whole[10:210, 20:320])


def test_boxes_frame_what_the_defects_changed(slide: ElectrodeSlide, whole: np.ndarray) -> None:
    clean = ElectrodeSlide(SHAPE, seed=SEED, defects=12, draw_defects=False).read(0, 0, *SHAPE)
    change = np.abs(whole.astype(np.float32) - clean).mean(axis=2)
    assert len(slide.defects) >= 8
    for defect in slide.defects:
        y0, x0, y1, x1 = (int(v) for v in (defect.y0, defect.x0, defect.y1, defect.x1))
        inside = cv2.GaussianBlur(change[y0 - 12 : y1 + 12, x0 - 12 : x1 + 12], (0, 0), 1.2) > 9
        if defect.code != "GEO":  # bent layers beside the irregularity change too, but are not what is framed
            ring = np.ones_like(inside)
            ring[6:-6, 6:-6] = False
            assert inside[ring].mean() < 0.03, defect
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        top, left = max(rows[0], 12), max(columns[0], 12)
        bottom, right = min(rows[-1] + 1, inside.shape[0] - 12), min(columns[-1] + 1, inside.shape[1] - 12)
        filled = (bottom - top) * (right - left) / ((y1 - y0) * (x1 - x0))
        assert filled > 0.8, (defect, filled)


def test_nothing_changes_far_from_defects(slide: ElectrodeSlide, whole: np.ndarray) -> None:
    clean = ElectrodeSlide(SHAPE, seed=SEED, defects=12, draw_defects=False).read(0, 0, *SHAPE)
    far = np.ones(SHAPE, bool)
    for d in slide.defects:
        reach = 420 if d.code == "GEO" else 12
        far[max(0, int(d.y0) - reach) : int(d.y1) + reach, max(0, int(d.x0) - reach) : int(d.x1) + reach] = False
    assert far.any()
    np.testing.assert_array_equal(whole[far], clean[far])


def test_count_and_classes_of_a_large_plan(large: ElectrodeSlide) -> None:
    assert len(large.defects) == 150
    counts = Counter(defect.code for defect in large.defects)
    assert set(counts) == set(SHARES)
    assert max(counts, key=counts.__getitem__) == "CRP"
    assert min(counts.values()) >= 0.06 * 150 - 1


def test_boxes_keep_their_distance(large: ElectrodeSlide) -> None:
    boxes = np.array([[d.y0, d.x0, d.y1, d.x1] for d in large.defects])
    assert (boxes[:, :2] >= 26).all()
    assert (boxes[:, 2:] <= 8192 - 26).all()
    sides = boxes[:, 2:] - boxes[:, :2]
    assert sides.min() >= 24
    assert sides.max() <= 520
    gap = MUTUAL_GAP_PX - 4  # stage offsets of camera fields shift boxes by up to a pixel each
    a, b = boxes[:, None], boxes[None]
    near = (a[..., 0] < b[..., 2] + gap) & (b[..., 0] < a[..., 2] + gap)
    near &= (a[..., 1] < b[..., 3] + gap) & (b[..., 1] < a[..., 3] + gap)
    np.fill_diagonal(near, False)
    assert not near.any()


@pytest.mark.parametrize("shape", [(64, 64), (1, 300), (700, 90)])
def test_small_slides(shape: tuple[int, int]) -> None:
    small = ElectrodeSlide(shape, seed=SEED)
    pixels = small.read(0, 0, *shape)
    assert pixels.shape == (*shape, 3)
    for defect in small.defects:
        assert 0 <= defect.y0 < defect.y1 <= shape[0]
        assert 0 <= defect.x0 < defect.x1 <= shape[1]


def test_no_defects_when_asked() -> None:
    assert ElectrodeSlide((600, 600), seed=1, defects=0).defects == []


@pytest.mark.parametrize("region", [(0, 0, 0, 5), (-1, 0, 5, 5), (0, 0, SHAPE[0] + 1, 5), (5, 5, 4, 9)])
def test_regions_outside_are_refused(slide: ElectrodeSlide, region: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="region"):
        slide.read(*region)


def test_looks_like_layers(whole: np.ndarray) -> None:
    """Copper is reddish, aluminium bright and neutral, resin bluish: all three are there."""
    red, green, blue = (whole[..., c].astype(int) for c in range(3))
    assert ((red > 170) & (red - blue > 40)).mean() > 0.01
    assert ((green > 205) & (abs(red - blue) < 25)).mean() > 0.02
    assert ((green < 75) & (blue > red)).mean() > 0.01


def test_coco_truth(slide: ElectrodeSlide) -> None:
    document = coco_truth(slide, "slide.ome.zarr")
    assert document["images"] == [{"id": 1, "file_name": "slide.ome.zarr", "width": SHAPE[1], "height": SHAPE[0]}]
    assert [entry["name"] for entry in document["categories"]] == list(SHARES)
    names = {entry["id"]: entry["name"] for entry in document["categories"]}
    for annotation, defect in zip(document["annotations"], slide.defects, strict=True):
        x, y, w, h = annotation["bbox"]
        assert (y, x, y + h, x + w) == (defect.y0, defect.x0, defect.y1, defect.x1)
        assert names[annotation["category_id"]] == defect.code


def test_layer_stack_repeats_without_a_seam() -> None:
    """The spheres go on across the end of the unrolled stack: no column of binder shows where it repeats."""
    atlas = stack_atlas(SEED, SHORT_STACK_LENGTH_PX).astype(np.float32)[..., 1]
    inner = np.abs(np.diff(atlas, axis=1)).mean()
    assert np.abs(atlas[:, 0] - atlas[:, -1]).mean() < 1.35 * inner
    means = atlas[80:250].mean(axis=0)
    assert abs(means[[0, 1, -1, -2]].mean() - means.mean()) < 3 * means.std()
