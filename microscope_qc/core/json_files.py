"""Reads small files of JSON that users choose: class sets, rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from microscope_qc.core.errors import InputError
from microscope_qc.core.files import special_kind

LARGEST_BYTES = 4_000_000


def read_json(path: Path, *, what: str, suffix: str) -> Any:
    """Read a file.

    Parameters
    ----------
    what, suffix
        What the file is for, and how its name ends, for the messages.

    Raises
    ------
    InputError
        When it cannot be read, is larger than 4 MB or is not JSON.
    """
    choose = f"Choose a file NAME{suffix}."
    if kind := special_kind(path):
        raise InputError(f"{path.name} is {kind}, not a file.", hint=choose)
    try:
        raw = b"" if (large := path.stat().st_size > LARGEST_BYTES) else path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({error.strerror or error}).", hint="Check the path.") from error
    if large:
        raise InputError(f"{path.name} is too large for {what}.", hint=choose)
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path.name} is not valid JSON.", hint=choose) from error
