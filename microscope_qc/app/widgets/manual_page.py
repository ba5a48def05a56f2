"""One page of the manual as rich text: its links, its pictures as wide as there is room, and marked words."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from qtpy.QtCore import Qt, QUrl, Signal
from qtpy.QtGui import (
    QBrush,
    QColor,
    QDesktopServices,
    QImage,
    QResizeEvent,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFrameFormat,
    QTextLength,
    QTextTable,
)
from qtpy.QtWidgets import QTextBrowser, QTextEdit, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.base.turns import Later
from microscope_qc.core.errors import InputError
from microscope_qc.core.manual import ACTION, LINK, Manual, anchor_of, picture_of

MARGIN = 24
OBJECT = "\ufffc"
"""Stands for a picture in the text of a document."""
WIDEST_PICTURE = 1000


class ManualBrowser(QTextBrowser):
    """Shows pages, and goes back and forward between them.

    Parameters
    ----------
    words_of
        Where in the menus an action stands, with its keys, as Markdown.
    """

    shown = Signal(str)  # name of the page

    def __init__(self, pages: Manual, words_of: Callable[[str], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._manual, self._words_of = pages, words_of
        self.page = ""
        self._behind: list[tuple[str, float]] = []  # page, and how far it was scrolled (0 to 1)
        self._ahead: list[tuple[str, float]] = []
        self._marked: Sequence[str] = ()
        self.setFrameShape(QTextBrowser.Shape.NoFrame)
        self.setStyleSheet("QTextBrowser { border: none; border-radius: 0; padding: 0; }")
        self.setOpenLinks(False)
        self.anchorClicked.connect(self._on_link_clicked)
        self._wide = 0
        self._fit_soon = Later(self, self._fit, after_ms=100)
        theme.SWITCH.switched.connect(self._fit_soon.soon)

    def open_page(self, name: str, anchor: str = "") -> None:
        """Show a page, at one of its headings."""
        if name not in self._manual.pages:
            return
        if self.page:
            self._behind.append((self.page, self._place()))
        self._ahead.clear()
        self._show(name)
        self._go_to(anchor)
        self.shown.emit(name)

    @property
    def can_go(self) -> tuple[bool, bool]:
        """Whether there are pages to go back to, and forward to."""
        return bool(self._behind), bool(self._ahead)

    def go_back(self) -> None:
        """Show the page before, as it was left."""
        self._step(self._behind, self._ahead)

    def go_forward(self) -> None:
        """Show the page that was left by going back."""
        self._step(self._ahead, self._behind)

    def _step(self, pages: list[tuple[str, float]], others: list[tuple[str, float]]) -> None:
        if not pages:
            return
        others.append((self.page, self._place()))
        name, place = pages.pop()
        self._show(name)
        self._scroll_to(place)
        self.shown.emit(name)

    def mark(self, words: Sequence[str]) -> None:
        """Mark these words, or the words that begin so, wherever they stand on a page."""
        self._marked = words
        self._show_marks()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: pictures follow."""
        super().resizeEvent(event)
        if self._wide != self._room():
            self._fit_soon.soon()

    def loadResource(self, kind: int, name: QUrl | str) -> Any:
        """Qt: a picture, no wider than there is room."""
        if kind != QTextDocument.ResourceType.ImageResource.value:
            return None
        image = QImage(str(picture_of(self.page, QUrl(name).path())))
        ratio = self.devicePixelRatioF()
        room = round(min(self._room(), WIDEST_PICTURE) * ratio)
        if image.width() > room:
            image = image.scaledToWidth(room, Qt.TransformationMode.SmoothTransformation)
            image.setDevicePixelRatio(ratio)
        return image

    # -- writing -----------------------------------------------------------------------------------------------------

    def _room(self) -> int:
        """Width for a picture in px; the same whether the scroll bar is there or not."""
        bar = self.verticalScrollBar()
        wide = self.maximumViewportSize().width() - (bar.sizeHint().width() if bar is not None else 0)
        return max(wide - 2 * MARGIN, 100)

    def _fit(self) -> None:
        """Write the page again, as wide as the window and in the colours of the theme now, at the same place."""
        place = self._place()
        if self.page:
            self._write()
            self._scroll_to(place)

    def _show(self, name: str) -> None:
        if name != self.page or self._wide != self._room():
            self.page = name
            self._write()

    def _write(self) -> None:
        self._wide = self._room()
        document = self.document()
        if document is None:
            return
        document.clear()
        document.setMarkdown(self._with_actions(self._manual.pages[self.page].markdown))
        frame = document.rootFrame()
        if frame is not None:
            style = frame.frameFormat()
            style.setMargin(MARGIN)
            frame.setFrameFormat(style)
        self._space()
        self._rule_tables()
        self._show_marks()

    def _with_actions(self, text: str) -> str:
        """Say of every action where it stands in the menus, and its keys."""

        def said(link: re.Match[str]) -> str:
            return self._words_of(link[3].removeprefix(ACTION)) if link[3].startswith(ACTION) else link[0]

        return LINK.sub(said, text)

    def _space(self) -> None:
        """More space than Qt gives between lines and around headings; a ground for commands."""
        document, colours = self.document(), theme.current()
        block = document.begin() if document is not None else None
        while block is not None and block.isValid():
            style, heading = block.blockFormat(), block.blockFormat().headingLevel()
            style.setNonBreakableLines(False)  # long lines of code: nothing is to be scrolled sideways
            if OBJECT not in block.text():
                style.setLineHeight(125, 1)  # in per cent
            if heading:
                style.setTopMargin(0 if block.blockNumber() == 0 else 2.5 * theme.STEP)
                style.setBottomMargin(theme.STEP)
            QTextCursor(block).setBlockFormat(style)
            parts = block.begin()
            while not parts.atEnd():
                fragment = parts.fragment()
                if fragment.charFormat().fontFixedPitch():
                    cursor = QTextCursor(block)
                    cursor.setPosition(fragment.position())
                    cursor.setPosition(fragment.position() + fragment.length(), QTextCursor.MoveMode.KeepAnchor)
                    ground = QTextCharFormat()
                    ground.setBackground(QBrush(QColor(colours.raised)))
                    cursor.mergeCharFormat(ground)
                parts += 1
            block = block.next()

    def _rule_tables(self) -> None:
        document = self.document()
        frame = document.rootFrame() if document is not None else None
        for child in frame.childFrames() if frame is not None else ():
            if isinstance(child, QTextTable):
                style = child.format()
                style.setBorder(1)
                style.setBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
                style.setBorderBrush(QBrush(QColor(theme.current().line)))
                style.setBorderCollapse(True)
                style.setCellPadding(5)
                style.setCellSpacing(0)
                style.setWidth(QTextLength(QTextLength.Type.PercentageLength, 100))
                child.setFormat(style)

    # -- places ------------------------------------------------------------------------------------------------------

    def _place(self) -> float:
        bar = self.verticalScrollBar()
        return bar.value() / max(bar.maximum(), 1) if bar is not None else 0.0

    def _scroll_to(self, place: float) -> None:
        bar = self.verticalScrollBar()
        if bar is not None:
            bar.setValue(round(place * bar.maximum()))

    def _go_to(self, anchor: str) -> None:
        document, bar = self.document(), self.verticalScrollBar()
        if document is None or bar is None:
            return
        place = 0.0
        block = document.begin()
        while anchor and block.isValid():
            if block.blockFormat().headingLevel() and anchor_of(block.text()) == anchor:
                layout = document.documentLayout()
                place = layout.blockBoundingRect(block).top() - theme.STEP if layout is not None else 0.0
                break
            block = block.next()
        bar.setValue(round(place))

    def _show_marks(self) -> None:
        colours = theme.current()
        style = QTextCharFormat()
        style.setBackground(QBrush(QColor(colours.accent)))
        style.setForeground(QBrush(QColor(colours.on_accent)))
        document, found = self.document(), []
        for word in self._marked:
            for place in re.finditer(
                rf"\b{re.escape(word)}\w*", "" if document is None else document.toPlainText(), re.I
            ):
                mark = QTextEdit.ExtraSelection()
                mark.cursor = QTextCursor(document)
                mark.cursor.setPosition(place.start())
                mark.cursor.setPosition(place.end(), QTextCursor.MoveMode.KeepAnchor)
                mark.format = style
                found.append(mark)
        self.setExtraSelections(found)

    def _on_link_clicked(self, link: QUrl) -> None:
        if link.scheme() in ("http", "https"):
            QDesktopServices.openUrl(link)
            return
        try:
            self.open_page(*self._manual.resolve(self.page, link.toString()))
        except InputError:
            return  # the tests find links that lead nowhere
