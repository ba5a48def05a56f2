"""The manual: every page can be reached, every link leads somewhere, and what it names is there."""

from __future__ import annotations

import argparse
import re

import pytest
import yaml
from command_table import nested, parser_of

from microscope_qc import __version__, cli
from microscope_qc.analysis.registry import STATISTICS
from microscope_qc.core.box_rows import REJECT_REASONS
from microscope_qc.core.defect_class import CLASS_SETS
from microscope_qc.core.errors import InputError
from microscope_qc.core.manual import ACTION, INDEX, Manual, anchor_of, manual, picture_of
from microscope_qc.core.query_words import FIELD_WORDS
from microscope_qc.core.resources import resource
from microscope_qc.exchange.registry import FORMATS
from microscope_qc.workflows.results.plots import PLOTS

PAGES = manual().pages


def links(page: str):
    return [(text, target, picture) for text, target, picture in PAGES[page].links() if not target.startswith(ACTION)]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_somewhere(page):
    for _, target, picture in links(page):
        if picture:
            assert picture_of(page, target).is_file(), target
        elif "://" not in target:
            name, anchor = manual().resolve(page, target)
            assert not anchor or anchor in {section.anchor for section in PAGES[name].sections}, target


def test_the_contents_list_every_page_by_its_title():
    listed = [name for _, names in manual().contents for name in names]
    assert sorted(listed) == sorted(PAGES.keys() - {INDEX})
    for text, target, _ in links(INDEX):
        assert text == PAGES[manual().resolve(INDEX, target)[0]].title


def test_a_picture_lies_within_the_manual():
    assert picture_of("tasks/first-steps", "../pictures/annotate.png").is_file()
    assert picture_of("tasks/first-steps", "../../../../secret.png").parent.name == "manual"


def commands(text: str):
    """Command lines in code, inline and in blocks."""
    for block in re.findall(r"```\n(.*?)```", text, re.DOTALL):
        yield from (line for line in block.splitlines() if line.startswith("microscope-qc "))
    for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", text):
        if span.startswith("microscope-qc "):
            yield " ".join(span.split())


def why_not(command: str) -> str:
    """Why a command line cannot be typed: its command, its action or a flag is unknown; "" if it can."""
    name, *words = command.removeprefix("microscope-qc ").split()
    if name in ("--help", "--version", "COMMAND"):
        return ""
    if name not in cli.MODULE_OF or name in cli.HIDDEN_COMMANDS:
        return f"no command {name}"
    parser: argparse.ArgumentParser = parser_of(name)
    actions = nested(parser)
    for word in words:
        if actions is not None and word in actions.choices:
            parser, actions = actions.choices[word], None
    unknown = [word for word in words if word.startswith("--") and word not in parser._option_string_actions]
    return f"{name} has no {unknown[0]}" if unknown else ""


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_is_named_is_there(page):
    assert [why for command in commands(PAGES[page].markdown) if (why := why_not(command))] == []


def test_a_command_that_is_not_there_is_noticed():
    text = (
        "`microscope-qc paint A.mqc`, `microscope-qc stats\nA.mqc --colour`\n```\nmicroscope-qc stage fit --csv\n```\n"
    )
    assert {why_not(command) for command in commands(text)} == {
        "no command paint", "stats has no --colour", "stage has no --csv",
    }  # fmt: skip
    assert len(list(commands(PAGES["tasks/volumes"].markdown))) > 5


def cells(page: str) -> list[list[str]]:
    """Cells of all tables of a page."""
    lines = re.findall(r"^\| (.*) \|$", PAGES[page].markdown, re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in lines]


def test_classes_and_fields_are_those_of_the_program():
    told = [row for row in cells("reference/classes") if row[0] != "Code"]
    known = [defect for classes in CLASS_SETS.values() for defect in classes]
    assert [(row[0], row[1]) for row in told] == [(defect.code, defect.name) for defect in known]
    assert [row[2:] for row in told if len(row) == 4] == [
        [defect.group, defect.description] for defect in CLASS_SETS["li-ion"]
    ]
    named = {name for row in cells("reference/search") for name in row[0].replace(",", " ").split()}
    assert FIELD_WORDS.keys() <= named


def test_what_is_installed_is_explained():
    assert {kind.title for kind in PLOTS.values()} == {row[0] for row in cells("workspaces/statistics")} - {
        "Plot",
        "---",
    }
    numbers = " ".join(PAGES["reference/numbers"].markdown.split())
    own = [one for name, one in STATISTICS.items() if not STATISTICS.package_of(name)]
    assert [one.title for one in own if one.title not in numbers] == []
    formats = PAGES["tasks/exchange"].markdown
    assert [
        one.title for name, one in FORMATS.items() if not FORMATS.package_of(name) and known_as(one) not in formats
    ] == []
    reasons = {row[1]: row[0] for row in cells("tasks/judge") if len(row) == 3 and row[1] != "Reason"}
    assert {reason: letter.upper() for letter, reason in REJECT_REASONS.items()} == {
        reason: letter for reason, letter in reasons.items() if "---" not in reason
    }


def known_as(one) -> str:
    """Title of a format without what follows in brackets, and without a version."""
    return re.sub(r" (?:\(.*\)|[\d.]+|table)$", "", one.title)


def test_the_citation_is_of_this_version():
    told = yaml.safe_load(resource("CITATION.cff").read_text(encoding="utf-8"))
    assert told["version"] == __version__
    assert {"cff-version", "message", "title", "authors", "license"} <= told.keys()


def test_what_the_title_says_comes_before_what_a_text_mentions():
    hits = manual().search("severity")
    assert (hits[0].page, hits[0].heading) == ("reference/numbers", "Severity")
    assert hits[0].anchor == "severity"
    assert manual().search("gallery")[0].page == "panels/gallery"


def test_all_words_are_wanted_and_their_beginnings_are_enough():
    hits = manual().search("declar compl rand")
    assert hits
    for hit in hits:
        section = next(one for one in PAGES[hit.page].sections if one.heading == hit.heading)
        text = f"{section.heading} {section.text}".casefold()
        assert all(re.search(rf"\b{word}", text) for word in ("declar", "compl", "rand"))
    assert manual().search("severity zzzz") == manual().search("") == []


def test_a_word_that_is_misspelt_is_understood():
    assert manual().marked("tortousity") == ["tortuosity"]
    assert manual().search("tortousity") == manual().search("tortuosity") != []


def test_a_hit_shows_the_words_where_they_stand():
    small = Manual({"index": "# All\n\n## Part\n\n- [A](a.md)\n", "a": f"# A\n\n{'word ' * 60}needle {'word ' * 60}"})
    (hit,) = small.search("needle")
    assert "needle" in hit.around
    assert len(hit.around) < 200
    assert hit.around.startswith("…") and hit.around.endswith("…")


def test_comments_in_code_are_no_headings():
    text = "# A\n\n```\n# not this\n```\n\n## B\n\ntext\n"
    small = Manual({"index": "# All\n\n## Part\n\n- [A](a.md)\n", "a": text})
    assert [section.heading for section in small.pages["a"].sections] == ["A", "B"]


def test_what_is_missing_is_said():
    with pytest.raises(InputError, match="no table of contents"):
        Manual({"a": "# A"})
    with pytest.raises(InputError, match="no heading"):
        Manual({"index": "nothing"})
    with pytest.raises(InputError, match="no page panels/none"):
        manual().resolve("index", "panels/none.md")


@pytest.mark.parametrize(
    ("heading", "anchor"), [("95 % interval", "95--interval"), ("What was missed", "what-was-missed")]
)
def test_anchors_are_those_that_readers_of_markdown_make(heading, anchor):
    assert anchor_of(heading) == anchor
