"""Finds icons, class sets and bundled models, in a wheel and in an editable install alike."""

from __future__ import annotations

from pathlib import Path

from microscope_qc.core.errors import InputError


def resource(*parts: str) -> Path:
    """Path of a bundled file or folder.

    Raises
    ------
    InputError
        When it is missing from the installation.
    """
    package = Path(__file__).resolve().parent.parent
    for root in (package / "resources", package.parent / "resources"):
        path = root.joinpath(*parts)
        if path.exists():
            return path
    raise InputError(f"{'/'.join(parts)} is missing.", hint="Install microscope-qc again.")
