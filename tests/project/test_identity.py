"""Which slides are the same, asked of any number of them at once and of two by two."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_slides import write_slide

from microscope_qc.core.errors import InputError
from microscope_qc.project import Project
from microscope_qc.project.identity import KnownSlides, are_same
from microscope_qc.project.scenes import SceneFacts, read_facts


def facts(
    name: str = "a.png", *, fingerprint: str = "f", content: str = "", scene: str | None = None, folder: str = "x"
) -> SceneFacts:
    """A slide of which only this matters."""
    return SceneFacts(Path(folder) / name, scene, fingerprint, (10, 10), None, content)


some_facts = st.builds(
    facts,
    st.sampled_from(["a.png", "a.tif"]),
    fingerprint=st.sampled_from("fg"),
    content=st.sampled_from(["", "1", "2"]),
    scene=st.sampled_from([None, "A"]),
    folder=st.uuids().map(str),
)


@given(st.lists(some_facts, max_size=6), some_facts)
def test_one_that_is_the_same_is_found_among_many(known: list[SceneFacts], wanted: SceneFacts) -> None:
    found = KnownSlides(known).like(wanted)
    assert (found is not None) == any(are_same(slide, wanted) for slide in known)
    assert found is None or are_same(found, wanted)


def test_contents_decide_within_a_format_and_fingerprints_across() -> None:
    good, bad = facts("good.png", content="1"), facts("bad.png", content="2")
    assert not are_same(good, bad)
    assert are_same(good, facts("other.PNG", content="1", fingerprint="g"))
    assert are_same(good, facts("copy.ome.zarr", content="3")), "a converted copy holds the same pixels"
    assert are_same(good, facts("unread.png")), "the first look says so as long as nobody has read it whole"
    assert not are_same(good, facts(content="1", scene="A"))


def test_a_missing_content_is_in_doubt_until_it_is_known() -> None:
    unread = facts("unread.png")
    known = KnownSlides([unread])
    new = facts("new.png", content="2")
    assert known.like(new) is unread and known.in_doubt(new) is unread
    read = facts("unread.png", content="1")
    known.learn(unread, read)
    assert known.like(new) is None and known.in_doubt(new) is None
    assert known.at(facts("unread.png")) is read


def test_pictures_that_differ_between_the_samples_are_two_slides(tmp_path: Path, real_data: Path) -> None:
    folder = real_data / "cases" / "slides"
    first, second = read_facts(folder / "good.png")[0], read_facts(folder / "bad.png")[0]
    assert first.fingerprint == second.fingerprint
    with Project.create(tmp_path / "p.mqc", slides=[folder / "good.png", folder / "bad.png"]) as project:
        assert [slide.name for slide in project.slides] == ["good", "bad"]
        assert len({slide.content for slide in project.slides}) == 2


def test_a_slide_is_found_again_by_its_content(tmp_path: Path, real_data: Path) -> None:
    good = real_data / "cases" / "slides" / "good.png"
    bad = good.with_name("bad.png")
    with Project.create(tmp_path / "p.mqc", slides=[good]) as project:
        slide = project.slides[0]
        with pytest.raises(InputError, match="content differs"):
            project.slides.relocate(slide.id, bad)
        forced = project.slides.relocate(slide.id, bad, force=True)
        assert forced.content == read_facts(bad)[0].content != slide.content
        project.history.undo()
        assert project.slides[0] == slide
        copy = tmp_path / "copy.png"
        copy.write_bytes(good.read_bytes())
        assert project.slides.relocate(slide.id, copy).content == slide.content


def test_a_content_that_was_read_later_is_kept_but_is_no_step_of_the_history(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.png", seed=1)
    with Project.create(tmp_path / "p.mqc") as project:
        unread = SceneFacts(path, None, "f", (80, 120), None)
        project.slides.add_many([[unread]])
        project.slides.note_contents({1: "abc"})
        assert project.slides[0].content == "abc" and len(project.history.entries()) == 1
        project.history.undo()
        project.history.redo()
        project.slides.note_contents({1: "abc"})
    with Project.open(tmp_path / "p.mqc") as again:
        assert again.slides[0].content == "abc"
