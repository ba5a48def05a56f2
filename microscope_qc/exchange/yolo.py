"""YOLO: one text file per picture, one line per box: class number, then centre and size as shares of the picture.

A sixth number is the confidence, as Ultralytics writes predictions. Class names are in ``classes.txt`` (one per
line), ``obj.names`` or ``data.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.files import atomic_write
from microscope_qc.core.outline import Outline
from microscope_qc.core.plugins import Match
from microscope_qc.exchange.document import Box, Document
from microscope_qc.exchange.format import AnnotationFormat, Candidate
from microscope_qc.exchange.loading import expect, files_of, picture_beside, read_text, read_yaml
from microscope_qc.exchange.pictures import file_paths, folder_of, picture_path, size_for
from microscope_qc.exchange.shapes import Sides, outline_of, whole

MOST_CLASSES = 100_000
_NAME_FILES = ("classes.txt", "obj.names", "data.yaml", "dataset.yaml")
_NO_LABELS = {"classes.txt", "train.txt", "val.txt", "test.txt", "readme.txt"}


def write(path: Path, document: Document) -> list[Path]:
    """Write ``PATH/labels/<picture>.txt``, ``PATH/classes.txt`` and ``PATH/data.yaml``.

    Raises
    ------
    ExchangeError
        When a picture's size is not known.
    """
    import yaml

    codes = document.class_codes()
    written = []
    for name, image in zip(file_paths([image.path for image in document.images]), document.images, strict=True):
        if image.shape_px is None:
            raise ExchangeError(
                f"YOLO needs the size of {image.name}, which is not known.", hint="Choose COCO, or open the slide once."
            )
        number_of = {code: number for number, code in enumerate(codes)}
        lines = [_line(box, number_of[box.class_code], image.shape_px) for box in image.boxes]
        target = path / "labels" / f"{name}.txt"
        atomic_write(target, "".join(f"{line}\n" for line in lines))
        written.append(target)
    one_line = [" ".join(code.split()) for code in codes]
    atomic_write(path / "classes.txt", "".join(f"{code}\n" for code in one_line))
    about = {"path": ".", "train": "images", "val": "images", "names": dict(enumerate(one_line))}
    atomic_write(path / "data.yaml", yaml.safe_dump(about, sort_keys=False, allow_unicode=True, width=1000))
    return [*written, path / "classes.txt", path / "data.yaml"]


def _line(box: Box, number: int, shape_px: tuple[int, int]) -> str:
    height, width = shape_px
    values = (
        (box.x0 + box.x1) / 2 / width,
        (box.y0 + box.y1) / 2 / height,
        (box.x1 - box.x0) / width,
        (box.y1 - box.y0) / height,
    )
    # twelve decimals are a ten-millionth of a pixel on a slide of 100,000 pixels
    text = f"{number} " + " ".join(f"{value:.12f}" for value in values)
    return text if box.score is None else f"{text} {box.score:.6f}"


def read(path: Path, *, sizes: Mapping[str, tuple[int, int]]) -> Document:
    """Read one label file or a folder of them.

    The picture's size is taken from ``sizes``, else from a picture of the same name beside the label file.
    """
    files = [file for file in files_of(path, ".txt") if path.is_file() or file.name.lower() not in _NO_LABELS]
    if not files:
        raise ExchangeError(f"{path.name} holds no label files.", hint="Choose the folder with one .txt per picture.")
    codes = _class_codes(path if path.is_dir() else path.parent)
    document = Document(classes=[DefectClass(code, code) for code in codes if code])
    for file in files:
        _read_file(file, folder_of(file, path), codes, sizes, document)
    return document


def _class_codes(folder: Path) -> list[str]:
    """Class names by number; empty where no list is in the folder, its parent or its subfolders."""
    for place in (folder, folder.parent, *(p for p in sorted(folder.iterdir()) if p.is_dir())):
        for name in _NAME_FILES:
            file = place / name
            if not file.is_file():
                continue
            if file.suffix == ".yaml":
                return _names_of_yaml(file)
            lines = [line.strip() for line in read_text(file).splitlines()]
            return lines[: max((i for i, line in enumerate(lines) if line), default=-1) + 1]
    return []


def _names_of_yaml(file: Path) -> list[str]:
    """``names`` of an Ultralytics data file: a list, or a mapping from class numbers; empty where it has none.

    Raises
    ------
    ExchangeError
        When it is not YAML, or its names are neither.
    """
    root = read_yaml(file)
    names = root.get("names") if isinstance(root, dict) else None
    if names is None or names == "":
        return []
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
    return [numbered.get(number, "").strip() for number in range(max(numbered, default=-1) + 1)]


def _read_file(
    file: Path, folder: str, codes: list[str], sizes: Mapping[str, tuple[int, int]], document: Document
) -> None:
    lines = [line.split() for line in read_text(file).splitlines() if line.strip()]
    picture = picture_beside(file)
    folder = "/".join("images" if part == "labels" else part for part in folder.split("/"))
    name = picture_path(picture.name if picture else file.stem, folder=folder)
    shape = size_for(name, sizes) or (_picture_size(picture) if picture else None)
    if shape is None:
        if not lines:
            return
        raise ExchangeError(
            f"{file.name} gives shares of a picture whose size is not known.",
            hint=f"Add a slide named {file.stem} to the project, or put the picture beside the file.",
        )
    image = document.image(name, shape)
    height, width = shape
    for number, parts in enumerate(lines, start=1):
        if len(parts) < 5:
            raise ExchangeError(
                f"{file.name}, line {number}: five numbers are needed, {len(parts)} are there.",
                hint="Correct the line.",
            )
        try:
            values = [float(part) for part in parts]
            class_number = int(parts[0])
        except ValueError as error:
            raise ExchangeError(f"{file.name}, line {number}: not a number.", hint="Correct the line.") from error
        code = codes[class_number] if 0 <= class_number < len(codes) else f"class {class_number}"
        outline, score = None, None
        sides: Sides
        if len(values) > 6:  # a polygon: x y x y ...
            points = [(y * height, x * width) for x, y in zip(values[1::2], values[2::2], strict=False)]
            sides, outline = outline_of(partial(Outline.polygon, points))
        else:
            x, y, w, h = values[1:5]
            if w < 0 or h < 0:
                document.skipped["no area"] += 1
                continue
            sides = ((y - h / 2) * height, (x - w / 2) * width, (y + h / 2) * height, (x + w / 2) * width)
            score = values[5] if len(values) == 6 else None
        document.take(image, code, whole(sides), score=score, outline=outline)


def _picture_size(picture: Path) -> tuple[int, int] | None:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(picture) as opened:  # reads the header only
            return opened.height, opened.width
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return None


def _recognises(file: Candidate) -> Match:
    return Match.NONE if file.path.name.lower() in _NO_LABELS else Match.POSSIBLE


YOLO = AnnotationFormat(
    "yolo",
    "YOLO",
    ".txt",
    read,
    write,
    _recognises,
    is_folder=True,
    loses="review state, reason, note, choice, attributes and outlines",
)
