"""The parts of a Word file, unpacked with care: files come from anywhere, and nothing in one is fetched or believed."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import Any

from microscope_qc.core.errors import InputError

LARGEST_BYTES, LARGEST_UNPACKED, MOST_PARTS = 32 << 20, 128 << 20, 2000
Node = Any
"""An element of xml.dom.minidom, whose types allow less than its nodes do."""
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_IMAGE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/image"
_HYPERLINK = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/hyperlink"
_TYPES = "[Content_Types].xml"
_STILL = (1980, 1, 1, 0, 0, 0)


@dataclass(slots=True)
class Package:
    """The parts of a Word file, by their names."""

    name: str
    files: dict[str, bytes]
    pictures: dict[bytes, str] = field(default_factory=dict)
    added: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    prefix: str = ""

    @classmethod
    def read(cls, data: bytes, name: str) -> Package:
        """Unpack a file, and see that there is nothing in it that must not be."""
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as packed:
                entries = packed.infolist()
                if len(entries) > MOST_PARTS or sum(entry.file_size for entry in entries) > LARGEST_UNPACKED:
                    raise InputError(f"{name} unpacks to more than a Word file can be.")
                files = {entry.filename: _unpacked(packed, entry, name) for entry in entries}
        except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            raise InputError(f"{name} is not a Word file (.docx).", hint="Save it as a Word document.") from error
        package = cls(name, files)
        package._look()
        return package

    def _look(self) -> None:
        if "word/document.xml" not in self.files or _TYPES not in self.files:
            raise InputError(f"{self.name} is not a Word file (.docx).", hint="Save it as a Word document.")
        types = self.files[_TYPES]
        if b"macroEnabled" in types or any("vbaProject" in part or "activeX" in part for part in self.files):
            raise InputError(f"{self.name} has macros.", hint="Save it as a Word document without macros (.docx).")
        for part in self._relations():
            self._look_at_relations(part)

    def _look_at_relations(self, part: str) -> None:
        for one in self.xml(part).getElementsByTagNameNS(_RELATIONS, "Relationship"):
            outside = one.getAttribute("TargetMode") == "External" and one.getAttribute("Type") != _HYPERLINK
            if outside or one.getAttribute("Type").endswith("/oleObject"):
                kind = one.getAttribute("Type").rpartition("/")[2][:40]
                raise InputError(
                    f"{self.name} refers to another file ({kind}: {one.getAttribute('Target')[:80]}).",
                    hint="Put what it shows into the document itself.",
                )

    def xml(self, part: str) -> Node:
        """Parse a part; it may define nothing."""
        from xml.parsers.expat import ExpatError

        from defusedxml import DefusedXmlException
        from defusedxml.minidom import parseString

        try:
            parsed = parseString(self.files[part], forbid_dtd=True)
        except (DefusedXmlException, ExpatError, ValueError, LookupError) as error:
            raise InputError(f"{self.name}: its part {part} is damaged, or not a Word file's.") from error
        return parsed

    def picture(self, part: str, data: bytes, suffix: str) -> str:
        """Add a picture to a part; return the id of the relation."""
        if not self.prefix:  # a filled report may be the template of another one
            taken = " ".join(self.files) + "".join(self.files[one].decode("latin-1") for one in self._relations())
            self.prefix = next(f"report{n}x" for n in range(1, MOST_PARTS) if f"report{n}x" not in taken)
        target = self.pictures.setdefault(data, f"media/{self.prefix}{len(self.pictures)}.{suffix}")
        self.files[f"word/{target}"] = data
        added = self.added.setdefault(f"word/_rels/{part.rpartition('/')[2]}.rels", [])
        added.append((f"{self.prefix}{len(added)}", target))
        return added[-1][0]

    def _relations(self) -> list[str]:
        return [part for part in self.files if part.endswith(".rels")]

    def _tell_of_pictures(self) -> None:
        """Write what was added into the lists of relations and of types."""
        for rels, added in self.added.items():
            self.files.setdefault(rels, f'<Relationships xmlns="{_RELATIONS}"/>'.encode())
            relations = self.xml(rels)
            for name, target in added:
                one = relations.createElementNS(_RELATIONS, "Relationship")
                for key, value in (("Id", name), ("Type", _IMAGE), ("Target", target)):
                    one.setAttribute(key, value)
                relations.documentElement.appendChild(one)
            self.files[rels] = relations.toxml(encoding="UTF-8")
        types = self.xml(_TYPES)
        known = {one.getAttribute("Extension").lower() for one in types.getElementsByTagName("Default")}
        for suffix in sorted({name.rpartition(".")[2] for name in self.pictures.values()} - known):
            default = types.createElement("Default")
            default.setAttribute("Extension", suffix)
            default.setAttribute("ContentType", f"image/{suffix}")
            types.documentElement.insertBefore(default, types.documentElement.firstChild)
        self.files[_TYPES] = types.toxml(encoding="UTF-8")

    def packed(self) -> bytes:
        """The file; the same parts are the same bytes."""
        if self.pictures:
            self._tell_of_pictures()
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, data in self.files.items():
                packed.writestr(zipfile.ZipInfo(name, _STILL), data, zipfile.ZIP_DEFLATED)
        return out.getvalue()


def _unpacked(packed: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> bytes:
    try:
        with packed.open(entry) as file:
            data = file.read(entry.file_size + 1)
    except zlib.error as error:
        raise InputError(f"{name} is damaged.") from error
    if len(data) > entry.file_size:
        raise InputError(f"{name} unpacks to more than it says.")
    return data
