"""The one field for numbers: both decimal signs in every language, nothing rounded, nothing clamped in silence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from qtpy.QtCore import QLocale, QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QVBoxLayout, QWidget

from microscope_qc.app.base.number_entry import NumberEntry
from microscope_qc.core.numbers import Quantity

SIZE = Quantity("The pixel size", "µm", 1e-6, 1000)


@pytest.fixture(params=["de_DE", "en_US", "fr_CH"])
def language(request: pytest.FixtureRequest) -> Iterator[None]:
    """Another language of the computer."""
    before = QLocale()
    QLocale.setDefault(QLocale(request.param))
    yield
    QLocale.setDefault(before)


@pytest.fixture
def page(qtbot: Any) -> QWidget:
    """Something to put fields on, with another place for the focus."""
    page = QWidget()
    page.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    QVBoxLayout(page)
    qtbot.addWidget(page)
    page.show()
    page.activateWindow()
    qtbot.waitUntil(page.isActiveWindow)
    return page


def put(page: QWidget, field: NumberEntry) -> NumberEntry:
    field.seen = []  # type: ignore[attr-defined]
    field.valueChanged.connect(field.seen.append)  # type: ignore[attr-defined]
    page.layout().addWidget(field)
    field.show()
    field.setFocus()
    return field


def typed(field: NumberEntry, text: str) -> None:
    field.selectAll()
    QTest.keyClicks(field, text)


@pytest.mark.parametrize(
    ("text", "value", "shown"),
    [("0.35", 0.35, "0.35 µm"), ("0,35", 0.35, "0.35 µm"), ("0.00124", 0.00124, "0.00124 µm"),
     ("1,234", 1.234, "1.234 µm"), ("350 nm", 0.35, "0.35 µm"), ("0,1234567891", 0.1234567891, "0.1234567891 µm")],
)  # fmt: skip
def test_what_is_typed_is_what_is_kept(page: QWidget, language: None, text: str, value: float, shown: str) -> None:
    field = put(page, NumberEntry(SIZE, 0.5))
    typed(field, text)
    assert field.value() == value and field.seen == [], "not finished yet"
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert field.seen == [value] and field.text() == shown
    field.setValue(value)
    assert field.text() == shown


@pytest.mark.parametrize(
    ("text", "why"),
    [("2000", "cannot be 2000 µm. It is 0.000001 to 1000 µm."), ("1.234,5", "not a number"), ("2 kg", "in µm"),
     ("", "missing")],
)  # fmt: skip
def test_what_cannot_be_taken_stays_with_its_reason(page: QWidget, text: str, why: str) -> None:
    field = put(page, NumberEntry(SIZE, 0.5))
    field.setToolTip("Size of a pixel")
    plain = field.grab().toImage()
    typed(field, text)
    if not text:
        QTest.keyClick(field, Qt.Key.Key_Delete)
    QTest.keyClick(field, Qt.Key.Key_Return)
    page.setFocus()
    assert field.text() == text and why in field.toolTip()
    assert field.value() == 0.5 and field.seen == []
    red = field.grab().toImage().pixelColor(1, field.height() // 2)
    assert red.red() > red.green() + 60 and plain.pixelColor(1, field.height() // 2) != red
    field.setFocus()
    typed(field, "0,7")
    QTest.keyClick(field, Qt.Key.Key_Tab)
    assert field.seen == [0.7] and field.toolTip() == "Size of a pixel"


def test_a_value_outside_the_limits_is_shown_and_said(page: QWidget) -> None:
    field = put(page, NumberEntry(Quantity("The overlap", "px", 0, 511, whole=True), 100))
    field.setRange(0, 63)
    assert field.text() == "100 px" and "It is 0 to 63 px" in field.problem()
    field.setRange(0, 511)
    assert not field.problem() and field.value() == 100
    typed(field, "1,5")
    assert "whole number" in field.problem()


def test_arrow_keys_step_and_stop_at_the_limits(page: QWidget) -> None:
    field = put(page, NumberEntry(Quantity("Gamma", "", 0.2, 5), 4.9, step=0.05))
    for _ in range(3):
        QTest.keyClick(field, Qt.Key.Key_Up)
    assert field.seen == [4.95, 5.0] and not field.problem()
    QTest.keyClick(field, Qt.Key.Key_PageDown)
    assert field.value() == 4.5
    fine = put(page, NumberEntry(SIZE, 0.00124))
    QTest.keyClick(fine, Qt.Key.Key_Up)
    assert fine.value() == 0.00134
    fine.setValue(1.0)
    QTest.keyClick(fine, Qt.Key.Key_Down)
    assert fine.value() == 0.99


def wheel(field: QWidget) -> None:
    middle = field.rect().center()
    QApplication.sendEvent(
        field,
        QWheelEvent(
            QPointF(middle), QPointF(field.mapToGlobal(middle)), QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        ),
    )  # fmt: skip


def test_the_wheel_steps_only_with_the_focus(page: QWidget, qtbot: Any) -> None:
    field = put(page, NumberEntry(Quantity("The tile", "px", 32, 512, whole=True), 64, step=8))
    page.setFocus()
    wheel(field)
    assert field.value() == 64
    field.setFocus()
    qtbot.waitUntil(field.hasFocus)
    wheel(field)
    assert field.value() == 72


def test_a_field_may_be_empty(page: QWidget) -> None:
    field = put(page, NumberEntry(SIZE, 0.5, empty="not set"))
    field.selectAll()
    QTest.keyClick(field, Qt.Key.Key_Delete)
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert field.seen == [None] and field.number() is None and not field.problem()


def test_what_is_being_typed_is_not_overwritten_by_the_same_number(page: QWidget, qtbot: Any) -> None:
    field = put(page, NumberEntry(SIZE, 0.5))
    qtbot.waitUntil(field.hasFocus)
    typed(field, "0,")
    field.setValue(0.5)
    assert field.text() == "0,"
    field.setValue(0.25)
    assert field.text() == "0.25 µm"
    typed(field, "9")
    field.forget_typed()
    assert field.text() == "0.25 µm" and field.value() == 0.25


def test_few_digits_are_shown_of_what_was_computed_and_all_are_kept(page: QWidget) -> None:
    field = put(page, NumberEntry(Quantity("Black"), 12.3456789, digits=3))
    assert field.text() == "12.3" and field.value() == 12.3456789
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert field.value() == 12.3456789 and field.seen == []
