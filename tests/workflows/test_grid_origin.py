"""The count does not depend on where the grid of tiles begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from microscope_qc.core.jobs import run_job
from microscope_qc.core.matching import iou_matrix
from microscope_qc.core.merge import CANDIDATE_DTYPE, merge_candidates
from microscope_qc.ml.cards import read_card
from microscope_qc.ml.engine.pipeline import Pipeline, TileRecord
from microscope_qc.ml.library import model_folder
from microscope_qc.ml.tiling import lattice, merge_settings
from microscope_qc.project.runs.plan import RunPlan
from microscope_qc.workflows.samples import synth

MODEL = "li-ion-ssd"


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> list[tuple[Path, int]]:
    """Drawn slides and their sides."""
    folder = tmp_path_factory.mktemp("slides")
    long = request.config.getoption("--long")
    side = 8192 if long else 3456
    made = []
    for seed in range(3 if long else 1):
        path = folder / f"s{seed}.ome.zarr"
        run_job(synth.make("electrode", path, shape=(side, side), seed=70 + seed, defects=None if long else 36))
        made.append((path, side))
    return made


def merged_findings(path: Path, side: int, *, shift: int, tile_px: int) -> np.ndarray:
    """Merged findings at the model's confidence, of a grid that begins ``shift`` slide pixels before the slide does."""
    card = read_card(model_folder(MODEL))
    plan = RunPlan(
        slide={"path": str(path), "pixel_size_um": [0.3, 0.3]}, model=MODEL, device="cpu",
        region=[-shift, -shift, side, side], tile_px=tile_px, overlap_px=tile_px // 4,
        lattice_px=lattice(64, tile_px // 4, scale=(3.0, 3.0)),
    )  # fmt: skip
    records: list[TileRecord] = []
    with Pipeline(plan) as pipeline:
        groups = [list(range(start, min(start + 4, len(pipeline.grid)))) for start in range(0, len(pipeline.grid), 4)]
        for _ in pipeline.work(groups, records.extend):
            pass
        rows = np.concatenate([np.zeros(0, CANDIDATE_DTYPE), *(record.candidates for record in records)])
        merged = merge_candidates(rows, plan.grid(), merge_settings(pipeline.scale))
    return merged[merged["confidence"] >= card.confidence]


def corners(rows: np.ndarray) -> np.ndarray:
    return np.stack([rows[name] for name in ("y0", "x0", "y1", "x1")], axis=1)


def test_a_shifted_grid_counts_the_same(slides: list[tuple[Path, int]], request: pytest.FixtureRequest) -> None:
    shifts = (0, 210, 465, 780, 1002) if request.config.getoption("--long") else (0, 465)
    counts = []
    for path, side in slides:
        found = [merged_findings(path, side, shift=shift, tile_px=1536) for shift in shifts]
        counts.append([len(rows) for rows in found])
        assert min(counts[-1]) > 20
        for rows in found[1:]:
            best = iou_matrix(corners(found[0]), corners(rows)).max(axis=1)
            assert (best > 0.5).mean() > 0.95, "the same defects, not only as many"
    total = np.array(counts).sum(axis=0)
    # measured: 415 to 417 findings, 0.3 % from their mean at most
    assert np.abs(total - total.mean()).max() <= max(1, 0.01 * total.mean()), counts
