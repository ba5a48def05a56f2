"""Windows that classifiers learn from: as many of each class as is asked for, labelled as an evaluation does."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from classifier_toys import class_folders
from learning_toys import coco_folder, load_dataset

from microscope_qc.ml.datasets.records import Dataset
from microscope_qc.ml.datasets.scaled import ScaledImage
from microscope_qc.ml.datasets.window_labels import window_labels
from microscope_qc.ml.datasets.windows import WindowSampler, _cut, _View

BATCH = 4


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Ten squares, two discs and five pictures without a defect."""
    folder = class_folders(tmp_path_factory.mktemp("classes"), each=10, good=5)
    for path in sorted((folder / "DI").iterdir())[2:]:
        path.unlink()
    return load_dataset(folder)


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(coco_folder(tmp_path_factory.mktemp("coco"), pictures=3, size=256))


def sampler(data: Dataset, **chosen: object) -> WindowSampler:
    return WindowSampler(data, **{"side": 64, "model_um": None, "seed": 3, "stride_px": 16, **chosen})


def kinds(drawn: WindowSampler) -> Counter[int]:
    return Counter(drawn._examples[number].label for number, _ in drawn._order(0))


def test_a_pass_has_as_many_of_each_class_as_the_sampling_says(pictures: Dataset) -> None:
    assert pictures.classes == ["DI", "SQ"]
    assert sampler(pictures).sampling == "as-is" and sampler(pictures).counts.tolist() == [2, 10, 5]
    assert kinds(sampler(pictures)) == {0: 2, 1: 10, 2: 5}
    assert kinds(sampler(pictures, sampling="under")) == {0: 2, 1: 2, 2: 2}
    for sampling in ("over", "recrop"):
        assert kinds(sampler(pictures, sampling=sampling)) == {0: 10, 1: 10, 2: 10}


def test_under_sampling_keeps_the_same_pictures_in_every_pass(pictures: Dataset) -> None:
    drawn = sampler(pictures, sampling="under")
    passes = [{number for number, _ in drawn._order(epoch)} for epoch in range(4)]
    assert passes[0] == passes[1] == passes[2] == passes[3] and len(passes[0]) == 6


def test_repeated_pictures_are_cut_elsewhere_only_where_that_is_asked_for(pictures: Dataset) -> None:
    cuts = {}
    for sampling in ("over", "recrop"):
        drawn = sampler(pictures, sampling=sampling)
        rng = np.random.default_rng(0)
        image = drawn._images.load(0)
        cuts[sampling] = [drawn._of_picture(rng, image, whole=sampling == "over") for _ in range(3)]
    assert all(np.array_equal(cut, cuts["over"][0]) for cut in cuts["over"])
    assert not any(np.array_equal(cut, cuts["over"][0]) for cut in cuts["recrop"])
    repeats = [repeat for _, repeat in sampler(pictures, sampling="recrop")._order(0)]
    assert max(repeats) == 4 and Counter(repeats)[0] == 17, "two discs are there five times each, the first time whole"


def test_windows_of_slides_are_labelled_as_an_evaluation_does(slides: Dataset) -> None:
    drawn = sampler(slides)
    assert drawn.sampling == "recrop" and not drawn.whole
    for number, example in enumerate(drawn._examples):
        rng = np.random.default_rng(number)
        image, view, label = drawn._view(rng, example)
        (found,), (counts,) = window_labels(view.box[None], image, none=2)
        assert label == found and counts
        assert example.row is None or label == example.label
    labels = Counter(drawn._examples[number].label for number, _ in drawn._order(0))
    assert len(set(labels.values())) == 1, "as many of every class, and of none"


def test_a_defect_lies_at_every_place_of_a_window_and_at_other_zooms(slides: Dataset) -> None:
    drawn = sampler(slides, largest_scale=2.0)
    example = drawn._examples[0]
    views = [drawn._view(np.random.default_rng(number), example)[1] for number in range(60)]
    box = drawn._images.load(0).boxes[0]
    away = np.array([((box[0] + box[2]) / 2 - view.y) / view.side for view in views])
    assert away.min() < -0.2 and away.max() > 0.2
    sides = [view.side / drawn.side for view in views]
    assert min(sides) < 0.9 and 2 < max(sides) <= 2.5


def test_the_same_step_gives_the_same_windows(slides: Dataset, pictures: Dataset) -> None:
    for data in (slides, pictures):
        one, other = (sampler(data, rotate=True).batch(5, BATCH) for _ in range(2))
        assert all(np.array_equal(a.pixels, b.pixels) and a.label == b.label for a, b in zip(one, other, strict=True))
        later = sampler(data, rotate=True).batch(6, BATCH)
        assert not all(np.array_equal(a.pixels, b.pixels) for a, b in zip(one, later, strict=True))
        assert {window.pixels.shape for window in one} == {(64, 64, 3)}


def test_a_pass_shows_every_example_once(pictures: Dataset) -> None:
    drawn = sampler(pictures)
    found = [window for step in range(4) for window in drawn.batch(step, BATCH)]
    assert Counter(window.label for window in found) <= Counter({0: 2, 1: 10, 2: 5}) and len(found) == 16
    assert len(drawn.batch(4, BATCH)) == BATCH, "the last step is filled up"


@pytest.mark.parametrize("angle", [0.0, 90.0])
@pytest.mark.parametrize("side", [40, 80])
def test_a_cut_shows_the_square_that_was_meant(side: int, angle: float) -> None:
    """A gradient along y, that a quarter turn makes one along x."""
    pixels = np.repeat(np.arange(200, dtype=np.uint8)[:, None, None], 200, axis=1).repeat(3, axis=2)
    nothing = np.zeros((0, 4))
    image = ScaledImage((200, 200), nothing, np.zeros(0, int), nothing, nothing, pixels=pixels)
    cut = _cut(image, _View(100.0, 90.0, float(side), angle), 40)
    line = cut[20, :, 0] if angle else cut[:, 20, 0]
    first, last = (100 - side / 2, 100 + side / 2)
    expected = first + (np.arange(40) + 0.5) * (last - first) / 40 - 0.5
    turned = line if line[0] < line[-1] else line[::-1]
    assert np.abs(turned[2:-2] - expected[2:-2]).max() <= 1.5
