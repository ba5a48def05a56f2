"""A user at the real window: mouse and keys go to its widgets, and every wait is for something visible."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QLineEdit,
    QScrollArea,
    QWidget,
)

if TYPE_CHECKING:
    from microscope_qc.app.shell.main_window import MainWindow
    from microscope_qc.project import Project

KEY = Qt.Key
LEFT = Qt.MouseButton.LeftButton
NONE = Qt.KeyboardModifier.NoModifier
CTRL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
PATIENCE_S = 240.0
MOMENT_MS = 15
MOST_CLICKS = 40


class User:
    """Does things to a window. Positions on the slide are y, x in full-resolution pixels."""

    def __init__(self, window: MainWindow) -> None:
        self.window = window
        self.session = window.session

    def wait_until(self, condition: Callable[[], Any], what: str, *, patience_s: float = PATIENCE_S) -> None:
        """Let the window work until a condition holds.

        Raises
        ------
        TimeoutError
            Naming what did not happen, and what the window shows instead.
        """
        end = time.monotonic() + patience_s
        while not condition():
            if time.monotonic() > end:
                bar = self.window.message_bar
                said = bar.text if bar.isVisible() else self.window.toast.text
                jobs = [f"{job.title}: {job.state.value}" for job in self.window.jobs.history]
                raise TimeoutError(f"waited {patience_s:.0f} s for {what}; the window says: {said!r}; its jobs: {jobs}")
            QTest.qWait(MOMENT_MS)

    # -- keys and mouse ----------------------------------------------------------------------------------------------

    def press(self, key: Qt.Key, keys: Qt.KeyboardModifier = NONE, *, on: QWidget | None = None) -> None:
        """Press a key on a widget, or on the canvas."""
        target = on or self.window.canvas.picture.native
        self.have_keyboard()
        target.setFocus()
        QTest.keyClick(target, key, keys)

    def have_keyboard(self) -> None:
        """Bring the window to the front: shortcuts go to the active window."""
        if not self.window.isActiveWindow():
            self.window.activateWindow()
            self.wait_until(self.window.isActiveWindow, "the window to come to the front")

    def press_focused(self, key: Qt.Key, keys: Qt.KeyboardModifier = NONE) -> None:
        """Press a key wherever the focus is."""
        target = QApplication.focusWidget()
        assert target is not None, "nothing has the focus"
        QTest.keyClick(target, key, keys)

    def type_focused(self, text: str) -> None:
        """Type wherever the focus is."""
        target = QApplication.focusWidget()
        assert isinstance(target, (QLineEdit, QAbstractSpinBox)), f"{target!r} takes no text"
        QTest.keyClicks(target, text)

    def point(self, y: float, x: float) -> QPoint:
        """Where a slide position is on the canvas; it must be visible."""
        native = self.window.canvas.picture.native
        sx, sy = self.window.canvas.view.to_screen(y, x)
        place = QPoint(round(sx), round(sy))
        assert native.rect().contains(place), f"y {y}, x {x} is not visible"
        return place

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press at a slide position, move, release at another."""
        native = self.window.canvas.picture.native
        a, b = self.point(*start), self.point(*end)
        QTest.mousePress(native, LEFT, NONE, a)
        for share in (0.2, 0.5, 0.8, 1.0):
            QTest.mouseMove(native, a + (b - a) * share)
        QTest.mouseRelease(native, LEFT, NONE, b)

    def click_slide(self, y: float, x: float) -> None:
        """Click a slide position."""
        QTest.mouseClick(self.window.canvas.picture.native, LEFT, NONE, self.point(y, x))

    def click(self, widget: QWidget) -> None:
        """Click a button, after scrolling to it as a user would."""
        parent = widget.parentWidget()
        while parent is not None:
            if isinstance(parent, QScrollArea):
                parent.ensureWidgetVisible(widget)
            parent = parent.parentWidget()
        self.wait_until(widget.isVisible, f"{_name(widget)} to be visible")
        self.wait_until(widget.isEnabled, f"{_name(widget)} to be usable ({widget.toolTip()})")
        QTest.mouseClick(widget, LEFT, NONE, widget.rect().center())

    def click_cell(self, view: Any, row: int) -> None:
        """Click an item of a list or the first column of a table."""
        QTest.qWait(MOMENT_MS)  # a view may be about to scroll to what was selected last
        index = view.model().index(row, 0)
        view.scrollTo(index)
        QTest.mouseClick(view.viewport(), LEFT, NONE, view.visualRect(index).center())

    def drop(self, path: Path) -> None:
        """Drop a file on the window."""
        drop_on(self.window, path)

    @contextmanager
    def answering_file_dialog(self, path: Path) -> Iterator[None]:
        """Answer the file dialog that opens inside the block: type a file, or go to a folder, and accept."""
        problems: list[str] = []
        clicks: list[QFileDialog] = []
        timer = QTimer(self.window)
        timer.setInterval(MOMENT_MS)

        def answer() -> None:
            dialog = QApplication.activeModalWidget()
            if not isinstance(dialog, QFileDialog):
                return
            line = dialog.findChild(QLineEdit, "fileNameEdit")
            buttons = dialog.findChild(QDialogButtonBox)
            if line is None or buttons is None or len(clicks) == MOST_CLICKS:
                problems.append(f"the file dialog did not take {path}")
                dialog.reject()
                return
            if dialog.fileMode() == QFileDialog.FileMode.Directory:
                dialog.setDirectory(str(path))  # Qt takes a typed folder only after it has read the disk
                line.clear()
            elif line.text() != str(path):
                line.selectAll()
                QTest.keyClicks(line, str(path))
            accepting = QDialogButtonBox.ButtonRole.AcceptRole
            accept = next(button for button in buttons.buttons() if buttons.buttonRole(button) == accepting)
            clicks.append(dialog)
            QTest.mouseClick(accept, LEFT)  # the first click may only close the list of completions

        timer.timeout.connect(answer)
        timer.start()
        yield
        timer.stop()
        timer.deleteLater()
        assert clicks and not problems, problems or "no file dialog opened"

    @contextmanager
    def in_dialog(self, kind: type[QDialog], act: Callable[[Any], None]) -> Iterator[None]:
        """Do something in the dialog of this kind that opens inside the block, and close it if it is still open."""
        problems: list[BaseException] = []
        opened: list[QDialog] = []
        timer = QTimer(self.window)
        timer.setInterval(MOMENT_MS)

        def enter() -> None:
            dialog = QApplication.activeModalWidget()
            if not isinstance(dialog, kind):
                return
            if not dialog.isActiveWindow():  # it takes no keys before
                dialog.activateWindow()
                return
            timer.stop()
            opened.append(dialog)
            try:
                act(dialog)
            except BaseException as problem:  # raised below: an exception in a dialog's own loop goes nowhere
                problems.append(problem)
            if dialog.isVisible():
                dialog.reject()

        timer.timeout.connect(enter)
        timer.start()
        yield
        timer.stop()
        timer.deleteLater()
        if problems:
            raise problems[0]
        assert opened, f"no {kind.__name__} opened"

    # -- what stories have in common ---------------------------------------------------------------------------------

    def wait_for_slide(self) -> None:
        """Wait until a slide and its pixels are on screen."""
        self.wait_until(lambda: self.session.mosaic is not None, "the slide to open")
        self.wait_until(lambda: len(self.window.canvas.picture.model.layers) > 0, "the picture")
        self.wait_until(lambda: self.window.canvas.picture.native.width() > 300, "the canvas to have its size")
        self.have_keyboard()
        self.window.canvas.setFocus()

    def draw_box(self, y0: float, x0: float, y1: float, x1: float) -> int:
        """Draw a box with the mouse; returns its id."""
        before = {int(number) for number in self.session.table.rows["id"]}
        if self.session.tool != "draw":
            self.press(KEY.Key_B)
        self.drag((y0, x0), (y1, x1))
        made = [int(number) for number in self.session.table.rows["id"] if int(number) not in before]
        assert len(made) == 1, f"one box was drawn, {len(made)} came"
        return made[0]

    def place_mark(self, y: float, x: float, stage: Callable[[float, float], tuple[float, float]]) -> None:
        """Click a mark on the slide and type the stage position there (``stage`` takes y, x and gives x, y in mm)."""
        project, slide = self.session.project, self.session.slide
        assert project is not None and slide is not None
        count = len(project.marks.of_slide(slide.id))
        if self.session.tool != "mark":
            self.press(KEY.Key_M)
        table = self.window.docks["sem"].build().table
        self.wait_until(table.isVisible, "the table of marks")
        self.click_slide(y, x)
        marks = project.marks.of_slide(slide.id)
        assert len(marks) == count + 1, "a click with the mark tool places one mark"
        table = self.window.docks["sem"].build().table
        self.wait_until(
            lambda: (
                isinstance(QApplication.focusWidget(), QLineEdit) and table.isAncestorOf(QApplication.focusWidget())
            ),
            "the mark's stage position to be asked for",
        )
        stage_x, stage_y = stage(marks[-1].y_px, marks[-1].x_px)
        self.type_focused(f"{stage_x:.5f}")
        self.press_focused(KEY.Key_Tab)
        self.wait_until(
            lambda: project.marks.of_slide(slide.id)[-1].stage_x_mm is not None, "the stage's x to be taken"
        )
        self.wait_until(lambda: _is_typing(table), "the stage's y to be asked for")
        self.type_focused(f"{stage_y:.5f}")
        self.press_focused(KEY.Key_Return)
        self.wait_until(
            lambda: project.marks.of_slide(slide.id)[-1].stage_y_mm is not None, "the stage's y to be taken"
        )

    def align(self) -> None:
        """Press Align in the SEM dock."""
        dock = self.window.docks["sem"].build()
        self.click(dock.align)
        self.wait_until(lambda: dock.registration is not None, "the alignment")

    def export(self, name: str, path: Path, *, panel: Any = None) -> None:
        """Press an export button (of the SEM dock) and answer its file dialog; ``path`` is where the file will be."""
        from microscope_qc.workflows.exports import export_named

        panel = panel or self.window.docks["sem"].build().exports
        is_folder = export_named(name).is_folder
        written: list[Any] = []
        panel.exported.connect(written.append)
        with self.answering_file_dialog(path.parent if is_folder else path):
            self.click(panel.buttons[name])
        self.wait_until(lambda: written or "not written" in panel.done.text(), f"the export {name}")
        panel.exported.disconnect(written.append)
        assert written, panel.done.text()
        found = Path(written[0])
        right = found.parent == path.parent if is_folder else found == path
        assert right, f"{found} was written instead of {path}"

    def wait_for_crops(self, *providers: Any) -> None:
        """Wait until all crops are read."""
        self.wait_until(lambda: all(crops.waiting == 0 for crops in providers), "the crops")


def _is_typing(table: QWidget) -> bool:
    """Whether a cell of a table takes text."""
    focused = QApplication.focusWidget()
    return isinstance(focused, QLineEdit) and table.isAncestorOf(focused)


def _name(widget: QWidget) -> str:
    text = getattr(widget, "text", None)
    return (text() if callable(text) else "") or widget.objectName() or type(widget).__name__


def state_of(project: Project) -> dict[str, Any]:
    """Everything a user can see of a project, as JSON values."""
    boxes = {}
    for slide in project.slides:
        for row in project.boxes.table(slide.id).rows:
            values = {name: row[name].item() if hasattr(row[name], "item") else row[name] for name in row.dtype.names}
            values["confidence"] = None if np.isnan(row["confidence"]) else round(float(row["confidence"]), 6)
            boxes[str(values.pop("id"))] = {**values, "slide": slide.name}
    return {
        "slides": [[slide.name, list(slide.shape_px), list(slide.pixel_size_um or ())] for slide in project.slides],
        "boxes": boxes,
        "marks": [
            [mark.name, mark.y_px, mark.x_px, mark.stage_x_mm, mark.stage_y_mm]
            for slide in project.slides
            for mark in project.marks.of_slide(slide.id)
        ],
        "areas": [[area.slide_id, area.outline.to_json(), sorted(area.class_ids)] for area in project.areas],
        "alignments": [[record.name, record.data] for record in project.registrations],
        "runs": [[run.id, run.state, run.found, run.shown] for run in project.runs],
        "history": [entry.title for entry in project.history.entries(500) if not entry.undone],
        "undo": project.history.undo_title if project.history.can_undo else "",
        "confidence": round(project.inclusion.current.confidence_limit, 6),
    }


def stage_position(y: float, x: float, pixel_size_um: tuple[float, float]) -> tuple[float, float]:
    """Stage position x, y in mm of a slightly rotated sample, on a stage whose y axis points up."""
    angle = np.radians(7.5)
    u, v = x * pixel_size_um[1] / 1000, -y * pixel_size_um[0] / 1000
    return 42.0 + u * np.cos(angle) - v * np.sin(angle), 17.5 + u * np.sin(angle) + v * np.cos(angle)


def run_when_shown(window: MainWindow, story: Callable[[], None]) -> None:
    """Run a story once the event loop turns; one that fails ends the process with the window's log."""
    window.show()
    QTest.qWaitForWindowExposed(window)

    def begin() -> None:
        try:
            story()
        except BaseException:
            sys.excepthook = sys.__excepthook__
            traceback.print_exc()
            print(window.errors.log.text(), file=sys.stderr)
            sys.stderr.flush()
            os._exit(1)

    QTimer.singleShot(0, begin)


def drop_on(widget: QWidget, *paths: Path) -> None:
    """Drop files on a widget."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    entering = QDragEnterEvent(QPoint(60, 60), Qt.DropAction.CopyAction, data, LEFT, NONE)
    QApplication.sendEvent(widget, entering)
    assert entering.isAccepted(), f"{_name(widget)} takes no files"
    QApplication.sendEvent(widget, QDropEvent(QPointF(60, 60), Qt.DropAction.CopyAction, data, LEFT, NONE))
