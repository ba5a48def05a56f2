"""Fields of slides from tables and file names: what fits is taken over, what does not is listed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from microscope_qc.core.errors import ExchangeError, InputError
from microscope_qc.core.specimen import STANDARD_FIELDS
from microscope_qc.project import Project
from microscope_qc.workflows.specimens.patterns import name_pattern, plan_of_names, read_names
from microscope_qc.workflows.specimens.plan import take_over
from microscope_qc.workflows.specimens.tables import read_fields, write_fields

FILES = ("a/LG_044_anode.png", "a/LG_044_cathode.png", "b/good.png", "c/good.png")


@pytest.fixture
def project(tmp_path):
    """Four slides; two files are called good.png."""
    paths = []
    for number, name in enumerate(FILES):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((20, 30), 10 * number, np.uint8)).save(path)
        paths.append(path)
    with Project.create(tmp_path / "cells.mqc", slides=paths) as made:
        yield made


def table(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "specimens.csv"
    path.write_bytes(text.encode(encoding))
    return path


def said(project) -> dict:
    return {slide.name: slide.fields for slide in project.slides if slide.fields}


def test_a_table_is_shown_first_and_then_taken_over_as_one_step(project, tmp_path):
    path = table(
        tmp_path,
        "Slide;Batch;Nominal capacity mAh;Production date\nLG_044_anode;Ä;2850;2018-02-08\nb good;7;2,6;\n",
        "cp1252",
    )
    plan = read_fields(project, path)
    assert said(project) == {} and plan.problems == () and (plan.slides, plan.slide_count) == (2, 2)
    assert [(c.slide, c.field.name, c.before, c.after) for c in plan.changes][:2] == [
        ("LG_044_anode", "batch", None, "Ä"), ("LG_044_anode", "capacity", None, 2.85),
    ]  # fmt: skip
    take_over(project, plan, title="Fields from specimens.csv")
    wanted = {
        "LG_044_anode": {"batch": "Ä", "capacity": 2.85, "production_date": "2018-02-08"},
        "b good": {"batch": "7", "capacity": 0.0026},
    }
    assert said(project) == wanted and project.history.undo_title == "Fields from specimens.csv"
    assert read_fields(project, path).changes == ()
    project.history.undo()
    assert said(project) == {}


def test_what_fits_twice_or_not_at_all_is_listed_and_nothing_is_guessed(project, tmp_path):
    path = table(
        tmp_path,
        "file,batch,colour,Capacity (kg),Charge\n"
        "good.png,1,,,\nGood,1,,,\nLG_044_anode.png,2,red,1,\nLG_044_cathode,3,,,\nLG_044_cathode,4,,,\n,5,,,\n",
    )
    plan = read_fields(project, path)
    assert [(c.slide, c.after) for c in plan.changes] == [("LG_044_anode", "2")]
    assert plan.problems == (
        "The column “colour” is no field of this project.",
        "The column “Capacity (kg)” is not in Ah, as Capacity is.",
        "The column “Charge” is no field of this project.",
        "“good.png” fits 2 slides: b good and c good.",
        "There is no slide Good and (empty).",
        "More than one line is about LG_044_cathode.",
    )


def test_values_that_cannot_be_are_listed_and_the_others_are_taken(project, tmp_path):
    plan = read_fields(project, table(tmp_path, "slide\tcapacity\tbatch\nb good\t1.234,5\tx\nc good\t1,5\t\n"))
    assert [(c.slide, c.field.name, c.after) for c in plan.changes] == [
        ("b good", "batch", "x"), ("c good", "capacity", 1.5),
    ]  # fmt: skip
    assert plan.problems == ("b good: “1.234,5” is not a number.",)


def test_empty_cells_leave_values_unless_they_are_to_take_them_away(project, tmp_path):
    project.fields.set({3: {"batch": "7", "model": "m"}})
    path = table(tmp_path, "slide,batch,model\nb good,,m\n")
    assert read_fields(project, path).changes == ()
    (change,) = read_fields(project, path, clear=True).changes
    assert (change.field.name, change.before, change.after) == ("batch", "7", None)
    take_over(project, read_fields(project, path, clear=True))
    assert said(project) == {"b good": {"model": "m"}}


def test_columns_become_fields_only_when_that_is_wanted(project, tmp_path):
    path = table(tmp_path, "slide,Operator,operator,a{b\nb good,anna,berta,x\n")
    plan = read_fields(project, path, add_fields=True)
    assert [field.name for field in plan.new] == ["Operator", "a{b"]
    assert plan.problems == ("The column “operator” is about Operator, as another column is.",)
    with pytest.raises(InputError, match="cannot be called"):
        take_over(project, plan)
    assert said(project) == {} and not list(project.fields)
    take_over(project, read_fields(project, table(tmp_path, "slide,Operator\nb good,anna\n"), add_fields=True))
    assert said(project) == {"b good": {"Operator": "anna"}}
    project.history.undo()
    assert said(project) == {} and not list(project.fields)


@pytest.mark.parametrize("name", ["out.csv", "out.xlsx"])
def test_a_table_comes_back_as_it_was_written(project, tmp_path, name):
    project.fields.add("Side", "choice", choices=["left"])
    values = {
        1: {
            "batch": "=1+1",
            "capacity": 2.85,
            "production_date": "2018-02",
            "side": "left",
            "composition": "Fe 81.4, Nd 9.6",
        },
        2: {"br": 1.19, "bhmax": 273, "hcj": -0.5, "view": "Ü\u202f1"},
    }
    project.fields.set(values)
    before = said(project)
    assert write_fields(project, tmp_path / name) == 4
    assert read_fields(project, tmp_path / name).changes == ()
    project.fields.set({number: dict.fromkeys(found) for number, found in values.items()})
    take_over(project, read_fields(project, tmp_path / name))
    assert said(project) == before
    assert write_fields(project, tmp_path / name, slide_ids=[2]) == 1
    with pytest.raises(InputError, match="not the name of a table"):
        write_fields(project, tmp_path / "out.txt")


@pytest.mark.parametrize("text", ["", "\n\n", "batch\n1\n", "slide\ngood\n"])
def test_a_file_that_is_no_such_table_says_so(project, tmp_path, text):
    with pytest.raises(ExchangeError, match=r"specimens\.csv") as caught:
        read_fields(project, table(tmp_path, text))
    assert caught.value.hint


@given(data=st.data())
@settings(max_examples=60)
def test_wild_tables_never_break_anything(data, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "wild"
    if not (folder / "p.mqc").exists():
        folder.mkdir(exist_ok=True)
        Image.fromarray(np.full((20, 30), 9, np.uint8)).save(folder / "s.png")
        Project.create(folder / "p.mqc", slides=[folder / "s.png"]).close()
    cell = st.sampled_from(["slide", "batch", "capacity", "s", "s.png", "0,3", "=1", '"', "'", "2018-02", "", "\ud800"])
    rows = data.draw(st.lists(st.lists(cell | st.text(max_size=6), max_size=5), max_size=6))
    mark = data.draw(st.sampled_from(",;\t"))
    text = "\n".join(mark.join(row) for row in rows)
    (folder / "t.csv").write_bytes(text.encode("utf-8", "replace"))
    with Project.open(folder / "p.mqc", write=False) as project:
        try:
            plan = read_fields(project, folder / "t.csv", add_fields=data.draw(st.booleans()), clear=True)
        except ExchangeError as error:
            assert error.message
        else:
            assert all(problem for problem in plan.problems) and plan.slides <= 1


# -- names of files ----------------------------------------------------------------------------------------------------


def test_fields_are_read_from_names_of_files(project):
    pattern = name_pattern(project.fields.known, "{Producer}_{specimen}_{part}")
    readings = read_names(project, pattern)
    assert [{field.name: value for field, value in r.values.items()} for r in readings] == [
        {"producer": "LG", "specimen": "044", "part": "anode"},
        {"producer": "LG", "specimen": "044", "part": "cathode"}, {}, {},
    ]  # fmt: skip
    assert [r.problem for r in readings] == ["", "", *["does not fit the pattern"] * 2]
    plan = plan_of_names(readings)
    assert plan.problems == ("good, good: does not fit the pattern.",) and len(plan.changes) == 6
    take_over(project, plan, title="Fields from file names")
    assert said(project)["LG_044_cathode"] == {"producer": "LG", "specimen": "044", "part": "cathode"}
    project.history.undo()
    assert said(project) == {}
    assert [r.slide.name for r in read_names(project, pattern, slide_ids=[2])] == ["LG_044_cathode"]


@pytest.mark.parametrize(
    ("pattern", "stem", "values"),
    [
        ("{batch}", "a_b", {"batch": "a_b"}),
        ("{batch}_{part}", "a_b_c", None),
        ("{batch}_{*}", "a_b_c", {"batch": "a"}),
        ("{}_{part}", "a_b_c", {"part": "c"}),
        ("{batch}_{*}_{part}", "a_b_c_d", {"batch": "a", "part": "d"}),
        ("{batch}-{capacity}Ah", "7-2,85Ah", {"batch": "7", "capacity": 2.85}),
        ("{batch}.(x)_{part}", "7.(x)_p", {"batch": "7", "part": "p"}),
        ("HS{label}", "hs12", None),
        ("{batch}_{part}", "_x", None),
    ],
)
def test_a_name_is_cut_in_one_way_only(pattern, stem, values):
    from microscope_qc.workflows.specimens.patterns import _read

    found, problem = _read(name_pattern(STANDARD_FIELDS, pattern), stem)
    assert {field.name: value for field, value in found.items()} == (values or {})
    assert bool(problem) == (values is None)


def test_a_value_that_cannot_be_is_the_problem_of_its_slide():
    from microscope_qc.workflows.specimens.patterns import _read

    assert _read(name_pattern(STANDARD_FIELDS, "{capacity}_{part}"), "many_x") == ({}, "“many” is not a number.")


@pytest.mark.parametrize(
    "pattern", ["", "abc", "{batch", "batch}", "{batch}{part}", "{colour}", "{batch}_{Batch}", "{*}_{*}_{batch}", "{*}"]
)
def test_a_pattern_that_says_nothing_clear_is_refused(pattern):
    with pytest.raises(InputError) as caught:
        name_pattern(STANDARD_FIELDS, pattern)
    assert caught.value.hint
