"""A model as one file, for other computers: card, weights and figures in a zip, with the hash of each.

The same model always makes the same file. A file that comes from elsewhere is checked whole before anything is kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.core.errors import InputError, MicroscopeQCError, ModelError
from microscope_qc.core.files import atomic_path, special_kind
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import bytes_text
from microscope_qc.ml.architectures.loading import open_task
from microscope_qc.ml.cards import CARD_NAME, LARGEST_BYTES, WEIGHTS_NAME, ModelCard, read_card, write_card
from microscope_qc.ml.datasets.learned import read_learned
from microscope_qc.ml.datasets.parts import PARTS_NAME, read_parts
from microscope_qc.ml.library import LARGEST_WEIGHTS_BYTES
from microscope_qc.workflows.models.shelf import (
    FILES,
    ModelEntry,
    add_folder,
    find_model,
    free_name,
    list_shelf,
    shelf_folder,
)

if TYPE_CHECKING:
    from microscope_qc.project import Project

SUFFIX = ".mqcmodel"
LIST_NAME = "files.json"
_FORMAT = 1
_CHUNK = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Earliest time that a zip can say."""
_MOST_PACKED = 100
"""Weights hardly get smaller in a zip; what gets so many times smaller is not a model."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A model's file: its path, size, and SHA-256."""

    path: Path
    size_bytes: int
    sha256: str


def export_model(entry: ModelEntry, out: Path | str) -> Job[Exported]:
    """Write a model into one file.

    Raises
    ------
    ModelError
        When it cannot be read.
    WriteError
        When the file cannot be written.
    """
    if entry.card is None:
        raise ModelError(f"{entry.name} cannot be exported: {entry.problem}")
    target = Path(out)
    if target.suffix.lower() != SUFFIX:
        target = target.with_name(target.name + SUFFIX)
    files = [entry.folder / name for name in FILES if (entry.folder / name).is_file()]
    total = 2 * sum(file.stat().st_size for file in files)
    done = 0
    hashes: dict[str, dict[str, object]] = {}
    for file in files:
        digest = hashlib.sha256()
        with file.open("rb") as source:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                done += len(chunk)
                yield Progress(done, total, "bytes", "reading")
        hashes[file.name] = {"sha256": digest.hexdigest(), "bytes": file.stat().st_size}
    listing = json.dumps({"format": _FORMAT, "files": hashes}, indent=1, sort_keys=True) + "\n"
    with atomic_path(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as package:
        package.writestr(_member(LIST_NAME), listing)
        for file in files:
            with file.open("rb") as source, package.open(_member(file.name), "w", force_zip64=True) as sink:
                while chunk := source.read(_CHUNK):
                    sink.write(chunk)
                    done += len(chunk)
                    yield Progress(done, total, "bytes", "writing")
    with target.open("rb") as written:
        digest_of_all = hashlib.file_digest(written, "sha256").hexdigest()
    return Exported(target, target.stat().st_size, digest_of_all)


def import_model(file: Path | str, project: Project | None = None, *, name: str = "") -> Job[ModelEntry]:
    """Take a model from a file that :func:`export_model` wrote: into the project, or else to the user's own models.

    Everything is checked before the model is kept: names, sizes and hashes of the files, the card, and that the weights
    are numbers and those of its network. Where something is wrong nothing is changed.

    Parameters
    ----------
    name
        What it is to be called; its own name without one.

    Raises
    ------
    ModelError
        With the first thing that is wrong.
    InputError
        When there is no such file, or there is a model of that name.
    """
    path = Path(file)
    kind = special_kind(path)
    if kind or not path.is_file():
        raise InputError(f"{path} is {kind or 'no file'}.", hint=f"Choose a file that ends with {SUFFIX}.")
    root = shelf_folder(project)
    draft = root / f".{path.name[:40]}.import"
    shutil.rmtree(draft, ignore_errors=True)
    try:
        _require_room(root, path)
        draft.mkdir(parents=True)
        yield from _unpack(path, draft)
        yield Progress(0, 0, "", "checking the weights")
        card = _checked(draft, path)
        called = free_name(name or str(card.name), list_shelf(project))
        write_card(card.model_copy(update={"name": called}), draft)

        def fill(folder: Path) -> None:
            for part in draft.iterdir():
                part.rename(folder / part.name)

        return find_model(add_folder(root, called, fill), project)
    except OSError as error:
        if isinstance(error, MicroscopeQCError):
            raise
        raise _wrong(path, f"cannot be taken in ({error.strerror or error})") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = 3  # the same file on every computer
    info.external_attr = 0o644 << 16
    return info


def _require_room(root: Path, path: Path) -> None:
    there = next(folder for folder in (root, *root.parents) if folder.is_dir())
    if shutil.disk_usage(there).free < path.stat().st_size:
        raise ModelError(f"There is no room for {path.name} in {root}.", hint="Free some space and try again.")


def _unpack(path: Path, folder: Path) -> Job[None]:
    """Write what a package lists into a folder; nothing else, and no more than it says."""
    try:
        with zipfile.ZipFile(path) as package:
            members = _members(package, path)
            listing = _listing(_read_small(package, members[LIST_NAME], path), members, path)
            total = sum(members[name].file_size for name in listing)
            done = 0
            for name, expected in listing.items():
                digest = hashlib.sha256()
                with package.open(members[name]) as source, (folder / name).open("wb") as sink:
                    while chunk := source.read(_CHUNK):
                        digest.update(chunk)
                        sink.write(chunk)
                        done += len(chunk)
                        if done > total:
                            raise _wrong(path, f"holds more in {name} than it says")
                        yield Progress(done, total, "bytes", "unpacking")
                    sink.flush()
                    os.fsync(sink.fileno())
                if digest.hexdigest() != expected:
                    raise _wrong(path, f"is damaged: {name} is not what was exported")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, MicroscopeQCError):
            raise
        raise _wrong(path, "is not a model, or is damaged") from error


def _members(package: zipfile.ZipFile, path: Path) -> Mapping[str, zipfile.ZipInfo]:
    """What is in a package by name, if all of it may be there."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in package.infolist():
        if info.filename not in (LIST_NAME, *FILES):
            raise _wrong(path, f"holds {info.filename[:60]!r}, which no model has")
        if info.filename in members:
            raise _wrong(path, f"holds {info.filename} twice")
        if info.flag_bits & 1:
            raise _wrong(path, "is locked with a password")
        most = LARGEST_WEIGHTS_BYTES if info.filename == WEIGHTS_NAME else LARGEST_BYTES
        if info.file_size > most or info.file_size > _MOST_PACKED * max(info.compress_size, 1024):
            raise _wrong(path, f"would unpack to {bytes_text(info.file_size)} of {info.filename}")
        members[info.filename] = info
    missing = [name for name in (LIST_NAME, CARD_NAME, WEIGHTS_NAME) if name not in members]
    if missing:
        raise _wrong(path, f"lacks {missing[0]}")
    return members


def _read_small(package: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> bytes:
    with package.open(info) as source:
        content = source.read(LARGEST_BYTES + 1)
    if len(content) > info.file_size:
        raise _wrong(path, f"holds more in {info.filename} than it says")
    return content


def _listing(content: bytes, members: Mapping[str, zipfile.ZipInfo], path: Path) -> dict[str, str]:
    """The hash of every file in a package."""
    try:
        document = json.loads(content)
        version, files = document["format"], document["files"]
        hashes = {str(name): str(about["sha256"]) for name, about in files.items()}
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise _wrong(path, f"is damaged: its {LIST_NAME} cannot be read") from error
    if version != _FORMAT:
        raise ModelError(f"{path.name} was made by a newer version of microscope-qc.", hint="Update microscope-qc.")
    if set(hashes) != set(members) - {LIST_NAME}:
        raise _wrong(path, f"is damaged: its {LIST_NAME} lists other files")
    return hashes


def _checked(folder: Path, path: Path) -> ModelCard:
    """The card of a model whose card, network and weights belong together, and whose weights are finite numbers."""
    try:
        card = read_card(folder)
        open_task(folder, device="cpu")
        if (folder / PARTS_NAME).exists():
            read_parts(folder)
        read_learned(folder)
    except MicroscopeQCError as error:
        said = error.message.replace(f"{folder}{os.sep}", "").replace(str(folder), path.name)
        raise ModelError(f"{path.name} is not taken in. {said}", hint="Ask for the file again.") from error
    return card


def _wrong(path: Path, what: str) -> ModelError:
    return ModelError(f"{path.name} {what}.", hint="Nothing was changed; ask for the file again.")
