"""Corrections of labelled particles: merge, split, undo, after a kill, on the command line and in a script."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from microscope_qc import api
from microscope_qc.analysis.particles.settings import ParticleSettings
from microscope_qc.cli import main
from microscope_qc.core.blocks import whole
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import run_job
from microscope_qc.slides.volumes.volume import ArrayVolume
from microscope_qc.slides.volumes.zarr_store import open_store
from microscope_qc.workflows.volumes.correcting import LabelCorrections
from microscope_qc.workflows.volumes.particle_results import write_results
from microscope_qc.workflows.volumes.particles import find_particles

SHAPE = (48, 48, 96)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Two balls that touch, and one with a crack through it, which the watershed takes for two particles."""
    z, y, x = np.indices(SHAPE)
    balls = [(z - 24) ** 2 + (y - 24) ** 2 + (x - at) ** 2 < 12**2 for at in (14, 34, 72)]
    crack = (np.abs(x - 72) < 2) & balls[2]
    grey = np.where(balls[0] | balls[1] | (balls[2] & ~crack), 200, 20).astype(np.uint8)
    folder = tmp_path_factory.mktemp("made") / "found"
    volume = ArrayVolume(Path("balls.raw"), grey, voxel_um=(0.1, 0.1, 0.1), voxel_source="drawn")
    settings = ParticleSettings(filter="none", level=100, block=64, largest_radius=14)
    run_job(write_results(run_job(find_particles(volume, folder, settings)), folder))
    return folder


@pytest.fixture
def folder(made, tmp_path) -> Path:
    return shutil.copytree(made, tmp_path / "found")


def labels_in(folder: Path) -> np.ndarray:
    store = open_store(folder / "labels.ome.zarr")
    assert store is not None
    return store.read(whole(store.shape))


def at(folder: Path, x: int) -> int:
    return int(labels_in(folder)[24, 24, x])


def test_a_particle_cut_by_its_crack_is_one_again(folder, capsys):
    before = labels_in(folder)
    assert len(np.unique(before)) == 5
    left, right = at(folder, 64), at(folder, 80)
    assert left != right
    assert main(["labels", str(folder), "merge", str(left), str(right), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["particles"]["found"] == 3 and found["words"] == f"merged {left} and {right} to {left}"
    assert at(folder, 80) == left
    assert found == found | json.loads((folder / "particles.json").read_text())
    assert len((folder / "particles.csv").read_text().splitlines()) == 4
    assert main(["labels", str(folder)]) == 0
    assert f"merged {left}" in capsys.readouterr().out
    assert main(["labels", str(folder), "undo"]) == 0
    np.testing.assert_array_equal(labels_in(folder), before)
    assert main(["labels", str(folder), "undo"]) == 2
    assert "no correction to undo" in capsys.readouterr().err
    assert main(["labels", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == []


def test_particles_that_were_merged_are_split_at_their_neck(folder):
    before = labels_in(folder)
    first, second = at(folder, 14), at(folder, 34)
    table = api.correct_particles(folder, merge=[first, second])
    assert len(table) == 3 and table["voxels"].max() > 1.9 * (before == first).sum()
    table = api.correct_particles(folder, split=first, seeds=[(24, 24, 14), (24, 24, 34)])
    assert len(table) == 4
    new = at(folder, 34)
    assert new > before.max() and at(folder, 14) == first
    assert ((labels_in(folder) == new) == (before == second)).mean() > 0.999
    assert len(LabelCorrections(folder).listed()) == 2
    api.correct_particles(folder, undo=True)
    api.correct_particles(folder, undo=True)
    np.testing.assert_array_equal(labels_in(folder), before)


def test_flaws_go_with_the_particle(tmp_path):
    z, y, x = np.indices(SHAPE)
    ball = (z - 24) ** 2 + (y - 24) ** 2 + (x - 40) ** 2 < 15**2
    hole = (z - 24) ** 2 + (y - 24) ** 2 + (x - 40) ** 2 < 6**2
    volume = ArrayVolume(Path("ball.raw"), np.where(ball & ~hole, 200, 20).astype(np.uint8))
    settings = ParticleSettings(filter="none", level=100, block=64)
    found = run_job(find_particles(volume, tmp_path, settings))
    assert found.table["void_share"][0] == pytest.approx(hole.sum() / ball.sum())
    flaws = open_store(tmp_path / "flaws.ome.zarr")
    np.testing.assert_array_equal(flaws.read(whole(SHAPE)) > 0, hole)
    run_job(write_results(found, tmp_path))
    said = json.loads((tmp_path / "particles.json").read_text())
    assert said["unit"] == "voxel" and (said["flawed"]["number"], said["flawed"]["of"]) == (1, 1)
    assert said["fractions"]["solid"] == pytest.approx((ball.sum() - hole.sum()) / ball.size)


def test_a_correction_that_was_interrupted_is_taken_back(folder, monkeypatch):
    before = labels_in(folder)
    labels = LabelCorrections(folder)
    left, right = at(folder, 64), at(folder, 80)

    def power_fails(done):
        raise KeyboardInterrupt

    monkeypatch.setattr(labels, "_write_state", power_fails)
    with pytest.raises(KeyboardInterrupt):
        run_job(labels.merge([left, right]))
    assert at(folder, 80) == left
    assert LabelCorrections(folder).listed() == []
    np.testing.assert_array_equal(labels_in(folder), before)


def test_wrong_corrections_change_nothing(folder):
    before = labels_in(folder)
    labels = LabelCorrections(folder)
    for job, sentence in (
        (labels.merge([1]), "alone cannot be merged"),
        (labels.merge([1, 77]), "no particle 77"),
        (labels.split(1, [(1, 1, 1)]), "two seeds"),
        (labels.split(at(folder, 14), [(24, 24, 14), (0, 0, 0)]), "is not in particle"),
        (labels.split(99, [(24, 24, 14), (0, 0, 0)]), "no particle 99"),
    ):
        with pytest.raises(InputError, match=sentence):
            run_job(job)
    np.testing.assert_array_equal(labels_in(folder), before)
    assert labels.listed() == []


def test_a_folder_without_labels_is_said(tmp_path, capsys):
    assert main(["labels", str(tmp_path), "merge", "1", "2"]) == 2
    assert "no labelled particles" in capsys.readouterr().err
    assert main(["labels", str(tmp_path), "split", "1", "--seed", "a"]) == 2
    assert "not a voxel" in capsys.readouterr().err
