"""A project written by version 0.1 opens completely, wherever it is now, and work on it can continue.

``version_0_1.zip`` holds the project with its slides, ``version_0_1.json`` its content according to version 0.1; both
come from ``make_version_0_1.py``.
"""

from __future__ import annotations

import copy
import json
import math
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microscope_qc.core.area_mask import AreaMask
from microscope_qc.core.boxes import BoxFilter, FindingFlag, ReviewState, make_rows
from microscope_qc.core.geometry import Region
from microscope_qc.core.inclusion import Inclusion
from microscope_qc.core.jobs import run_job
from microscope_qc.correlation.registration import Registration
from microscope_qc.project import Project
from microscope_qc.project.checking import restore_when_damaged
from microscope_qc.project.runs.batching import read_batching
from microscope_qc.project.runs.heatmap import HeatMap
from microscope_qc.project.runs.journal import read_journal, read_status, read_tile_errors
from microscope_qc.project.runs.mask_files import read_mask
from microscope_qc.slides import open_slide
from microscope_qc.workflows.detection.area import stored_masks
from microscope_qc.workflows.detection.run import resume
from microscope_qc.workflows.stage.edx_out import compositions

HERE = Path(__file__).parent
EXPECTED: dict[str, Any] = json.loads((HERE / "version_0_1.json").read_text(encoding="utf-8"))
SLIDES: dict[int, dict[str, Any]] = {slide["id"]: slide for slide in EXPECTED["slides"]}
RUNS: dict[int, dict[str, Any]] = {run["id"]: run for run in EXPECTED["runs"]}
ELECTRODE = 1
WHOLE, STOPPED, KILLED = 1, 2, 7
"""Runs over the whole electrode: one finished, one was stopped, one was running when the program was killed."""
STEPS = 100_000
"""More than the history has."""


# -- how the program is asked; the rest of this file knows nothing of it ---------------------------------------------


def opened(folder: Path) -> Project:
    return Project.open(folder / "cell S1.mqc")


def slides_of(project: Project) -> list[Any]:
    return list(project.slides)


def rows_of(project: Project, slide_id: int) -> np.ndarray:
    return project.boxes.table(slide_id).rows


def shown_of(project: Project, slide_id: int) -> list[int]:
    return rows_of(project, slide_id)["id"][project.boxes.shown(slide_id)].tolist()


def attributes_of(project: Project, slide_id: int) -> dict[int, dict[str, Any]]:
    return project.attributes.of_slide(slide_id)


def outlines_of(project: Project, slide_id: int) -> dict[int, Any]:
    return project.outlines.of_slide(slide_id)


def marks_of(project: Project, slide_id: int) -> list[Any]:
    return project.marks.of_slide(slide_id)


def classes_of(project: Project) -> list[Any]:
    return list(project.classes)


def alignments_of(project: Project) -> list[Any]:
    return list(project.registrations)


def runs_of(project: Project) -> list[Any]:
    return list(project.runs)


def history_of(project: Project) -> list[Any]:
    return project.history.entries(limit=STEPS)


def colours_of(slide: Any) -> tuple[list[float], str]:
    """Mean of each colour, and the fingerprint of the pixels."""
    with open_slide(slide.path) as file:
        mosaic = file.scene(slide.scene)
        pixels = mosaic.read_rgb8(Region(0, 0, *slide.shape_px))
        return pixels.reshape(-1, 3).mean(axis=0).tolist(), mosaic.fingerprint()


# -- what is in a project, in the words of the JSON ------------------------------------------------------------------


def box_in_words(project: Project, row: Any, codes: dict[int, str]) -> list[Any]:
    confidence = None if np.isnan(row["confidence"]) else round(float(row["confidence"]), 4)
    return [
        int(row["id"]), codes[int(row["class_id"])],
        *(round(float(row[side]), 3) for side in ("y0", "x0", "y1", "x1")), confidence,
        ReviewState(row["state"]).word, int(row["run_id"]), bool(row["chosen"]), row["reason"], row["note"],
    ]  # fmt: skip


def slide_in_words(project: Project, slide: Any) -> dict[str, Any]:
    codes = {defect.id: defect.code for defect in classes_of(project)}
    rows = rows_of(project, slide.id)
    masks, problems = stored_masks(project, slide)
    assert problems == {}
    return {
        "id": slide.id,
        "name": slide.name,
        "relative_path": slide.relative_path,
        "scene": slide.scene,
        "fingerprint": slide.fingerprint,
        "shape_px": list(slide.shape_px),
        "pixel_size_um": slide.pixel_size_um and list(slide.pixel_size_um),
        "missing": slide.missing,
        "boxes": [box_in_words(project, row, codes) for row in rows],
        "shown": shown_of(project, slide.id),
        "attributes": {str(number): found for number, found in attributes_of(project, slide.id).items()},
        "outlines": {str(n): json.loads(found.to_json()) for n, found in outlines_of(project, slide.id).items()},
        "marks": [[m.id, m.name, m.y_px, m.x_px, m.stage_x_mm, m.stage_y_mm] for m in marks_of(project, slide.id)],
        "areas": {kind: None if mask is None else mask_in_words(mask) for kind, mask in masks.items()},
        "compositions": {str(n): found for n in rows["id"].tolist() if (found := compositions_of(project, n))},
    }


def compositions_of(project: Project, box_id: int) -> list[dict[str, Any]]:
    names = ("label", "at_percent", "wt_percent", "stage_mm", "matched_by", "source")
    known = compositions(project, box_id)
    assert all(sum(found["wt_percent"].values()) == pytest.approx(100, abs=0.01) for found in known)
    return [{name: found[name] for name in names} | {"wt_percent": {}} for found in known if found["computed"] == "wt"]


def mask_in_words(mask: AreaMask) -> dict[str, Any]:
    region = mask.region
    return {
        "region": [region.y0, region.x0, region.y1, region.x1],
        "cell_px": list(mask.cell_px),
        "looked_at_by_row": mask.scan.sum(axis=1).tolist(),
        "looked_at_by_column": mask.scan.sum(axis=0).tolist(),
    }


def run_in_words(run: Any) -> dict[str, Any]:
    status, plan, mask = read_status(run.folder), read_batching(run.folder), read_mask(run.folder)
    return {
        "id": run.id,
        "slide": run.slide_id,
        "state": run.state,
        "shown": run.shown,
        "found": run.found,
        "started": run.started,
        "finished": run.finished,
        "settings": run.settings,
        "card": run.plan.document(),
        "tiles": [[tile, len(candidates)] for tile, candidates in read_journal(run.folder)[0]],
        "tile_errors": {str(tile): said for tile, said in read_tile_errors(run.folder).items()},
        "status": {name: status.get(name) for name in ("state", "tiles_done", "tiles_total", "device", "message")},
        "plan": None if plan is None else {name: value for name, value in asdict(plan).items() if name != "singly"},
        "mask": None if mask is None else mask_in_words(mask),
    }


def filter_in_words(box_filter: BoxFilter, *, counted: Inclusion) -> dict[str, Any]:
    """Version 0.1 had one filter for what is shown and for what counts."""
    size = box_filter.size_um
    return {
        "min_confidence": max(box_filter.min_confidence, counted.confidence_limit),
        "max_confidence": box_filter.max_confidence,
        "class_ids": box_filter.class_ids and sorted(box_filter.class_ids),
        "states": box_filter.states and sorted(state.word for state in box_filter.states),
        "hidden_runs": sorted(counted.hidden_runs),
        "found_by": box_filter.found_by and sorted(box_filter.found_by),
        "only_chosen": box_filter.only_chosen,
        "size_um": size and [limit if math.isfinite(limit) else None for limit in size],
        "text": box_filter.text,
    }


def history_in_words(project: Project) -> list[list[Any]]:
    return [
        [
            entry.id, entry.time, entry.user, entry.title, entry.kind, entry.undone, entry.slide_id, entry.run_id,
            entry.box_count, len(project.history.changes_of(entry)),
        ]
        for entry in history_of(project)
    ]  # fmt: skip


def in_words(project: Project) -> dict[str, Any]:
    """Everything but figures of pixels or of a computation."""
    return {
        "project": project.name,
        "classes": [asdict(defect) for defect in classes_of(project)],
        "slides": [slide_in_words(project, slide) for slide in slides_of(project)],
        "alignments": [[a.id, a.slide_id, a.name, a.data] for a in alignments_of(project)],
        "runs": [run_in_words(run) for run in runs_of(project)],
        "settings": {key: project.settings.get(key) for key in EXPECTED["settings"]},
        "filter": filter_in_words(project.filters.current, counted=project.inclusion.current),
        "saved_filters": {
            name: filter_in_words(known, counted=Inclusion()) for name, known in project.filters.saved.items()
        },
        "history": history_in_words(project),
        "undo": project.history.undo_title,
        "redo": project.history.redo_title,
    }


def expected_in_words() -> dict[str, Any]:
    """What :func:`in_words` gives when nothing is lost."""
    words = {key: EXPECTED[key] for key in EXPECTED if key not in ("everything_undone", "oldest_copy")}
    words["slides"] = [
        {key: value for key, value in slide.items() if key != "mean_colour"} for slide in EXPECTED["slides"]
    ]
    words["alignments"] = [[a["id"], a["slide"], a["name"], a["data"]] for a in EXPECTED["alignments"]]
    words["settings"] = EXPECTED["settings"] | {
        "filter": EXPECTED["settings"]["filter"] | {"min_confidence": 0.0},
        "edx": None,  # its compositions are measurements now
    }
    words["classes"] = [{**known, "group": ""} for known in EXPECTED["classes"]]
    words["runs"] = [{key: value for key, value in run.items() if key != "heat"} for run in EXPECTED["runs"]]
    return words


def in_short(project: Project) -> dict[str, Any]:
    """Enough to tell whether all steps were undone, or whether an older copy is complete."""
    return {
        "classes": [[defect.code, defect.name, defect.colour, defect.position] for defect in classes_of(project)],
        "slides": {
            str(slide.id): {
                "name": slide.name,
                "boxes": rows_of(project, slide.id)["id"].tolist(),
                "marks": [mark.name for mark in marks_of(project, slide.id)],
                "attributes": sorted(attributes_of(project, slide.id)),
                "outlines": sorted(outlines_of(project, slide.id)),
            }
            for slide in slides_of(project)
        },
        "alignments": [record.name for record in alignments_of(project)],
    }


def without_doubles(words: dict[str, Any]) -> dict[str, Any]:
    """The same without the findings of the electrode, where several runs had found the same, and what lists them."""
    slides = [dict(slide) for slide in words["slides"]]
    for slide in slides:
        if slide["id"] == ELECTRODE:
            del slide["boxes"], slide["shown"]
    history = [line[:9] for line in words["history"] if not line[3].startswith(("Join ", "Left as they are"))]
    return {**words, "slides": slides, "history": history}


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Part by part, so that what differs is named."""
    assert sorted(found) == sorted(expected)
    for part in expected:
        assert found[part] == expected[part], part


# -- the tests -------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The project with its slides, in another folder than where they were made."""
    place = tmp_path / "elsewhere"
    with zipfile.ZipFile(HERE / "version_0_1.zip") as archive:
        archive.extractall(place)
    return place


@pytest.fixture
def old(folder: Path) -> Iterator[Project]:
    """The project, open for writing."""
    with opened(folder) as project:
        yield project


def test_everything_is_there(old: Project) -> None:
    found, expected = in_words(old), expected_in_words()
    (killed,) = [run for run in found["runs"] if run["id"] == KILLED]
    assert RUNS[KILLED]["state"] == "running" and killed["state"] == "stopped" and killed["finished"]
    killed |= {
        "state": "running",
        "finished": None,
    }  # it could not be stored when it was killed; opening the project does
    assert_same(without_doubles(found), without_doubles(expected))


def test_what_several_runs_had_found_is_one_finding_and_no_judgement_is_lost(old: Project) -> None:
    before = {box[0]: box for box in SLIDES[ELECTRODE]["boxes"]}
    now = {int(row["id"]): box_in_words(old, row, codes_of(old)) for row in rows_of(old, ELECTRODE)}
    said = {number: old.opinions.of_run(number) for number in RUNS if RUNS[number]["slide"] == ELECTRODE}
    assert now.keys() < before.keys()
    for number, box in before.items():
        if (
            box[8] == 0 or box[7] != "unreviewed"
        ):  # a user's: class, box, state, reason, note and choice are as they were
            assert [now[number][n] for n in (1, 2, 3, 4, 5, 7, 9, 10, 11)] == [
                box[n] for n in (1, 2, 3, 4, 5, 7, 9, 10, 11)
            ]
    for run_id, opinions in said.items():
        mine = [box for box in before.values() if box[8] == run_id]
        assert len(opinions) == len(mine), run_id
        models = {tuple(box[1:7]) for box in mine}
        for o in opinions:
            corners = (round(float(o[side]), 3) for side in ("y0", "x0", "y1", "x1"))
            if (codes_of(old)[o["class_id"]], *corners, round(float(o["confidence"]), 4)) not in models:
                row = rows_of(old, ELECTRODE)[rows_of(old, ELECTRODE)["id"] == o["finding_id"]]
                assert row["flags"][0] & (FindingFlag.CLASS | FindingFlag.BOX)  # a user has changed it since
    joined = [entry for entry in history_of(old) if entry.title.startswith("Join ")]
    assert len(joined) == 1 and joined[0].kind == "made"
    assert str(len(before) - len(now)) in joined[0].title
    listed = [change for change in old.history.changes_of(joined[0]) if change.kind == "removed"]
    assert {int(change.item.split()[-1]) for change in listed} == before.keys() - now.keys()
    for number in before.keys() - now.keys():  # each lies on one that is left
        assert any(fits(before[number], box) for box in before.values() if box[0] in now and box[8] < before[number][8])


def codes_of(project: Project) -> dict[int, str]:
    return {defect.id: defect.code for defect in classes_of(project)}


def fits(one: list[Any], other: list[Any]) -> bool:
    """Whether two boxes are of one place: overlap 0.5, or one class and most of the smaller box in the larger one."""
    (a0, b0, a1, b1), (c0, d0, c1, d1) = one[2:6], other[2:6]
    common = max(0.0, min(a1, c1) - max(a0, c0)) * max(0.0, min(b1, d1) - max(b0, d0))
    first, second = (a1 - a0) * (b1 - b0), (c1 - c0) * (d1 - d0)
    return common / (first + second - common) >= 0.5 or (one[1] == other[1] and common / min(first, second) >= 0.8)


def test_nothing_needs_repair_but_the_slide_that_is_gone(old: Project) -> None:
    assert old.read_only is False
    (said,) = old.check()
    assert "S1 lost" in said


def test_what_counted_counts_and_runs_know_their_classes(old: Project) -> None:
    assert old.inclusion.current == Inclusion(0.25, frozenset({3}))
    assert old.filters.current.min_confidence == 0.0 and old.areas.of(ELECTRODE) == []
    codes = {defect.id: defect.code for defect in classes_of(old)}
    for run in runs_of(old):
        found = {label: codes[number] for label, number in old.runs.classes_of(run.id).items()}
        assert found == dict(enumerate(RUNS[run.id]["card"]["classes"]))


def test_slides_are_found_beside_the_project_with_their_pixels(old: Project, folder: Path) -> None:
    for slide in slides_of(old):
        expected = SLIDES[slide.id]
        if expected["missing"]:
            continue
        assert slide.path.is_relative_to(folder)
        colours, fingerprint = colours_of(slide)
        assert colours == pytest.approx(expected["mean_colour"], abs=0.5)
        # pixels of a JPEG may differ by a little from decoder to decoder
        assert slide.id == ELECTRODE or fingerprint == expected["fingerprint"]


def test_alignments_lead_to_the_same_places(old: Project) -> None:
    for record, expected in zip(alignments_of(old), EXPECTED["alignments"], strict=True):
        found = Registration.from_dict(record.data).to_stage(np.array([[100.0, 200.0]]))
        assert found[0] == pytest.approx(expected["stage_mm_of_100_200"], abs=1e-5)


def test_maps_of_scores_are_read(old: Project) -> None:
    assert any(run["heat"] for run in RUNS.values())
    for run in runs_of(old):
        heat, expected = HeatMap.open(run.folder), RUNS[run.id]["heat"]
        assert (heat is None) == (expected is None)
        if heat is not None and expected is not None:
            scores = heat.read()
            assert list(heat.card.classes) == expected["classes"]
            assert list(scores.shape) == expected["shape"] and list(heat.card.cell_px) == expected["cell_px"]
            assert np.isfinite(scores).sum() == expected["looked_at"]
            assert np.nanmean(scores) == pytest.approx(expected["mean"], abs=1e-3)
            assert np.nanmax(scores) == pytest.approx(expected["highest"], abs=1e-3)


def test_the_example_of_a_class_is_in_the_folder(old: Project) -> None:
    (crack,) = [defect for defect in classes_of(old) if defect.example_picture]
    assert (old.path / crack.example_picture).read_bytes().startswith(b"\x89PNG")
    assert crack.example_box in rows_of(old, ELECTRODE)["id"]


def test_one_step_is_undone_and_redone(old: Project) -> None:
    before = in_words(old)
    assert old.history.undo() is not None
    assert old.history.redo_title == before["undo"] and in_words(old)["slides"] != before["slides"]
    assert old.history.redo() is not None
    assert_same(in_words(old), before)


def test_what_was_undone_can_still_be_redone(old: Project) -> None:
    left = [entry for entry in reversed(EXPECTED["history"]) if entry[4] == "command" and entry[5]]
    first = rows_of(old, ELECTRODE)["id"][0]
    assert [old.history.redo().title for _ in left] == [entry[3] for entry in left]
    assert not old.history.can_redo
    assert first not in rows_of(old, ELECTRODE)["id"]
    assert [mark.name for mark in marks_of(old, ELECTRODE)] == [m[1] for m in SLIDES[ELECTRODE]["marks"]] + ["M5"]


def test_every_step_is_undone_and_redone(old: Project) -> None:
    before, before_ids = in_words(old), rows_of(old, ELECTRODE)["id"].tolist()
    steps = 0
    while old.history.can_undo:
        old.history.undo()
        steps += 1
    found, expected = {"steps": steps, **in_short(old)}, EXPECTED["everything_undone"]
    boxes = set(found["slides"]["1"].pop("boxes"))
    joined = {box[0] for box in SLIDES[ELECTRODE]["boxes"]} - set(before_ids)
    assert boxes == set(expected["slides"]["1"]["boxes"]) - joined
    expected = copy.deepcopy(expected)
    del expected["slides"]["1"]["boxes"]
    assert_same(found, expected)
    for _ in range(steps):
        old.history.redo()
    assert_same(in_words(old), before)


def test_work_continues_and_is_kept(old: Project, folder: Path) -> None:
    given = max(box[0] for slide in EXPECTED["slides"] for box in slide["boxes"])
    with old:
        old.filters.use("Sure")
        row = make_rows(1, class_id=classes_of(old)[0].id, y0=5.0, x0=6.0, y1=15.0, x1=26.0)
        (number,) = old.boxes.add(ELECTRODE, row).tolist()
        assert number > given  # an id is never used twice
        old.boxes.edit([1], note="seen again")
        before = in_words(old)
    with opened(folder) as again:
        assert_same(in_words(again), before)
        assert again.history.redo_title == "" and number in rows_of(again, ELECTRODE)["id"]


@pytest.mark.parametrize("run_id", [STOPPED, KILLED])
def test_an_interrupted_detection_is_continued_to_its_end(old: Project, run_id: int) -> None:
    before = findings_of(old, run_id)
    result = run_job(resume(old, run_id))
    assert result.state == "finished" and result.tiles == RUNS[WHOLE]["status"]["tiles_total"]
    after = findings_of(old, run_id)
    assert after[: len(before)].tolist() == before.tolist()
    # in the end it found what the undisturbed run did; the weak ones depend on the last digits of a processor
    undisturbed = [box for box in SLIDES[ELECTRODE]["boxes"] if box[8] == WHOLE and box[6] is not None and box[6] > 0.5]
    assert len(undisturbed) >= 5
    corners = np.stack([after[side] for side in ("y0", "x0", "y1", "x1")], axis=1)
    for box in undisturbed:
        assert (np.abs(corners - box[2:6]).max(axis=1) < 3).any(), box
    assert len(after) == pytest.approx(RUNS[WHOLE]["found"], abs=3)


def findings_of(project: Project, run_id: int) -> np.ndarray:
    """Copy of the boxes that a run found."""
    opinions = project.opinions.of_run(run_id)
    return opinions[np.argsort(opinions["id"])]


def test_a_damaged_database_is_replaced_by_the_copy_that_version_0_1_made(folder: Path) -> None:
    database = folder / "cell S1.mqc" / "project.sqlite"
    database.write_bytes(b"damaged" * 1000)
    assert restore_when_damaged(folder / "cell S1.mqc")
    with opened(folder) as project:
        assert_same(in_short(project), EXPECTED["oldest_copy"])
