"""The table of actions: panels, commands and the window register what they offer, and everything is made from it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace

from qtpy.QtGui import QKeySequence

from microscope_qc.app.actions.action import Action

log = logging.getLogger(__name__)

MENUS = ("File", "Edit", "View", "Slide", "Detect", "Review", "SEM", "Models", "Help")
"""Menus in order; any other menu is placed before the last one."""

FIXED_KEYS: tuple[tuple[str, str], ...] = (
    ("Space (hold)", "Pan"),
    ("Wheel", "Zoom at the cursor"),
    ("Ctrl + drag", "Select an area"),
    ("Shift + click", "Add to the selection"),
    ("Drag (several selected)", "Move them together"),
    ("Click (drawing)", "A box of the default size of its class"),
    ("Shift + drag (measuring)", "Rotate in steps of 15°"),
    ("Ctrl + arrows", "Move the selection by 1 px (with Shift by 10 px)"),
)
"""Gestures that are not actions, for the shortcut page."""


class ActionTable:
    """All actions, by menu and group, within a group in the order in which they were registered.

    Iterating goes through them in that order; those without a menu come last.
    """

    def __init__(self) -> None:
        self._actions: dict[str, Action] = {}
        self._owners: dict[str, str] = {}  # of keys

    def register(self, actions: Iterable[Action]) -> None:
        """Add actions: all of them, or none if an id is taken.

        A key that another action already has is removed from the new one: Qt would trigger neither of the two.

        Raises
        ------
        ValueError
            If an id is taken; the message names it.
        """
        new: dict[str, Action] = {}
        for action in actions:
            if action.id in self._actions or action.id in new:
                raise ValueError(f"there is already an action {action.id}")
            new[action.id] = action
        for action in new.values():
            self._actions[action.id] = self._with_free_keys(action)

    def _with_free_keys(self, action: Action) -> Action:
        free = []
        for key in action.shortcuts:
            owner = self._owners.setdefault(same_key(key), action.id)
            if owner == action.id:
                free.append(key)
            else:
                log.warning("%s does not get the key %s, which %s already has", action.id, key, owner)
        return replace(action, shortcuts=tuple(free)) if len(free) < len(action.shortcuts) else action

    def __iter__(self) -> Iterator[Action]:
        titles = self.menus()

        def place(action: Action) -> tuple[int, int]:
            title = action.menu.partition("/")[0]
            return titles.index(title) if title else len(titles), action.group

        return iter(sorted(self._actions.values(), key=place))

    def __getitem__(self, action_id: str) -> Action:
        return self._actions[action_id]

    def menus(self) -> list[str]:
        """Titles of the menus, in their order."""
        named = [action.menu.partition("/")[0] for action in self._actions.values()]
        further = dict.fromkeys(title for title in named if title and title not in MENUS)
        return [*MENUS[:-1], *further, MENUS[-1]]


def same_key(text: str) -> str:
    """Return a key in one spelling, so that keys can be compared."""
    return QKeySequence(text).toString(QKeySequence.SequenceFormat.PortableText)
