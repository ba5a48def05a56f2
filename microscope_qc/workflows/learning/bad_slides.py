"""Which slides of a project are out of focus or mostly black or white: said before anything is learned."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from contextlib import suppress

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.datasets.quality import Look, judge, look_at
from microscope_qc.ml.datasets.records import LeftOutOfData
from microscope_qc.project.records import SlideRecord
from microscope_qc.workflows.scenes import open_scene


def bad_slides(
    slides: Sequence[SlideRecord], *, keep_bad: bool = False, seen: MutableMapping[str, Look] | None = None
) -> Job[list[str]]:
    """Look at a few places of each slide; return what a training on them would say, nothing where all are well.

    Parameters
    ----------
    keep_bad
        See :func:`microscope_qc.ml.datasets.cleaning.cleaned`.
    seen
        What slides show that were looked at before, by fingerprint; it is added to.
    """
    seen = {} if seen is None else seen
    for number, slide in enumerate(slides):
        yield Progress(number, len(slides), "slides", slide.name)
        if slide.fingerprint not in seen:
            with suppress(MicroscopeQCError), open_scene(slide) as mosaic:  # the training names what cannot be read
                seen[slide.fingerprint] = look_at(mosaic, slide.pixel_size_um)
    known = [slide for slide in slides if slide.fingerprint in seen]
    verdicts = judge([seen[slide.fingerprint] for slide in known])
    bad = {slide.name: verdict.bad for slide, verdict in zip(known, verdicts, strict=True) if verdict.bad}
    odd = {slide.name: verdict.odd for slide, verdict in zip(known, verdicts, strict=True) if verdict.odd}
    found = LeftOutOfData(kept=odd | bad) if keep_bad else LeftOutOfData(pictures=bad, kept=odd)
    return found.sentences(len(slides) - len(found.pictures))
