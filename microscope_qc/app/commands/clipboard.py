"""Findings on the system's clipboard: a table for other programs, boxes for this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QMimeData
from qtpy.QtWidgets import QApplication

from microscope_qc.app.session.clipboard import MIME_TYPE, MOST, NOT_OURS, CopiedBoxes
from microscope_qc.core.errors import InputError

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session


def put_findings(session: Session, ids: np.ndarray) -> None:
    """Copy findings as a table, and those on the slide on screen as boxes too unless there are too many to paste."""
    from microscope_qc.app.widgets.findings_text import as_text

    data = QMimeData()
    data.setText(as_text(session, ids))
    here = session.on_screen(ids)
    if 0 < len(here) <= MOST:
        data.setData(MIME_TYPE, session.editing.copied(here).to_json())
    board = QApplication.clipboard()
    if board is not None:
        board.setMimeData(data)


def findings() -> CopiedBoxes:
    """Return the findings on the clipboard.

    Raises
    ------
    InputError
        When there are none.
    """
    board = QApplication.clipboard()
    data = board.mimeData() if board is not None else None
    if data is None or not data.hasFormat(MIME_TYPE):
        raise InputError(NOT_OURS, hint="Copy findings with Ctrl C first.")
    return CopiedBoxes.from_json(bytes(data.data(MIME_TYPE).data()))
