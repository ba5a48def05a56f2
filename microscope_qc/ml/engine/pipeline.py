"""A model, a slide and the stages between them: read, compute, make results, each a few batches ahead."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from microscope_qc.core.errors import ProjectError
from microscope_qc.core.geometry import Region
from microscope_qc.ml.architectures.loading import load_task
from microscope_qc.ml.engine.fallback import Computed, MemoryFallback
from microscope_qc.ml.engine.feed import Feed
from microscope_qc.ml.engine.pixels import TileReader
from microscope_qc.ml.engine.sink import Sink
from microscope_qc.ml.engine.streams import Done, Streams
from microscope_qc.ml.tasks.base import Task
from microscope_qc.ml.tiling import in_valid_area, model_tile_shape, slide_scale, to_slide
from microscope_qc.project.runs.plan import RunPlan
from microscope_qc.project.runs.speed import Meter

READERS = 2


@dataclass(frozen=True, slots=True)
class TileRecord:
    """Result of a tile: candidates in slide pixels, scores and labels of its cells, or why it could not be read."""

    index: int
    candidates: np.ndarray | None = None
    error: str = ""
    heat: np.ndarray | None = None
    labels: np.ndarray | None = None
    frame: Region | None = None


class Pipeline:
    """An open slide and a loaded model that process tiles; must be closed.

    Parameters
    ----------
    plan
        What the run is asked to do.
    tell
        Called with sentences for the user: what had to be changed because memory ran out.
    load
        Loads the model.
    """

    def __init__(
        self,
        plan: RunPlan,
        *,
        tell: Callable[[str], None] = lambda sentence: None,
        load: Callable[[RunPlan], Task] = load_task,
    ) -> None:
        from microscope_qc.slides import open_slide
        from microscope_qc.slides.plane_choice import default_plane, plane_words

        if plan.slide is None:
            raise ProjectError(f"Run {plan.run_id} does not say which slide it is for.")
        self.plan = plan
        self.task = load(plan)
        self.grid = plan.grid()
        self.fallback = MemoryFallback(self.task, tell)
        self._slide = open_slide(plan.slide.path, orientation=plan.slide.orientation)
        try:
            whole = self._slide.scene(plan.slide.scene)
            plane = plan.chosen_plane() or default_plane(whole)
            self.looked_at = plane_words(whole, plane)
            self.mosaic = whole.on(plane)
            self.pixel_size_um = plan.slide.pixel_size_um or self.mosaic.pixel_size_um
            self.scale = slide_scale(self.task.card.pixel_size_um, self.pixel_size_um)
            first = self.grid[0]
            self.shape = model_tile_shape(first, self.scale)
            self.reader = TileReader(self.mosaic, scale=self.scale, tile_shape=first.shape, shape=self.shape)
        except BaseException:
            self._slide.close()
            raise

    @property
    def tile_mm2(self) -> float | None:
        """Area of one tile in mm2, without the overlap with its neighbours."""
        if self.pixel_size_um is None:
            return None
        region, (pixel_y, pixel_x) = self.grid.region, self.pixel_size_um
        return region.shape[0] * pixel_y * region.shape[1] * pixel_x / 1e6 / max(1, len(self.grid))

    def work(
        self, groups: Sequence[Sequence[int]], take: Callable[[list[TileRecord]], None], *, meter: Meter | None = None
    ) -> Iterator[None]:
        """Process batches; ``take`` gets the records of each in a thread, in order; yields after every batch."""
        meter = meter or Meter()
        streams = Streams(lambda slots: self.fallback.compute(slots, self.shape), device=self.task.device)
        feed = Feed(
            self.task, self.reader, groups=groups, place=self.grid.__getitem__, readers=READERS, held=streams.ahead
        )
        sink: Sink[tuple[list[int], dict[int, str], Computed]] = Sink(lambda item: take(self._records(*item)))
        busy = self.task.busy_s

        def done(item: Done[Computed]) -> None:
            nonlocal busy
            feed.free(item.batch)
            seconds = item.seconds / streams.count
            if self.task.device.type == "cuda":  # launching is not computing: the GPU measures its own time
                now_busy = self.task.busy_s
                seconds, busy = now_busy - busy, now_busy
            blocked = sink.put((item.batch.tiles, item.batch.errors, item.result))
            meter.add(tiles=len(item.batch.tiles), computed_s=seconds, waited_s=blocked if streams.idle else 0.0)

        meter.start()
        waited = 0.0
        try:
            for batch in feed:
                meter.add(waited_s=feed.waited_s - waited if streams.idle else 0.0)
                waited = feed.waited_s
                streams.put(batch)
                for item in streams.finished():
                    done(item)
                    yield
            for item in streams.finished(all_of_them=True):
                done(item)
                yield
        finally:
            with contextlib.ExitStack() as ends:
                for stage in (sink, feed, streams):  # the last is closed first
                    ends.callback(stage.close)

    def _records(self, tiles: list[int], errors: dict[int, str], computed: Computed) -> list[TileRecord]:
        records = []
        for index, found in zip(tiles, self.fallback.results(computed, self.shape), strict=True):
            if index in errors:
                records.append(TileRecord(index, error=errors[index]))
                continue
            frame = self.reader.frame(self.grid[index])
            rows = to_slide(found.candidates, frame, shape=self.shape, index=index)
            if self.task.seams:
                rows = rows[in_valid_area(rows, self.grid[index], grid=self.grid)]
            records.append(TileRecord(index, candidates=rows, heat=found.heat, labels=found.labels, frame=frame))
        return records

    def close(self) -> None:
        """Close the slide."""
        self._slide.close()

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
