"""Curves over learning rates, proposals and steps of windows; two detectors side by side; tables as files."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from learning_toys import CLASSES, coco_folder, load_dataset, untrained_model
from PIL import Image

from microscope_qc.core.boxes import make_rows
from microscope_qc.core.errors import InputError, ModelError
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.datasets.learned import write_learned
from microscope_qc.ml.training.rate_finder import find_rate
from microscope_qc.project import Project
from microscope_qc.project.runs.plan import RunPlan
from microscope_qc.workflows.learning.train import train_settings
from microscope_qc.workflows.studies.learning_rate import learning_rate_study
from microscope_qc.workflows.studies.side_by_side import detectors_side_by_side
from microscope_qc.workflows.studies.table import Kind, StudyColumn, StudyTable, line_of, lines_plot
from microscope_qc.workflows.studies.varied import proposals_curve, window_steps

TINY = {"network": "ssd-tiny", "crop_px": 64, "tile_px": 64, "batch": 2, "seed": 4, "device": "cpu"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coco_folder(tmp_path_factory.mktemp("data"), pictures=4)


def test_the_learning_rate_rises_until_the_loss_diverges(data: Path) -> None:
    task, settings = "detect", {name: value for name, value in TINY.items() if name != "network"}
    chosen = train_settings(task, "ssd-tiny", settings)
    found = run_job(find_rate(load_dataset(data), chosen, first=1e-4, factor=1.5, last=1e4))
    assert np.allclose(np.divide(found.rates[1:], found.rates[:-1]), 1.5) and found.rates[0] == 1e-4
    assert found.diverged and found.rates[-1] < 1e3, "it stops there"
    lowest = found.rates[int(np.argmin(found.smoothed))]
    assert found.suggestion == pytest.approx(lowest / 10, rel=0.05)
    again = run_job(find_rate(load_dataset(data), chosen, first=1e-4, factor=1.5, last=1e-3))
    assert not again.diverged and again.losses == found.losses[:6], "the same batches, and nothing kept"


def test_a_study_of_the_learning_rate_is_a_table_with_a_chart(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find_rate, "__kwdefaults__", {**find_rate.__kwdefaults__, "first": 1e-3, "factor": 4.0})
    table = run_job(learning_rate_study(data, **TINY))
    assert table.head == ["Learning rate", "Loss", "Loss, smoothed"] and table.rows[0]["rate"] == 1e-3
    assert any("learning rate" in note.lower() for note in table.notes)
    page = table.write(tmp_path / "rate.html").read_text()
    assert "<svg" in page
    assert len(list(csv.reader(table.write(tmp_path / "rate.csv").open()))) == len(table.rows) + 1


def test_only_a_two_stage_detector_has_proposals(data: Path, tmp_path: Path) -> None:
    model = untrained_model(tmp_path / "m", classes=tuple(CLASSES))
    with pytest.raises(ModelError, match="makes no proposals"):
        run_job(proposals_curve(model, data))
    with pytest.raises(ModelError, match="slides no windows"):
        run_job(window_steps(model, data))


def two_stage_model(folder: Path) -> Path:
    """A small Faster R-CNN with random weights that finds something everywhere."""
    import torch

    from microscope_qc.ml.architectures.base import build_network
    from microscope_qc.ml.cards import WEIGHTS_NAME, ModelCard, write_card
    from microscope_qc.ml.weights import save_weights

    settings = {"width": 8, "head": 32, "rpn": 32, "enlarge": 1}
    torch.manual_seed(7)
    network = build_network("faster-rcnn-vgg19", settings, classes=2)
    with torch.no_grad():
        for name, values in network.named_parameters():
            if "box_predictor" in name and name.endswith("weight"):
                values.normal_(std=0.3)
    folder.mkdir()
    save_weights(network.state_dict(), folder / WEIGHTS_NAME)
    write_card(ModelCard(
        name="toy", task="detect", architecture="faster-rcnn-vgg19", network=settings, classes=CLASSES,
        class_names=CLASSES, tile_px=192, overlap_px=32, mean=(0.5,) * 3, std=(0.2,) * 3, confidence=0.3,
    ), folder)  # fmt: skip
    return folder


def test_more_proposals_find_more(data: Path, tmp_path: Path) -> None:
    model = two_stage_model(tmp_path / "m")
    table = run_job(proposals_curve(model, data, (300, 2), timed=1, device="cpu"))
    assert [row["value"] for row in table.rows] == [2, 300] and table.head[0] == "Proposals"
    few, many = table.rows
    assert few["finds"] <= 4 * 2 * 2 < many["finds"], "four pictures, two proposals, two classes"
    assert few["truth"] == many["truth"] == 24 and many["seconds cpu"] > 0
    assert [chart.title for chart in table.charts] == ["Score", "Time"]
    with pytest.raises(InputError, match="7000 is no number of proposals"):
        run_job(proposals_curve(model, data, (7000,)))


def test_a_model_is_measured_only_on_what_it_has_not_learned_from(data: Path, tmp_path: Path) -> None:
    model, pictures = two_stage_model(tmp_path / "m"), load_dataset(data)
    run_job(write_learned(replace(pictures, images=pictures.images[:3]), model))
    table = run_job(proposals_curve(model, data, (2,), timed=0, device="cpu"))
    assert table.subtitle == "1 picture or place" and table.rows[0]["truth"] == len(pictures.images[3].boxes)
    assert any("3 places left out: toy has learned" in note for note in table.notes)
    run_job(write_learned(pictures, model))
    with pytest.raises(ModelError, match="every place was learned from"):
        run_job(proposals_curve(model, data, (2,), timed=0, device="cpu"))


def test_smaller_steps_of_windows_find_more(data: Path, tmp_path: Path) -> None:
    from window_toys import trained_classifier

    model = trained_classifier(tmp_path / "m")
    table = run_job(window_steps(model, data, (0.5, 0.75), timed=1, device="cpu"))
    wide, narrow = table.rows
    assert (wide["value"], narrow["value"]) == (0.75, 0.5)
    assert narrow["finds"] > wide["finds"] and narrow["recall"] >= wide["recall"] > 0
    assert narrow["seconds cpu"] > 0 and len(table.charts) == 2
    with pytest.raises(InputError, match="at most 1 window"):
        run_job(window_steps(model, data, (1.5,)))
    again = run_job(window_steps(model, data, (0.7, 0.75), timed=0, device="cpu"))
    assert [row["value"] for row in again.rows] == [0.75], "windows lie at multiples of the network's stride"


def add(project: Project, slide: int, name: str, *boxes: tuple[float, float, str]) -> None:
    """A run called so with findings of 20 px at y, x and of a class."""
    run = project.runs.start(slide, RunPlan(model=name, model_name=name))
    ids = {known.code: known.id for known in project.classes}
    rows = make_rows(
        len(boxes), class_id=[ids[code] for *_, code in boxes], confidence=0.9,
        y0=[y for y, *_ in boxes], x0=[x for _, x, _ in boxes],
        y1=[y + 20 for y, *_ in boxes], x1=[x + 20 for _, x, _ in boxes],
    )  # fmt: skip
    project.runs.add_findings(run.id, rows)


def test_two_detectors_are_compared_on_all_cross_sections_that_both_scanned(tmp_path: Path) -> None:
    for number, name in enumerate(("S1", "S2", "S3")):
        Image.fromarray(np.full((400, 400), number, np.uint8)).save(tmp_path / f"{name}.png")
    paths = [tmp_path / f"{name}.png" for name in ("S1", "S2", "S3")]
    with Project.create(tmp_path / "cell.mqc", slides=paths) as project:
        a, b = project.classes[0].code, project.classes[1].code
        one, two, three = (slide.id for slide in project.slides)
        add(project, one, "old", (0, 0, a), (100, 0, a), (200, 0, b))
        add(project, one, "new", (0, 0, a), (100, 0, b), (300, 300, b))
        add(project, two, "old", (0, 0, b))
        add(project, two, "new", (0, 0, b), (50, 50, b))
        add(project, three, "old", (0, 0, a))
        path = project.path
    table = run_job(detectors_side_by_side(path, "old", "new"))
    rows = {(row["slide"], row["class"]): row for row in table.rows}
    assert ("S3", "all") not in rows, "only one of them was there"
    names = ("first", "second", "both", "only_first", "only_second")
    assert [rows["S1", "all"][name] for name in names] == [3, 3, 2, 1, 1]
    assert [rows["S1", a][name] for name in names] == [2, 1, 1, 1, 0]
    assert [rows["S1", b][name] for name in names] == [1, 2, 0, 1, 2]
    assert [rows["all cross-sections", "all"][name] for name in names] == [4, 5, 3, 1, 2]
    (chart,) = table.charts
    bars = {series.name: [mark.value for mark in series.marks] for series in chart.series}
    assert bars == {"old": [3, 1], "new": [3, 2]} and chart.names == ["S1", "S2"]
    assert "<svg" in table.write(tmp_path / "page.html").read_text()
    assert [run_job(detectors_side_by_side(path, "old", "new", slide_ids=[two])).subtitle] == ["1 cross-section"]
    with pytest.raises(InputError, match="No cross-section was scanned by both") as raised:
        run_job(detectors_side_by_side(path, "old", "other"))
    assert "old" in raised.value.hint


def test_a_table_is_read_back_as_it_was_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    columns = [
        StudyColumn("name", "Name"),
        StudyColumn("map", "mAP", Kind.SHARE),
        StudyColumn("n", "Count", Kind.COUNT),
    ]
    rows = [
        {"name": "=1+1", "map": 0.5, "map_interval": [0.4, 0.6], "n": 12345}, {"name": "b", "map": None, "n": None},
        {"name": "c", "map": 0.1, "map_interval": None},
    ]  # fmt: skip
    table = StudyTable("T", "S", columns, rows, ["a note"])
    assert table.cells()[0][1:] == ["0.500 (0.400 to 0.600)", "12\u202f345"]
    assert table.cells()[1] == ["b", "–", "–"] and "not estimable" in table.cells()[2][1]
    line = line_of("one", [{"n": 2, "map": 0.5, "map_interval": [0.4, 0.6]}, {"n": 1, "map": 0.25}], "n", "map")
    table = replace(table, charts=lines_plot("curve", "Curve", "n", "mAP", [line], log_x=True, pointer=1.5))
    again = StudyTable.of_document(json.loads(json.dumps(table.document())))
    assert again.cells() == table.cells() and again.notes == ["a note"]
    assert [chart.document() for chart in again.charts] == [chart.document() for chart in table.charts]
    assert [(mark.x, mark.interval) for mark in again.charts[0].series[0].marks] == [(1, None), (2, (0.4, 0.6))]
    lines = list(csv.reader(table.write(tmp_path / "t.csv").open()))
    assert lines[0] == ["Name", "mAP", "mAP, low", "mAP, high", "Count"]
    assert lines[1] == ["'=1+1", "0.5", "0.4", "0.6", "12345"] and lines[2] == ["b", "", "", "", ""]
    assert table.write(tmp_path / "t.xlsx").read_bytes()[:2] == b"PK"
    no_marks = {**table.charts[0].document(), "series": []}
    whole = table.document()
    for wrong in (
        {}, whole | {"columns": [{"key": 1}]}, whole | {"rows": [{"map": "x"}]}, whole | {"charts": [{"name": "x"}]},
        whole | {"charts": [no_marks]},
    ):  # fmt: skip
        with pytest.raises(ModelError, match="damaged"):
            StudyTable.of_document(wrong)
