"""Word files as templates: fields that Word has split, rows for each entry, pictures; hostile files are refused."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from microscope_qc.core.errors import InputError
from microscope_qc.reports import word_package
from microscope_qc.reports.crops import jpeg
from microscope_qc.reports.document import as_uri
from microscope_qc.reports.language import Language
from microscope_qc.reports.word import fill_word
from microscope_qc.reports.word_start import starting_template

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
MAIN = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
PICTURE = as_uri(jpeg(np.full((20, 40, 3), (200, 30, 30), np.uint8)))
VALUES = {
    "title": 'A & B <x> "q"',
    "lines": "one\ntwo",
    "empty": [],
    "total": {"kept": 3, "per_mm2": 1.25, "limits": [1.0, 2.5]},
    "classes": [
        {"code": "ACP", "kept": 2, "sheets": [PICTURE, PICTURE]},
        {"code": "{{ title }}", "kept": 1, "sheets": []},
    ],
    "method": ["First.", "Second."],
    "picture": PICTURE,
}


def paragraph(*runs: str) -> str:
    return "<w:p>" + "".join(f"<w:r><w:rPr><w:b/></w:rPr><w:t>{run}</w:t></w:r>" for run in runs) + "</w:p>"


def row(*cells: str) -> str:
    return f"<w:tr>{''.join(f'<w:tc>{cell}</w:tc>' for cell in cells)}</w:tr>"


def docx(body: str, more: Mapping[str, str | bytes] | None = None) -> bytes:
    """A Word file with this body, and further parts."""
    files: dict[str, str | bytes] = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "word/document.xml": f'<w:document {MAIN} xmlns:mc="urn:mc" xmlns:w14="urn:w14" mc:Ignorable="w14"><w:body>'
        f"{body}</w:body></w:document>",
    } | dict(more or {})
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return out.getvalue()


def filled(data: bytes, values: Mapping[str, object] = VALUES) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(fill_word(data, values, Language(), name="lab.docx")))


def texts(data: bytes, part: str = "word/document.xml") -> list[str]:
    """The text of each paragraph; | is the end of a line in one."""
    root = ElementTree.fromstring(filled(data).read(part))
    return [
        "".join("|" if e.tag == f"{W}br" else e.text or "" for e in p.iter() if e.tag in (f"{W}t", f"{W}br"))
        for p in root.iter(f"{W}p")
    ]


@pytest.mark.parametrize(
    "runs",
    [
        ("before {{ total.per_mm2 | number }} after",),
        ("before {", "{ total", ".per_mm2 ", "| num", "ber }", "} after"),
        ("before {{", " total.per_mm2 | number", " }} after"),
        ("before ", "{{ total.per_mm2 | number }}", " after"),
    ],
)
def test_a_field_is_filled_however_word_has_split_it(runs: tuple[str, ...]) -> None:
    assert texts(docx(paragraph(*runs))) == ["before 1.25 after"]


def test_several_fields_of_a_paragraph_and_the_look_of_its_runs() -> None:
    data = docx(paragraph("{{ tit", "le }} and {{ total.kept }}", " of {{ total.limits | interval }}"))
    assert texts(data) == ['A & B <x> "q" and 3 of 1.00 to 2.50']
    root = ElementTree.fromstring(filled(data).read("word/document.xml"))
    assert len(list(root.iter(f"{W}b"))) == 3, "bold stays bold"
    assert b'mc:Ignorable="w14"' in filled(data).read("word/document.xml"), "or Word would not open it"


def test_quotes_that_word_has_made_round_are_quotes() -> None:
    assert texts(docx(paragraph("{{ “%.1f” | format(total.per_mm2) }}"))) == ["1.2"]


def test_lines_of_a_value_are_lines() -> None:
    assert texts(docx(paragraph("a {{ lines }} b"))) == ["a one|two b"]


def test_a_row_is_repeated_for_each_entry_and_its_text_is_not_read_again() -> None:
    head = row(paragraph("Class"), paragraph("Kept"))
    repeated = row(paragraph("{{ classes.co", "de }}"), paragraph("{{ classes.kept }} of {{ total.kept }}"))
    found = texts(docx(f"<w:tbl>{head}{repeated}</w:tbl>"))
    assert found == ["Class", "Kept", "ACP", "2 of 3", "{{ title }}", "1 of 3"]


def test_a_paragraph_is_repeated_for_each_entry_or_goes() -> None:
    assert texts(docx(paragraph("{{ method }}"))) == ["First.", "Second."]
    assert texts(docx(paragraph("a") + paragraph("x {{ empty }}") + paragraph("b"))) == ["a", "b"]
    assert texts(docx(f"<w:tbl>{row(paragraph('x {{ empty }}'))}</w:tbl>")) == [""], "a table needs a row"
    assert texts(docx(paragraph("{{ method | length }}: {{ method | join('; ') }}"))) == ["2: First.; Second."]


def test_headers_and_footers_are_filled() -> None:
    data = docx(paragraph("a"), {"word/header1.xml": f"<w:hdr {MAIN}>{paragraph('{{ total.kept }}')}</w:hdr>"})
    assert texts(data, "word/header1.xml") == ["3"]


def test_pictures_stand_in_the_file() -> None:
    packed = filled(docx(paragraph("{{ picture | width(40) }}") + paragraph("{{ classes.code }} {{ classes.sheets }}")))
    media = [name for name in packed.namelist() if name.startswith("word/media/")]
    assert len(media) == 1, "the same picture is there once"
    assert Image.open(io.BytesIO(packed.read(media[0]))).size == (40, 20)
    relations = ElementTree.fromstring(packed.read("word/_rels/document.xml.rels"))
    known = {one.get("Id"): one.get("Target") for one in relations}
    text = packed.read("word/document.xml").decode()
    used = [part.split('"')[0] for part in text.split('r:embed="')[1:]]
    assert len(used) == 3 and all(known[name] == media[0].removeprefix("word/") for name in used)
    assert f'cx="{40 * 36000}" cy="{20 * 36000}"' in text
    assert b'Extension="jpeg"' in packed.read("[Content_Types].xml")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (paragraph("a") + paragraph("{{ total.kpt }}"), r"lab\.docx, paragraph 2, field {{total\.kpt}}: .* no kpt"),
        (paragraph("{{ tot", "l.kept }}"), r"paragraph 1, field {{totl\.kept}}: there is no totl"),
        (f"<w:tbl>{row(paragraph('x'), paragraph('{{ classes.cde }}'))}</w:tbl>",
         r"paragraph 2, field {{classes\.cde}}: there is no cde"),
        (paragraph("{{ total }}"), "total has parts"),
        (paragraph("{{ total.kept | nmber }}"), "there is no nmber"),
        (paragraph("{{ total.kept + }}"), r"paragraph 1, field {{total\.kept \+}}"),
        (paragraph("{{ title.__class__ }}"), "paragraph 1"),
        (paragraph("{{ classes.code }} {{ method }}"), "classes and method stand in one row"),
        ('<w:p><w:r><w:instrText> DDEAUTO cmd "/c calc" </w:instrText></w:r></w:p>', "fetches or starts something"),
        ('<w:p><w:r><w:instrText>PAGE DDE</w:instrText></w:r><w:r><w:instrText>AUTO x</w:instrText></w:r></w:p>',
         "fetches or starts something"),
        ('<w:p><w:fldSimple w:instr=" INCLUDEPICTURE http://x/y.png "/></w:p>', "fetches or starts something"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_text_is_named(body: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        filled(docx(body))


RELATION = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}" Target="{target}" '
    'TargetMode="External"/></Relationships>'
)
ENTITIES = (
    '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><w:document {main}><w:body>&b;</w:body></w:document>'
)
FILE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><w:document {main}><w:body>&a;</w:body></w:document>'


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"word/vbaProject.bin": b"x"}, "has macros"),
        ({"[Content_Types].xml": '<Types><Override ContentType="x.macroEnabled.main+xml"/></Types>'}, "has macros"),
        ({"word/activeX/1.bin": b"x"}, "has macros"),
        ({"word/document.xml": ENTITIES.format(main=MAIN)}, "damaged"),
        ({"word/document.xml": FILE.format(main=MAIN)}, "damaged"),
        ({"word/document.xml": b"<w:document"}, "damaged"),
        ({"word/_rels/settings.xml.rels": RELATION.format(kind="attachedTemplate", target="http://x/t.dotm")},
         "refers to another file"),
        ({"word/_rels/document.xml.rels": RELATION.format(kind="image", target="file://server/share/a.png")},
         "refers to another file"),
        ({"word/_rels/document.xml.rels": RELATION.format(kind="oleObject", target="x")}, "refers to another file"),
    ],
)  # fmt: skip
def test_hostile_parts_are_refused(more: dict[str, str | bytes], said: str) -> None:
    with pytest.raises(InputError, match=said):
        filled(docx(paragraph("a"), more))


def test_a_link_to_a_page_is_no_danger() -> None:
    link = RELATION.format(kind="hyperlink", target="https://example.org")
    assert texts(docx(paragraph("a"), {"word/_rels/document.xml.rels": link})) == ["a"]


def test_what_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_package, "LARGEST_UNPACKED", 1 << 20)
    bomb = docx(paragraph("a"), {"word/media/a.bin": b"\0" * (2 << 20)})
    assert len(bomb) < 20_000
    with pytest.raises(InputError, match="unpacks to more"):
        filled(bomb)
    lying = bytearray(docx(paragraph("a"), {"word/media/a.bin": b"\0" * (2 << 20)}))
    size = (2 << 20).to_bytes(4, "little")
    for _ in range(2):  # in the head of the entry and in the list at the end
        at = bytes(lying).index(size)
        lying[at : at + 4] = (1000).to_bytes(4, "little")
    with pytest.raises(InputError):
        filled(bytes(lying))
    monkeypatch.setattr(word_package, "MOST_PARTS", 2)
    with pytest.raises(InputError, match="unpacks to more"):
        filled(docx(paragraph("a"), {"word/media/a.bin": b"x"}))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 no zip", b"{\\rtf1 hello}", docx("")[:200]])
def test_what_is_no_word_file_is_said(data: bytes) -> None:
    with pytest.raises(InputError, match="not a Word file"):
        filled(data)


def test_a_filled_file_can_be_a_template_again() -> None:
    values = VALUES | {"text": "{{ picture }}"}
    packed = filled(fill_word(docx(paragraph("{{ picture }} {{ text }}")), values, Language(), name="a"))
    relations = ElementTree.fromstring(packed.read("word/_rels/document.xml.rels"))
    names = [one.get("Id") for one in relations]
    assert len(names) == len(set(names)) == 2 and packed.testzip() is None
    assert len([name for name in packed.namelist() if name.startswith("word/media/")]) == 2


def test_the_same_fields_make_the_same_bytes() -> None:
    data = docx(paragraph("{{ picture }}"))
    assert fill_word(data, VALUES, Language(), name="a") == fill_word(data, VALUES, Language(), name="a")


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_file_to_begin_with_is_a_word_file_in_the_language(language: str) -> None:
    with zipfile.ZipFile(io.BytesIO(starting_template(language))) as packed:
        assert packed.testzip() is None
        for name in packed.namelist():
            ElementTree.fromstring(packed.read(name))
        text = packed.read("word/document.xml").decode()
    assert ("Bildübersicht" in text) == (language == "de") and ("Gallery" in text) == (language == "en")
