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
        Does it.
    shortcuts
        Its keys until the user changes them.
    when
        Gives "" when it can be done, otherwise a sentence that says why not.
    group
        Counts up where the menu draws a line.
    checked
        Makes it a switch: whether it is on.
    words
        Its text as long as that depends on something; ``text`` stands where it gives "".
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
