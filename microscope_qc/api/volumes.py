"""Volumes and their particles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microscope_qc.core.jobs import Progress, run_job

if TYPE_CHECKING:
    import pandas

    from microscope_qc.slides.volumes.flat import RawLayout


def particles(
    volume: Path | str,
    out: Path | str,
    *,
    voxel_um: tuple[float, float, float] | None = None,
    raw: RawLayout | None = None,
    count_border: bool = False,
    count_slices: bool = False,
    flawed_void: float = 0.02,
    fresh: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    **settings: Any,
) -> pandas.DataFrame:
    """Label and measure the particles of a volume, as the command ``particles`` does.

    Parameters
    ----------
    out
        Folder of the labels (``labels.ome.zarr``, uint32), the tables and the plots.
    voxel_um
        Edges (z, y, x) of a voxel, over what the file says.
    raw
        Shape and type of a raw file.
    count_border, count_slices
        Count particles that the border cuts, and artefacts that are flat as a slice.
    flawed_void
        Share of dark voxels inside a particle from which on it is flawed.
    fresh
        Begin again instead of continuing an unfinished run of the same settings.
    settings
        Of :class:`~microscope_qc.analysis.particles.settings.ParticleSettings`: ``filter``, ``threshold``,
        ``split_depth`` ...

    Returns
    -------
    pandas.DataFrame
        One row for each particle, lengths in um, or in voxels where the voxel is not known; ``kept`` says which count.
        ``attrs["summary"]`` has fractions, shares and size distributions with their intervals.

    Raises
    ------
    MicroscopeQCError
        When the volume cannot be read, a setting is impossible, or there is no particle.
    """
    import pandas as pd

    from microscope_qc.analysis.particles.settings import ParticleSettings
    from microscope_qc.slides.volumes.opening import open_volume
    from microscope_qc.workflows.volumes.particle_results import ParticleCounting, write_results
    from microscope_qc.workflows.volumes.particles import find_particles

    counting = ParticleCounting(count_border, count_slices, flawed_void)
    chosen = replace(ParticleSettings(), **settings)
    with open_volume(volume, raw=raw, voxel_um=voxel_um) as opened:
        found = run_job(find_particles(opened, Path(out), chosen, fresh=fresh), on_progress)
        summary = run_job(write_results(found, Path(out), counting), on_progress)
    return _table(found.table.columns, found.table.kept(border=count_border, slices=count_slices), summary, pd)


def correct_particles(
    folder: Path | str,
    *,
    merge: Sequence[int] = (),
    split: int | None = None,
    seeds: Sequence[tuple[int, int, int]] = (),
    undo: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> pandas.DataFrame:
    """Correct labelled particles and measure them again, as the command ``labels`` does.

    Parameters
    ----------
    folder
        Of the results of :func:`particles`.
    merge
        Numbers of particles that are one; it gets the first number.
    split, seeds
        Number of a particle that is several, and a voxel (z, y, x) of each part.
    undo
        Take back the last correction.

    Returns
    -------
    pandas.DataFrame
        As :func:`particles` returns it.

    Raises
    ------
    MicroscopeQCError
        When there are no labels, no such particle, or a seed is not in it.
    """
    import pandas as pd

    from microscope_qc.workflows.volumes.correcting import LabelCorrections
    from microscope_qc.workflows.volumes.particle_results import measured_again

    labels = LabelCorrections(Path(folder))
    if undo:
        run_job(labels.undo(), on_progress)
    if merge:
        run_job(labels.merge(merge), on_progress)
    if split is not None:
        run_job(labels.split(split, seeds), on_progress)
    found, summary = run_job(measured_again(Path(folder)), on_progress)
    counted = summary["particles"]
    kept = found.table.kept(border=counted["border_counted"], slices=counted["slices_counted"])
    return _table(found.table.columns, kept, summary, pd)


def _table(columns: Mapping[str, Any], kept: Any, summary: dict[str, Any], pd: Any) -> pandas.DataFrame:
    table: pandas.DataFrame = pd.DataFrame(dict(columns))
    table["kept"] = kept
    table.attrs["summary"] = summary
    return table


def structure(
    volume: Path | str,
    *,
    phase: int | None = None,
    axes: str = "zyx",
    voxel_um: tuple[float, float, float] | None = None,
    raw: RawLayout | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> tuple[pandas.DataFrame, pandas.DataFrame]:
    """Describe the phases of a segmented volume, as the command ``structure`` does.

    Parameters
    ----------
    phase, axes
        The value of the phase that conducts, and along which axes; None leaves tortuosity out.
    voxel_um, raw
        As for :func:`particles`.

    Returns
    -------
    pandas.DataFrame, pandas.DataFrame
        One row for each phase: share with its interval and specific surface (per um, or per voxel); one for each axis:
        tortuosity factor with the bounds of the solver.

    Raises
    ------
    MicroscopeQCError
        When the volume cannot be read, is not segmented, or has no such phase.
    """
    import pandas as pd

    from microscope_qc.slides.volumes.opening import open_volume
    from microscope_qc.workflows.volumes import structure as structures

    with open_volume(volume, raw=raw, voxel_um=voxel_um) as opened:
        document = run_job(structures.structure(opened, phase=phase, axes=axes), on_progress)
    return pd.DataFrame(document["phases"]), pd.DataFrame(document.get("tortuosity", []))
