"""Adding folders and many files at once: what is found, told apart, left out and said, and one step of undo."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from microscope_qc.core.errors import Cancelled, InputError, MicroscopeQCError
from microscope_qc.core.jobs import CancelToken, run_job
from microscope_qc.project import Project
from microscope_qc.project.scenes import SceneFacts
from microscope_qc.workflows.intake import adding, reading
from microscope_qc.workflows.intake.adding import IntakePlan, IntakeResult, add_slides, make_project, plan_intake
from microscope_qc.workflows.intake.finding import Reason, by_name, find_files
from microscope_qc.workflows.intake.summary import intake_words, problem_lines, same_words, skipped_lines

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="such names and links are not there")


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (40, 60)) -> Path:
    """Write a small grey picture whose content depends on ``seed``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(40, 200, size, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def mask(path: Path) -> Path:
    """Write a black picture with a white spot."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((40, 60), np.uint8)
    pixels[10:20, 10:30] = 255
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project without slides."""
    with Project.create(tmp_path / "p.mqc") as made:
        yield made


def add(project: Project, *named: Path | str, **options: bool) -> IntakeResult:
    """Add slides to the end."""
    return run_job(add_slides(project, list(named), **options))


def reasons(plan: IntakePlan) -> dict[str, int]:
    """How many files were left out, by reason."""
    return dict(Counter(left.reason.value for left in plan.left_out))


def test_a_folder_is_taken_with_everything_below_it_in_one_step(project: Project, tmp_path: Path) -> None:
    for number in (10, 2, 1):
        picture(tmp_path / "scans" / f"S{number}.png", number)
    picture(tmp_path / "scans" / "late" / "T.jpg", 20)
    result = add(project, tmp_path / "scans")
    assert [slide.name for slide in project.slides] == ["S1", "S2", "S10", "T"]
    assert result.added == list(project.slides) and intake_words(4, result.plan) == "4 slides added."
    assert project.history.undo_title == "Add 4 slides"
    assert all(len(project.boxes.table(slide.id)) == 0 for slide in project.slides)
    project.history.undo()
    assert len(project.slides) == 0
    project.history.redo()
    assert len(project.slides) == 4
    again = add(project, tmp_path / "scans", tmp_path / "scans" / "S1.png")
    assert again.added == [] and intake_words(0, again.plan) == "They are in the project already."


def test_folders_below_can_be_left_alone(project: Project, tmp_path: Path) -> None:
    picture(tmp_path / "scans" / "a.png", 1)
    picture(tmp_path / "scans" / "below" / "b.png", 2)
    add(project, tmp_path / "scans", subfolders=False)
    assert [slide.name for slide in project.slides] == ["a"]


def test_what_is_no_slide_is_left_out_and_said(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    picture(folder / "a.png", 1)
    for name in (".hidden.png", "Thumbs.db", "notes.docx", "a.xml", "a.json", "list.csv"):
        (folder / name).write_text("x")
    picture(folder / ".cache" / "b.png", 2)
    (folder / "torn.png").write_bytes((folder / "a.png").read_bytes()[:50])
    (folder / "empty.tif").touch()
    Project.create(folder / "old.mqc").close()
    result = add(project, folder)
    assert [slide.name for slide in result.added] == ["a"]
    assert reasons(result.plan) == {
        "hidden file": 3, "other file": 2, "label file": 3, "file that cannot be read": 2,
    }  # fmt: skip
    problems = list(problem_lines(result.plan))
    assert len(problems) == 2 and problems[0].startswith("empty.tif is empty") and "torn.png" in problems[1]
    assert "3 label files: a.json, a.xml and list.csv." in list(skipped_lines(result.plan))
    words = intake_words(1, result.plan)
    assert words.startswith("1 slide added. Left out: 3 label files, 2 other files, 3 hidden files, 2 files that")


def test_masks_are_told_by_names_and_folders(project: Project, tmp_path: Path) -> None:
    tile, kolektor, mvtec = tmp_path / "all" / "tile", tmp_path / "all" / "kolektor", tmp_path / "all" / "bottle"
    for number in range(3):
        picture(tile / "Imgs" / f"t{number}.jpg", number)
        mask(tile / "Imgs" / f"t{number}.png")
        picture(kolektor / f"k{number}" / "Part0.jpg", 10 + number)
        mask(kolektor / f"k{number}" / "Part0_label.bmp")
        picture(kolektor / f"{number}.png", 40 + number)
        mask(kolektor / f"{number}_GT.png")
        picture(mvtec / "train" / "good" / f"00{number}.png", 20 + number)
        picture(mvtec / "test" / "broken" / f"00{number}.png", 30 + number)
        mask(mvtec / "ground_truth" / "broken" / f"00{number}_mask.png")
    result = add(project, tmp_path / "all")
    assert reasons(result.plan) == {"mask": 12} and len(result.added) == 15
    assert not any("mask" in slide.path.name or "GT" in slide.path.name for slide in project.slides)
    names = {slide.name for slide in project.slides}
    assert {"good 000", "broken 000", "k0 Part0", "t1"} <= names and len(names) == 15
    assert "12 masks" in intake_words(15, result.plan)
    taken = add(project, tmp_path / "all", masks=True, again=True)
    assert len(taken.added) == 12
    assert not taken.plan.left_out


def test_a_picture_beside_a_photograph_is_no_mask_unless_it_looks_like_one(project: Project, tmp_path: Path) -> None:
    picture(tmp_path / "s" / "a.jpg", 1)
    picture(tmp_path / "s" / "a.png", 2)
    picture(tmp_path / "s" / "masks" / "thing.png", 3)  # the mask of nothing
    assert len(add(project, tmp_path / "s").added) == 3


def test_a_single_file_that_is_named_is_taken_whatever_it_is_called(project: Project, tmp_path: Path) -> None:
    picture(tmp_path / "ground_truth" / "a.png", 1)
    only = mask(tmp_path / "ground_truth" / "a_mask.png")
    assert [slide.name for slide in add(project, only).added] == ["a_mask"]


def test_real_layout_of_magnetic_tiles(real_data: Path) -> None:
    tiles = real_data / "anomaly" / "magnetic-tile" / "MT_Crack"
    plan = run_job(plan_intake([tiles]))
    pictures = list(tiles.rglob("*.jpg"))
    assert len(plan.files) + len(plan.same) == len(pictures) > 40
    assert reasons(plan) == {"mask": len(list(tiles.rglob("*.png")))}


def test_an_identical_picture_is_named_and_added_when_wanted(project: Project, tmp_path: Path) -> None:
    first = picture(tmp_path / "s" / "a.png", 1)
    shutil.copy(first, tmp_path / "s" / "copy.png")
    result = add(project, tmp_path / "s")
    assert [slide.name for slide in result.added] == ["a"]
    assert same_words(result.plan) == "copy.png is the same picture as a.png."
    assert "1 identical picture" in intake_words(1, result.plan)
    (tmp_path / "t").mkdir()
    shutil.copy(first, tmp_path / "t" / "a.png")
    second = add(project, tmp_path / "t")
    assert second.added == [] and str(Path("t", "a.png")) in same_words(second.plan)
    third = add(project, tmp_path / "s", tmp_path / "t", again=True)
    assert [slide.name for slide in third.added] == ["copy", "a (2)"]
    assert project.history.undo_title == "Add 2 slides"


def test_a_slide_that_was_missing_is_found_again(project: Project, tmp_path: Path) -> None:
    first = picture(tmp_path / "s" / "a.png", 1)
    slide = add(project, first).added[0]
    shutil.move(tmp_path / "s", tmp_path / "moved")
    project.reload()
    assert project.slides[0].missing
    result = add(project, tmp_path / "moved")
    assert result.added == [] and result.plan.same == []
    found = project.slides[0]
    assert not found.missing and found.path == tmp_path / "moved" / "a.png" and found.id == slide.id


def test_a_file_that_has_changed_is_not_taken_for_the_slide(project: Project, tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", 1)
    add(project, path)
    picture(path, 2)
    with pytest.raises(MicroscopeQCError, match="has changed since it was added"):
        add(project, path)
    assert len(project.slides) == 1


def test_files_of_one_fingerprint_are_read_whole_before_anything_is_said(
    project: Project, tmp_path: Path, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from microscope_qc.slides import content

    monkeypatch.setattr(content, "SMALL_BYTES", 0)  # as if they were large
    for name in ("good.png", "bad.png"):
        shutil.copy(real_data / "cases" / "slides" / name, tmp_path)
    add(project, tmp_path / "good.png")
    assert project.slides[0].content == ""
    notes = []
    job = add_slides(project, [tmp_path / "bad.png"])
    result = run_job(job, lambda step: notes.append(step.note))
    assert [slide.name for slide in result.added] == ["bad"]
    assert "Comparing bad.png with good.png" in notes
    assert len({slide.content for slide in project.slides} - {""}) == 2


def test_patterns_mean_what_they_mean_in_a_terminal(project: Project, tmp_path: Path) -> None:
    for number, name in enumerate(("x/S1.png", "x/S2.png", "x/y/S3.png", "x/T[1].png")):
        picture(tmp_path / name, number)
    assert len(add(project, str(tmp_path / "x" / "S*.png")).added) == 2
    assert len(add(project, str(tmp_path / "**" / "S*.png")).added) == 1
    assert [slide.name for slide in add(project, str(tmp_path / "x" / "T[1].png")).added] == ["T[1]"]
    with pytest.raises(InputError, match="called like"):
        add(project, str(tmp_path / "Q*.png"))


def test_an_empty_name_is_not_the_folder_one_happens_to_be_in(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "here" / "S1.png")
    monkeypatch.chdir(tmp_path / "here")
    for name in ("", "  "):
        with pytest.raises(InputError, match="without a name"):
            add(project, name)
    assert len(project.slides) == 0


def test_one_file_that_is_missing_or_torn_is_an_error_and_adds_nothing(project: Project, tmp_path: Path) -> None:
    good, torn = picture(tmp_path / "a.png"), tmp_path / "torn.png"
    torn.write_bytes(b"\x89PNG\r\n\x1a\n rubbish")
    with pytest.raises(InputError, match="no file"):
        add(project, good, tmp_path / "none.png")
    with pytest.raises(MicroscopeQCError, match="torn.png"):
        add(project, torn)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no slide that can be read"):
        add(project, tmp_path / "empty")
    mask(tmp_path / "m" / "ground_truth" / "x_mask.png")
    with pytest.raises(InputError, match="look like masks"):
        add(project, tmp_path / "m")
    (tmp_path / "labels").mkdir()
    for name in ("a.xml", "b.xml"):
        (tmp_path / "labels" / name).write_text("<annotation/>")
    with pytest.raises(InputError, match="2 files of it may be annotations: import them into a project of slides"):
        add(project, tmp_path / "labels")
    assert len(project.slides) == 0 and not project.history.can_undo


def test_stopping_adds_nothing(project: Project, tmp_path: Path) -> None:
    for number in range(40):
        picture(tmp_path / "s" / f"{number}.png", number)
    token = CancelToken()
    steps = []

    def seen(step: object) -> None:
        steps.append(step)
        if len(steps) == 20:
            token.cancel()

    with pytest.raises(Cancelled):
        run_job(add_slides(project, [tmp_path / "s"]), seen, token)
    assert len(project.slides) == 0 and not project.history.can_undo
    assert steps[-1].total == 40 and 0 < steps[-1].done < 40


@POSIX
def test_hostile_folders_are_looked_through_to_the_end(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    picture(folder / "a.png", 1)
    picture(folder / "two\nlines.png", 2)
    picture(folder / "Überprüfung 電極 \u202e.png", 3)
    (folder / "round").symlink_to(folder)
    (folder / "self").symlink_to(folder / "self")
    (folder / "self.png").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe.png")
    (folder / os.fsdecode(b"\xff.png")).write_bytes((folder / "a.png").read_bytes())
    deep = folder
    for level in range(60):
        deep = deep / f"level{level}"
    deep.mkdir(parents=True)
    picture(deep / "deep.png", 4)
    result = add(project, folder)
    assert [slide.name for slide in result.added] == ["a", "two lines", "Überprüfung 電極", "deep"]
    assert reasons(result.plan)["file that cannot be read"] == 4
    for line in (*problem_lines(result.plan), intake_words(4, result.plan)):
        line.encode("utf-8")
    with Project.open(project.path, write=False) as again:
        assert not any(slide.missing for slide in again.slides)


@POSIX
def test_a_folder_that_may_not_be_read_stops_no_other(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "s" / "a.png", 1)
    picture(tmp_path / "s" / "locked" / "b.png", 2)
    list_folder = os.scandir

    def refuse(folder: Path) -> object:
        if Path(folder).name == "locked":
            raise PermissionError(13, "Permission denied")
        return list_folder(folder)

    monkeypatch.setattr(os, "scandir", refuse)  # root may read everything
    result = add(project, tmp_path / "s")
    assert len(result.added) == 1
    assert list(problem_lines(result.plan)) == ["locked cannot be read (Permission denied)."]


def test_a_folder_that_disappears_in_the_middle_leaves_what_was_there(project: Project, tmp_path: Path) -> None:
    for number in range(60):
        picture(tmp_path / "s" / f"{number}.png", number)
    job = add_slides(project, [tmp_path / "s"])
    for step in job:
        if step.done >= 5:
            shutil.rmtree(tmp_path / "s")
            break
    result = run_job(job)
    assert 5 <= len(result.added) < 60
    assert len(result.added) + reasons(result.plan)["file that cannot be read"] == 60


def test_ten_thousand_of_one_name_are_told_apart_without_comparing_each_with_each(project: Project) -> None:
    files = [
        [SceneFacts(Path(f"/data/{n // 100}/{n % 100}/000.png"), None, "f", (9, 9), None, f"{n:032x}")]
        for n in range(10_000)
    ]
    added = project.slides.add_many(files)
    assert len({slide.name for slide in added}) == 10_000 and added[101].name == "1 1 000"
    same = [[SceneFacts(Path("/data/x") / f"{n}" / "a.png", None, "f", (9, 9), None, f"x{n}")] for n in range(10_000)]
    assert [slide.name for slide in project.slides.add_many(same)[:2]] == ["0 a", "1 a"]


@POSIX
def test_names_that_are_no_text_can_be_printed_and_are_to_be_changed(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    good = picture(folder / "good.png")
    odd = os.fsencode(folder) + b"/Pr\xfcfling.png"
    shutil.copyfile(good, odd)
    os.mkdir(os.fsencode(folder) + b"/Pr\xfcfling")  # noqa: PTH102 - a name that is no text
    shutil.copyfile(good, os.fsencode(folder) + b"/Pr\xfcfling/below.png")
    command = [sys.executable, "-m", "microscope_qc"]
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    made = subprocess.run(
        [*command, "new", tmp_path / "a.mqc", folder, "--json"], capture_output=True, env=environment, check=True
    )
    left = {row["words"] for row in json.loads(made.stdout)["left_out"]}
    assert left == {
        "Pr?fling.png has a name that is no text; rename it.",
        "below.png lies in a folder that has a name that is no text.",
    }
    for arguments in (
        ["info", odd],
        ["new", tmp_path / "b.mqc", odd],
        ["convert", good, os.fsencode(folder) + b"/\xfc.ome.zarr"],
    ):
        refused = subprocess.run([*command, *arguments], capture_output=True, env=environment, check=False)
        assert refused.returncode == 2 and b"is a name that is no text. Rename" in refused.stderr


def test_a_fault_of_a_decoder_leaves_out_its_file_only(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "in" / "a.png")
    picture(tmp_path / "in" / "b.png", 1)
    read = reading.read_facts

    def fail(path: Path, **options: str | None) -> list[SceneFacts]:
        if path.name == "a.png":
            raise RuntimeError("decoder")
        return read(path, **options)

    monkeypatch.setattr(reading, "read_facts", fail)
    result = add(project, tmp_path / "in")
    assert [slide.name for slide in result.added] == ["b"]
    assert list(problem_lines(result.plan)) == ["a.png cannot be read (RuntimeError: decoder)."]


def test_numbers_in_names_are_sorted_as_numbers() -> None:
    names = ["S10", "S2", "s1", "S2b", "10", "9", "", "１2", "²"]
    assert sorted(names, key=by_name) == ["", "9", "10", "s1", "S2", "S2b", "S10", "²", "１2"]


def test_a_project_is_made_with_all_of_a_folder_or_not_at_all(tmp_path: Path) -> None:
    for number in range(30):
        picture(tmp_path / "s" / f"{number}.png", number)
    project, plan = run_job(make_project(tmp_path / "n.mqc", [tmp_path / "s"]))
    with project:
        assert len(project.slides) == 30 and not project.history.can_undo and plan.there == 0
    with pytest.raises(MicroscopeQCError, match="exists already"):
        run_job(make_project(tmp_path / "n.mqc", [tmp_path / "s"]))
    job = make_project(tmp_path / "other.mqc", [tmp_path / "s"])
    for step in job:
        if step.done == 10:
            break
    job.close()
    assert not (tmp_path / "other.mqc").exists()


def test_a_kill_in_the_middle_leaves_a_project_that_opens(tmp_path: Path) -> None:
    for number in range(300):
        picture(tmp_path / "s" / f"{number}.png", number)
    with Project.create(tmp_path / "p.mqc", slides=[tmp_path / "s" / "0.png"]):
        pass
    code = "from microscope_qc.cli import main; import sys; sys.exit(main(sys.argv[1:]))"
    counts = set()
    for wait in (0.0, 0.05, 0.4):
        command = ["slides", str(tmp_path / "p.mqc"), "add", str(tmp_path / "s"), "--progress", "json"]
        child = subprocess.Popen([sys.executable, "-c", code, *command], stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        assert child.stderr is not None
        for line in child.stderr:
            if json.loads(line)["done"]:
                break
        time.sleep(wait)
        child.kill()
        child.communicate()
        with Project.open(tmp_path / "p.mqc") as survivor:
            assert survivor.check() == []
            counts.add(len(survivor.slides))
            while survivor.history.can_undo:
                survivor.history.undo()
    assert counts <= {1, 300} and 1 in counts, "some of the slides"


def test_files_are_read_by_threads_but_taken_in_their_order(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = reading.read_facts

    def slowly(path: Path, **options: object) -> list[SceneFacts]:
        time.sleep(0.02 if path.name == "0.png" else 0)
        return read(path, **options)

    monkeypatch.setattr(reading, "read_facts", slowly)
    for number in range(12):
        picture(tmp_path / "s" / f"{number}.png", number)
    add(project, tmp_path / "s")
    assert [slide.name for slide in project.slides] == [str(number) for number in range(12)]


FRAGILE = """
import os, sys
from microscope_qc.workflows.intake import adding, reading
read = reading.read_file
def fragile(wanted):
    print("noise of a library")
    return os.abort() if "bad" in wanted.path.name else read(wanted)
reading.read_file = fragile
answers, sys.stdout = sys.stdout.buffer, sys.stderr
reading.serve(sys.stdin.buffer, answers)
"""


@pytest.mark.parametrize("command", [("-c", FRAGILE), reading.COMMAND, ("-c", "raise SystemExit(3)")])
def test_many_files_are_read_by_children_and_one_that_ends_a_child_stops_no_other(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr(adding, "MANY", 5)
    monkeypatch.setattr(reading, "COMMAND", command)
    for number in range(6):
        picture(tmp_path / "s" / f"{number}.jpg", number)
        mask(tmp_path / "s" / f"{number}.png")
    picture(tmp_path / "s" / "bad.png", 7)
    (tmp_path / "s" / "torn.png").write_bytes(b"no picture")
    for number in range(6):
        picture(tmp_path / "s" / f"z{number}.png", 8 + number)
    result = add(project, tmp_path / "s")
    fragile = command[-1] == FRAGILE
    assert [slide.name for slide in result.added] == [
        *"012345", *(() if fragile else ("bad",)), *(f"z{number}" for number in range(6)),
    ]  # fmt: skip
    assert reasons(result.plan) == {"mask": 6, "file that cannot be read": 2 if fragile else 1}
    assert any("ended the process" in line for line in problem_lines(result.plan)) == fragile
    assert all(slide.content for slide in project.slides)


def test_children_end_when_the_job_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    monkeypatch.setattr(adding, "MANY", 5)
    for number in range(60):
        picture(tmp_path / "s" / f"{number}.png", number)
    before = {child.pid for child in psutil.Process().children()}
    job = plan_intake([tmp_path / "s"])
    for step in job:
        if step.done >= 3:
            break
    assert {child.pid for child in psutil.Process().children()} - before
    job.close()
    assert {child.pid for child in psutil.Process().children()} <= before


def test_nothing_but_names_is_needed_to_find_files(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    for number in range(2000):
        (tmp_path / "s" / f"{number}.png").touch()
    steps = []
    found = run_job(find_files([tmp_path / "s"]), steps.append)
    assert len(found.slides) == 2000 and len(steps) >= 4 and "files so far" in steps[-1].note
    assert {left.reason for left in found.left_out} <= {Reason.FOREIGN}
