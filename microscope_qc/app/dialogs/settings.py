"""Settings for all projects: theme, memory for tiles, what counts as viewed; and the plugins that there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.base.number_entry import NumberEntry
from microscope_qc.app.base.settings import apply_cache_limit
from microscope_qc.app.dialogs.plugins_page import PluginsPage
from microscope_qc.core.numbers import Quantity

if TYPE_CHECKING:
    from microscope_qc.app.base.settings import AppSettings
    from microscope_qc.workflows.plugins import InstalledPlugin

THEMES = (("system", "System"), ("light", "Light"), ("dark", "Dark"))
LEAST_MB, MOST_MB = 32, 1_000_000
READY_WORDS = (
    "A detection then starts at once. Takes up to 1 GB of memory, and some of the graphics card's; both are given back "
    "after ten minutes without a detection, and when memory runs short."
)


class SettingsDialog(QDialog):
    """Changes take effect at once; Close only closes the dialog.

    Parameters
    ----------
    use_theme
        Called with "system", "light" or "dark".
    keep_ready
        Called with whether the process for models is started before it is needed, and kept.
    plugins
        Returns what other packages add.
    save
        Writes the settings.
    """

    def __init__(
        self,
        settings: AppSettings,
        *,
        use_theme: Callable[[str], None],
        keep_ready: Callable[[bool], None],
        plugins: Callable[[], Sequence[InstalledPlugin]],
        save: Callable[[], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Settings")
        self._settings, self._use_theme, self._save, self._keep_ready = settings, use_theme, save, keep_ready
        self.theme = QComboBox()
        for name, words in THEMES:
            self.theme.addItem(words, name)
        self.theme.setCurrentIndex(self.theme.findData(settings.theme))
        self.own_memory = QCheckBox("Set manually")
        self.memory = NumberEntry(Quantity("The memory", "MB", LEAST_MB, MOST_MB, whole=True), step=128)
        self.judge = NumberEntry(Quantity("The zoom", "%", 1, 400), settings.judge_zoom * 100, step=10)
        self.ready = QCheckBox("Keep ready")
        self.ready.setChecked(settings.detector_ready)
        self._show_memory()
        memory = QHBoxLayout()
        memory.addWidget(self.memory, 1)
        memory.addWidget(self.own_memory)
        general = QWidget()
        form = QFormLayout(general)
        form.setContentsMargins(0, 2 * theme.STEP, 0, 0)
        form.setHorizontalSpacing(2 * theme.STEP)
        form.setVerticalSpacing(theme.STEP)
        form.addRow("Theme", self.theme)
        form.addRow("Memory for image data", memory)
        form.addRow("", _quiet("Decoded pixels that canvas, gallery and thumbnails keep for reuse."))
        form.addRow("Counts as viewed from", self.judge)
        form.addRow("", _quiet("Of full size: what was shown smaller than this does not count as viewed."))
        form.addRow("Detector", self.ready)
        form.addRow("", _quiet(READY_WORDS))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP)
        column.setSpacing(2 * theme.STEP)
        self.pages = QTabWidget()
        self.pages.setDocumentMode(True)
        self.pages.addTab(general, "General")
        self.plugins = PluginsPage(plugins)
        self.pages.addTab(self.plugins, "Plugins")
        column.addWidget(self.pages)
        column.addWidget(buttons)
        self.theme.currentIndexChanged.connect(self._on_theme_chosen)
        self.own_memory.toggled.connect(self._on_own_memory)
        self.memory.valueChanged.connect(self._on_memory_changed)
        self.judge.valueChanged.connect(self._on_judge_changed)
        self.ready.toggled.connect(self._on_ready_toggled)

    def _show_memory(self) -> None:
        from microscope_qc.slides.tile_cache import default_limit

        own = self._settings.cache_mb
        for widget in (self.memory, self.own_memory):
            widget.blockSignals(True)
        self.own_memory.setChecked(own is not None)
        self.memory.setValue(round(default_limit() / 1_000_000) if own is None else own)
        self.memory.setEnabled(own is not None)
        self.memory.setToolTip(
            "" if own is not None else "The smaller of 512 MB and an eighth of this computer's memory"
        )
        for widget in (self.memory, self.own_memory):
            widget.blockSignals(False)

    def _on_theme_chosen(self) -> None:
        self._use_theme(str(self.theme.currentData()))

    def _on_own_memory(self, own: bool) -> None:
        self._set_memory(int(self.memory.value()) if own else None)
        self._show_memory()

    def _on_memory_changed(self, mb: float) -> None:
        self._set_memory(int(mb))

    def _set_memory(self, mb: int | None) -> None:
        self._settings.cache_mb = mb
        apply_cache_limit(self._settings)
        self._save()

    def _on_ready_toggled(self, ready: bool) -> None:
        self._settings.detector_ready = ready
        self._keep_ready(ready)
        self._save()

    def _on_judge_changed(self, percent: float) -> None:
        self._settings.judge_zoom = percent / 100
        self._save()


def _quiet(words: str) -> QLabel:
    label = QLabel(words)
    label.setProperty("quiet", True)
    label.setWordWrap(True)
    label.setMinimumWidth(300)
    return label
