"""Cross-validation: every picture is measured on once, a table of settings, continued where it was interrupted."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from classifier_toys import class_folders
from learning_toys import coco_folder, load_dataset

from microscope_qc.cli import main
from microscope_qc.core.errors import InputError, ModelError
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.datasets.folds import folds_of
from microscope_qc.workflows.studies.cross_validation import (
    RESULT_NAME,
    TABLE_NAME,
    CrossValidation,
    FoldFigures,
    cross_validate,
)
from microscope_qc.workflows.studies.table import StudyTable, read_table

QUICK = {
    "crop_px": 64, "tile_px": 64, "batch": 8, "epochs": 3, "learning_rate": 0.02, "device": "cpu", "seed": 1,
    "network": "light",
}  # fmt: skip


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return class_folders(tmp_path_factory.mktemp("pictures"), each=6, good=6)


def test_every_picture_is_measured_on_once_and_classes_are_spread(pictures: Path) -> None:
    data = load_dataset(pictures)
    parts = folds_of(data, 3, seed=2)
    measured = [image.path for _, held in parts for image in held.images]
    assert sorted(measured) == sorted(image.path for image in data.images)
    for learned, held in parts:
        assert not {image.path for image in learned.images} & {image.path for image in held.images}
        assert np.bincount([image.whole + 1 for image in held.images]).tolist() == [2, 2, 2]
    with pytest.raises(ModelError, match="cannot be divided into 19 folds"):
        folds_of(data, 19, seed=2)


def test_pictures_of_one_specimen_stay_together(tmp_path: Path) -> None:
    from dataclasses import replace

    data = load_dataset(coco_folder(tmp_path, pictures=6))
    images = [replace(image, group=f"specimen {number // 2}") for number, image in enumerate(data.images)]
    for _, held in folds_of(replace(data, images=images), 3, seed=0):
        assert len({image.group for image in held.images}) == 1 and len(held.images) == 2


def test_a_grid_of_settings_gives_a_table_and_is_continued(pictures: Path, tmp_path: Path) -> None:
    grid = {"alpha": [1.0, 3.0], "gamma": [1.0, 2.0]}
    job = cross_validate(pictures, tmp_path / "cv", folds=2, grid=grid, **QUICK)
    while not (tmp_path / "cv" / "alpha 1, gamma 1" / "fold 1" / "model.json").exists():
        next(job)
    job.close()
    first = (tmp_path / "cv" / "alpha 1, gamma 1" / "fold 1" / "model.json").stat().st_mtime_ns
    found = run_job(cross_validate(pictures, tmp_path / "cv", folds=2, grid=grid, **QUICK))
    assert (tmp_path / "cv" / "alpha 1, gamma 1" / "fold 1" / "model.json").stat().st_mtime_ns == first
    assert [row.words for row in found.rows] == [
        "alpha 1, gamma 1", "alpha 1, gamma 2", "alpha 3, gamma 1", "alpha 3, gamma 2",
    ]  # fmt: skip
    card = json.loads((tmp_path / "cv" / "alpha 3, gamma 2" / "fold 2" / "model.json").read_text())
    assert card["training"]["settings"]["loss"] == "focal" and card["training"]["class_weights"]["SQ"] == 3
    document = json.loads((tmp_path / "cv" / RESULT_NAME).read_text())
    accuracy = document["rows"][3]["figures"]["accuracy"]
    assert accuracy["folds"][1] == pytest.approx(card["metrics"]["accuracy"], abs=1e-5)
    assert accuracy["mean"] == pytest.approx(np.mean(accuracy["folds"]), abs=1e-4)
    study = read_table(tmp_path / "cv" / "table.json")
    assert study is not None and len(study.rows) == 4 and study.charts[0].names[3] == "alpha 3, gamma 2"
    assert "<svg" in (tmp_path / "cv" / "table.html").read_text()
    with (tmp_path / "cv" / TABLE_NAME).open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["alpha"], row["gamma"]) for row in rows] == [("1", "1"), ("1", "2"), ("3", "1"), ("3", "2")]
    assert float(rows[3]["accuracy"]) == pytest.approx(accuracy["mean"], abs=1e-4)
    with pytest.raises(InputError, match="other data or settings"):
        run_job(cross_validate(pictures, tmp_path / "cv", folds=2, grid=grid, **{**QUICK, "epochs": 4}))


def test_what_is_not_known_is_left_out_of_the_mean() -> None:
    row = FoldFigures({}, {"f1": [0.5, float("nan"), 0.7], "auroc": [float("nan")] * 3})
    assert row.mean("f1") == pytest.approx(0.6) and row.spread("f1") == pytest.approx(0.1414, abs=1e-4)
    assert np.isnan(row.mean("auroc")) and np.isnan(row.spread("auroc"))
    assert row.interval("f1") is None and row.interval("auroc") is None, "of two folds"
    assert FoldFigures({}, {"f1": [1.0] * 5}).interval("f1") is None, "nothing is known of how they differ"


def test_the_interval_of_the_mean_knows_what_folds_have_in_common() -> None:
    row = FoldFigures({}, {"f1": [0.5, 0.6, 0.7, 0.55, 0.65], "auroc": [0.99, 1.0, 0.98]})
    spread = np.std(row.figures["f1"], ddof=1)
    reach = 2.776445 * spread * np.sqrt(1 / 5 + 1 / 4)  # Student's t of 4 degrees of freedom; 1/5 alone is too narrow
    assert row.interval("f1") == pytest.approx((0.6 - reach, 0.6 + reach), abs=1e-6)
    assert row.interval("auroc")[1] == 1.0, "a share"
    study = CrossValidation("light", 5, 20, [row]).study()
    assert study.cells()[0][-2].startswith("0.600 (") and "folds have in common" in study.notes[0]
    (chart,) = StudyTable.of_document(study.document()).charts
    assert [(series.name, series.marks[0].interval) for series in chart.series] == [
        ("F1", pytest.approx(row.interval("f1"))), ("AUROC", pytest.approx(row.interval("auroc"))),
    ]  # fmt: skip


def test_the_command_says_mean_and_spread(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = "--folds 2 --network light --crop 64 --tile 64 --epochs 1 --device cpu --progress none"
    command = ["cross-validate", str(pictures), "--out", str(tmp_path / "cv"), *small.split()]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "light, 2 folds of 18 pictures" in said and "accuracy" in said and "±" in said
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["folds"] == 2
    assert main([*command[:4], "--folds", "1"]) == 2
    assert "2 to 100 folds" in capsys.readouterr().err
