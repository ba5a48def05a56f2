"""EDX compositions and spectra back to the findings they were measured on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import things
from microscope_qc.core.xray_spectrum import XraySpectrum
from microscope_qc.correlation.edx import Matching, Placement, match_spectra, nearest
from microscope_qc.correlation.edx_columns import EdxColumns, rewritten_sheets
from microscope_qc.correlation.edx_files import read_measured
from microscope_qc.correlation.positions import wrong_unit
from microscope_qc.correlation.registration import Registration
from microscope_qc.correlation.sites import USUAL_PATTERN, site_pattern
from microscope_qc.project import EdxMeasurement, Project
from microscope_qc.project.parts.measurements import Measurements
from microscope_qc.workflows.scenes import kept
from microscope_qc.workflows.stage.stage import find_registration


@dataclass(frozen=True, slots=True)
class EdxPlan:
    """What files hold and where it belongs; ``on_slide`` is the slide of the alignment, None without one.

    ``source`` is what they are called.
    """

    source: str
    matching: Matching
    registration: Registration | None = None
    on_slide: int | None = None

    @property
    def placements(self) -> Sequence[Placement]:
        """What holds amounts, or counts."""
        return [known for known in self.matching.placements if known.spectrum.is_measured]

    def place_of(self, placement: Placement) -> tuple[int, float, float] | None:
        """Slide, y and x where a spectrum was measured, in px; None where that is not known."""
        if placement.spectrum.stage_mm is None or self.registration is None or self.on_slide is None:
            return None
        y, x = self.registration.from_stage(np.array([placement.spectrum.stage_mm]))[0]
        return self.on_slide, float(y), float(x)

    @property
    def doubts(self) -> Sequence[str]:
        """Sentences for which compositions are not taken unasked: what they add up to, what is missing, swapped."""
        return [f"{known.label}: {words}" for known in self.placements for words in known.spectrum.doubts]


@dataclass(frozen=True, slots=True)
class EdxImport:
    """What was matched, and what was not; ``replaced`` counts earlier measurements whose place others took.

    ``attached`` counts spectra that belong to measurements that were there before.
    """

    spectra: int
    matching: Matching
    replaced: int = 0
    attached: int = 0


def plan_edx(
    project: Project,
    path: Path | str | Sequence[Path | str],
    *,
    registration: str | None = None,
    slide_id: int | None = None,
    aligned_on: int | None = None,
    unit: str | None = None,
    sites: str = USUAL_PATTERN,
    columns: EdxColumns | None = None,
) -> Job[EdxPlan]:
    """Read a table of compositions, or files with spectra, and find out what belongs to which finding.

    Lines and spectra are matched by the finding's note or number, then by stage position within the expected error.
    Nothing is changed.

    Parameters
    ----------
    path
        A CSV or XLSX table, a spectrum (``.msa``, ``.h5oina``), or several files with spectra.
    registration
        Alignment for positions; None takes the newest one, if there is one.
    slide_id
        Only findings and alignments of this slide.
    aligned_on
        Only alignments of this slide; numbers may be those of any finding.
    unit
        "at" or "wt" for amounts of which the table does not say it.
    sites
        How labels name a site and its points, see :mod:`microscope_qc.correlation.sites`; "" where they do not.
    columns
        What the columns of the table hold; None finds it out.

    Raises
    ------
    ExchangeError
        When the table cannot be read.
    UnitNotSaidError
        When it does not say whether it holds weight % or atom %.
    InputError
        When there is no alignment of that name, or ``sites`` is no such pattern.
    """
    paths = [Path(path)] if isinstance(path, Path | str) else [Path(one) for one in path]
    if not paths:
        raise InputError("There is no file to import.", hint="Choose a table or spectra.")
    pattern = site_pattern(sites)
    source = paths[0].name if len(paths) == 1 else f"{len(paths)} files"
    yield Progress(0, 2, "steps", f"reading {source}")
    rewrite = None if columns is None else partial(rewritten_sheets, columns=columns)
    spectra = read_measured(paths, unit=unit, rewrite=rewrite)
    yield Progress(1, 2, "steps", "matching with findings")
    positions = np.array([one.stage_mm for one in spectra if one.stage_mm is not None], float).reshape(-1, 2)
    fitted = aligned = aligned_id = None
    rows = kept(project.boxes.rows(slide_id, every=True))
    aligned_on = slide_id if aligned_on is None else aligned_on
    known = [r for r in project.registrations if aligned_on is None or r.slide_id == aligned_on]
    if registration is not None or known:
        aligned_id, _, fitted = find_registration(project, registration, slide_id=aligned_on)
        aligned = kept(project.boxes.rows(aligned_id, every=True))
    if unit_meant := wrong_unit(positions, np.zeros((0, 2)) if fitted is None else fitted.stage_mm):
        raise InputError(
            f"The stage positions in {source} seem to be in {unit_meant}, not in the unit of their columns: no mark is "
            "near them.",
            hint="Correct the headings of the columns, or say what they hold (“Columns…” in the window, --column on "
            "the command line), such as x_um.",
        )
    found = match_spectra(spectra, rows, fitted, rows_aligned=aligned, sites=pattern)
    yield Progress(2, 2, "steps")
    return EdxPlan(source, found, fitted, aligned_id)


def keep_edx(
    project: Project, plan: EdxPlan, *, places: Mapping[int, int | None] | None = None, any_sum: bool = False
) -> EdxImport:
    """Store what files hold, as one command; what belongs to no finding is stored without one.

    A measurement that was imported before keeps the finding that a user gave it. Earlier measurements are replaced
    where the same line has other amounts now, where a file of the same name has the same measurement (see
    :class:`_Earlier`), or says something new of the same label and finding. A spectrum without a composition goes to
    the one composition of the same label that has none, whichever of the two comes first.

    Parameters
    ----------
    places
        What a user decided: findings by place in :attr:`EdxPlan.placements`; None is no finding.
    any_sum
        Store compositions that are doubtful (:attr:`EdxPlan.doubts`), too.

    Raises
    ------
    InputError
        When a composition does not add up to about 100 %, lacks amounts or has swapped units, or there is no such
        finding.
    """
    if not any_sum:
        _require_no_doubts(plan)
    links = project.measurements.links
    imported, named = _Earlier(project.measurements, plan), _by_finding(project.measurements)
    new: list[EdxMeasurement] = []
    found: dict[int, tuple[int, str]] = {}
    replaced: set[int] = set()
    spectra: dict[int, XraySpectrum] = {}
    halves = _Halves(project.measurements)
    for place, placement in enumerate(plan.placements):
        measured, energy = _measurement(plan, placement), placement.spectrum.energy
        decided = places is not None and place in places
        if energy is not None and not measured.amounts and not decided and halves.attach(measured.label, energy):
            continue
        finding_id, by = placement.box_id, placement.by
        earlier = imported.take(measured)
        link = None if earlier is None else links.get(earlier.id)
        if link is not None and link.matched_by == "user":
            finding_id, by = link.finding_id, "user"
        if places is not None and decided and places[place] != finding_id:
            finding_id, by = places[place], "user"
        if earlier is not None:
            if _same(earlier, measured) and (None if link is None else link.finding_id) == finding_id:
                continue
            replaced.add(earlier.id)
            energy = energy or project.measurements.spectrum(earlier.id)
        elif measured.amounts and (alone := halves.alone(measured.label)) is not None:
            replaced.add(alone)
            energy = energy or project.measurements.spectrum(alone)
            if finding_id is None and alone in links:
                finding_id, by = links[alone].finding_id, links[alone].matched_by
        if finding_id is not None:
            found[len(new)] = finding_id, by
            older = named.get((measured.source, measured.label, finding_id), ())
            corrected = [known.id for known in older if known.file_hash != measured.file_hash]
            replaced.update(corrected)
            energy = energy or next(filter(None, map(project.measurements.spectrum, corrected)), None)
        if energy is not None:
            spectra[len(new)] = energy
        new.append(measured)
    attached = {number: energy for number, energy in halves.attached.items() if number not in replaced}
    if new or attached:
        what = things(len(new), "measurement") if new else things(len(attached), "spectrum", "spectra")
        project.measurements.add(
            new,
            links=found,
            replaced=sorted(replaced),
            spectra=spectra,
            attached=attached,
            title=f"Import {what} from {plan.source}",
        )
    return EdxImport(len(plan.matching.placements), plan.matching, len(replaced), len(attached))


def import_edx(
    project: Project,
    path: Path | str | Sequence[Path | str],
    *,
    registration: str | None = None,
    slide_id: int | None = None,
    unit: str | None = None,
    sites: str = USUAL_PATTERN,
    columns: EdxColumns | None = None,
    any_sum: bool = False,
) -> Job[EdxImport]:
    """Read a table of compositions, or spectra, and store it, as :func:`plan_edx` and :func:`keep_edx` do."""
    plan = yield from plan_edx(
        project, path, registration=registration, slide_id=slide_id, unit=unit, sites=sites, columns=columns
    )
    return keep_edx(project, plan, any_sum=any_sum)


def site_of(project: Project, measurement_id: int, *, sites: str = USUAL_PATTERN) -> tuple[int, ...]:
    """Measurements of the same import whose labels name the same site, this one among them.

    Raises
    ------
    InputError
        When there is no such measurement, or ``sites`` is no pattern.
    """
    one, pattern = project.measurements.by_id(measurement_id), site_pattern(sites)
    read = None if pattern is None else pattern.read(one.label)
    if pattern is None or read is None:
        return (one.id,)
    together = (known for known in project.measurements if known.import_id == one.import_id)
    return tuple(known.id for known in together if (other := pattern.read(known.label)) and other[0] == read[0])


def candidates_of(project: Project, measurement: EdxMeasurement) -> tuple[int, ...]:
    """Findings within the expected error of where a measurement lies, the nearest first, by the newest alignment."""
    aligned = [known for known in project.registrations if known.slide_id == measurement.on_slide]
    if not aligned or measurement.stage_mm is None:
        return ()
    fitted = Registration.from_dict(aligned[-1].data)
    rows = kept(project.boxes.rows(aligned[-1].slide_id, every=True))
    return nearest(measurement.stage_mm, rows, fitted)


class _Earlier:
    """Measurements of earlier imports that a table holds again.

    These are the same line of the same file; or, in another file of the same name (a corrected one), the same amounts
    in the same line or under the same label, or the same label at the same place of the stage. The label alone is not
    enough: instruments count spectra from 1 in each session.
    """

    def __init__(self, measurements: Iterable[EdxMeasurement], plan: EdxPlan) -> None:
        self._known: dict[tuple[object, ...], list[EdxMeasurement]] = {}
        self._taken: set[int] = set()
        hashes = {placement.spectrum.file_hash for placement in plan.placements}
        sources = {placement.spectrum.source for placement in plan.placements}
        for known in measurements:
            if known.file_hash in hashes or known.source in sources:
                for key in self._keys(known, known.file_hash in hashes):
                    self._known.setdefault(key, []).append(known)

    @staticmethod
    def _keys(known: EdxMeasurement, same_file: bool) -> list[tuple[object, ...]]:
        if same_file:
            return [("line", known.file_hash, known.row, known.label)]
        keys: list[tuple[object, ...]] = []
        if known.amounts:
            keys = [(which, known.amounts, known.stage_mm) for which in (known.label, known.row)]
        return keys if known.stage_mm is None else [*keys, ("place", known.label, known.stage_mm)]

    def take(self, measured: EdxMeasurement) -> EdxMeasurement | None:
        """Return the earlier one, each only once; None where there is none."""
        for key in (*self._keys(measured, True), *self._keys(measured, False)):
            found = [known for known in self._known.get(key, ()) if known.id not in self._taken]
            if found:
                # sheets of a workbook have equal lines
                earlier = next((known for known in found if _same(known, measured)), found[0])
                self._taken.add(earlier.id)
                return earlier
        return None


class _Halves:
    """Compositions without spectra and spectra without compositions: of one label, each may be one half of the other.

    The label must be that of one measurement only: instruments count spectra from 1 in each session.
    """

    def __init__(self, measurements: Measurements) -> None:
        self.attached: dict[int, XraySpectrum] = {}
        self._bare: dict[str, list[int]] = {}
        self._alone: dict[str, list[int]] = {}
        self._whole: dict[str, list[int]] = {}
        self._measurements = measurements
        for known in measurements:
            counted = known.id in measurements.spectra
            if known.amounts or counted:
                halves = self._alone if not known.amounts else self._whole if counted else self._bare
                halves.setdefault(known.label.casefold(), []).append(known.id)

    def attach(self, label: str, energy: XraySpectrum) -> bool:
        """Give a spectrum to the composition of its label; whether there is just one."""
        if any(self._measurements.spectrum(number) == energy for number in self._whole.get(label.casefold(), ())):
            return True  # it was imported before
        found = self._bare.get(label.casefold(), [])
        if len(found) != 1 or found[0] in self.attached:
            return False
        self.attached[found[0]] = energy
        return True

    def alone(self, label: str) -> int | None:
        """The spectrum of a label that has no composition, each only once; None where there is not just one."""
        found = self._alone.get(label.casefold(), [])
        return found.pop() if len(found) == 1 else None


def _require_no_doubts(plan: EdxPlan) -> None:
    """Refuse compositions that do not add up to about 100 %, lack amounts or have swapped units."""
    if plan.doubts:
        count = len({sentence.partition(": ")[0] for sentence in plan.doubts})
        others = f" It is one of {count} doubtful compositions." if count > 1 else ""
        raise InputError(
            plan.doubts[0] + others,
            hint="Check the unit and the elements of the table, or import it as it is (--any-sum on the command line).",
        )


def _by_finding(measurements: Measurements) -> dict[tuple[str, str, int], list[EdxMeasurement]]:
    """Measurements that belong to a finding, by their file, label and finding."""
    found: dict[tuple[str, str, int], list[EdxMeasurement]] = {}
    for known in measurements:
        if (link := measurements.links.get(known.id)) is not None:
            found.setdefault((known.source, known.label, link.finding_id), []).append(known)
    return found


def _measurement(plan: EdxPlan, placement: Placement) -> EdxMeasurement:
    spectrum, place = placement.spectrum, plan.place_of(placement)
    return EdxMeasurement(
        id=0,
        import_id=0,
        source=spectrum.source,
        file_hash=spectrum.file_hash,
        row=spectrum.row,
        label=spectrum.label,
        kind=placement.kind,
        stage_mm=spectrum.stage_mm,
        on_slide=None if place is None else place[0],
        place_px=None if place is None else place[1:],
        kv=spectrum.kv,
        amounts=spectrum.amounts,
        note=" ".join(spectrum.notes),
    )


def _same(stored: EdxMeasurement, read: EdxMeasurement) -> bool:
    """Whether two measurements say the same, whatever the file is called and wherever an alignment puts them."""

    def said(known: EdxMeasurement) -> EdxMeasurement:
        return replace(known, id=0, import_id=0, source="", on_slide=None, place_px=None)

    return said(stored) == said(read)


def summary(result: EdxImport) -> dict[str, Any]:
    """Result as JSON values."""
    found = result.matching
    return {
        "spectra": result.spectra,
        "matched": [
            {
                "label": m.label,
                "site": m.site,
                "kind": m.kind,
                "defect_id": m.box_id,
                "by": m.by,
                "at_percent": _rounded(m.spectrum.at_percent),
                "wt_percent": _rounded(m.spectrum.wt_percent),
                "computed_from_wt": m.spectrum.computed,
                "channels": 0 if m.spectrum.energy is None else len(m.spectrum.energy.counts),
            }
            for m in found.matched
        ],
        "ambiguous": {label: list(ids) for label, ids in found.ambiguous.items()},
        "unmatched": found.unmatched,
        "replaced": result.replaced,
        "attached": result.attached,
        "notes": list(found.notes),
    }


def _rounded(percent: dict[str, float]) -> dict[str, float]:
    return {symbol: round(value, 4) for symbol, value in percent.items()}
