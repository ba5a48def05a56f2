"""Marks to stage: known maps are recovered, and errors are what they are said to be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microscope_qc.core.errors import RegistrationError
from microscope_qc.correlation.evidence import f_quantile, radius_factor
from microscope_qc.correlation.registration import Registration, fit, specimen_um

PIXEL = (0.3, 0.3)
CORNERS = np.array(
    [[500.0, 400.0], [700.0, 7600.0], [7900.0, 7700.0], [7800.0, 300.0], [4000.0, 3900.0], [600.0, 4100.0]]
)


def stage_of(marks_px, *, angle_deg=12.0, scale=1.0, mirror=False, shift_mm=(31.0, -4.5), pixel=PIXEL):
    points = specimen_um(marks_px, pixel) * scale
    if mirror:
        points = points * [1, -1]
    turn = np.radians(angle_deg)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return points @ matrix.T / 1000 + shift_mm


@settings(max_examples=60, deadline=None)
@given(
    angle=st.floats(-180, 180),
    scale=st.floats(0.9, 1.1),
    mirror=st.booleans(),
    shift=st.tuples(st.floats(-90, 90), st.floats(-90, 90)),
    count=st.integers(3, 6),
    size=st.floats(0.05, 5),
    aspect=st.floats(0.5, 2),
)
def test_recovers_any_turned_scaled_mirrored_map(angle, scale, mirror, shift, count, size, aspect):
    marks, pixel = CORNERS[:count], (size, size * aspect)
    map_of = dict(angle_deg=angle, scale=scale, mirror=mirror, shift_mm=shift, pixel=pixel)
    fitted = fit(marks, stage_of(marks, **map_of), pixel)
    assert fitted.mirror == mirror
    assert fitted.scale == pytest.approx(scale, rel=1e-6)
    elsewhere = np.array([[1234.5, 6789.0], [20000.0, -50.0]])
    np.testing.assert_allclose(fitted.to_stage(elsewhere), stage_of(elsewhere, **map_of), atol=1e-6)
    np.testing.assert_allclose(fitted.from_stage(fitted.to_stage(elsewhere)), elsewhere, rtol=1e-7, atol=1e-4)
    again = Registration.from_dict(fitted.to_dict())
    np.testing.assert_array_equal(again.to_stage(elsewhere), fitted.to_stage(elsewhere))


def test_agrees_with_scikit_image():
    from skimage.transform import SimilarityTransform

    rng = np.random.default_rng(3)
    stage = stage_of(CORNERS) + rng.normal(0, 0.004, CORNERS.shape)
    fitted = fit(CORNERS, stage, PIXEL, model="similarity", mirror=False)
    theirs = SimilarityTransform.from_estimate(specimen_um(CORNERS, PIXEL), stage * 1000)
    np.testing.assert_allclose(fitted.matrix, theirs.params[:2], rtol=1e-9, atol=1e-6)


def test_mirrored_marks_are_seen_as_mirrored_and_fit():
    fitted = fit(CORNERS[:4], stage_of(CORNERS[:4], mirror=True), PIXEL)
    assert fitted.mirror and fitted.handedness == "mirrored"
    assert fitted.residuals_um.max() < 1e-6
    wrong = fit(CORNERS[:4], stage_of(CORNERS[:4], mirror=True), PIXEL, mirror=False)
    assert wrong.residuals_um.max() > 100
    assert any("other orientation" in warning for warning in wrong.warnings)


@pytest.mark.parametrize(("count", "model"), [(2, "rigid"), (3, "similarity"), (5, "similarity"), (6, "affine")])
def test_expected_error_agrees_with_simulation(count, model):
    """Errors at a far point over many simulated placements of the marks, against the formula at the true sigma."""
    rng = np.random.default_rng(count)
    sigma_um, far = 4.0, np.array([[8100.0, 8000.0]])
    truth = stage_of(CORNERS[:count])
    errors, variances, radii = [], [], []
    for _ in range(500):
        stage = truth + rng.normal(0, sigma_um / 1000, truth.shape)
        fitted = fit(CORNERS[:count], stage, PIXEL, model=model, mirror=None if model == "affine" else False)
        errors.append(np.linalg.norm(fitted.to_stage(far) - stage_of(far)) * 1000)
        variances.append(fitted.sigma_um**2)
        radii.append(np.sqrt(fitted._leverage(specimen_um(far, PIXEL))[0]) * sigma_um)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.mean(radii), rel=0.09)
    assert np.sqrt(np.mean(variances)) == pytest.approx(sigma_um, rel=0.09)


def test_the_radius_factor_is_that_of_the_f_distribution():
    from scipy.stats import f

    for freedom in (1, 2, 3, 6, 20, 200):
        assert f_quantile(0.05, freedom) == pytest.approx(f.ppf(0.95, 2, freedom), rel=1e-9)
        assert f_quantile(0.01, freedom) == pytest.approx(f.ppf(0.99, 2, freedom), rel=1e-9)
    assert radius_factor(10**6) == pytest.approx(np.sqrt(-2 * np.log(0.05) / 2), rel=1e-5), "1.73 for a known error"


def coverage(model: str, count: int, trials: int) -> float:
    """Share of located targets, anywhere on the slide, that are within the expected error."""
    rng = np.random.default_rng([count, len(model)])
    inside = 0
    for _ in range(trials):
        marks = np.vstack([CORNERS[:4], rng.uniform(0, 8000, (8, 2))])[:count]
        seen = rng.normal(0, 0.005, (count, 2)) + stage_of(marks)
        fitted = fit(marks, seen, PIXEL, model=model, mirror=None if model == "affine" else False)
        place = rng.uniform(0, 8000, (1, 2))
        there = stage_of(place) + rng.normal(0, 0.005, (1, 2))
        inside += np.linalg.norm(fitted.to_stage(place) - there) * 1000 <= fitted.r95_um(place)[0]
    return inside / trials


ALL = [
    (model, count)
    for model, least in (("rigid", 2), ("similarity", 3), ("affine", 4), ("auto", 2))
    for count in range(least, 13)
]


@pytest.mark.long
@pytest.mark.parametrize(("model", "count"), ALL)
def test_the_expected_error_holds_95_percent(model, count):
    assert 0.93 <= coverage(model, count, 2000) <= 0.97


@pytest.mark.parametrize(("model", "count"), [("rigid", 2), ("similarity", 3), ("affine", 4), ("auto", 8)])
def test_the_expected_error_holds_95_percent_in_a_few_trials(model, count):
    assert 0.92 <= coverage(model, count, 250) <= 0.98


def test_two_marks_need_the_orientation_and_check_only_the_scale():
    marks = CORNERS[:2]
    with pytest.raises(RegistrationError, match="mirrored"):
        fit(marks, stage_of(marks), PIXEL)
    fitted = fit(marks, stage_of(marks, mirror=True), PIXEL, mirror=True)
    assert fitted.model == "rigid" and fitted.degrees_of_freedom == 1
    assert np.isnan(fitted.loo_um).all()
    stretched = fit(marks, stage_of(marks, scale=1.5), PIXEL, mirror=False)
    assert stretched.observed_scale == pytest.approx(1.5)
    assert any("factor" in warning for warning in stretched.warnings)


def test_no_check_is_possible_without_degrees_of_freedom():
    fitted = fit(CORNERS[:3], stage_of(CORNERS[:3]), PIXEL, model="affine")
    assert not fitted.check_possible and fitted.sigma_um is None
    assert np.isnan(fitted.r95_um(CORNERS)).all()
    assert any("no error can be estimated" in warning for warning in fitted.warnings)
    assert Registration.from_dict(fitted.to_dict()).sigma_um is None


def test_marks_that_fit_exactly_are_not_located_better_than_a_pixel():
    fitted = fit(CORNERS[:3], stage_of(CORNERS[:3]), PIXEL)
    assert fitted.sigma_um < 1e-6 and fitted.sigma_text == "under 0.01 um"
    assert (fitted.r95_um(CORNERS) > PIXEL[0]).all(), "an expected error of 0 is no estimate"


def test_marks_on_a_line_are_refused():
    line = np.array([[100.0, 100.0], [1000.0, 1002.0], [3000.0, 2999.0], [7000.0, 7001.0]])
    with pytest.raises(RegistrationError, match="line"):
        fit(line, stage_of(line), PIXEL)
    with pytest.raises(RegistrationError, match="line"):
        fit(line, stage_of(line), PIXEL, model="affine")
    fitted = fit(line, stage_of(line), PIXEL, mirror=False)
    assert any("line" in warning for warning in fitted.warnings)


@pytest.mark.parametrize(("spread_px", "certain"), [(60, False), (20000, True)])
def test_close_marks_do_not_tell_the_orientation(spread_px, certain):
    rng = np.random.default_rng(2)
    said = wrong = 0
    for _ in range(100):
        marks = rng.uniform(0, spread_px, (3, 2))
        try:
            fitted = fit(marks, stage_of(marks) + rng.normal(0, 0.005, (3, 2)), PIXEL)
        except RegistrationError:
            continue
        said += fitted.mirror_certain
        wrong += fitted.mirror and fitted.mirror_certain
        assert fitted.mirror_certain == (not any("not certain" in text for text in fitted.warnings))
        assert Registration.from_dict(fitted.to_dict()).mirror_certain == fitted.mirror_certain
    assert wrong == 0 and (said > 90 if certain else said < 10)
    told = fit(marks, stage_of(marks), PIXEL, mirror=False)
    assert told.mirror_certain and told.handedness == "not mirrored"


def test_affine_is_taken_from_six_marks_only_when_it_fits_clearly_better():
    rng = np.random.default_rng(0)
    square = stage_of(CORNERS) + rng.normal(0, 0.001, CORNERS.shape)
    stretched = square * [1.02, 1.0]
    assert fit(CORNERS, stretched, PIXEL).model == "affine"
    assert fit(CORNERS[:5], stretched[:5], PIXEL).model == "similarity"
    models = [fit(CORNERS, stage_of(CORNERS) + rng.normal(0, 0.005, CORNERS.shape), PIXEL).model for _ in range(40)]
    assert models.count("similarity") > 37
    assert fit(CORNERS, stage_of(CORNERS), PIXEL).model == "similarity", "not for rounding"


def test_a_swapped_mark_gives_a_warning():
    stage = stage_of(CORNERS[:4])[[1, 0, 2, 3]]
    fitted = fit(CORNERS[:4], stage, PIXEL)
    assert any("do not fit well" in warning for warning in fitted.warnings)


def test_positions_outside_the_marks_are_flagged():
    fitted = fit(CORNERS, stage_of(CORNERS), PIXEL)
    places = np.array([[4000.0, 4000.0], [300.0, 4000.0], [-500.0, -500.0], [9000.0, 4000.0]])
    assert fitted.outside_marks(places).tolist() == [False, False, True, True], "a small margin is allowed"
    line = np.array([[0.0, 0.0], [0.0, 4000.0], [0.0, 8000.0]])
    fitted = fit(line, stage_of(line), PIXEL, mirror=False)
    places = np.array([[100.0, 4000.0], [1000.0, 4000.0], [0.0, 9000.0]])
    assert fitted.outside_marks(places).tolist() == [False, True, True]
    two = fit(line[:2], stage_of(line[:2]), PIXEL, mirror=False)
    assert two.outside_marks(places).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("marks", "stage"),
    [
        ([[0, 0]], [[0, 0]]),
        ([[0, 0], [1, 1]], [[0, 0], [float("nan"), 1]]),
        ([[0, 0], [1, 1]], [[0, 0]]),
        ([[5, 5], [5, 5], [5, 5]], [[0, 0], [1, 1], [2, 0]]),
        ([["a", 0], [1, 1]], [[0, 0], [1, 1]]),
        ([[0, 0], [9, 0], [0, 9]], [[1, 1], [1, 1], [1, 1]]),
    ],
)
def test_impossible_marks_are_refused_in_one_sentence(marks, stage):
    with pytest.raises(RegistrationError) as caught:
        fit(marks, stage, PIXEL, mirror=False)
    assert caught.value.message.count(".") == 1 and caught.value.hint
