"""Every command is described once, the same in the help, its parser and the README."""

from __future__ import annotations

import argparse
import re

import pytest
from command_table import README, in_readme, nested, parser_of, table

from microscope_qc import cli

COMMANDS = [name for group in cli.COMMANDS.values() for name in group]


def leaves(parser: argparse.ArgumentParser):
    """Parsers of commands without further subcommands."""
    return cli._leaves(parser)


def test_the_readme_lists_every_command_and_only_those():
    found = in_readme(README.read_text(encoding="utf-8"))
    assert found is not None
    assert found.group() == table(), "python -m tests.command_table writes it"


def test_every_module_of_the_room_belongs_to_a_command():
    modules = {path.stem for path in (README.parent / "microscope_qc" / "cli").glob("*.py")}
    shared = {"__init__", "edx_classes", "fault", "json_lines", "parent", "parts", "planes", "progress", "slide_fields"}
    shared |= {"window"}
    assert modules - shared == set(cli.MODULE_OF.values())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_describes_itself_and_its_arguments(command):
    for parser in leaves(parser_of(command)):
        assert parser.description, parser.prog
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction) or action.dest == "help":
                continue
            assert action.help or action.metavar or action.choices, (parser.prog, action.dest)
            assert not re.search(r"\b(mend|finds?\b(?= (that|which|chosen|too))|person|anew)\b", action.help or "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_answers_as_json(command):
    """Every command that prints a result offers it as a JSON document."""
    for parser in leaves(parser_of(command)):
        assert "--json" in parser._option_string_actions, parser.prog
        assert "--progress" in parser._option_string_actions, parser.prog


def test_modules_offer_the_commands_that_are_listed_for_them():
    for module in set(cli.MODULE_OF.values()):
        offered = set(nested(cli._command_parser(module)).choices)
        assert offered == {name for name, of in cli.MODULE_OF.items() if of == module}
