"""What models missed, from areas that were drawn at random."""

from __future__ import annotations

import numpy as np
import pytest

from microscope_qc.analysis.corrected import corrected
from microscope_qc.analysis.coverage import Declared, Scan, SlideCoverage
from microscope_qc.analysis.drawn import cells_of, chance, last_drawn
from microscope_qc.analysis.recall import recall, with_missed
from microscope_qc.analysis.stack import Stack, TalliedSlide
from microscope_qc.analysis.tally import ClassBook, tally_slide
from microscope_qc.core.boxes import FindingFlag, ReviewState, make_rows
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.geometry import Region
from microscope_qc.core.outline import Outline

SIDE = 1000
CLASSES = [DefectClass("ACP", "agglomerate", id=1), DefectClass("CRK", "crack", id=2)]


def square(number: int, y: int, x: int, side: int, *, drawn: bool = True, classes: tuple[int, ...] = (1,)) -> Declared:
    corners = [(y, x), (y, x + side), (y + side, x + side), (y + side, x)]
    return Declared(number, frozenset(classes), Outline.polygon([(float(a), float(b)) for a, b in corners]), drawn)


def slide_of(
    places: np.ndarray, found: np.ndarray, *, judged: np.ndarray | bool = True, areas: tuple[Declared, ...] = (),
    limit: float = 0.0, name: str = "s", at_random: np.ndarray | bool = False,
) -> tuple[ClassBook, TalliedSlide]:  # fmt: skip
    """Defects (y, x) of the first class; a model has those that were ``found``, users drew the others.

    Of what was found the part that is ``judged`` was, in the order of chance where that was ``at_random``.
    """
    count = len(places)
    state = np.where(found & judged, ReviewState.CONFIRMED, ReviewState.UNREVIEWED)
    drawn = np.uint8(FindingFlag.DRAWN)
    y, x = places.T
    rows = make_rows(
        count, id=np.arange(1, count + 1), class_id=1, y0=y - 1, x0=x - 1, y1=y + 1, x1=x + 1, state=state,
        confidence=np.where(found, 0.9, np.nan), flags=np.where(found & (state == 0), 0, drawn),
    )  # fmt: skip
    rows["flags"][found & judged & at_random] |= np.uint8(FindingFlag.SAMPLED)
    said = rows.copy()
    said["class_id"] = np.where(found, 1, 0)
    said["run_id"] = np.where(found, 1, 0)
    coverage = SlideCoverage((SIDE, SIDE), [Scan(1, frozenset({1, 2}), Region(0, 0, SIDE, SIDE))], areas)
    book = ClassBook()
    model = book.model("m")
    drawn = found & judged & at_random
    tally = tally_slide(
        rows, said, coverage, (1.0, 1.0), book=book, classes=CLASSES, models={1: model}, confidence_limit=limit,
        drawn_to=last_drawn([(cells_of(said["class_id"][drawn], said["confidence"][drawn]), rows["id"][drawn])]),
    )  # fmt: skip
    return book, TalliedSlide(name, "", tally)


def lattice(count: int) -> np.ndarray:
    return np.stack(np.divmod(np.arange(count), 20), axis=1) * 50.0 + 25


def estimated(book: ClassBook, *sections: TalliedSlide):
    stack = Stack(sections, len(book.classes))
    classes, _, _ = stack.wanted(book)
    return stack, classes[0], recall(stack, classes[0])


def test_defects_in_the_areas_are_counted_with_those_that_the_model_has():
    places = lattice(400)
    found = np.arange(400) % 5 != 0
    corners = np.array([(0, 0), (0, 400), (400, 0), (600, 600), (200, 800), (800, 200)])
    areas = [square(number, *corner, 200) for number, corner in enumerate(corners.tolist())]
    _, _, known = estimated(*slide_of(places, found, areas=(*areas, square(9, 800, 800, 200, drawn=False))))
    inside = np.any([((places >= corner) & (places < corner + 200)).all(axis=1) for corner in corners], axis=0)
    assert (known.share.count, known.share.of, known.areas) == ((found & inside).sum(), inside.sum(), 6)
    assert known.share.interval[0] > 0.5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"areas": ()}, "no area that the program drew at random was searched"),
        ({"areas": (square(1, 0, 0, 400, drawn=False),)}, "no area that the program drew"),
        ({"areas": (square(1, 0, 0, 400, classes=(2,)),)}, "no area that the program drew"),
        ({"areas": (square(1, 0, 0, 200),)}, "16 defects in 1 area drawn at random, 20 are needed"),
        ({"areas": (square(1, 0, 0, 400),), "found": np.arange(400) % 2 == 0}, "between"),
        ({"areas": (square(1, 0, 0, 400),), "judged": np.arange(400) != 1}, "of 1 area not all findings are reviewed"),
    ],
)
def test_why_it_cannot_be_estimated(change, words):
    _, _, known = estimated(*slide_of(**{"places": lattice(400), "found": np.arange(400) % 5 != 0} | change))
    assert known.share is None and known.reason.startswith("not estimable") and words in known.reason


def test_slides_of_other_models_or_limits_have_another_recall():
    areas = (square(1, 0, 0, 400),)
    book, one = slide_of(lattice(400), np.arange(400) % 5 != 0, areas=areas)
    _, other = slide_of(lattice(400), np.arange(400) % 5 != 0, limit=0.5, name="t")
    assert estimated(book, one)[2].share is not None
    assert "same models" in estimated(book, one, other)[2].reason


def test_what_was_missed_is_added_where_nobody_looked():
    found = np.arange(400) % 5 != 0
    areas = (square(1, 0, 0, 500),)
    inside = (lattice(400) < 500).all(axis=1)
    kept = found | inside  # what was missed elsewhere nobody knows
    book, slide = slide_of(lattice(400)[kept], found[kept], areas=areas)
    stack, wanted, known = estimated(book, slide)
    true = corrected(int(kept.sum()), stack.strata, wanted.places)
    all_of_them = with_missed(true, stack.strata, wanted.places, unfound=0, share=known.share)
    assert known.share.value == pytest.approx(0.8) and all_of_them.count == pytest.approx(400)
    assert true.interval[0] < all_of_them.interval[0] < 400 < all_of_them.interval[1]
    drawn_elsewhere = with_missed(true, stack.strata, wanted.places, unfound=10, share=known.share)
    assert drawn_elsewhere.count == pytest.approx(390), "they are counted among the findings already"


def test_the_truth_lies_within_the_limits_as_often_as_they_say():
    rng, inside = np.random.default_rng(5), 0
    repeats = 400
    for _ in range(repeats):
        total = rng.poisson(900)
        places = rng.uniform(0, SIDE, (total, 2))
        found = rng.random(total) < 0.8
        corners = rng.permutation(100)[:12]
        areas = tuple(square(n, n // 10 * 100, n % 10 * 100, 100) for n in corners.tolist())
        searched = np.isin((places // 100) @ [10, 1], corners)
        kept = found | searched
        at_random = chance(np.arange(1, kept.sum() + 1)) < np.uint64(0.4 * 2**64)
        book, slide = slide_of(
            places[kept], found[kept], judged=searched[kept] | at_random, areas=areas, at_random=at_random
        )
        stack, wanted, known = estimated(book, slide)
        if known.share is None:
            continue
        true = corrected(int(kept.sum()), stack.strata, wanted.places)
        low, high = with_missed(true, stack.strata, wanted.places, unfound=0, share=known.share).interval
        inside += low <= total <= high
    print(f"coverage {inside / repeats:.3f} of {repeats}")
    assert inside / repeats > 0.93
