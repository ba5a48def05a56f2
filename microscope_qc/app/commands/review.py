"""Judging: what the keys of a review do to the selection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QApplication

from microscope_qc.app.commands import clipboard

if TYPE_CHECKING:
    from microscope_qc.app.shell.main_window import MainWindow


DUPLICATE_POINTS = 16
"""How far on screen copies lie from their originals."""


class ReviewCommands:
    """The Edit and Review menus."""

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        self._session = window.session

    def undo(self) -> None:
        """Take the last command back."""
        self._session.undo()

    def redo(self) -> None:
        """Do it again."""
        self._session.redo()

    def copy_table(self) -> None:
        """Put the selected finds on the clipboard as table and boxes, or the length of the line that was measured."""
        if self._session.slide_view.measurement is not None and (
            self._session.tool == "length" or not len(self._session.selection)
        ):
            self.copy_length()
            return
        ids = self._session.selection.ids
        if len(ids):
            clipboard.put_finds(self._session, ids)
            self._session.notice.emit("1 find copied." if len(ids) == 1 else f"{len(ids)} finds copied.")

    def cut_boxes(self) -> None:
        """Copy the selected finds, then delete them."""
        ids = self._session.selection.ids
        if len(ids):
            clipboard.put_finds(self._session, ids)
            self._session.editing.cut(ids)

    def paste_boxes(self) -> None:
        """Put the finds of the clipboard where the mouse is."""
        y, x = self._window.canvas.place_under_mouse()
        self._session.editing.paste(clipboard.finds(), y=y, x=x)

    def duplicate_boxes(self) -> None:
        """Copies of the selected finds beside them."""
        away = DUPLICATE_POINTS / self._window.canvas.view.zoom
        self._session.editing.duplicate(self._session.selection.ids, dy_px=away, dx_px=away)

    def copy_length(self) -> None:
        """Put the measured length and angle on the clipboard."""
        measured, board = self._session.slide_view.measurement, QApplication.clipboard()
        if measured is not None and board is not None:
            words = measured.words(self._session.pixel_size_um)
            board.setText(words.replace("   ", "\t"))
            self._session.notice.emit(f"Copied: {words}")

    def delete_selection(self) -> None:
        """Delete the selected finds."""
        count = len(self._session.selection)
        self._session.delete(self._session.selection.ids)
        if count > 1:
            self._session.notice.emit(f"{count} finds deleted. Undo brings them back.")

    def select_all(self) -> None:
        """Select every shown find of the slide."""
        self._session.selection.set(self._session.shown_rows()["id"].copy())

    def select_none(self) -> None:
        """Give a gesture up, else the measured line, else the tool, else select nothing."""
        if self._window.canvas.give_up():
            return
        if self._session.slide_view.measurement is not None:
            self._session.slide_view.set_measurement(None)
            return
        if self._session.tool != "select":
            self._session.set_tool("select")
        else:
            self._session.selection.clear()

    def press_class_key(self, key: str) -> None:
        """Class of the selection, else class to draw."""
        self._session.press_class_key(key)

    def confirm_next(self) -> None:
        """Confirm and go on."""
        self._session.judge_and_next(self._session.confirm)

    def reject_next(self) -> None:
        """Ask for the reason, reject, go on."""
        self._window.reasons.popup()

    def reject_because(self, reason: str) -> None:
        """Reject and go on."""
        self._session.judge_and_next(lambda ids: self._session.reject(ids, reason))

    def unreview(self) -> None:
        """Take the judgement back."""
        self._session.unreview(self._session.selection.ids)

    def toggle_chosen(self) -> None:
        """Choose for the SEM, or leave out when all are chosen."""
        ids = self._session.selection.ids
        if len(ids):
            self._session.choose(ids, not bool(self._session.table.get(ids)["chosen"].all()))

    def same_for_similar(self) -> None:
        """Preview, then judge all finds like this one."""
        from microscope_qc.app.panels.review.apply_to_similar import SameDialog

        SameDialog(self._session, self._window).exec()

    def next_find(self) -> None:
        """The next one."""
        self._session.next_()

    def previous_find(self) -> None:
        """The one before."""
        self._session.previous()

    def focus_note(self) -> None:
        """Write a note on the selection."""
        card = self._window.show_dock("card")
        note = getattr(card, "note", None)
        if note is not None:
            note.setFocus()
            note.selectAll()
