"""What lies around the label files of a YOLO data set: names of classes, and files that hold no labels."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microscope_qc.core.errors import ExchangeError
from microscope_qc.exchange.document import class_code
from microscope_qc.exchange.loading import expect, read_head, read_text, read_yaml

MOST_CLASSES = 100_000
YAML_SUFFIXES = (".yaml", ".yml")
_LISTS = ("classes.txt", "obj.names", "_darknet.labels")
_NO_LABELS = {*_LISTS, "train.txt", "val.txt", "valid.txt", "test.txt", "labels.txt", "requirements.txt", "license.txt"}
_LAYOUT = {"labels", "images", "train", "val", "valid", "test", "obj_train_data", "obj_valid_data", "obj_test_data"}
MOST_LEVELS = 3


@dataclass(frozen=True, slots=True)
class YoloNames:
    """Names of classes by number, and the shape (points, numbers for each) of the points of a pose."""

    codes: tuple[str, ...] = ()
    points: tuple[int, int] | None = None

    def code_of(self, number: int) -> str:
        """Name of a class; its number where it has none."""
        name = self.codes[number] if 0 <= number < len(self.codes) else ""
        return name or f"class {number}"


def holds_no_labels(file: Path) -> bool:
    """Whether a text file is something else, by its name: ``README.dataset.txt``, ``classes.txt``.

    Unless it begins with the numbers of a label: a picture may be called so.
    """
    name = file.name.lower()
    return (name in _NO_LABELS or name.startswith("readme")) and not _begins_with_label(file)


def _begins_with_label(file: Path) -> bool:
    words = read_head(file).split(b"\n", 1)[0].split()
    try:
        return len(words) >= 5 and all(math.isfinite(float(word)) for word in words)
    except ValueError:
        return False


class NameFinder:
    """Finds the names of classes for label files: in their own folder or one above it, up to the chosen one.

    Above the chosen folder it goes on while the folders are those of a data set (``labels``, ``train``, ...); at last
    the folders inside the chosen one are looked through.
    """

    def __init__(self, chosen: Path) -> None:
        self._chosen = chosen if chosen.is_dir() else chosen.parent
        self._known: dict[Path, YoloNames | None] = {}

    def of(self, file: Path) -> YoloNames:
        """Names for a label file; none where there are none.

        Raises
        ------
        ExchangeError
            When a file of names cannot be read, or two in one folder differ.
        """
        for folder in self._above(file.parent):
            if folder not in self._known:
                self._known[folder] = _names_in(folder)
            names = self._known[folder]
            if names is not None:
                return names
        return self._inside()

    def _above(self, folder: Path) -> list[Path]:
        folders = [folder]
        while folder != self._chosen and self._chosen in folder.parents:
            folder = folder.parent
            folders.append(folder)
        for _ in range(MOST_LEVELS):
            inside, folder = folder, folder.parent
            if folder == inside:
                break
            folders.append(folder)
            if folder.name.lower() not in _LAYOUT:
                break
        return folders

    def _inside(self) -> YoloNames:
        if self._chosen / "*" not in self._known:
            below = [p for p in sorted(self._chosen.iterdir()) if p.is_dir()]
            found = {names for names in map(_names_in, below) if names is not None}
            self._known[self._chosen / "*"] = found.pop() if len(found) == 1 else None
        return self._known[self._chosen / "*"] or YoloNames()


def _names_in(folder: Path) -> YoloNames | None:
    """Names that a folder holds; of two files that name the classes differently neither is believed."""
    found: dict[str, YoloNames] = {}
    for name in _LISTS:
        if (folder / name).is_file() and holds_no_labels(folder / name):
            lines = [class_code(line) for line in read_text(folder / name).splitlines()]
            found[name] = YoloNames(tuple(lines[: max((n for n, line in enumerate(lines, 1) if line), default=0)]))
    for file in sorted(p for p in folder.iterdir() if p.suffix.lower() in YAML_SUFFIXES and p.is_file()):
        names = names_of_yaml(file)
        if names is not None:
            found[file.name] = names
    named = [(name, names) for name, names in found.items() if names.codes]
    for name, names in named[1:]:
        if names.codes != named[0][1].codes:
            raise ExchangeError(
                f"{named[0][0]} and {name} in {folder.name} name the classes differently.",
                hint="Leave only the right one in the folder.",
            )
    points = next((names.points for names in found.values() if names.points), None)
    return YoloNames(named[0][1].codes if named else (), points) if found else None


def names_of_yaml(file: Path) -> YoloNames | None:
    """``names`` of an Ultralytics data file, a list, or a mapping from class numbers; None where it has none.

    Raises
    ------
    ExchangeError
        When it is not YAML, or its names are neither.
    """
    try:
        root = read_yaml(file)
    except ExchangeError:
        if file.stem.lower() in ("data", "dataset"):
            raise
        return None  # any other YAML is none of ours
    if not isinstance(root, dict) or not {"names", "train", "val", "nc", "kpt_shape"} & root.keys():
        return None
    names = root.get("names") or []
    if isinstance(names, list):
        names = dict(enumerate(names))
    expect(names, dict, file, "names")
    for name in names.values():
        expect(name, str, file, "a class name")
    try:
        numbered = {int(number): name for number, name in names.items()}
    except ValueError as error:
        raise ExchangeError(
            f"{file.name}: names must be listed by class number.", hint="Write one line for each: 0: scratch"
        ) from error
    if any(not 0 <= number < MOST_CLASSES for number in numbered):
        raise ExchangeError(
            f"{file.name}: a class number is not between 0 and {MOST_CLASSES - 1}.", hint="Correct the class numbers."
        )
    codes = tuple(class_code(numbered.get(number, "")) for number in range(max(numbered, default=-1) + 1))
    return YoloNames(codes, _points(root.get("kpt_shape")))


def _points(value: Any) -> tuple[int, int] | None:
    if isinstance(value, list) and len(value) == 2 and all(re.fullmatch(r"[0-9]{1,4}", str(v)) for v in value):
        count, numbers = int(value[0]), int(value[1])
        return (count, numbers) if count and numbers in (2, 3) else None
    return None
