"""The manual in the window: the page of what has the focus, search, links, pictures; and what it names is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import QPoint, Qt, QUrl
from qtpy.QtGui import QShortcut
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QDialog, QMessageBox

from microscope_qc import __version__, app
from microscope_qc.app.dialogs.manual import ManualWindow
from microscope_qc.app.dialogs.settings import SettingsDialog
from microscope_qc.app.panels.areas.numbers import COLUMNS as AREA_COLUMNS
from microscope_qc.app.panels.spec import BUILT_IN, WORKSPACES
from microscope_qc.app.panels.statistics.lines import COLUMNS as STATISTICS_COLUMNS
from microscope_qc.app.shell.help import DIALOGS, page_of, page_of_dialog, words_of
from microscope_qc.app.shell.tour import STEPS
from microscope_qc.app.shell.workspaces import TITLES
from microscope_qc.core.manual import ACTION, INDEX, manual

if TYPE_CHECKING:
    from microscope_qc.app.shell.main_window import MainWindow

pytestmark = pytest.mark.window


def test_every_panel_and_workspace_has_a_page(the_window: MainWindow) -> None:
    pages = manual().pages
    for name in BUILT_IN:
        assert pages[f"panels/{name}"].title == the_window.docks[name].spec.title
    for name in WORKSPACES:
        assert pages[f"workspaces/{name}"].title.removesuffix(" workspace") == TITLES[name]


@pytest.mark.parametrize("page", manual().pages)
def test_every_action_that_is_named_is_there_under_that_name(the_window: MainWindow, page: str) -> None:
    for text, target, _ in manual().pages[page].links():
        if target.startswith(ACTION):
            entry = the_window.book.table[target.removeprefix(ACTION)]
            assert " ".join(text.split()) == entry.text.rstrip("…")


def test_the_tour_names_actions_that_have_keys(the_window: MainWindow) -> None:
    named = [name for step in STEPS for name in re.findall(r"\{([\w.]+)\}", step.words)]
    assert len(named) > 5
    assert all(the_window.book.shortcuts(the_window.book.table[name]) for name in named)
    places = {step.place for step in STEPS} - {"", "canvas", "workspaces"}
    assert places <= the_window.docks.keys()


def test_every_column_of_numbers_is_defined() -> None:
    for page, columns in (("reference/numbers", STATISTICS_COLUMNS), ("panels/areas", AREA_COLUMNS)):
        text = manual().pages[page].markdown
        for heading, _ in columns[1:]:
            assert re.search(rf"^\| ([^|]*, )?{re.escape(heading)}[,| ]", text, re.MULTILINE), heading


def test_the_changelog_begins_with_this_version() -> None:
    assert manual().pages["reference/changes"].sections[1].heading == __version__


def test_a_text_about_an_action_says_its_place_and_its_keys_now(the_window: MainWindow) -> None:
    book, settings = the_window.book, the_window.settings
    assert words_of(book, "review.choose") == "**Review › Choose for the SEM** (S)"
    assert words_of(book, "theme.dark") == "**View › Theme › Dark**"
    assert words_of(book, "no.such") == ""
    settings.shortcuts = {"review.choose": ["Ctrl+Alt+S"]}
    try:
        assert words_of(book, "review.choose").endswith("(Ctrl+Alt+S)")
    finally:
        settings.shortcuts = {}


def test_the_page_is_that_of_what_has_the_focus(the_window: MainWindow, project) -> None:
    the_window.session.set_project(project)
    gallery = the_window.navigator.show_panel("gallery")
    assert page_of(gallery.view, "annotate") == "panels/gallery"
    assert page_of(the_window.canvas, "sem") == "workspaces/sem"
    assert page_of(the_window.welcome.open_button, "annotate") == "tasks/first-steps"
    assert page_of(None, "statistics") == "workspaces/statistics"
    assert page_of(None, "") == INDEX
    the_window.session.set_project(None)


def dialogs() -> dict[str, type[QDialog]]:
    """Classes of dialogs by their names, wherever they are, and those that are made from them."""
    bases: dict[str, tuple[str, set[str]]] = {}
    for path in Path(app.__file__).parent.rglob("*.py"):
        module = ".".join(path.relative_to(Path(app.__file__).parents[2]).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = (module, {ast.unparse(base).split(".")[-1] for base in node.bases})
    found, before = {"QDialog"}, 0
    while len(found) > before:
        before = len(found)
        found |= {name for name, (_, above) in bases.items() if above & found}
    return {name: getattr(import_module(bases[name][0]), name) for name in found - {"QDialog", "ManualWindow"}}


def test_every_dialog_has_a_page() -> None:
    found = dialogs()
    assert DIALOGS.keys() <= found.keys()
    assert {"SpecimenTableDialog", "SpecimenNamesDialog"} <= found.keys()
    assert [name for name, kind in found.items() if page_of_dialog(kind) not in manual().pages] == []
    assert page_of_dialog(QMessageBox) is None


def test_a_dialog_opens_its_page_and_keeps_the_manual_usable(the_window: MainWindow, qtbot) -> None:
    dialog = SettingsDialog(
        the_window.settings, use_theme=lambda _: None, keep_ready=lambda _: None, plugins=list, save=lambda: None,
        parent=the_window,
    )  # fmt: skip
    dialog.open()
    qtbot.waitExposed(dialog)
    the_window._dialog_help._on_focus_changed(None, dialog.theme)
    the_window._dialog_help._on_focus_changed(None, dialog.judge)
    (shortcut,) = dialog.findChildren(QShortcut, "help")
    assert shortcut.key().toString() == "F1"
    shortcut.activated.emit()
    (window,) = dialog.findChildren(ManualWindow)
    assert window.browser.page == DIALOGS["SettingsDialog"]
    assert window.isVisible()
    window.close()
    dialog.close()
    dialog.deleteLater()


@pytest.fixture
def opened(the_window: MainWindow, qtbot) -> Iterator[ManualWindow]:
    """The manual, as the Help menu opens it."""
    the_window.navigator.trigger("help.manual")
    window = the_window.navigator.only(ManualWindow, lambda: pytest.fail("it was not made"))
    qtbot.waitExposed(window)
    yield window
    window.field.clear()
    window.close()


def marked(window: ManualWindow) -> list[str]:
    return [part.cursor.selectedText().casefold() for part in window.browser.extraSelections()]


def test_a_search_lists_places_and_marks_the_words(opened: ManualWindow, qtbot) -> None:
    QTest.keyClicks(opened.field, "tortuosity")
    QTest.keyClick(opened.field, Qt.Key.Key_Return)
    assert opened.left.currentWidget() is opened.hits
    assert opened.browser.page == "reference/numbers"
    assert set(marked(opened)) == {"tortuosity"}
    assert opened.browser.verticalScrollBar().value() > 0, "it went to the heading"
    opened.field.setText("zzzzzz")
    qtbot.waitUntil(lambda: opened.left.currentWidget() is opened.nothing)
    assert "zzzzzz" in opened.nothing.text()
    opened.field.clear()
    qtbot.waitUntil(lambda: opened.left.currentWidget() is opened.contents)
    assert marked(opened) == []


def test_links_lead_on_and_back(opened: ManualWindow) -> None:
    opened.open_page("panels/gallery")
    opened.browser.anchorClicked.emit(QUrl("../tasks/judge.md"))
    assert opened.browser.page == "tasks/judge"
    assert opened.contents.currentItem().text(0) == manual().pages["tasks/judge"].title
    opened.back.click()
    assert opened.browser.page == "panels/gallery"
    opened.forward.click()
    assert opened.browser.page == "tasks/judge"
    assert not opened.forward.isEnabled()
    opened.browser.anchorClicked.emit(QUrl("../reference/numbers.md#corrected"))
    top = opened.browser.cursorForPosition(QPoint(opened.browser.width() // 2, 24))
    assert top.block().text() == "Corrected"


def test_actions_stand_with_their_menus_and_every_page_can_be_shown(opened: ManualWindow) -> None:
    for name in manual().pages:
        opened.open_page(name)
        text = opened.browser.toPlainText()
        assert manual().pages[name].title in text
        assert 'href="action:' not in opened.browser.toHtml()
        assert "**" not in text and "](" not in text, name


def test_pictures_are_no_wider_than_the_page(opened: ManualWindow, qtbot) -> None:
    for wide in (760, 1040):
        opened.resize(wide, 600)
        for name in manual().pages:
            opened.open_page(name)
            qtbot.waitUntil(lambda: opened.browser.horizontalScrollBar().maximum() == 0, timeout=10_000)
    opened.resize(1040, 720)


def test_the_tour_points_at_things_and_is_remembered(the_window: MainWindow, project, qtbot) -> None:
    from microscope_qc.app.shell.tour import Tour

    window, settings = the_window, the_window.settings
    settings.tour_seen = False
    window.session.set_project(None)
    window.navigator.show_page()
    window.welcome.refresh()
    assert window.welcome.first_time.isVisibleTo(window.welcome)
    window.session.set_project(project)
    window.navigator.trigger("help.tour")
    tour = window.navigator.only(Tour, lambda: pytest.fail("it was not made"))
    assert tour.isVisible() and not tour.back.isEnabled()
    for number in range(len(STEPS)):
        assert tour.count.text() == f"{number + 1} of {len(STEPS)}"
        assert "{" not in tour.words.text()
        assert window.rect().contains(tour.geometry())
        assert tour.height() >= tour.heightForWidth(tour.width())
        tour.next.click()
    assert not tour.isVisible() and settings.tour_seen
    window.welcome.refresh()
    assert not window.welcome.first_time.isVisibleTo(window.welcome)

    window.navigator.trigger("help.tour")
    assert tour.isVisible() and tour.at == 0
    tour.skip.click()
    assert not tour.isVisible()
    window.session.set_project(None)


def test_who_wants_no_tour_is_not_asked_again(the_window: MainWindow) -> None:
    settings = the_window.settings
    settings.tour_seen = False
    the_window.welcome.refresh()
    the_window.welcome.no_tour_button.click()
    assert settings.tour_seen
    assert not the_window.welcome.first_time.isVisibleTo(the_window.welcome)
