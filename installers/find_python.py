"""Find a Python that microscope_qc runs on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

# pylibCZIrw has no wheel for 3.14; 3.11.0 has a bug that a dependency refuses
OLDEST, NEWEST = (3, 11, 1), (3, 13)
_PROBE = "import sys; print(sys.implementation.name, sys.maxsize > 2**32, *sys.version_info[:3])"


class SetupError(Exception):
    """One sentence for the user, and what to do."""


def fits(version: tuple[int, ...], implementation: str = "cpython", is_64_bit: bool = True) -> bool:
    """Whether a Python of this version can run the program."""
    return implementation == "cpython" and is_64_bit and version[:3] >= OLDEST and version[:2] <= NEWEST


def this_one_fits() -> bool:
    """Whether the running Python can run the program."""
    return fits(sys.version_info[:3], sys.implementation.name, sys.maxsize > 2**32)


def candidates() -> list[list[str]]:
    """Commands that may start a fitting Python on this computer, the likeliest first."""
    commands: list[list[str]] = []
    versions = ("3.12", "3.13", "3.11")
    if os.name == "nt" and shutil.which("py"):
        commands += [["py", f"-{version}"] for version in versions]
    commands += [[path] for path in (shutil.which(f"python{version}") for version in versions) if path]
    folders = [
        *sorted(Path.home().glob(".pyenv/versions/3.1[123].*/bin"), reverse=True),
        *sorted(Path.home().glob(".local/share/uv/python/cpython-3.1[123].*/bin"), reverse=True),
        Path("/usr/local/bin"),
        Path("/usr/bin"),
        Path("/opt/homebrew/bin"),
    ]
    for folder in folders:
        commands += [
            [str(folder / f"python{version}")] for version in versions if (folder / f"python{version}").exists()
        ]
    return commands


def works(command: list[str]) -> bool:
    """Whether a command starts a fitting Python."""
    try:
        answer = subprocess.run([*command, "-c", _PROBE], capture_output=True, text=True, timeout=30, check=True)
        name, wide, *version = answer.stdout.split()
        return fits(tuple(int(part) for part in version), name, wide == "True")
    except (OSError, subprocess.SubprocessError, ValueError):
        return False


def find() -> list[str]:
    """The command of a fitting Python, the running one first.

    Raises
    ------
    SetupError
        When the computer has none.
    """
    if this_one_fits():
        return [sys.executable]
    for command in candidates():
        if works(command):
            return command
    here = ".".join(str(part) for part in sys.version_info[:3])
    raise SetupError(
        f"microscope_qc needs a 64-bit Python 3.11, 3.12 or 3.13; this one is {here} and no other was found.\n"
        + _how_to_install()
    )


def reexec_if_needed(script: str) -> None:
    """Start ``script`` again with a fitting Python when the running one does not fit."""
    if this_one_fits():
        return
    try:
        command = find()
    except SetupError as error:
        sys.exit(str(error))
    print(
        f"This is Python {sys.version_info[0]}.{sys.version_info[1]}; going on with {' '.join(command)}.",
        file=sys.stderr,
    )
    sys.exit(subprocess.call([*command, script, *sys.argv[1:]]))


def _how_to_install() -> str:
    if os.name == "nt":
        return "Install Python 3.12 from python.org or with:  winget install Python.Python.3.12"
    if sys.platform == "darwin":
        return "Install Python 3.12 from python.org or with:  brew install python@3.12"
    if Path("/etc/debian_version").exists():
        return "Install it with:  sudo apt-get install python3.12  (3.11 and 3.13 will do as well)"
    return "Install python3.12 with your system's package manager."
