"""Phases of a segmented volume: shares, surfaces and tortuosity, on the command line and in a script."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from microscope_qc import api
from microscope_qc.cli import main
from microscope_qc.core.blocks import Block
from microscope_qc.core.jobs import run_job
from microscope_qc.slides.volumes.opening import open_volume
from microscope_qc.slides.volumes.volume import ArrayVolume
from microscope_qc.workflows.volumes.structure import structure


def layers(folder: Path) -> Path:
    """A third of the slices is phase 0, the others phase 1: a stack of 30 slices."""
    voxels = np.ones((30, 24, 27), np.uint8)
    voxels[:10] = 0
    path = folder / "layers.tif"
    tifffile.imwrite(path, voxels, photometric="minisblack")
    return path


def test_layers_have_their_share_surface_and_ways(tmp_path, capsys):
    path, out = layers(tmp_path), tmp_path / "found.json"
    arguments = ["structure", str(path), "--voxel", "0.5", "--phase", "1", "--out", str(out), "--json"]
    assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads(out.read_text())
    pore, solid = found["phases"]
    assert (pore["value"], solid["value"]) == (0, 1)
    assert pore["share"] == pytest.approx(1 / 3) and solid["share"] == pytest.approx(2 / 3)
    assert pore["interval"][0] < 1 / 3 < pore["interval"][1]
    # a plane in 15 um, of which 13 directions see 92.7 % where it lies across an axis
    assert solid["surface_per_um"] == pore["surface_per_um"] == pytest.approx(0.927 / 15, rel=0.05)
    factors = {one["axis"]: one["factor"] for one in found["tortuosity"]}
    assert factors["z"] is None
    assert factors["y"] == pytest.approx(1, rel=1e-3) == factors["x"]
    assert main(["structure", str(path), "--phase", "1"]) == 0
    said = capsys.readouterr().out
    assert "does not reach from face to face" in said and "per voxel" in said


def test_random_voxels_have_the_interval_of_their_share():
    rng = np.random.default_rng(6)
    inside = []
    for _ in range(20):
        volume = ArrayVolume(Path("v"), (rng.random((30, 30, 30)) < 0.4).astype(np.uint8))
        low, high = run_job(structure(volume))["phases"][1]["interval"]
        inside.append(low < 0.4 < high)
        assert high - low < 0.03
    assert sum(inside) >= 16


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(["--phase", "7"], "no phase 7; it has 0 and 1"), (["--axes", "a"], "no axes"), (["--voxel", "0"], "voxel")],
)
def test_wrong_questions_get_one_sentence(arguments, sentence, tmp_path, capsys):
    assert main(["structure", str(layers(tmp_path)), *arguments]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1


def test_grey_values_are_no_phases(tmp_path, capsys):
    path = tmp_path / "grey.tif"
    tifffile.imwrite(path, np.arange(4096, dtype=np.uint16).reshape(16, 16, 16), photometric="minisblack")
    assert main(["structure", str(path)]) == 2
    assert "not phases" in capsys.readouterr().err


def test_the_api_gives_tables(tmp_path):
    phases, ways = api.structure(layers(tmp_path), phase=1, axes="yx")
    assert phases["value"].tolist() == [0, 1] and ways["axis"].tolist() == ["y", "x"]
    phases, ways = api.structure(layers(tmp_path))
    assert len(ways) == 0


def test_the_electrode_of_taufactor_conducts_along_every_axis(real_data):
    path = real_data / "volumes/taufactor-electrode/docs/notebooks/electrode.tiff"
    with open_volume(path) as volume:
        part = ArrayVolume(path, volume.read(Block((0, 0, 0), (48, 64, 64))))
    found = run_job(structure(part, phase=0))
    assert [phase["value"] for phase in found["phases"]] == [0, 85, 170]
    assert sum(phase["share"] for phase in found["phases"]) == pytest.approx(1)
    assert all(one["factor"] > 1.2 for one in found["tortuosity"])
