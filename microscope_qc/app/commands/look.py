"""Looking: fit, go to, workspaces, panels, palette, keys."""

from __future__ import annotations

import platform
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QInputDialog, QMenu, QMessageBox

from microscope_qc import __version__
from microscope_qc.app.canvas.view import View
from microscope_qc.app.session.slide_view import LONGEST_NAME, Bookmark
from microscope_qc.slides.display import DisplaySettings

if TYPE_CHECKING:
    from microscope_qc.app.shell.main_window import MainWindow
    from microscope_qc.slides.histogram import Histogram


class LookCommands:
    """The View and Help menus."""

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        self._session = window.session

    def fit_selection(self) -> None:
        """Show the selected finds with their surroundings."""
        self._window.canvas.fit_selection()

    def fit_slide(self) -> None:
        """Show the whole slide."""
        self._window.canvas.fit_slide()

    def zoom_full(self) -> None:
        """One slide pixel per pixel of the screen."""
        self._window.canvas.zoom_to(1.0 / self._window.devicePixelRatioF())

    def zoom_in(self) -> None:
        """Nearer."""
        self._window.canvas.zoom_by(1.5)

    def zoom_out(self) -> None:
        """Farther."""
        self._window.canvas.zoom_by(1 / 1.5)

    def go_to_dialog(self) -> None:
        """Ask for a position."""
        from microscope_qc.app.dialogs.go_to import GoToDialog

        dialog = GoToDialog(self._session, self._window.canvas.view, self._window.settings, self._window)
        if dialog.exec():
            self._window.canvas.go_to(*dialog.place_px())
            self._window.save_settings()

    def add_bookmark(self) -> None:
        """Keep the view on screen under a name."""
        view, kept = self._window.canvas.view, self._session.slide_view
        proposal = f"Place {len(kept.bookmarks) + 1}"
        name, accepted = QInputDialog.getText(self._window, "Add bookmark", "Name of this view", text=proposal)
        if accepted:
            place = kept.add_bookmark(Bookmark(name.strip()[:LONGEST_NAME] or proposal, view.y, view.x, view.zoom))
            self._session.notice.emit(f"Bookmark {place + 1}: {kept.bookmarks[place].name}")

    def go_to_bookmark(self, bookmark: Bookmark) -> None:
        """Look at a bookmark."""
        canvas = self._window.canvas
        if self._window.pages.currentWidget() is not canvas:
            self._window.workspaces.use("annotate")
        view = canvas.view
        canvas.set_view(View(bookmark.y, bookmark.x, bookmark.zoom, view.width, view.height))
        canvas.setFocus()

    def fill_bookmark_menu(self, menu: QMenu, fixed: int) -> None:
        """List the bookmarks below the first ``fixed`` entries of a menu."""
        for action in menu.actions()[fixed:]:
            menu.removeAction(action)
        bookmarks = self._session.slide_view.bookmarks
        if bookmarks:
            menu.addSeparator()
        for place, bookmark in enumerate(bookmarks[:30], start=1):
            words = f"{'&' if place <= 9 else ''}{place}  {bookmark.name.replace('&', '&&')}"
            menu.addAction(words, partial(self.go_to_bookmark, bookmark))

    def auto_contrast(self) -> None:
        """Black and white at the darkest and brightest 0.1 % of the channels that are shown."""
        from microscope_qc.slides.histogram import histogram

        mosaic, view = self._session.mosaic, self._session.slide_view
        if mosaic is None:
            return
        shown = [i for i in range(len(mosaic.channels)) if view.display.channel(i).visible]

        def take(made: list[Histogram]) -> None:
            if mosaic is self._session.mosaic:
                display = view.display
                for channel, counts in zip(shown, made, strict=True):
                    display = display.with_channel(
                        channel, replace(display.channel(channel), window=counts.auto_window)
                    )
                view.set_display(display)

        self._window.jobs.call(lambda: [histogram(mosaic, channel) for channel in shown], on_done=take)

    def reset_display(self) -> None:
        """Show the slide as its file says."""
        self._session.slide_view.set_display(DisplaySettings())

    def pick_grey_place(self) -> None:
        """Take up the tool that takes the white balance from a place."""
        self._window.show_dock("display")
        self._session.set_tool("grey")

    def toggle_veil(self) -> None:
        """Veil what has not been looked at on the overview map, or lift the veil."""
        view = self._session.slide_view
        view.set_veil(not view.veil)
        if view.veil:
            self._session.notice.emit(
                f"{view.seen.share * 100:.1f} % of this slide has been looked at near enough to judge."
            )

    def toggle_legend(self) -> None:
        """Show what colours and lines mean, or not."""
        settings = self._window.settings
        settings.legend = not settings.legend
        self._window.canvas.legend.set_wanted(settings.legend)
        self._window.save_settings()
        self._window.book_refresh_soon()

    def forget_seen(self) -> None:
        """Nothing of this slide has been looked at."""
        self._session.slide_view.forget_seen()
        self._session.notice.emit("Forgotten: nothing of this slide counts as looked at.")

    def focus_filter(self) -> None:
        """Go to the search field of the gallery."""
        gallery = self._window.show_dock("gallery")
        if gallery is not None and hasattr(gallery, "focus_filter"):
            gallery.focus_filter()

    def switch_focus(self) -> None:
        """From the canvas to the gallery and back."""
        canvas = self._window.canvas
        if canvas.picture.native.hasFocus():
            gallery = self._window.show_dock("gallery")
            if gallery is not None:
                gallery.setFocus()
        else:
            canvas.setFocus()

    def use_tool(self, tool: str) -> None:
        """Take up a tool; the tool in hand is put away by its own key."""
        self._session.set_tool("select" if tool == self._session.tool else tool)
        self._window.book_refresh_soon()
        self._window.canvas.setFocus()

    def use_workspace(self, name: str) -> None:
        """Go to a workspace."""
        self._window.workspaces.use(name)

    def reset_workspace(self) -> None:
        """Put the panels back where they were at first."""
        self._window.workspaces.reset()

    def use_theme(self, choice: str) -> None:
        """Follow the system, or be light or dark."""
        self._window.use_theme(choice)

    def show_palette(self) -> None:
        """Open the command palette."""
        self._window.palette_popup().popup()

    def show_shortcuts(self) -> None:
        """Open the page of keys."""
        from microscope_qc.app.dialogs.shortcuts import ShortcutsDialog

        window = self._window
        ShortcutsDialog(window.book, window.settings, window.save_settings, window).exec()

    def show_settings(self) -> None:
        """Open the settings."""
        from microscope_qc.app.dialogs.settings import SettingsDialog

        window = self._window
        SettingsDialog(window.settings, use_theme=window.use_theme, save=window.save_settings, parent=window).exec()

    def show_models(self) -> None:
        """List the models on this computer."""
        from microscope_qc.app.dialogs.models import ModelsDialog

        ModelsDialog(self._window).exec()

    def show_about(self) -> None:
        """Name and version."""
        QMessageBox.about(
            self._window,
            "About microscope-qc",
            f"<h3>microscope-qc {__version__}</h3>"
            "<p>Review polished cross-sections of batteries and magnets: find defects on huge micrographs, judge them, "
            "measure them, drive to them.</p>"
            f"<p>Python {platform.python_version()}, {platform.platform()}</p>",
        )
