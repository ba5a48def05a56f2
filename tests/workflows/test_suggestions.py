"""What is learned from the labels of a project: suggested, judged, kept, and how good it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from disc_toys import DISCS, Discs, write_discs

from microscope_qc.core.boxes import ReviewState, coordinates, make_rows
from microscope_qc.core.errors import InputError, ModelError
from microscope_qc.core.jobs import run_job
from microscope_qc.core.matching import match_by_overlap
from microscope_qc.project import Project
from microscope_qc.project.runs.journal import write_status
from microscope_qc.project.scenes import read_facts
from microscope_qc.project.suggestions import SuggestionSet, read_how_good, read_suggestions, write_suggestions
from microscope_qc.workflows.exchange.export import export_boxes
from microscope_qc.workflows.results.statistics import project_statistics
from microscope_qc.workflows.suggestions import keeping
from microscope_qc.workflows.suggestions.alike import alike_in, find_alike, same_for
from microscope_qc.workflows.suggestions.asked import suggest_as_asked
from microscope_qc.workflows.suggestions.checking import HowGood, Recovered, check_project
from microscope_qc.workflows.suggestions.embedding import embed_project
from microscope_qc.workflows.suggestions.foretold import Foretold, foretold_by_rounds, replace_suggestions
from microscope_qc.workflows.suggestions.judging import accept, open_suggestions, reject
from microscope_qc.workflows.suggestions.keeping import finish_half_kept, keep, keep_as_detection
from microscope_qc.workflows.suggestions.labels import digest_of, known_slides
from microscope_qc.workflows.suggestions.round import suggest
from microscope_qc.workflows.suggestions.similar import looks_of_findings
from microscope_qc.workflows.suggestions.so_far import judged_words, wanted_words

LABELS = 14


@pytest.fixture
def drawn(tmp_path: Path) -> Discs:
    return write_discs(tmp_path / "S.png")


@pytest.fixture
def project(tmp_path: Path, drawn: Discs, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Half of the discs are drawn, and some squares."""
    monkeypatch.setenv("MICROSCOPE_QC_CACHE", str(tmp_path / "cache"))
    with Project.create(tmp_path / "p.mqc", slides=[tmp_path / "S.png"]) as made:
        label(made, drawn, LABELS)
        yield made


def label(project: Project, drawn: Discs, count: int) -> None:
    """Draw so many discs, and some squares."""
    first, second = (defect.id for defect in list(project.classes)[:2])
    boxes = np.concatenate([drawn.boxes[drawn.round][:count], drawn.boxes[~drawn.round][: count // 3]])
    y0, x0, y1, x1 = boxes.T
    classes = [first] * count + [second] * (count // 3)
    project.boxes.add(1, make_rows(len(boxes), class_id=classes, y0=y0, x0=x0, y1=y1, x1=x1))


def two(project: Project) -> SuggestionSet:
    """Suggestions of two places where nothing is."""
    first, second = (defect.id for defect in list(project.classes)[:2])
    boxes = np.array([[2.0, 2, 12, 14], [2, 30, 12, 40]])
    return SuggestionSet(boxes, np.array([0.9, 0.6]), np.array([first, second]), np.array([0.8, 0.7]), "r", "now", 9)


def test_a_round_suggests_what_looks_like_the_labels(project: Project, drawn: Discs) -> None:
    with pytest.raises(ModelError, match="No slide has features"):
        run_job(suggest(project))
    run_job(embed_project(project))
    steps = []
    job = suggest(project)
    while True:
        try:
            steps.append(next(job))
        except StopIteration as stop:
            done = stop.value
            break
    assert [step.fraction for step in steps] == sorted(step.fraction for step in steps)
    assert (done.labels, done.without) == (LABELS + LABELS // 3, [])
    slide = project.slides[0]
    found = read_suggestions(project.path, slide)
    assert found is not None and len(found) == done.slides[0].count > 0
    sure = found.only(found.scores > 0.3)
    left = drawn.boxes[drawn.round][LABELS:]
    mine, theirs = match_by_overlap(sure.boxes, left, iou=0.4)
    assert len(theirs) > 0.6 * len(left)
    assert (sure.class_ids[mine] == project.classes[0].id).mean() > 0.8
    known = coordinates(project.boxes.rows(slide.id))
    assert not len(match_by_overlap(found.boxes, known, iou=0.3)[0]), "findings are not suggested"
    numbers = project_statistics(project)
    assert numbers["total"]["kept"] == len(known), "suggestions are not counted"
    run_job(export_boxes(project, project.path.parent / "out.json", "coco"))
    assert (project.path.parent / "out.json").read_text().count('"bbox"') == len(known)


def test_a_judged_one_is_a_finding_and_undo_takes_it_back(project: Project) -> None:
    slide = project.slides[0]
    assert open_suggestions(project, slide) is None
    write_suggestions(project.path, slide, two(project))
    before = len(project.boxes.rows(slide.id))
    yes = accept(project, slide.id, two(project).only([0]))
    no = reject(project, slide.id, two(project).only([1]))
    rows = project.boxes.table(slide.id).get(np.concatenate([yes, no]))
    assert rows["state"].tolist() == [ReviewState.CONFIRMED, ReviewState.REJECTED]
    assert rows["class_id"].tolist() == two(project).class_ids.tolist() and rows["reason"][1] == "false positive"
    assert len(open_suggestions(project, slide) or ()) == 0
    (known,) = known_slides(project)
    assert known.lesson.rejected.tolist() == [two(project).boxes[1].tolist()], "it is learned from as background"
    assert len(known.lesson.boxes) == before + 1
    assert run_job(check_project(project)).confirmed == 1

    project.history.undo()
    project.history.undo()
    assert len(project.boxes.rows(slide.id)) == before
    assert len(open_suggestions(project, slide) or ()) == 2
    other = project.classes[2].id
    ids = accept(project, slide.id, two(project), class_id=other)
    assert (project.boxes.table(slide.id).get(ids)["class_id"] == other).all()
    with pytest.raises(InputError, match="No suggestion"):
        accept(project, slide.id, two(project).only([]))


def test_kept_ones_are_the_findings_of_a_run(project: Project) -> None:
    slide = project.slides[0]
    with pytest.raises(InputError, match="Nothing is suggested"):
        keep_as_detection(project, slide.id)
    write_suggestions(project.path, slide, two(project))
    run = keep_as_detection(project, slide.id)
    assert (run.state, run.found, run.title) == ("finished", 2, "Learned from labels (9)")
    ids = project.opinions.of_run(run.id)["finding_id"]
    rows = project.boxes.table(slide.id).get(ids)
    order = np.argsort(-rows["confidence"])
    assert np.allclose(coordinates(rows)[order], two(project).boxes)
    assert rows["class_id"][order].tolist() == two(project).class_ids.tolist()
    assert rows["confidence"][order] == pytest.approx([0.9, 0.6])
    assert len(open_suggestions(project, slide) or ()) == 0
    project.runs.delete(run.id)
    assert len(open_suggestions(project, slide) or ()) == 2


def test_suggestions_of_a_class_that_is_gone_are_not_shown(project: Project) -> None:
    slide = project.slides[0]
    write_suggestions(project.path, slide, two(project))
    project.classes.delete(project.classes[1].id, move_to=project.classes[0].id)
    assert len(open_suggestions(project, slide) or ()) == 1


def test_how_good_it_is_is_said_in_words(project: Project, drawn: Discs) -> None:
    run_job(embed_project(project))
    good = run_job(check_project(project))
    codes = {defect.id: defect.code for defect in project.classes}
    assert good.recovered.of == good.labels == LABELS + LABELS // 3
    assert good.recovered.found > 0.5 * good.labels and good.recovered.right_class > 0.7 * good.recovered.found
    again, foreseen, judged, by_class = good.sentences(codes)[:4]
    assert foreseen == "0 defects labelled since the first round: too few to say what it foresees."
    assert again.startswith(f"Of {good.labels} labels left out in turn it found {good.recovered.found} again (")
    assert " of " in by_class and by_class.startswith("By class: ")
    assert judged == "0 suggestions judged: too few to say how many are right."
    document = good.document(codes)
    low, high = document["recall"]["interval"]
    assert 0 < low < document["recall"]["value"] <= high <= 1 and document["precision"] is None


def test_each_judgement_is_scored_against_the_round_before_it(project: Project) -> None:
    slide = project.slides[0]

    def next_round() -> Foretold:
        replace_suggestions(project, known_slides(project)[0], two(project))
        return foretold_by_rounds(project, known_slides(project))

    assert next_round() == Foretold(), "nothing was suggested before the labels were drawn"
    accept(project, slide.id, two(project).only([0]))
    reject(project, slide.id, two(project).only([1]))
    project.boxes.add(slide.id, make_rows(1, class_id=project.classes[0].id, y0=20, x0=2, y1=30, x1=12))
    assert next_round() == next_round() == Foretold(defects=2, found=1, wrong=1)
    project.history.undo()
    assert next_round() == Foretold(defects=1, found=1, wrong=1), "what was taken back does not count"
    faint = replace(two(project), scores=np.array([0.2, 0.1]))
    for boxes in ([40, 40, 50, 50], [40, 60, 50, 70]):
        write_suggestions(project.path, slide, replace(faint, boxes=np.array([boxes, boxes], float)))
        y0, x0, y1, x1 = boxes
        project.boxes.add(slide.id, make_rows(1, class_id=project.classes[0].id, y0=y0, x0=x0, y1=y1, x1=x1))
        next_round()
    known = known_slides(project)
    assert foretold_by_rounds(project, known) == Foretold(defects=3, found=1, wrong=1), "it was not sure of them"
    assert foretold_by_rounds(project, known, last=2) == Foretold(defects=2, found=0, wrong=0)
    good = HowGood(20, Recovered(), 2, 1, foretold=Foretold(defects=10, found=7, wrong=1))
    assert good.sentences({})[1].startswith(
        "Of the last 10 defects that were labelled the round before had suggested 7 (70"
    )
    assert good.document({})["foretold"]["recall"]["value"] == pytest.approx(0.7)
    (project.path / "suggestions" / "foretold.json").write_text("{")
    assert foretold_by_rounds(project, known) == Foretold()


def test_of_few_labels_nothing_is_said(tmp_path: Path, drawn: Discs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICROSCOPE_QC_CACHE", str(tmp_path / "cache"))
    with Project.create(tmp_path / "few.mqc", slides=[tmp_path / "S.png"]) as project:
        label(project, drawn, 3)
        good = run_job(check_project(project))
    assert good.sentences({})[0] == "Learned from 4 labels: too few to say how good it is."
    assert good.document({})["recall"] is None


def test_what_is_asked_of_the_child_brings_everything_up_to_date(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_job(suggest_as_asked(project.path, first=1))
    slide = project.slides[0]
    found = read_suggestions(project.path, slide)
    assert found is not None and found.round == digest_of(known_slides(project))
    assert read_how_good(project.path)[0][0].startswith(f"Of {found.labels} labels")
    again = list(suggest_as_asked(project.path, first=1))
    assert len(again) == 1, "nothing was judged since"
    accept(project, slide.id, two(project).only([0]))
    job = suggest_as_asked(project.path, first=1)
    next(step for step in job if step.note.startswith("learning from"))
    job.close()
    assert read_suggestions(project.path, slide).round == found.round, "a round that is stopped changes nothing"
    run_job(suggest_as_asked(project.path))
    now = read_suggestions(project.path, slide)
    assert now is not None and now.round != found.round and now.labels == found.labels + 1


def test_without_labels_only_the_features_are_made_ready(tmp_path: Path, drawn: Discs, monkeypatch) -> None:
    monkeypatch.setenv("MICROSCOPE_QC_CACHE", str(tmp_path / "cache"))
    with Project.create(tmp_path / "new.mqc", slides=[tmp_path / "S.png"]) as project:
        run_job(suggest_as_asked(project.path, first=1))
        assert read_suggestions(project.path, project.slides[0]) is None
        assert known_slides(project)[0].store.complete


def test_labels_of_a_slide_that_was_not_read_yet_wait_for_it(
    project: Project, tmp_path: Path, drawn: Discs, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_discs(tmp_path / "T.png", seed=5)
    project.slides.add_many([read_facts(tmp_path / "T.png")])
    run_job(suggest_as_asked(project.path, first=2))
    assert read_suggestions(project.path, project.slides[1]) is None, "there is nothing to learn from yet"
    run_job(suggest_as_asked(project.path, first=1))
    assert read_suggestions(project.path, project.slides[1]) is not None


def test_findings_that_look_alike(project: Project, drawn: Discs) -> None:
    with pytest.raises(InputError, match="not known how the finding"):
        run_job(looks_of_findings(project)).like(1)
    assert run_job(looks_of_findings(project)).without == ("S",)
    run_job(embed_project(project))
    looks = run_job(looks_of_findings(project))
    alike = looks.like(1, count=5)
    assert len(alike) == 5 and 1 not in [one.finding_id for one in alike]
    assert all(one.finding_id <= LABELS for one in alike), "discs look like discs"
    assert [one.alike for one in alike] == sorted((one.alike for one in alike), reverse=True)


def test_what_was_kept_by_halves_is_kept_wholly_and_what_was_only_begun_is_not(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "PIECE", 1)
    slide = project.slides[0]
    found = two(project)
    write_suggestions(project.path, slide, found)
    before = len(project.boxes.rows(slide.id))
    cancelled = keep(project, slide, found)
    next(cancelled)
    assert len(list(project.runs)) == 1
    cancelled.close()
    assert list(project.runs) == [] and len(project.boxes.rows(slide.id)) == before

    killed = keep(project, slide, found)
    while not next(killed).done:
        pass
    run = next(iter(project.runs))
    assert (run.state, run.found) == ("running", 1)
    kept = keep_as_detection(project, slide.id)
    assert [one.id for one in project.runs] == [kept.id] == [run.id] and (kept.state, kept.found) == ("finished", 2)
    assert len(project.boxes.rows(slide.id)) == before + 2
    killed.close()

    begun = keep(project, slide, found)
    next(begun)
    write_status(next(iter(project.runs)).folder, {"state": "running"})
    assert run_job(finish_half_kept(project)) == [] and list(project.runs) == []
    with pytest.raises(InputError, match="no run"):
        begun.close()


def test_how_the_last_judged_did_is_said_as_it_is_now(project: Project) -> None:
    assert judged_words(project) == ""
    slide = project.slides[0]
    boxes = np.array([[4.0 + 20 * number, 600, 16 + 20 * number, 612] for number in range(24)])
    count = len(boxes)
    found = SuggestionSet(boxes, np.ones(count), np.full(count, project.classes[0].id), np.ones(count), "r", "now", 9)
    reject(project, slide.id, found.only(np.arange(4)))
    assert judged_words(project) == "Of the last 4 you judged 0 were right: too few to say how good it is."
    accept(project, slide.id, found.only(np.arange(4, 19)))
    reject(project, slide.id, found.only(np.arange(19, 24)))
    assert judged_words(project) == "Of the last 20 you judged 15 were right (75 %, 53–89 %)."
    project.history.undo()
    assert judged_words(project).startswith("Of the last 19 you judged 15 were right (79 %")


def test_what_would_help_is_named_by_class() -> None:
    codes = {1: "ACP", 2: "AOP", 3: "CRK"}
    assert wanted_words({1: 20, 2: 5, 3: 7}, codes) == "What would help: 1 more of CRK and 3 more of AOP."
    assert wanted_words({1: 20}, codes) == wanted_words({}, codes) == ""
    assert wanted_words({1: 1, 2: 1, 3: 1, 9: 2}, codes | {9: "X"}).endswith(", and of 1 further class.")


def test_what_looks_alike_is_judged_in_one_step(project: Project, drawn: Discs) -> None:
    disc, square = (defect.id for defect in list(project.classes)[:2])
    left = np.concatenate([drawn.boxes[drawn.round][LABELS:], drawn.boxes[~drawn.round][LABELS // 3 :]])
    y0, x0, y1, x1 = left.T
    new = project.boxes.add(1, make_rows(len(left), class_id=square, y0=y0, x0=x0, y1=y1, x1=x1, confidence=0.5))
    few = 5
    with pytest.raises(InputError, match="has not been read for that"):
        run_job(alike_in(project, 1))
    run_job(embed_project(project))
    project.boxes.edit([1], state=ReviewState.CONFIRMED)
    found = run_job(find_alike(project.path, 1, slide_ids=[1]))
    assert sorted(found.ids.tolist()) == sorted(np.asarray(new).tolist()), "only what nobody has judged"
    is_disc = np.isin(found.ids, np.asarray(new)[: DISCS - LABELS])
    assert found.alike[is_disc].mean() > found.alike[~is_disc].mean() and is_disc[:few].sum() >= few - 1
    assert found.least(1.1).tolist() == [] and (np.diff(found.alike) <= 0).all()
    with pytest.raises(InputError, match="Nothing looks like it"):
        same_for(project, 1, found.least(1.1))
    before = len(project.history.entries())
    same_for(project, 1, found.ids[:few])
    rows = project.boxes.table(1).get(found.ids[:few])
    assert (rows["class_id"] == disc).all() and (rows["state"] == ReviewState.CONFIRMED).all()
    assert len(project.history.entries()) == before + 1
    assert project.history.undo_title == f"Confirm {few} findings as {project.classes[0].code}, like #1"
    assert len(run_job(alike_in(project, 1, most=3)).ids) == 3
