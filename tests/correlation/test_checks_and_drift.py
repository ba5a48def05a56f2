"""Marks kept out of the fit tell how far off it is, and marks visited again how the stage has moved."""

from __future__ import annotations

import numpy as np
import pytest

from microscope_qc.core.errors import InputError
from microscope_qc.correlation.drift import drift_since, drifted
from microscope_qc.correlation.registration import Registration, fit, specimen_um

PIXEL = (0.3, 0.3)
MARKS = np.array([[500.0, 400.0], [700.0, 7600.0], [7900.0, 7700.0], [7800.0, 300.0]])
CHECKS = np.array([[4000.0, 3900.0], [600.0, 4100.0]])
NAMES = ("M1", "M2", "M3", "M4")


def stage_of(yx_px: np.ndarray, *, angle_deg: float = 12.0, shift_um: tuple[float, float] = (31000.0, -4500.0)):
    turn = np.radians(angle_deg)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return (specimen_um(yx_px, PIXEL) @ matrix.T + shift_um) / 1000


def checked(noise_um: float, seed: int, *, wrong_um: float = 0.0) -> Registration:
    rng = np.random.default_rng(seed)
    noisy = stage_of(MARKS) + rng.normal(0, noise_um / 1000, MARKS.shape)
    there = stage_of(CHECKS) + rng.normal(0, noise_um / 1000, CHECKS.shape) + [[wrong_um / 1000, 0], [0, 0]]
    return fit(MARKS, noisy, PIXEL, names=NAMES).with_checks(["C1", "C2"], CHECKS, there)


def test_a_check_is_not_fitted_and_its_error_is_what_is_left_over() -> None:
    fitted = checked(5, 0, wrong_um=200)
    assert fitted.n == 4 and fitted.names == NAMES
    first, second = fitted.checks
    there = np.array([[first.stage_x_mm, first.stage_y_mm]])
    assert first.error_um == pytest.approx(1000 * np.linalg.norm(fitted.to_stage(CHECKS[:1]) - there))
    assert 150 < first.error_um < 250 and first.holds is False and second.holds is True
    assert [text for text in fitted.warnings if "C1" in text] and not [text for text in fitted.warnings if "C2" in text]
    again = Registration.from_dict(fitted.to_dict())
    assert again.checks == fitted.checks
    older = {key: value for key, value in fitted.to_dict().items() if key != "checks"}
    assert Registration.from_dict(older).checks == ()
    assert fit(MARKS[:2], stage_of(MARKS[:2]), PIXEL, mirror=False).with_checks([], CHECKS[:0], CHECKS[:0]).checks == ()


def test_checks_lie_within_the_expected_error_as_often_as_it_says() -> None:
    held = [check.holds for seed in range(400) for check in checked(5, seed).checks]
    assert 0.93 <= np.mean(held) <= 0.97, np.mean(held)


def test_one_mark_tells_a_shift_and_two_a_turn() -> None:
    fitted = fit(MARKS, stage_of(MARKS), PIXEL, names=NAMES)
    now = stage_of(MARKS, angle_deg=12.5, shift_um=(31020.0, -4510.0))
    one = drift_since(fitted, {"M2": tuple(now[1])})
    assert one.rotation_deg is None and one.shift_um == pytest.approx((now[1] - stage_of(MARKS)[1]) * 1000)
    two = drift_since(fitted, {"M1": tuple(now[0]), "M3": tuple(now[2])})
    assert two.rotation_deg == pytest.approx(0.5) and max(two.residuals_um) < 0.01
    moved = drifted(fitted, two)
    np.testing.assert_allclose(moved.to_stage(CHECKS), stage_of(CHECKS, angle_deg=12.5, shift_um=(31020, -4510)))
    np.testing.assert_allclose(moved.stage_mm, now)
    assert "by M1, M3" in moved.warnings[-1]
    np.testing.assert_allclose(moved.from_stage(moved.to_stage(CHECKS)), CHECKS)


def test_a_shift_within_the_error_of_marks_is_called_that() -> None:
    rng, false_alarms, found = np.random.default_rng(5), 0, 0
    for seed in range(300):
        fitted = checked(5, seed)
        still = stage_of(MARKS) + rng.normal(0, 0.005, MARKS.shape)
        false_alarms += bool(drift_since(fitted, {"M1": tuple(still[0])}).is_real)
        found += bool(drift_since(fitted, {"M1": tuple(still[0] + [0.4, 0])}).is_real)
    assert 0.02 <= false_alarms / 300 <= 0.08 and found > 290
    exact = fit(MARKS[:2], stage_of(MARKS[:2]), PIXEL, model="similarity", mirror=False, names=NAMES[:2])
    drift = drift_since(exact, {"M1": (31.0, 0.0)})
    assert drift.is_real is None and "not known" in drift.words


def test_the_expected_error_after_a_drift_holds() -> None:
    rng, held = np.random.default_rng(7), []
    for seed in range(400):
        fitted = checked(5, seed)
        now = stage_of(MARKS, shift_um=(31050.0, -4500.0)) + rng.normal(0, 0.005, MARKS.shape)
        moved = drifted(fitted, drift_since(fitted, {name: tuple(now[n]) for n, name in enumerate(NAMES[:2])}))
        there = stage_of(CHECKS, shift_um=(31050.0, -4500.0)) + rng.normal(0, 0.005, CHECKS.shape)
        away = np.linalg.norm(moved.to_stage(CHECKS) - there, axis=1) * 1000
        held += (away <= moved.r95_um(CHECKS)).tolist()
    assert 0.92 <= np.mean(held) <= 0.99, np.mean(held)


def test_what_cannot_be_a_drift_is_refused() -> None:
    fitted = checked(5, 0)
    with pytest.raises(InputError, match="no mark M9"):
        drift_since(fitted, {"M9": (1.0, 1.0)})
    with pytest.raises(InputError, match="No mark"):
        drift_since(fitted, {})
    with pytest.raises(InputError, match="finite"):
        drift_since(fitted, {"M1": (float("nan"), 1.0)})
    assert drift_since(fitted, {"C1": (31.0, 0.0)}).names == ("C1",)
