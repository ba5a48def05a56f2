"""The division that a project keeps: no pixel is ever in two parts, whatever is moved, added, or said of specimens."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.core.errors import InputError, ModelError
from microscope_qc.ml.datasets.kept import JudgedSlide, KeptParts, assign, divided, guard_px, held_back
from microscope_qc.ml.datasets.parts import ENOUGH_GROUPS, DataPart
from microscope_qc.ml.datasets.records import AnnotatedImage

SHARES = {DataPart.VALIDATION: 0.2, DataPart.TEST: 0.2}
STRIDE = 50
"""The pixels that are looked at."""


def _slide(
    number: int, rng: np.random.Generator, *, side: int = 300, boxes: int = 12, specimen: str = "", content: str = ""
) -> JudgedSlide:
    start = rng.uniform(0, side - 30, (boxes, 2))
    corners = np.concatenate([start, start + rng.uniform(5, 30, (boxes, 2))], axis=1)
    image = AnnotatedImage(
        Path(f"{number}.tif"), (side, side), corners, rng.integers(0, 3, boxes), (0.5, 0.5),
        group=f"specimen {specimen}" if specimen else content or f"slide {number}",
    )  # fmt: skip
    numbers = np.arange(boxes) + 1000 * number
    return JudgedSlide(number, content or f"slide {number}", specimen, (side, side, 1), image, numbers)


def _pixels(slides: list[JudgedSlide], kept: KeptParts, model_um: float | None) -> dict[tuple[str, int, int], str]:
    """The part of a grid of pixels; no pixel may have two."""
    known: dict[tuple[str, int, int], str] = {}
    for slide in slides:
        for piece in divided(slide, kept, guard_px=guard_px(model_um, slide.image.pixel_size_um)) or ():
            y0, x0, y1, x1 = piece.area
            for y in range(-(-y0 // STRIDE) * STRIDE, y1, STRIDE):
                for x in range(-(-x0 // STRIDE) * STRIDE, x1, STRIDE):
                    assert known.setdefault((piece.place, y, x), piece.part) == piece.part
    return known


def _boxes(slides: list[JudgedSlide], kept: KeptParts) -> dict[int, str]:
    """The part of each box, by the box's number."""
    found = {}
    for slide in slides:
        by_corners = {tuple(box): number for box, number in zip(slide.image.boxes, slide.boxes.tolist(), strict=True)}
        for piece in divided(slide, kept, guard_px=guard_px(None, None)) or ():
            for box in piece.boxes:
                number = by_corners[tuple(box)]
                assert number not in found
                found[number] = piece.part
    return found


@given(seed=st.integers(0, 10_000), data=st.data())
def test_no_pixel_is_ever_in_two_parts(seed: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    large = data.draw(st.booleans(), "one large slide")
    slides = (
        [_slide(1, rng, side=data.draw(st.integers(2600, 4000)), boxes=60)]
        if large
        else [_slide(n, rng, specimen=f"cell {n // 2}") for n in range(data.draw(st.integers(3, 14), "slides"))]
    )
    try:
        kept = assign(slides, KeptParts(), shares=SHARES)
    except ModelError:
        return  # too little to hold anything out
    enough = len({slide.specimen for slide in slides}) >= ENOUGH_GROUPS
    model_um: float | None = None
    pixels, boxes = _pixels(slides, kept, model_um), _boxes(slides, kept)
    assert set(pixels.values()) >= {"train", "validation"}
    for _ in range(data.draw(st.integers(1, 3), "changes")):
        change = data.draw(st.sampled_from(["move", "add slides", "add boxes", "pixel size", "copy"]))
        if change == "move":
            for place, slide in enumerate(slides):
                corners = slide.image.boxes.copy()
                for row in rng.permutation(len(corners))[: len(corners) // 3]:
                    side = corners[row, 2:] - corners[row, :2]
                    corners[row, :2] = rng.uniform(0, np.array(slide.image.shape) - side)
                    corners[row, 2:] = corners[row, :2] + side
                slides[place] = replace(slide, image=replace(slide.image, boxes=corners))
        elif change == "add slides":
            first = 100 * len(slides)
            slides += [_slide(first + n, rng, specimen=f"cell {n}") for n in range(int(rng.integers(1, 4)))]
        elif change == "add boxes":
            slide = slides[0]
            more = _slide(slide.number, rng, side=slide.image.shape[0], boxes=30).image
            image = replace(
                slide.image, boxes=np.concatenate([slide.image.boxes, more.boxes]),
                labels=np.concatenate([slide.image.labels, more.labels]),
            )  # fmt: skip
            fresh = np.arange(30) + 10_000_000 + 100 * len(slide.boxes)
            slides[0] = replace(slide, image=image, boxes=np.concatenate([slide.boxes, fresh]))
        elif change == "pixel size":
            model_um = float(rng.uniform(0.2, 1.5))
            size = float(rng.uniform(0.2, 1.0))
            slides = [replace(s, image=replace(s.image, pixel_size_um=(size, size))) for s in slides]
        else:
            copied = slides[-1]
            slides.append(replace(copied, number=5000 + len(slides), boxes=copied.boxes + 50_000_000))
        kept = assign(slides, KeptParts.of_documents(*json.loads(json.dumps(kept.documents()))), shares=SHARES)
        now = _pixels(slides, kept, model_um)
        assert all(pixels[where] == part for where, part in now.items() if where in pixels), "a place keeps its part"
        pixels = {**pixels, **now}
        for number, part in _boxes(slides, kept).items():
            assert boxes.setdefault(number, part) == part, "a moved box keeps its part, or is in none"
    if enough:
        for specimen in {slide.specimen for slide in slides}:
            keys = {kept.key(slide) for slide in slides if slide.specimen == specimen}
            assert len({part for (place, _, _), part in pixels.items() if place in keys}) == 1


def test_a_new_slide_of_a_known_specimen_takes_its_part() -> None:
    rng = np.random.default_rng(1)
    slides = [_slide(n, rng, specimen=f"cell {n}") for n in range(8)]
    kept = assign(slides, KeptParts(), shares=SHARES)
    (test, *_) = [s for s in slides if kept.table.parts[kept.key(s)] is DataPart.TEST]
    more = [_slide(20 + n, rng, specimen=test.specimen, boxes=40) for n in range(3)]
    after = assign([*slides, *more], kept, shares=SHARES)
    assert {after.table.parts[after.key(slide)] for slide in more} == {DataPart.TEST}


def test_a_slide_that_was_turned_after_its_division_is_in_no_part() -> None:
    slide = _slide(1, np.random.default_rng(2), side=4000, boxes=80)
    kept = assign([slide], KeptParts(), shares=SHARES)
    assert len(divided(slide, kept, guard_px=100) or ()) > 4
    assert divided(replace(slide, frame=(4000, 4000, 6)), kept, guard_px=100) is None


def test_a_slide_whose_file_is_replaced_keeps_its_part() -> None:
    rng = np.random.default_rng(3)
    slides = [_slide(n, rng) for n in range(6)]
    kept = assign(slides, KeptParts(), shares=SHARES)
    renewed = [replace(slide, content=f"slide other {slide.number}") for slide in slides]
    assert assign(renewed, kept, shares=SHARES).table == kept.table


def test_a_project_too_small_for_a_test_has_none_and_one_too_small_for_anything_is_refused() -> None:
    rng = np.random.default_rng(4)
    kept = assign([_slide(n, rng) for n in range(2)], KeptParts(), shares=SHARES)
    assert sorted(kept.table.parts.values()) == [DataPart.TRAIN, DataPart.VALIDATION]
    with pytest.raises(ModelError, match="too small to hold out a part"):
        assign([_slide(1, rng)], KeptParts(), shares=SHARES)
    for shares in ({DataPart.VALIDATION: 0.0}, {DataPart.VALIDATION: 0.6, DataPart.TEST: 0.4}):
        with pytest.raises(InputError, match="share to validate on"):
            assign([_slide(1, rng)], KeptParts(), shares=shares)


def test_what_another_project_keeps_is_not_learned_from() -> None:
    rng = np.random.default_rng(5)
    large = _slide(1, rng, side=4000, boxes=80)
    kept = assign([large], KeptParts(), shares=SHARES)
    pieces = divided(large, kept, guard_px=425) or []
    whole = replace(large.image, place=pieces[0].place, part="train")
    other = replace(whole, place="slide elsewhere")
    assert held_back([whole, other], pieces) == ([other], 1)
    train = [piece for piece in pieces if piece.part == "train"]
    assert held_back(train, train) == (train, 0) and held_back(train, pieces)[1] == 0
    tests = [piece for piece in pieces if piece.part == "test"]
    assert held_back([replace(tests[0], part="validation")], tests) == ([], 1)


def test_a_damaged_division_is_refused() -> None:
    for division, homes in (
        ([], None), ({"parts": {"a": "middle"}}, None), ({"block_px": {"a": 0}}, None),
        ({}, {"boxes": [1], "y": [], "x": []}), ({"frames": {"a": [1, 2]}}, None),
    ):  # fmt: skip
        with pytest.raises(ModelError, match="damaged"):
            KeptParts.of_documents(division, homes)
