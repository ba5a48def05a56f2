"""YAML of an untrusted file: text, lists and dictionaries only."""

from __future__ import annotations

from typing import Any

import yaml


class TextLoader(yaml.BaseLoader):  # type: ignore[misc]  # the package has no types
    """Makes no objects and knows no tags, so a class may be called ``no`` or ``007``.

    Parameters
    ----------
    text
        Content of the file.
    deepest
        Lists in lists that are read; the scanner's time grows with the square of it.
    """

    def __init__(self, text: str, *, deepest: int) -> None:
        super().__init__(text)
        self._left = deepest

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse aliases and deep nesting, which let a short file grow without limit."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not read", self.peek_event().start_mark)
        if self._left == 0:
            raise RecursionError
        self._left -= 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._left += 1


def parse(text: str, *, deepest: int) -> Any:
    """Value of the first and only document; None of an empty one.

    Raises
    ------
    yaml.YAMLError
        When it is not YAML, holds several documents, or repeats parts of itself by aliases.
    RecursionError
        When it is nested more deeply than ``deepest``.
    """
    loader = TextLoader(text, deepest=deepest)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()
