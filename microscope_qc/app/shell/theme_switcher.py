"""The theme of the window, and the parts that follow it."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QApplication

from microscope_qc.app.base import theme
from microscope_qc.app.base.settings import AppSettings


class ThemeSwitcher(QObject):
    """Switches between light, dark and the theme of the system.

    Parameters
    ----------
    save
        Writes the settings.
    """

    def __init__(self, app: QApplication, settings: AppSettings, save: Callable[[], None], parent: QObject) -> None:
        super().__init__(parent)
        self._app, self._settings, self._save = app, settings, save
        self._followers: list[Callable[[], object]] = []
        theme.apply_theme(app, settings.theme)
        hints = app.styleHints()
        if hints is not None and hasattr(hints, "colorSchemeChanged"):
            hints.colorSchemeChanged.connect(self._on_system_theme_changed)

    def follow(self, *refresh: Callable[[], object]) -> None:
        """Call these after every change of the theme."""
        self._followers += refresh

    def use(self, choice: str) -> None:
        """Use "light", "dark" or "system" from now on."""
        self._settings.theme = choice  # type: ignore[assignment]  # pydantic checks it
        self._save()
        self.apply()

    def apply(self) -> None:
        """Apply the theme to the application and everything that follows it."""
        theme.apply_theme(self._app, self._settings.theme)
        for refresh in self._followers:
            refresh()

    def _on_system_theme_changed(self, *_: object) -> None:
        if self._settings.theme == "system":
            self.apply()
