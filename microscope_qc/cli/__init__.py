"""The command line: ``microscope-qc COMMAND ...``, or paths that open the window.

Every command group is a module of this package with ``register(subparsers)``; it adds its parsers and sets the default
``handler``, a function of the parsed arguments that returns an exit code or None. Exit codes: 0 done, 2 the user's
input, 130 stopped by the user, 1 our fault.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import errno
import importlib
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from microscope_qc import __version__
from microscope_qc.core.errors import Cancelled, InputError, MicroscopeQCError
from microscope_qc.core.file_names import is_text, shown_name

PROG = "microscope-qc"
AUTO = "auto"
JSON_LINES = "--json-lines"
DONE, OUR_FAULT, BAD_INPUT, STOPPED, PIPE_CLOSED = 0, 1, 2, 130, 141

# One line per command: --help lists them from here, so that it need not import any command's module.
COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "Start": {
        "demo": ("demo", "draw a sample slide, find its defects, write every kind of result"),
        "manual": ("manual", "the manual: its contents, a page, or what it says of some words"),
        "plugin": ("plugins", "what other packages add to the program; a package of your own to begin with"),
    },
    "Slides": {
        "info": ("slides", "what a slide file holds: size, channels, pixel size, levels"),
        "convert": ("slides", "copy a slide into an OME-Zarr pyramid"),
        "synth": ("slides", "draw a synthetic cross-section with known defects, or a volume of particles"),
    },
    "Projects": {
        "new": ("project", "make a project from slides"),
        "check": ("project", "test a project for damage, repair it, restore its last backup"),
        "backups": ("backups", "list the backups of a project, make one, go back to one"),
        "slides": (
            "project_slides",
            "the slides of a project, their pixel sizes, and what is known of the specimens",
        ),
        "review": ("review", "confirm, reject, relabel, choose or delete the findings that a query means"),
        "classes": ("classes", "list, add, change, merge, reorder and delete a project's classes; class sets"),
        "history": ("history", "what was done in a project: list it, undo it, do it again"),
        "runs": ("history", "a project's detections: what of them counts; delete them"),
        "filters": (
            "filters",
            "what the window shows of a project, and filters kept by name; no number depends on them",
        ),
        "bookmarks": ("places", "list, add, rename and delete views of slides to come back to"),
        "import": ("exchange", "take annotations into a project; undo takes all of them back"),
        "export": ("exchange", "write findings as annotations, and other files about a project"),
    },
    "Models": {
        "detect": ("detection", "find defects on a project's slides; what was interrupted continues"),
        "unusual": ("unusual", "find what is unlike the rest of a slide, without any label"),
        "batch": ("detection", "the same on all slides of projects, by several processes or machines"),
        "watch": ("watching", "new slides of a folder are added to a project, scanned and reported"),
        "mask": ("masks", "where detections scan a slide: as a picture, and from one"),
        "compare": ("detection", "what two detections of a slide both found, and what only one did"),
        "models": ("models", "the models at hand: list, compare, put in use, export and import them"),
        "train": ("learning", "train a model from projects or annotated pictures"),
        "evaluate": ("learning", "measure a model on a project or annotated pictures"),
        "study": (
            "studies",
            "networks side by side, detectors over all slides; curves over pictures, proposals, steps, rates",
        ),
        "cross-validate": ("folds", "train on four fifths and measure on the fifth, in turn; tables of settings"),
        "explain": ("evidence", "what a classifier takes a place for, and which pixels speak for that"),
        "embed": ("embedding", "look at slides once and keep what a network sees, for learning from labels"),
        "learn": ("suggestions", "how good what is learned from the labels of a project is"),
        "suggest": ("suggestions", "learn from the labels of a project and suggest places on its slides"),
        "similar": ("suggestions", "the findings of a project that look most like one"),
        "dataset": (
            "datasets",
            "cut training pictures; what a data set holds; what is kept for tests",
        ),
    },
    "Volumes": {
        "particles": ("volumes", "label and measure the particles of a volume: sizes, shapes, surface, flawed share"),
        "labels": ("labels", "correct labelled particles: merge, split, undo; measure them again"),
        "structure": ("volumes", "phases of a segmented volume: shares, specific surface, tortuosity"),
    },
    "Results": {
        "severity": ("severity", "how severe findings are, of what that is made, and the profile behind it"),
        "stats": ("reports", "counts and sizes of defects; densities with their areas and intervals"),
        "compare-batches": (
            "batches",
            "batches against each other, and against acceptance limits: pass, fail, undecided",
        ),
        "spc": ("batches", "a control chart over batches: which of them are unusual"),
        "plot": (
            "plots",
            "draw numbers of slides: cross-sections, sizes, dates, fields, places, what the review made of them",
        ),
        "inspect": ("inspections", "blind inspections of areas: what people find there, and how well they agree"),
        "second-review": (
            "second_review",
            "findings judged again by somebody who does not see the first verdict, and how well both agree",
        ),
        "coverage": ("coverage", "in which area each class was searched for; declare areas complete"),
        "report": ("reports", "write a report as HTML, PDF, Word file or JSON, also from your own template"),
        "overview": ("reports", "write a picture of a slide with its defects circled and numbered"),
        "marks": ("places", "list, add, move and delete the marks that align slides with a stage"),
        "alignments": ("places", "list and delete alignments of slides with a stage"),
        "stage": ("stage", "align a slide with a stage from marks; stage positions of chosen findings"),
        "edx": (
            "edx",
            "match EDX measurements with findings; list, link, delete them; classes by composition",
        ),
    },
}
# Started by the program itself, not by a user.
HIDDEN_COMMANDS = {"worker": "worker", "reader": "intake", "print-page": "pages"}

MODULE_OF = {name: module for group in COMMANDS.values() for name, (module, _) in group.items()} | HIDDEN_COMMANDS


# a value, not an option: -5, -1e-3, and regions and sizes that begin with such a number
_NEGATIVE = re.compile(r"-\.?\d[\d.,eE+-]*$")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line instead of printing the whole usage."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)
        self._negative_number_matcher = _NEGATIVE

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        _say(f"{self.prog}: {message.rstrip('.')}. See '{self.prog} --help'.")
        self.exit(BAD_INPUT)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _speak_utf8()
    if JSON_LINES in arguments and arguments[0] in MODULE_OF:
        from microscope_qc.cli.json_lines import spoken

        try:
            return spoken(arguments, _ended)
        except BrokenPipeError:
            _detach_stdout()
            return PIPE_CLOSED
    return _ended(arguments)


def _ended(arguments: list[str]) -> int:
    """Run one command, whatever ends it; return its exit code."""
    try:
        return _guarded(arguments)
    except (Cancelled, KeyboardInterrupt) as error:
        _say(f"Stopped. {error}".strip())
        return STOPPED
    except BrokenPipeError:
        _detach_stdout()
        return PIPE_CLOSED


def _guarded(arguments: list[str]) -> int:
    try:
        code = _run(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except SystemExit as end:  # argparse ends this way
        return end.code if isinstance(end.code, int) else DONE if end.code is None else OUR_FAULT
    except MicroscopeQCError as error:
        _say(str(error))
        return BAD_INPUT
    except (Cancelled, BrokenPipeError):
        raise
    except MemoryError as error:
        return _our_fault(error, "The computer's memory was not enough for this.")
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            _say("The disk is full. Free some space and try again.")
            return BAD_INPUT
        return _our_fault(error, "Something went wrong in the program.")


def _run(arguments: list[str]) -> int:
    if any("\0" in argument for argument in arguments):
        raise InputError("What was given contains a NUL character, which no name can have.", hint="Type it again.")
    for argument in arguments:
        if not is_text(argument):
            raise InputError(f"{shown_name(argument)} is a name that is no text.", hint="Rename the file or folder.")
    command = arguments[0] if arguments else None
    if command in MODULE_OF:
        args = _command_parser(MODULE_OF[command]).parse_args(arguments)
        if args.json_lines and hasattr(args, "json"):
            args.json = True
    elif command in ("-h", "--help", "help"):
        print(_help_text())
        return DONE
    elif command == "--version":
        print(f"{PROG} {__version__}")
        return DONE
    else:
        args = _window_arguments(arguments)
    return args.handler(args) or DONE


def _command_parser(module_name: str) -> argparse.ArgumentParser:
    parser = Parser(prog=PROG)
    parser.set_defaults(progress=AUTO, json_lines=False)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    importlib.import_module(f"{__name__}.{module_name}").register(subparsers)
    for leaf in _leaves(parser):
        add_progress_flag(leaf)
        leaf.add_argument(
            JSON_LINES, action="store_true", default=argparse.SUPPRESS,
            help="print everything as one JSON object per line: start, progress, results, end with the exit code",
        )  # fmt: skip
    return parser


def _leaves(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """Parsers that a command line may end with."""
    nested = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    leaves = [leaf for action in nested for child in action.choices.values() for leaf in _leaves(child)]
    return leaves if any(action.required for action in nested) else [parser, *leaves]


def add_progress_flag(parser: argparse.ArgumentParser) -> None:
    """Give a parser the ``--progress`` flag all commands share."""
    if "--progress" not in parser._option_string_actions:
        parser.add_argument(
            "--progress",
            choices=(AUTO, "none", "json"),
            default=argparse.SUPPRESS,  # given before an action it must not be taken back by the action's own
            help="how to show progress on stderr: a line for people, nothing, or one JSON object per line",
        )


def _window_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(prog=PROG, usage=f"{PROG} [PATH ...]\n       {PROG} COMMAND ...")
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH", help="slides, folders of pictures or projects to open"
    )
    window = importlib.import_module(f"{__name__}.window")
    add_arguments: Callable[[argparse.ArgumentParser], None] | None = getattr(window, "add_arguments", None)
    if add_arguments is not None:
        add_arguments(parser)
    add_progress_flag(parser)
    parser.set_defaults(progress=AUTO)
    args = parser.parse_args(arguments)
    for path in args.paths:
        _require_path(path)
    args.handler = window.handler
    return args


def _require_path(path: Path) -> None:
    try:
        if path.exists():
            return
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}).", hint="Check the path.") from error
    if path.name == str(path) and not path.suffix:
        near = difflib.get_close_matches(str(path), [name for name in MODULE_OF if name not in HIDDEN_COMMANDS], n=1)
        meant = f"Did you mean '{PROG} {near[0]}'?" if near else f"'{PROG} --help' lists the commands."
        raise InputError(f"'{path}' is neither a command nor a file.", hint=meant)
    raise InputError(f"{path} does not exist.", hint="Check the path.")


def _help_text() -> str:
    lines = [
        f"usage: {PROG} [PATH ...]",
        f"       {PROG} COMMAND ...",
        "",
        "Review polished cross-sections: find defects on huge micrographs, judge them, measure them, drive to them.",
        "Without a command the window opens, on the slides, folders of pictures or projects given.",
    ]
    for title, group in COMMANDS.items():
        lines += ["", f"{title}:"]
        lines += [f"  {name:<11} {text}" for name, (_, text) in group.items()]
    lines += ["", f"'{PROG} COMMAND --help' tells more. '{PROG} --version' prints the version."]
    return "\n".join(lines)


def _our_fault(error: BaseException, sentence: str) -> int:
    from microscope_qc.cli.fault import write_fault

    detail = f"{type(error).__name__}: {error}".split("\n", 1)[0][:300]
    _say(f"{sentence} ({detail})")
    log = write_fault(error)
    if log is not None:
        _say(f"Details are in {log}")
    return OUR_FAULT


def _say(text: str) -> None:
    if "microscope_qc.cli.json_lines" in sys.modules:
        from microscope_qc.cli.json_lines import teller

        told = teller()
        if told is not None:
            told.errors_said.append(text)
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)


def _speak_utf8() -> None:
    # Windows consoles and pipes default to a code page that lacks most class names; names of files may be no text
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]


def _detach_stdout() -> None:
    # the interpreter flushes stdout once more at its end and would complain there
    with contextlib.suppress(AttributeError, ValueError, OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
