"""A German report has German words and numbers, and whatever has no translation stays readable."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from microscope_qc.analysis.measures import BOX_AREA, LARGEST, MEAN, MEDIAN, Q90
from microscope_qc.core.box_rows import REJECT_REASONS
from microscope_qc.reports import word_start
from microscope_qc.reports.document import CONTENTS
from microscope_qc.reports.filling import FOLDER
from microscope_qc.reports.german import SENTENCES, WORDS
from microscope_qc.reports.language import LANGUAGES, Language
from microscope_qc.workflows.results.report_content import METHOD

SAME = {"Name", "Median, µm"}


def said_in_templates() -> set[str]:
    page = (FOLDER / "report.html.j2").read_text(encoding="utf-8")
    said = set(re.findall(r'"([^"]+)" \| say', page))
    said |= {word for pair in re.findall(r'things\("([^"]+)"(?:, "([^"]+)")?\)', page) for word in pair if word}
    for heads in re.findall(r"heads\(\[(.*?)\]\)", page):
        said |= set(ast.literal_eval(f"[{heads}]"))
    start = Path(word_start.__file__).read_text(encoding="utf-8")
    for heads in re.findall(r"say\(h(?:ead)?\) for h(?:ead)? in (\(.*?\))\]", start):
        said |= set(ast.literal_eval(heads))
    return said | set(re.findall(r"say\(['\"]([^'\"]+)['\"]\)", start))


def test_every_word_of_the_templates_has_a_translation() -> None:
    said = said_in_templates() | set(CONTENTS.values()) | set(METHOD) | set(REJECT_REASONS.values())
    assert len(said) > 80 and {"Gallery", "Kept", "worst first", "Median, µm", "finding"} <= said
    assert said <= WORDS.keys(), said - WORDS.keys()
    heads = {f"{one.heading}, {one.unit.replace('um', 'µm')}" for one in (MEDIAN, MEAN, Q90, LARGEST, BOX_AREA)}
    assert heads <= WORDS.keys(), heads - WORDS.keys()
    assert {word for word, translated in WORDS.items() if word == translated} <= SAME


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("counted: confidence ≥ 0.40 or judged", "gezählt: Konfidenz ≥ 0.40 oder geprüft"),
        ("12 findings on 0.3 mm2, 4 of them not reviewed: below the limit with 95 % confidence",
         "12 Befunde auf 0.3 mm², 4 davon nicht geprüft: mit 95 % Sicherheit unter dem Grenzwert"),
        ("not estimable: 8 unreviewed findings have a confidence of 0.4 to 0.6, and no such was judged (5 are needed)",
         "nicht schätzbar: 8 ungeprüfte Befunde haben eine Konfidenz von 0.4 bis 0.6, und keine solche wurden geprüft "
         "(5 sind nötig)"),
        ("a note of a user: {0} 1.5", "a note of a user: {0} 1.5"),
    ],
)  # fmt: skip
def test_sentences_with_numbers_are_translated_and_others_stay(english: str, german: str) -> None:
    assert Language("de").say(english) == german and Language("en").say(english) == english


def test_patterns_of_sentences_can_be_filled() -> None:
    for pattern, german in SENTENCES:
        groups = re.compile(pattern).groups
        assert german.format(*"abcdefgh"[:groups]).count("{") == 0


def test_numbers_have_the_decimal_sign_of_the_language() -> None:
    english, german = (Language(code) for code in LANGUAGES)
    assert (english.number(1.5), german.number(1.5), german.number(None)) == ("1.50", "1,50", "–")
    assert german.interval([0.25, 12.5], 1) == "0,2 bis 12,5" and english.interval([1, 2]) == "1.00 to 2.00"
    assert german.percent(0.0004) == "unter 0,1 %" and german.significant(3612.4) == "3\u202f612"
    assert german.pointed("14.2 × 9.8 µm, S1.czi") == "14,2 × 9,8 µm, S1.czi"
    assert german.things(2, "finding") == "2 Befunde" and german.things(1, "slide") == "1 Schliff"
