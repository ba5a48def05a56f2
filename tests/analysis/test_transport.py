"""Tortuosity factors against cases that are known exactly, or as a series."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from microscope_qc.analysis.transport import tortuosity
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import run_job


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_straight_channels_are_not_tortuous(axis):
    phase = np.zeros((20, 22, 24), bool)
    along = np.moveaxis(phase, axis, 0)
    along[:, 3:7, 4:9] = along[:, 12:15, 10:20] = True
    found = run_job(tortuosity(phase, axis))
    assert found.factor == pytest.approx(1, rel=1e-3)
    assert found.fraction == found.through == pytest.approx(phase.mean())


def test_a_blind_pore_counts_for_the_share_and_carries_nothing():
    phase = np.zeros((20, 20, 20), bool)
    phase[:, 5:10, 5:10] = True
    phase[3:17, 15:20, 15:20] = True
    found = run_job(tortuosity(phase, 0))
    straight = 25 / 400
    assert found.factor == pytest.approx(phase.mean() / straight, rel=1e-3)
    assert found.through == pytest.approx(straight)


def test_a_wall_lets_nothing_through():
    phase = np.ones((10, 10, 10), bool)
    phase[5] = False
    found = run_job(tortuosity(phase, 0))
    assert (found.factor, found.bounds, found.through) == (None, None, 0)
    assert run_job(tortuosity(phase, 1)).factor == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("share", [0.1, 0.25])
def test_spheres_on_a_cubic_lattice_slow_diffusion_as_rayleigh_found(share):
    side = 40
    radius = side * (3 * share / (4 * math.pi)) ** (1 / 3)
    grid = (np.indices((side,) * 3) + 0.5 - side / 2) ** 2
    solid = grid.sum(axis=0) < radius**2
    f = solid.mean()
    # Lord Rayleigh, Phil. Mag. 34 (1892) 481, with the corrected last term, for spheres that conduct nothing
    effective = 1 - 3 * f / (2 + f - 1.57 * 0.75 * f ** (10 / 3))
    found = run_job(tortuosity(~solid, 0))
    assert found.factor == pytest.approx((1 - f) / effective, rel=0.02)  # the steps of the voxels are in the way
    low, high = found.bounds
    assert low <= found.factor <= high


def test_flat_voxels_are_no_other_material():
    coarse = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(24, 30, 30)), (1.5, 3, 3)) > -0.02
    found = run_job(tortuosity(coarse, 0, (2.0, 1.0, 1.0)))
    fine = np.repeat(coarse, 2, axis=0)
    assert found.factor == pytest.approx(run_job(tortuosity(fine, 0)).factor, rel=0.05)
    assert run_job(tortuosity(coarse, 0)).factor != pytest.approx(found.factor, rel=0.02)


def test_too_large_a_phase_is_refused(monkeypatch):
    monkeypatch.setattr("microscope_qc.analysis.transport.MOST_VOXELS", 100)
    with pytest.raises(InputError, match="too many"):
        run_job(tortuosity(np.ones((10, 10, 10), bool), 0))


def test_it_can_be_stopped():
    job = tortuosity(np.ones((30, 30, 30), bool), 0)
    assert next(job).note == "looking for ways through"
    assert next(job).note == "solving diffusion"
    job.close()
