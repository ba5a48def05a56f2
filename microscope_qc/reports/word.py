"""Fills ordinary Word files: ``{{ total.per_mm2 | number }}`` in the text is replaced by what it stands for.

A field may be split over runs, as Word likes to do. A row of a table, or a paragraph outside of tables, in which a
field begins with the name of a list is repeated for each of its entries. Files come from anywhere: nothing in one is
run, fetched or believed.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from microscope_qc.core.errors import InputError
from microscope_qc.core.files import atomic_write
from microscope_qc.reports.document import CONTENTS, JPEG, ReportDocument, of_uri
from microscope_qc.reports.document_charts import chart_of, control_of, map_of
from microscope_qc.reports.filling import TemplateFields, environment
from microscope_qc.reports.html import fields
from microscope_qc.reports.language import Language
from microscope_qc.reports.plots import Chart, as_png
from microscope_qc.reports.word_package import LARGEST_BYTES, Node, Package

WIDEST_MM = 165.0
_FILLED = re.compile(r"word/(document|header\d*|footer\d*|footnotes|endnotes)\.xml")
_FIELD = re.compile(r"\{\{(.+?)\}\}")
_PATH = re.compile(r"\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")
_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "\u00a0": " "})
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_FETCHING = re.compile(r"\b(DDE|DDEAUTO|INCLUDEPICTURE|INCLUDETEXT|IMPORT|LINK|MACROBUTTON)\b", re.IGNORECASE)
_EMU_PER_MM = 36000


def write_word(path: Path | str, document: ReportDocument, *, template: Path | None = None) -> Path:
    """Write the report as a Word file, from a lab's own or from the program's.

    Raises
    ------
    InputError
        When the template cannot be read, holds what may not be in one, or a field is wrong: it is named with its
        paragraph.
    WriteError
        When the file cannot be written.
    """
    from microscope_qc.reports.word_start import starting_template

    language = Language(document.language)
    if template is None:
        data, name = starting_template(document.language), "the template"
    else:
        data, name = _read(template), template.name
    atomic_write(path, fill_word(data, fields(document), language, name=name))
    return Path(path)


def _read(template: Path) -> bytes:
    try:
        with template.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise InputError(f"The template {template} cannot be read ({error.strerror or error}).") from error
    if len(data) > LARGEST_BYTES:
        raise InputError(f"{template.name} is too large to be a template.")
    return data


def fill_word(data: bytes, values: Mapping[str, Any], language: Language, *, name: str) -> bytes:
    """Return a Word file with its fields filled.

    Parameters
    ----------
    values
        What fields can name.
    name
        What the file is called in messages.

    Raises
    ------
    InputError
        As in :func:`write_word`.
    """
    package = Package.read(data, name)
    headings = {part: language.say(heading) for part, heading in CONTENTS.items()}
    known = TemplateFields(
        environment(
            language,
            chart=lambda plot: chart_of(plot, language),
            positions=map_of,
            width=_Sized,
            control_chart=lambda known: control_of(known, language) or "",
        )
    )
    for part in [part for part in package.files if _FILLED.fullmatch(part)]:
        filler = _Filler(package, part, known, {**values, "headings": headings})
        filler.fill()
    return package.packed()


@dataclass(frozen=True, slots=True)
class _Sized:
    """A picture or chart of a width: ``{{ item.picture | width(40) }}``."""

    shown: Any
    width_mm: float = WIDEST_MM


class _Filler:
    """Fills one part: the text, a header or a footer."""

    def __init__(self, package: Package, part: str, known: TemplateFields, values: Mapping[str, Any]) -> None:
        self._package, self._part, self._known, self._values = package, part, known, values
        self._xml = package.xml(part)
        self._drawings = 0

    def fill(self) -> None:
        """Fill the part."""
        self._look()
        numbers = {id(one): number for number, one in enumerate(_all(self._xml.documentElement, "w:p"), start=1)}
        for row in _all(self._xml.documentElement, "w:tr"):
            if _above(row, "w:tr") is None:  # once: what stands in a note may look like a field
                self._repeat(row, numbers)
        for paragraph in _all(self._xml.documentElement, "w:p"):
            if _above(paragraph, "w:tr") is None:
                self._repeat(paragraph, numbers)
        self._package.files[self._part] = self._xml.toxml(encoding="UTF-8")

    def _look(self) -> None:
        root = self._xml.documentElement
        said = [one.getAttribute("w:instr") for one in _all(root, "w:fldSimple")]
        said += ["".join(map(_text, _all(one, "w:instrText"))) for one in _all(root, "w:p")]  # Word splits these, too
        for words in said:
            if _FETCHING.search(words):
                raise InputError(
                    f"{self._package.name} has a field that fetches or starts something ({words.strip()[:40]}).",
                    hint="Remove it from the document.",
                )

    def _repeat(self, element: Node, numbers: Mapping[int, int]) -> None:
        """Fill a row or a paragraph, once for each entry of the list that its fields name."""
        paragraphs = [element] if element.tagName == "w:p" else _all(element, "w:p")
        places = [self._place(numbers.get(id(one), 0)) for one in paragraphs]
        lists = {}
        for paragraph, where in zip(paragraphs, places, strict=True):
            for expression in _FIELD.findall("".join(_text(one) for one in _texts(paragraph))):
                found = self._list_of(expression)
                if found is not None:
                    lists[found] = where
        if len(lists) > 1:
            raise InputError(f"{next(iter(lists.values()))}: fields of {' and '.join(lists)} stand in one row.")
        if not lists:
            for paragraph, where in zip(paragraphs, places, strict=True):
                self._fill_paragraph(paragraph, self._values, "", where)
            return
        (name, where), parent = next(iter(lists.items())), element.parentNode
        entries = self._known.value(name, self._values, where=where)
        for entry in entries:
            copy = element.cloneNode(True)
            parent.insertBefore(copy, element)
            mine = [copy] if copy.tagName == "w:p" else _all(copy, "w:p")
            for paragraph, at in zip(mine, places, strict=True):
                self._fill_paragraph(paragraph, {**self._values, "entry": entry}, name, at)
        if entries or len([one for one in parent.childNodes if one.nodeName == element.tagName]) > 1:
            parent.removeChild(element)
            return
        for one in _all(element, "w:t"):  # a table needs a row, and a text a paragraph
            _set_text(one, "")

    def _place(self, number: int) -> str:
        part = "" if self._part == "word/document.xml" else f" {Path(self._part).stem}"
        return f"{self._package.name},{part} paragraph {number}"

    def _list_of(self, expression: str) -> str | None:
        """The list with which a field begins: ``total.classes`` of ``total.classes.code``."""
        found = _PATH.match(expression.translate(_QUOTES))
        if found is None:
            return None
        value: Any = self._values
        steps = found[1].split(".")
        for number, step in enumerate(steps):
            value = value.get(step) if isinstance(value, Mapping) else None
            if isinstance(value, list) and number + 1 < len(steps):
                return ".".join(steps[: number + 1])
        if isinstance(value, list) and (not value or isinstance(value[0], Mapping | str)):
            return ".".join(steps) if _is_alone(expression, found) else None
        return None

    def _fill_paragraph(self, paragraph: Node, values: Mapping[str, Any], repeated: str, where: str) -> None:
        texts = _texts(paragraph)
        whole = "".join(_text(one) for one in texts)
        for found in reversed(list(_FIELD.finditer(whole))):
            expression = found[1].translate(_QUOTES)
            if repeated:
                expression = re.sub(rf"(?<![\w.]){re.escape(repeated)}(?!\w)", "entry", expression)
            value = self._known.value(expression, values, where=where, typed=found[1])
            self._write(texts, *found.span(), self._shown(value, expression, where))

    def _shown(self, value: Any, expression: str, where: str) -> list[str | Node]:
        """What stands for a value: text, and pictures as drawings."""
        width = WIDEST_MM
        if isinstance(value, _Sized):
            value, width = value.shown, value.width_mm
        if isinstance(value, Chart):
            return [self._drawing(as_png(value), "png", width)]
        if isinstance(value, str) and value.startswith(JPEG):
            return [self._drawing(of_uri(value), "jpeg", width)]
        if isinstance(value, Mapping):
            raise InputError(f"{where}: {expression.strip()} has parts.", hint="Name one of them after a dot.")
        if isinstance(value, list | tuple):
            if all(isinstance(one, str) and one.startswith(JPEG) for one in value):
                return [self._drawing(of_uri(one), "jpeg", width) for one in value]
            return [", ".join(_plain(one) for one in value)]
        return [_plain(value)]

    def _write(self, texts: Sequence[Node], start: int, end: int, shown: Sequence[str | Node]) -> None:
        """Put something in the place of the letters from start to end of the texts of a paragraph."""
        ends = list(accumulate(len(_text(one)) for one in texts))
        touched = [
            (one, stop - len(_text(one)))
            for one, stop in zip(texts, ends, strict=True)
            if stop > start and stop - len(_text(one)) < end
        ]
        (now, first_at), (last, last_at) = touched[0], touched[-1]
        said, after = _text(now)[: start - first_at], _text(last)[end - last_at :]
        for one, _ in touched[1:]:
            _set_text(one, "")
        if last is not now:
            _set_text(last, after)
            after = ""
        for piece in self._with_breaks(shown):
            if isinstance(piece, str):
                said += piece
                continue
            _set_text(now, said)
            following = now.cloneNode(False)
            now.parentNode.insertBefore(piece, now.nextSibling)
            now.parentNode.insertBefore(following, piece.nextSibling)
            now, said = following, ""
        _set_text(now, said + after)

    def _with_breaks(self, shown: Sequence[str | Node]) -> Iterator[str | Node]:
        """What is shown, with elements for the ends of lines."""
        for piece in shown:
            if not isinstance(piece, str):
                yield piece
                continue
            for number, line in enumerate(piece.split("\n")):
                if number:
                    yield self._xml.createElement("w:br")
                yield line

    def _drawing(self, data: bytes, suffix: str, width_mm: float) -> Node:
        from PIL import Image

        name = self._package.picture(self._part, data, suffix)
        with Image.open(io.BytesIO(data)) as picture:
            width_px, height_px = picture.size
        width = round(min(max(float(width_mm), 1.0), WIDEST_MM) * _EMU_PER_MM)
        self._drawings += 1
        made: Node = _parsed(_DRAWING.format(
            width=width, height=max(1, round(width * height_px / width_px)), number=9000 + self._drawings, relation=name
        ))  # fmt: skip
        return self._xml.importNode(made, True)


_DRAWING = """<w:drawing xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"
 xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing"
 xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"
 xmlns:pic="http://schemas.openxmlformats.org/drawingml/2006/picture"
 xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><wp:inline distT="0" distB="0" distL="0"
 distR="0"><wp:extent cx="{width}" cy="{height}"/><wp:docPr id="{number}" name="Picture {number}"/><a:graphic>
<a:graphicData uri="http://schemas.openxmlformats.org/drawingml/2006/picture"><pic:pic><pic:nvPicPr>
<pic:cNvPr id="{number}" name="Picture {number}"/><pic:cNvPicPr/></pic:nvPicPr><pic:blipFill><a:blip
 r:embed="{relation}"/><a:stretch><a:fillRect/></a:stretch></pic:blipFill><pic:spPr><a:xfrm><a:off x="0" y="0"/><a:ext
 cx="{width}" cy="{height}"/></a:xfrm><a:prstGeom prst="rect"><a:avLst/></a:prstGeom></pic:spPr></pic:pic>
</a:graphicData></a:graphic></wp:inline></w:drawing>"""


def _parsed(text: str) -> Node:
    from defusedxml.minidom import parseString

    element: Node = parseString(text).documentElement
    return element


def _all(element: Node, tag: str) -> list[Node]:
    return list(element.getElementsByTagName(tag))


def _above(element: Node, tag: str) -> Node | None:
    """The nearest element of this kind that it lies in."""
    parent = element.parentNode
    while parent is not None and parent.nodeName != tag:
        parent = parent.parentNode
    return parent


def _texts(paragraph: Node) -> list[Node]:
    """Texts of a paragraph, without those of text boxes in it, which have paragraphs of their own."""
    return [one for one in _all(paragraph, "w:t") if _above(one, "w:p") is paragraph]


def _text(element: Node) -> str:
    return "".join(
        str(one.data) for one in element.childNodes if one.nodeType in (one.TEXT_NODE, one.CDATA_SECTION_NODE)
    )


def _set_text(element: Node, text: str) -> None:
    while element.firstChild is not None:
        element.removeChild(element.firstChild)
    element.appendChild(element.ownerDocument.createTextNode(text))
    element.setAttribute("xml:space", "preserve")


def _is_alone(expression: str, found: re.Match[str]) -> bool:
    """Whether a list is all that a field names, so that its entries are lines of their own."""
    return "join" not in expression[found.end() :] and "length" not in expression[found.end() :]


def _plain(value: Any) -> str:
    return "–" if value is None else _CONTROL.sub(" ", str(value))
