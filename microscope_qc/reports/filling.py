"""Fills templates: the package's own, and those of a lab, which may do nothing but read what they are given."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from microscope_qc.core.errors import InputError, MicroscopeQCError
from microscope_qc.reports.language import Language

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = Path(__file__).parent / "templates"
LARGEST_BYTES = 4 << 20
_UNKNOWN = (
    re.compile(r"'(?P<name>\w+)' is undefined"),
    re.compile(r"has no (?:attribute|element) '?(?P<name>\w+)'?"),
    re.compile(r"[Nn]o (?:filter|test) named '(?P<name>[^']+)'"),
)


def environment(language: Language | None = None, *, lab: Path | None = None, **filters: Any) -> Environment:
    """Return where templates are filled: in a sandbox, with everything escaped that is not marked as safe.

    Parameters
    ----------
    lab
        A template of a lab, which may extend and include those of the package.
    """
    from jinja2 import StrictUndefined
    from jinja2.loaders import ChoiceLoader, FileSystemLoader, FunctionLoader
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    own = FileSystemLoader(FOLDER)
    loader = own if lab is None else ChoiceLoader([FunctionLoader(_reader(lab)), own])
    made = ImmutableSandboxedEnvironment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= (language or Language()).filters() | filters
    return made


def _reader(lab: Path) -> Callable[[str], tuple[str, str, Callable[[], bool]] | None]:
    """Return what finds the lab's template by its path alone."""

    def read(name: str) -> tuple[str, str, Callable[[], bool]] | None:
        return (_text_of(lab), str(lab), lambda: True) if name == str(lab) else None

    return read


def _text_of(lab: Path) -> str:
    try:
        with lab.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
        if len(data) > LARGEST_BYTES:
            raise InputError(f"{lab.name} is too large to be a template.")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"The template {lab} cannot be read ({error.strerror or error}).") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{lab.name} is not a text in UTF-8.", hint="Save it as UTF-8.") from error


def fill(name: str, values: Mapping[str, Any], *, within: Environment, lab: Path | None = None) -> str:
    """Fill a template of the package, or the one of a lab.

    Raises
    ------
    InputError
        When a lab's template is wrong: what is wrong is named, and its line.
    """
    if lab is None:
        page: str = within.get_template(name).render(values)
        return page
    try:
        filled: str = within.get_template(str(lab)).render(values)
        return filled
    except MicroscopeQCError:
        raise
    except Exception as error:  # a template may do anything wrong
        _explain(error, f"{lab.name}{_line_of(error, str(lab))}")


def _line_of(error: BaseException, file_name: str) -> str:
    """``, line 12``: Jinja puts lines of the template into the traceback."""
    number = getattr(error, "lineno", None)
    step = error.__traceback__
    while number is None and step is not None:
        if step.tb_frame.f_code.co_filename == file_name:
            number = step.tb_lineno
        step = step.tb_next
    return "" if number is None else f", line {number}"


def _explain(error: Exception, where: str) -> NoReturn:
    """Raise an error that names what is wrong and where.

    Raises
    ------
    InputError
        Always.
    """
    said = str(error)
    for pattern in _UNKNOWN:
        found = pattern.search(said)
        if found:
            hint = "“report --schema” on the command line lists the fields."
            raise InputError(f"{where}: there is no {found['name']}.", hint=hint) from error
    raise InputError(f"{where}: {said[:300] or type(error).__name__}.", hint="Correct the template.") from error


class TemplateFields:
    """Single fields, as they stand in a Word file: ``total.per_mm2 | number``."""

    def __init__(self, within: Environment) -> None:
        self._within = within

    def value(self, expression: str, values: Mapping[str, Any], *, where: str, typed: str = "") -> Any:
        """Return what a field stands for; ``typed`` is how it is called in messages, "" as it is.

        Raises
        ------
        InputError
            When there is no such field; it and the place are named.
        """
        from jinja2 import Undefined

        try:
            found = self._within.compile_expression(expression, undefined_to_none=False)(**values)
            if isinstance(found, Undefined):
                str(found)  # raises
        except Exception as error:  # a field may be anything that someone typed
            _explain(error, f"{where}, field {{{{{(typed or expression).strip()[:60]}}}}}")
        return found
