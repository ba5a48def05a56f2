"""Distances, joining, measures and size distributions of particles, against what is known otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage import filters
from skimage.morphology import h_maxima

from microscope_qc.analysis.particles.basins import basins, join, passes_within, summits_of
from microscope_qc.analysis.particles.distribution import size_distribution
from microscope_qc.analysis.particles.masks import capped_distance, cleaned
from microscope_qc.analysis.particles.particle_table import particle_table, slice_like
from microscope_qc.analysis.particles.settings import ParticleSettings
from microscope_qc.analysis.particles.tally import AROUND, ParticleTally, direction_weights
from microscope_qc.analysis.particles.thresholds import GreyHistogram, level_of
from microscope_qc.core.blocks import blocks_of, whole
from microscope_qc.core.errors import InputError


def ball(shape, centre, axes) -> np.ndarray:
    """An ellipsoid; ``axes`` are half of its sides."""
    grid = np.indices(shape).reshape(3, -1).T
    inside = (((grid - np.array(centre)) / np.array(axes)) ** 2).sum(axis=1) <= 1
    return inside.reshape(shape)


def tally_of(labels: np.ndarray, *, voxel=(1.0, 1.0, 1.0), block=(20, 24, 28)) -> ParticleTally:
    tally = ParticleTally(int(labels.max()), labels.shape, voxel)
    wide = np.pad(labels, AROUND, constant_values=tally.outside)
    for one in blocks_of(labels.shape, block):
        part = tuple(slice(a, b + 2 * AROUND) for a, b in zip(one.start, one.stop, strict=True))
        tally.add(wide[part], one)
    return tally


@pytest.mark.parametrize("step", [(1, 1, 1), (2.5, 1, 1), (1, 2, 3)])
def test_distance_is_that_of_scipy_up_to_the_cap(step):
    mask = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(30, 34, 38)), 3) > -0.02
    wanted = np.minimum(ndimage.distance_transform_edt(mask, sampling=step), 6)
    np.testing.assert_allclose(capped_distance(mask, 6, step), wanted, atol=1e-4)
    assert capped_distance(np.ones((4, 5, 6), bool), 3).min() == 3


def test_a_ball_has_the_surface_and_axes_of_a_ball():
    labels = ball((50, 50, 50), (24.3, 25.1, 24.8), (18, 18, 18)).astype(np.uint32)
    table = particle_table(tally_of(labels, voxel=(0.5, 0.5, 0.5)), unit="um")
    assert table["radius"][0] == pytest.approx(9, rel=0.005)
    assert table["surface"][0] == pytest.approx(4 * np.pi * 81, rel=0.015)
    assert table["sphericity"][0] == pytest.approx(1, abs=0.015)
    assert table["aspect"][0] == pytest.approx(1, abs=0.01)
    assert [table[axis][0] for axis in "zyx"] == pytest.approx([12.4, 12.8, 12.65], abs=0.02)


def test_an_ellipsoid_in_flat_voxels_has_its_axes_and_its_direction():
    voxel = (2.0, 1.0, 1.0)
    labels = ball((40, 60, 60), (19, 30, 30), (6, 10, 24)).astype(np.uint32)
    table = particle_table(tally_of(labels, voxel=voxel), unit="um")
    assert [table[name][0] for name in ("length", "width", "thickness")] == pytest.approx([48, 24, 20], rel=0.02)
    assert (table["tilt_deg"][0], table["azimuth_deg"][0] % 180) == pytest.approx((90, 0), abs=0.5)
    # Knud Thomsen's formula, within 1.2 %
    a, b, c = 24, 12, 10
    area = 4 * np.pi * (((a * b) ** 1.6075 + (a * c) ** 1.6075 + (b * c) ** 1.6075) / 3) ** (1 / 1.6075)
    assert table["surface"][0] == pytest.approx(area, rel=0.03)


def test_sums_do_not_depend_on_the_blocks():
    rng = np.random.default_rng(5)
    labels = (ndimage.gaussian_filter(rng.normal(size=(40, 44, 36)), 2) > 0.02).astype(np.uint32)
    labels = ndimage.label(labels)[0].astype(np.uint32)
    one, many = (particle_table(tally_of(labels, block=block), unit="voxel") for block in ((99, 99, 99), (16, 13, 11)))
    for name, column in one.columns.items():
        np.testing.assert_allclose(many.columns[name], column, rtol=1e-9, atol=1e-9, err_msg=name)
    assert one["voxels"].sum() == (labels > 0).sum()


def test_touching_particles_are_neighbours():
    labels = np.zeros((10, 10, 12), np.uint32)
    labels[2:8, 2:8, 1:5], labels[2:8, 2:8, 5:9], labels[2:8, 2:8, 10:11] = 1, 2, 3
    table = particle_table(tally_of(labels), unit="voxel")
    assert table["neighbours"].tolist() == [1, 1, 0]
    assert table["contact_faces"].tolist() == [36, 36, 0]


def test_the_interface_ends_at_the_border_and_where_particles_meet():
    half = ball((40, 40, 40), (-0.5, 20, 20), (14, 14, 14)).astype(np.uint32)
    tally = tally_of(half)
    assert tally.interface == pytest.approx(2 * np.pi * 14**2, rel=0.03)
    assert tally.surface[1] > tally.interface + 0.75 * np.pi * 14**2  # its section at the border, too
    half[:, :, :20] *= 2  # two particles now, with the same pores around them
    assert tally_of(half).interface == pytest.approx(tally.interface)


def test_weights_of_directions_are_those_of_the_sphere():
    weights = direction_weights((1, 1, 1))
    assert weights.sum() == pytest.approx(1)
    # per pair of opposite directions: along the axes, the diagonals of faces, those of the cube (Legland et al. 2007)
    assert sorted(set(np.round(weights, 6))) == pytest.approx([0.070391, 0.073961, 0.091556], abs=1e-5)


def test_border_rule_counts_the_section_at_the_border():
    whole_one = ball((40, 40, 40), (20, 20, 20), (8, 8, 8))
    half = ball((40, 40, 40), (0, 8, 30), (7, 7, 7))
    touching = ball((40, 40, 40), (33.2, 33, 8), (6, 6, 6))
    labels = (whole_one + 2 * half + 3 * touching).astype(np.uint32)
    table = particle_table(tally_of(labels), unit="voxel")
    assert table["at_border"].tolist() == [False, True, False]
    assert table["border_share"][0] == 0 < table["border_share"][2] < 0.2 < table["border_share"][1]
    assert table.kept().tolist() == [True, False, True]
    assert table.kept(border=True).all()


def test_flat_outliers_are_told_from_large_and_small_particles():
    rng = np.random.default_rng(2)
    sides = rng.normal(20, 3, (60, 1)) * rng.uniform(0.85, 1.15, (60, 3))
    sides[0], sides[1], sides[2] = (60, 62, 61), (4, 4, 5), (1, 22, 24)
    assert np.flatnonzero(slice_like(sides)).tolist() == [2]
    assert not slice_like(sides[2:6]).any()
    assert slice_like(np.zeros((0, 3))).shape == (0,)


@pytest.mark.parametrize("depth", [1.0, 1.5, 3.0])
def test_joined_basins_are_as_many_as_h_maxima(depth):
    mask = ndimage.gaussian_filter(np.random.default_rng(4).normal(size=(48, 48, 48)), 3) > 0
    distance = capped_distance(mask, 30)
    distance += 1e-3 * mask * np.random.default_rng(5).random(mask.shape, np.float32)  # no two summits are alike
    labels = basins(distance, mask)
    to = join(summits_of(labels, distance), passes_within(labels, distance), depth=depth)
    maxima = h_maxima(distance.astype(float), depth, ndimage.generate_binary_structure(3, 1))
    parts, count = ndimage.label(mask)
    alone = count - len(np.unique(parts[maxima > 0]))  # lower than h, with nothing to be joined to
    assert len(np.unique(to[1:])) == maxima.sum() + alone


def test_a_neck_splits_two_balls_until_it_is_too_wide():
    mask = ball((40, 40, 60), (20, 20, 20), (12, 12, 12)) | ball((40, 40, 60), (20, 20, 36), (12, 12, 12))
    distance = capped_distance(mask, 30)
    labels = basins(distance, mask)

    def particles(**settings):
        to = join(summits_of(labels, distance), passes_within(labels, distance), **settings)
        return len(np.unique(to[1:]))

    assert particles(depth=1.5) == 2
    assert particles(depth=6) == 1
    assert particles(depth=0.2, share=0.5) == 1


def test_holes_are_filled_and_cracks_are_closed():
    mask = ball((40, 40, 40), (20, 20, 20), (12, 12, 12))
    hole, crack = mask.copy(), mask.copy()
    hole[18:22, 18:22, 18:22] = False
    crack[20:22] = False
    assert (cleaned(hole, ParticleSettings()) == mask).all()
    assert (cleaned(hole, ParticleSettings(fill_holes=False)) == hole).all()
    assert ndimage.label(cleaned(crack, ParticleSettings(closing=0)))[1] == 2
    closed = cleaned(crack, ParticleSettings(closing=2))
    assert ndimage.label(closed)[1] == 1 and closed[20:22, 14:26, 14:26].all()
    spike = mask.copy()
    spike[20, 20, 30:40] = True
    assert not cleaned(spike, ParticleSettings(opening=2, fill_holes=False))[20, 20, 36:].any()


@pytest.mark.parametrize(
    ("method", "direct"),
    [
        ("otsu", filters.threshold_otsu),
        ("triangle", filters.threshold_triangle),
        ("multi-otsu", lambda grey: filters.threshold_multiotsu(grey, 3)[1]),
    ],
)
def test_thresholds_from_parts_are_those_of_the_whole(method, direct):
    rng = np.random.default_rng(3)
    grey = np.concatenate([rng.normal(60, 9, 20_000), rng.normal(120, 9, 9_000), rng.normal(180, 9, 12_000)])
    grey = grey.round().clip(0, 255).astype(np.uint8)
    histogram = GreyHistogram.between(0, 256, 256)
    for part in np.array_split(grey, 7):
        histogram = histogram.with_values(part)
    assert level_of(histogram, method, dark=False) == pytest.approx(direct(grey), abs=2.5)


def test_a_volume_of_one_grey_has_no_threshold():
    histogram = GreyHistogram.between(0, 256, 256).with_values(np.full(1000, 7, np.uint8))
    with pytest.raises(InputError, match="alike"):
        level_of(histogram, "otsu", dark=False)


def test_sizes_by_number_and_by_volume():
    radii = np.r_[np.full(90, 1.0), np.full(10, 3.0)]
    number, volume = (size_distribution(radii, weight=weight) for weight in ("number", "volume"))
    assert number.quantiles[1].value == 1 and volume.quantiles[1].value == 3  # 270 of 360 parts of the volume
    assert number.mean.value == pytest.approx(1.2)
    low, high = number.mean.interval
    assert 1.05 < low < 1.2 < high < 1.35
    assert number.n == 100 and number.shares.sum() == pytest.approx(1)
    assert volume.shares[-1] == pytest.approx(0.75)
    assert size_distribution(np.zeros(0)) is None
    assert size_distribution(radii[:3]).mean.interval is None


def test_blocks_of_a_tally_may_come_in_any_order():
    labels = ball((30, 30, 30), (15, 15, 15), (9, 9, 9)).astype(np.uint32)
    tally = ParticleTally(1, labels.shape, (1, 1, 1))
    wide = np.pad(labels, AROUND, constant_values=tally.outside)
    for one in reversed(blocks_of(labels.shape, (16, 16, 16))):
        part = tuple(slice(a, b + 2 * AROUND) for a, b in zip(one.start, one.stop, strict=True))
        tally.add(wide[part], one)
    assert whole(labels.shape).voxels == 27_000
    assert tally.surface[1] == pytest.approx(tally_of(labels).surface[1])
