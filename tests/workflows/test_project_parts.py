"""A project keeps its division: every training and every measurement reads it, and the test is never learned from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from learning_toys import draw
from PIL import Image

from microscope_qc.cli import main
from microscope_qc.core.boxes import make_rows
from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.datasets.records import AnnotatedImage, Dataset
from microscope_qc.project import Project
from microscope_qc.workflows.learning.kept_apart import to_learn_from, to_measure_on
from microscope_qc.workflows.learning.project_parts import keep_parts, keep_parts_before_learning, kept_parts
from microscope_qc.workflows.learning.reading import read_dataset, read_datasets
from microscope_qc.workflows.learning.train import train

SMALL = {"network": "ssd-tiny", "crop_px": 128, "tile_px": 128, "batch": 4, "epochs": 1}


def _slides(folder: Path, count: int) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"S{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        Image.fromarray(draw(number)[0]).save(path)
    return paths


def _project(path: Path, slides: list[Path], *, specimens: int = 0) -> Path:
    """A project with six boxes of two classes on every slide."""
    with Project.create(path, slides=slides) as project:
        codes = [defect.id for defect in project.classes[:2]]
        for number, slide in enumerate(project.slides):
            project.slides.set_pixel_size(slide.id, 0.5)
            boxes = np.arange(6) * 25
            rows = make_rows(6, class_id=codes * 3, y0=boxes, x0=boxes, y1=boxes + 20, x1=boxes + 20)
            project.boxes.add(slide.id, rows)
            if specimens:
                project.fields.set({slide.id: {"specimen": f"cell {number % specimens}"}})
    return path


def _names(data: Dataset | None, part: str = "") -> set[str]:
    images: list[AnnotatedImage] = [] if data is None else data.images
    return {image.path.name for image in images if not part or image.part == part}


def test_the_division_is_shown_kept_and_never_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _project(tmp_path / "cell.mqc", _slides(tmp_path, 12), specimens=6)
    assert main(["dataset", "parts", str(path)]) == 0
    assert "12 slides without a part yet" in capsys.readouterr().out.replace("\u202f", " ")
    assert main(["dataset", "parts", str(path), "--assign", "--json"]) == 0
    before = json.loads(capsys.readouterr().out)
    assert set(before["parts"]) == {"train", "validation", "test"} and not before["without_part"]
    assert sum(counts["places"] for counts in before["parts"].values()) == 12
    assert before["parts"]["test"]["boxes"]["ACP"] > 0 and not before["shared_specimens"]
    with Project.open(path) as project:
        rows = project.boxes.rows(project.slides[0].id, every=True)
        project.boxes.delete(rows["id"])
        project.slides.add(_slides(tmp_path / "more", 13)[12])
        new = project.slides[12]
        project.fields.set({new.id: {"specimen": "cell 0"}})
        project.boxes.add(new.id, make_rows(1, class_id=[project.classes[0].id], y0=[5], x0=[5], y1=[20], x1=[20]))
    assert main(["dataset", "parts", str(path), "--assign", "--test", "0.9", "--validation", "0.05"]) == 0
    capsys.readouterr()
    main(["dataset", "parts", str(path), "--json"])
    after = json.loads(capsys.readouterr().out)["slides"]
    assert {name: parts for name, parts in after.items() if name != "S12"} == {
        name: parts for name, parts in before["slides"].items() if name != "S0"
    }
    assert after["S12"] == before["slides"]["S6"], "it is of the specimen of S6"


def test_the_test_is_never_learned_from_also_not_through_another_project(tmp_path: Path) -> None:
    slides = _slides(tmp_path, 12)
    path = _project(tmp_path / "cell.mqc", slides)
    with Project.open(path) as project:
        keep_parts(project)
    kept = run_job(read_dataset(path))
    test, validation = _names(kept, "test"), _names(kept, "validation")
    assert len(test) >= 1 and len(validation) >= 1
    learned, held, said = to_learn_from(kept)
    assert _names(learned) == _names(kept, "train") and _names(held) == validation
    assert f"{len(test)} place{'s' if len(test) > 1 else ''} of slides in the test part: left aside." in said
    measured, _ = to_measure_on(kept)
    assert _names(measured) == test
    assert _names(to_measure_on(kept, "all")[0]) == _names(kept)

    copies = [tmp_path / f"copy of {name}" for name in sorted(test | validation)]
    for copy in copies:
        copy.write_bytes((tmp_path / copy.name.removeprefix("copy of ")).read_bytes())
    other = _project(tmp_path / "other.mqc", [*copies, *_slides(tmp_path / "more", 20)[12:]])
    for order in ([path, other], [other, path]):
        both = run_job(read_datasets(order, assign_new=True))
        learned, held, _ = to_learn_from(both)
        assert not {f"copy of {name}" for name in test | validation} & _names(learned)
        assert not test & _names(learned) and not {f"copy of {name}" for name in test} & _names(held)
        assert not validation & _names(learned)
        assert any("kept by another project to measure on" in s or "in two projects" in s for s in both.sentences())
        assert sum(both.left_out.held.values()) >= len(copies)


def test_a_validation_set_that_is_given_is_not_learned_from(tmp_path: Path) -> None:
    path = _project(tmp_path / "cell.mqc", _slides(tmp_path, 12))
    with Project.open(path) as project:
        keep_parts(project)
    data = run_job(read_dataset(path))
    learned, held, said = to_learn_from(data, data)
    assert held is not None and not _names(held, "test") and not _names(learned)
    assert len(said) == 2 and all("kept to measure on: left aside" in sentence for sentence in said)


def test_training_keeps_the_division_and_what_is_held_out_stays_so(tmp_path: Path) -> None:
    path = _project(tmp_path / "cell.mqc", _slides(tmp_path, 8))
    said: list[str] = []
    card = run_job(train(path, tmp_path / "m", tell=said.append, **SMALL))
    with Project.open(path, write=False) as project:
        kept = kept_parts(project)
    assert len(kept.table.parts) == 8 and any("in the test part: left aside" in sentence for sentence in said)
    data = run_job(read_dataset(path))
    assert card.training["pictures"] == len(_names(data, "train"))
    assert card.training["validation_images"] == len(_names(data, "validation"))
    with pytest.raises(ModelError, match="Nothing of the data set is set aside for train"):
        to_measure_on(to_measure_on(data)[0], "train")


def test_a_project_that_is_open_elsewhere_is_learned_from_and_its_parts_are_not_kept(tmp_path: Path) -> None:
    path = _project(tmp_path / "cell.mqc", _slides(tmp_path, 8))
    with Project.open(path):
        assert keep_parts_before_learning(path) == [
            "cell cannot be written now: the parts of 8 new slides are not kept."
        ]
        without = run_job(read_dataset(path, assign_new=True))
        assert _names(without, "test") and not _names(run_job(read_dataset(path)), "test")
    assert keep_parts_before_learning(path) == []
    assert _names(run_job(read_dataset(path)), "test") == _names(without, "test"), "the same slides as without"


def test_a_specimen_that_was_named_later_is_not_measured_on_where_it_is_learned_from(tmp_path: Path) -> None:
    path = _project(tmp_path / "cell.mqc", _slides(tmp_path, 20))
    with Project.open(path) as project:
        keep_parts(project)
    data = run_job(read_dataset(path))
    one, two = min(_names(data, "train")), min(_names(data, "test"))
    assert len(_names(data, "test")) > 1
    with Project.open(path) as project:
        ids = {record.path.name: record.id for record in project.slides}
        project.fields.set({ids[one]: {"specimen": "K1"}, ids[two]: {"specimen": "K1"}})
    again = run_job(read_dataset(path))
    assert _names(again, "test") == _names(data, "test") - {two} and _names(again, "train") == _names(data, "train")
    assert "1 place left out: of a specimen that is learned from (1)." in again.sentences()


def test_a_class_that_is_only_held_out_does_not_stop_the_training(tmp_path: Path) -> None:
    path = _project(tmp_path / "cell.mqc", _slides(tmp_path, 8))
    with Project.open(path) as project:
        keep_parts(project)
    (held, *_) = _names(run_job(read_dataset(path)), "validation")
    with Project.open(path) as project:
        slide = next(record for record in project.slides if record.path.name == held)
        rows = make_rows(1, class_id=[project.classes[5].id], y0=[150], x0=[5], y1=[170], x1=[25])
        project.boxes.add(slide.id, rows)
        code = project.classes[5].code
    said: list[str] = []
    card = run_job(train(path, tmp_path / "m", tell=said.append, **SMALL))
    assert code not in card.classes
    assert any(f"count neither as found nor as missed: {code} (1)." in sentence for sentence in said)
