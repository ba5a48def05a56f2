"""One detection over many slides: one child, one line of progress, and a list of what failed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest
from detection_toys import ChildHere
from learning_toys import draw, untrained_model

from microscope_qc.cli import main
from microscope_qc.core.errors import InputError, MicroscopeQCError
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.cards import WEIGHTS_NAME
from microscope_qc.project import Project
from microscope_qc.project.runs.journal import JOURNAL_NAME, read_status
from microscope_qc.project.runs.plan import read_plan
from microscope_qc.workflows.detection import following
from microscope_qc.workflows.detection.following import ChildProgress, DetectionFailed
from microscope_qc.workflows.detection.many import ManyDetected, detect_many
from microscope_qc.workflows.detection.run import prepare_run
from microscope_qc.workflows.left_out import LeftOut, left_out_lines

NAMES = ("y0", "x0", "y1", "x1", "confidence", "class_id")
SLIDES = 3


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_model(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture
def project(tmp_path: Path):
    paths = [tmp_path / f"S{number}.png" for number in range(1, SLIDES + 1)]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), draw(number, size=400, count=16)[0])
    with Project.create(tmp_path / "p", slides=paths) as made:
        for slide in made.slides:
            made.slides.set_pixel_size(slide.id, 0.5)
        yield made


class Mortal(ChildHere):
    """Dies when it is given certain slides."""

    deadly: tuple[str, ...] = ("S2",)
    started: list[Mortal]
    given: list[str]

    def __init__(self) -> None:
        self.given = []
        type(self).started.append(self)
        super().__init__()

    def give(self, run_folder: Path, **how: Any) -> None:
        name = Path(read_plan(run_folder).slide.path).stem
        self.given.append(name)
        if name in self.deadly:
            self.running = False
        super().give(run_folder, **how)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> type[Mortal]:
    """Children that live in this process; none dies unless a test says so."""
    monkeypatch.setattr(Mortal, "started", [], raising=False)
    monkeypatch.setattr(Mortal, "deadly", ())
    monkeypatch.setattr(following, "Child", Mortal)
    return Mortal


def found(project: Project) -> list[list[tuple]]:
    return [
        sorted(tuple(row[name].item() for name in NAMES) for row in project.boxes.table(slide.id).rows)
        for slide in project.slides
    ]


def names(done: ManyDetected) -> list[str]:
    return [one.slide.name for one in done.slides]


def test_all_slides_are_one_job_in_one_child(project: Project, model: Path, here: type[Mortal]) -> None:
    steps: list[ChildProgress] = []
    done = run_job(detect_many(project, model, device="cpu"), steps.append)
    assert names(done) == ["S1", "S2", "S3"] and not done.left_out
    assert [child.given for child in here.started] == [["S1", "S2", "S3"]]
    assert done.findings == sum(map(len, found(project))) > 30
    assert done.shown == sum(len(project.boxes.rows(slide.id)) for slide in project.slides)
    assert steps[-1].done == steps[-1].total == done.tiles
    assert (steps[-1].slides_done, steps[-1].slides_total) == (3, 3)
    assert [step.done for step in steps] == sorted(step.done for step in steps), "it never goes back"
    assert any(step.note.startswith("slide 2 of 3: S2") for step in steps)
    again = run_job(detect_many(project, model, device="cpu"))
    assert [one.result.run_id for one in again.slides] == [1, 2, 3] and len(here.started) == 1, "nothing is repeated"
    fresh = run_job(detect_many(project, model, slide_ids=[project.slides[1].id], fresh=True))
    assert names(fresh) == ["S2"] and len(project.runs) == 4


def test_a_slide_that_fails_stops_no_other(
    project: Project, model: Path, here: type[Mortal], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "S1.png").rename(tmp_path / "elsewhere.png")
    whole = (tmp_path / "S2.png").read_bytes()
    (tmp_path / "S2.png").write_bytes(b"no picture any more")
    project.close()
    with Project.open(project.path) as again:
        done = run_job(detect_many(again, model))
        assert names(done) == ["S3"] and [left.slide for left in done.left_out] == ["S1", "S2"]
        assert "S1 is no longer at" in str(done.left_out[0].error)
        assert "S2.png" in str(done.left_out[1].error) and "ended early" not in str(done.left_out[1].error)
        assert [(run.slide_id, run.state) for run in again.runs] == [(2, "failed"), (3, "finished")]

    command = ["detect", str(project.path), "--model", str(model), "--progress", "none"]
    assert main([*command, "--json"]) == 2
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert [slide["slide"] for slide in answer["slides"]] == ["S3"] and "run" not in answer
    assert answer["total"]["slides"] == 1 and answer["total"]["finds"] == answer["slides"][0]["finds"] > 0
    assert [left["slide"] for left in answer["left_out"]] == ["S1", "S2"]
    heading, first, *_ = said.err.splitlines()
    assert heading == "2 slides could not be done, all others are; the same command does what is left:"
    assert first.startswith("S1: The slide S1 is no longer at")
    assert main([*command, "--slide", "S1"]) == 2, "of one slide its own error is told"
    assert capsys.readouterr().err.startswith("The slide S1 is no longer at")

    (tmp_path / "S2.png").write_bytes(whole)
    assert main([*command, "--slide", "S2", "--slide", "S3"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("S3: ") and said[1].startswith("S2: ") and said[2].startswith("2 slides: ")
    assert main([*command, "--slide", "S3", "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert alone["slide"] == "S3" and alone["run"] == 2 and alone["slides"][0]["finds"] == alone["finds"]
    assert alone["total"]["shown"] == alone["shown"]
    assert main([*command, "--slide", "S9"]) == 2 and "There is no slide S9" in capsys.readouterr().err


def test_a_child_that_dies_takes_one_slide_with_it(project: Project, model: Path, here: type[Mortal]) -> None:
    here.deadly = ("S2",)
    done = run_job(detect_many(project, model))
    assert names(done) == ["S1", "S3"]
    (left,) = done.left_out
    assert left.slide == "S2" and "ended by signal 9" in str(left.error)
    assert [run.state for run in project.runs] == ["finished", "failed", "finished"]
    assert [child.given for child in here.started] == [["S1", "S2", "S3"], ["S3"]]


class Resting(Mortal):
    """Ends by itself, as after a while without work, just when it is given its second run."""

    code = 0

    def give(self, run_folder: Path, **how: Any) -> None:
        self.running &= len(self.started) > 1 or len(self.given) < 1
        super().give(run_folder, **how)


def test_a_child_that_went_to_rest_is_replaced_and_nothing_fails(
    project: Project, model: Path, here: type[Mortal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "Child", Resting)
    done = run_job(detect_many(project, model))
    assert names(done) == ["S1", "S2", "S3"] and not done.left_out
    assert [child.given for child in here.started] == [["S1", "S2", "S3"], ["S2", "S3"]]


def test_children_that_only_die_are_given_up(project: Project, model: Path, here: type[Mortal]) -> None:
    here.deadly = ("S1", "S2", "S3")
    made = project.slides.add(draw_into(project.path.parent / "S4.png"))
    project.slides.set_pixel_size(made.id, 0.5)
    with pytest.raises(DetectionFailed, match="ended by signal 9"):
        run_job(detect_many(project, model))
    assert len(here.started) == 3
    assert not [run for run in project.runs if run.state == "running"]


def draw_into(path: Path) -> Path:
    cv2.imwrite(str(path), draw(9, size=400)[0])
    return path


def test_a_model_that_cannot_be_loaded_ends_it_at_once(
    project: Project, model: Path, here: type[Mortal], tmp_path: Path
) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "model.json").write_bytes((model / "model.json").read_bytes())
    (bad / WEIGHTS_NAME).write_bytes(b"nothing of use")
    with pytest.raises(DetectionFailed, match="cannot be read"):
        run_job(detect_many(project, bad))
    assert [run.state for run in project.runs] == ["failed", "stopped", "stopped"], "the others were not begun"


def test_a_model_that_computes_nonsense_has_not_found_nothing(
    project: Project, model: Path, here: type[Mortal], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "model.json").write_bytes((model / "model.json").read_bytes())
    weights = load_file(model / WEIGHTS_NAME)
    for name in weights:
        if name.endswith("running_var"):
            weights[name].fill_(-1.0)  # each is a number, and their roots are not
    save_file(weights, bad / WEIGHTS_NAME)
    with pytest.raises(DetectionFailed, match="not finite numbers"):
        run_job(detect_many(project, bad))
    assert project.runs[0].state == "failed" and "not finite" in read_status(project.runs[0].folder)["message"]


def test_runs_that_were_stopped_are_continued(project: Project, model: Path, here: type[Mortal]) -> None:
    whole = run_job(detect_many(project, model))
    expected = found(project)
    for run in list(project.runs):
        project.runs.delete(run.id)
    assert found(project) == [[], [], []]

    job = detect_many(project, model)
    while next(job).slides_done < 1:
        pass
    job.close()
    states = [run.state for run in project.runs]
    assert states.count("finished") >= 1 and "running" not in states
    again = run_job(detect_many(project, model))
    assert names(again) == names(whole) and found(project) == expected
    assert len(project.runs) == SLIDES, "no slide has two runs"


def test_a_window_never_waits(project: Project, model: Path, here: type[Mortal], monkeypatch: Any) -> None:
    monkeypatch.setattr(Mortal, "wait_for_news", lambda *_: pytest.fail("it waited"))
    done = run_job(detect_many(project, model, wait_s=0.0))
    assert len(done.slides) == SLIDES and done.findings == sum(map(len, found(project)))


def test_the_device_is_no_part_of_what_a_run_is(project: Project, model: Path, here: type[Mortal], capsys: Any) -> None:
    slide = project.slides[0].id
    begun = prepare_run(project, slide, model, device="cpu")
    project.runs.finish(begun.id, "stopped")
    assert "device" not in json.dumps(begun.plan.settings)
    (one,) = run_job(detect_many(project, model, slide_ids=[slide], device="auto")).slides
    assert one.result.run_id == begun.id and len(project.runs) == 1
    assert read_plan(begun.folder).device == "auto"
    for device in ("cuda:77", "cuda:x", "abacus", "gpu"):
        with pytest.raises(InputError, match="device"):
            run_job(detect_many(project, model, fresh=True, device=device))
    assert len(project.runs) == 1 and len(list((project.path / "runs").iterdir())) == 1
    project.close()
    assert main(["detect", str(project.path), "--model", str(model), "--device", "cuda:77", "--progress", "none"]) == 2
    assert (
        capsys.readouterr().err
        == "This computer has no device cuda:77. Choose auto or cpu (--device on the command line).\n"
    )


def test_nothing_to_do_is_said(tmp_path: Path, model: Path) -> None:
    with Project.create(tmp_path / "empty") as empty, pytest.raises(InputError, match="There is no slide in empty yet"):
        run_job(detect_many(empty, model))


def test_the_same_reason_is_one_line() -> None:
    def left(name: str, why: str) -> LeftOut:
        return LeftOut(Path("p.mqc"), name, MicroscopeQCError(why))

    many = [left(f"S{number}", f"The pixel size of S{number} is not known.") for number in range(5)]
    assert left_out_lines([*many, left("T", "It is gone.")]) == [
        "5 slides (S0, S1, S2 and 2 more), such as S0: The pixel size of S0 is not known.", "T: It is gone.",
    ]  # fmt: skip


def test_a_killed_command_is_continued_to_the_same_result(project: Project, model: Path) -> None:
    """With a real child, which is killed with the program; the second start must end as if nothing had happened."""
    run_job(detect_many(project, model, device="cpu"))
    expected = found(project)
    for run in list(project.runs):
        project.runs.delete(run.id)
    kept = {run.name for run in (project.path / "runs").iterdir()}
    project.close()

    command = [sys.executable, "-m", "microscope_qc", "detect", str(project.path), "--model", str(model)]
    process = subprocess.Popen([*command, "--progress", "none"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def tiles() -> int:
        journals = [path for path in project.path.glob(f"runs/*/{JOURNAL_NAME}") if path.parent.name not in kept]
        return sum(journal.read_bytes().count(b"\n") for journal in journals)

    while tiles() < 3:
        assert process.poll() is None, "it ended before it was killed"
        try:
            process.wait(0.005)
        except subprocess.TimeoutExpired:
            continue
    process.kill()
    process.wait()
    done = subprocess.run([*command, "--json", "--progress", "none"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [slide["slide"] for slide in json.loads(done.stdout)["slides"]] == ["S1", "S2", "S3"]
    with Project.open(project.path) as again:
        assert found(again) == expected and len(again.runs) == SLIDES and again.check() == []
        assert {read_status(run.folder)["state"] for run in again.runs} == {"finished"}
