"""EDX compositions back to the findings they were measured on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microscope_qc.core.jobs import Job, Progress
from microscope_qc.correlation.edx import Matching, as_json, match_spectra
from microscope_qc.correlation.edx_tables import read_spectra
from microscope_qc.project import Project
from microscope_qc.workflows.scenes import kept
from microscope_qc.workflows.stage.stage import find_registration

SETTING = "edx"
"""Project setting: compositions by box id, as lists of :func:`microscope_qc.correlation.edx.as_json`."""


@dataclass(frozen=True, slots=True)
class EdxImport:
    """What was matched, and what was not; ``replaced`` counts earlier compositions of the same labels."""

    spectra: int
    matching: Matching
    replaced: int = 0


def import_edx(
    project: Project,
    path: Path | str,
    *,
    registration: str | None = None,
    slide_id: int | None = None,
    unit: str | None = None,
) -> Job[EdxImport]:
    """Read a table of compositions and keep what clearly belongs to one finding.

    Lines are matched by the finding's number, then by stage position within the expected error. A spectrum of the same
    label that was imported before is replaced.

    Parameters
    ----------
    registration
        Alignment for positions; None takes the newest one, if there is one.
    unit
        "at" or "wt" for amounts of which the table does not say it.

    Raises
    ------
    ExchangeError
        When the table cannot be read, or does not say whether it holds weight % or atom %.
    InputError
        When there is no alignment of that name.
    """
    path = Path(path)
    yield Progress(0, 3, "steps", f"reading {path.name}")
    spectra = read_spectra(path, unit=unit)
    yield Progress(1, 3, "steps", "matching with findings")
    fitted = aligned = None
    rows = kept(project.boxes.rows(slide_id, every=True))
    known = [r for r in project.registrations if slide_id is None or r.slide_id == slide_id]
    if registration is not None or known:
        aligned_id, _, fitted = find_registration(project, registration, slide_id=slide_id)
        aligned = kept(project.boxes.rows(aligned_id, every=True))
    found = match_spectra(spectra, rows, fitted, rows_aligned=aligned)
    yield Progress(2, 3, "steps", f"keeping {len(found.matched)} compositions")
    replaced = 0
    if found.matched:
        stored: dict[str, list[dict[str, Any]]] = dict(project.settings.get(SETTING, {}))
        labels = {match.label for match in found.matched}
        before = sum(map(len, stored.values()))
        stored = {key: [old for old in olds if old["label"] not in labels] for key, olds in stored.items()}
        replaced = before - sum(map(len, stored.values()))
        for match in found.matched:
            stored.setdefault(str(match.box_id), []).append(as_json(match, path.name))
        project.settings.set(SETTING, {key: entries for key, entries in stored.items() if entries})
    yield Progress(3, 3, "steps")
    return EdxImport(len(spectra), found, replaced)


def compositions(project: Project, box_id: int) -> list[dict[str, Any]]:
    """Compositions measured on a finding."""
    return list(project.settings.get(SETTING, {}).get(str(box_id), []))


def summary(result: EdxImport) -> dict[str, Any]:
    """Result as JSON values."""
    found = result.matching
    return {
        "spectra": result.spectra,
        "matched": [
            {
                "label": m.label,
                "defect_id": m.box_id,
                "by": m.by,
                "at_percent": _rounded(m.spectrum.at_percent),
                "wt_percent": _rounded(m.spectrum.wt_percent),
                "computed_from_wt": m.spectrum.computed,
            }
            for m in found.matched
        ],
        "ambiguous": {label: list(ids) for label, ids in found.ambiguous.items()},
        "unmatched": found.unmatched,
        "replaced": result.replaced,
        "notes": list(found.notes),
    }


def _rounded(percent: dict[str, float]) -> dict[str, float]:
    return {symbol: round(value, 4) for symbol, value in percent.items()}
