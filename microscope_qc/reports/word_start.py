"""The Word file that the program's own report is made from, and that a lab begins its template with."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from microscope_qc.core.errors import InputError
from microscope_qc.core.files import atomic_write
from microscope_qc.reports.document import CONTENTS
from microscope_qc.reports.language import Language

_MAIN = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_WIDTH = 9350
"""Of a table, in twentieths of a point."""
_STILL = (1980, 1, 1, 0, 0, 0)

_TYPES = f"""{_HEAD}<Types xmlns="{_PACKAGE}/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/>
<Override PartName="/word/document.xml" ContentType="{_TYPE}.document.main+xml"/>
<Override PartName="/word/styles.xml" ContentType="{_TYPE}.styles+xml"/>
<Override PartName="/word/footer1.xml" ContentType="{_TYPE}.footer+xml"/></Types>"""
_ROOT_RELATIONS = f"""{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1"
 Type="{_OFFICE}/officeDocument" Target="word/document.xml"/></Relationships>"""
_RELATIONS = f"""{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">
<Relationship Id="rId1" Type="{_OFFICE}/styles" Target="styles.xml"/>
<Relationship Id="rId2" Type="{_OFFICE}/footer" Target="footer1.xml"/></Relationships>"""
_FOOTER = f"""{_HEAD}<w:ftr xmlns:w="{_MAIN}"><w:p><w:pPr><w:pStyle w:val="Small"/></w:pPr><w:r><w:t
 xml:space="preserve">{{{{ software }}}} · {{{{ date }}}} · </w:t></w:r><w:fldSimple w:instr=" PAGE "><w:r><w:t>1</w:t>
</w:r></w:fldSimple></w:p></w:ftr>"""


def write_starting_template(path: Path | str, language: str) -> Path:
    """Write the file to begin a template with.

    Raises
    ------
    InputError
        When the name does not end in .docx.
    WriteError
        When the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".docx":
        raise InputError(f"{path.name} is not the name of a Word file.", hint="End the name with .docx.")
    atomic_write(path, starting_template(language))
    return path


def starting_template(language: str) -> bytes:
    """Return a Word file (.docx) with a field for everything that the report says."""
    parts = {
        "[Content_Types].xml": _TYPES,
        "_rels/.rels": _ROOT_RELATIONS,
        "word/_rels/document.xml.rels": _RELATIONS,
        "word/styles.xml": _styles(),
        "word/footer1.xml": _FOOTER,
        "word/document.xml": f'{_HEAD}<w:document xmlns:w="{_MAIN}" xmlns:r="{_OFFICE}"><w:body>'
        f"{''.join(_body(Language(language)))}<w:sectPr>"
        '<w:footerReference w:type="default" r:id="rId2"/><w:pgSz w:w="11906" w:h="16838"/>'
        '<w:pgMar w:top="1134" w:right="1134" w:bottom="1134" w:left="1134" w:header="567" '
        'w:footer="567" w:gutter="0"/></w:sectPr></w:body></w:document>',
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in parts.items():
            packed.writestr(zipfile.ZipInfo(name, _STILL), text, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _body(language: Language) -> Iterator[str]:
    say = language.say

    def heading(part: str) -> str:
        return _heading(part, language)

    yield _paragraph("{{ title }}", "Title")
    yield _paragraph("{{ slides | length | things('slide') }} · {{ date }} · {{ included | say }}", "Small")
    yield _paragraph("{{ warnings }}", "Small")
    yield _paragraph(
        f"{{{{ total.kept | count }}}} {say('findings without the rejected ones')}: "
        f"{{{{ total.per_mm2 | number }}}} {say('per mm²')} ({{{{ total.per_mm2_interval | interval }}}}, 95 %), "
        "{{ total.area_mm2 | number }} mm². "
        f"{{{{ total.reviewed_share | percent }}}} {say('reviewed')}."
    )
    yield heading("verdict")
    yield _table([say(head) for head in ("Verdict", "Name")], ["{{ verdicts.verdict | say }}", "{{ verdicts.group }}"])
    yield heading("numbers")
    yield _table(
        [say(h) for h in ("Class", "Not reviewed", "Confirmed", "Rejected", "Kept", "Per mm²")] + ["95 %"]
        + [say("Area, mm²"), say("Median, µm"), say("Largest, µm")],
        ["{{ total.classes.code }} {{ total.classes.name }}"]
        + [f"{{{{ total.classes.states.{state} }}}}" for state in ("unreviewed", "confirmed", "rejected")]
        + ["{{ total.classes.kept }}", "{{ total.classes.per_mm2 | number }}",
           "{{ total.classes.per_mm2_interval | interval }}", "{{ total.classes.area_mm2 | number }}",
           "{{ total.classes.size_um.median.value | number(1) if total.classes.size_um.median else '–' }}",
           "{{ total.classes.size_um.largest | number(1) }}"],
    )  # fmt: skip
    yield _paragraph(say("Every slide"), "Heading2")
    yield _table(
        [say(h) for h in ("Slide", "Size", "Kept", "Per mm²")] + ["95 %", say("Area, mm²"), say("Of slide")],
        ["{{ slides.name }}", "{{ slides.words | pointed }}", "{{ slides.numbers.kept }}",
         "{{ slides.numbers.per_mm2 | number }}",
         "{{ slides.numbers.per_mm2_interval | interval }}", "{{ slides.numbers.area_mm2 | number }}",
         "{{ slides.numbers.area_share | percent }}"],
    )  # fmt: skip
    yield heading("coverage")
    shares = "scanned", "masked", "missing", "declared", "seen", "nobody"
    yield _table(
        [say(h) for h in ("Slide", "Scanned", "Masked", "Not done, damaged", "Declared complete", "Viewed",
                          "Not looked at")],
        ["{{ slides.name }}", *(f"{{{{ slides.coverage.looked_at.{name} | percent }}}}" for name in shares)],
    )  # fmt: skip
    yield heading("method")
    yield _paragraph("{{ method | say }}")
    yield heading("models")
    yield _paragraph("{{ models.name }}: {{ models.runs | length | things('detection') }}. {{ models.trained_on }}")
    yield heading("plots")
    yield _paragraph("{{ plots | chart }}")
    yield from _where(language)
    yield heading("worst")
    yield _paragraph(
        "{{ worst.code }} {{ worst.name }}\n{{ worst.findings | map(attribute='picture') | list | width(38) }}"
    )
    yield heading("chosen")
    yield _table(
        [say(h) for h in ("Number", "Class", "Size", "Position", "Slide")] + [""],
        ["{{ chosen.defect_id }}", "{{ chosen.code }}", "{{ chosen.size | pointed }}",
         "{{ chosen.position | pointed }}", "{{ chosen.slide }}", "{{ chosen.picture | width(25) }}"],
    )  # fmt: skip
    yield heading("gallery")
    yield _paragraph(
        "{{ gallery.code }} {{ gallery.name }}: {{ gallery.shown }} / {{ gallery.of }}\n{{ gallery.sheets }}"
    )
    yield heading("people")
    yield _table(
        [say(h) for h in ("Name", "Steps", "First", "Last")],
        ["{{ people.name }}", "{{ people.steps }}", "{{ people.first }}", "{{ people.last }}"],
    )
    yield heading("hashes")
    yield _paragraph("{{ hashes.findings if hashes else '' }}", "Small")


def _where(language: Language) -> Iterator[str]:
    """Where findings lie, control charts, and the most severe ones: a report may be without any of them."""
    say = language.say
    yield _heading("where", language)
    yield _paragraph("{{ where.clustering | say if where else '' }}")
    yield _paragraph("{{ where.map | chart if where and where.map else '' }}")
    spot = "where.hotspots"
    yield _table(
        [say("Slide"), "x, µm", "y, µm", say("Findings"), say("By chance"), "p"],
        [f"{{{{ {spot}.slide if where else '' }}}}",
         *(f"{{{{ {spot}.{side}0_um | significant if where else '' }}}} – "
           f"{{{{ {spot}.{side}1_um | significant if where else '' }}}}" for side in "xy"),
         f"{{{{ {spot}.count if where else '' }}}}", f"{{{{ {spot}.expected | significant if where else '' }}}}",
         f"{{{{ {spot}.p_corrected | significant(2) if where else '' }}}}"],
    )  # fmt: skip
    yield _heading("control", language)
    yield _paragraph(
        "{{ control.title | say }}\n{{ control | control_chart }}\n{{ control.remarks | map('say') | list }}"
    )
    yield _heading("severity", language)
    found = "severity.findings"
    yield _table(
        [say(h) for h in ("Number", "Class", "Slide", "Severity", "Size", "Anomaly", "Crowding", "State")],
        [f"#{{{{ {found}.number if severity else '' }}}}", f"{{{{ {found}.code if severity else '' }}}}",
         f"{{{{ {found}.slide if severity else '' }}}}", f"{{{{ {found}.severity | number(0) if severity else '' }}}}",
         *(f"{{{{ {found}.{part} | number if severity else '' }}}}" for part in ("size", "anomaly", "crowding")),
         f"{{{{ {found}.state | say if severity else '' }}}}"],
    )  # fmt: skip


def _heading(part: str, language: Language) -> str:
    return _paragraph(language.say(CONTENTS[part]), "Heading1")


def _paragraph(text: str, style: str = "") -> str:
    known = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    runs = "<w:br/>".join(f'<w:t xml:space="preserve">{escape(line, quote=False)}</w:t>' for line in text.split("\n"))
    return f"<w:p>{known}<w:r>{runs}</w:r></w:p>"


def _table(heads: Sequence[str], cells: Sequence[str]) -> str:
    wide = _WIDTH // len(heads)
    border = "".join(f'<w:{side} w:val="single" w:sz="4" w:color="C9D0D7"/>' for side in ("top", "bottom", "insideH"))
    grid = f'<w:gridCol w:w="{wide}"/>' * len(heads)

    def row(texts: Sequence[str], style: str) -> str:
        filled = "".join(
            f'<w:tc><w:tcPr><w:tcW w:w="{wide}" w:type="dxa"/></w:tcPr>{_paragraph(text, style)}</w:tc>'
            for text in texts
        )
        return f"<w:tr>{filled}</w:tr>"

    return (
        f'<w:tbl><w:tblPr><w:tblW w:w="{_WIDTH}" w:type="dxa"/><w:tblBorders>{border}</w:tblBorders></w:tblPr>'
        f"<w:tblGrid>{grid}</w:tblGrid>{row(heads, 'TableHead')}{row(cells, 'TableCell')}</w:tbl><w:p/>"
    )


def _styles() -> str:
    looks = (
        ("Normal", "Normal", 20, "", ""), ("Title", "Title", 40, "<w:b/>", ""),
        ("Heading1", "heading 1", 28, "<w:b/>", '<w:keepNext/><w:spacing w:before="360" w:after="80"/>'),
        ("Heading2", "heading 2", 22, "<w:b/>", '<w:keepNext/><w:spacing w:before="200" w:after="60"/>'),
        ("Small", "Small", 16, '<w:color w:val="5C6873"/>', ""), ("TableHead", "Table head", 16, "<w:b/>", ""),
        ("TableCell", "Table cell", 17, "", ""),
    )  # fmt: skip
    return f'{_HEAD}<w:styles xmlns:w="{_MAIN}">{"".join(_style(*look) for look in looks)}</w:styles>'


def _style(key: str, name: str, size: int, look: str, around: str) -> str:
    default = ' w:default="1"' if key == "Normal" else ""
    spaced = around or '<w:spacing w:after="80"/>'
    return (
        f'<w:style w:type="paragraph" w:styleId="{key}"{default}><w:name w:val="{name}"/><w:pPr>{spaced}</w:pPr>'
        f'<w:rPr><w:rFonts w:ascii="Calibri" w:hAnsi="Calibri"/>{look}<w:sz w:val="{size}"/></w:rPr></w:style>'
    )
