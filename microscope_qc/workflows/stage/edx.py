"""EDX compositions back to the findings they were measured on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microscope_qc.core.jobs import Job, Progress
from microscope_qc.correlation.edx import SpectrumMatch, as_json, match_spectra, read_spectra
from microscope_qc.project import Project
from microscope_qc.workflows.scenes import kept
from microscope_qc.workflows.stage.stage import find_registration

SETTING = "edx"
"""Project setting: compositions by box id, as lists of :func:`microscope_qc.correlation.edx.as_json`."""


@dataclass(frozen=True, slots=True)
class EdxImport:
    """What was matched, and what was not."""

    spectra: int
    matched: tuple[SpectrumMatch, ...]
    ambiguous: dict[str, tuple[int, ...]]
    unmatched: dict[str, str]


def import_edx(
    project: Project, path: Path | str, *, registration: str | None = None, slide_id: int | None = None
) -> Job[EdxImport]:
    """Read a table of compositions and keep what clearly belongs to one finding.

    Lines are matched by the finding's number, then by stage position within the expected error. A spectrum of the same
    label that was imported before is replaced.

    Parameters
    ----------
    registration
        Alignment for positions; None takes the newest one, if there is one.

    Raises
    ------
    ExchangeError
        When the table cannot be read.
    InputError
        When there is no alignment of that name.
    """
    path = Path(path)
    yield Progress(0, 3, "steps", f"reading {path.name}")
    spectra = read_spectra(path)
    yield Progress(1, 3, "steps", "matching with findings")
    fitted = aligned = None
    rows = kept(project.boxes.rows(slide_id, every=True))
    known = [r for r in project.registrations if slide_id is None or r.slide_id == slide_id]
    if registration is not None or known:
        aligned_id, _, fitted = find_registration(project, registration, slide_id=slide_id)
        aligned = kept(project.boxes.rows(aligned_id, every=True))
    found = match_spectra(spectra, rows, fitted, rows_aligned=aligned)
    yield Progress(2, 3, "steps", f"keeping {len(found.matched)} compositions")
    if found.matched:
        stored: dict[str, list[dict[str, Any]]] = dict(project.settings.get(SETTING, {}))
        labels = {match.label for match in found.matched}
        stored = {key: [old for old in olds if old["label"] not in labels] for key, olds in stored.items()}
        for match in found.matched:
            stored.setdefault(str(match.box_id), []).append(as_json(match, path.name))
        project.settings.set(SETTING, {key: entries for key, entries in stored.items() if entries})
    yield Progress(3, 3, "steps")
    return EdxImport(len(spectra), found.matched, found.ambiguous, found.unmatched)


def compositions(project: Project, box_id: int) -> list[dict[str, Any]]:
    """Compositions measured on a finding."""
    return list(project.settings.get(SETTING, {}).get(str(box_id), []))


def summary(result: EdxImport) -> dict[str, Any]:
    """Result as JSON values."""
    return {
        "spectra": result.spectra,
        "matched": [
            {"label": m.label, "defect_id": m.box_id, "by": m.by, "at_percent": m.spectrum.at_percent}
            for m in result.matched
        ],
        "ambiguous": {label: list(ids) for label, ids in result.ambiguous.items()},
        "unmatched": result.unmatched,
    }
