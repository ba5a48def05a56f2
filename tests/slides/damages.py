"""What can happen to a slide: truncation, flipped bytes, missing parts, wrong metadata, links, vanishing drives."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import odd_structures
import tifffile
from damage_sources import SOURCES

CUTS = ("cut 1 %", "cut 50 %", "cut 99 %")
BYTES = ("flip", "flip head", "flip tail", "flip pixels", "flip structure", "zeros")
FOLDER = ("missing chunk", "missing metadata")
LINKS = ("link loop", "dangling link")
VANISH = ("truncated while open", "deleted while open", "replaced while open")
STRUCTURE = "odd structure"
KINDS = (*CUTS, *BYTES, *FOLDER, "metadata", STRUCTURE, *LINKS, *VANISH)
ODD_SIZES = (0, -1, "NaN", 1e300, None, "x")
ODD_SHAPES = ([0, 0], [-5, 5], [10**12, 10**12], [1], "big", None, [2.5, 3], [10**30, 7])


def is_for(name: str, kind: str) -> bool:
    """Whether a damage makes sense for a kind of slide."""
    folder = SOURCES[name].file_name.endswith(".zarr")
    if kind in FOLDER:
        return folder
    if kind in ("flip head", "flip tail"):
        return not folder
    if kind == STRUCTURE:
        return odd_structures.is_for(Path(SOURCES[name].file_name))
    if kind == "flip structure":
        return name.startswith(("czi", "tiff", "ome-tiff", "svs"))
    if kind == "flip pixels":
        return bool(SOURCES[name].checked) or folder or name.startswith(("czi", "tiff", "svs"))
    return True


def damage(name: str, path: Path, kind: str, dice: random.Random) -> bool:
    """Damage the slide at ``path``; returns whether a checksum of its format covers the damaged part."""
    if kind in VANISH:
        return False
    if kind == STRUCTURE:
        odd_structures.make_odd(path, dice)
        return False
    if path.is_dir():
        return _damage_folder(name, path, kind, dice)
    if kind == "link loop":
        path.unlink()
        path.symlink_to(path.name)
    elif kind == "dangling link":
        path.unlink()
        path.symlink_to("gone.czi")
    elif kind == "metadata":
        _odd_metadata(path, dice)
    else:
        return _damage_bytes(path, kind, dice, checked=SOURCES[name].checked)
    return False


def vanish(path: Path, kind: str, dice: random.Random) -> None:
    """Truncate, delete or replace an open slide."""
    files = [path] if path.is_file() else _chunks(path)
    chosen = dice.choice(files)
    if kind == "truncated while open":
        with chosen.open("r+b") as file:
            file.truncate(chosen.stat().st_size // dice.choice((2, 10, 1000)))
    elif kind == "deleted while open":
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    else:
        size = chosen.stat().st_size
        chosen.write_bytes(dice.randbytes(size if dice.random() < 0.5 else size // 3))


def _damage_bytes(path: Path, kind: str, dice: random.Random, *, checked: str) -> bool:
    content = bytearray(path.read_bytes())
    size = len(content)
    ranges = _pixel_ranges(path) if checked == "pixels" or kind == "flip pixels" else []
    if kind in CUTS:
        del content[max(1, size * int(kind.split()[1]) // 100) :]
        path.write_bytes(content)
        return bool(checked)
    if kind == "flip pixels":
        start, stop = dice.choice(ranges)
        at = dice.randrange(start, stop)
    elif kind == "flip structure":
        at = dice.choice(_structure(path))
    elif kind == "flip head":
        at = dice.randrange(min(600, size))
    elif kind == "flip tail":
        at = size - 1 - dice.randrange(min(600, size))
    else:
        at = dice.randrange(size)
    length = 64 if kind == "zeros" else 1
    touched = range(at, min(size, at + length))
    for index in touched:
        content[index] = 0 if kind == "zeros" else content[index] ^ dice.randrange(1, 256)
    path.write_bytes(content)
    return checked == "all" or (
        checked == "pixels" and all(any(a <= index < b for a, b in ranges) for index in touched)
    )


def _pixel_ranges(path: Path) -> list[tuple[int, int]]:
    """Byte ranges of the compressed pixels."""
    if path.suffix in (".tif", ".svs"):
        found = []
        with tifffile.TiffFile(path) as file:
            pages = [page for page in file.pages]
            for page in list(pages):
                pages.extend(page.pages or ())
            for page in pages:
                found += [(o, o + n) for o, n in zip(page.dataoffsets, page.databytecounts, strict=True) if n]
        return found
    return [(200, path.stat().st_size - 200)]


def _structure(path: Path) -> list[int]:
    """Offsets of headers and directories anywhere in the file."""
    if path.suffix == ".czi":
        content = path.read_bytes()
        starts = [match.start() for match in re.finditer(rb"ZISRAW[A-Z]+\0", content)]
        return [at for start in starts for at in range(start, min(start + 320, len(content)))]
    with tifffile.TiffFile(path) as file:
        pages = [page for page in file.pages]
        for page in list(pages):
            pages.extend(page.pages or ())
        tables = [range(page.offset, page.offset + 12 * len(page.tags)) for page in pages]
        values = [
            range(tag.valueoffset, tag.valueoffset + min(64, tag.valuebytecount)) for p in pages for tag in p.tags
        ]
        return [at for part in (*tables, *values) for at in part]


def _chunks(path: Path) -> list[Path]:
    return sorted(p for p in path.rglob("*") if p.is_file() and not _is_metadata(p))


def _is_metadata(path: Path) -> bool:
    return path.name in ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata") or path.suffix == ".json"


def _damage_folder(name: str, path: Path, kind: str, dice: random.Random) -> bool:
    checked = bool(SOURCES[name].checked)
    chunk = dice.choice(_chunks(path))
    if kind in CUTS or kind == "flip pixels":
        _damage_bytes(chunk, "flip" if kind == "flip pixels" else kind, dice, checked="")
        return checked
    if kind in ("flip", "zeros"):
        everything = sorted(p for p in path.rglob("*") if p.is_file())
        chosen = dice.choice(everything)
        _damage_bytes(chosen, kind, dice, checked="")
        return checked and not _is_metadata(chosen)
    if kind == "missing chunk":
        chunk.unlink()
        return checked  # a store of this program records that no chunk was left out
    elif kind == "missing metadata":
        dice.choice(sorted(p for p in path.rglob("*") if p.is_file() and _is_metadata(p))).unlink()
    elif kind == "metadata":
        _odd_zarr(path, dice)
    else:
        victim = chunk if dice.random() < 0.5 else path / "1"
        shutil.rmtree(victim) if victim.is_dir() else victim.unlink()
        victim.symlink_to(victim.name if kind == "link loop" else "gone")
    return False


def _odd_metadata(path: Path, dice: random.Random) -> None:
    if path.suffix == ".json":
        document = json.loads(path.read_text())
        document[dice.choice(("shape", "pixel_size_um"))] = dice.choice(ODD_SHAPES)
        document[dice.choice(("seed", "delay_ms", "pyramid", "format"))] = dice.choice(ODD_SIZES)
        path.write_text(json.dumps(document))
    elif path.suffix in (".tif", ".svs"):
        _odd_tags(path, dice)
    else:
        content = path.read_bytes()
        # numbers in texts and headers: another of the same length
        places = [m for m in re.finditer(rb"[0-9][0-9.E+-]{2,}", content) if len(m.group()) < 30]
        if path.suffix in (".png", ".jpg") or not places:
            content = bytearray(content)
            at = content.find(b"IHDR") + 4 if path.suffix == ".png" else max(content.find(b"\xff\xc0"), 0) + 5
            content[at : at + 4] = dice.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\1\0\1", b"\x7f\xff\x7f\xff"))
            path.write_bytes(bytes(content))
            return
        match = dice.choice(places)
        odd = dice.choice((b"0", b"-1", b"NaN", b"1E99", b"inf", b"x"))[: len(match.group())]
        path.write_bytes(content[: match.start()] + odd.ljust(len(match.group())) + content[match.end() :])


def _odd_tags(path: Path, dice: random.Random) -> None:
    """Overwrite the value of one tag in place."""
    with tifffile.TiffFile(path) as file:
        tags = [tag for tag in file.pages[dice.randrange(len(file.pages))].tags if tag.count <= 4]
        tag = dice.choice(tags)
        offset, size = tag.valueoffset, min(8, tag.valuebytecount)
    content = bytearray(path.read_bytes())
    content[offset : offset + size] = dice.choice((bytes(size), b"\xff" * size, dice.randbytes(size)))
    path.write_bytes(content)


def _odd_zarr(path: Path, dice: random.Random) -> None:
    version_3 = (path / "zarr.json").is_file()
    group = path / ("zarr.json" if version_3 else ".zattrs")
    array = path / dice.choice("01") / ("zarr.json" if version_3 else ".zarray")
    changes: list[Callable[[], None]] = []

    def change(file: Path, edit: Callable[[dict], object]) -> None:
        document = json.loads(file.read_text())
        edit(document)
        file.write_text(json.dumps(document))

    def multiscale(document: dict) -> dict:
        return (document["attributes"]["ome"] if version_3 else document)["multiscales"][0]

    size, shape = dice.choice(ODD_SIZES), dice.choice(ODD_SHAPES)
    scale = [1, size, size]
    changes.append(
        lambda: change(
            group,
            lambda d: multiscale(d)["datasets"][0].update(
                coordinateTransformations=[{"type": "scale", "scale": scale}]
            ),
        )
    )
    changes.append(lambda: change(group, lambda d: multiscale(d)["datasets"].reverse()))
    changes.append(lambda: change(group, lambda d: multiscale(d).update(axes=multiscale(d)["axes"][1:])))
    changes.append(lambda: change(group, lambda d: multiscale(d)["datasets"].append({"path": "../.."})))
    full = shape if not isinstance(shape, list) or len(shape) != 2 else [3, *shape]
    changes.append(lambda: change(array, lambda d: d.update(shape=full)))
    kind = "data_type" if version_3 else "dtype"
    changes.append(lambda: change(array, lambda d: d.update({kind: dice.choice(("<u2", "float64", "|O", 7, "x"))})))
    changes.append(lambda: change(array, lambda d: d.update(fill_value=dice.choice(("x", None, 1e99, [])))))
    chunk_grid = {
        "name": "regular",
        "configuration": {"chunk_shape": dice.choice(([0, 0, 0], [-1, 2, 2], [10**9] * 3))},
    }
    chunks = {"chunk_grid": chunk_grid} if version_3 else {"chunks": chunk_grid["configuration"]["chunk_shape"]}
    changes.append(lambda: change(array, lambda d: d.update(chunks)))
    changes.append(lambda: array.write_text("[" * 5000))
    dice.choice(changes)()
