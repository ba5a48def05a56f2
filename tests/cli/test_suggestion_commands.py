"""``embed``, ``learn``, ``suggest`` and ``similar``."""

from __future__ import annotations

from pathlib import Path

import pytest
from disc_toys import write_discs

from microscope_qc import api
from microscope_qc.core.boxes import make_rows
from microscope_qc.core.errors import InputError
from microscope_qc.project import Project


@pytest.fixture
def labelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten discs are drawn."""
    monkeypatch.setenv("MICROSCOPE_QC_CACHE", str(tmp_path / "cache"))
    drawn = write_discs(tmp_path / "S.png")
    with Project.create(tmp_path / "p.mqc", slides=[tmp_path / "S.png"]) as made:
        y0, x0, y1, x1 = drawn.boxes[:10].T
        made.boxes.add(1, make_rows(10, class_id=made.classes[0].id, y0=y0, x0=x0, y1=y1, x1=x1))
    return tmp_path / "p.mqc"


def test_features_then_suggestions_that_may_be_kept(labelled: Path, told, refused) -> None:
    assert "embed" in refused("suggest", labelled)
    (slide,) = told("embed", labelled)["slides"]
    assert Path(slide["folder"]).is_dir() and (slide["slide"], slide["unread"]) == ("S", 0) and slide["bytes"] > 1000
    assert told("embed", labelled, "--slide", "S", text=True).startswith("S: ")
    said = told("suggest", labelled)
    (one,) = said["slides"]
    assert said["labels"] == 10 and one["suggestions"] > 0 and one["run"] is None
    words = told("suggest", labelled, "--keep", text=True)
    assert words == f"learned from 10 labels\nS: {one['suggestions']} suggestions, kept as run 1\n"
    assert told("runs", labelled)[0]["model"].startswith("Learned from labels")
    (row,) = api.suggest(labelled).to_dict("records")
    assert row == {"slide": "S", "suggestions": told("suggest", labelled)["slides"][0]["suggestions"], "run": None}
    with Project.open(labelled) as project:
        project.runs.delete(1)
    assert api.suggest(labelled, slides=["S"], keep=True)["run"].tolist() == [2]
    assert api.embed(labelled)["bytes"].tolist() == [slide["bytes"]]


def test_how_good_it_is(labelled: Path, told, monkeypatch: pytest.MonkeyPatch) -> None:
    told("embed", labelled)
    good = told("learn", labelled)
    assert api.learn(labelled)["labels"] == 10
    assert (good["labels"], good["left_out"], good["judged"]) == (10, 10, 0)
    assert told("learn", labelled, text=True).startswith("Of 10 labels left out in turn")


def test_what_looks_alike(labelled: Path, told, refused) -> None:
    assert "embed" in refused("similar", labelled, 1)
    told("embed", labelled)
    alike = told("similar", labelled, 1, "--count", 3)
    assert [sorted(one) for one in alike] == [["alike", "id", "slide"]] * 3 and 1 not in [one["id"] for one in alike]
    lines = told("similar", labelled, 1, "--count", 3, text=True).splitlines()
    assert [int(line.split()[0]) for line in lines] == [one["id"] for one in alike]
    assert "not known" in refused("similar", labelled, 99)
    found = api.similar(labelled, 1, count=3)
    assert found["id"].tolist() == [one["id"] for one in alike] and set(found["slide"]) == {"S"}
    with pytest.raises(InputError, match="not known"):
        api.similar(labelled, 99)


def test_what_looks_alike_is_judged_alike(labelled: Path, told, refused) -> None:
    told("embed", labelled)
    with Project.open(labelled) as project:
        new = project.boxes.add(
            1, make_rows(1, class_id=project.classes[1].id, y0=9, x0=9, y1=29, x1=29, confidence=0.5)
        )
    number = int(new[0])
    assert told("similar", labelled, 1, "--apply", -1)["judged"] == [number], "the others were drawn"
    with Project.open(labelled, write=False) as project:
        assert project.boxes.rows(1)[-1]["class_id"] == project.classes[0].id
    assert "Nothing looks like it" in refused("similar", labelled, 1, "--apply", 1)
    with Project.open(labelled) as project:
        project.history.undo()
    assert told("similar", labelled, 1, "--apply", -1, text=True) == "1 finding judged like 1\n"
