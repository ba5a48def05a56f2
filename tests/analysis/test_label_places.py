"""Numbers beside circles cover nothing where there is room, and the least where there is none."""

from __future__ import annotations

from itertools import pairwise

from microscope_qc.reports.labels import LabelPlacer


def test_a_label_keeps_off_what_is_taken() -> None:
    placer = LabelPlacer(400, 400)
    free = placer.place(200, 200, 10, (30, 12), 3)
    assert free[0] > 200 and free[1] < 200, "to the upper right first"
    placer.occupy(200, 150, 300, 200)
    other = placer.place(200, 200, 10, (30, 12), 3)
    assert other != free
    x, y = other
    assert x + 30 <= 200 or y >= 200 or y + 12 <= 150, "beside the rectangle that is taken"


def test_labels_of_one_place_lie_beside_each_other() -> None:
    placer = LabelPlacer(400, 400)
    placed = [placer.place(200, 200, 8, (30, 12), 3) for _ in range(6)]
    for (x, y), (other_x, other_y) in pairwise(sorted(placed)):
        assert abs(x - other_x) >= 30 or abs(y - other_y) >= 12


def test_without_room_the_least_covered_place_is_taken() -> None:
    placer = LabelPlacer(200, 200)
    placer.occupy(0, 0, 200, 200)
    placer.occupy(0, 0, 200, 95)  # covered twice above
    _, y = placer.place(100, 100, 10, (30, 12), 3)
    assert y >= 95
