"""The card of a data set counts what is there, and names what was dropped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from learning_toys import coco_folder, draw

from microscope_qc.cli import main
from microscope_qc.core.jobs import run_job
from microscope_qc.workflows.learning.card import dataset_card


def test_the_card_counts_and_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = coco_folder(tmp_path / "data", pictures=8)
    shutil.copy(folder / "p0.png", folder / "p1.png")
    cv2.imwrite(str(folder / "p2.png"), np.full((192, 192, 3), 90, np.uint8))
    (folder / "p3.png").write_bytes((folder / "p3.png").read_bytes()[:2000])
    (folder / "p4.png").unlink()
    document = json.loads((folder / "annotations.json").read_text())
    document["annotations"][-1]["bbox"] = [10, 10, 0, 5]
    document["categories"][0]["name"] = "<b>SQ"
    (folder / "annotations.json").write_text(json.dumps(document))
    page = tmp_path / "card.html"
    assert main(["dataset", "card", str(folder), "--html", str(page), "--json", "--progress", "none"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["pictures"] == 4 and card["boxes"] == 23
    assert {known["picture"] for known in card["left_out"]["pictures"]} == {"p1.png", "p2.png", "p3.png", "p4.png"}
    assert card["left_out"]["boxes"] == {"no area": 1}
    assert card["left_out"]["places"]["no area"] == ["annotations.json, annotation 48"]
    assert {known["code"] for known in card["classes"]} == {"<b>SQ", "DI"}
    by_class = {"<b>SQ": 0, "DI": 0}
    for part in card["parts"].values():
        for code, count in part["boxes"].items():
            by_class[code] += count
    assert by_class == {"<b>SQ": 12, "DI": 11} and set(card["parts"]) == {"train", "validation"}
    assert card["picture_px"] == {"least": 192, "middle": 192, "largest": 192}
    assert card["pixel_size_um"] == [{"um": None, "pictures": 4}]
    text = page.read_text(encoding="utf-8")
    assert "<b>SQ" not in text and "&lt;b&gt;SQ" in text
    assert text.count('id="chart2-0-mark-') == 4 and "is a copy of p0.png" in text and "annotation 48" in text
    assert main(["dataset", "card", str(folder), "--progress", "none"]) == 0
    said = capsys.readouterr().out
    assert f"Fingerprint: {card['fingerprint']}" in said
    assert "1 picture is of one grey all over and is left out: p2.png." in said and "3 more of 8 pictures left" in said


def test_pictures_with_a_class_are_counted_where_there_is_no_box(tmp_path: Path) -> None:
    for number, kind in enumerate(("crack", "pore", "good")):
        for place in range(number + 1):
            path = tmp_path / "test" / kind / f"{place}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), draw(10 * number + place)[0])
    (tmp_path / "train" / "crack").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "train" / "crack" / "9.jpg"), draw(99)[0])
    card = run_job(dataset_card(tmp_path))
    assert card.counted() == "pictures" and card.divided == "by the data set, as it stays"
    assert card.distribution() == {"train": [1, 0], "test": [1, 2]} and card.parts["test"].background == 3
