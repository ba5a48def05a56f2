"""One thing a user can do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from microscope_qc.app.actions.checks import Check, always

if TYPE_CHECKING:
    from microscope_qc.app.context import Context


@dataclass(frozen=True, slots=True)
class Action:
    """One thing a user can do: menus, tool bar, command palette and shortcut page show it.

    Parameters
    ----------
    menu
        A path such as "View/Theme"; "" keeps the action out of menus, palette and shortcut page.
    run
        Called when the action is triggered.
    shortcuts
        Default keys.
    when
        Returns "" when it can be done, otherwise a sentence that says why not.
    group
        Number of its group in the menu; a line is drawn between groups.
    checked
        Makes the action checkable; returns whether it is checked.
    words
        Returns a text that depends on the state of the window; ``text`` is used when it returns "".
    """

    id: str
    text: str
    menu: str
    run: Callable[[Context], object]
    shortcuts: tuple[str, ...] = ()
    icon: str = ""
    tooltip: str = ""
    when: Check = always
    group: int = 0
    toolbar: bool = False
    checked: Callable[[Context], bool] | None = None
    words: Callable[[Context], str] | None = None
