"""Lists of what a measured model found and missed, kept with a project as filters that its gallery offers by name."""

from __future__ import annotations

from microscope_qc.core.boxes import BoxFilter
from microscope_qc.core.wording import things
from microscope_qc.ml.evaluation.outcomes import Outcome
from microscope_qc.project import Project
from microscope_qc.workflows.learning.evaluate import Evaluation
from microscope_qc.workflows.learning.which_findings import ListedPlaces, ProjectFindings, Spot

NAME = "Evaluation: {}"


def places_by_outcome(project: Project, done: Evaluation) -> dict[Outcome, ListedPlaces]:
    """Findings of a project that are right, missed and so on, by an evaluation on it.

    These are the true ones, and where a model found what is not true, what the project has there, such as a rejected
    finding, or a place without any.
    """
    findings = ProjectFindings(project)
    numbers: dict[Outcome, list[int]] = {outcome: [] for outcome in Outcome}
    spots: list[Spot] = []
    for image, of_image in zip(done.images, done.report.outcomes, strict=True):
        slide = findings.slide(image)
        if slide is None:
            continue
        true = findings.true(image, of_image.truth).tolist()
        for number, outcome in zip(true, of_image.truth_outcomes, strict=True):
            if number:
                numbers[outcome].append(number)
        false = [place for place, outcome in enumerate(of_image.outcomes) if outcome is Outcome.FALSE]
        there = findings.at(image, of_image.boxes[false])
        numbers[Outcome.FALSE] += there[there > 0].tolist()
        for place in (place for place, number in zip(false, there, strict=True) if not number):
            y0, x0, y1, x1 = of_image.boxes[place].tolist()
            code = done.card.classes[int(of_image.labels[place])]
            spots.append(Spot(slide, (y0, x0, y1, x1), code, float(of_image.confidence[place])))
    return {
        outcome: ListedPlaces.of(found, spots if outcome is Outcome.FALSE else ()) for outcome, found in numbers.items()
    }


def keep_lists(project: Project, done: Evaluation) -> list[str]:
    """Keep "Evaluation: missed" and so on as filters of a project; those of an earlier evaluation are replaced.

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
    said = []
    found = places_by_outcome(project, done)
    for outcome, places in found.items():
        name = NAME.format(outcome)
        if places.numbers:
            project.filters.save(name, BoxFilter(numbers=frozenset(places.numbers)))
            said.append(f"“{name}”: {things(len(places.numbers), 'finding')}.")
        elif name in project.filters.saved:
            project.filters.delete(name)
    nowhere = len(found[Outcome.FALSE].spots)
    if nowhere:
        said.append(f"{things(nowhere, 'false finding')} of the model where the project has no finding: in no list.")
    return said
