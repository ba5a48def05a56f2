"""Whether a model's pixel size fits a slide's: said before a detection begins, and again where it found nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.wording import significant_text
from microscope_qc.ml.library import load_card

if TYPE_CHECKING:
    from microscope_qc.ml.cards import ModelCard
    from microscope_qc.project.records import RunRecord, SlideRecord

FACTOR = 2.0
"""Pixel sizes that differ by more than this are said."""
_NAMED = 3


def lacks_pixel_size(card: ModelCard | None, slide_um: tuple[float, float] | None) -> bool:
    """Whether a slide's pixel size (y, x) is not known, and a model needs it; no model may need it."""
    return slide_um is None and (card is None or card.pixel_size_um is not None)


def pixel_fit_words(card: ModelCard, pixel_size_um: tuple[float, float] | None) -> str:
    """What a user should know about the pixel sizes of a model and of a slide (y, x); "" where they fit."""
    if card.pixel_size_um is None:
        return (
            f"The model {card.name} does not say at which pixel size it works: it takes every pixel as it is, and "
            "overlooks what is larger or smaller there than in its training."
        )
    if pixel_size_um is None:
        return ""  # refused, until it is entered
    own = math.sqrt(pixel_size_um[0] * pixel_size_um[1])
    model, factor = card.pixel_size_um, own / card.pixel_size_um
    for fit in (model, card.trained_at_um or model):
        if 1 / FACTOR <= own / fit <= FACTOR:
            return ""
    sizes = (
        f"A pixel of the slide is {significant_text(own)} µm, the model {card.name} works at "
        f"{significant_text(model)} µm"
    )
    if factor > 1:
        return (
            f"{sizes}: the slide is enlarged {significant_text(factor, 2)} times and shows less detail than the model "
            "was trained on. Expect missed and wrong findings."
        )
    return (
        f"{sizes}: the slide is scanned {significant_text(1 / factor, 2)} times coarser than it is, and what is "
        f"smaller than about {significant_text(2 * model)} µm is overlooked."
    )


def pixel_fit_lines(card: ModelCard, slides: Iterable[SlideRecord]) -> list[str]:
    """One line for all slides that the same is to be said of, with their names."""
    return _grouped((slide.name, pixel_fit_words(card, slide.pixel_size_um)) for slide in slides)


def nothing_found_lines(said: Iterable[tuple[str, str]]) -> list[str]:
    """The same for names of slides on which nothing was found, each with what was said of it."""
    return [f"Nothing was found on {line}" for line in _grouped(said)]


def _grouped(said: Iterable[tuple[str, str]]) -> list[str]:
    groups: dict[str, list[str]] = {}
    for name, words in said:
        if words:
            groups.setdefault(words, []).append(name)
    return [f"{_names(names)}: {words}" for words, names in groups.items()]


def _names(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def pixel_fit_of_run(run: RunRecord, slide: SlideRecord) -> str:
    """The same of a run that has ended; "" where its model is gone."""
    try:
        return pixel_fit_words(load_card(run.plan.model), slide.pixel_size_um)
    except MicroscopeQCError:
        return ""
