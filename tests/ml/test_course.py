"""How a training divides its passes, or its time."""

from __future__ import annotations

import pytest

from microscope_qc.ml.training.course import AT_THE_END, LOOKING_SHARE, ROUNDS, Course


def test_passes() -> None:
    course = Course(per_pass=3, passes=4, measure_every=3)
    ended, looked = [], []
    while not course.done:
        course.stepped(0.1)
        if course.closed < course.rounds:
            ended.append(course.step)
            if course.measures:
                looked.append(course.rounds)
            course.closed = course.rounds
    assert ended == [3, 6, 9, 12] and looked == [3, 4] and course.steps == 12


@pytest.mark.parametrize("measuring_s", [0.5, 5.0, 40.0, 1000.0])
def test_a_limited_time_is_kept(measuring_s: float) -> None:
    course = Course(per_pass=7, passes=20, limit_s=600.0)
    clock, looked, rates = 10.0, 0, []
    while not course.done:
        rates.append(course.share)
        clock += 2.5
        course.stepped(2.5)
        course.seconds = clock
        if course.closed < course.rounds:
            if course.measures:
                looked += not course.done
                clock += measuring_s
                course.seconds = clock
                course.measured(measuring_s)
            course.closed = course.rounds
    assert rates == sorted(rates), "it never goes back"
    assert looked >= 1 and looked * measuring_s <= measuring_s + LOOKING_SHARE * 600
    if measuring_s < 100:
        assert clock + (AT_THE_END - 1) * measuring_s <= 600 + measuring_s + 2.5
        assert course.rounds == ROUNDS and course.steps == course.step


def test_it_goes_on_from_a_checkpoint() -> None:
    course = Course(per_pass=7, passes=20, limit_s=600.0)
    course.step, course.seconds = 40, 200.0
    course.measured(12.0)
    course.closed = course.rounds
    after = Course(per_pass=7, passes=20, limit_s=600.0)
    after.go_on_from(course.state())
    assert after == course and after.closed == after.rounds == 7 and after.steps == round(40 / (200 / 564))
    assert after.seconds_left == 400


def test_what_is_left_of_passes() -> None:
    course = Course(per_pass=10, passes=4, measure_every=2)
    assert course.seconds_left is None
    for _ in range(10):
        course.stepped(2.0)
    course.measured(7.0)
    assert course.seconds_left == pytest.approx(30 * 2 + (2 + AT_THE_END - 1) * 7) and course.words == "epoch 2 of 4"
