"""Wrong types, huge numbers and missing parts in the structure of a slide: tags of a TIFF, XML, JSON."""

from __future__ import annotations

import json
import random
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

TAGS = (254, 256, 257, 258, 259, 262, 266, 270, 273, 274, 277, 278, 279, 282, 283, 284, 296, 317, 320, 322, 323, 324,
        325, 330, 338, 339, 347, 530, 32997, 33471, 33560, 33628, 34118, 34412, 34680, 34682, 34683, 37706, 42112,
        50431, 50838, 50839, 51123, 65003, 65009, 65420)  # fmt: skip
NUMBERS = (0, 1, 2, 3, 255, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1)
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 1e300, -1e300, 10**30, 2**63, float("nan"), "", "x", "µ" * 5000, [], {}, [[]],
    [None], [0, 0], [-1] * 5, {"x": {}}, [10**12] * 3, "../..", "\0", "1e3",
)  # fmt: skip
LONGEST_TEXT = 20_000
TEXTS = ("", "0", "-1", "NaN", "inf", "1e999", "1E-400", "2147483648", "9" * 40, "x", "ü", "../../a", "0x10", "1,5")


def is_for(path: Path) -> bool:
    """Whether a slide has a structure that can be changed here."""
    return path.suffix in (".tif", ".svs", ".czi", ".json", ".zarr")


def make_odd(path: Path, dice: random.Random) -> None:
    """Change a few things in the structure of a slide."""
    for _ in range(dice.choice((1, 1, 2, 4))):
        if path.suffix in (".tif", ".svs"):
            change = dice.choice((_odd_entry, _odd_entry, _odd_text))
        elif path.suffix == ".czi":
            change = _odd_czi
        else:
            change = _odd_json
        change(path, dice)


# -- TIFF --------------------------------------------------------------------------------------------------------------


def _entries(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Place, code, type and count of every entry of a classic little-endian TIFF, and of its chain of pages."""
    (place,) = struct.unpack_from("<I", data, 4)
    for _ in range(20):
        if not 8 <= place < len(data) - 2:
            return
        (count,) = struct.unpack_from("<H", data, place)
        for number in range(min(count, 200)):
            at = place + 2 + 12 * number
            if at + 12 <= len(data):
                yield (at, *struct.unpack_from("<HHI", data, at))
        end = place + 2 + 12 * count
        if end + 4 > len(data):
            return
        (place,) = struct.unpack_from("<I", data, end)


def _odd_entry(path: Path, dice: random.Random) -> None:
    data = bytearray(path.read_bytes())
    found = list(_entries(data))
    if not found:
        return
    at, code, kind, count = dice.choice(found)
    value = bytes(data[at + 8 : at + 12])
    what = dice.choice(("code", "type", "count", "value", "all"))
    if what in ("code", "all"):
        code = dice.choice(TAGS)
    if what in ("type", "all"):
        kind = dice.randrange(0, 20)
    if what in ("count", "all"):
        count = dice.choice(NUMBERS)
    if what in ("value", "all"):
        number = dice.choice((*NUMBERS, len(data) - 1, dice.randrange(len(data))))
        value = dice.choice((struct.pack("<I", number), struct.pack("<HH", number & 0xFFFF, dice.choice((0, 1)))))
    struct.pack_into("<HHI4s", data, at, code, kind, count, value)
    path.write_bytes(data)


def _odd_text(path: Path, dice: random.Random) -> None:
    """Change the description, or another text: it is written again behind everything else."""
    data = bytearray(path.read_bytes())
    texts = [
        (at, offset, count)
        for at, _, kind, count in _entries(data)
        if kind == 2
        and 8 < count < LONGEST_TEXT
        and (offset := struct.unpack_from("<I", data, at + 8)[0]) + count <= len(data)
    ]
    if not texts:
        return
    at, offset, count = dice.choice(texts)
    text = _odd_words(bytes(data[offset : offset + count]).decode("latin-1"), dice).encode("latin-1", "replace") + b"\0"
    struct.pack_into("<II", data, at + 4, len(text), len(data))
    path.write_bytes(bytes(data) + text)


def _odd_words(text: str, dice: random.Random) -> str:
    """A text with one number, value, line or element changed, doubled or left out."""
    pieces = [
        *re.finditer(r'"[^"<>]*"', text), *re.finditer(r"[0-9]+(?:\.[0-9]+)?", text),
        *re.finditer(r"<[^<>]+>", text), *re.finditer(r"(?<==)[^\r\n]+", text), *re.finditer(r"[^\r\n]+\r?\n", text),
    ]  # fmt: skip
    if not pieces:
        return text
    piece = dice.choice(pieces)
    inside = piece.group()
    if inside.startswith('"'):
        new = f'"{dice.choice(TEXTS)}"'
    else:
        new = dice.choice((dice.choice(TEXTS), "", inside * 2, inside * 300))
    return text[: piece.start()] + new + text[piece.end() :]


# -- CZI ---------------------------------------------------------------------------------------------------------------


def _odd_czi(path: Path, dice: random.Random) -> None:
    """Change the XML in place, as long as it was; or a number in the head of a segment."""
    data = path.read_bytes()
    start, end = data.find(b"<ImageDocument"), data.find(b"</ImageDocument>")
    if dice.random() < 0.7 and 0 <= start < end:
        text = data[start:end].decode("utf-8", "replace")
        odd = _odd_words(text, dice).encode()[: end - start].ljust(end - start)
        path.write_bytes(data[:start] + odd + data[end:])
        return
    segments = [match.start() for match in re.finditer(rb"ZISRAW[A-Z]+", data)]
    at = dice.choice(segments) + 16 + 4 * dice.randrange(0, 60)
    number = struct.pack("<I", dice.choice((*NUMBERS, len(data))))
    path.write_bytes((data[:at] + number + data[at + 4 :])[: len(data)])


# -- JSON --------------------------------------------------------------------------------------------------------------


def _odd_json(path: Path, dice: random.Random) -> None:
    files = [path] if path.is_file() else [*path.rglob("zarr.json"), *path.rglob(".z*")]
    file = dice.choice(sorted(files))
    try:
        document = json.loads(file.read_text())
    except ValueError:
        return
    places: list[Callable[[Any], None]] = []
    _collect(document, places, dice)
    if places:
        dice.choice(places)(dice.choice(VALUES))
    file.write_text(json.dumps(document))


def _collect(node: Any, places: list[Callable[[Any], None]], dice: random.Random) -> None:
    """What changes each value within a document: to another one, or takes it out."""
    if isinstance(node, dict):
        items: list[tuple[Any, Any]] = list(node.items())
        places += [lambda _, key=key: node.pop(key, None) for key, _ in items]
    elif isinstance(node, list):
        items = list(enumerate(node))
        places += [lambda _: node.clear(), node.append, lambda _: node.reverse()]
    else:
        return
    for key, value in items:
        places += [lambda new, key=key: node.__setitem__(key, new)] * 2
        _collect(value, places, dice)
