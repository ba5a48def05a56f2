"""Stage positions are read as they are typed and pasted, and never guessed."""

from __future__ import annotations

import pytest

from microscope_qc.core.errors import InputError
from microscope_qc.correlation.positions import position_in, positions_in


@pytest.mark.parametrize(
    ("text", "xy"),
    [
        ("75,6442 60,4901", (75.6442, 60.4901)),
        ("75.6442, 60.4901", (75.6442, 60.4901)),
        ("75.6442,60.4901", (75.6442, 60.4901)),
        ("75,6442; -60,4901", (75.6442, -60.4901)),
        ("75,6442\t60", (75.6442, 60)),
        ("10, 20", (10, 20)),
        ("X = 75.6442 mm, Y = 60.4901 mm, Z = 3 mm", (75.6442, 60.4901)),
        ("Z: 3 Y: 60,5 X: −75,6", (-75.6, 60.5)),
        ("x 1500 µm y 2.5 mm", (1.5, 2.5)),
        ("1.5e1 2", (15, 2)),
        ("0.0756442 m 0.06 m", (75.6442, 60)),
    ],
)
def test_a_position(text: str, xy: tuple[float, float]) -> None:
    assert position_in(text) == pytest.approx(xy)


def test_the_unit_of_plain_numbers() -> None:
    assert position_in("1500 2500", unit="um") == pytest.approx((1.5, 2.5))
    assert position_in("1500 2.5 mm", unit="um") == pytest.approx((1.5, 2.5))


@pytest.mark.parametrize("text", ["", "75,60", "75", "1.234,5 2.345,6", "x 3", "X = a, Y = b", "1,2,3,4"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no position"):
        position_in(text)


def test_several_lines_with_and_without_names() -> None:
    text = (
        "name;x;y\nM1;10,000;20,000\n12,5 20,5\nLower left:\t1\t2\nx=3; y=4\nM2 5,5 6,5\n75.6 mm; 60.4 mm\nM3, 7.5, 8"
    )
    assert positions_in(text) == [
        ("M1", (10, 20)), ("", (12.5, 20.5)), ("Lower left", (1, 2)), ("", (3, 4)), ("M2", (5.5, 6.5)),
        ("", (75.6, 60.4)), ("M3", (7.5, 8)),
    ]  # fmt: skip
    with pytest.raises(InputError, match="holds no position"):
        positions_in("name;x;y")
