"""Connections from the session's signals to widgets that may go away before the session does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psygnal import SignalInstance
from qtpy.QtCore import QObject


def link(owner: QObject, signal: SignalInstance, slot: Callable[..., Any]) -> None:
    """Connect ``slot`` for as long as ``owner`` lives: calling into a deleted widget would be an error."""
    signal.connect(slot)
    owner.destroyed.connect(lambda: signal.disconnect(slot, missing_ok=True))
