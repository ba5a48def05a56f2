"""The main job, on the drawn sample: a user works in the window, the process is killed, and nothing is lost."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from microscope_qc.core.boxes import ReviewState
from microscope_qc.project import Project

if TYPE_CHECKING:
    from window_driver import User

pytestmark = [pytest.mark.window, pytest.mark.story, pytest.mark.timeout(900)]

CHILD = Path(__file__).with_name("sample_session.py")
SIZE = 3072
BOX = (300.0, 420.0, 380.0, 560.0)

Acts = dict[str, dict[str, Any]]


def live_until_killed(folder: Path) -> Acts:
    """Run the session in a process of its own and kill it right after its last act; returns what each act reported."""
    for name in ("sample", "config", "out"):
        (folder / name).mkdir()
    environment = {
        **os.environ,
        "MICROSCOPE_QC_SAMPLE_DIR": str(folder / "sample"),
        "MICROSCOPE_QC_CONFIG_DIR": str(folder / "config"),
        "PYTHONUNBUFFERED": "1",
    }
    said = folder / "said.txt"
    with said.open("w+", encoding="utf-8") as stderr:
        child = subprocess.Popen(
            [sys.executable, str(CHILD), str(folder / "out")],
            stdout=subprocess.PIPE, stderr=stderr, text=True, encoding="utf-8", env=environment,
        )  # fmt: skip
        acts: Acts = {}
        assert child.stdout is not None
        for line in child.stdout:
            told = json.loads(line)
            acts[told["act"]] = told
            if told["act"] == "last":
                break
        alive = child.poll() is None
        child.kill()  # SIGKILL: no handler, no clean-up
        child.communicate()
    assert "last" in acts and alive, (
        f"the session ended after {list(acts)}:\n{said.read_text(encoding='utf-8')[-6000:]}"
    )
    return acts


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, display: None) -> tuple[Acts, Path]:
    """What the user had done before the window was killed, and the folder."""
    folder = tmp_path_factory.mktemp("story")
    return live_until_killed(folder), folder


def test_everything_is_there_after_a_kill(story: tuple[Acts, Path]) -> None:
    from window_driver import state_of

    acts, _ = story
    place = Path(acts["open"]["project"])
    owner = json.loads((place / "owner.json").read_text(encoding="utf-8"))
    assert owner["program"] == "window", "the window was the owner when it was killed"
    with Project.open(place) as project:
        assert state_of(project) == acts["last"]["state"]
        assert project.check() == []
        rows = {int(row["id"]): row for row in project.boxes.table(project.slides[0].id).rows}
        box = rows[acts["draw"]["box"]]
        assert np.allclose([box[name] for name in ("y0", "x0", "y1", "x1")], BOX, atol=4)  # drawn at a quarter's zoom
        assert box["state"] == ReviewState.CONFIRMED and np.isnan(box["confidence"])
        confirmed, rejected = acts["review"]["confirmed"], acts["review"]["rejected"]
        assert len(set(confirmed + rejected)) == 5
        assert [rows[number]["state"] for number in confirmed] == [ReviewState.CONFIRMED] * 3
        assert [rows[number]["reason"] for number in rejected] == ["false positive", "duplicate"]
        assert [rows[number]["state"] for number in rejected] == [ReviewState.REJECTED] * 2
        assert sorted(number for number, row in rows.items() if row["chosen"]) == sorted(confirmed)
        keys = {item.id: item.key for item in project.classes}
        assert keys[int(rows[acts["review"]["relabelled"]]["class_id"])] == "4"
        assert [mark.name for mark in project.marks.of_slide(project.slides[0].id)] == ["M1", "M2", "M3"]
        assert [record.name for record in project.registrations] == ["R1"]
        assert [(run.state, run.shown) for run in project.runs] == [("finished", False), ("finished", True)]
        assert project.runs[1].found == acts["detect"]["findings"] > 0


def test_the_exports_are_right(story: tuple[Acts, Path]) -> None:
    from window_driver import stage_position

    acts, folder = story
    state = acts["last"]["state"]
    with Project.open(Path(acts["open"]["project"]), write=False) as project:
        shown = {int(row["id"]): row for row in project.boxes.rows()}
        codes = {item.id: item.code for item in project.classes}
        size_um = project.slides[0].pixel_size_um
    assert set(state["boxes"]) >= {str(number) for number in shown}

    coco = json.loads((folder / "out" / "findings.json").read_text(encoding="utf-8"))
    names = {category["id"]: category["name"] for category in coco["categories"]}
    assert {entry["id"] for entry in coco["annotations"]} == set(shown)
    assert (coco["images"][0]["height"], coco["images"][0]["width"]) == (SIZE, SIZE)
    for entry in coco["annotations"]:
        row = shown[entry["id"]]
        x, y, width, height = entry["bbox"]
        assert np.allclose([y, x, y + height, x + width], [row[name] for name in ("y0", "x0", "y1", "x1")], atol=1e-3)
        assert names[entry["category_id"]] == codes[int(row["class_id"])]
        assert entry["attributes"]["state"] == ReviewState(int(row["state"])).word
        assert ("score" in entry) == (not np.isnan(row["confidence"]))

    with (folder / "out" / "places.csv").open(newline="", encoding="utf-8") as file:
        lines = {int(line["defect_id"]): line for line in csv.DictReader(file)}
    assert set(lines) == set(acts["review"]["confirmed"])
    for number, line in lines.items():
        row = shown[number]
        expected = stage_position((row["y0"] + row["y1"]) / 2, (row["x0"] + row["x1"]) / 2, size_um)
        found = float(line["stage_x_mm"]), float(line["stage_y_mm"])
        assert found == pytest.approx(expected, abs=2e-4)  # the marks were typed to 10 nm
        assert line["class"] == codes[int(row["class_id"])]


def test_a_new_window_goes_on_where_the_killed_one_stopped(story: tuple[Acts, Path], user: User) -> None:
    from window_driver import CTRL, KEY, SHIFT, state_of

    acts, _ = story
    window, session = user.window, user.session
    window.navigator.open_paths([acts["open"]["project"]])
    user.wait_until(lambda: session.project is not None, "the project")
    user.wait_for_slide()
    project = session.project
    assert not project.read_only
    before = state_of(project)
    assert before == acts["last"]["state"]

    gallery = window.navigator.show_panel("gallery")
    user.wait_until(lambda: set(acts["review"]["confirmed"]) <= set(gallery.model.ids), "the findings in the gallery")
    assert len(window.canvas.boxes.rows) == len(session.shown_rows()) > 0
    window.navigator.trigger("view.sem")
    dock = window.navigator.show_panel("sem")
    user.wait_until(lambda: dock.registration is not None, "the alignment")
    assert sorted(dock.travel.rows["id"].tolist()) == sorted(acts["review"]["confirmed"])

    user.press(KEY.Key_Z, CTRL)
    assert list(project.registrations) == [], "the last act was the alignment"
    undone = 1
    while project.history.can_undo:
        user.press(KEY.Key_Z, CTRL)
        undone += 1
    rows = session.table.rows
    assert undone > 15 and project.marks.of_slide(session.slide.id) == []
    assert not rows["chosen"].any() and not (rows["state"][rows["run_id"] > 0]).any()
    for _ in range(undone):
        user.press(KEY.Key_Z, CTRL | SHIFT)
    assert state_of(project) == before
    session.set_project(None)
