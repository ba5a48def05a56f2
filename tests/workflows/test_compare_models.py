"""The gate: two models on the same places, what is left out, the verdict, and the places where they differ."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from learning_toys import coco_folder, untrained_model

from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.cards import CARD_NAME, ModelCard
from microscope_qc.ml.datasets.parts import DataPart, PartTable, write_parts
from microscope_qc.ml.evaluation.bootstrap import Interval
from microscope_qc.ml.evaluation.paired import Difference, FoundBy, Paired
from microscope_qc.ml.library import load_card
from microscope_qc.workflows.learning.reading import read_dataset
from microscope_qc.workflows.models import compare
from microscope_qc.workflows.models.compare import compare_models, verdict
from microscope_qc.workflows.models.wrong_places import FALSE_BOTH, FALSE_OLD, NONE, ONLY_NEW

CLASSES = ("SQ", "DI")


class Finder:
    """Finds a share of the true defects, and something in a corner."""

    def __init__(self, card: ModelCard, truth: dict[str, np.ndarray], every: int, *, corner: bool) -> None:
        self.card, self._truth, self._every, self._corner = card, truth, every, corner

    def found(self, name: str) -> np.ndarray:
        """Candidates of a picture."""
        from microscope_qc.core.merge import CANDIDATE_DTYPE

        rows = self._truth[name]
        rows = rows[: max(1, len(rows) // self._every)]
        found = np.zeros(len(rows) + self._corner, CANDIDATE_DTYPE)
        for side, column in zip(("y0", "x0", "y1", "x1"), rows.T, strict=False):
            found[side][: len(rows)] = column
        found["label"][: len(rows)] = rows[:, 4] if len(rows) else 0
        found["confidence"] = np.random.default_rng(len(name) + int(name[1])).uniform(0.4, 1, len(found))
        if self._corner:
            found[-1] = (0, 0, 3, 3, 0.9, 0, 0)
        return found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return coco_folder(tmp_path / "data", pictures=10)


@pytest.fixture
def models(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A model that finds everything, and one that finds half of it and something wrong in every picture."""
    new, old = untrained_model(tmp_path / "new", classes=CLASSES), untrained_model(tmp_path / "old", classes=CLASSES)
    read = run_job(read_dataset(data)).with_classes(list(CLASSES))
    truth = {image.path.name: np.column_stack([image.boxes, image.labels]) for image in read.images}
    cards = {"new": load_card(new), "old": load_card(old)}
    finders = {
        "new": Finder(cards["new"], truth, 1, corner=False), "old": Finder(cards["old"], truth, 2, corner=True),
    }  # fmt: skip
    monkeypatch.setattr(compare, "open_task", lambda model, **_: finders[Path(model).name])
    monkeypatch.setattr("microscope_qc.ml.tasks.images.TaskFinder", lambda finder: finder)
    monkeypatch.setattr(
        "microscope_qc.ml.evaluation.on_slides.find_in_image",
        lambda finder, image: (finder.found(image.path.name), 1.0),
    )
    return new, old


def test_the_better_model_is_called_so(models: tuple[Path, Path], data: Path) -> None:
    done = run_job(compare_models(*models, data))
    found = done.paired.found
    assert found.truths == 60 and found.only_first == 30 and found.only_second == 0 and found.both == 30
    assert found.p == pytest.approx(2 * 0.5**30) and done.paired.places == 10
    assert done.new.report.figures["f1"] == 1 and done.old.report.figures["recall"] == 0.5
    of_map = done.paired.differences["map50"]
    assert of_map.interval is not None and of_map.interval[0] <= of_map.difference <= of_map.interval[1]
    assert done.verdict.startswith("new is better than old: mAP50 +0.5")
    assert sum(one.kind == ONLY_NEW for one in done.wrong) == 30 and all(one.differs for one in done.wrong)
    false = [one for one in done.wrong if one.kind == FALSE_OLD]
    assert len(false) == 10 and false[0].box == (0, 0, 3, 3) and false[0].confidence == 0.9
    document = json.loads(json.dumps(done.document()))
    assert (
        document["places"] == 10 and document["mcnemar"]["only_new"] == 30 and document["differences"]["f1"]["p"] < 0.05
    )
    of_class = document["class_differences"]["SQ"]
    assert of_class["mcnemar"] == {"both": 20, "only_new": 10, "only_old": 0, "neither": 0, "p": 2 * 0.5**10}
    assert of_class["ap50"]["difference"] > 0.5 and len(of_class["ap50"]["interval"]) == 2
    assert document["new"]["map50"] == 1 and len(document["old"]["map50_interval"]) == 2
    assert any("60 true defects in 10 places of 10 pictures" in line for line in done.words())
    assert done.counts() == {"found by new only": 30, "false in old": 10}
    worse = run_job(compare_models(*models[::-1], data))
    assert worse.verdict.startswith("old is worse than new")


def test_what_a_model_has_learned_from_is_left_out_for_both(models: tuple[Path, Path], data: Path) -> None:
    images = run_job(read_dataset(data)).images
    parts = {image.key: DataPart.TRAIN if number < 3 else DataPart.VALIDATION for number, image in enumerate(images)}
    write_parts(PartTable(parts), models[0])
    done = run_job(compare_models(*models, data))
    assert done.new.pictures == done.old.pictures == 7
    assert "3 places left out: new has learned from them." in done.sentences
    write_parts(PartTable(dict.fromkeys(parts, DataPart.TRAIN)), models[1])
    with pytest.raises(ModelError, match="nothing to measure on"):
        run_job(compare_models(*models, data))


def test_blocks_of_a_slide_that_were_learned_from_are_left_out(data: Path) -> None:
    image = run_job(read_dataset(data)).images[0]
    table = PartTable(
        {
            f"{image.key}/{row}/{column}": DataPart.TRAIN if column else DataPart.TEST
            for row in (0, 1)
            for column in (0, 1)
        },
        {image.key: 96.0},
    )
    pieces = table.pieces(image)
    assert [part for part, _ in pieces] == [DataPart.TEST, DataPart.TRAIN] * 2
    assert sum(len(piece.boxes) for _, piece in pieces) == len(image.boxes)
    assert table.pieces(replace(image, group="another")) == [(None, replace(image, group="another"))]


def test_only_classes_that_both_know_are_compared(models: tuple[Path, Path], data: Path) -> None:
    card = json.loads((models[1] / CARD_NAME).read_text())
    (models[1] / CARD_NAME).write_text(json.dumps(card | {"classes": ["SQ", "XX"], "class_names": ["SQ", "XX"]}))
    done = run_job(compare_models(*models, data))
    assert done.classes == ["SQ"] and done.paired.found.truths == 30
    assert "Only new looks for DI: not compared." in done.sentences
    assert "Only old looks for XX: not compared." in done.sentences
    (models[1] / CARD_NAME).write_text(json.dumps(card | {"classes": ["YY", "XX"], "class_names": ["YY", "XX"]}))
    with pytest.raises(ModelError, match="no class in common"):
        run_job(compare_models(*models, data))


@pytest.mark.parametrize(
    ("sides", "words", "better"),
    [
        (((0.01, 0.2), (0.02, 0.3)), "new is better than old", True),
        (((-0.01, 0.2), (0.02, 0.3)), "F1 is higher than with old, while no difference in mAP50", False),
        (((-0.01, 0.2), (-0.02, 0.3)), "No difference between new and old is shown", False),
        (((0.0, 0.2), (0.0, 0.3)), "No difference", False),
        (((-0.2, -0.01), (-0.3, -0.02)), "new is worse than old", False),
        (((0.1, 0.2), (-0.3, -0.02)), "mAP50 is higher and F1 is lower", False),
        ((None, None), "cannot be told from 3 places", False),
    ],
)
def test_better_is_said_only_where_no_interval_contains_0(
    sides: tuple[Interval | None, Interval | None], words: str, better: bool
) -> None:
    differences = {
        name: Difference(0.6, 0.5, interval, None if interval is None else 0.04)
        for name, interval in zip(("map50", "f1"), sides, strict=True)
    }
    said = verdict("new", "old", Paired(3, differences, FoundBy(1, 1, 1, 1, 1.0)))
    assert words in said and ("better" in said) == better


def test_two_real_models_are_compared(data: Path, tmp_path: Path) -> None:
    new = untrained_model(tmp_path / "one", classes=CLASSES)
    done = run_job(compare_models(new, new, data, device="cpu"))
    assert done.verdict.startswith("No difference between one and one is shown")
    assert done.paired.found.only_first == done.paired.found.only_second == 0
    kinds = [one.kind for one in done.wrong]
    assert kinds.count(NONE) == done.paired.found.neither and set(kinds) <= {NONE, FALSE_BOTH}
    document = done.document()
    assert not document["disagreements"] and len(document["both_wrong"]) == len(kinds)
    assert done.new.seconds > 0 and "per picture" in done.new.speed_words
