"""Reading untrusted files: sizes are checked first, and whatever is wrong becomes one sentence."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.files import special_kind
from microscope_qc.core.wording import bytes_text, listed
from microscope_qc.exchange.document import Document
from microscope_qc.exchange.pictures import folder_of

LARGEST_BYTES = 512 * 1024 * 1024
LARGEST_YAML_CHARACTERS = 200_000
"""YAML is read a hundred times more slowly than JSON; it holds names of classes, not findings."""
HEAD_BYTES = 65536
LARGEST_ROWS = 5_000_000
LARGEST_DEPTH = 200
DEEPEST_FOLDER = 8
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_XML_ENCODING = re.compile(rb"(?:\xef\xbb\xbf)?\s*<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._-]+)")
_XML_DECLARATION = re.compile(r"^\ufeff?\s*<\?xml[^>]*\?>")
NO_FOLDERS = (".zarr", ".mqc")
LARGEST_PICTURE_PX = 64_000_000
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")


def read_bytes(path: Path) -> bytes:
    """Content of a file.

    Raises
    ------
    ExchangeError
        When it is missing, too large, or no file (a pipe would be waited for without end).
    """
    kind = special_kind(path)
    if kind:
        raise ExchangeError(f"{path.name} is {kind}, not a file.", hint="Choose a file.")
    try:
        size = path.stat().st_size
        if size > LARGEST_BYTES:
            raise ExchangeError(
                f"{path.name} has {bytes_text(size)}; annotation files up to {bytes_text(LARGEST_BYTES)} are read.",
                hint="Split the file.",
            )
        return path.read_bytes()
    except OSError as error:
        raise ExchangeError(
            f"{path.name} cannot be read ({error.strerror or error}).", hint="Check the path and the permissions."
        ) from error


def read_head(path: Path) -> bytes:
    """The first bytes of a file; errors as :func:`read_bytes`."""
    kind = special_kind(path)
    if kind:
        raise ExchangeError(f"{path.name} is {kind}, not a file.", hint="Choose a file.")
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError as error:
        raise ExchangeError(
            f"{path.name} cannot be read ({error.strerror or error}).", hint="Check the path and the permissions."
        ) from error


def read_text(path: Path) -> str:
    """Text of a file, UTF-8 (or UTF-16 with a byte order mark).

    Raises
    ------
    ExchangeError
        When it is missing, too large or not text.
    """
    raw = read_bytes(path)
    try:
        return raw.decode("utf-16" if raw[:2] in UTF_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ExchangeError(f"{path.name} is not a text file in UTF-8.", hint="Save it as UTF-8.") from error


def read_json(path: Path) -> Any:
    """Parsed JSON.

    Raises
    ------
    ExchangeError
        When it is not JSON or nested more deeply than :data:`LARGEST_DEPTH`.
    """
    text = read_text(path)
    try:
        # a call per object lets other threads run: without it a large file would freeze the window for seconds
        value = json.loads(text, object_hook=_as_it_is)
    except RecursionError as error:
        raise too_deep(path) from error
    except ValueError as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise ExchangeError(
            f"{path.name} is not valid JSON{where}.", hint="Export it again from the program that made it."
        ) from error
    _check_depth(value, path)
    return value


def _as_it_is(value: dict[str, Any]) -> dict[str, Any]:
    return value


def _check_depth(value: Any, path: Path) -> None:
    layer = [value]
    for _ in range(LARGEST_DEPTH):
        layer = [
            child
            for item in layer
            if isinstance(item, (dict, list))
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, (dict, list))
        ]
        if not layer:
            return
    raise too_deep(path)


def too_deep(path: Path) -> ExchangeError:
    """Say that a file is nested more deeply than an annotation file ever is."""
    return ExchangeError(f"{path.name} is nested too deeply to be an annotation file.", hint="Choose another file.")


def read_yaml(path: Path) -> Any:
    """YAML as dictionaries, lists and text; None where it is empty.

    Raises
    ------
    ExchangeError
        When it is too large, not YAML, repeats parts of itself by aliases, or is nested more deeply than
        :data:`LARGEST_DEPTH`.
    """
    from yaml import YAMLError

    from microscope_qc.exchange.yaml_text import parse

    text = read_text(path)
    if len(text) > LARGEST_YAML_CHARACTERS:
        raise ExchangeError(
            f"{path.name} has {len(text) / 1e6:.1f} MB; YAML files up to {LARGEST_YAML_CHARACTERS / 1e6} MB are read.",
            hint="Keep only the class names in it.",
        )
    try:
        return parse(text, deepest=LARGEST_DEPTH)
    except RecursionError as error:
        raise too_deep(path) from error
    except (YAMLError, ValueError) as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f"line {mark.line + 1}: {problem}" if mark is not None else str(problem or "unreadable characters")
        raise ExchangeError(f"{path.name} is not YAML that can be read ({where}).", hint="Correct the file.") from error


def read_xml(path: Path) -> Any:
    """Root element of an XML file; entities and external references are refused.

    Raises
    ------
    ExchangeError
        When it is not XML or tries to make the parser expand or fetch something.
    """
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        return fromstring(_xml_text(read_bytes(path)).encode("utf-8"), forbid_dtd=False)
    except DefusedXmlException as error:
        raise ExchangeError(
            f"{path.name} defines XML entities, which are not read for safety.", hint="Remove its DOCTYPE part."
        ) from error
    except (UnicodeDecodeError, LookupError) as error:
        raise ExchangeError(
            f"{path.name} is not written in the encoding that it declares.", hint="Save it as UTF-8."
        ) from error
    except (ParseError, ValueError) as error:
        raise ExchangeError(
            f"{path.name} is not valid XML ({error}).", hint="Export it again from the program that made it."
        ) from error


def _xml_text(raw: bytes) -> str:
    """Text of an XML file in the encoding that it declares, without the declaration.

    The parser itself knows few encodings, and none with several bytes for a character but those of Unicode.
    """
    if raw[:2] in UTF_16:
        encoding = "utf-16"
    else:
        said = _XML_ENCODING.match(raw[:1000])
        encoding = said.group(1).decode("ascii").lower() if said else "utf-8"
        if encoding.startswith("utf"):  # what declares UTF-16 and can be read up to here is not in it
            encoding = "utf-8-sig"
    return _XML_DECLARATION.sub("", raw.decode(encoding), count=1)


def expect(value: Any, kind: type | tuple[type, ...], path: Path, what: str) -> Any:
    """Return ``value`` if it has the wanted type; otherwise say what is wrong with the file."""
    if not isinstance(value, kind) or isinstance(value, bool):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        words = {dict: "an object", list: "a list", str: "text", int: "a number", float: "a number"}
        wanted = " or ".join(dict.fromkeys(words.get(k, k.__name__) for k in kinds))
        raise ExchangeError(
            f"{path.name}: {what} must be {wanted}, but is {_short(value)}.",
            hint="Export it again from the program that made it.",
        )
    return value


def as_list(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def size_of(width: Any, height: Any) -> tuple[int, int] | None:
    """(h, w) of numbers in a file, None where they are not a size."""
    try:
        shape = int(float(height)), int(float(width))
    except (TypeError, ValueError, OverflowError):
        return None
    return shape if 0 < shape[0] <= 1e9 and 0 < shape[1] <= 1e9 else None


class NotThisFormat(ExchangeError):
    """A sound file of another format."""


def read_files(
    path: Path,
    suffixes: Sequence[str],
    read_one: Callable[[Path, str, Document], None],
    *,
    wanted: Callable[[Path], bool] = lambda _: True,
) -> Document:
    """Read a file, or every file with one of the suffixes in a folder and the folders in it.

    A file of a folder that cannot be read does not keep the others out: it is named in ``files_left_out``.

    Parameters
    ----------
    read_one
        Reads a file, whose folders below ``path`` are the second argument, into a document of its own.
    wanted
        Says which files of a folder are read at all.

    Raises
    ------
    ExchangeError
        When no file can be read; of several sentences the first.
    """
    document = Document()
    if not path.is_dir():
        read_one(path, "", document)
        return document
    problems: list[ExchangeError] = []
    files = [file for file in files_of(path, *suffixes) if wanted(file)]
    if not files:
        raise ExchangeError(f"{path.name} holds no annotations.", hint="Choose another folder.")
    for file in files:
        one = Document()
        try:
            read_one(file, folder_of(file, path), one)
            document.absorb(one)
        except ExchangeError as error:
            problems.append(error)
            document.files_left_out[file.relative_to(path).as_posix()] = error.message.removesuffix(".")
    if len(problems) == len(files):
        raise next((error for error in problems if not isinstance(error, NotThisFormat)), problems[0])
    return document


def files_of(path: Path, *suffixes: str) -> list[Path]:
    """The file itself, or the files with these suffixes in a folder and the folders in it, sorted.

    Raises
    ------
    ExchangeError
        When there are no such files.
    """
    if path.is_dir():
        try:
            found = sorted(p for p in _walk(path, DEEPEST_FOLDER) if p.suffix.lower() in suffixes)
        except OSError as error:
            raise ExchangeError(
                f"{path.name} cannot be looked through ({error.strerror or error}).", hint="Check the permissions."
            ) from error
        if not found:
            raise ExchangeError(f"{path.name} holds no {listed(suffixes)} file.", hint="Choose another folder.")
        return found
    if not path.exists():
        raise ExchangeError(f"{path} does not exist.", hint="Check the path.")
    return [path]


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    """Entries of a folder and the folders in it; slides and projects are folders too, of very many files."""
    for entry in folder.iterdir():
        if entry.name.startswith(".") or entry.suffix.lower() in NO_FOLDERS:
            continue
        if entry.is_dir():
            # a link may lead back to a folder above it
            if depth > 1 and not entry.is_symlink():
                yield from _walk(entry, depth - 1)
        else:
            yield entry


def picture_beside(label_file: Path) -> Path | None:
    """Return the picture of the same name beside a label file, or in ``images`` where it lies in ``labels``.

    ``labels/train/a.txt`` belongs to ``images/train/a.png``, and ``train/labels/a.txt`` to ``train/images/a.png``.
    """
    parts = label_file.parent.parts
    folders = [label_file.parent]
    for place in reversed([number for number, part in enumerate(parts) if part == "labels"]):
        folders.append(Path(*parts[:place], "images", *parts[place + 1 :]))
    for folder in folders:
        for suffix in PICTURE_SUFFIXES:
            candidate = folder / f"{label_file.stem}{suffix}"
            if candidate.is_file():
                return candidate
    return None


def picture_in_text(text: Any) -> np.ndarray:
    """Grey picture of base64 text (a mask in a file).

    Raises
    ------
    ValueError
        When it is not a picture, or is larger than any mask.
    """
    import base64

    from PIL import Image, UnidentifiedImageError

    if not isinstance(text, str) or len(text) > LARGEST_PICTURE_PX:
        raise ValueError("no picture")
    try:
        with Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=["PNG"]) as opened:
            if opened.width * opened.height > LARGEST_PICTURE_PX:  # the header says so before anything is unpacked
                raise ValueError("too large")
            return np.asarray(opened.convert("L"))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError) as error:
        raise ValueError("no picture") from error
