"""Real micrographs through the window: opened, boxed, marked and exported; the files agree with the pixels."""

from __future__ import annotations

import csv
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from window_driver import User

pytestmark = [pytest.mark.window, pytest.mark.story, pytest.mark.timeout(900)]

Truth = tuple[np.ndarray, tuple[float, float]]


def read_czi(path: Path) -> Truth:
    """Pixels as czifile reads them (red first), pixel size (y, x) in um as Zeiss' own library reads it."""
    import czifile
    from pylibCZIrw import czi

    pixels = np.squeeze(czifile.imread(path))
    with czi.open_czi(str(path)) as document:
        distances = document.metadata["ImageDocument"]["Metadata"]["Scaling"]["Items"]["Distance"]
    size = {entry["@Id"]: float(entry["Value"]) * 1e6 for entry in distances}
    return pixels, (size["Y"], size["X"])


def read_svs(path: Path) -> Truth:
    """Pixels and pixel size as tifffile reads them."""
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        words = dict(part.split(" = ", 1) for part in page.description.split("|") if " = " in part)
        return page.asarray(), (float(words["MPP"]), float(words["MPP"]))


SLIDES: dict[str, tuple[str, Callable[[Path], Truth]]] = {
    "czi": ("czi/RGB-8bit.czi", read_czi),
    "svs": ("tiff/CMU-1-Small-Region.svs", read_svs),
}


@pytest.fixture(params=SLIDES)
def slide(request: pytest.FixtureRequest, real_data: Path, tmp_path: Path) -> tuple[Path, Truth]:
    """A copy of a real slide in a folder of its own, with what another library reads from it."""
    name, read = SLIDES[request.param]
    source = real_data / "slides" / name
    if not source.exists():
        pytest.skip(f"{name} is not in the real data")
    path = tmp_path / source.name
    shutil.copyfile(source, path)
    return path, read(path)


@pytest.fixture
def closing(user: User) -> Iterator[None]:
    """Close the project when the test is over, however it ends."""
    yield
    user.session.set_project(None)


def test_a_real_slide_from_the_desktop_to_the_exports(
    user: User, closing: None, slide: tuple[Path, Truth], tmp_path: Path
) -> None:
    from window_driver import KEY, SHIFT, stage_position

    path, (pixels, size_um) = slide
    height, width = pixels.shape[:2]
    window, session = user.window, user.session

    user.drop(path)
    user.wait_until(lambda: session.project is not None, "the project of the slide")
    user.wait_for_slide()
    project = session.project
    assert project.path == path.with_suffix(".mqc") and project.path.is_dir()
    assert session.slide.shape_px == (height, width)
    assert session.pixel_size_um == pytest.approx(size_um, rel=1e-3)
    check_picture(user, pixels)

    user.press(KEY.Key_F, SHIFT)
    boxes = [
        user.draw_box(0.20 * height, 0.25 * width, 0.32 * height, 0.45 * width),
        user.draw_box(0.60 * height, 0.55 * width, 0.75 * height, 0.70 * width),
    ]
    user.press(KEY.Key_3)  # the box just drawn is selected: it changes its class
    user.press(KEY.Key_S)
    assert session.table.get(boxes)["chosen"].tolist() == [False, True]

    window.navigator.trigger("view.sem")
    user.wait_until(window.docks["sem"].isVisible, "the SEM panel")
    user.press(KEY.Key_F, SHIFT)
    for y, x in ((0.1, 0.1), (0.1, 0.9), (0.9, 0.12)):
        user.place_mark(y * height, x * width, lambda y, x: stage_position(y, x, size_um))
    user.align()
    out = tmp_path / "out"
    out.mkdir()
    user.export("geojson", out / "findings.geojson")
    user.export("voc", out / "voc")
    user.export("stage:csv", out / "places.csv")
    user.export("overview", out / "overview.png")

    rows = session.table.get(boxes)
    codes = [session.class_of(int(row["class_id"])).code for row in rows]
    keys = [session.class_of(int(row["class_id"])).key for row in rows]
    assert keys == ["1", "3"]
    check_geojson(out / "findings.geojson", path.name, rows, codes, size_um)
    check_voc(out, path.name, rows, codes, (height, width))
    check_places(out / "places.csv", rows[1], size_um)
    check_overview(out / "overview.png", pixels, rows[1])


def check_picture(user: User, pixels: np.ndarray) -> None:
    """At full size the screen shows the slide's pixels, where the view says they are."""
    canvas = user.window.canvas
    y, x, half = pixels.shape[0] // 2, pixels.shape[1] // 2, 60
    user.window.navigator.trigger("view.full_size")
    view = canvas.view
    canvas.go_to(y + 0.5 * (view.height % 2), x + 0.5 * (view.width % 2))  # screen pixels on slide pixels
    expected = pixels[y - half : y + half, x - half : x + half].astype(float)

    def difference() -> float:
        shown = canvas.picture.widget.screenshot(flash=False)
        row, column = shown.shape[0] // 2, shown.shape[1] // 2
        middle = shown[row - half : row + half, column - half : column + half, :3].astype(float)
        return float(np.abs(middle - expected).mean())

    assert np.std(expected) > 5, "a flat place would prove nothing"
    user.wait_until(lambda: difference() < 1.5, "the slide's own pixels on screen")


def check_geojson(path: Path, name: str, rows: Any, codes: list[str], size_um: tuple[float, float]) -> None:
    """Corners, class and sizes in um, read back by another library."""
    import geojson

    read = geojson.loads(path.read_text(encoding="utf-8"))
    assert read.is_valid and len(read["features"]) == len(rows)
    assert read["pictures"][0]["name"] == name
    for feature, row, code in zip(read["features"], rows, codes, strict=True):
        xs, ys = np.array(feature["geometry"]["coordinates"][0]).T
        assert (ys.min(), xs.min(), ys.max(), xs.max()) == tuple(row[side] for side in ("y0", "x0", "y1", "x1"))
        properties = feature["properties"]
        assert properties["classification"]["name"] == code
        assert properties["measurements"]["Width um"] == pytest.approx((row["x1"] - row["x0"]) * size_um[1], rel=1e-3)
        assert properties["measurements"]["Height um"] == pytest.approx((row["y1"] - row["y0"]) * size_um[0], rel=1e-3)


def check_voc(out: Path, name: str, rows: Any, codes: list[str], shape: tuple[int, int]) -> None:
    """Size of the picture and corners of the boxes."""
    (file,) = out.rglob("*.xml")
    root = ET.parse(file).getroot()
    assert root.findtext("filename") == name
    assert (int(root.findtext("size/height")), int(root.findtext("size/width"))) == shape
    entries = root.findall("object")
    assert [entry.findtext("name") for entry in entries] == codes
    for entry, row in zip(entries, rows, strict=True):
        corners = [int(entry.findtext(f"bndbox/{tag}")) for tag in ("ymin", "xmin", "ymax", "xmax")]
        assert corners == [int(row[side]) for side in ("y0", "x0", "y1", "x1")]


def check_places(path: Path, row: Any, size_um: tuple[float, float]) -> None:
    """Only the chosen box is listed, at its stage position."""
    from window_driver import stage_position

    with path.open(newline="", encoding="utf-8") as file:
        (line,) = csv.DictReader(file)
    assert int(line["defect_id"]) == row["id"]
    expected = stage_position((row["y0"] + row["y1"]) / 2, (row["x0"] + row["x1"]) / 2, size_um)
    found = float(line["stage_x_mm"]), float(line["stage_y_mm"])
    assert found == pytest.approx(expected, abs=2e-4)  # marks are typed to 10 nm, on slides about 1 mm wide
    assert float(line["box_w_um"]) == pytest.approx((row["x1"] - row["x0"]) * size_um[1], rel=1e-3)


def check_overview(path: Path, pixels: np.ndarray, row: Any) -> None:
    """The picture contains the slide, marked where the chosen box is and nowhere else."""
    import cv2

    page = np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
    longest = max(pixels.shape[:2])
    scale = max(1200, min(longest, 4000)) / longest
    how = cv2.INTER_AREA if scale <= 1 else cv2.INTER_LINEAR
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=how)
    height, width = small.shape[:2]
    y, x = height // 2 - 100, width // 2 - 100
    difference = cv2.matchTemplate(page, small[y : y + 200, x : x + 200], cv2.TM_SQDIFF_NORMED)
    _, _, (left, top), _ = cv2.minMaxLoc(difference)
    part = page[top - y :, left - x :][:height, :width].astype(float)
    assert part.shape == small.shape, "the whole slide is in the picture"
    changed = np.abs(part - small).max(axis=2) > 60
    ys, xs = np.nonzero(changed[: int(0.9 * height)])  # the scale bar is below
    middle = (row["y0"] + row["y1"]) / 2 * scale, (row["x0"] + row["x1"]) / 2 * scale
    reach = 1.5 * max(row["y1"] - row["y0"], row["x1"] - row["x0"]) * scale
    near = np.hypot(ys - middle[0], xs - middle[1]) < reach
    assert near.sum() > 50 and near.mean() > 0.9
