"""Widgets that change the project: disabled, with the reason, if this window may only read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session

_TIP = "tipWhenEnabled"


def allow(session: Session, *widgets: QWidget, unless: str = "") -> bool:
    """Enable widgets if the project can be changed, else say in their tooltips why not.

    ``unless`` is another reason to disable them. Returns whether they are enabled now.
    """
    reason = session.why_not_write() or unless
    for widget in widgets:
        if widget.property(_TIP) is None:
            widget.setProperty(_TIP, widget.toolTip())
        usual = str(widget.property(_TIP))
        widget.setEnabled(not reason)
        widget.setToolTip(f"{usual}\nNot now: {reason}".strip() if reason else usual)
    return not reason
