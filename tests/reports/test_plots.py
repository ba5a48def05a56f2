"""Charts: the right bars and dots, any text in them, the same bytes each time, several in one page."""

from __future__ import annotations

import io
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from microscope_qc.core.errors import InputError
from microscope_qc.reports.crops import jpeg
from microscope_qc.reports.document import ClassKey
from microscope_qc.reports.marked import drawn
from microscope_qc.reports.plot_values import Plot, PlotMark, Series, Shape
from microscope_qc.reports.plots import Chart, PlacesOnSlide, log_edges, plain, position_map, save, size_ticks, svg

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = (
    "<b>&amp;",
    "$x^{2$",
    "_hidden",
    "a\"b'c",
    "クラック",
    "\x00\x1b\ud800ok",
    "שבר",
    'id="figure_1" url(#x)',
    "\\frac{",
    "",
)


def content(
    sizes: np.ndarray, numbers: np.ndarray, *, thumbnail: bool = False, extent: tuple[float, float] = (400.0, 600.0)
) -> PlacesOnSlide:
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 1, (len(sizes), 2)) * np.array([extent[1], extent[0]])
    picture = jpeg(np.full((40, 60, 3), (200, 30, 30), np.uint8)) if thumbnail else b""
    return PlacesOnSlide(extent, "um", np.column_stack([places, numbers]), picture)


def classes(*codes: str) -> list[ClassKey]:
    colours = ["#e69f00", "#0072b2", "#009e73"]
    return [ClassKey(code=code, name=f"name of {code}", colour=colours[i % 3]) for i, code in enumerate(codes)]


def some(count: int, kinds: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return np.exp(rng.normal(3, 0.8, count)), rng.integers(0, kinds, count)


def bars(kinds: list[ClassKey]) -> Chart:
    series = [
        Series(f"{one.code}  {one.name}", one.colour, [PlotMark("1 to 2", 0, 3.0, tip=f"{one.code}: 3")])
        for one in kinds
    ]
    return drawn(Plot("sizes", "Sizes", Shape.BINS, "um", "findings", series, edges=np.array([1.0, 2.0])))


def texts(page: str) -> list[str]:
    return [e.text or "" for e in ElementTree.fromstring(page).iter(f"{SVG}text")]


@given(st.floats(1e-3, 1e4), st.floats(1.5, 1e6))
def test_ticks_are_few_and_lie_on_the_axis(low: float, ratio: float) -> None:
    found = size_ticks(low, low * ratio)
    assert 1 <= len(found) <= 10 and all(low * 0.998 <= value <= low * ratio * 1.002 for value in found)
    assert found == sorted(set(found))


def test_edges_hold_every_size() -> None:
    sizes, _ = some(500, 1)
    edges = log_edges(sizes)
    assert edges[0] == sizes.min() and edges[-1] == sizes.max()
    assert np.ptp(np.diff(np.log(edges))) < 1e-9


def test_dots_lie_where_the_findings_are() -> None:
    slide = content(*some(50, 2))
    axes = position_map(slide, classes("A", "B")).figure.axes[0]
    for index, dots in enumerate(axes.collections):
        np.testing.assert_array_equal(dots.get_offsets(), slide.points[slide.points[:, 2] == index][:, :2])
    assert axes.get_xlim() == (0, 600) and axes.get_ylim() == (400, 0), "y points down, as on the slide"
    alone = position_map(slide, classes("A", "B"), only=1).figure.axes[0].collections
    assert [len(dots.get_offsets()) for dots in alone] == [int((slide.points[:, 2] == 1).sum())]


@pytest.mark.parametrize("code", HOSTILE)
def test_any_text_is_a_label_and_nothing_else(code: str, tmp_path: Path) -> None:
    kinds = classes(code, "B")
    slide = content(*some(30, 2))
    for chart in (bars(kinds), position_map(slide, kinds), position_map(slide, kinds, only=0)):
        page = svg(chart, "n")
        root = ElementTree.fromstring(page)
        tags = {element.tag.removeprefix(SVG) for element in root.iter()}
        assert not tags & {"script", "b", "a", "foreignObject"}
        if chart.tips:
            assert any(plain(code) in words.text for words in root.iter(f"{SVG}title"))
        for suffix in (".png", ".pdf"):
            save(chart, tmp_path / f"a{suffix}")
    labels = texts(svg(position_map(slide, kinds)))
    number = int((slide.points[:, 2] == 0).sum())
    assert plain(f"{code}  {number}") in labels, labels


def test_a_label_is_one_line_of_bounded_length() -> None:
    assert plain("a\n\tb\x00c") == "a b c" and plain("x" * 99) == "x" * 35 + "…" and plain("\ud800") == ""


def test_charts_in_one_page_share_no_ids() -> None:
    slide = content(*some(40, 2), thumbnail=True)
    kinds = classes("A", "B")
    charts = [position_map(slide, kinds), position_map(slide, kinds, only=0), bars(kinds)]
    pages = [svg(chart, f"c{number}") for number, chart in enumerate(charts)]
    found = [re.findall(r'\sid="([^"]*)"', page) for page in pages]
    everything = [name for names in found for name in names]
    assert len(everything) == len(set(everything)) > 30
    for page, names in zip(pages, found, strict=True):
        wanted = {*re.findall(r'href="#([^"]*)"', page), *re.findall(r"url\(#([^)]*)\)", page)}
        assert wanted <= set(names), "whatever is referred to is there"


def test_the_same_chart_is_the_same_bytes_and_has_no_size_of_its_own(tmp_path: Path) -> None:
    slide, kinds = content(*some(40, 2), thumbnail=True), classes("A", "B")
    for suffix in (".svg", ".png", ".pdf"):
        one, other = (save(position_map(slide, kinds), tmp_path / f"{n}{suffix}").read_bytes() for n in "ab")
        assert one == other
    root = ElementTree.fromstring((tmp_path / "a.svg").read_text(encoding="utf-8"))
    assert root.get("viewBox") and root.get("width") is None and root.get("height") is None
    assert root.get("role") == "img" and root.get("aria-label") == "Map of positions"


def test_the_slide_is_in_the_chart_as_the_jpeg_it_was(tmp_path: Path) -> None:
    import base64

    slide, kinds = content(*some(5, 1), thumbnail=True), classes("A")
    chart = position_map(slide, kinds)
    images = re.findall(r'href="data:image/(\w+);base64,([^"]*)"', svg(chart))
    assert [(kind, base64.b64decode(data)) for kind, data in images] == [("jpeg", slide.picture)]
    # the figure still has its pixels afterwards
    pixels = np.asarray(Image.open(save(chart, tmp_path / "a.png")).convert("RGB")).astype(int)
    assert (abs(pixels - (200, 30, 30)).max(axis=2) < 12).mean() > 0.5


def test_many_dots_stay_a_small_file() -> None:
    chart = position_map(content(*some(20_000, 2)), classes("A", "B"))
    page = svg(chart)
    assert len(page) < 2_000_000 and page.count("<use") < 200 and "data:image/png" in page


@pytest.mark.parametrize("extent", [(400.0, 600.0), (10.0, 5000.0), (5000.0, 10.0)])
def test_a_scale_bar_is_as_long_as_it_says(extent: tuple[float, float]) -> None:
    chart = position_map(content(*some(9, 1), extent=extent), classes("A"))
    told = [text for text in texts(svg(chart)) if text.endswith(("µm", "mm"))]
    length = float(told[0].split()[0]) * (1000 if told[0].endswith("mm") else 1)
    assert len(told) == 1 and 0.07 * extent[1] < length <= 0.2 * extent[1] * (1 + 1e-9)


def test_legends_stay_beside_each_other_and_under_the_chart() -> None:
    chart = bars(classes(*(f"CLASS {i} with quite a long name" for i in range(14))))
    canvas = FigureCanvasAgg(chart.figure)
    canvas.draw()
    axes, renderer = chart.figure.axes[0], canvas.get_renderer()
    boxes = [words.get_window_extent(renderer) for words in chart.figure.legends[0].get_texts()]
    assert len(boxes) == 14 and not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])
    assert max(box.x1 for box in boxes) <= chart.figure.bbox.x1
    assert max(box.y1 for box in boxes) < axes.xaxis.label.get_window_extent(renderer).y0


def test_only_three_kinds_of_files(tmp_path: Path) -> None:
    chart = position_map(content(*some(9, 1)), classes("A"))
    with pytest.raises(InputError, match="SVG, PNG or PDF"):
        save(chart, tmp_path / "a.bmp")
    assert not list(tmp_path.iterdir())
    assert save(chart, tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert Image.open(io.BytesIO(save(chart, tmp_path / "a.png").read_bytes())).format == "PNG"


def test_no_setting_of_the_process_is_left_changed() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    svg(position_map(content(*some(9, 1)), classes("A")))
    assert dict(matplotlib.rcParams) == before
