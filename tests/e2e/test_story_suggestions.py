"""A story in the real window: it learns while a user labels, and is killed at every stage; nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import psutil
import pytest

from microscope_qc.core.boxes import ReviewState
from microscope_qc.project import Project
from microscope_qc.project.suggestions import read_suggestions

pytestmark = [pytest.mark.window, pytest.mark.story, pytest.mark.timeout(900)]

CHILD = Path(__file__).with_name("suggestions_session.py")
SIZE, CELLS = 1280, 10
OBJECTS, LARGE_PX = 84, 27
PIXEL_UM = 0.9
WORKER_S = 20.0
Told = dict[str, Any]


@dataclass
class Lives:
    """A project, and the window that works on it until it is killed, again and again."""

    folder: Path
    told: dict[str, Told] = field(default_factory=dict)

    @property
    def project(self) -> Path:
        return self.folder / "P.mqc"

    def live(self, first: str, last: str) -> None:
        """Do the acts from one to another, be killed right after the last, and look at what is left."""
        environment = {
            **os.environ,
            "MICROSCOPE_QC_CONFIG_DIR": str(self.folder / "config"),
            "MICROSCOPE_QC_CACHE": str(self.folder / "cache"),
            "MICROSCOPE_QC_MODELS": str(self.folder / "models"),
            "PYTHONPATH": os.pathsep.join([str(CHILD.parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "PYTHONUNBUFFERED": "1",
        }
        said = self.folder / "said.txt"
        before = self.told.get("last")
        with said.open("w+", encoding="utf-8") as stderr:
            child = subprocess.Popen(
                [sys.executable, str(CHILD), str(self.folder), first, last],
                stdout=subprocess.PIPE, stderr=stderr, text=True, encoding="utf-8", env=environment,
            )  # fmt: skip
            assert child.stdout is not None
            act = ""
            for line in child.stdout:
                told = json.loads(line)
                act = told["act"]
                self.told[act] = self.told["last"] = told
                if act == "open" and before is not None:
                    assert_same(before, told)
                if act == last:
                    break
            alive = child.poll() is None
            child.kill()  # SIGKILL: no handler, no clean-up
            child.communicate()
        words = said.read_text(encoding="utf-8")[-6000:]
        assert act == last and alive, f"the session ended after {act!r}:\n{words}"
        self.look_at_what_is_left()

    def look_at_what_is_left(self) -> None:
        """Nothing is lost, nothing is counted that has no number, and no process is left over."""
        last = self.told["last"]
        if last["worker"]:
            psutil.wait_procs([process for process in [_process(last["worker"])] if process], timeout=WORKER_S)
            assert _process(last["worker"]) is None, "the process for models ends with the window"
        from window_driver import state_of

        with Project.open(self.project) as project:
            assert project.check() == []
            assert_same(last, {"act": "read", "state": state_of(project)})
            slide = project.slides[0]
            numbers = set(project.boxes.rows(slide.id)["id"].tolist())
            suggested = read_suggestions(project.path, slide)
        counted, exported = counts_of(self.project, self.folder)
        assert counted == len(numbers) and exported == numbers, "suggestions count nowhere and go nowhere"
        if "suggested" in self.told and "kept" not in self.told:
            assert suggested is not None and len(suggested), "what was suggested is still there"


def _process(pid: int) -> psutil.Process | None:
    try:
        found = psutil.Process(pid)
        return found if found.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def judged(state: dict[str, Any]) -> dict[str, Any]:
    """What the user has said, by the number of the finding."""
    return {number: box for number, box in state["boxes"].items() if box["state"]}


def assert_same(before: Told, after: Told) -> None:
    """Whatever was done is there; a detection that was being kept may have got further, or is taken back."""
    one, other = dict(before["state"]), dict(after["state"])
    assert judged(other) == judged(one), f"judgements are lost after {before['act']}"
    if before["act"] == "keep":
        for name in ("boxes", "runs", "history", "undo", "confidence"):
            one.pop(name), other.pop(name)
    assert other == one, f"it is not as it was after {before['act']}"


def counts_of(project: Path, folder: Path) -> tuple[int, set[int]]:
    """How many findings statistics count, and the numbers of those that an export holds."""
    from microscope_qc import api

    table = api.statistics(project)
    api.export(project, folder / "findings.json", format="coco")
    coco = json.loads((folder / "findings.json").read_text(encoding="utf-8"))
    states = table.loc[table["rows"] == "all", ["unreviewed", "confirmed", "rejected"]]
    return int(states.to_numpy().sum()), {one["id"] for one in coco["annotations"]}


@pytest.fixture
def lives(tmp_path: Path, display: None) -> Lives:
    """A slide with dark squares and bright discs; only the larger ones are defects."""
    from learning_toys import CLASSES, draw

    from microscope_qc.core.defect_class import DefectClass

    pixels, objects = draw(11, size=SIZE, count=OBJECTS, cells=CELLS, radii=(10, 20))
    cv2.imwrite(str(tmp_path / "S1.png"), pixels[..., ::-1])
    objects = [(code, box) for code, box in objects if box[2] - box[0] >= LARGE_PX]
    (tmp_path / "truth.json").write_text(json.dumps([[code, [int(side) for side in box]] for code, box in objects]))
    classes = [DefectClass(code, code, key=str(number)) for number, code in enumerate(CLASSES, start=1)]
    with Project.create(tmp_path / "P.mqc", slides=[tmp_path / "S1.png"], classes=classes) as project:
        project.slides.set_pixel_size(project.slides[0].id, PIXEL_UM)
    return Lives(tmp_path)


def test_it_learns_while_a_user_labels_and_nothing_is_lost(lives: Lives) -> None:
    lives.live("draw", "judge")
    lives.live("relearned", "model")
    lives.live("resumed", "end")
    assert_well(lives)


@pytest.mark.long
def test_it_is_killed_at_every_stage_and_nothing_is_lost(lives: Lives) -> None:
    from suggestions_session import ACTS

    for act in ACTS:
        lives.live(act, act)
    assert_well(lives)


def assert_well(lives: Lives) -> None:
    """Twenty labels and twenty judgements have done what they should."""
    told, said = lives.told, lives.told["judge"]["said"]
    assert len(judged(told["draw"]["state"])) == 20 and told["suggested"]["shown"] == 20
    assert told["suggested"]["hit"] >= 20, "most of the other defects"
    assert said.count("wrong") >= 2 and said.count("right") >= 8
    states = [ReviewState(box["state"]) for box in judged(told["judge"]["state"]).values()]
    assert len(states) == 40 and states.count(ReviewState.REJECTED) == said.count("wrong")
    assert told["kept"]["shown"] > 40
    with Project.open(lives.project) as project:
        assert [(run.state, run.shown) for run in project.runs] == [("finished", True)]
        assert (Path(told["end"]["model"]) / "model.json").is_file()
