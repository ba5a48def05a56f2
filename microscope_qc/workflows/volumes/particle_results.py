"""What is written about found particles: tables, a summary with intervals, and plots."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.analysis.counts import LEVEL
from microscope_qc.analysis.particles.distribution import SMALLEST_RADIUS_UM, SizeDistribution, size_distribution
from microscope_qc.analysis.particles.particle_table import ParticleTable
from microscope_qc.analysis.shares import normal_quantile, wilson_interval
from microscope_qc.core.blocks import blocks_of
from microscope_qc.core.files import atomic_write
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.sheets import write_sheet
from microscope_qc.core.wording import count_text, percent_text, significant_text
from microscope_qc.reports.charts import COLOURS
from microscope_qc.reports.marked import write_plot
from microscope_qc.reports.plot_values import Plot, PlotMark, Series, Shape
from microscope_qc.workflows.volumes.particles import FLAWS, FoundParticles, known_labels, measured

LOOKED_AT = (64, 256, 256)
FLAWED_VOID = 0.02
"""A particle with a larger share of dark voxels inside is called flawed by the classical way."""


@dataclass(frozen=True, slots=True)
class ParticleCounting:
    """Which particles count, and which of them are flawed.

    Attributes
    ----------
    border, slices
        Count particles that the border cuts, and slice-like ones, too.
    flawed_void
        Share of dark voxels inside a particle from which on it is flawed.
    """

    border: bool = False
    slices: bool = False
    flawed_void: float = FLAWED_VOID


def summary(found: FoundParticles, counting: ParticleCounting | None = None) -> dict[str, Any]:
    """Describe the particles of a volume as a JSON document; shares have Wilson intervals of 95 %, and their n."""
    counting = counting or ParticleCounting()
    table, volume = found.table, found.volume
    kept = table.kept(border=counting.border, slices=counting.slices)
    flawed = kept & (table["void_share"] >= counting.flawed_void)
    number, count = int(flawed.sum()), int(kept.sum())
    voxel = volume.voxel_um or (1.0, 1.0, 1.0)
    voxels = math.prod(volume.shape)
    size = voxels * math.prod(voxel)
    labelled = int(table["voxels"].sum())
    return {
        "volume": {
            "name": volume.name, "shape": list(volume.shape), "voxel_um": volume.voxel_um,
            "voxel_source": volume.voxel_source, "notes": list(volume.notes),
        },
        "settings": found.plan.document()["settings"] | {
            "level": found.plan.level, "largest_radius": found.plan.largest_radius,
        },
        "labels": found.labels.name,
        "unit": table.unit,
        "particles": {
            "found": len(table), "kept": count, "at_border": int(table["at_border"].sum()),
            "slice_like": int(table["slice_like"].sum()), "border_counted": counting.border,
            "slices_counted": counting.slices,
        },
        "flawed": share_document(number, count) | {"void_from": counting.flawed_void},
        "fractions": {
            "particles": labelled / voxels, "solid": found.solid_voxels / voxels,
            "pore": 1 - labelled / voxels, "voxels": voxels,
        },
        f"specific_surface_per_{table.unit}": {
            "of_volume": found.interface / size,
            "of_particles": found.interface / (labelled * math.prod(voxel)),
        },
        "sizes": {
            name: None if one is None else one.document() for name, one in distributions(table, kept).items()
        },
    }  # fmt: skip


def share_document(number: int, of: int) -> dict[str, Any]:
    """A share with its Wilson interval of 95 %; 48 of 147 is 32.7 % (25.6 to 40.6 %)."""
    if not of:
        return {"number": number, "of": of, "share": None, "interval": None}
    return {
        "number": number, "of": of, "share": number / of,
        "interval": wilson_interval(number / of, of, normal_quantile(LEVEL)),
    }  # fmt: skip


def distributions(table: ParticleTable, kept: np.ndarray) -> dict[str, SizeDistribution | None]:
    """By number and by volume, of all particles, and where the unit is known of those of 0.75 um radius and more."""
    radii = table["radius"][kept]
    found = {weight: size_distribution(radii, weight=weight) for weight in ("number", "volume")}
    if table.unit == "um":
        large = radii[radii >= SMALLEST_RADIUS_UM]
        found |= {
            f"{weight}_from_{SMALLEST_RADIUS_UM:g}_um": size_distribution(large, weight=weight)
            for weight in ("number", "volume")
        }
    return found


def size_plot(found: FoundParticles, counting: ParticleCounting, *, large_only: bool = False) -> Plot:
    """Shares of particles by size, by number and by volume."""
    table = found.table
    kept = table.kept(border=counting.border, slices=counting.slices)
    radii = table["radius"][kept]
    title = "Particle sizes"
    if large_only:
        radii, title = radii[radii >= SMALLEST_RADIUS_UM], f"{title} from {SMALLEST_RADIUS_UM:g} µm radius"
    known = [(weight, size_distribution(radii, weight=weight)) for weight in ("number", "volume")]
    unit = "µm" if table.unit == "um" else "voxels"
    series = [
        Series(f"by {weight}", colour, list(_dots(one, unit)))
        for (weight, one), colour in zip(known, COLOURS, strict=False)
        if one is not None
    ]
    note = f"{count_text(len(radii))} particles. Equivalent radius."
    return Plot(
        "particle-sizes", title, Shape.LINES, x=f"radius ({unit})", y="share (%)", series=series, notes=[note],
        why_not="" if series else "There is no particle to draw.", of_findings=False, log_x=True,
    )  # fmt: skip


def _dots(one: SizeDistribution, unit: str) -> Iterator[PlotMark]:
    for low, high, share in zip(one.edges[:-1].tolist(), one.edges[1:].tolist(), one.shares.tolist(), strict=True):
        words = f"{significant_text(low)} to {significant_text(high)}"
        yield PlotMark(words, (low * high) ** 0.5, 100 * share, tip=f"{words} {unit}: {percent_text(share)}")


def write_results(found: FoundParticles, out: Path, counting: ParticleCounting | None = None) -> Job[dict[str, Any]]:
    """Write ``particles.csv``, ``.xlsx`` and ``.json`` and the plots into a folder; returns the summary."""
    counting = counting or ParticleCounting()
    table = found.table
    heads = [*table.columns, "kept"]
    kept = table.kept(border=counting.border, slices=counting.slices)
    columns = [column.tolist() for column in table.columns.values()] + [kept.tolist()]
    rows = [
        [("yes" if cell else "no") if isinstance(cell, bool) else cell for cell in row]
        for row in zip(*columns, strict=True)
    ]
    yield Progress(0, 4, "files", "writing tables")
    write_sheet(out / "particles.csv", heads, rows)
    yield Progress(1, 4, "files", "writing tables")
    write_sheet(out / "particles.xlsx", heads, rows, title="Particles")
    yield Progress(2, 4, "files", "drawing plots")
    write_plot(size_plot(found, counting), out / "sizes.svg")
    files = ["particles.csv", "particles.xlsx", "particles.json", "sizes.svg"]
    if table.unit == "um":
        write_plot(size_plot(found, counting, large_only=True), out / "sizes-large.svg")
        files.append("sizes-large.svg")
    document = summary(found, counting) | {"files": [found.labels.name, FLAWS, *files]}
    atomic_write(out / "particles.json", json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False))
    yield Progress(4, 4, "files", "writing tables")
    return document


def measured_again(folder: Path) -> Job[tuple[FoundParticles, dict[str, Any]]]:
    """Make tables and plots of labels that were corrected; what counts stays as it was.

    Raises
    ------
    InputError
        When there are no labelled particles in the folder.
    """
    labels, plan, facts, solid_voxels = known_labels(folder)
    highest = 0
    for block in blocks_of(labels.shape, LOOKED_AT):
        yield Progress(0, 0, "", "looking for the highest number")
        highest = max(highest, int(labels.read(block).max()))
    found = yield from measured(labels, highest, plan, facts, solid_voxels)
    return found, (yield from write_results(found, folder, _counted_before(folder)))


def _counted_before(folder: Path) -> ParticleCounting:
    try:
        known = json.loads((folder / "particles.json").read_text(encoding="utf-8"))
        said = known["particles"]
        return ParticleCounting(
            bool(said["border_counted"]), bool(said["slices_counted"]), float(known["flawed"]["void_from"])
        )
    except (OSError, ValueError, LookupError, TypeError):
        return ParticleCounting()
