"""A folder of real pictures through the window: added, detected, reviewed by keyboard, reported, detected again.

Twelve pictures with a small untrained model; with ``--long`` four hundred with the model that comes with the program.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

from microscope_qc.core.boxes import ReviewState

if TYPE_CHECKING:
    from window_driver import User

    from microscope_qc.project import Project

pytestmark = [pytest.mark.window, pytest.mark.story, pytest.mark.timeout(1800)]

PICTURES = "anomaly/magnetic-tile"
FEW, MANY = 12, 400
PIXEL_UM = 0.5
BUNDLED = "li-ion-ssd"
LARGEST_REPORT = 20_000_000
SAME_PLACE = 0.5


class Models(NamedTuple):
    """The first model of a story, by name or folder, and another one."""

    first: str
    second: str


def calm_model(folder: Path, *, bias: float) -> str:
    """An untrained model that finds a few things on a picture and scans it in one tile."""
    from learning_toys import untrained_model
    from safetensors.numpy import load_file, save_file

    weights = untrained_model(folder, tile_px=768) / "weights.safetensors"
    values = load_file(weights)
    values["classify.weight"] *= 0.1
    values["classify.bias"][:] = bias
    save_file(values, weights)
    return str(folder)


@pytest.fixture(params=[FEW, pytest.param(MANY, marks=pytest.mark.long)])
def pictures(request: pytest.FixtureRequest, real_data: Path, tmp_path: Path) -> Path:
    """A folder of pictures, each with its mask beside it as in the data set."""
    every = sorted((real_data / PICTURES).glob("*/Imgs/*.jpg"))
    if len(every) < request.param:
        pytest.skip(f"{PICTURES} is not in the real data")
    folder = tmp_path / "magnetic-tile"
    folder.mkdir()
    for path in every[:: len(every) // request.param][: request.param]:
        shutil.copyfile(path, folder / path.name)
        shutil.copyfile(path.with_suffix(".png"), folder / path.with_suffix(".png").name)
    return folder


@pytest.fixture
def models(pictures: Path, tmp_path: Path) -> Models:
    """Two models; of the small ones the second is the first, only less sure of everything."""
    small = calm_model(tmp_path / "models" / "calm", bias=-4.0)
    if len(list(pictures.glob("*.jpg"))) > FEW:
        return Models(BUNDLED, small)
    return Models(small, calm_model(tmp_path / "models" / "calmer", bias=-4.1))


@pytest.fixture
def closing(user: User) -> Iterator[None]:
    """Close the project when the test is over, however it ends."""
    yield
    user.session.set_project(None)


def test_a_folder_of_pictures_from_the_desktop_to_the_report(
    user: User, closing: None, pictures: Path, models: Models, tmp_path: Path
) -> None:
    from window_driver import state_of

    story = Story(user, pictures)
    story.add_folder()
    story.set_pixel_size_of_all()
    story.switch_to_all_slides()
    story.detect(models.first)
    story.review_to_the_end()
    story.undo_on_another_slide()
    judged = story.judgements()
    before = story.places()
    story.detect(models.second)
    story.check_no_place_is_doubled(before)
    if models.first != BUNDLED:
        assert story.places().keys() == before.keys(), "the other model found nothing else"
    assert story.judgements() == judged
    story.report(tmp_path / "report.html")

    state, order = state_of(story.project), sorted(user.session.findings.ids)
    user.session.set_project(None)
    user.drop(pictures.with_suffix(".mqc"))
    user.wait_until(lambda: user.session.project is not None, "the project")
    user.wait_for_slide()
    assert story.project.check() == []
    assert state_of(story.project) == state
    assert user.session.scope.kind == "all"
    user.wait_until(lambda: sorted(user.session.findings.ids) == order, "the findings of all slides")


class Story:
    """What the user does, in order, and what must hold after each act."""

    def __init__(self, user: User, folder: Path) -> None:
        self.user, self.window, self.session = user, user.window, user.session
        self.folder = folder
        self.count = len(list(folder.glob("*.jpg")))

    @property
    def project(self) -> Project:
        """The open project."""
        project = self.session.project
        assert project is not None
        return project

    @property
    def page(self) -> Any:
        """The review page."""
        return self.window.pages.review

    # -- before the review -------------------------------------------------------------------------------------------

    def add_folder(self) -> None:
        """The folder becomes a project beside it; masks are no slides, and the user is told."""
        offers = self.window.offers
        self.user.drop(self.folder)
        self.user.wait_until(lambda: self.session.project is not None and self.project.slides, "the slides")
        self.user.wait_for_slide()
        assert self.project.path == self.folder.with_suffix(".mqc")
        assert {slide.path.name for slide in self.project.slides} == {path.name for path in self.folder.glob("*.jpg")}
        self.user.wait_until(lambda: "masks of others" in offers.bar.text, "a word about the masks")
        assert offers.bar.text.startswith(f"{self.count} pictures look like masks")
        self.user.click(offers.bar.later_button)

    def set_pixel_size_of_all(self) -> None:
        """One question, one answer for all slides; then it is gone."""
        from window_driver import KEY

        from microscope_qc.app.dialogs.slide import PixelSizeDialog

        bar = self.window.message_bar
        self.user.wait_until(bar.isVisible, "the question for the pixel size")
        assert f"{self.count - 1} other slides do not say how large a pixel is" in bar.text

        def answer(dialog: PixelSizeDialog) -> None:
            every = next(b for b in dialog.slides.buttons if b.text() == f"All {self.count} slides")
            every.click()
            dialog.number.setFocus()
            dialog.number.selectAll()
            self.user.type_focused(str(PIXEL_UM))
            self.user.press_focused(KEY.Key_Return)

        with self.user.in_dialog(PixelSizeDialog, answer):
            self.window.navigator.trigger("slide.pixel_size")
        assert {slide.pixel_size_um for slide in self.project.slides} == {(PIXEL_UM, PIXEL_UM)}
        assert not bar.isVisible(), "the question was answered"
        assert self.project.history.undo_title.endswith(f"{self.count} slides"), "one step of undo"

    def switch_to_all_slides(self) -> None:
        """One key."""
        from qtpy.QtCore import Qt
        from window_driver import KEY

        self.user.press(KEY.Key_3, Qt.KeyboardModifier.AltModifier)
        assert self.session.scope.kind == "all" and len(self.session.scope.slide_ids) == self.count

    def detect(self, model: str) -> None:
        """One job over all slides; nothing fails."""
        self.window.workspaces.use("annotate")
        dock = self.window.navigator.show_panel("detect")
        runs = len(self.project.runs)
        if Path(model).is_dir():
            with self.user.answering_file_dialog(Path(model)):
                self.user.click(dock.models.other)
        else:
            dock.models.list.setCurrentText(model)
        assert dock.card is not None and dock.card.name == Path(model).name
        self.user.click(dock.start)
        assert dock.running
        self.user.wait_until(lambda: not dock.running, "the detection", patience_s=900)
        said = dock.story.text()
        assert said.startswith("Done") and f"on {self.count} slides" in said, said
        assert not dock.progress.failures.isVisible()
        mine = list(self.project.runs)[runs:]
        assert {run.slide_id for run in mine} == {slide.id for slide in self.project.slides}
        assert len(mine) == self.count and {run.state for run in mine} == {"finished"}

    # -- the review --------------------------------------------------------------------------------------------------

    def review_to_the_end(self) -> None:
        """Every finding of every slide by keyboard: most confirmed, some rejected, some of another class."""
        from window_driver import CTRL, KEY

        self.user.press(KEY.Key_2, CTRL)
        self.user.wait_until(lambda: self.page is not None and self.page.isVisible(), "the review page")
        findings = self.session.findings
        self.user.wait_until(
            lambda: (
                not (self.session.scoped.loading or findings.sorting or findings._live.isActive()) and findings.count
            ),
            "the findings in their order, which new ones change until the review begins",
        )
        order = list(self.session.findings.ids)
        owners = self.session.scoped.slides_of(np.array(order)).tolist()
        assert len(order) > 10 and len(set(owners)) > 3, "too little for a review over slides"
        assert self.session.selection.current == order[0]
        for place, number in enumerate(order):
            assert self.session.selection.current == number and not self.page.end.isVisible()
            if place % 7 == 3:
                self.user.press(KEY.Key_N, on=self.page.strip)
                self.user.press_focused(KEY.Key_D)
                continue
            if place % 5 == 2:
                self.user.press(KEY.Key_4, on=self.page.strip)
            self.user.press(KEY.Key_Return, on=self.page.strip)
        rows = {int(row["id"]): row for row in self.rows()}
        fourth = next(item.id for item in self.project.classes if item.key == "4")
        for place, number in enumerate(order):
            row, rejected = rows[number], place % 7 == 3
            assert row["state"] == (ReviewState.REJECTED if rejected else ReviewState.CONFIRMED)
            assert row["reason"] == ("duplicate" if rejected else "")
            assert rejected or place % 5 != 2 or row["class_id"] == fourth
        no = len(order[3::7])
        assert self.page.end.isVisible()
        words = re.sub(r"[\u2009\u202f\xa0]", "", self.page.end.words.text())
        assert f"the last of {len(order)} findings on all {self.count} slides" in words
        assert f"{len(order)} judged ({len(order) - no} confirmed, {no} rejected), 0 left" in words

    def undo_on_another_slide(self) -> None:
        """Undo from elsewhere goes to the slide of what it undid; redo brings the judgement back."""
        from window_driver import CTRL, KEY, SHIFT

        last = int(self.session.selection.current)
        owner = self.session.slide_of(last)
        other = next(slide for slide in self.project.slides if slide.id != owner.id)
        self.user.press(KEY.Key_1, CTRL, on=self.page.strip)
        self.user.wait_until(lambda: self.session.slide.id == owner.id, "the canvas to show the last finding's slide")
        self.session.show_slide(other.id)
        self.user.wait_for_slide()
        assert self.session.slide.id == other.id
        judged = self.judgements()
        self.user.press(KEY.Key_Z, CTRL)
        assert self.judgements() == {number: said for number, said in judged.items() if number != last}
        self.user.wait_until(lambda: self.session.slide.id == owner.id, "the slide of what was undone")
        assert self.window.toast.text.startswith("Undone: ")
        self.user.press(KEY.Key_Z, CTRL | SHIFT)
        assert self.judgements() == judged

    # -- after it ----------------------------------------------------------------------------------------------------

    def report(self, path: Path) -> None:
        """One report of all slides; its total is the number of places that count."""
        from microscope_qc.app.panels.exchange.export_dialog import ExportDialog

        self.window.workspaces.use("review")
        with self.user.in_dialog(ExportDialog, lambda dialog: self.user.export("report", path, panel=dialog.exports)):
            self.window.navigator.trigger("file.export")
        size = path.stat().st_size
        assert size < LARGEST_REPORT, f"the report has {size / 1e6:.1f} MB"
        text = re.sub(r"[\u2009\u202f\xa0]", "", path.read_text(encoding="utf-8"))
        cards = {said: int(number) for number, said in re.findall(r"<b>(\d+)</b><span>([^<]+)</span>", text)}
        rows, limit = self.rows(), self.project.inclusion.current.confidence_limit
        states = rows["state"]
        open_ = int(np.count_nonzero((states == ReviewState.UNREVIEWED) & (rows["confidence"] >= limit)))
        confirmed = int(np.count_nonzero(states == ReviewState.CONFIRMED))
        assert cards["findings without the rejected ones"] == open_ + confirmed
        assert cards["confirmed"] == confirmed and cards["not reviewed yet"] == open_
        assert cards["rejected"] == int(np.count_nonzero(states == ReviewState.REJECTED))
        for slide in self.project.slides:
            assert slide.name in text

    def rows(self) -> np.ndarray:
        """All findings of all slides."""
        return np.concatenate([self.project.boxes.table(slide.id).rows for slide in self.project.slides])

    def judgements(self) -> dict[int, tuple[int, str, int]]:
        """State, reason and class of what was judged."""
        rows = self.rows()
        return {
            int(row["id"]): (int(row["state"]), str(row["reason"]), int(row["class_id"]))
            for row in rows[rows["state"] != ReviewState.UNREVIEWED]
        }

    def places(self) -> dict[int, tuple[float, ...]]:
        """Slide and box of every finding."""
        return {
            int(row["id"]): (float(slide.id), *(float(row[side]) for side in ("y0", "x0", "y1", "x1")))
            for slide in self.project.slides
            for row in self.project.boxes.table(slide.id).rows
        }

    def check_no_place_is_doubled(self, before: dict[int, tuple[float, ...]]) -> None:
        """A new finding lies at no older one that was left without an opinion of the newest runs."""
        newest = {run.slide_id: run.id for run in self.project.runs}
        for slide in self.project.slides:
            taken = set(self.project.opinions.of_run(newest[slide.id])["finding_id"].tolist())
            now = {number: place for number, place in self.places().items() if place[0] == slide.id}
            assert {number for number, place in before.items() if place[0] == slide.id} <= now.keys()
            left = [place[1:] for number, place in now.items() if number in before and number not in taken]
            for number, place in now.items():
                if number not in before:
                    overlaps = [share(place[1:], other) for other in left]
                    assert max(overlaps, default=0.0) < SAME_PLACE, f"{number} on {slide.name} is there twice"


def share(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Common area of two boxes y0, x0, y1, x1 by the area of both."""
    high, wide = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if high <= 0 or wide <= 0:
        return 0.0
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return high * wide / (areas - high * wide)
