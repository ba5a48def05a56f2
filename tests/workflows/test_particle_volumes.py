"""Particles of a volume from end to end: in blocks, interrupted, on the command line, in a script."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from microscope_qc import api
from microscope_qc.analysis.particles.settings import ParticleSettings
from microscope_qc.cli import main
from microscope_qc.core.blocks import Block, whole
from microscope_qc.core.errors import Cancelled, InputError
from microscope_qc.core.jobs import CancelToken, run_job
from microscope_qc.slides.volumes.opening import open_volume
from microscope_qc.slides.volumes.volume import ArrayVolume
from microscope_qc.slides.volumes.zarr_store import open_store
from microscope_qc.synthetic.volume import CONTRAST_TO_NOISE, ParticleVolume
from microscope_qc.workflows.volumes.drawing import draw_volume
from microscope_qc.workflows.volumes.particle_results import share_document
from microscope_qc.workflows.volumes.particles import WORKING, find_particles

SHAPE = (128, 128, 96)
SETTINGS = ParticleSettings(filter_size=1.5, block=64, largest_radius=26)


@pytest.fixture(scope="module")
def drawn() -> ParticleVolume:
    return ParticleVolume(SHAPE, seed=1)


@pytest.fixture(scope="module")
def grey(drawn) -> np.ndarray:
    return drawn.read(whole(SHAPE))


def volume_of(grey: np.ndarray) -> ArrayVolume:
    return ArrayVolume(Path("scan.raw"), grey, voxel_um=(0.064,) * 3, voxel_source="drawn")


def labels_in(path: Path) -> np.ndarray:
    store = open_store(path)
    assert store is not None
    return store.read(whole(store.shape)).astype(np.int64)


@pytest.fixture(scope="module")
def in_blocks(grey, tmp_path_factory):
    return run_job(find_particles(volume_of(grey), tmp_path_factory.mktemp("blocks"), SETTINGS))


def test_a_drawn_volume_does_not_depend_on_the_block(drawn, grey):
    block = Block((10, 37, 5), (90, 128, 77))
    np.testing.assert_array_equal(drawn.read(block), grey[block.slices])
    labels = drawn.labels(whole(SHAPE))
    np.testing.assert_array_equal(drawn.labels(block), labels[block.slices])
    assert (labels > 0).mean() > 0.5 and CONTRAST_TO_NOISE < 2
    assert grey[labels > 0].mean() - grey[labels == 0].mean() < 2 * grey[labels == 0].std()


def test_blocks_change_nothing_but_the_course_of_some_boundaries(grey, in_blocks, tmp_path):
    settings = ParticleSettings(filter_size=1.5, block=128, largest_radius=26)
    at_once = run_job(find_particles(volume_of(grey), tmp_path, settings))
    assert len(at_once.table) == len(in_blocks.table) > 25
    one, many = labels_in(at_once.labels), labels_in(in_blocks.labels)
    assert ((one > 0) == (many > 0)).mean() > 0.9999
    together, counts = np.unique(one[one > 0] * 100_000 + many[one > 0], return_counts=True)
    best = sum(counts[together // 100_000 == number].max() for number in np.unique(together // 100_000))
    assert best / counts.sum() > 0.98


def test_an_interrupted_run_is_continued_and_gives_the_same(grey, in_blocks, tmp_path):
    token = CancelToken()
    seen = []

    def stop_after_three(progress):
        seen.append(progress)
        if progress.note == "finding particles" and progress.done >= 3:
            token.cancel()

    with pytest.raises(Cancelled):
        run_job(find_particles(volume_of(grey), tmp_path, SETTINGS, workers=1), stop_after_three, token)
    done = len(list((tmp_path / WORKING).glob("*.npz")))
    assert 3 <= done < 8
    (tmp_path / WORKING / "0.npz").write_bytes(b"cut off")  # as after a loss of power
    seen.clear()
    again = run_job(find_particles(volume_of(grey), tmp_path, SETTINGS), seen.append)
    assert seen[0].note == "finding particles" and seen[0].done == done - 1
    np.testing.assert_array_equal(labels_in(again.labels), labels_in(in_blocks.labels))
    for name, column in in_blocks.table.columns.items():
        np.testing.assert_array_equal(again.table.columns[name], column, err_msg=name)
    assert again.solid_voxels == in_blocks.solid_voxels
    assert not (tmp_path / WORKING).exists()


def test_an_unfinished_run_of_other_settings_is_not_continued(grey, tmp_path):
    job = find_particles(volume_of(grey), tmp_path, SETTINGS)
    while next(job).note != "finding particles":
        pass
    next(job)
    job.close()
    seen = []
    run_job(find_particles(volume_of(grey[:64, :64, :64]), tmp_path, SETTINGS), seen.append)
    assert seen[0].note == "looking for the threshold"


@pytest.mark.long
def test_watershed_splits_a_third_of_the_cracked_particles(tmp_path):
    shape = (144, 144, 144)
    drawn = ParticleVolume(shape, seed=5, cracked=0.5)
    found = run_job(find_particles(volume_of(drawn.read(whole(shape))), tmp_path, SETTINGS))
    truth, labels = drawn.labels(whole(shape)).astype(np.int64), labels_in(found.labels)
    split = {True: [], False: []}
    for particle in drawn.particles():
        mine = labels[truth == particle.number]
        if len(mine) > 5000:
            _, counts = np.unique(mine[mine > 0], return_counts=True)
            split[particle.cracked].append((counts >= 0.1 * len(mine)).sum() >= 2)
    assert np.mean(split[True]) >= 0.3 > np.mean(split[False])


def test_what_holds_no_particle_is_said(tmp_path):
    with pytest.raises(InputError, match="alike"):
        run_job(find_particles(volume_of(np.full((64, 64, 64), 9, np.uint8)), tmp_path))
    empty = np.zeros((64, 64, 64), np.uint8)
    with pytest.raises(InputError, match="No particle of 64 voxels"):
        run_job(find_particles(volume_of(empty), tmp_path, ParticleSettings(level=100)))
    not_numbers = np.full((64, 64, 64), np.nan, np.float32)
    with pytest.raises(InputError, match="no numbers"):
        run_job(find_particles(volume_of(not_numbers), tmp_path))
    with pytest.raises(InputError, match="size of the filter cannot be -1"):
        run_job(find_particles(volume_of(empty), tmp_path, ParticleSettings(filter_size=-1)))


def test_a_share_has_its_wilson_interval():
    share = share_document(48, 147)
    assert round(100 * share["share"], 1) == 32.7
    assert [round(100 * limit, 1) for limit in share["interval"]] == [25.6, 40.6]
    assert share_document(0, 0)["share"] is None


def test_the_command_writes_labels_tables_and_plots(tmp_path, capsys):
    volume, out = tmp_path / "v.ome.zarr", tmp_path / "found"
    assert main(["synth", "particles", str(volume), "--volume", "--size", "96", "--seed", "2", "--json"]) == 0
    written = json.loads(capsys.readouterr().out)["written"]
    assert [Path(path).name for path in written] == ["v.ome.zarr", "v.labels.ome.zarr", "v.truth.json"]
    truth = json.loads((tmp_path / "v.truth.json").read_text())
    labels = labels_in(tmp_path / "v.labels.ome.zarr")
    assert {p["id"]: p["voxels"] for p in truth["particles"]} == {
        int(n): int(c) for n, c in zip(*np.unique(labels[labels > 0], return_counts=True), strict=True)
    }
    assert main(["particles", str(volume), "--out", str(out), "--filter-size", "1.5", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((out / "particles.json").read_text())
    assert {path.name for path in out.iterdir()} == set(document["files"])
    assert document["volume"]["voxel_um"] == [0.064] * 3
    found = document["particles"]
    assert found["found"] >= found["kept"] > 0
    assert 0.5 < document["fractions"]["particles"] < 0.7
    low, high = document["flawed"]["interval"]
    assert 0 <= low <= document["flawed"]["share"] <= high <= 1
    assert document["sizes"]["number"]["n"] == found["kept"]
    rows = (out / "particles.csv").read_text().splitlines()
    assert len(rows) == found["found"] + 1 and "radius_um" in rows[0]
    assert labels_in(out / "labels.ome.zarr").max() == found["found"]
    assert main(["particles", str(volume), "--out", str(out), "--count-border", "--filter-size", "1.5"]) == 0
    assert "dark inside" in capsys.readouterr().out
    assert main(["particles", str(volume), "--out", str(out), "--voxel", "big"]) == 2
    assert "'big" in capsys.readouterr().err


def test_the_api_gives_the_same_table(tmp_path):
    path = tmp_path / "v.ome.zarr"
    run_job(draw_volume(path, (80, 80, 80), seed=4))
    seen = []
    table = api.particles(path, tmp_path / "out", filter_size=1.5, on_progress=seen.append)
    assert len(table) == table.attrs["summary"]["particles"]["found"] > 0
    assert table["kept"].sum() == table.attrs["summary"]["particles"]["kept"]
    assert {p.note for p in seen} >= {"finding particles", "measuring particles"}
    with open_volume(path) as volume:
        assert volume.voxel_um == (0.064,) * 3
    with pytest.raises(InputError, match="side of a block"):
        api.particles(path, tmp_path / "out", block=100)


@pytest.mark.parametrize(
    "arguments",
    [["--size", "10"], ["--size", "64x96"], ["--cracked", "2"], ["--particles", "0"], ["--defects", "3"]],
    ids=lambda a: a[0],
)
def test_impossible_volumes_are_refused(arguments, tmp_path, capsys):
    assert main(["synth", "particles", str(tmp_path / "v.ome.zarr"), "--volume", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") <= 1
    assert not (tmp_path / "v.ome.zarr").exists()


def test_numbers_of_a_volume_need_a_volume(tmp_path, capsys):
    assert main(["synth", "particles", str(tmp_path / "v.ome.zarr"), "--particles", "9"]) == 2
    assert "--volume" in capsys.readouterr().err
    assert main(["synth", "magnet", str(tmp_path / "v.ome.zarr"), "--volume"]) == 2
