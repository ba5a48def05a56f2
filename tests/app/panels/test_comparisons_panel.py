"""The page of comparisons: kept ones by date, the step to the new model and back, and places that open in Review."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comparison_toys import comparison, keep
from learning_toys import untrained_model
from qtpy.QtCore import QUrl

from microscope_qc.app.panels.models.comparisons.panel import ComparisonsPanel
from microscope_qc.app.session.measuring import Measuring
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.workflows.learning.which_findings import Spot

pytestmark = pytest.mark.window


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    monkeypatch.setenv("MICROSCOPE_QC_MODELS", str(tmp_path / "own"))
    return untrained_model(tmp_path / "own" / "toy"), untrained_model(tmp_path / "own" / "before", bias=-3.0)


@pytest.fixture
def given() -> list[list[str]]:
    return []


@pytest.fixture
def panel(
    qtbot: Any, session: Any, jobs: Any, models: tuple[Path, Path], given: list[list[str]]
) -> Iterator[ComparisonsPanel]:
    """The panel with two comparisons that the project kept before."""
    ids = session.project.boxes.rows(session.project.slides[0].id, every=True)["id"].tolist()
    keep(session.project.path, comparison(*models, ids), "20260301T0930")
    keep(session.project.path, comparison(*models, ids, ahead="old", verdict="toy is worse."), "20260302T0930")

    def command(arguments: list[str]) -> Job[None]:
        given.append(arguments)
        keep(session.project.path, comparison(*models, ids, verdict="Made now."), "20260303T0930")
        yield Progress(0, 1)

    session.project.models.use(models[1], name="before")
    made = ComparisonsPanel(session, jobs, Measuring(session, jobs, command=command))
    qtbot.addWidget(made)
    made.show()
    qtbot.waitUntil(lambda: made.list.count() == 2)
    yield made


def follow(panel: ComparisonsPanel, words: str) -> None:
    """Click the link that says this."""
    address = next(
        address for address, said in re.findall(r'<a href="([^"]*)"[^>]*>(?:<span[^>]*>)?([^<]*)', panel.about.toHtml())
        if said == words
    )  # fmt: skip
    panel.about.anchorClicked.emit(QUrl(address))


def test_what_was_compared_is_there_after_a_restart(qtbot: Any, panel: ComparisonsPanel) -> None:
    assert panel.list.item(0).text() == "2026-03-01 09:30\ntoy against before"
    said = panel.about.toPlainText()
    for words in (
        "toy is worse.", "0.400 [0.300, 0.500]", "+0.034 [+0.010, +0.058], p 0.006", "0.021 s per picture",
        "4 true defects in 9 places", "McNemar", "Found by toy only", "A note.",
        "Only toy is right (3): 2 found by toy only and 1 false in before: show 2 findings in Review",
        "Only before is right (0)", "Both are wrong (1): 1 found by none",
    ):  # fmt: skip
        assert words in said, words
    qtbot.waitUntil(lambda: "Out of date" in panel.about.toPlainText())  # nothing of this project was measured on


def test_one_click_to_the_new_model_and_one_back(
    qtbot: Any, panel: ComparisonsPanel, session: Any, models: Any
) -> None:
    assert panel.use_new.text() == "Use toy although it is worse" and panel.use_old.text() == "before is in use"
    panel.list.setCurrentRow(1)
    assert panel.use_new.text() == "Use toy" and not panel.use_old.isEnabled()
    panel.use_new.click()
    assert session.project.models.argument == str(models[0])
    qtbot.waitUntil(lambda: panel.use_old.text() == "Back to before" and panel.use_old.isEnabled())
    assert panel.use_new.text() == "toy is in use" and not panel.use_new.isEnabled()
    panel.use_old.click()
    assert session.project.models.argument == str(models[1])
    session.project.history.undo()
    assert session.project.models.argument == str(models[0]), "each is a step of the history"
    untrained_model(models[1], bias=-4.0)
    panel.measuring.look_at_comparisons()
    qtbot.waitUntil(lambda: "before: no longer there as it was then" in panel.about.toPlainText())
    assert not panel.use_old.isEnabled() and not panel.again.isEnabled()


def test_places_open_in_review_and_on_the_slide(qtbot: Any, panel: ComparisonsPanel, session: Any) -> None:
    ids = session.project.boxes.rows(session.project.slides[0].id, every=True)["id"].tolist()
    with qtbot.waitSignal(panel.review_requested):
        follow(panel, "show 2 findings in Review")
    assert session.scoped.shown.rows()["id"].tolist() == ids[:2]
    with qtbot.waitSignal(panel.review_requested):
        follow(panel, "show 1 finding in Review")
    assert session.scoped.shown.rows()["id"].tolist() == ids[2:3]
    with qtbot.waitSignal(panel.spot_requested) as asked:
        follow(panel, "S1 ACP 0.75")
    assert asked.args[0] == Spot(1, (1, 2, 3, 4), "ACP", 0.75)


def test_a_new_comparison_is_chosen_and_its_page_saved(
    qtbot: Any, panel: ComparisonsPanel, session: Any, models: Any, given: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    panel.list.setCurrentRow(1)
    qtbot.waitUntil(panel.again.isEnabled)
    panel.again.click()
    assert not panel.again.isEnabled() or panel.measuring.handle is not None
    qtbot.waitUntil(lambda: "Made now." in panel.about.toPlainText())
    assert given == [["models", "compare", *map(str, models), str(session.project.path), "--keep"]]
    assert panel.list.count() == 3 and panel.list.currentRow() == 0
    out = tmp_path / "mine.html"
    monkeypatch.setattr(
        "microscope_qc.app.panels.models.comparisons.panel.QFileDialog.getSaveFileName", lambda *_: (str(out), "")
    )
    panel.save.click()
    qtbot.waitUntil(lambda: out.exists() and out.read_text() == "the page")
    oldest = session.project.path / "comparisons" / "20260301T0930"
    panel.measuring.show_comparison(oldest)
    assert panel.chosen is not None and panel.chosen.folder == oldest


def test_without_a_comparison_it_says_how_to_make_one(qtbot: Any, session: Any, jobs: Any) -> None:
    made = ComparisonsPanel(session, jobs, Measuring(session, jobs))
    qtbot.addWidget(made)
    made.show()
    assert "No comparison yet" in made.about.toPlainText() and not made.use_new.isVisible()
