"""Defects that are pasted onto other places."""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from microscope_qc.ml.datasets import AnnotatedImage, Dataset
from microscope_qc.ml.datasets.crops import CropSampler, TrainingCrop
from microscope_qc.ml.datasets.pasting import Cutout, GreySums, _turned, cut_out, paste
from microscope_qc.ml.datasets.scaled import ScaledImage

NONE = np.zeros((0, 4))


def grain(
    shape: tuple[int, int], *, level: float = 120, spread: float = 14, slope: float = 0, seed: int = 0
) -> np.ndarray:
    """Grainy grey, uint8 (h, w, 3), lighter from left to right."""
    noise = np.random.default_rng(seed).normal(level, spread, shape) + np.linspace(-slope / 2, slope / 2, shape[1])
    return np.repeat(np.clip(cv2.GaussianBlur(noise, (0, 0), 0.7), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def with_defects(pixels: np.ndarray, boxes: np.ndarray, level: int = 20) -> np.ndarray:
    """Dark where the boxes are."""
    for y0, x0, y1, x1 in boxes.astype(int):
        pixels[y0:y1, x0:x1] = level
    return pixels


def image_of(
    folder: Path, pixels: np.ndarray, boxes: object, labels: object, still_open: np.ndarray = NONE
) -> AnnotatedImage:
    path = folder / f"{len(list(folder.iterdir()))}.png"
    cv2.imwrite(str(path), pixels)
    boxes, labels = np.array(boxes, float).reshape(-1, 4), np.array(labels, np.int64)
    return AnnotatedImage(path, pixels.shape[:2], boxes, labels, open_boxes=still_open)


def sampler(images: list[AnnotatedImage], share: float, *, side: int = 128) -> CropSampler:
    data = Dataset([f"C{label}" for label in range(9)], images)
    return CropSampler(data, side=side, model_um=None, seed=3, stride_px=64, paste=share)


def crops_of(images: list[AnnotatedImage], share: float, *, steps: int = 10, side: int = 128) -> list[TrainingCrop]:
    drawn = sampler(images, share, side=side)
    return [crop for step in range(steps) for crop in drawn.batch(step, 8)]


def overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    return ((box[:2] < others[:, 2:] - 1e-6) & (box[2:] > others[:, :2] + 1e-6)).all(axis=1)


@pytest.fixture
def slide(tmp_path: Path) -> AnnotatedImage:
    """One with a few defects and much that is normal."""
    boxes = np.array([[30.0, 40, 50, 60], [200, 300, 230, 325], [400, 90, 415, 130], [300, 450, 316, 470]])
    return image_of(tmp_path, with_defects(grain((512, 512)), boxes), boxes, [0, 1, 0, 1])


def test_without_pasting_and_where_nothing_is_pasted_crops_stay_as_they_are(slide: AnnotatedImage) -> None:
    plain, others = crops_of([slide], 0.0), crops_of([slide], 0.7)
    assert not any(crop.pasted for crop in plain)
    pasted = sum(crop.pasted for crop in others)
    assert 20 < pasted < 70
    for before, after in zip(plain, others, strict=True):
        assert np.array_equal(before.pixels, after.pixels) == (not after.pasted)
        kept = len(after.boxes) - after.pasted
        np.testing.assert_array_equal(after.boxes[:kept], before.boxes)
        np.testing.assert_array_equal(after.labels[:kept], before.labels)
        np.testing.assert_array_equal(after.ignore, before.ignore)


def test_what_is_pasted_lies_in_its_box_and_is_the_same_for_the_same_step(slide: AnnotatedImage) -> None:
    first, again = sampler([slide], 1.0), sampler([slide], 1.0)
    first.batch(0, 3)
    seen = 0
    for crop, same in zip(first.batch(9, 24), again.batch(9, 24), strict=True):
        np.testing.assert_array_equal(crop.pixels, same.pixels)
        np.testing.assert_array_equal(crop.boxes, same.boxes)
        for box in crop.boxes[len(crop.boxes) - crop.pasted :]:
            y0, x0, y1, x1 = np.round(box).astype(int)
            assert crop.pixels[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2].mean() < 60, "dark inside"
            assert crop.pixels[max(0, y0 - 6) : y0 - 2, x0:x1].mean() > 75, "and not beside it"
            seen += 1
    assert seen > 10


def test_crops_without_a_defect_get_one_more_often(slide: AnnotatedImage) -> None:
    crops = crops_of([slide], 1.0, steps=40)
    empty, full = ([crop.pasted for crop in crops if (len(crop.boxes) > crop.pasted) == some] for some in (False, True))
    assert np.mean(empty) > 0.9 and 0.35 < np.mean(full) < 0.6


def test_every_class_is_pasted_equally_often(tmp_path: Path) -> None:
    places = np.array([[y, x, y + 16, x + 18] for y in range(40, 900, 150) for x in range(40, 900, 150)], float)
    labels = np.where(np.arange(len(places)) < 2, 5, 0)
    image = image_of(tmp_path, with_defects(grain((960, 960)), places), places, labels)
    pasted = [
        label for crop in crops_of([image], 1.0, steps=30) for label in crop.labels[len(crop.labels) - crop.pasted :]
    ]
    assert len(pasted) > 80 and set(pasted) == {0, 5} and 0.35 < np.mean(np.array(pasted) == 5) < 0.65


def test_a_defect_goes_only_where_it_looks_alike(tmp_path: Path) -> None:
    """Dark material above, bright below; the defects are above."""
    boxes = np.array([[40.0, 60, 60, 84], [150, 300, 170, 320]])
    pixels = np.concatenate([grain((256, 512), level=90), grain((256, 512), level=200, seed=1)])
    image = image_of(tmp_path, with_defects(pixels, boxes), boxes, [0, 0])
    seen = 0
    for crop in crops_of([image], 1.0, steps=20, side=256):
        for y0, x0, y1, x1 in np.round(crop.boxes[len(crop.boxes) - crop.pasted :]).astype(int):
            around = crop.pixels[max(0, y0 - 10) : y1 + 10, max(0, x0 - 10) : x1 + 10]
            assert np.median(around) < 130
            seen += 1
    assert seen > 30


def test_nothing_is_pasted_onto_pictures_that_are_one_texture(tmp_path: Path, slide: AnnotatedImage) -> None:
    covered = image_of(tmp_path, grain((300, 300), seed=4), [[20, 20, 280, 120]], [2])
    assert not any(crop.pasted for crop in crops_of([covered], 1.0))
    both = crops_of([covered, slide], 1.0)
    assert any(crop.pasted for crop in both)
    assert not any(crop.pasted for crop in both if 2 in crop.labels)


def scaled(boxes: object, still_open: np.ndarray = NONE, shape: tuple[int, int] = (200, 200)) -> ScaledImage:
    boxes = np.array(boxes, float).reshape(-1, 4)
    return ScaledImage(shape, boxes, np.zeros(len(boxes), int), still_open, NONE, pixels=grain(shape))


def copied(boxes: object, still_open: np.ndarray = NONE, most_px: int = 200) -> Cutout | None:
    return cut_out(scaled(boxes, still_open), 0, most_px=most_px)


def test_only_a_defect_with_nothing_else_around_it_is_copied() -> None:
    box = [80, 80, 110, 120]
    found = copied([box])
    assert found is not None and found.pixels.shape[0] > 40
    np.testing.assert_allclose(found.box[2:] - found.box[:2], [30, 40])
    assert copied([box, [112, 80, 130, 100]]) is None, "another defect in its margin"
    assert copied([box], np.array([[60.0, 60, 75, 75]])) is None, "what nobody has judged"
    assert copied([[2, 80, 40, 120]]) is None, "nothing is known of what is beyond the border"
    assert copied([[80, 80, 83, 120]]) is None, "too small to be learned"
    assert copied([box], most_px=45) is None, "too large"


@pytest.mark.parametrize("way", range(8))
def test_a_box_is_turned_with_its_defect(way: int) -> None:
    copy = with_defects(grain((40, 60), level=150), np.array([[5, 9, 20, 41]]))
    turned, box = _turned(copy, np.array([5.0, 9, 20, 41]), way)
    y0, x0, y1, x1 = box.astype(int)
    assert (turned[y0:y1, x0:x1] == 20).all() and (turned == 20).all(axis=2).sum() == (y1 - y0) * (x1 - x0)


def pasted_onto(pixels: np.ndarray, *, seed: int = 0, spread: float = 14) -> np.ndarray:
    """Paste a dark square in brighter grain of the same kind; returns its box."""
    light = grain((90, 90), level=132, spread=spread, seed=7)
    cutout = Cutout(with_defects(light, np.array([[24, 24, 66, 66]])), np.array([24.0, 24, 66, 66]))
    inside = np.array([0.0, 0, *pixels.shape[:2]])
    rng = np.random.default_rng(seed)
    box = paste(rng, pixels, cutout, scale=1.0, inside=inside, taken=NONE, sums=GreySums(pixels))
    assert box is not None
    return box


def test_no_seam_shows_where_a_copy_ends() -> None:
    """Neither steps nor smoother grain than everywhere: in rings around the box, far inside and beyond the margin."""
    steps, grains, levels = [], [], []
    for seed in range(12):
        pixels = grain((256, 256), seed=20 + seed)
        box = pasted_onto(pixels, seed=seed)
        grey = pixels[..., 0].astype(float)
        y, x = np.mgrid[:256, :256] + 0.5
        away = np.hypot(
            np.maximum(np.maximum(box[0] - y, y - box[2]), 0), np.maximum(np.maximum(box[1] - x, x - box[3]), 0)
        )
        change = np.hypot(*np.gradient(grey))
        rings = [(away >= low) & (away < low + 3) for low in range(3, 30, 3)]
        steps.append([change[ring].mean() for ring in rings])
        grains.append([grey[ring].std() for ring in rings])
        levels.append([grey[ring].mean() for ring in rings])
        usual = away > 40
        steps[-1].append(change[usual].mean())
        grains[-1].append(grey[usual].std())
        levels[-1].append(grey[usual].mean())
    for values, limit in ((steps, 0.12), (grains, 0.12), (levels, 0.02)):
        *rings, usual = np.mean(values, axis=0)
        assert max(rings) < (1 + limit) * usual and min(rings) > (1 - limit) * usual


def test_no_step_shows_where_the_light_changes_from_place_to_place() -> None:
    """Levels along lines away from the box, to the left and right of it."""
    for seed in range(6):
        pixels = grain((256, 256), spread=3, slope=20, seed=40 + seed)
        box = pasted_onto(pixels, seed=seed, spread=3).astype(int)
        levels = pixels[box[0] : box[2], :, 0].mean(axis=0)
        beside = np.abs(np.diff(levels))
        beside[box[1] - 3 : box[3] + 3] = 0  # the defect itself
        assert beside.max() < 1.6


@st.composite
def wild(draw: st.DrawFn) -> tuple[tuple[int, int], np.ndarray, np.ndarray, int]:
    """An image's shape, boxes and open places anywhere in it, some tiny, some larger than a crop; a crop's side."""
    height, width = draw(st.integers(6, 330)), draw(st.integers(6, 330))

    def box() -> st.SearchStrategy[list[float]]:
        sides = [st.tuples(st.floats(0, length), st.floats(0, length)) for length in (height, width)]
        return st.tuples(*sides).map(lambda pair: [min(pair[0]), min(pair[1]), max(pair[0]), max(pair[1])])

    small = st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(3, 24), st.floats(3, 24)).map(
        lambda v: [v[0] * height, v[1] * width, min(v[0] * height + v[2], height), min(v[1] * width + v[3], width)]
    )
    boxes, still_open = (
        np.array(
            [b for b in draw(st.lists(st.one_of(small, small, box()), max_size=most)) if b[0] < b[2] and b[1] < b[3]]
        )
        for most in (7, 2)
    )
    return (height, width), boxes.reshape(-1, 4), still_open.reshape(-1, 4), draw(st.sampled_from([64, 128, 192]))


@given(wild(), st.integers(0, 2**16))
@settings(max_examples=60, deadline=None)
def test_whatever_the_boxes_are_what_is_pasted_lies_inside_and_touches_nothing(
    scene: tuple[tuple[int, int], np.ndarray, np.ndarray, int], step: int
) -> None:
    shape, boxes, still_open, side = scene
    with tempfile.TemporaryDirectory() as folder:
        labels = np.arange(len(boxes)) % 9
        image = image_of(Path(folder), with_defects(grain(shape), boxes), boxes, labels, still_open)
        plain, pasting = (sampler([image], share, side=side) for share in (0.0, 1.0))
        for before, after in zip(plain.batch(step, 8), pasting.batch(step, 8), strict=True):
            kept = len(before.boxes)
            np.testing.assert_array_equal(after.boxes[:kept], before.boxes)
            assert len(after.labels) == len(after.boxes) == kept + after.pasted
            for box, label in zip(after.boxes[kept:], after.labels[kept:], strict=True):
                assert (box >= 0).all() and (box <= pasting.side).all() and ((box[2:] - box[:2]) >= 4).all()
                assert label in labels
                assert not overlap(box, np.concatenate([before.boxes, before.ignore])).any()


SIDE = 96
places = st.tuples(st.integers(0, 80), st.integers(0, 80), st.integers(8, 60), st.integers(8, 60))


@given(
    st.tuples(st.integers(4, 40), st.integers(4, 40)),
    st.lists(places, min_size=1, max_size=3),
    st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(66, SIDE), st.integers(66, SIDE)),
    st.floats(0.5, 1.6),
    st.integers(0, 2**16),
)
@settings(max_examples=150, deadline=None)
def test_pixels_of_other_defects_of_open_places_and_beyond_the_image_stay(
    size: tuple[int, int], others: list[tuple[int, ...]], inside: tuple[int, ...], scale: float, seed: int
) -> None:
    """They look like all else here: only what is known of them keeps a defect away."""
    box = np.array([80.0, 80, 80 + size[0], 80 + size[1]])
    cutout = copied([box])
    onto = grain((SIDE, SIDE), seed=3)
    taken = np.array([(y, x, min(y + height, SIDE), min(x + width, SIDE)) for y, x, height, width in others], float)
    assert cutout is not None
    before, rng = onto.copy(), np.random.default_rng(seed)
    found = paste(rng, onto, cutout, scale=scale, inside=np.array(inside, float), taken=taken, sums=GreySums(onto))
    changed = (before != onto).any(axis=2)
    event("pasted" if found is not None else "no room")
    if found is None:
        assert not changed.any()
        return
    sides = (found[2:] - found[:2]) / scale
    assert sorted(sides.tolist()) == pytest.approx(sorted(size), rel=0.15)
    allowed = np.zeros_like(changed)
    allowed[inside[0] : inside[2], inside[1] : inside[3]] = True
    for y0, x0, y1, x1 in taken.astype(int):
        allowed[y0:y1, x0:x1] = False
    assert changed.any() and not (changed & ~allowed).any()
    assert (found[:2] >= inside[:2]).all() and (found[2:] <= inside[2:]).all()
    assert not overlap(found, taken).any()
