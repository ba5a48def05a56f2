"""To the SEM and back: marks, alignment, the drive to each defect, compositions that name them; all of it undone."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from microscope_qc.core.boxes import make_rows
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.workflows.results.report import write_report
from microscope_qc.workflows.stage.edx_classes import codes_of
from microscope_qc.workflows.stage.stage import export_stage

if TYPE_CHECKING:
    from window_driver import User

pytestmark = [
    pytest.mark.window,
    pytest.mark.story,
    pytest.mark.timeout(900),
    pytest.mark.qt_no_exception_capture,
]

SHAPE, PIXEL_UM = (1200, 1600), 0.5
CORNERS = ((150, 150), (140, 1440), (1060, 160), (1050, 1430), (600, 780))
"""Corners of bright squares, y and x in px: the marks."""
DEFECTS = ((300, 400), (320, 1200), (800, 500), (900, 1100), (500, 1000), (505, 1016))
"""Middles of the findings; the last two are 8 um apart."""
HALF = 6
FOUND = {
    1: {"C": 92.6, "O": 7.0, "Au": 0.2}, 2: {"C": 0.5, "O": 67.3, "Si": 17.0, "Zr": 14.4},
    3: {"O": 31.1, "Mn": 15.0, "Co": 24.2, "Ni": 28.6}, 4: {"Al": 25.0, "F": 75.0}, 5: {"Cu": 98.0, "O": 2.0},
}  # fmt: skip
BESIDE = {1: {"C": 95.3, "O": 3.9, "Au": 0.2}, 3: {"O": 19.4, "Mn": 16.2, "Co": 16.6, "Ni": 46.6}}
CLASSES = {1: "ACP", 2: "AOP", 3: "CRP", 4: "CFA", 5: "CUP"}


def on_stage(yx_px: np.ndarray, *, noise_um: float = 0.0, seed: int = 0) -> np.ndarray:
    """Where the SEM finds places: mirrored, turned by 7 degrees, 0.2 % larger, with the error of a stage."""
    um = np.asarray(yx_px, float)[:, ::-1] * PIXEL_UM
    turn = np.radians(7.0)
    matrix = 1.002 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    found: np.ndarray = um @ matrix.T / 1000 + (75.0, 60.0)
    return found + np.random.default_rng(seed).normal(0, noise_um / 1000, found.shape)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A slide with corners and findings that nobody has judged."""
    pixels = np.random.default_rng(4).normal(90, 5, SHAPE)
    for y, x in CORNERS:
        pixels[y : y + 90, x : x + 90] += 110
    for y, x in DEFECTS:
        pixels[y - HALF : y + HALF, x - HALF : x + HALF] -= 60
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(tmp_path / "cell.png")
    with Project.create(tmp_path / "cell.mqc", slides=[tmp_path / "cell.png"]) as made:
        slide = made.slides[0].id
        made.slides.set_pixel_size(slide, PIXEL_UM)
        y, x = np.array(DEFECTS, float).T
        first = made.classes.by_code("GEO").id
        made.boxes.add(
            slide, make_rows(len(DEFECTS), class_id=first, y0=y - HALF, y1=y + HALF, x0=x - HALF, x1=x + HALF)
        )
        return made.path


@pytest.fixture(autouse=True)
def closing(user: User) -> Iterator[None]:
    yield
    user.session.set_project(None)


def mark_picture(path: Path, xy_mm: np.ndarray) -> Path:
    """A picture of a mark with the tags of an FEI microscope."""
    stage = f"[User]\r\nUser=u\r\n\r\n[Stage]\r\nStageX={float(xy_mm[0]) / 1000}\r\nStageY={float(xy_mm[1]) / 1000}"
    tifffile.imwrite(path, np.zeros((60, 80), np.uint8), extratags=[(34682, 2, 0, stage, True)], metadata=None)
    return path


def edx_table(path: Path) -> Path:
    """Spectra in a shuffled order: sites with their points, two of them references, one between two findings."""
    middles = on_stage(np.array(DEFECTS), noise_um=0.5, seed=5)
    between = on_stage(np.mean(DEFECTS[4:], axis=0)[None])[0]
    elements = sorted({element for found in (*FOUND.values(), *BESIDE.values()) for element in found})
    lines = []
    for number, found in FOUND.items():
        place = between if number == 5 else middles[number - 1]
        lines.append(
            [f"{'ABCDE'[number - 1]}1-P1", *(found.get(e, "") for e in elements), *(f"{v:.5f}" for v in place)]
        )
    for number, found in BESIDE.items():
        lines.append([f"{'ABCDE'[number - 1]}1-P2", *(found.get(e, "") for e in elements), "", ""])
    order = np.random.default_rng(1).permutation(len(lines))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["Spectrum", *(f"{element} at%" for element in elements), "stage_x_mm", "stage_y_mm"])
        writer.writerows([lines[n] for n in order])
    return path


def test_to_the_sem_and_back(user: User, place: Path, tmp_path: Path) -> None:
    from window_driver import CTRL, KEY, drop_on, state_of

    window, session = user.window, user.session
    window.navigator.open_paths([place])
    user.wait_until(lambda: session.project is not None and session.project.path == place, "the project")
    user.wait_for_slide()
    project: Any = session.project
    begun, steps_before = state_of(project), len(project.history.entries())
    dock: Any = window.navigator.show_panel("sem")

    # marks: a click near each corner, and the exact place from the pixels
    for number, (y, x) in enumerate(CORNERS):
        user.press(KEY.Key_M)
        user.click_slide(y + 4, x - 5)
        user.wait_until(lambda n=number: len(project.marks) == n + 1, "the mark")
        user.wait_until(lambda n=number: len(dock.marks.marks) == n + 1, "the mark in the table")
        user.press(KEY.Key_V)
        dock.table.selectRow(number)
        user.click(dock.mark_tools.snap)
        mark = project.marks[number].id
        user.wait_until(
            lambda m=mark, y=y, x=x: np.hypot(project.marks.by_id(m).y_px - y, project.marks.by_id(m).x_px - x) < 0.7,
            f"the corner of mark {number + 1}",
        )

    # the microscope's pictures of them
    seen = on_stage(np.array(CORNERS), noise_um=1.0, seed=2)
    drop_on(dock, *(mark_picture(tmp_path / f"cell_M{n}.tif", xy) for n, xy in enumerate(seen, start=1)))
    user.wait_until(lambda: dock.mark_tools.asked is not None, "the pictures")
    user.click(dock.mark_tools.asked.take)
    user.wait_until(lambda: len(dock.marks.complete) == len(CORNERS), "the positions")
    user.click(dock.align)
    user.wait_until(lambda: dock.registration is not None, "the alignment")
    assert dock.registration.mirror_certain and dock.registration.observed_scale == pytest.approx(1.002, abs=0.002)

    # the drive to each chosen finding
    ids = project.boxes.table(project.slides[0].id).rows["id"].copy()
    session.selection.set(ids)
    user.press(KEY.Key_S)
    user.wait_until(lambda: dock.travel.rowCount() == len(DEFECTS), "the travel list")
    run_job(export_stage(project, tmp_path / "drive.csv"))
    with (tmp_path / "drive.csv").open(encoding="utf-8", newline="") as file:
        rows = {int(row["defect_id"]): row for row in csv.DictReader(file)}
    truth = on_stage(np.array(DEFECTS))
    for number, xy in enumerate(truth, start=1):
        row = rows[number]
        off_um = 1000 * np.hypot(float(row["stage_x_mm"]) - xy[0], float(row["stage_y_mm"]) - xy[1])
        assert off_um < float(row["r95_um"]) < 12
    visited = []
    for _ in DEFECTS:
        user.press(KEY.Key_J)
        visited.append(session.selection.current)
    assert visited == dock.travel.rows["id"].tolist() and sorted(visited) == ids.tolist()

    # compositions come back; what fits two findings is decided side by side
    dialogs: list[Any] = []
    import_from = dock.measurements.import_from
    dock.measurements.import_from = lambda path: dialogs.append(import_from(path))
    drop_on(dock, edx_table(tmp_path / "edx.csv"))
    user.wait_until(lambda: bool(dialogs) and dialogs[0].take.isEnabled(), "the table")
    dialog = dialogs[0]
    found = {row.label: row.finding for row in dialog.rows.rows}
    assert found == {"A1-P1": 1, "A1-P2": 1, "B1-P1": 2, "C1-P1": 3, "C1-P2": 3, "D1-P1": 4, "E1-P1": None}
    assert dialog.candidates.isVisible() and {b.finding for b in dialog.candidates.buttons} == {5, 6}
    user.click(next(button for button in dialog.candidates.buttons if button.finding == 5))
    assert next(row.finding for row in dialog.rows.rows if row.label == "E1-P1") == 5
    user.click(dialog.take)
    user.wait_until(lambda: len(project.measurements) == 7, "the measurements")

    # classes are proposed with their reasons, and taken by key
    card: Any = window.navigator.show_panel("card")
    line = card.composition.proposal
    for number, code in CLASSES.items():
        session.selection.set([number])
        user.wait_until(lambda c=code: line.isVisible() and c in line.take.text(), f"the proposal for finding {number}")
        assert codes_of(project, [number]) == {number: "GEO"}
        if code == "CUP":  # the project has no such class yet
            user.click(line.take)
        else:
            user.press(KEY.Key_T)
        user.wait_until(lambda n=number, c=code: codes_of(project, [n]) == {n: c}, f"the class of finding {number}")
    assert "O 7.03 > 5.93" in project_words(project, 1)

    # all of it is undone and done again
    ended = state_of(project)
    made = len(project.history.entries()) - steps_before
    for key, wanted in ((KEY.Key_Z, begun), (KEY.Key_Y, ended)):
        for _ in range(made):
            before = project.history.undo_entry
            user.press(key, CTRL)
            user.wait_until(lambda b=before: project.history.undo_entry != b, "a step")
        assert state_of(project) == wanted

    run_job(write_report(project, tmp_path / "report.html"))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<h2>Compositions</h2>" in page and "E1-P1" in page and "Copper particle" in page


def project_words(project: Project, number: int) -> str:
    from microscope_qc.workflows.stage.edx_classes import proposal, rules_of

    found = proposal(project, number, rules_of(project))
    return "" if found is None else found.words
