"""Keeps the widths of columns and the parts of splitters as a user dragged them, in this session and the next."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import QHeaderView, QSplitter, QWidget

if TYPE_CHECKING:
    from microscope_qc.app.base.settings import AppSettings


class Dividers(QObject):
    """Watches the columns and splitters of panels. Columns are known by their titles, splitters by their order."""

    def __init__(self, settings: AppSettings, parent: QObject) -> None:
        super().__init__(parent)
        self._settings = settings
        self._pressed: QWidget | None = None

    def watch(self, panel: str, content: QWidget) -> None:
        """Restore what was kept of a panel, and keep what the user changes from now on."""
        for header in content.findChildren(QHeaderView):
            if header.orientation() == Qt.Orientation.Horizontal:
                self._restore_columns(panel, header)
                header.viewport().installEventFilter(self)
                header.sectionResized.connect(partial(self._on_section_resized, panel, header))
                header.sectionCountChanged.connect(lambda *_, header=header: self._restore_columns(panel, header))
        for place, splitter in enumerate(content.findChildren(QSplitter)):
            key = f"{panel} {place}"
            sizes = self._settings.splitters.get(key, [])
            if len(sizes) == splitter.count() and sum(sizes) > 0:
                # once it has its size: Qt would give what is left to the parts that stretch
                QTimer.singleShot(0, partial(splitter.setSizes, sizes))
            splitter.splitterMoved.connect(lambda *_, key=key, splitter=splitter: self._keep_splitter(key, splitter))

    def forget(self) -> None:
        """Give panels that are made from now on the widths of the program."""
        self._settings.column_widths, self._settings.splitters = {}, {}

    def _restore_columns(self, panel: str, header: QHeaderView) -> None:
        kept, interactive = self._settings.column_widths.get(panel, {}), QHeaderView.ResizeMode.Interactive
        for section in range(header.count()):
            width = kept.get(_title(header, section), 0)
            if width >= header.minimumSectionSize() and header.sectionResizeMode(section) == interactive:
                header.resizeSection(section, width)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: know the header that is being dragged; panels also fit their columns themselves."""
        if event.type() == QEvent.Type.MouseButtonPress and isinstance(watched, QWidget):
            self._pressed = watched
        elif event.type() == QEvent.Type.MouseButtonRelease:
            self._pressed = None
        return False

    def _on_section_resized(self, panel: str, header: QHeaderView, section: int, before: int, now: int) -> None:
        title = _title(header, section)
        if self._pressed is header.viewport() and title and 0 < now != before:
            widths = self._settings.column_widths
            self._settings.column_widths = {**widths, panel: {**widths.get(panel, {}), title: now}}

    def _keep_splitter(self, key: str, splitter: QSplitter) -> None:
        self._settings.splitters = {**self._settings.splitters, key: splitter.sizes()}


def _title(header: QHeaderView, section: int) -> str:
    model = header.model()
    return "" if model is None else str(model.headerData(section, Qt.Orientation.Horizontal) or "")
