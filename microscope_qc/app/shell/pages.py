"""The page in the middle of the window: welcome page, canvas or review page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Signal
from qtpy.QtWidgets import QStackedWidget, QWidget

from microscope_qc.app.canvas.canvas import Canvas
from microscope_qc.app.shell.welcome import WelcomePage

if TYPE_CHECKING:
    from microscope_qc.app.panels.review.page import ReviewPane
    from microscope_qc.app.session.session import Session


class Pages(QStackedWidget):
    """Asks only for the space that the visible page needs; Qt would ask for that of the largest page."""

    export_requested = Signal()
    zoomed = Signal(float)  # on the review page; 0 elsewhere

    def __init__(self, session: Session, welcome: WelcomePage, canvas: Canvas) -> None:
        super().__init__()
        self._session = session
        self.welcome, self.canvas = welcome, canvas
        self.review: ReviewPane | None = None
        self._review_zoom = 0.0
        self.addWidget(welcome)
        self.addWidget(canvas)

    def minimumSizeHint(self) -> QSize:
        """Qt: what the visible page needs."""
        page = self.currentWidget()
        return super().minimumSizeHint() if page is None else page.minimumSizeHint()

    def show_for(self, workspace: str) -> None:
        """Show the welcome page without a project, else the page of the workspace."""
        if self._session.project is None and self._session.ahead is not None:
            self.setCurrentWidget(self.canvas)
        elif self._session.project is None:
            self.welcome.refresh()
            self.setCurrentWidget(self.welcome)
        else:
            page: QWidget = self._review_page() if workspace == "review" else self.canvas
            self.setCurrentWidget(page)
            self.zoomed.emit(0.0 if page is self.canvas else self._review_zoom)
            self._session.navigation.set_following(page is self.canvas)
            page.setFocus()

    def _on_review_zoomed(self, zoom: float) -> None:
        self._review_zoom = zoom
        if self.currentWidget() is self.review:
            self.zoomed.emit(zoom)

    def _review_page(self) -> ReviewPane:
        if self.review is None:
            from microscope_qc.app.panels.review.page import ReviewPane

            self.review = ReviewPane(self._session, self.window())
            self.review.export_requested.connect(self.export_requested)
            self.review.picture.zoomed.connect(self._on_review_zoomed)
            self.addWidget(self.review)
        return self.review
