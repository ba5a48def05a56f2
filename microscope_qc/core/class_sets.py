"""Class sets in files: ``NAME.classes.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from microscope_qc.core.cells import one_line, visible
from microscope_qc.core.class_colours import class_colour
from microscope_qc.core.defect_class import CLASS_SETS, DefectClass
from microscope_qc.core.errors import InputError
from microscope_qc.core.files import atomic_write
from microscope_qc.core.json_files import read_json

SUFFIX = ".classes.json"
MOST_CLASSES = 10_000
_TEXTS = ("name", "colour", "key", "description", "group")


def class_set(name: str) -> tuple[DefectClass, ...]:
    """Return a built-in class set by its name, or the one in a file ``NAME.classes.json``.

    Raises
    ------
    InputError
        When it is neither.
    """
    if name in CLASS_SETS:
        return CLASS_SETS[name]
    if name.endswith(".json"):
        return load_class_set(name)
    raise InputError(f"There is no class set {name!r}.", hint=f"Choose {', '.join(CLASS_SETS)} or a file NAME{SUFFIX}.")


def save_class_set(path: Path | str, classes: Iterable[DefectClass]) -> Path:
    """Write classes in their order and return the path (``.classes.json`` is added if it is missing).

    Ids and examples belong to one project, and are not written.

    Raises
    ------
    WriteError
        When the file cannot be written.
    """
    path = Path(path)
    target = path if path.name.endswith(SUFFIX) else path.with_name(path.name.removesuffix(".json") + SUFFIX)
    entries = []
    for defect in classes:
        entry: dict[str, Any] = {"code": defect.code, **{name: getattr(defect, name) for name in _TEXTS}}
        entries.append(entry | {"weight": defect.weight, "box_size_um": defect.box_size_um})
    content = {"format": "microscope-qc classes", "version": 1, "classes": entries}
    atomic_write(target, json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n")
    return target


def load_class_set(path: Path | str) -> tuple[DefectClass, ...]:
    """Read classes in their order.

    Raises
    ------
    InputError
        When the file is not a class set; the message says what is wrong.
    """
    path = Path(path)
    content = read_json(path, what="a class set", suffix=SUFFIX)
    entries = content.get("classes") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not 0 < len(entries) <= MOST_CLASSES:
        raise InputError(f"{path.name} contains no classes.", hint=f"Choose a file NAME{SUFFIX}.")
    classes = tuple(_class(entry, number, path) for number, entry in enumerate(entries))
    codes = [defect.code for defect in classes]
    twice = next((code for code in codes if codes.count(code) > 1), None)
    if twice is not None:
        raise InputError(f"{path.name} lists the class {twice} twice.", hint="Remove one of them.")
    return classes


def _class(entry: Any, number: int, path: Path) -> DefectClass:
    code = entry.get("code") if isinstance(entry, dict) else None
    if not isinstance(code, str) or not one_line(code):
        raise InputError(f"{path.name}: class {number + 1} has no code.", hint="Give it a short code.")
    texts = {name: entry[name] for name in _TEXTS if entry.get(name) is not None}
    weight, size = entry.get("weight", 1.0), entry.get("box_size_um")
    for name, value in texts.items():
        if not isinstance(value, str):
            raise InputError(f"{path.name}: the {name} of class {code} is not text.", hint="Correct it there.")
    for name, value in {"weight": weight, "box_size_um": 1.0 if size is None else size}.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
            raise InputError(f"{path.name}: the {name} of class {code} is not a number.", hint="Correct it there.")
    code, texts = one_line(code), {name: visible(value) for name, value in texts.items()}
    texts = {"name": code, "colour": class_colour(number), **texts}
    side = None if size is None else float(size)
    return DefectClass(code, **texts, weight=float(weight), position=number, box_size_um=side)
