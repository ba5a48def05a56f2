"""What lies in resources/examples runs: notebooks through the API, the script over slides of a folder."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from learning_toys import untrained_model

from microscope_qc.core.resources import resource

EXAMPLES = resource("examples")
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
RUN = """
import ast, json, sys
for path in sys.argv[1:]:
    names = {"__name__": "__main__"}
    for number, cell in enumerate(json.load(open(path, encoding="utf-8"))["cells"]):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{path}, cell {number}", "exec"), names)
"""


def code_of(path: Path) -> list[str]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_the_notebooks_run(tmp_path: Path) -> None:
    environment = dict(os.environ, MPLBACKEND="agg")
    done = subprocess.run(
        [sys.executable, "-c", RUN, *map(str, NOTEBOOKS)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = {path.name for path in tmp_path.iterdir()}
    assert made >= {"largest.png", "sizes.svg", "numbers.csv", "findings.csv"}
    with (tmp_path / "numbers.csv").open(encoding="utf-8") as file:
        assert any(float(row["raw_per_mm2"] or 0) > 0 for row in csv.DictReader(file))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_one_without_results_of_earlier_runs_and_uses_what_is_public(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    assert content["cells"][0]["cell_type"] == "markdown"
    assert all(not cell.get("outputs") for cell in content["cells"])
    lines = [line for code in code_of(path) for line in code.splitlines() if "microscope_qc" in line]
    assert lines == ["from microscope_qc import api"]
    assert len(NOTEBOOKS) == 3


@pytest.fixture
def command(tmp_path: Path) -> dict[str, str]:
    """An environment in which ``microscope-qc`` is this checkout's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "microscope-qc"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m microscope_qc "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return dict(os.environ, PATH=f"{folder}{os.pathsep}{os.environ['PATH']}")


FAKE = """#!/bin/sh
printf '%s\\n' "$*" >>"$CALLS"
case "$*" in
*Odd*) echo '{"event": "end", "exit_code": 2, "error": "Odd is no \\"slide\\". Look at it.", "seconds": 0.1}'; exit 2 ;;
new*) mkdir "$2" ;;
stats*) for last; do [ "$before" = --csv ] && echo slide >"$last"; before=$last; done; exit 0 ;;
esac
echo '{"event": "end", "exit_code": 0, "error": null, "seconds": 0.1}'
"""
SHELL = pytest.mark.skipif(os.name == "nt" or not shutil.which("xargs"), reason="a script for a shell")


@pytest.fixture
def told(tmp_path: Path) -> dict[str, str]:
    """An environment in which ``microscope-qc`` only writes into the file ``calls`` how it was called."""
    fake = tmp_path / "bin" / "microscope-qc"
    fake.parent.mkdir()
    fake.write_text(FAKE, encoding="utf-8")
    fake.chmod(0o755)
    path = f"{fake.parent}{os.pathsep}{os.environ['PATH']}"
    return dict(os.environ, PATH=path, CALLS=str(tmp_path / "calls"))


@SHELL
def test_the_script_does_each_slide_once_and_names_what_failed(tmp_path: Path, told: dict[str, str]) -> None:
    slides, out, calls = tmp_path / "my slides", tmp_path / "out", tmp_path / "calls"
    slides.mkdir()
    for name in ("A 1.tif", "B.tif", "Odd.tif", ".hidden"):
        (slides / name).touch()

    def scan() -> tuple[int, str, list[str]]:
        calls.write_text("")
        arguments = ["sh", str(EXAMPLES / "scan_all.sh"), str(slides), str(out), "our-model", "2"]
        done = subprocess.run(arguments, env=told, capture_output=True, text=True, check=False, timeout=60)
        assert done.stderr == ""
        return done.returncode, done.stdout, calls.read_text().splitlines()

    code, said, called = scan()
    assert (code, said.split(". ")[0]) == (2, "2 slides scanned, 1 failed")
    assert (out / "failed.txt").read_text() == 'Odd.tif: Odd is no "slide". Look at it.\n'
    assert len(called) == 6, called
    assert sum(call.startswith("detect") and "--model our-model --json-lines" in call for call in called) == 2
    groups = "--group-by project --group-by slide"
    assert called[-1].startswith(f"stats {out}/A 1.tif.mqc {out}/B.tif.mqc {groups} --csv {out}/summary.csv")
    assert (out / "summary.csv").is_file()

    code, _, called = scan()
    assert (code, [call.split()[0] for call in called]) == (2, ["new", "stats"]), "what is done is not done again"
    (slides / "Odd.tif").unlink()
    (out / "Odd.tif.jsonl").unlink()
    assert scan()[0] == 0
    done = subprocess.run(["sh", str(EXAMPLES / "scan_all.sh"), "x"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "usage: sh scan_all.sh SLIDES OUT [MODEL] [PROCESSES]\n")


@SHELL
def test_the_script_takes_slides_of_one_name_and_slides_that_are_folders(tmp_path: Path, told: dict[str, str]) -> None:
    slides, out = tmp_path / "in.zarr", tmp_path / "out"
    for folder in ("c.ome.zarr/0", "inside", ".hidden.zarr"):
        (slides / folder).mkdir(parents=True)
    for name in ("a.png", "a.tif", "c.ome.zarr/.zattrs", "c.ome.zarr/0/0.tif", "inside/d.tif"):
        (slides / name).touch()
    arguments = ["sh", str(EXAMPLES / "scan_all.sh"), str(slides), str(out)]
    done = subprocess.run(arguments, env=told, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("3 slides scanned, 0 failed.")
    calls = (tmp_path / "calls").read_text().splitlines()
    new = [f"new {out}/{name}.mqc {slides}/{name} --json-lines" for name in ("a.png", "a.tif", "c.ome.zarr")]
    assert [call for call in calls if call.startswith("new")] == new


@pytest.mark.long
@SHELL
def test_the_script_scans_a_folder_and_says_which_slides_failed(tmp_path: Path, command: dict[str, str]) -> None:
    slides, out = tmp_path / "my slides", tmp_path / "out"
    slides.mkdir()
    rng = np.random.default_rng(3)
    for name in ("A 1.tif", "B.tif", "B.tiff"):
        pixels = rng.integers(60, 200, (256, 256), dtype=np.uint8)
        write_with_scale(slides / name, pixels)
    (slides / "broken.tif").write_bytes(b"II*\0nothing")
    model = untrained_model(tmp_path / "model")

    def scan() -> subprocess.CompletedProcess[str]:
        arguments = ["sh", str(EXAMPLES / "scan_all.sh"), str(slides), str(out), str(model), "2"]
        return subprocess.run(arguments, env=command, capture_output=True, text=True, check=False, timeout=280)

    done = scan()
    assert done.returncode == 2, done.stderr
    assert done.stdout.startswith("3 slides scanned, 1 failed."), done.stdout
    failed = (out / "failed.txt").read_text(encoding="utf-8")
    assert failed.startswith("broken.tif: ") and failed.count("\n") == 1 and "{" not in failed
    with (out / "summary.csv").open(encoding="utf-8-sig") as file:
        rows = {(row["project"], row["slide"]) for row in csv.DictReader(file)}
    assert rows >= {("A 1.tif", "A 1"), ("B.tif", "B"), ("B.tiff", "B")}, "slides of one name have rows of their own"
    last = json.loads((out / "B.tif.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert (last["event"], last["exit_code"]) == ("end", 0)


def write_with_scale(path: Path, pixels: np.ndarray) -> None:
    """A slide of 0.5 um per pixel."""
    import tifffile

    tifffile.imwrite(path, pixels, ome=True, metadata={"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5})
