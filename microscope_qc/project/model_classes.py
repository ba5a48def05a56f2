"""Which classes of a project the codes of a model mean that is trained in it: ``classes.json`` in the model's folder.

A model knows its classes by their codes; ids stay when a class is renamed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.files import atomic_write

NAME = "classes.json"
_LARGEST_BYTES = 1 << 20


def write_model_classes(folder: Path, classes: Mapping[str, int]) -> None:
    """Keep the ids of classes by the codes that they have now.

    Raises
    ------
    WriteError
        When it cannot be written.
    """
    atomic_write(folder / NAME, json.dumps(dict(classes), ensure_ascii=False) + "\n")


def read_model_classes(folder: Path) -> dict[str, int]:
    """The ids of classes by the codes that they had; empty where that is not kept, or damaged."""
    path = folder / NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8")) if path.stat().st_size <= _LARGEST_BYTES else None
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(document, dict):
        return {}
    return {code: number for code, number in document.items() if type(number) is int}


def class_changes(then: Mapping[str, int], learned: Collection[str], now: Iterable[DefectClass]) -> list[str]:
    """Sentences about the classes that a model learns, and that are called otherwise now, or are no more."""
    codes = {defect.id: defect.code for defect in now}
    said = []
    for code in learned:
        number = then.get(code)
        if number is None or codes.get(number) == code:
            continue
        if number in codes:
            said.append(
                f"{code} was renamed since the training began: what the model finds of it is {codes[number]} here."
            )
        else:
            said.append(
                f"{code} was merged or deleted since the training began: the model still looks for it, and a detection "
                f"would make the class {code} again."
            )
    return said
