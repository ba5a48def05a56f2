"""The report and the drive sheet as single HTML files that need nothing else."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microscope_qc.core.files import atomic_write
from microscope_qc.core.wording import count_text, percent_text
from microscope_qc.reports.content import ReportContent
from microscope_qc.reports.plots import Chart, position_map, size_chart, svg

if TYPE_CHECKING:
    from markupsafe import Markup


def render(template: str, **values: Any) -> str:
    """Fill one of the package's templates; everything that is not marked as safe is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = Path(__file__).parent / "templates"
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = data_uri
    environment.filters["thin"] = count_text
    environment.filters["percent"] = percent_text
    page: str = environment.get_template(template).render(**values)
    return page


def data_uri(jpeg: bytes) -> str:
    """JPEG as an address that holds the picture itself."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def write_html(path: Path | str, content: ReportContent) -> Path:
    """Write the report."""
    maps = []
    for number, slide in enumerate(content.detailed):
        occurring = [i for i in range(len(content.classes)) if (slide.points[:, 2] == i).any()]
        maps.append(
            {
                "slide": slide,
                "whole": drawn(position_map(slide, content.classes), f"map{number}"),
                "single": [
                    {
                        "cls": content.classes[i],
                        "count": int((slide.points[:, 2] == i).sum()),
                        "svg": drawn(position_map(slide, content.classes, only=i), f"map{number}-{i}"),
                    }
                    for i in occurring
                ],
            }
        )
    chart = drawn(size_chart(content.slides, content.classes), "sizes")
    atomic_write(path, render("report.html.j2", content=content, maps=maps, chart=chart))
    return Path(path)


def drawn(chart: Chart | None, name: str) -> Markup:
    """A chart inside the page, "" where there is none."""
    from markupsafe import Markup

    return Markup("" if chart is None else svg(chart, name))  # noqa: S704 (text in it is escaped)
