"""The window with the package of tests/example_plugin: its panel, its formats and its exports are offered and work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import example_package
import pytest

from microscope_qc.app.base.slide_files import slide_filter
from microscope_qc.app.commands.exchange import annotation_filter
from microscope_qc.app.main import load_opening
from microscope_qc.app.panels.exchange.export_dialog import ExportDialog
from microscope_qc.app.panels.exchange.import_dialog import ImportDialog
from microscope_qc.app.shell.main_window import MainWindow

pytestmark = pytest.mark.window


@pytest.fixture
def window(installed_example: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, qtbot) -> Iterator[MainWindow]:
    monkeypatch.setenv("MICROSCOPE_QC_CONFIG_DIR", str(tmp_path / "config"))
    example_package.use(installed_example, monkeypatch)
    made = MainWindow()
    made.show()
    yield made
    made.close()


def test_it_offers_what_the_package_brings(window: MainWindow, project, tmp_path: Path, qtbot) -> None:
    assert "*.rawgrey" in slide_filter() and "*.boxes" in annotation_filter()
    assert not window.message_bar.isVisible(), "its panel is sound"
    window.name_left_out(load_opening())
    for name in ("liar", "csv", "broken"):
        assert f"The plugin {name} of microscope-qc-example is left out: " in window.message_bar.text
    window.session.set_project(project)
    window.navigator.trigger("elongation.measure")
    words = window.docks["elongation"].build().words.text()
    assert float(words) >= 1.0

    (tmp_path / "in.boxes").write_text("# boxes\nx ACP 10 20 30 60\n")
    dialog = ImportDialog(window.session, window.jobs, tmp_path / "in.boxes", window)
    titles = [dialog.format.itemText(place) for place in range(dialog.format.count())]
    assert "Lines of boxes" in titles
    qtbot.waitUntil(lambda: dialog.format.itemText(0) == "Lines of boxes (detected)", timeout=20_000)
    dialog.reject()

    rows = project.boxes.rows()
    project.boxes.edit(rows["id"][:1], note="a scratch?")
    out = tmp_path / "notes.txt"
    exports = ExportDialog(
        window.session, window.jobs, window.settings, window, save=lambda: None, ask_path=lambda *_: out
    ).exports
    menu = exports.other.menu()
    menu.aboutToShow.emit()
    offered = {action.text(): action for action in menu.actions()}
    assert {"Notes (.txt)", "Lines of boxes (.boxes)", "Lines of x and y (.xy)"} <= set(offered)
    with qtbot.waitSignal(exports.exported):
        offered["Notes (.txt)"].trigger()
    assert out.read_text() == f"{rows['id'][0]} a scratch?\n"
