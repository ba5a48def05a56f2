"""What became of each finding and defect: in a page with pictures, and in lists that a project's gallery offers."""

from __future__ import annotations

import base64
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from learning_toys import coco_folder, draw, untrained_model
from PIL import Image

from microscope_qc.cli import main
from microscope_qc.core.boxes import make_rows
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.datasets.parts import DataPart
from microscope_qc.ml.evaluation.detection import Tally
from microscope_qc.ml.evaluation.on_slides import detection_report
from microscope_qc.ml.evaluation.outcomes import Outcome, outcomes_of
from microscope_qc.ml.library import load_card
from microscope_qc.project import Project
from microscope_qc.reports.crops import decoded
from microscope_qc.workflows.learning.evaluate import Evaluation
from microscope_qc.workflows.learning.evaluation_page import write_evaluation_page
from microscope_qc.workflows.learning.lists import keep_lists
from microscope_qc.workflows.learning.project_parts import keep_parts, project_parts
from microscope_qc.workflows.learning.reading import read_dataset
from microscope_qc.workflows.models.compare import compare_models
from microscope_qc.workflows.models.kept_evaluation import (
    copy_page,
    data_changed,
    evaluate_and_keep,
    read_evaluation,
)
from microscope_qc.workflows.models.wrong_places import wrong_places_of

TRUTH = np.array([[10, 10, 30, 30], [60, 60, 80, 80], [100, 100, 120, 120], [150, 10, 170, 30]], float)
FOUND = np.array(
    [[10, 10, 30, 30], [11, 10, 31, 30], [62, 66, 84, 88], [100, 100, 120, 120], [5, 140, 25, 160]], float
)  # fmt: skip
CONFIDENCE = np.array([0.9, 0.8, 0.7, 0.6, 0.5])


def test_every_finding_and_defect_has_one_outcome() -> None:
    found = outcomes_of((FOUND, np.array([0, 0, 0, 1, 0]), CONFIDENCE), (TRUTH, np.array([0, 0, 0, 1])), iou=0.5)
    assert found.outcomes == (
        Outcome.RIGHT, Outcome.WRONG_BOX, Outcome.WRONG_BOX, Outcome.WRONG_CLASS, Outcome.FALSE,
    )  # fmt: skip
    assert found.truth_outcomes == (Outcome.RIGHT, Outcome.WRONG_BOX, Outcome.WRONG_CLASS, Outcome.MISSED)


def _project(path: Path, slides: int) -> Path:
    paths = [path.parent / f"S{number}.png" for number in range(slides)]
    for number, picture in enumerate(paths):
        Image.fromarray(draw(number)[0]).save(picture)
    with Project.create(path, slides=paths) as project:
        ids = [defect.id for defect in project.classes[:2]]
        for slide in project.slides:
            y0, x0, y1, x1 = TRUTH.T
            project.slides.set_pixel_size(slide.id, 0.5)
            project.boxes.add(slide.id, make_rows(4, class_id=[ids[0]] * 3 + [ids[1]], y0=y0, x0=x0, y1=y1, x1=x1))
    return path


def test_lists_are_kept_with_the_project_and_replaced(tmp_path: Path) -> None:
    path = _project(tmp_path / "cell.mqc", 2)
    with Project.open(path) as project:
        keep_parts(project)
        slide = project.slides[0]
        false = make_rows(1, class_id=[project.classes[0].id], y0=[5], x0=[140], y1=[25], x1=[160], state=[2])
        rejected = int(project.boxes.add(slide.id, false)[0])
    data = run_job(read_dataset(path))
    classes = data.classes
    card = load_card(untrained_model(tmp_path / "m", classes=tuple(classes)))

    def measured(confidence: float) -> Evaluation:
        tally = Tally(list(classes))
        for image in data.images:
            tally.add(boxes=FOUND, labels=np.array([0, 0, 0, 1, 0]), confidence=CONFIDENCE, truth=image.boxes,
                      truth_labels=image.labels)  # fmt: skip
        report = detection_report(tally, confidence=confidence, complete=True)
        return Evaluation(card, str(path), len(data.images), report, images=data.images)

    def listed(project: Project, outcome: str) -> set[int]:
        return set(project.filters.saved[f"Evaluation: {outcome}"].numbers or ())

    with Project.open(path) as project:
        said = keep_lists(project, measured(0.1))
        ids = [project.boxes.rows(slide.id, every=True)["id"].tolist()[:4] for slide in project.slides]
        for place, outcome in enumerate(("right", "wrong box", "wrong class", "missed")):
            assert listed(project, outcome) == {ids[0][place], ids[1][place]}
        assert listed(project, "false") == {rejected}
        assert "1 false finding of the model where the project has no finding: in no list." in said
        keep_lists(project, measured(0.95))
        assert listed(project, "missed") == {number for own in ids for number in own}
        assert set(project.filters.saved) == {"Evaluation: missed"}, "the lists of before are gone"


def test_a_page_shows_what_was_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = coco_folder(tmp_path / "data", pictures=6)
    model = untrained_model(tmp_path / "m", classes=("SQ", "DI"))
    page = tmp_path / "page.html"
    words = ["evaluate", str(model), str(folder), "--html", str(page), "--json", "--progress", "none"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["outcomes"]["missed"] + found["outcomes"]["right"] <= 36
    assert sum(count for name, count in found["outcomes"].items() if name != "missed") == found["finds"]
    assert found["seconds_per_picture"] > 0
    text = page.read_text(encoding="utf-8")
    for heading in ("Figures", "Classes", "Sizes", "Confusion", "Curves", "False"):
        assert f"<h2>{heading}</h2>" in text
    assert text.count("data:image/jpeg") >= 10 and "true SQ" in text and "mAP50" in text
    assert main([*words[:3], "--lists"]) == 2
    assert "Lists are kept with a project." in capsys.readouterr().err


def test_a_missed_defect_is_not_drawn_as_found(tmp_path: Path) -> None:
    folder = coco_folder(tmp_path / "data", pictures=1)
    data = run_job(read_dataset(folder))
    tally = Tally(list(data.classes))
    tally.add(boxes=np.zeros((0, 4)), labels=np.zeros(0, int), confidence=np.zeros(0), truth=data.images[0].boxes[:1],
              truth_labels=data.images[0].labels[:1])  # fmt: skip
    report = detection_report(tally, confidence=0.5, complete=True)
    card = load_card(untrained_model(tmp_path / "m", classes=("SQ", "DI")))
    done = Evaluation(card, str(folder), 1, report, images=data.images)
    page = run_job(write_evaluation_page(tmp_path / "page.html", done)).read_text(encoding="utf-8")
    (picture,) = re.findall(r'data:image/jpeg;base64,([^"]+)', page)
    red, green, blue = np.moveaxis(decoded(base64.b64decode(picture)).astype(int), 2, 0)
    assert ((green > red + 60) & (green > 100)).sum() > 100, "the true box is green"
    assert not ((red > 170) & (blue < 90)).any(), "nothing is orange"


def test_a_project_is_measured_on_its_test_and_lists_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _project(tmp_path / "cell.mqc", 8)
    with Project.open(path) as project:
        keep_parts(project)
        codes = tuple(defect.code for defect in project.classes[:2])
    model = untrained_model(tmp_path / "m", classes=codes)
    assert main(["evaluate", str(model), str(path), "--lists", "--json", "--progress", "none"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pictures"] < 8 and any("in the test part" in note for note in found["notes"]) and found["lists"]
    with Project.open(path, write=False) as project:
        assert any(name.startswith("Evaluation: ") for name in project.filters.saved)


def _measurable(tmp_path: Path) -> tuple[Path, Path]:
    """A project of eight slides of which some are kept for the test, and a model that looks for its classes."""
    path = _project(tmp_path / "cell.mqc", 8)
    with Project.open(path) as project:
        keep_parts(project)
        codes = tuple(defect.code for defect in project.classes[:2])
    return path, untrained_model(tmp_path / "m", classes=codes)


def test_an_evaluation_is_kept_with_the_project_and_goes_out_of_date(tmp_path: Path) -> None:
    path, model = _measurable(tmp_path)
    assert read_evaluation(path, model) is None
    done, _ = run_job(evaluate_and_keep(model, path, device="cpu"))
    kept = read_evaluation(path, shutil.copytree(model, tmp_path / "copy"))
    assert kept is not None, "it is known by its weights, wherever the model is"
    assert "cannot be estimated from 1 place" in done.sentences[-1] and kept.document["map50_interval"] is None
    assert kept.document["part"] == done.part == "test" and kept.document["map50"] == done.known_figures()["map50"]
    assert "<h2>Figures</h2>" in kept.page.read_text(encoding="utf-8")
    assert copy_page(kept, tmp_path / "out.html").read_bytes() == kept.page.read_bytes()
    truths = sum(len(kept.places[outcome].numbers) for outcome in ("right", "wrong box", "wrong class", "missed"))
    assert truths == kept.document["truth"] > 0
    false = kept.places[Outcome.FALSE]
    assert len(false.numbers) + len(false.spots) == kept.document["outcomes"]["false"]
    assert [spot.confidence for spot in false.spots] == sorted((spot.confidence for spot in false.spots), reverse=True)
    assert not run_job(data_changed(path, model, kept))
    with Project.open(path) as project:
        tested = project.boxes.slide_of(kept.places[Outcome.MISSED].numbers[0])
        learned = next(
            slide.id for slide in project.slides if project_parts(project).slides[slide.name] == (DataPart.TRAIN,)
        )
        project.boxes.delete(project.boxes.rows(learned, every=True)["id"][:1])
    assert not run_job(data_changed(path, model, kept)), "nothing that was measured on"
    with Project.open(path) as project:
        project.boxes.delete(project.boxes.rows(tested, every=True)["id"][:1])
    assert run_job(data_changed(path, model, kept))
    with Project.open(path) as project:
        project.history.undo()
    assert not run_job(data_changed(path, model, kept))
    (kept.folder / "evaluation.json").write_text('{"findings": 3}')
    assert read_evaluation(path, model) is None, "what cannot be read is nothing"


def test_a_kept_evaluation_is_made_and_told_by_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, model = _measurable(tmp_path)
    assert main(["evaluate", str(model), str(path), "--keep", "--part", "all", "--json", "--progress", "none"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert main(["models", "show", str(model), "--project", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["evaluation"]
    assert told["map50"] == measured["map50"] and told["part"] == "all" and told["truth"] == 32
    assert main(["models", "show", str(model), "--project", str(path)]) == 0
    assert "on everything that is marked: 32 defects in 8 places" in capsys.readouterr().out
    folder = coco_folder(tmp_path / "data", pictures=2)
    assert main(["evaluate", str(model), str(folder), "--keep"]) == 2
    assert "kept with a project" in capsys.readouterr().err


def test_disagreements_on_a_project_name_its_findings(tmp_path: Path) -> None:
    path, model = _measurable(tmp_path)
    blind = untrained_model(tmp_path / "blind", classes=load_card(model).classes, bias=-9.0)
    document = run_job(compare_models(model, blind, path, device="cpu")).document()
    differ = document["disagreements"]
    assert {one["kind"] for one in differ} >= {"false in new"} and all(one["slide"] for one in differ)
    with Project.open(path, write=False) as project:
        for kind in ("found by new only", "false in new"):
            places = wrong_places_of(differ, [kind])
            assert len(places.numbers) + len(places.spots) == sum(one["kind"] == kind for one in differ)
            for one in (one for one in differ if one["kind"] == kind and one["finding"]):
                (row,) = project.boxes.table(one["slide"]).get([one["finding"]])
                away = [abs(row[side] - at) for side, at in zip(("y0", "x0", "y1", "x1"), one["box"], strict=True)]
                assert max(away) < (0.1 if kind.startswith("found") else 30)
