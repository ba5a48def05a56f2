"""Pictures of the window: ``python -m tests.e2e.screenshots OUT_DIR [--project PROJECT.mqc]``.

Opens the real window on a project (a demo of 4096 x 4096 px is made without one) and writes PNGs of 1600 x 1000 px.
Without a screen it restarts itself on a virtual one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from qtpy.QtGui import QImage
    from qtpy.QtWidgets import QWidget

    from tests.e2e.window_driver import User

WIDTH, HEIGHT = 1600, 1000
DEMO_SIZE = 4096
LABELS = 20
WELCOME, WELCOME_WIDTH = ("annotate", "review", "sem"), 560
"""Shown small on the welcome page, which loads them from the folder ``welcome`` beside OUT_DIR."""
MANUAL, MANUAL_WIDTH = (
    ("annotate", "densities", "gallery", "learn", "review", "sem", "statistics", "suggestions"), 1000,
)  # fmt: skip
"""Shown in the manual, which loads them from the folder ``manual/pictures`` beside OUT_DIR."""
STILL = 10
"""The window is still after this many pictures without a change."""


def main() -> int:
    """Read the arguments, find a screen, take the pictures."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.screenshots", description=__doc__.split("\n\n")[0])
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("--project", type=Path, metavar="PROJECT.mqc", help="default: a demo that is made for it")
    parser.add_argument("--demo", type=Path, metavar="DIR", help="where the demo is made and kept (default: nowhere)")
    args = parser.parse_args()
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        return _again_on_a_virtual_screen()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cross-sections-") as folder:
        os.environ["MICROSCOPE_QC_CONFIG_DIR"] = str(Path(folder) / "config")
        os.environ["MICROSCOPE_QC_CACHE"] = str(Path(folder) / "cache")
        os.environ["LOGNAME"] = "anna"  # whoever declares an area is named in the picture
        project = args.project or _demo(args.demo or Path(folder) / "demo")
        copy = Path(folder) / "Cell 45" / "Cell 45.mqc"  # judging must not change the project that was given
        shutil.copytree(project, copy, ignore=shutil.ignore_patterns("owner.*"))
        _place_slides(project, copy)
        try:
            take(copy, args.out)
        except Exception:  # the window has replaced the interpreter's hook
            traceback.print_exc()
            return 1
    return 0


def _again_on_a_virtual_screen() -> int:
    if shutil.which("xvfb-run") is None:
        print("There is no screen. Add a virtual one:  apt-get install -y xvfb", file=sys.stderr)
        return 2
    screen = ["xvfb-run", "-a", "-s", "-screen 0 1920x1200x24"]
    return subprocess.run(
        [*screen, sys.executable, "-m", "tests.e2e.screenshots", *sys.argv[1:]], check=False
    ).returncode


def _demo(out: Path) -> Path:
    from microscope_qc.core.jobs import run_job
    from microscope_qc.workflows.samples.demo import demo

    shown: list[int] = []

    def say(progress: Any) -> None:
        percent = int(100 * progress.fraction) // 10 * 10 if progress.total else 0
        if not shown or shown[-1] != percent:
            shown.append(percent)
            print(f"{progress.note}  {percent} %", flush=True)

    return run_job(demo(out, size=DEMO_SIZE), say).project


def _place_slides(source: Path, copy: Path) -> None:
    """Point the slides of the copy to where they are."""
    from microscope_qc.project import Project

    with Project.open(source, write=False) as project:
        places = {slide.id: slide.path for slide in project.slides}
    with Project.open(copy) as project:
        for slide in project.slides:
            if slide.path != places[slide.id]:
                project.slides.relocate(slide.id, places[slide.id])


def _labelled(source: Path) -> Path:
    """A project of the same slide beside it, in which only some of the surest findings of each class are drawn."""
    from microscope_qc.core.boxes import ReviewState, make_rows
    from microscope_qc.project import Project

    with Project.open(source, write=False) as project:
        slide, classes = project.slides[0], list(project.classes)
        rows = project.boxes.rows(slide.id)
    rows = rows[np.argsort(-np.nan_to_num(rows["confidence"]))]
    places = np.empty(len(rows), np.int64)  # of each among those of its class
    for number in np.unique(rows["class_id"]):
        of_class = np.flatnonzero(rows["class_id"] == number)
        places[of_class] = np.arange(len(of_class))
    drawn = rows[np.argsort(places, kind="stable")[:LABELS]]
    path = source.with_name("Cell 45 anew.mqc")
    with Project.create(path, slides=[slide.path]) as project:
        project.slides.set_pixel_size(project.slides[0].id, slide.pixel_size_um[0])
        ids = project.classes.ensure(classes)
        code_of = {item.id: item.code for item in classes}
        project.boxes.add(
            project.slides[0].id,
            make_rows(
                len(drawn), **{side: drawn[side] for side in ("y0", "x0", "y1", "x1")}, state=ReviewState.CONFIRMED,
                class_id=[ids[code_of[number]] for number in drawn["class_id"].tolist()],
            ),
            title=f"Draw {len(drawn)} boxes",
        )  # fmt: skip
    return path


def take(project: Path, out: Path) -> None:
    """Open the window and take all pictures."""
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QApplication

    from tests.e2e.window_driver import User

    app = QApplication.instance() or QApplication(sys.argv[:1])
    app.setApplicationName("microscope-qc")
    from microscope_qc.app.shell.main_window import MainWindow

    window = MainWindow()
    window.setGeometry(0, 0, WIDTH, HEIGHT)
    window.show()
    QTest.qWaitForWindowExposed(window, 60_000)
    user = User(window)
    studio = Studio(user, out)
    studio.welcome(project)
    studio.suggestions(_labelled(project))
    studio.open(project)
    studio.annotate()
    studio.densities()
    studio.gallery()
    studio.sem()
    studio.statistics()
    studio.review()
    studio.large(project.parent)
    window.close()


class Studio:
    """Sets up each scene, waits until everything is drawn and still, and takes the picture."""

    def __init__(self, user: User, out: Path) -> None:
        self.user = user
        self.window = user.window
        self.session = user.session
        self.out = out

    def welcome(self, project: Path) -> None:
        """The page at the start, with recent projects."""
        self.window.theme_switcher.use("light")
        for name in ("Cell 46 anode", "Cell 46 cathode"):
            other = project.parent / f"{name}.mqc"
            other.mkdir()
            self.window.settings.add_recent(other)
        self.window.settings.add_recent(project)
        self.window.welcome.refresh()
        self._shoot("welcome")

    def suggestions(self, project: Path) -> None:
        """Twenty labels, and what they suggest all over the slide."""
        from qtpy.QtCore import Qt

        window, learning, suggested = self.window, self.window.learning, self.session.suggested
        window.navigator.open_paths([project])
        self.user.wait_until(lambda: self.session.project is not None, "the project")
        self.user.wait_for_slide()
        if not learning.on:
            window.navigator.trigger("suggest.learn")
        self.user.wait_until(
            lambda: len(suggested) > 0 and learning.handle is None, "what is suggested", patience_s=1800
        )
        window.navigator.show_panel("suggestions")
        window.resizeDocks([window.docks["gallery"]], [216], Qt.Orientation.Vertical)
        self._still(window)
        window.canvas.zoom_to(0.5)
        suggested.step(1)
        window.canvas.go_to(*self._middle_of_most())
        self._shoot("suggestions")

    def _middle_of_most(self) -> tuple[float, float]:
        """The middle of the view that shows the most suggestions."""
        view, suggested = self.window.canvas.view, self.session.suggested
        boxes = suggested.to_judge().boxes
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        apart = np.abs(middles[:, None] - middles[None])
        reach = np.array([0.45 * view.height, 0.45 * view.width]) / view.zoom
        y, x = middles[int(np.argmax((apart < reach).all(axis=2).sum(axis=1)))]
        return float(y), float(x)

    def open(self, project: Path) -> None:
        """Open the project; some of its worst findings are judged already."""
        self.window.navigator.open_paths([project])
        self.user.wait_until(
            lambda: self.session.project is not None and self.session.project.path == project, "the project"
        )
        self.user.wait_for_slide()
        gallery = self.window.navigator.show_panel("gallery")
        self.user.wait_until(lambda: len(gallery.model.ids) > 100, "the findings")
        ids = [number for number in gallery.model.ids if self.session.table.get([number])["state"][0] == 0]
        self.session.judging.confirm(np.array([ids[0], ids[1], ids[3]]))
        self.session.judging.reject(np.array(ids[2:3]), "out of focus")

    def annotate(self) -> None:
        """Large canvas with several findings and their names, the gallery at its top."""
        self.window.workspaces.use("annotate")
        self._select_among(4, 11, zoom=0.6)
        self._shoot("annotate")

    def densities(self) -> None:
        """One area declared complete and another just being outlined; the densities of all classes below."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        window, user, canvas = self.window, self.user, self.window.canvas
        window.resizeDocks([window.docks["gallery"]], [320], Qt.Orientation.Vertical)
        panel = window.navigator.show_panel("areas")
        window.navigator.trigger("tool.area")
        self._still(window)
        canvas.fit_slide()
        height, width = self.session.slide.shape_px
        corners = ((0.12, 0.09), (0.06, 0.42), (0.5, 0.52), (0.85, 0.36), (0.72, 0.04))
        self.session.declaring.declare([(round(y * height), round(x * width)) for y, x in corners])
        for y, x in ((0.3, 0.66), (0.24, 0.9), (0.62, 0.94)):
            user.click_slide(y * height, x * width)
        QTest.mouseMove(canvas.picture.native, user.point(0.74 * height, 0.7 * width))
        user.wait_until(lambda: panel.up_to_date, "the densities")
        self._shoot("densities")
        for _ in range(2):  # the outline, then the tool
            user.press(Qt.Key.Key_Escape)
        window.navigator.trigger("edit.undo")
        window.navigator.show_panel("gallery")

    def gallery(self) -> None:
        """The gallery alone, with larger crops."""
        from qtpy.QtCore import Qt

        window = self.window
        gallery = window.docks["gallery"]
        window.resizeDocks([gallery], [470], Qt.Orientation.Vertical)
        gallery.content.header.crop_size.setValue(150)
        view = gallery.content.view
        two_rows = 2 * view.cell_size().height() + view.y() + gallery.content.pages.y() + 4
        self._shoot("gallery", gallery, high=two_rows)
        gallery.content.header.crop_size.setValue(112)

    def sem(self) -> None:
        """Marks, alignment, and the list of the chosen findings."""
        from qtpy.QtCore import Qt

        self.window.workspaces.use("sem")
        self.window.docks["card"].hide()
        self.window.resizeDocks([self.window.docks["sem"]], [410], Qt.Orientation.Horizontal)
        self.session.set_filter(only_chosen=True)
        travel = self.window.navigator.show_panel("sem").travel
        self.user.wait_until(lambda: len(travel.rows) > 0 and travel.targets, "the travel list")
        self.session.selection.set([int(travel.rows["id"][2])])
        self._still(self.window)
        self.window.canvas.fit_slide()
        self._shoot("sem")
        self.session.set_filter(only_chosen=False)

    def statistics(self) -> None:
        """Numbers of all classes, and what there is to learn, after a review of most findings, which is undone."""
        window, session = self.window, self.session
        rows = session.shown_rows()
        seen = rows["id"][rows["id"] % 3 > 0]
        session.judging.confirm(seen[seen % 8 > 0])
        session.judging.reject(seen[seen % 8 == 0], "false positive")
        window.workspaces.use("statistics")
        self.user.wait_until(lambda: window.pages.statistics is not None, "the page")
        page = window.pages.statistics
        self.user.wait_until(lambda: page.numbers is not None and page.counting.fresh, "the numbers")
        self._shoot("statistics")
        window.workspaces.use("learn")
        self.user.wait_until(lambda: window.pages.learn is not None, "the page to learn on")
        self._shoot("learn", high=720)  # without the models below, which name their folders
        for _ in range(2):
            window.navigator.trigger("edit.undo")

    def review(self) -> None:
        """One finding large, in the dark theme."""
        self.window.theme_switcher.use("dark")
        self.window.workspaces.use("review")
        self._select_among(3, 9, zoom=0.6)
        self._shoot("review")

    def large(self, folder: Path) -> None:
        """A slide of 100 GB with 100,000 boxes, at three zooms beside each other."""
        from qtpy.QtCore import QPoint, QRect, QSize, Qt
        from qtpy.QtGui import QImage, QPainter

        self.window.theme_switcher.use("light")
        self.window.navigator.open_paths([_large_project(folder)])
        self.user.wait_until(lambda: "Large" in self.window.windowTitle(), "the large slide")
        self.user.wait_for_slide()
        self.window.workspaces.use("annotate")
        canvas = self.window.canvas
        row = self.session.table.rows[0]
        pictures = []
        for zoom in (None, 0.03, 0.6):
            canvas.fit_slide()
            if zoom is not None:
                canvas.zoom_to(zoom)
                canvas.go_to(float(row["y0"]), float(row["x0"]))
            picture = self._still(canvas)
            middle = picture.rect().center()
            part = picture.rect().intersected(QRect(middle - QPoint(260, 240), QSize(520, 480)))
            pictures.append(picture.copy(part))
        gap = 8
        sheet = QImage(sum(p.width() for p in pictures) + gap * 2, pictures[0].height(), pictures[0].format())
        sheet.fill(Qt.GlobalColor.white)
        with QPainter(sheet) as painter:
            x = 0
            for picture in pictures:
                painter.drawImage(x, 0, picture)
                x += picture.width() + gap
        self._keep("large", sheet)

    def _select_among(self, first: int, last: int, *, zoom: float) -> None:
        """Select and show one of the worst findings, the one with the most other classes around it."""
        canvas, table = self.window.canvas, self.session.table
        canvas.zoom_to(zoom)
        rows = self.session.shown_rows()
        reach_y, reach_x = 0.45 * canvas.view.height / zoom, 0.45 * canvas.view.width / zoom
        ys, xs = (rows["y0"] + rows["y1"]) / 2, (rows["x0"] + rows["x1"]) / 2

        def classes_around(number: int) -> int:
            box = table.get([number])[0]
            y, x = (box["y0"] + box["y1"]) / 2, (box["x0"] + box["x1"]) / 2
            return len(set(rows["class_id"][(np.abs(ys - y) < reach_y) & (np.abs(xs - x) < reach_x)]))

        best = max(self.window.docks["gallery"].build().model.ids[first:last], key=classes_around)
        self.session.navigation.select_and_centre(best)

    # -- waiting -----------------------------------------------------------------------------------------------------

    def _still(self, target: QWidget) -> QImage:
        """Wait until tiles, crops and toasts are done and the picture is still; returns it."""
        from microscope_qc.app.widgets.crops import CropProvider

        window = self.window
        canvas = window.canvas.picture
        providers = window.findChildren(CropProvider)
        pictures: list[QImage] = []

        def is_still() -> bool:
            picture = target.grab().toImage()  # painting is what asks for tiles and crops
            busy = (
                (window.session.mosaic is not None and window.canvas.isVisible() and not canvas.complete)
                or any(crops.waiting for crops in providers)
                or window.toast.isVisible()
                or window.jobs.running
            )
            if busy or (pictures and pictures[-1] != picture):
                pictures.clear()
            pictures.append(picture)
            return len(pictures) > STILL

        self.user.wait_until(is_still, "the picture to be still")
        return pictures[-1]

    def _shoot(self, name: str, widget: QWidget | None = None, *, high: int = HEIGHT) -> None:
        picture = self._still(widget or self.window)
        self._keep(name, picture.copy(0, 0, picture.width(), min(high, picture.height())))

    def _keep(self, name: str, picture: QImage) -> None:
        path = self.out / f"{name}.png"
        if not picture.save(str(path)):
            raise OSError(f"{path} was not written")
        with Image.open(path) as full:
            colours = full.convert("RGB")
        _save_small(colours, path)
        if name in WELCOME:
            small = colours.resize((WELCOME_WIDTH, round(WELCOME_WIDTH * colours.height / colours.width)))
            _save_small(small, self.out.parent / "welcome" / path.name)
        if name in MANUAL:
            width = min(MANUAL_WIDTH, colours.width)
            small = colours.resize((width, round(width * colours.height / colours.width)), Image.Resampling.LANCZOS)
            _save_small(small, self.out.parent / "manual" / "pictures" / path.name)


def _save_small(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # less than half the size; the palette must keep rare colours, since those are the classes
    palette = picture.quantize(256, Image.Quantize.MAXCOVERAGE)
    picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)
    print(path, flush=True)


def _large_project(folder: Path) -> Path:
    """A drawn slide of 200,000 x 170,000 px with boxes in clusters, like real findings."""
    from microscope_qc.core.boxes import make_rows
    from microscope_qc.project import Project
    from microscope_qc.slides.virtual.reader import write_virtual

    shape, count, crowds = (170_000, 200_000), 100_000, 400
    slide = write_virtual(folder / "Large.virtual.json", shape=shape, seed=7)
    rng = np.random.default_rng(5)
    rows = make_rows(count, class_id=rng.integers(1, 11, count), confidence=rng.random(count))
    middle = rng.random((crowds, 2)) * shape
    corner = np.clip(middle[rng.integers(0, crowds, count)] + rng.normal(0, 1500, (count, 2)), 0, np.array(shape) - 200)
    size = 12 + rng.random((count, 2)) ** 3 * 120
    rows["y0"], rows["x0"] = corner.T
    rows["y1"], rows["x1"] = (corner + size).T
    rows["state"] = rng.choice([0, 1, 2], count, p=[0.6, 0.3, 0.1])
    path = folder / "Large.mqc"
    with Project.create(path, slides=[slide]) as project:
        project.boxes.add(project.slides[0].id, rows, title="Draw")
    return path


if __name__ == "__main__":
    sys.exit(main())
