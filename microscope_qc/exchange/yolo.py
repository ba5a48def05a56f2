"""YOLO: one text file per picture, one line per box: class number, then centre and size as shares of the picture.

A sixth number is the confidence, as Ultralytics writes predictions. Lines of more numbers are polygons, turned boxes
(their four corners) or poses. Class names are in ``classes.txt`` (one per line), ``obj.names`` or ``data.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.files import atomic_write
from microscope_qc.core.orientation import checked_orientation, turned_shape
from microscope_qc.core.outline import Outline
from microscope_qc.core.plugins import Match, certain
from microscope_qc.exchange.document import Box, Document, ImageEntry
from microscope_qc.exchange.format import AnnotationFormat, Candidate
from microscope_qc.exchange.loading import picture_beside, read_files, read_text
from microscope_qc.exchange.pictures import file_paths, picture_path, size_for
from microscope_qc.exchange.shapes import Sides, outline_of, whole
from microscope_qc.exchange.yolo_names import (
    MOST_CLASSES,
    YAML_SUFFIXES,
    NameFinder,
    YoloNames,
    holds_no_labels,
    names_of_yaml,
)

_SEEN = ("", "1", "2")
"""Whether a point of a pose is seen, without the zeros at its end: 0, 1 or 2."""


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
    """Read one label file or a folder of them; a data file (``data.yaml``) means its folder.

    The picture's size is taken from ``sizes``, else from a picture of the same name beside the label file.
    """
    if path.suffix.lower() in YAML_SUFFIXES:
        path = path.absolute().parent
    finder = NameFinder(path)

    def read_one(file: Path, folder: str, document: Document) -> None:
        _read_file(file, folder, finder.of(file), sizes, document)

    return read_files(path, (".txt",), read_one, wanted=lambda file: not holds_no_labels(file))


def _read_file(
    file: Path, folder: str, names: YoloNames, sizes: Mapping[str, tuple[int, int]], document: Document
) -> None:
    lines = [(n, line.split()) for n, line in enumerate(read_text(file).splitlines(), start=1) if line.strip()]
    picture = picture_beside(file)
    folder = "/".join("images" if part == "labels" else part for part in folder.split("/"))
    name = picture_path(picture.name if picture else file.stem, folder=folder)
    shape = size_for(name, sizes) or (_picture_size(picture) if picture else None)
    problems = [(number, problem) for number, parts in lines if (problem := _problem(parts))]
    if problems and len(problems) == len(lines):
        number, problem = problems[0]
        raise ExchangeError(f"{file.name}, line {number}: {problem}.", hint="Choose a file of YOLO labels.")
    if shape is None and lines:
        raise ExchangeError(
            f"{file.name} gives shares of a picture whose size is not known.",
            hint=f"Add a slide named {file.stem} to the project, or put the picture beside the file.",
        )
    image = document.image(name, shape)
    image.size_stated = False
    for code in names.codes:
        document.add_class(code)
    for number, parts in lines:
        document.at(file.name, "line", number)
        problem = _problem(parts)
        if problem or shape is None:
            document.skip(problem)
        else:
            _read_line(parts, names, image, shape, document)


def _problem(parts: list[str]) -> str:
    """Why a line is no box, "" if it is one."""
    if len(parts) < 5:
        return f"five numbers are needed, {len(parts)} are there"
    try:
        values = [float(part) for part in parts]
    except ValueError:
        return "not a number"
    if not values[0].is_integer() or not 0 <= values[0] < MOST_CLASSES:
        return "the class is not a whole number"
    return ""


def _read_line(
    parts: list[str], names: YoloNames, image: ImageEntry, shape: tuple[int, int], document: Document
) -> None:
    values = [float(part) for part in parts]
    code = names.code_of(int(values[0]))
    kind, score = _kind_of(parts, names.points)
    height, width = shape
    outline = None
    sides: Sides
    if kind == "unclear":
        document.skip("points of a pose or of a polygon: kpt_shape in data.yaml would say which")
        return
    if kind == "polygon":  # also a turned box: its four corners
        numbers = values[1:] if score is None else values[1:-1]
        points = [(y * height, x * width) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
        sides, outline = outline_of(partial(Outline.polygon, points))
    else:
        x, y, w, h = values[1:5]
        if w < 0 or h < 0:
            document.skip("no area")
            return
        sides = ((y - h / 2) * height, (x - w / 2) * width, (y + h / 2) * height, (x + w / 2) * width)
        if kind == "pose":
            document.note("points of a pose are left out, its box is kept")
    document.take(image, code, whole(sides), score=score, outline=outline)


def _kind_of(parts: list[str], points: tuple[int, int] | None) -> tuple[str, float | None]:
    """What a line describes, "box", "polygon", "pose" or "unclear", and its confidence: a number more at its end."""
    count, last = len(parts), float(parts[-1])
    if points is not None:
        usual = 5 + points[0] * points[1]
        if count in (usual, usual + 1):
            return "pose", last if count > usual else None
    if count <= 6:
        return "box", last if count == 6 else None
    if points is None and (count - 5) % 3 == 0 and all(part.rstrip("0").rstrip(".") in _SEEN for part in parts[7::3]):
        return "unclear", None
    return "polygon", last if count % 2 == 0 else None


def _picture_size(picture: Path) -> tuple[int, int] | None:
    from PIL import ExifTags, Image, UnidentifiedImageError

    try:
        with Image.open(picture) as opened:  # reads the header only
            orientation = checked_orientation(opened.getexif().get(ExifTags.Base.Orientation))
            return turned_shape((opened.height, opened.width), orientation)
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
        return None


def _recognises(file: Candidate) -> Match:
    if file.path.suffix.lower() in YAML_SUFFIXES:
        return certain(names_of_yaml(file.path) is not None)
    if holds_no_labels(file.path):
        return Match.NONE
    first = [line.split()[0] for line in file.text[:4096].splitlines() if line.strip()]
    return Match.POSSIBLE if not first or any(map(_is_number, first)) else Match.NONE


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


YOLO = AnnotationFormat(
    "yolo",
    "YOLO",
    ".txt",
    read,
    write,
    _recognises,
    is_folder=True,
    also=YAML_SUFFIXES,
    loses="review state, reason, note, choice, attributes and outlines",
)
