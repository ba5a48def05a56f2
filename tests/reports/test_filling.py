"""Templates of a lab: they read what the report says, name what is wrong with its line, and can do nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from microscope_qc.core.errors import InputError
from microscope_qc.reports.filling import LARGEST_BYTES, environment, fill

VALUES = {"title": "<b>cell</b>", "total": {"kept": 3, "per_mm2": 1.25}, "names": ["a", "b"]}


def filled(lab: Path, text: str, **values: object) -> str:
    lab.write_text(text, encoding="utf-8")
    return fill("report.html.j2", {**VALUES, **values}, within=environment(lab=lab), lab=lab)


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return tmp_path / "lab.html"


def test_text_is_escaped_and_numbers_are_written(lab: Path) -> None:
    page = filled(lab, "{{ title }} {{ total.per_mm2 | number(1) }} {% for name in names %}[{{ name }}]{% endfor %}")
    assert page == "&lt;b&gt;cell&lt;/b&gt; 1.2 [a][b]"


def test_a_template_can_use_those_of_the_program(lab: Path) -> None:
    assert "--accent" in filled(lab, "{% include 'style.css.j2' %}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<p>\n{{ total.kept }}\n{{ totl.kept }}", r"lab\.html, line 3: there is no totl\."),
        ("\n{{ total.kpt }}", r"lab\.html, line 2: there is no kpt\."),
        ("\n\n{% for x in names %}\n{{ x | nmber }}\n{% endfor %}", r"lab\.html, line 4: there is no nmber\."),
        ("a\n{% if %}", r"lab\.html, line 2: "),
        ("a\n{{ total.kept / 0 }}", r"lab\.html, line 2: division by zero"),
        ("{{ title.__class__.__mro__ }}", r"lab\.html, line 1: "),
        ("{{ names.append('c') }}", r"lab\.html, line 1: "),
        ("{% include '/etc/hostname' %}", r"lab\.html"),
        ("{% include '../html.py' %}", r"lab\.html"),
        ("{{ range(1000000) | list }}", r"lab\.html, line 1: "),
    ],
)
def test_what_is_wrong_is_named_with_its_line(lab: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        filled(lab, text)


def test_what_is_no_text_or_too_large_is_no_template(lab: Path) -> None:
    lab.write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match="UTF-8"):
        fill("report.html.j2", VALUES, within=environment(lab=lab), lab=lab)
    lab.write_bytes(b"a" * (LARGEST_BYTES + 1))
    with pytest.raises(InputError, match="too large"):
        fill("report.html.j2", VALUES, within=environment(lab=lab), lab=lab)
    with pytest.raises(InputError, match="cannot be read"):
        fill("report.html.j2", VALUES, within=environment(lab=lab.parent / "no.html"), lab=lab.parent / "no.html")
