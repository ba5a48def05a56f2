"""The report, the drive sheet and other pages as single HTML files that need nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microscope_qc.core.files import atomic_write
from microscope_qc.reports.document import CONTENTS, ReportDocument, as_uri
from microscope_qc.reports.document_charts import chart_of, control_of, map_of
from microscope_qc.reports.filling import environment, fill
from microscope_qc.reports.language import Language
from microscope_qc.reports.plots import Chart, svg

if TYPE_CHECKING:
    from markupsafe import Markup


def render(template: str, **values: Any) -> str:
    """Fill one of the package's templates."""
    return fill(template, values, within=environment(data_uri=as_uri))


def write_html(path: Path | str, document: ReportDocument, *, template: Path | None = None) -> Path:
    """Write the report as one page; see :func:`report_page`."""
    atomic_write(path, report_page(document, template=template))
    return Path(path)


def report_page(document: ReportDocument, *, template: Path | None = None) -> str:
    """Fill the report's template, or that of a lab, with the fields of the document.

    A plot is drawn by ``{{ plot | chart }}``, a map by ``{{ slide.map | positions(classes) }}``, and a control chart by
    ``{{ known | control_chart }}``.

    Raises
    ------
    InputError
        When the lab's template cannot be read, or is wrong: the field is named with its line.
    """
    language, numbers = Language(document.language), count()

    def chart(plot: Mapping[str, Any]) -> Markup:
        return drawn(chart_of(plot, language), f"chart{next(numbers)}")

    def positions(known: Mapping[str, Any], classes: list[Mapping[str, Any]], only: int | None = None) -> Markup:
        return drawn(map_of(known, classes, only=only), f"map{next(numbers)}")

    def control_chart(known: Mapping[str, Any]) -> Markup:
        return drawn(control_of(known, language), f"control{next(numbers)}")

    within = environment(language, lab=template, chart=chart, positions=positions, control_chart=control_chart)
    headings = {name: language.say(heading) for name, heading in CONTENTS.items()}
    return fill("report.html.j2", fields(document) | {"headings": headings}, within=within, lab=template)


def fields(document: ReportDocument) -> dict[str, Any]:
    """What templates get of a document."""
    return document.model_dump(mode="json")


def drawn(chart: Chart | None, name: str) -> Markup:
    """A chart inside the page, "" where there is none."""
    from markupsafe import Markup

    return Markup("" if chart is None else svg(chart, name))  # noqa: S704 (text in it is escaped)
