"""The README's table of commands, from the parsers: ``python -m tests.command_table`` writes it into README.md."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from microscope_qc import cli

README = Path(__file__).resolve().parent.parent / "README.md"
HEAD = "| Command | |\n|---|---|\n| `microscope-qc [PATH ...]` | open the window on slides or projects |\n"


def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser of a command."""
    return nested(cli._command_parser(cli.MODULE_OF[command])).choices[command]


def nested(parser: argparse.ArgumentParser) -> argparse._SubParsersAction | None:
    """The actions of a command, None where it has none."""
    found = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return found[0] if found else None


def usage(command: str) -> str:
    """What must be given to a command, and its actions."""
    return " ".join([command, *_needed(parser_of(command))])


def _needed(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            names = "|".join(action.choices)
            yield names if action.required else f"[{names}]"
        elif not action.option_strings:
            name = action.metavar or "|".join(map(str, action.choices or [action.dest]))
            yield {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} ..."}.get(action.nargs, str(name))
        elif action.required:
            yield f"{action.option_strings[0]} {action.metavar or action.dest.upper()}"


def table() -> str:
    """The table."""
    lines = [
        f"| `{usage(name).replace('|', chr(92) + '|')}` | {text} |"
        for group in cli.COMMANDS.values()
        for name, (_, text) in group.items()
    ]
    return HEAD + "\n".join(lines) + "\n"


def in_readme(text: str) -> re.Match[str] | None:
    """Where the table stands in the README."""
    return re.search(r"(?<=\n\n)\| Command \| \|\n(?:\|.*\n)+", text)


if __name__ == "__main__":
    before = README.read_text(encoding="utf-8")
    place = in_readme(before)
    assert place is not None
    README.write_text(before[: place.start()] + table() + before[place.end() :], encoding="utf-8")
