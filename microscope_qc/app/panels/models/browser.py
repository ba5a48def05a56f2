"""Text about models whose links open findings in Review, and places without one on the slide."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QUrl, Signal
from qtpy.QtGui import QImage, QTextOption
from qtpy.QtWidgets import QTextBrowser

from microscope_qc.app.panels.models.text import COMPARISON_LINK, OPEN_LINK, PAGE_LINK, SPOT_LINK


class ModelBrowser(QTextBrowser):
    """Rich text; ``pictures`` are those that it shows, by their addresses.

    ``findings_asked`` and ``spot_asked`` name what a link is about, see
    :func:`microscope_qc.app.panels.models.text.places_links`.
    """

    findings_asked = Signal(str)
    spot_asked = Signal(int, str)
    page_asked = Signal()
    comparison_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.pictures: dict[str, QImage] = {}
        self.setOpenLinks(False)
        self.setWordWrapMode(QTextOption.WrapMode.WordWrap)  # heads of narrow columns are not broken within words
        self.setFrameShape(QTextBrowser.Shape.NoFrame)
        self.anchorClicked.connect(self._on_link)

    def loadResource(self, kind: int, name: QUrl | str) -> Any:
        """Qt: a picture of the text."""
        return self.pictures.get(QUrl(name).toString()) or super().loadResource(kind, name)

    def _on_link(self, url: QUrl) -> None:
        text = url.toString(QUrl.ComponentFormattingOption.FullyDecoded)
        if text.startswith(PAGE_LINK):
            self.page_asked.emit()
        elif text.startswith(COMPARISON_LINK):
            self.comparison_asked.emit()
        elif text.startswith(OPEN_LINK):
            self.findings_asked.emit(text.removeprefix(OPEN_LINK))
        elif text.startswith(SPOT_LINK):
            number, _, what = text.removeprefix(SPOT_LINK).partition(":")
            self.spot_asked.emit(int(number), what)
