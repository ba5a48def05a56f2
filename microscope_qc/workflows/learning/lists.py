"""Lists of what a measured model found and missed, kept with a project as filters that its gallery offers by name."""

from __future__ import annotations

from microscope_qc.core.boxes import BoxFilter, coordinates
from microscope_qc.core.matching import match_by_overlap
from microscope_qc.core.wording import things
from microscope_qc.ml.evaluation.outcomes import Outcome
from microscope_qc.project import Project
from microscope_qc.workflows.learning.evaluate import Evaluation
from microscope_qc.workflows.learning.project_parts import kept_parts, slide_places

NAME = "Evaluation: {}"
MOST_LISTED = 1000
"""More findings are not named one by one in a filter."""
_HALF = 0.5


def keep_lists(project: Project, done: Evaluation) -> list[str]:
    """Keep "Evaluation: missed" and so on as filters of a project; those of an earlier evaluation are replaced.

    What a model found where nothing is true is listed where a finding of the project is there, such as a rejected one.

    Parameters
    ----------
    project
        Open for writing.
    done
        An evaluation on this project.

    Returns
    -------
    list of str
        Sentences for the user: what is in each list, and what could not be listed.
    """
    numbers: dict[Outcome, set[int]] = {outcome: set() for outcome in Outcome}
    nowhere = 0
    kept = kept_parts(project)
    slides = {kept.key(slide): slide for slide in slide_places(project)}
    for image, of_image in zip(done.images, done.report.outcomes, strict=True):
        slide = slides.get(image.place)
        if slide is None:
            continue
        known = {tuple(box): number for box, number in zip(slide.image.boxes, slide.boxes.tolist(), strict=True)}
        for box, outcome in zip(of_image.truth, of_image.truth_outcomes, strict=True):
            if tuple(box) in known:
                numbers[outcome].add(known[tuple(box)])
        false = of_image.boxes[[outcome is Outcome.FALSE for outcome in of_image.outcomes]]
        rows = project.boxes.rows(slide.number, every=True)
        mine, there = match_by_overlap(false, coordinates(rows), iou=_HALF)
        numbers[Outcome.FALSE].update(rows["id"][there].tolist())
        nowhere += len(false) - len(mine)
    said = []
    for outcome, found in numbers.items():
        name = NAME.format(outcome)
        if found:
            listed = sorted(found)[:MOST_LISTED]
            project.filters.save(name, BoxFilter(text="number=" + ",".join(map(str, listed))))
            of = f" of {things(len(found), 'finding')}" if len(found) > len(listed) else ""
            said.append(f"“{name}”: {things(len(listed), 'finding')}{of}.")
        elif name in project.filters.saved:
            project.filters.delete(name)
    if nowhere:
        said.append(f"{things(nowhere, 'false finding')} of the model where the project has no finding: in no list.")
    return said
