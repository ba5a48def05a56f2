"""Find and measure the particles of a volume of any size, block by block; what was killed is continued."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.analysis.particles.basins import (
    FACES,
    Passes,
    basins,
    join,
    passes_across,
    passes_within,
    summits_of,
)
from microscope_qc.analysis.particles.masks import capped_distance, cleaned, filtered, solid
from microscope_qc.analysis.particles.particle_table import ParticleTable, particle_table
from microscope_qc.analysis.particles.settings import ParticleSettings
from microscope_qc.analysis.particles.tally import AROUND, ParticleTally
from microscope_qc.analysis.particles.thresholds import MOST_BINS, GreyHistogram, level_of
from microscope_qc.core.blocks import Block, Triple, VoxelSize, blocks_of
from microscope_qc.core.errors import InputError
from microscope_qc.core.files import atomic_path, atomic_write
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.slides.ome_zarr.metadata import read_attributes
from microscope_qc.slides.volumes.volume import Volume
from microscope_qc.slides.volumes.zarr_store import ZarrStore, create_store, open_store
from microscope_qc.workflows.volumes.parallel import in_parallel

WORKING, PLAN, LABELS, FLAWS = "working", "plan.json", "labels.ome.zarr", "flaws.ome.zarr"
CORRECTIONS = "corrections"
SAMPLED_SIDE, MOST_SAMPLED = 128, 32
LEAST_RADIUS, MOST_RADIUS = 8, 64
_ROOM = 1.25
"""Particles may be so many times as large as the largest one that was looked at."""
_MEASURED = (64, 256, 256)


@dataclass(frozen=True, slots=True)
class ParticlePlan:
    """What a run was begun with, and what it found out first: it is continued with the same."""

    settings: ParticleSettings
    fingerprint: str
    shape: Triple
    level: float | None
    largest_radius: int

    def document(self) -> dict[str, Any]:
        """Values that JSON can store."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]

    @classmethod
    def of_document(cls, stored: dict[str, Any]) -> ParticlePlan:
        """What :meth:`document` stored; a LookupError, TypeError or ValueError says that it is none."""
        z, y, x = stored["shape"]
        settings = ParticleSettings(**stored["settings"])
        return cls(settings, str(stored["fingerprint"]), (z, y, x), stored["level"], int(stored["largest_radius"]))


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    """What results say of the volume."""

    name: str
    shape: Triple
    voxel_um: VoxelSize | None
    voxel_source: str
    notes: tuple[str, ...]

    @classmethod
    def of(cls, volume: Volume) -> VolumeFacts:
        """Those of an open volume."""
        return cls(volume.path.name, volume.shape, volume.voxel_um, volume.voxel_source, volume.notes)


@dataclass(frozen=True, slots=True, eq=False)
class FoundParticles:
    """Labels on disk, and the table of them.

    Attributes
    ----------
    solid_voxels
        Voxels of particles without what is dark inside them, also of those too small to be one.
    interface
        Area between particles and pores inside the volume, in the unit of the table.
    """

    volume: VolumeFacts
    labels: Path
    table: ParticleTable
    plan: ParticlePlan
    solid_voxels: int
    interface: float


def find_particles(
    volume: Volume,
    out: Path,
    settings: ParticleSettings | None = None,
    *,
    fresh: bool = False,
    workers: int | None = None,
) -> Job[FoundParticles]:
    """Label and measure the particles of a volume.

    Parameters
    ----------
    out
        Folder of the labels, an OME-Zarr ``labels.ome.zarr`` of uint32; of where particles are as dark as pores,
        ``flaws.ome.zarr``; and of what is not finished.
    fresh
        Begin again instead of continuing an unfinished run of the same settings.
    workers
        Blocks at a time; None takes one for each processor core, at most four.

    Returns
    -------
    Job[FoundParticles]
        Yields progress in blocks.

    Raises
    ------
    InputError
        When a setting is impossible, or nothing in the volume is a particle.
    SlideError
        When a part of the volume cannot be read.
    WriteError
        When the disk is full or read-only.
    """
    settings = settings or ParticleSettings()
    settings.check()
    count = workers or min(4, os.cpu_count() or 1)
    working = out / WORKING
    plan = None if fresh else _begun(working, volume, settings)
    if plan is None:
        shutil.rmtree(working, ignore_errors=True)
        plan = yield from _planned(volume, settings)
        working.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(out / CORRECTIONS, ignore_errors=True)
        atomic_write(working / PLAN, json.dumps(plan.document()))
    facts = VolumeFacts.of(volume)
    work = _BlockWork(volume, plan, working, out / FLAWS)
    yield from in_parallel(work.remaining(), work.run, count, total=len(work.blocks), note="finding particles")
    yield Progress(0, 0, "blocks", "joining particles across blocks")
    numbers = work.joined()
    particles = max((int(part.max(initial=0)) for part in numbers), default=0)
    if not particles:
        raise InputError(
            f"No particle of {settings.smallest} voxels or more was found in {volume.path.name}.",
            hint="Choose another threshold, or say that particles are darker than pores.",
        )
    labels = create_store(
        out / LABELS, volume.shape, np.uint32, voxel_um=volume.voxel_um, name=volume.name, labels=True,
        more={"particles": plan.document(), "volume": asdict(facts), "solid_voxels": work.solid_voxels},
    )  # fmt: skip

    def number(index: int) -> int:
        block = work.blocks[index]
        labels.write(block, numbers[index].astype(np.uint32)[work.store.read(block)])
        return 0

    yield from in_parallel(range(len(work.blocks)), number, count, total=len(work.blocks), note="numbering particles")
    found = yield from measured(labels, particles, plan, facts, work.solid_voxels)
    shutil.rmtree(working, ignore_errors=True)
    return found


def measured(
    labels: ZarrStore, count: int, plan: ParticlePlan, facts: VolumeFacts, solid_voxels: int
) -> Job[FoundParticles]:
    """Measure labels beside which the flaws lie, numbered to ``count``."""
    flaws = open_store(labels.path.parent / FLAWS)
    tally = yield from measure(labels, count, voxel=facts.voxel_um or (1.0, 1.0, 1.0), flaws=flaws)
    table = particle_table(tally, unit="um" if facts.voxel_um else "voxel")
    return FoundParticles(facts, labels.path, table, plan, solid_voxels, tally.interface)


def known_labels(folder: Path) -> tuple[ZarrStore, ParticlePlan, VolumeFacts, int]:
    """The labels in a folder, and what was stored with them; raises an InputError where there are none."""
    none = InputError(f"{folder} has no labelled particles.", hint="Make them with the command particles.")
    labels = open_store(folder / LABELS)
    if labels is None:
        raise none
    try:
        own = (read_attributes(labels.path) or {})["microscope_qc"]
        facts, voxel = own["volume"], own["volume"]["voxel_um"]
        described = VolumeFacts(
            str(facts["name"]), labels.shape, None if voxel is None else (voxel[0], voxel[1], voxel[2]),
            str(facts["voxel_source"]), tuple(facts["notes"]),
        )  # fmt: skip
        return labels, ParticlePlan.of_document(own["particles"]), described, int(own["solid_voxels"])
    except (LookupError, TypeError, ValueError) as error:
        raise none from error


def measure(labels: ZarrStore, count: int, *, voxel: VoxelSize, flaws: ZarrStore | None = None) -> Job[ParticleTally]:
    """Add up what is measured of labelled particles, numbered to ``count``; yields progress in blocks."""
    tally = ParticleTally(count, labels.shape, voxel)
    blocks = blocks_of(labels.shape, _MEASURED)
    for done, block in enumerate(blocks):
        yield Progress(done, len(blocks), "blocks", "measuring particles")
        wide = block.grown(AROUND, labels.shape)
        missing = [
            (a - (low - AROUND), high + AROUND - b)
            for low, high, a, b in zip(block.start, block.stop, wide.start, wide.stop, strict=True)
        ]
        around = labels.read(wide)
        if flaws is not None:
            tally.add_dark(around[block.inside(wide)], flaws.read(block))
        tally.add(np.pad(around, missing, constant_values=tally.outside), block)
    return tally


# -- the plan ----------------------------------------------------------------------------------------------------------


def _begun(working: Path, volume: Volume, settings: ParticleSettings) -> ParticlePlan | None:
    """The plan of an unfinished run of the same volume and settings."""
    try:
        plan = ParticlePlan.of_document(json.loads((working / PLAN).read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, TypeError):
        return None
    same = plan.settings == settings and plan.shape == volume.shape and plan.fingerprint == volume.fingerprint()
    return plan if same else None


def _planned(volume: Volume, settings: ParticleSettings) -> Job[ParticlePlan]:
    """Look at blocks all over the volume for the threshold and the largest particle."""
    blocks = blocks_of(volume.shape, (SAMPLED_SIDE,) * 3)
    chosen = [blocks[i] for i in np.unique(np.linspace(0, len(blocks) - 1, MOST_SAMPLED).round().astype(int))]
    level = settings.level
    if level is None and settings.threshold != "sauvola":
        low, high = _limits(volume, chosen)
        bins = MOST_BINS if volume.dtype.kind == "f" else int(np.clip(high - low, 2, MOST_BINS))
        histogram = GreyHistogram.between(low, high, bins)
        for done, block in enumerate(chosen):
            yield Progress(done, len(chosen), "blocks", "looking for the threshold")
            histogram = histogram.with_values(filtered(volume.read(block), settings))
        level = level_of(histogram, settings.threshold, dark=settings.dark)
    radius = settings.largest_radius
    if radius is None:
        largest = 0.0
        for done, block in enumerate(chosen):
            yield Progress(done, len(chosen), "blocks", "looking for the largest particle")
            mask = cleaned(solid(filtered(volume.read(block), settings), level, settings), settings)
            if not mask.all():
                largest = max(largest, float(capped_distance(mask, MOST_RADIUS, _steps(volume)).max()))
        radius = int(np.clip(np.ceil(_ROOM * largest), LEAST_RADIUS, MOST_RADIUS))
    return ParticlePlan(settings, volume.fingerprint(), volume.shape, level, radius)


def _limits(volume: Volume, blocks: list[Block]) -> tuple[float, float]:
    if volume.dtype.kind in "ub" and volume.dtype.itemsize == 1:
        return 0.0, 256.0
    values = [volume.read(block) for block in blocks]
    low = min(float(part.min()) for part in values)
    high = max(float(part.max()) for part in values)
    if not np.isfinite([low, high]).all():
        raise InputError(f"{volume.path.name} has voxels that are no numbers.", hint="Export it again without them.")
    return low, high if high > low else low + 1


def _steps(volume: Volume) -> tuple[float, float, float]:
    """Edges of a voxel in units of that along x, in which distances are counted."""
    if volume.voxel_um is None:
        return 1.0, 1.0, 1.0
    z, y, x = volume.voxel_um
    return z / x, y / x, 1.0


# -- blocks ------------------------------------------------------------------------------------------------------------


class _BlockWork:
    """The blocks of a volume: what of each is done lies in the folder ``working``."""

    def __init__(self, volume: Volume, plan: ParticlePlan, working: Path, flaws: Path) -> None:
        self._volume, self._plan, self._working = volume, plan, working
        self.blocks = blocks_of(volume.shape, (plan.settings.block,) * 3)
        path = working / "basins.ome.zarr"
        store, dark = open_store(path), open_store(flaws)
        if store is None or dark is None or dark.shape != volume.shape:
            for file in working.glob("*.npz"):
                file.unlink()
            store = create_store(path, volume.shape, np.uint32, voxel_um=None, name="basins", labels=True)
            dark = create_store(
                flaws, volume.shape, np.uint8, voxel_um=volume.voxel_um, name=f"{volume.name} flaws", labels=True
            )
        self.store, self._flaws = store, dark
        self.solid_voxels = 0

    def _file(self, index: int) -> Path:
        return self._working / f"{index}.npz"

    def remaining(self) -> list[int]:
        """Blocks that are not done; a damaged file of one is not done."""
        return [index for index in range(len(self.blocks)) if self._stored(index) is None]

    def _stored(self, index: int) -> dict[str, np.ndarray] | None:
        try:
            with np.load(self._file(index), allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except Exception:  # whatever a cut-off file raises: it is made again
            return None

    def run(self, index: int) -> int:
        """Find the basins of a block; the file with their passes is written last."""
        block, settings = self.blocks[index], self._plan.settings
        steps = _steps(self._volume)
        around = self._plan.largest_radius + settings.margin
        wide = block.grown(int(np.ceil(around / min(1.0, *steps))), self._volume.shape)
        before = solid(filtered(self._volume.read(wide), settings), self._plan.level, settings)
        mask = cleaned(before, settings)
        inner = block.inside(wide)
        distance = np.ascontiguousarray(capped_distance(mask, self._plan.largest_radius, steps)[inner])
        mask, before = mask[inner], before[inner]
        labels = basins(distance, mask)
        summits = summits_of(labels, distance)
        passes = passes_within(labels, distance)
        kept, to = self._settled(labels, summits, passes, block)
        labels = to[labels]
        joined = np.zeros(len(kept) + 1, np.float32)
        np.maximum.at(joined, to, summits)
        size = len(joined)
        facts = {
            "summits": joined,
            "voxels": np.bincount(labels.ravel(), minlength=size),
            "void": np.bincount(labels[mask & ~before], minlength=size),
        }
        first, second = to[passes.first], to[passes.second]
        apart = first != second
        left = Passes.together([Passes(np.minimum(first, second)[apart], np.maximum(first, second)[apart],
                                       passes.height[apart])])  # fmt: skip
        facts |= {"first": left.first, "second": left.second, "height": left.height}
        for face in self._inner_faces(block):
            axis, end = FACES[face]
            facts[f"labels{face}"] = labels.take(end, axis=axis).astype(np.int32)
            facts[f"distance{face}"] = distance.take(end, axis=axis)
        self._flaws.write(block, (mask & ~before).astype(np.uint8))
        self.store.write(block, labels.astype(np.uint32))
        with atomic_path(self._file(index)) as temporary:
            np.savez(temporary.with_suffix(".npz"), **facts)  # type: ignore[arg-type]
        return index

    def _inner_faces(self, block: Block) -> Iterator[int]:
        """Faces behind which another block lies."""
        for face, (axis, end) in enumerate(FACES):
            if (block.start[axis] > 0) if end == 0 else (block.stop[axis] < self._volume.shape[axis]):
                yield face

    def _settled(
        self, labels: np.ndarray, summits: np.ndarray, passes: Passes, block: Block
    ) -> tuple[np.ndarray, np.ndarray]:
        """Join what other blocks cannot change, so that less is left for all blocks together."""
        reaching = [np.unique(labels.take(FACES[f][1], axis=FACES[f][0])) for f in self._inner_faces(block)]
        settings = self._plan.settings
        to = join(
            summits, passes, depth=settings.split_depth, share=settings.split_share,
            open_basins=np.unique(np.concatenate(reaching)) if reaching else None,
        )  # fmt: skip
        kept = np.unique(to[1:])
        small = np.zeros(len(to), np.int64)
        small[kept] = np.arange(1, len(kept) + 1)
        return kept, small[to]

    def joined(self) -> list[np.ndarray]:
        """Numbers of the particles by the basins of each block."""
        stored = [self._stored(index) or {} for index in range(len(self.blocks))]
        counts = [len(one["summits"]) - 1 for one in stored]
        before = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        parts = [
            Passes(one["first"] + start, one["second"] + start, one["height"])
            for one, start in zip(stored, before, strict=False)
        ]
        place = {block.start: index for index, block in enumerate(self.blocks)}
        for index, block in enumerate(self.blocks):
            for axis in range(3):
                beyond = list(block.start)
                beyond[axis] = block.stop[axis]
                other = place.get((beyond[0], beyond[1], beyond[2]))
                if other is not None:
                    parts.append(_across(stored, before, (index, 2 * axis + 1), (other, 2 * axis)))
        summits = np.concatenate([[0], *(one["summits"][1:] for one in stored)])
        settings = self._plan.settings
        to = join(summits, Passes.together(parts), depth=settings.split_depth, share=settings.split_share)
        voxels = np.concatenate([[0], *(one["voxels"][1:] for one in stored)])
        self.solid_voxels = int(voxels.sum() - sum(int(one["void"][1:].sum()) for one in stored))
        total = np.bincount(to, voxels, len(to))
        large = np.flatnonzero(total >= settings.smallest)
        large = large[large > 0]
        number = np.zeros(len(to), np.int64)
        number[large] = np.arange(1, len(large) + 1)
        numbers = number[to]
        return [
            np.concatenate([[0], numbers[start + 1 : start + 1 + count]])
            for start, count in zip(before, counts, strict=False)
        ]


def _across(
    stored: list[dict[str, np.ndarray]], before: np.ndarray, here: tuple[int, int], there: tuple[int, int]
) -> Passes:
    """Passes through the face between two blocks, each named by its index and the face."""
    sides = []
    for index, face in (here, there):
        labels = stored[index][f"labels{face}"].astype(np.int64)
        sides.append((np.where(labels > 0, labels + before[index], 0), stored[index][f"distance{face}"]))
    return passes_across(sides[0][0], sides[1][0], sides[0][1], sides[1][1])
