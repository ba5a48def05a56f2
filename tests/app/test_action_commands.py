"""What can be done in the window can be done on the command line, or there is a reason why not."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_table import nested, parser_of

from microscope_qc import cli

if TYPE_CHECKING:
    from microscope_qc.app.shell.main_window import MainWindow

TABLE = Path(__file__).with_name("actions_and_commands.tsv")
"""Every action of the window, the command that does it, and what more is to be said."""
VIEW_ONLY = "view only"


def rows() -> list[dict[str, str]]:
    with TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.mark.window
def test_every_action_of_the_window_has_a_command_or_a_reason(the_window: MainWindow) -> None:
    """A new action without a line in the table fails here."""
    assert sorted(row["id"] for row in rows()) == sorted(action.id for action in the_window.book.entries)


def why_not(command: str) -> str:
    """Why there is no such command, "" where there is: its name, its action, its flag and the flag's value."""
    name, *more = command.split()
    if name not in cli.MODULE_OF or name in cli.HIDDEN_COMMANDS:
        return f"no command {name}"
    parser, flags = parser_of(name), [word for word in more if word.startswith("-")]
    actions = nested(parser)
    if more and not more[0].startswith("-"):
        if actions is None or more[0] not in actions.choices:
            return f"{name} has no action {more[0]}"
        parser = actions.choices[more[0]]
    unknown = [flag for flag in flags if flag not in parser._option_string_actions]
    return f"{name} has no {unknown[0]}" if unknown else ""


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["id"])
def test_a_command_of_the_table_is_there(row: dict[str, str]) -> None:
    if row["command"] == VIEW_ONLY:
        assert row["says"], "it says why"
    else:
        assert why_not(row["command"]) == ""


def test_a_command_that_is_not_there_is_noticed() -> None:
    assert why_not("reviews") and why_not("worker") and why_not("slides paint") and why_not("review --colour")
    assert why_not("info add") and why_not("slides add --confirm")
