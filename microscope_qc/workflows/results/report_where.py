"""What a report says of where findings lie, of the most severe ones, and of the control charts with frozen limits."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import Job
from microscope_qc.project import Project
from microscope_qc.project.parts.standards import CHART, EVENT
from microscope_qc.reports import document_where as parts
from microscope_qc.reports.document_charts import part_of
from microscope_qc.workflows.results.counted_findings import CountedFindings
from microscope_qc.workflows.results.plot_parts import PlotChoice
from microscope_qc.workflows.results.process_control import chart_named, chart_words, charted
from microscope_qc.workflows.results.where import density_map, where_found
from microscope_qc.workflows.review.severity import profile_words, severity_records

MOST_HOTSPOTS, MOST_SEVERE = 40, 40


def where_part(found: CountedFindings) -> Job[parts.Where]:
    """Hotspots of all classes, the most unlikely first, and whether findings lie in clusters."""
    known = yield from where_found(found)
    spots = sorted(known["hotspots"], key=lambda spot: spot["p_corrected"])
    clustering = known["clustering"]
    return parts.Where(
        map=part_of(drawn) if (drawn := density_map(found, PlotChoice())).series else None,
        clustering=clustering["reason"] or clustering["words"],
        hotspots=[parts.Hotspot.model_validate(spot) for spot in spots[:MOST_HOTSPOTS]],
        hotspots_of=len(spots),
    )


def severity_part(project: Project, slide_ids: Collection[int] | None) -> parts.MostSevere:
    """The most severe findings, and the profile by which they are."""
    known = [one for one in severity_records(project, slide_ids) if one["severity"] is not None]
    known.sort(key=lambda one: -one["severity"])
    return parts.MostSevere(
        profile=profile_words(project).splitlines(),
        findings=[parts.SevereFinding.model_validate(one | {"code": one["class"]}) for one in known[:MOST_SEVERE]],
        of=len(known),
    )


def chart_parts(project: Project, found: CountedFindings) -> Iterator[parts.ReportedControlChart]:
    """The control charts whose limits are frozen; one that cannot be drawn any more says why."""
    kept = [*project.standards.of(CHART), *project.standards.of(EVENT)]
    for standard in project.standards.of(CHART):
        try:
            chart, of, by = chart_named(standard.name)
            drawn = charted(found.known, by, of=of, chart=chart, kept=kept)
        except InputError as error:
            yield parts.ReportedControlChart(
                title=chart_words(standard.name), x="", charts=[], points=[], remarks=[str(error)]
            )
            continue
        yield parts.ReportedControlChart(
            title=chart_words(standard.name), x=by[0].replace("_", " "),
            points=[parts.ControlPoint.model_validate(point) for point in drawn["points"]],
            charts=[parts.ControlValues.model_validate(one) for one in drawn["charts"]],
            remarks=drawn["remarks"],
        )  # fmt: skip
