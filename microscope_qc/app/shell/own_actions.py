"""The window's own actions: workspaces, theme, palette, keys, settings."""

from __future__ import annotations

import platform
from functools import partial

from qtpy.QtWidgets import QMessageBox

from microscope_qc import __version__
from microscope_qc.app.actions.action import Action
from microscope_qc.app.context import Context
from microscope_qc.app.dialogs.destinations import destinations
from microscope_qc.app.dialogs.palette import CommandPalette
from microscope_qc.app.session.session import Session
from microscope_qc.app.shell.detector import keep_ready
from microscope_qc.app.shell.navigator import WindowNavigator
from microscope_qc.app.shell.theme_switcher import ThemeSwitcher


def palette_of(navigator: WindowNavigator, session: Session) -> CommandPalette:
    """Return the window's command palette."""
    places = partial(destinations, session)
    return navigator.only(CommandPalette, lambda: CommandPalette(navigator.book, navigator.window, destinations=places))


def _show_palette(navigator: WindowNavigator, context: Context) -> None:
    palette_of(navigator, context.session).popup()


def _show_shortcuts(navigator: WindowNavigator, context: Context) -> None:
    from microscope_qc.app.dialogs.shortcuts import ShortcutsDialog

    ShortcutsDialog(navigator.book, context.settings, navigator.save_settings, navigator.window).exec()


def _show_settings(switcher: ThemeSwitcher, context: Context) -> None:
    from microscope_qc.app.dialogs.settings import SettingsDialog

    navigator = context.navigator
    SettingsDialog(
        context.settings, use_theme=switcher.use, keep_ready=partial(keep_ready, context.jobs),
        save=navigator.save_settings, parent=navigator.window,
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


def _show_about(context: Context) -> None:
    QMessageBox.about(
        context.navigator.window,
        "About microscope-qc",
        f"<h3>microscope-qc {__version__}</h3>"
        "<p>Review polished cross-sections of batteries and magnets: find defects on huge micrographs, judge them, "
        "measure them, drive to them.</p>"
        f"<p>Python {platform.python_version()}, {platform.platform()}</p>",
    )


def own_actions(navigator: WindowNavigator, switcher: ThemeSwitcher) -> tuple[Action, ...]:
    """Return the actions that need more of the window than its context offers."""
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
            "edit.settings", "Settings…", "Edit", partial(_show_settings, switcher), ("Ctrl+,",), "cog-outline", group=3
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
        Action("help.shortcuts", "Keyboard shortcuts", "Help", shortcuts, ("?",), "keyboard-outline"),
        Action("help.about", "About microscope-qc", "Help", _show_about, (), "information-outline"),
    )


def _workspace(name: str, text: str, key: str, icon: str) -> Action:
    return Action(f"view.{name}", text, "View", partial(_use_workspace, name), (key,), icon, group=5)


def _theme(switcher: ThemeSwitcher, choice: str, text: str, icon: str) -> Action:
    return Action(f"theme.{choice}", text, "View/Theme", partial(_use_theme, switcher, choice), icon=icon, group=7)
