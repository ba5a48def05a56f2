"""Class activation maps: where in a place what speaks for a class lies, of slides and of findings."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from learning_toys import draw, judged_project, untrained_model
from window_toys import trained_classifier

from microscope_qc.cli import main
from microscope_qc.core.errors import InputError, ModelError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.workflows.models.evidence import overlaid, show_evidence, write_evidence


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_classifier(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return judged_project(tmp_path_factory.mktemp("judged"), slides=2)


def findings(path: Path) -> list[tuple[int, str, np.ndarray]]:
    with Project.open(path, write=False) as opened:
        codes = {known.id: known.code for known in opened.classes}
        return [
            (int(row["id"]), codes[int(row["class_id"])], np.array([row[name] for name in ("y0", "x0", "y1", "x1")]))
            for slide in opened.slides
            for row in opened.boxes.table(slide.id).rows
        ]


def iou(a: np.ndarray, b: np.ndarray) -> float:
    shared = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return float(shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared))


def test_what_speaks_for_a_class_lies_where_the_defect_is(model: Path, project: Path) -> None:
    right, inside = 0, 0
    known = findings(project)
    for number, code, box in known:
        found = run_job(show_evidence(model, project, finding=number, device="cpu"))
        best = found.document()["classes"][0]
        right += best["code"] == code
        middle = (box[:2] + box[2:]) / 2
        corners = np.array(best["box"])
        inside += bool((corners[:2] <= middle).all() and (middle <= corners[2:]).all())
        assert found.region.shape == (64, 64), "as large as a window"
        confidences = [one["confidence"] for one in found.document()["classes"]]
        assert confidences == sorted(confidences, reverse=True) and len(confidences) == 2
    assert right >= 0.8 * len(known) and inside >= 0.8 * len(known)


def test_a_region_of_a_slide_gives_the_same_as_a_finding(model: Path, project: Path) -> None:
    number, _, box = findings(project)[0]
    of_finding = run_job(show_evidence(model, project, finding=number, device="cpu"))
    with Project.open(project, write=False) as opened:
        path, name = next((slide.path, slide.name) for slide in opened.slides if slide.name == of_finding.slide)
    for source, slide in ((path, None), (project, name)):
        found = run_job(show_evidence(model, source, region=of_finding.region, slide=slide, device="cpu"))
        np.testing.assert_array_equal(found.picture, of_finding.picture)
        assert found.document()["classes"] == of_finding.document()["classes"]


def test_a_place_larger_than_a_window_is_seen_smaller(model: Path, tmp_path: Path) -> None:
    picture, _ = draw(3)
    cv2.imwrite(str(tmp_path / "slide.png"), cv2.resize(picture, (384, 384))[..., ::-1])
    found = run_job(show_evidence(model, tmp_path / "slide.png", region=Region(0, 100, 128, 228), device="cpu"))
    assert found.picture.shape == (64, 64, 3) and found.region == Region(0, 100, 128, 228)
    for one in found.document()["classes"]:
        y0, x0, y1, x1 = one["box"]
        assert 0 <= y0 < y1 <= 128 and 100 <= x0 < x1 <= 228


def test_pictures_of_the_maps_are_written(model: Path, project: Path, tmp_path: Path) -> None:
    found = run_job(show_evidence(model, project, finding=findings(project)[0][0], device="cpu"))
    sheet = cv2.imread(str(write_evidence(tmp_path / "maps.png", found)))
    assert sheet.shape[1] > 2 * 240
    heat = np.zeros((64, 64), np.float32)
    heat[:, 32:] = 1.0
    shown = overlaid(found.picture, heat)
    grey = cv2.cvtColor(found.picture, cv2.COLOR_RGB2GRAY)
    assert (shown[:, :32] == grey[:, :32, None]).all(), "what says nothing stays as it is"
    assert (shown[:, 32:] != grey[:, 32:, None]).any()


def test_one_place_and_a_classifier_are_needed(model: Path, project: Path, tmp_path: Path) -> None:
    detector = untrained_model(tmp_path / "detector")
    for of, asked, error, said in (
        (model, {}, InputError, "One place"),
        (model, {"finding": 1, "region": Region(0, 0, 9, 9)}, InputError, "One place"),
        (model, {"finding": 99_999}, InputError, "99999"),
        (detector, {"finding": 1}, ModelError, "no classifier"),
    ):
        with pytest.raises(error, match=said):
            run_job(show_evidence(of, project, device="cpu", **asked))
    with pytest.raises(InputError, match="Only projects have findings"):
        run_job(show_evidence(model, tmp_path / "slide.png", finding=1, device="cpu"))


def test_the_command_says_classes_with_their_boxes(
    model: Path, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    number, code, _ = findings(project)[0]
    command = ["explain", str(model), str(project), "--finding", str(number), "--device", "cpu", "--progress", "none"]
    assert main([*command, "--out", str(tmp_path / "maps.png")]) == 0
    assert capsys.readouterr().out.startswith(code) and (tmp_path / "maps.png").exists()
    assert main([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["model"] == "toy" and document["classes"][0]["code"] == code
