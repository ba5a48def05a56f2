"""The plot of a control chart, with the findings behind its points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from microscope_qc.analysis.control_charts import RULE_SETS, TITLES
from microscope_qc.core.arrays import Ints
from microscope_qc.core.errors import InputError
from microscope_qc.reports.control import control_plot
from microscope_qc.reports.plot_values import Plot, Shape
from microscope_qc.workflows.results.counted_findings import CountedFindings
from microscope_qc.workflows.results.grouping import group_words, members_of
from microscope_qc.workflows.results.plot_parts import PlotChoice, numbers_of, slides_searched, wanted_classes
from microscope_qc.workflows.results.process_control import QUALITY_INDEX, chart_records, charted

CONTROL, ALL = "control", "all"


def control(found: CountedFindings, choice: PlotChoice) -> Plot:
    """A control chart of the density after the review, or of the quality index, over groups of slides."""
    of = ALL if choice.chart == QUALITY_INDEX else choice.of or ALL
    wanted = wanted_classes(found, "" if of == ALL else of)
    title = f"{TITLES.get(choice.chart, choice.chart)} of {_what(choice.chart, wanted.words)}"
    try:
        made = charted(
            found.known, [choice.by], of=of, chart=choice.chart, rules=choice.rules, phase_1=choice.phase_1 or None,
            kept=found.kept,
        )  # fmt: skip
    except InputError as error:
        return Plot(CONTROL, title, Shape.CONTROL, why_not=str(error))
    index = choice.chart == QUALITY_INDEX
    slides = {id(one.slide): one for one in (found.slides if index else slides_searched(found, found.slides, wanted))}
    ids: dict[str, Ints] = {}
    for values, mine in members_of(found.known, made["by"]):
        theirs = [slides[id(one)] for one in mine if id(one) in slides]
        ids[group_words(values)] = numbers_of(
            theirs, lambda one: wanted.of(one) if index else wanted.of(one) & one.inside(wanted.key)
        )
    findings = [ids[point["group"]] for point in made["points"]]
    x = made["by"][0].replace("_", " ")
    return control_plot(
        made, title=title, x=x, findings=findings, notes=list(_notes(made)), table=list(chart_records(made))
    )


def _what(chart: str, words: str) -> str:
    return "anomalous area" if chart == QUALITY_INDEX else words


def _notes(made: Mapping[str, Any]) -> Iterator[str]:
    rules = made["rules"]
    title = RULE_SETS[rules["name"]].title
    yield f"{title}: a false alarm every {rules['run_length']} points while nothing changes."
    yield from (f"{remark[:1].upper()}{remark[1:]}." for remark in made["remarks"])
