"""Begins a package that adds a network, a slide format, a statistic and a panel, from the template of the program."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from microscope_qc.core.errors import InputError
from microscope_qc.core.files import WriteError, atomic_write
from microscope_qc.core.resources import resource

FOLDER = "plugin_template"
_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_LONGEST = 40
_TEXTS = (".py", ".toml", ".md")


@dataclass(frozen=True, slots=True)
class NewPlugin:
    """A package that was begun: its folder, the names of the distribution and of the Python package, and its files."""

    folder: Path
    distribution: str
    package: str
    files: tuple[Path, ...]


def new_plugin(name: str, parent: Path) -> NewPlugin:
    """Write the package ``microscope-qc-NAME`` into a new folder of that name.

    Parameters
    ----------
    name
        Small letters, digits and hyphens, as ``our-lab``; it becomes part of everything that the package adds.
    parent
        Folder that the new one is made in.

    Raises
    ------
    InputError
        When the name cannot be one, or the folder is there already.
    WriteError
        When it cannot be written.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST or name == "template":
        raise InputError(
            f"{name!r} cannot be the name of a package.",
            hint=f"Take small letters, digits and hyphens, {_LONGEST} at most, such as our-lab.",
        )
    distribution, package = f"microscope-qc-{name}", f"microscope_qc_{name.replace('-', '_')}"
    folder = parent / distribution
    if folder.exists():
        raise InputError(f"{folder} is there already.", hint="Choose another name or another place.")
    source = resource(FOLDER)
    texts = {
        path.relative_to(source): path.read_text(encoding="utf-8")
        for path in sorted(source.rglob("*"))
        if path.suffix in _TEXTS and "__pycache__" not in path.parts
    }
    written = []
    for path, text in texts.items():
        target = folder / _renamed(str(path), name, package)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(
                f"{target.parent} cannot be made ({error.strerror}).", hint="Choose another place."
            ) from error
        atomic_write(target, _renamed(text, name, package))
        written.append(target)
    return NewPlugin(folder, distribution, package, tuple(written))


def _renamed(text: str, name: str, package: str) -> str:
    """Text of the template with the name in place of the word template."""
    title = name.replace("-", " ").capitalize()
    words = {
        "microscope_qc_template": package,
        "test_template": f"test_{name.replace('-', '_')}",
        "Template": title,
        "template": name,
    }
    # in one pass, as the name may hold words of the template itself
    return re.sub("|".join(words), lambda found: words[found[0]], text)
