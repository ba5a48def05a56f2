"""The page in the middle of the window: welcome page, canvas, review, learn or statistics page."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Signal
from qtpy.QtWidgets import QStackedWidget, QWidget

from microscope_qc.app.base.turns import Later, PartByPart
from microscope_qc.app.canvas.canvas import Canvas
from microscope_qc.app.shell.welcome import WelcomePage

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.base.settings import AppSettings
    from microscope_qc.app.panels.learn.page import LearnPage
    from microscope_qc.app.panels.review.page import ReviewPane
    from microscope_qc.app.panels.statistics.page import StatisticsPage
    from microscope_qc.app.session.session import Session


BY_PARTS = {
    "learn": "microscope_qc.app.panels.learn.page", "statistics": "microscope_qc.app.panels.statistics.page",
}  # fmt: skip
"""Workspaces whose page takes long to make, and the module that it is in."""


class Pages(QStackedWidget):
    """Asks only for the space that the visible page needs; Qt would ask for that of the largest page."""

    export_requested = Signal()
    zoomed = Signal(float)  # on the review page; 0 elsewhere
    label_requested = Signal()
    detect_requested = Signal()
    canvas_requested = Signal()
    model_used = Signal()
    model_requested = Signal(object)  # folder
    comparison_requested = Signal(object)  # folder
    folds_requested = Signal(str, int)  # network, minutes

    def __init__(
        self, session: Session, jobs: JobRunner, settings: AppSettings, welcome: WelcomePage, canvas: Canvas
    ) -> None:
        super().__init__()
        self._session, self._jobs, self._settings = session, jobs, settings
        self.welcome, self.canvas = welcome, canvas
        self.review: ReviewPane | None = None
        self.learn: LearnPage | None = None
        self.statistics: StatisticsPage | None = None
        self._made_by_parts: dict[str, tuple[QWidget, PartByPart]] = {}
        self._review_zoom = 0.0
        self._workspace, self._train_when_made = "", False
        self._coming = QWidget()
        self._make_soon = Later(self, self._show_page)
        for page in (welcome, canvas, self._coming):
            self.addWidget(page)

    def with_threads(self) -> tuple[QWidget | None, ...]:
        """Return the pages that were made and have threads to be stopped; those that are being made are finished."""
        for _, making in self._made_by_parts.values():
            making.finish()
        return self.review, self.learn, self.statistics

    def minimumSizeHint(self) -> QSize:
        """Qt: what the visible page needs."""
        page = self.currentWidget()
        return super().minimumSizeHint() if page is None else page.minimumSizeHint()

    def show_for(self, workspace: str) -> None:
        """Show the welcome page without a project, else the page of the workspace.

        A page that is made for the first time comes when the window has a moment for it: its panels come before.
        """
        self._make_soon.stop()
        self._workspace = workspace
        if self._session.project is None and self._session.ahead is not None:
            self.setCurrentWidget(self.canvas)
        elif self._session.project is None:
            self.welcome.refresh()
            self.setCurrentWidget(self.welcome)
        elif workspace in BY_PARTS and workspace not in self._made_by_parts:
            self.setCurrentWidget(self._coming)
            self._import_and_make(workspace)
        else:
            self._show_page()

    def _import_and_make(self, workspace: str) -> None:
        """Make a page soon; what it needs is imported in another thread, unless that was done before."""
        module = BY_PARTS[workspace]
        if module in sys.modules:
            self._make_soon.soon()
            return

        def go_on(_: object) -> None:
            if self._workspace == workspace and self.currentWidget() is self._coming:
                self._make_soon.soon()

        self._jobs.call(lambda: import_module(module), go_on)

    def train(self) -> None:
        """Begin a training on the Learn page, as soon as it is made."""
        if self.learn is not None:
            self.learn.train_when_counted()
        else:
            self._train_when_made = True

    def _show_page(self) -> None:
        made = {"review": self._review_page, "learn": self._learn_page, "statistics": self._statistics_page}
        page: QWidget = made[self._workspace]() if self._workspace in made else self.canvas
        self.setCurrentWidget(page)
        self.zoomed.emit(self._review_zoom if page is self.review else 0.0)
        self._session.navigation.set_following(page is not self.review)
        page.setFocus()

    def _on_review_zoomed(self, zoom: float) -> None:
        self._review_zoom = zoom
        if self.currentWidget() is self.review:
            self.zoomed.emit(zoom)

    def _learn_page(self) -> QWidget:
        if "learn" in self._made_by_parts:
            return self._made_by_parts["learn"][0]
        from microscope_qc.app.panels.learn.page import LearnPage

        page = LearnPage(
            self._session, self._jobs, self._session.measuring, self._settings, self.window(), by_parts=True
        )
        page.label_requested.connect(self.label_requested)
        page.model_used.connect(self.model_used)
        page.all_requested.connect(self.model_requested)
        page.comparison_requested.connect(self.comparison_requested)
        page.folds_requested.connect(self.folds_requested)
        self._make("learn", page, page.making, lambda: self._take(learn=page))
        return page

    def _statistics_page(self) -> QWidget:
        if "statistics" in self._made_by_parts:
            return self._made_by_parts["statistics"][0]
        from microscope_qc.app.panels.statistics.page import StatisticsPage

        page = StatisticsPage(self._session, self._jobs, self._settings, self.window(), by_parts=True)
        page.detect_requested.connect(self.detect_requested)
        page.canvas_requested.connect(self.canvas_requested)
        self._make("statistics", page, page.making, lambda: self._take(statistics=page))
        return page

    def _make(self, workspace: str, page: QWidget, parts: Iterator[None], take: Callable[[], None]) -> None:
        """Make a page part by part, and take it when it is whole."""
        self.addWidget(page)
        making = PartByPart(page, parts)
        making.made.connect(take)
        self._made_by_parts[workspace] = page, making

    def _take(self, *, learn: LearnPage | None = None, statistics: StatisticsPage | None = None) -> None:
        self.learn, self.statistics = learn or self.learn, statistics or self.statistics
        if learn is not None and self._train_when_made:
            self._train_when_made = False
            learn.train_when_counted()

    def _review_page(self) -> ReviewPane:
        if self.review is None:
            from microscope_qc.app.panels.review.page import ReviewPane

            self.review = ReviewPane(self._session, self.window())
            self.review.export_requested.connect(self.export_requested)
            self.review.picture.zoomed.connect(self._on_review_zoomed)
            self.addWidget(self.review)
        return self.review
