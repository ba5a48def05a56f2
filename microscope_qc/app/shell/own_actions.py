"""The window's own actions: workspaces, theme, palette, keys, settings."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import qVersion
from qtpy.QtWidgets import QMessageBox

from microscope_qc import __version__
from microscope_qc.app.actions.action import Action
from microscope_qc.app.context import Context
from microscope_qc.app.dialogs.destinations import destinations
from microscope_qc.app.dialogs.palette import CommandPalette
from microscope_qc.app.session.session import Session
from microscope_qc.app.shell.detector import keep_ready
from microscope_qc.app.shell.help import CHANGES, show_manual, show_page
from microscope_qc.app.shell.navigator import WindowNavigator
from microscope_qc.app.shell.theme_switcher import ThemeSwitcher
from microscope_qc.app.shell.tour import show_tour

if TYPE_CHECKING:
    from microscope_qc.core.plugins import PluginProblem
    from microscope_qc.workflows.plugins import InstalledPlugin


def palette_of(navigator: WindowNavigator, session: Session) -> CommandPalette:
    """Return the window's command palette."""
    places = partial(destinations, session)
    return navigator.only(CommandPalette, lambda: CommandPalette(navigator.book, navigator.window, destinations=places))


def _show_palette(navigator: WindowNavigator, context: Context) -> None:
    palette_of(navigator, context.session).popup()


def _show_shortcuts(navigator: WindowNavigator, context: Context) -> None:
    from microscope_qc.app.dialogs.shortcuts import ShortcutsDialog

    ShortcutsDialog(navigator.book, context.settings, navigator.save_settings, navigator.window).exec()


def _plugins(refused: Callable[[], Sequence[PluginProblem]]) -> list[InstalledPlugin]:
    from microscope_qc.app.panels.spec import panel_registry
    from microscope_qc.workflows.plugins import installed_plugins, with_refused

    return with_refused(installed_plugins(panel_registry()), refused())


def _show_settings(switcher: ThemeSwitcher, refused: Callable[[], Sequence[PluginProblem]], context: Context) -> None:
    from microscope_qc.app.dialogs.settings import SettingsDialog

    navigator = context.navigator
    SettingsDialog(
        context.settings, use_theme=switcher.use, keep_ready=partial(keep_ready, context.jobs),
        plugins=partial(_plugins, refused), save=navigator.save_settings, parent=navigator.window,
    ).exec()  # fmt: skip


def _use_workspace(name: str, context: Context) -> None:
    context.navigator.use_workspace(name)


def _reset_workspace(navigator: WindowNavigator, _context: Context) -> None:
    navigator.workspaces.reset()
    navigator.dividers.forget()


def _use_theme(switcher: ThemeSwitcher, choice: str, _context: Context) -> None:
    switcher.use(choice)


def _quit(context: Context) -> None:
    context.navigator.window.close()


def _show_about(navigator: WindowNavigator, context: Context) -> None:
    box = QMessageBox(context.navigator.window)
    box.setWindowTitle("About microscope-qc")
    box.setText(f"<h3>microscope-qc {__version__}</h3>")
    box.setInformativeText(
        "<p>Review polished cross-sections of batteries and magnets: find defects on huge micrographs, judge them, "
        "measure them, drive to them.</p>"
        "<p>BSD 3-Clause licence. To cite it: <i>The microscope_qc authors, microscope_qc, version "
        f"{__version__}</i>, and the models and data that you used by their cards.</p>"
        f"<p>Python {platform.python_version()}, Qt {qVersion()}, {platform.platform()}</p>"
    )
    changes = box.addButton("What is new", QMessageBox.ButtonRole.ActionRole)
    box.addButton(QMessageBox.StandardButton.Close)
    box.exec()
    if box.clickedButton() is changes:
        show_page(navigator, CHANGES)


def own_actions(
    navigator: WindowNavigator, switcher: ThemeSwitcher, *, refused: Callable[[], Sequence[PluginProblem]]
) -> tuple[Action, ...]:
    """Return the actions that need more of the window than its context offers.

    Parameters
    ----------
    refused
        Returns the plugins that are left out.
    """
    shortcuts = partial(_show_shortcuts, navigator)
    return (
        Action("file.quit", "Quit", "File", _quit, ("Ctrl+Q",), "exit-to-app", group=3),
        Action(
            "edit.palette",
            "Command palette…",
            "Edit",
            partial(_show_palette, navigator),
            ("Ctrl+P",),
            "console-line",
            group=3,
        ),
        Action("edit.shortcuts", "Change shortcuts…", "Edit", shortcuts, (), "keyboard-settings-outline", group=3),
        Action(
            "edit.settings",
            "Settings…",
            "Edit",
            partial(_show_settings, switcher, refused),
            ("Ctrl+,",),
            "cog-outline",
            group=3,
        ),
        _workspace("annotate", "Annotate workspace", "Ctrl+1", "draw"),
        _workspace("review", "Review workspace", "Ctrl+2", "check-all"),
        _workspace("learn", "Learn workspace", "Ctrl+4", "school-outline"),
        _workspace("statistics", "Statistics workspace", "Ctrl+5", "chart-bar"),
        _workspace("sem", "SEM workspace", "Ctrl+3", "microscope"),
        _theme(switcher, "system", "System theme", ""),
        _theme(switcher, "light", "Light", "white-balance-sunny"),
        _theme(switcher, "dark", "Dark", "weather-night"),
        Action(
            "view.reset",
            "Reset this workspace",
            "View",
            partial(_reset_workspace, navigator),
            (),
            "restore",
            group=8,
        ),
        Action(
            "help.manual",
            "Manual",
            "Help",
            partial(show_manual, navigator),
            ("F1",),
            "book-open-page-variant-outline",
            tooltip="The page of the panel that has the focus",
        ),
        Action(
            "help.tour",
            "Tour of the window",
            "Help",
            partial(show_tour, navigator),
            (),
            "map-marker-path",
            tooltip="Where things are, in six steps; on the sample where no project is open",
        ),
        Action("help.shortcuts", "Keyboard shortcuts", "Help", shortcuts, ("?",), "keyboard-outline"),
        Action("help.about", "About microscope-qc", "Help", partial(_show_about, navigator), (), "information-outline"),
    )


def _workspace(name: str, text: str, key: str, icon: str) -> Action:
    return Action(f"view.{name}", text, "View", partial(_use_workspace, name), (key,), icon, group=5)


def _theme(switcher: ThemeSwitcher, choice: str, text: str, icon: str) -> Action:
    return Action(f"theme.{choice}", text, "View/Theme", partial(_use_theme, switcher, choice), icon=icon, group=7)
