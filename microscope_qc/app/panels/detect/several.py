"""A detection over several slides: which of them can be scanned, how long it takes, and what was done before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QPlainTextEdit, QWidget

from microscope_qc.app.panels.detect.pace import seconds_for, speed_key
from microscope_qc.core.wording import count_text, duration_text, listed, things
from microscope_qc.project.runs.plan import EVERYTHING
from microscope_qc.workflows.detection.pixel_fit import lacks_pixel_size

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session
    from microscope_qc.project.records import SlideRecord

NAMED = 3
"""Slides that are named; of more the number is said."""


def named(slides: Sequence[SlideRecord]) -> str:
    """Names of slides for a sentence: ``S1, S2, S3 and 12 more``."""
    names = [slide.name for slide in slides[:NAMED]]
    if len(slides) > NAMED:
        names.append(f"{count_text(len(slides) - NAMED)} more")
    return listed(names)


def beyond_screen(session: Session) -> bool:
    """Whether the scope is more than the slide on screen, or another one."""
    ids = session.scope.slide_ids
    return len(ids) > 1 or (len(ids) == 1 and session.slide is not None and ids[0] != session.slide.id)


class SeveralSlides:
    """The slides of the scope, as far as a detection over them is concerned.

    Parameters
    ----------
    card
        Returns the card of the chosen model.
    """

    def __init__(self, session: Session, card: Callable[[], Any | None]) -> None:
        self._session, self._card = session, card
        self._counted: tuple[object, int] = (None, 0)

    @property
    def there(self) -> bool:
        """Whether the scope is another one than the slide on screen."""
        return beyond_screen(self._session)

    @property
    def slides(self) -> list[SlideRecord]:
        """The slides of the scope, in the order of the project."""
        project, wanted = self._session.project, set(self._session.scope.slide_ids)
        return [] if project is None else [slide for slide in project.slides if slide.id in wanted]

    @property
    def without_pixel_size(self) -> list[SlideRecord]:
        """Those whose pixel size is not known, and that the model cannot do without it."""
        card = self._card()
        return [slide for slide in self.slides if lacks_pixel_size(card, slide.pixel_size_um)]

    @property
    def ready(self) -> list[SlideRecord]:
        """Those that can be scanned."""
        card = self._card()
        return [slide for slide in self.slides if not slide.missing and not lacks_pixel_size(card, slide.pixel_size_um)]

    def why_not(self) -> str:
        """Why none of them can be scanned, "" if some can."""
        if self.ready:
            return ""
        return "Enter the pixel size first." if self.without_pixel_size else "The slide files were moved away."

    def words(self, *, at_most: bool) -> str:
        """How many slides will be scanned and how long that takes, and which will not.

        Parameters
        ----------
        at_most
            Whether resin and empty area are left out, of which nothing is known yet.
        """
        card, ready, slides = self._card(), self.ready, self.slides
        if card is None or not slides:
            return ""
        tiles = self._tiles(card, ready)
        seconds = seconds_for(tiles, speed_key(card), slides=len(ready))
        most = "at most " if at_most else ""
        how_long = (
            f"{most}about <b>{duration_text(seconds)}</b> ({things(tiles, 'tile')})"
            if seconds is not None
            else f"{things(tiles, 'tile')}; how long it takes is known after the first tiles"
        )
        said = [f"{things(len(ready), 'slide')}: {how_long}."]
        if missing := [slide for slide in slides if slide.missing]:
            said.append(f"Left out, as the files were moved away: {named(missing)}.")
        if bare := self.without_pixel_size:
            said.append(f"Left out until their pixel size is entered: {things(len(bare), 'slide')}.")
        return " ".join(said)

    def _tiles(self, card: Any, slides: Sequence[SlideRecord]) -> int:
        """Tiles of all slides; counted again only where slides, sizes or model have changed."""
        from microscope_qc.workflows.detection.many import tiles_of

        key = (speed_key(card), tuple((slide.id, slide.shape_px, slide.pixel_size_um) for slide in slides))
        if self._counted[0] != key:
            alike: dict[object, list[SlideRecord]] = {}  # a thousand pictures have few sizes
            for slide in slides:
                alike.setdefault((slide.shape_px, slide.pixel_size_um), []).append(slide)
            self._counted = (key, sum(tiles_of(card, found[0]) * len(found) for found in alike.values()))
        return self._counted[1]

    def before(self, model: str, *, everything: bool) -> tuple[int, int]:
        """How many of the slides a detection with this model has finished on all of them, and how many it has begun.

        A mask of a slide is not compared here: the detection itself does that.
        """
        project = self._session.project
        if project is None:
            return 0, 0
        states: dict[int, str] = {}
        for run in project.runs:
            whole = run.plan.region is not None and (run.plan.region.y0, run.plan.region.x0) == (0, 0)
            if whole and run.plan.model == model and (run.settings.get("area") == EVERYTHING) is everything:
                states[run.slide_id] = run.state
        known = [states[slide.id] for slide in self.ready if slide.id in states]
        return known.count("finished"), len(known)


class FailureList(QPlainTextEdit):
    """What could not be scanned, each slide with the reason; hidden while there is nothing to list."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("failures")
        self.setReadOnly(True)
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.WidgetWidth)
        self.setMaximumHeight(120)
        self.setAccessibleName("Slides that could not be scanned")
        self.hide()

    def show_lines(self, lines: Sequence[str]) -> None:
        """Show other lines, or nothing."""
        self.setPlainText("\n".join(lines))
        self.setVisible(bool(lines))
