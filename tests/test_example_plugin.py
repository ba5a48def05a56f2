"""Another package adds one of everything: installed as users would, it appears on the command line and works there.

What it brings that cannot be used is named and left out. In the window: tests/app/test_example_window.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from example_package import use
from label_toys import CELL, EDGES, band_model
from microscope_qc_example import slides as raw_grey

from microscope_qc.cli import main
from microscope_qc.project import Project
from microscope_qc.project.runs.label_map import LabelMap

SAID = "The plugin {} of microscope-qc-example is left out: {}"
LIAR = SAID.format("liar", "it is registered as liar but calls itself box-lines.")
CLASHING = SAID.format("csv", "csv is the name of a built-in stage format.")
BROKEN = SAID.format("broken", "ModuleNotFoundError: No module named 'no_such_package_anywhere'.")
BOXES = "# boxes\nS1 ACP 10 20 30 60\nS1 ACP 50 20 60 40\nS1 CRK 80 80 82 90\n"
MARKS = "name,slide_x_px,slide_y_px,stage_x_mm,stage_y_mm\nA,0,0,1,2\nB,200,0,1.1,2\nC,0,100,1,1.95\n"


@pytest.fixture
def cli(installed_example: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run a command where the package is installed, for child processes too; its stdout."""
    use(installed_example, monkeypatch)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(installed_example), os.environ.get("PYTHONPATH", "")]))

    def run(*arguments: object) -> str:
        capsys.readouterr()
        code = main([*map(str, arguments), "--progress", "none"])
        out, err = capsys.readouterr()
        assert code == 0, err
        return out

    return run


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    """A slide in the package's format: waves of grey, 100 x 200 px at 0.5 um."""
    y, x = np.mgrid[:100, :200]
    raw_grey.write(tmp_path / "S1.rawgrey", (120 + 110 * np.sin(y / 17) * np.cos(x / 23)).astype(np.uint8), 0.5)
    return tmp_path / "S1.rawgrey"


@pytest.mark.parametrize(
    ("command", "offered", "left_out"),
    [
        (("import", "--help"), ("box-lines",), LIAR),
        (("export", "--help"), ("box-lines", "notes"), LIAR),
        (("stage", "export", "--help"), ("xy-lines",), CLASHING),
        (("models", "--networks"), ("bands: labels every place by its grey grey-bands Mean grey of every",), ""),
    ],
)
def test_help_lists_what_it_brings_and_names_what_is_left_out(
    installed_example: Path, command: tuple[str, ...], offered: tuple[str, ...], left_out: str
) -> None:
    path = os.pathsep.join([str(installed_example), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "microscope_qc", *command],
        capture_output=True, text=True, check=True, env=dict(os.environ, PYTHONPATH=path), timeout=240,
    )  # fmt: skip
    said = " ".join(done.stdout.split())
    assert all(words in said for words in offered) and "liar" not in said
    assert done.stderr.strip() == left_out


def test_its_slide_its_formats_its_statistic_and_its_exports_work(
    cli, slide: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (scene,) = json.loads(cli("info", slide, "--json"))["scenes"]
    assert (scene["shape"], scene["pixel_size_um"]) == ([100, 200], [0.5, 0.5])
    project = tmp_path / "cell.mqc"
    cli("new", project, slide)
    (tmp_path / "in.boxes").write_text(BOXES)
    assert json.loads(cli("import", project, tmp_path / "in.boxes", "--json"))["format"] == "box-lines"

    found = json.loads(cli("stats", project, "--json"))["slides"][0]
    assert found["statistics"]["elongation"] == {"value": 2.0, "unit": "", "n": 3, "interval": None}
    by_class = {row["code"]: row["statistics"]["elongation"]["value"] for row in found["classes"]}
    assert by_class == {"ACP": 2.0, "CRK": 5.0}
    assert "elongation" in cli("stats", project)
    cli("report", project, tmp_path / "r.html")
    assert "<th>Elongation</th>" in (tmp_path / "r.html").read_text(encoding="utf-8")

    cli("export", project, tmp_path / "out.boxes", "--format", "box-lines")
    assert (tmp_path / "out.boxes").read_text() == BOXES.replace("S1 ", "S1.rawgrey ")
    with Project.open(project) as opened:
        opened.boxes.edit([1, 2], chosen=True)
        opened.boxes.edit([2], note="a scratch?")
    assert "1 notes written to" in cli("export", project, tmp_path / "n.txt", "--format", "notes")
    assert (tmp_path / "n.txt").read_text() == "2 a scratch?\n"

    (tmp_path / "marks.csv").write_text(MARKS)
    cli("stage", "fit", project, "--marks", tmp_path / "marks.csv", "--name", "R1")
    out = tmp_path / "out.xy"
    cli("stage", "export", project, out, "--registration", "R1", "--format", "xy-lines", "--unit", "um")
    positions = {tuple(float(number) for number in line.split()) for line in out.read_text().splitlines()}
    assert positions == {(1020.0, 1990.0), (1015.0, 1972.5)}
    assert {LIAR, CLASHING, BROKEN} <= set(caplog.messages)


def test_its_network_runs_over_its_slide(cli, slide: Path, tmp_path: Path) -> None:
    project = tmp_path / "cell.mqc"
    cli("new", project, slide)
    model = band_model(tmp_path / "model")
    run = json.loads(cli("detect", project, "--model", model, "--everything", "--device", "cpu", "--json"))
    (folder,) = (path for path in (project / "runs").iterdir() if path.is_dir())
    labels = LabelMap.open(folder)
    assert labels is not None, run
    pixels = np.fromfile(slide, np.uint8)[raw_grey.HEAD.size :].reshape(100, 200)
    means = pixels.astype(np.float32).reshape(100 // CELL, CELL, 200 // CELL, CELL).mean(axis=(1, 3))
    np.testing.assert_array_equal(labels.read(), np.digitize(means, EDGES, right=True))
