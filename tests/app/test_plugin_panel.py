"""A panel of another package: in menus, palette and shortcut page, and opened like any other.

What such a package needs is all here: a :class:`PanelSpec` named by an entry point of ``microscope_qc.panels``. Those
that cannot be used are named and left out, and the window opens all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QDockWidget, QLabel, QMainWindow, QTreeWidgetItem, QWidget

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import with_slide
from microscope_qc.app.base.settings import AppSettings
from microscope_qc.app.dialogs.shortcuts import ShortcutsDialog
from microscope_qc.app.panels.spec import PanelSpec
from microscope_qc.app.shell.main_window import MainWindow
from microscope_qc.app.shell.own_actions import palette_of
from microscope_qc.app.shell.workspaces import LAYOUT_VERSION
from microscope_qc.core import plugins

if TYPE_CHECKING:
    from microscope_qc.app.context import Context

pytestmark = pytest.mark.window


class PorosityPanel(QWidget):
    """Says how many findings are shown."""

    def __init__(self, context: Context, parent: QWidget) -> None:
        super().__init__(parent)
        self._session = context.session
        self.words = QLabel(self)

    def count(self) -> None:
        self.words.setText(f"{len(self._session.shown_rows())} shown")


def count(context: Context) -> None:
    panel = context.navigator.show_panel("porosity")
    assert isinstance(panel, PorosityPanel)
    panel.count()


PANEL = PanelSpec(
    "porosity",
    "Porosity",
    "chart-scatter-plot",
    "right",
    PorosityPanel,
    tab_with="card",
    actions=(
        Action("porosity.count", "Count porosity", "Statistics", count, ("Ctrl+Alt+P", "Ctrl+Z"), when=with_slide),
    ),
)


def broken(context: Context, parent: QWidget) -> QWidget:
    raise RuntimeError("no such instrument")


def puzzled(context: Context) -> str:
    raise LookupError("when?")


BROKEN = PanelSpec(
    "broken",
    "Broken",
    "",
    "right",
    broken,
    actions=(Action("broken.do", "Do what cannot be done", "Statistics", count, when=puzzled),),
)
CLASHING = PanelSpec("clashing", "Clashing", "", "right", broken, actions=(Action("edit.undo", "U", "Edit", count),))
NOWHERE = PanelSpec("nowhere", "Nowhere", "", "middle", broken)
UNSEEN = PanelSpec("unseen", "Unseen", "no-such-icon", "left", broken)
NOT_A_PANEL = QLabel

POINTS = {
    "porosity": "PANEL",
    "broken": "BROKEN",
    "clashing": "CLASHING",
    "nowhere": "NOWHERE",
    "unseen": "UNSEEN",
    "label": "NOT_A_PANEL",
    "gone": "NO_SUCH_THING",
    "table": "PANEL",
}


def earlier_arrangement() -> str:
    """What the window kept before the package was installed: only two panels were there."""
    plain = QMainWindow()
    for name in ("slides", "card"):
        dock = QDockWidget(plain)
        dock.setObjectName(f"dock.{name}")
        plain.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, dock)
    return bytes(plain.saveState(LAYOUT_VERSION).toHex().data()).decode("ascii")


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory, qapp: object) -> Iterator[MainWindow]:
    """Return a window that starts with these entry points installed."""
    found = tuple(EntryPoint(name, f"{__name__}:{attribute}", "") for name, attribute in POINTS.items())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MICROSCOPE_QC_CONFIG_DIR", str(tmp_path_factory.mktemp("config")))
        patch.setattr(plugins, "_entry_points", lambda group: found if group == "microscope_qc.panels" else ())
        made = MainWindow(AppSettings(layouts={"annotate": earlier_arrangement()}))
        made.show()
        yield made
        made.close()


def test_those_that_cannot_be_used_are_named_and_the_window_lives(window: MainWindow) -> None:
    assert window.message_bar.isVisible()
    said = window.message_bar.text
    for name, reason in (
        ("clashing", "there is already an action edit.undo."),
        ("nowhere", "its area is 'middle', not one of left, right, bottom."),
        ("unseen", "there is no icon 'no-such-icon'."),
        ("label", "not a PanelSpec."),
        ("gone", "AttributeError"),
        ("table", "table is the name of a built-in panel."),
    ):
        assert f"The plugin {name} of {__name__} is left out: " in said
        assert reason in said
        assert name == "table" or name not in window.docks
    assert window.docks["table"].spec.title == "Table"
    assert list(window.docks)[-2:] == ["broken", "porosity"]


def test_its_action_is_in_a_menu_the_palette_and_the_shortcuts(window: MainWindow) -> None:
    titles = [action.text().replace("&", "") for action in window.menuBar().actions()]
    assert titles[-2:] == ["Statistics", "Help"]
    action = window.book.actions["porosity.count"]
    assert action in window.book.menus["Statistics"].actions()
    assert [key.toString() for key in action.shortcuts()] == ["Ctrl+Alt+P"], "undo keeps its key"
    assert [key.toString() for key in window.book.actions["edit.undo"].shortcuts()] == ["Ctrl+Z"]
    palette = palette_of(window.navigator, window.session)
    palette.popup()
    palette.line.setText("porosity")
    assert "Statistics › Count porosity" in palette.items.item(0).text()
    palette.hide()
    page = ShortcutsDialog(window.book, window.settings, window.navigator.save_settings, window)
    found: list[QTreeWidgetItem] = page._tree.findItems("Count porosity", Qt.MatchFlag.MatchRecursive)
    assert [item.text(1) for item in found] == ["Ctrl+Alt+P"]
    assert found[0].parent().text(0) == "Statistics"
    page.deleteLater()


def test_it_is_opened_and_does_its_work(window: MainWindow, project: object) -> None:
    window.session.set_project(project)
    dock = window.docks["porosity"]
    left = Qt.DockWidgetArea.LeftDockWidgetArea  # where the panel whose place it shares was moved
    assert window.dockWidgetArea(dock) == left, "it has no place in an arrangement that was kept before it came"
    assert dock.isHidden()
    window.workspaces.use("review")
    window.navigator.trigger("porosity.count")
    assert window.workspaces.current == "annotate"
    assert dock.isVisible()
    assert window.dockWidgetArea(dock) == left
    assert dock.content.words.text() == "8 shown"
    toggles = [action for menu in window.book.menus["View"].actions() if menu.text() == "Panels"
               for action in menu.menu().actions()]  # fmt: skip
    assert dock.toggleViewAction() in toggles


def test_one_that_fails_when_it_is_opened_says_so_and_the_others_go_on(window: MainWindow) -> None:
    content = window.navigator.show_panel("broken")
    assert isinstance(content, QLabel)
    assert "Broken could not be opened." in content.text()
    assert "RuntimeError" in window.message_bar.text
    window.navigator.trigger("broken.do")
    assert "does not work" in window.toast.text
    assert not window.book.actions["broken.do"].isEnabled()
    window.navigator.trigger("tool.draw")
    assert window.session.tool == "draw"
    QTest.keyClick(window.canvas.picture.native, Qt.Key.Key_Escape)
