"""Outlines of areas from presses, moves and clicks; no window is needed."""

from __future__ import annotations

import pytest

from microscope_qc.app.canvas.area.area_hand import AreaHand
from microscope_qc.app.canvas.view import View
from microscope_qc.core.geometry import Region

VIEW = View(y=500.0, x=800.0, zoom=0.5, width=1000, height=600)
"""Slide y 500, x 800 is at 500, 300 on screen; a point on screen is two slide pixels."""


def click(hand: AreaHand, x: float, y: float) -> object:
    hand.move(x, y, VIEW)
    hand.press(x, y)
    return hand.release(x, y, VIEW)


def test_a_drag_gives_a_rectangle_of_whole_pixels_whichever_way_it_goes() -> None:
    hand = AreaHand()
    hand.press(600.2, 400.0)
    hand.move(550.0, 330.0, VIEW)
    assert hand.rectangle == pytest.approx((560.0, 900.0, 700.0, 1000.4))
    assert hand.release(500.0, 300.0, VIEW) == Region(500, 800, 700, 1000)
    assert not hand.under_way and hand.rectangle is None and hand.corners == []


def test_clicks_give_corners_and_closing_gives_the_polygon() -> None:
    hand = AreaHand()
    for x, y in ((500, 300), (550, 300), (550, 350)):
        assert click(hand, x, y) is None
    assert hand.corners == [(500, 800), (500, 900), (600, 900)]
    assert hand.close() == [(500, 800), (500, 900), (600, 900)]
    assert hand.corners == [] and hand.close() is None


def test_a_click_on_the_first_corner_closes_and_near_it_only_with_three() -> None:
    hand = AreaHand()
    click(hand, 500, 300)
    assert click(hand, 505, 300) is None and len(hand.corners) == 2, "two corners enclose nothing"
    click(hand, 560, 400)
    assert hand.closes(506, 300, VIEW) and not hand.closes(509, 300, VIEW)
    assert click(hand, 506, 300) == [(500, 800), (500, 810), (700, 920)]


def test_a_hand_that_slips_while_clicking_corners_still_makes_a_corner() -> None:
    hand = AreaHand()
    click(hand, 500, 300)
    hand.press(600, 300)
    hand.move(620, 310, VIEW)
    assert hand.rectangle is None
    assert hand.release(620, 310, VIEW) is None
    assert hand.corners == [(500, 800), (520, 1040)]


def test_the_second_click_of_a_double_click_makes_no_corner_of_its_own() -> None:
    hand = AreaHand()
    for x, y in ((500, 300), (600, 300), (600, 400)):
        click(hand, x, y)
    assert hand.close() is not None
    assert hand.release(600, 400, VIEW) is None and hand.corners == []
    click(hand, 500, 300)
    click(hand, 500, 300)
    assert len(hand.corners) == 1, "the same place again"


def test_back_takes_one_corner_and_drop_takes_all() -> None:
    hand = AreaHand()
    for x in (500, 550, 600):
        click(hand, x, 300)
    assert hand.back() and hand.corners == [(500, 800), (500, 900)]
    assert hand.drop() and hand.corners == [] and not hand.drop() and not hand.back()
    hand.press(500, 300)
    hand.move(700, 400, VIEW)
    assert hand.drop() and hand.rectangle is None
    assert hand.release(700, 400, VIEW) is None, "what was given up does not come with the release"
