"""The table of actions, as the window makes it from what panels, commands and the window itself register."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from qtpy.QtWidgets import QToolBar

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.table import MENUS, ActionTable
from microscope_qc.app.base import theme
from microscope_qc.core.defect_class import CLASS_KEYS

if TYPE_CHECKING:
    from qtpy.QtWidgets import QMenu

    from microscope_qc.app.shell.main_window import MainWindow

pytestmark = pytest.mark.window

BEFORE = Path(__file__).with_name("actions_0_1.tsv")
"""Every action of version 0.1: what users know by heart stays where it is; texts may become clearer."""

SINCE = {
    "view.learn",
    "view.statistics",
    "models.studies",
    "tool.area",
    "area.slide",
    "area.view",
    "view.areas",
    "areas.open",
}
SINCE |= {"review.severity", "review.again", "detect.unusual"}
SINCE |= {"suggest.learn", "suggest.next", "suggest.previous", "suggest.keep", "suggest.model", "review.alike"}
SINCE |= {"area.draw", "area.next", "area.searched"}
SINCE |= {"inspect.begin", "inspect.end", "inspect.give_up"}
SINCE |= {"plane.next", "plane.previous", "channel.next", "channel.previous", "channel.all"}
SINCE |= {"file.open_folder", "file.add_folder"}
SINCE |= {"slide.rename", "slide.folder", "slide.locate"}
SINCE |= {"slide.fields", "slide.names_fields", "slide.import_fields", "slide.export_fields"}
SINCE |= {"review.explain", "review.composition", "sem.import_edx", "sem.edx_rules"}
SINCE |= {"sem.next", "sem.previous"}
SINCE |= {"scope.slide", "scope.selected", "scope.all"}
SINCE |= {"file.backups", "slide.accept", "file.report", "models.comparisons"}
SINCE |= {"help.manual", "help.tour"}
SINCE |= {f"class.Shift+{digit}" for digit in range(10)}
"""What came after that version."""

COLUMNS = ("text", "menu", "keys", "icon", "tooltip", "kind")

LAYOUT = {
    "File": "open open_folder sample - add_slide add_folder - export report training import import_folder history"
    " backups - close quit",
    "Edit": "undo redo - copy cut paste duplicate delete - select_all select_none - manage palette shortcuts settings"
    " - select draw mark length",
    "View": "fit_selection fit_slide full_size go_to Bookmarks - display auto_contrast reset_display"
    " Planes and channels"
    " - veil legend forget_seen areas - filter show_all switch - annotate review learn statistics sem"
    " - zoom_in zoom_out Theme - reset"
    " dock.layers Panels",
    "View/Bookmarks": "add list",
    "View/Planes and channels": "next previous next previous all",
    "View/Theme": "system light dark",
    "Slide": "pixel_size info rename folder accept locate convert - next previous"
    " - fields names_fields import_fields export_fields - remove",
    "Detect": "open unusual - learn next previous keep model",
    "Review": "confirm reject unreview choose similar alike explain composition severity again"
    " - next previous note Work over Class"
    " - area slide view - draw next searched begin end give_up - open",
    "Review/Work over": "slide selected all",
    "Review/Class": " ".join(CLASS_KEYS),
    "SEM": "open next previous import_edx edx_rules",
    "Models": "list comparisons studies",
    "Help": "manual tour shortcuts about",
}
TOOL_BAR = "open - undo redo - select draw mark length - fit_slide - area"


def layout(menu: QMenu | QToolBar, panels: dict[str, str]) -> str:
    words = []
    for action in menu.actions():
        if action.isSeparator():
            words.append("-")
        elif action.menu() is not None:
            words.append(action.text())
        else:
            words.append(action.objectName().rpartition(".")[2] or f"dock.{panels[action.text()]}")
    return " ".join(words)


def test_keys_places_and_icons_are_those_that_users_know(the_window: MainWindow) -> None:
    with BEFORE.open(encoding="utf-8", newline="") as file:
        before = {row["id"]: row for row in csv.DictReader(file, delimiter="\t")}
    book = the_window.book
    assert {entry.id for entry in book.entries} == before.keys() | SINCE
    for entry in book.entries:
        if entry.id in SINCE:
            continue
        kind = " ".join(word for word, so in (("toolbar", entry.toolbar), ("switch", entry.checked is not None)) if so)
        now = (entry.menu, " ".join(entry.shortcuts), entry.icon, kind)
        assert now == tuple((before[entry.id][name] or "") for name in ("menu", "keys", "icon", "kind")), entry.id
        assert bool(entry.tooltip) == bool(before[entry.id]["tooltip"]), entry.id


def test_menus_and_tool_bar_are_in_order(the_window: MainWindow) -> None:
    book = the_window.book
    bar = [action.text().replace("&", "") for action in the_window.menuBar().actions()]
    assert bar == list(MENUS)
    panels = {dock.spec.title: name for name, dock in the_window.docks.items()}
    book.menus["View/Bookmarks"].aboutToShow.emit()  # no longer those of a project opened before
    assert {path: layout(menu, panels) for path, menu in book.menus.items()} == LAYOUT
    assert layout(the_window.tools, panels) == TOOL_BAR


def test_the_table_of_actions_has_no_twins_and_only_known_icons_and_menus(the_window: MainWindow) -> None:
    entries = the_window.book.entries
    assert len({entry.id for entry in entries}) == len(entries)
    keys = list(itertools.chain.from_iterable(entry.shortcuts for entry in entries))
    assert len(set(keys)) == len(keys)
    for entry in entries:
        assert not entry.menu or entry.menu.partition("/")[0] in MENUS
        assert not entry.icon or theme.has_icon(entry.icon), entry.icon


def test_a_key_that_the_user_gave_away_does_not_come_back_with_its_first_owner(the_window: MainWindow) -> None:
    book, settings = the_window.book, the_window.settings
    settings.shortcuts = {"view.legend": ["F"]}
    try:
        book.apply_shortcuts()
        assert [key.toString() for key in book.actions["view.legend"].shortcuts()] == ["F"]
        assert book.actions["view.fit_selection"].shortcuts() == []
    finally:
        settings.shortcuts = {}
        book.apply_shortcuts()
    assert [key.toString() for key in book.actions["view.fit_selection"].shortcuts()] == ["F"]


def does(_context: object) -> None:
    """Nothing."""


def test_groups_stay_together_whoever_registers_them() -> None:
    table = ActionTable()
    table.register((Action("b", "B", "View", does, group=1), Action("c", "C", "Help", does)))
    table.register((Action("a", "A", "View", does), Action("d", "D", "View", does, group=1)))
    table.register((Action("e", "E", "Measure", does), Action("f", "F", "", does)))
    assert [action.id for action in table] == ["a", "b", "d", "e", "c", "f"]
    assert table.menus() == [*MENUS[:-1], "Measure", "Help"]


def test_an_id_that_is_taken_is_refused_as_a_whole_and_a_key_is_left_to_its_first_owner() -> None:
    table = ActionTable()
    table.register((Action("a", "A", "View", does, ("Ctrl+Shift+X", "F3")),))
    with pytest.raises(ValueError, match="already an action a"):
        table.register((Action("b", "B", "View", does), Action("a", "A", "View", does)))
    assert [action.id for action in table] == ["a"]
    table.register((Action("b", "B", "View", does, ("Shift+Ctrl+X", "F4")),))
    assert table["b"].shortcuts == ("F4",)
