"""EDX measurements as tables of pandas: in, to their findings, and what they make of the class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.core.jobs import run_job
from microscope_qc.correlation.sites import USUAL_PATTERN
from microscope_qc.workflows.open import opened_in_turn

if TYPE_CHECKING:
    import pandas


def compositions(*projects: Path | str) -> pandas.DataFrame:
    """Return what EDX measured, one row for each measurement, also those that belong to no finding.

    Parameters
    ----------
    projects
        Folders ``NAME.mqc``.

    Returns
    -------
    pandas.DataFrame
        ``project`` and the columns of ``export --format measurements``: a column for each element and unit, ``Ni at%``,
        and for its error (one standard deviation) where it is known, ``Ni at% sigma``.

    Raises
    ------
    MicroscopeQCError
        When a project cannot be opened.
    """
    import pandas as pd

    from microscope_qc.workflows.stage.edx_out import measurement_table

    frames = []
    for project in opened_in_turn(projects):
        head, lines = measurement_table(project)
        frames.append(pd.DataFrame(lines, columns=head).assign(project=project.name))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def import_edx(
    project: Path | str,
    table: Path | str | Sequence[Path | str],
    *,
    registration: str | None = None,
    slide: str | None = None,
    unit: str | None = None,
    sites: str = USUAL_PATTERN,
    columns: Mapping[str, str] | None = None,
    heading_line: int = 1,
    any_sum: bool = False,
) -> pandas.DataFrame:
    """Take a table of compositions, or spectra, into a project as one step of its history, as ``edx import`` does.

    Parameters
    ----------
    registration
        Alignment for stage positions; None takes the newest one, if there is one.
    slide
        Only findings and alignments of this slide.
    unit
        "at" or "wt" for a table that does not say which it holds.
    sites
        How labels name a site and its points; "" where they do not.
    columns, heading_line
        What columns hold, by their headings in that line, such as ``{"Nickel": "Ni at%"}``, for tables that are read in
        no other way.
    any_sum
        Take doubtful compositions, too: that do not add up to about 100 % or to the total of the table, of which
        something is no element, or whose atom % and weight % do not agree.

    Returns
    -------
    pandas.DataFrame
        One row for each spectrum: label, site, kind, the finding (missing where there is none), what it was found by,
        the findings that may be meant, and why it belongs to none.

    Raises
    ------
    MicroscopeQCError
        When the project or the table cannot be read, or the table does not say what is needed.
    """
    import pandas as pd

    from microscope_qc.correlation.edx_columns import EdxColumns
    from microscope_qc.project import Project
    from microscope_qc.workflows.stage import edx

    with Project.open(Path(project)) as opened:
        slide_id = None if slide is None else opened.slides.named(slide).id
        job = edx.import_edx(
            opened,
            table,
            registration=registration,
            slide_id=slide_id,
            unit=unit,
            sites=sites,
            columns=None if columns is None else EdxColumns(heading_line, tuple(columns.items())),
            any_sum=any_sum,
        )
        found = run_job(job).matching.placements
    head = ["label", "site", "kind", "finding", "matched_by", "candidates", "reason"]
    lines = [(p.label, p.site, p.kind, p.box_id, p.by, list(p.candidates), p.reason) for p in found]
    return pd.DataFrame(lines, columns=head).astype({"finding": "Int64"})


def edx_spectrum(project: Path | str, measurement: int) -> pandas.DataFrame:
    """Return the counts behind a measurement.

    Parameters
    ----------
    measurement
        Its number, which :func:`compositions` tells.

    Returns
    -------
    pandas.DataFrame
        ``energy_ev`` and ``counts`` of each channel; ``attrs`` hold ``title``, ``kv``, ``live_s`` and ``real_s``.

    Raises
    ------
    MicroscopeQCError
        When the project cannot be opened, or there is no such measurement or spectrum.
    """
    import pandas as pd

    from microscope_qc.core.errors import InputError
    from microscope_qc.project import Project

    with Project.open(Path(project), write=False) as opened:
        found = opened.measurements.spectrum(opened.measurements.by_id(measurement).id)
    if found is None:
        raise InputError(f"Measurement {measurement} has no spectrum.", hint="Import it first (.msa or .h5oina).")
    frame = pd.DataFrame({"energy_ev": found.energies_ev, "counts": found.counts})
    frame.attrs = {"title": found.title, "kv": found.kv, "live_s": found.live_s, "real_s": found.real_s}
    return frame


def link_edx(project: Path | str, findings: Mapping[int, int | None]) -> None:
    """Say which findings measurements belong to, as one step of the history; None is no finding.

    Parameters
    ----------
    findings
        Numbers of findings by those of measurements, which :func:`compositions` tells.

    Raises
    ------
    MicroscopeQCError
        When the project cannot be opened, or there is no such measurement or finding.
    """
    from microscope_qc.project import Project

    with Project.open(Path(project)) as opened:
        opened.measurements.link(findings)


def classify_edx(
    project: Path | str, *, rules: Path | str | None = None, take: bool = False, add_classes: bool = False
) -> pandas.DataFrame:
    """Return what rules say of the findings that were measured, as ``edx classify`` does.

    Parameters
    ----------
    rules
        A file NAME.edx-rules.json; None takes the rules of the project.
    take
        Give the findings the proposed classes, as one step of the history.
    add_classes
        Add classes that the project lacks; each is a step of the history.

    Returns
    -------
    pandas.DataFrame
        One row for each finding for which a rule holds: its class before, the proposed one ("" where the rules only
        name the material), the material, why, and what else holds.

    Raises
    ------
    MicroscopeQCError
        When the project or the rules cannot be read, or the project lacks a class that should be taken.
    """
    import pandas as pd

    from microscope_qc.correlation.edx_rules import load_rules
    from microscope_qc.project import Project
    from microscope_qc.workflows.stage import edx_classes

    with Project.open(Path(project), write=take) as opened:
        asked = edx_classes.rules_of(opened) if rules is None else load_rules(rules)
        found = edx_classes.proposals(opened, asked)
        codes = edx_classes.codes_of(opened, [one.finding_id for one in found])
        if take and add_classes:
            edx_classes.add_missing_classes(opened, found)
        if take:
            edx_classes.take(opened, found)
    head = ["finding", "class", "proposed", "material", "why", "also"]
    return pd.DataFrame([edx_classes.proposal_json(one, codes) for one in found], columns=head)
