"""Compositions that EDX measured, the spectra behind them, and the findings they belong to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from microscope_qc.core.composition import Amount, mean, of_unit
from microscope_qc.core.errors import InputError
from microscope_qc.core.wording import things
from microscope_qc.core.xray_spectrum import XraySpectrum, from_text, to_text
from microscope_qc.project.deltas import Delta
from microscope_qc.project.loading import measurement_row
from microscope_qc.project.parts.sequence import RecordPart
from microscope_qc.project.parts.tables import Tables
from microscope_qc.project.records import EdxMeasurement, MeasurementLink
from microscope_qc.project.store import Store

Links = Mapping[int, tuple[int, str]]
"""Finding, and what it was found by, for some measurements."""


@dataclass(slots=True)
class _Known:
    """What follows from the measurements and links that were ``read``."""

    read: tuple[object, ...] = (None, None, None)
    links: dict[int, MeasurementLink] = field(default_factory=dict)
    measured: dict[int, list[EdxMeasurement]] = field(default_factory=dict)
    compositions: dict[int, tuple[Amount, ...]] = field(default_factory=dict)
    references: dict[int, tuple[Amount, ...]] = field(default_factory=dict)
    spectra: dict[int, int] = field(default_factory=dict)


class Measurements(RecordPart[EdxMeasurement]):
    """The measurements of a project, oldest first.

    They never change; each belongs to one finding or to none, which is a link of its own. A finding that is deleted
    gives its measurements free.
    """

    table = "measurements"
    noun = "measurement"

    def __init__(self, store: Store, tables: Tables) -> None:
        super().__init__(store, store.memory.measurements)
        self._links = store.memory.measurement_links
        self._spectra = store.memory.spectra
        self._tables = tables
        self._known = _Known()

    @property
    def links(self) -> Mapping[int, MeasurementLink]:
        """The link of each measurement that belongs to a finding, by the measurement's id."""
        return self._up_to_date().links

    @property
    def by_finding(self) -> Mapping[int, Sequence[EdxMeasurement]]:
        """The measurements of each finding that has any, oldest first."""
        return self._up_to_date().measured

    def of_finding(self, finding_id: int) -> Sequence[EdxMeasurement]:
        """Return the measurements of a finding, oldest first."""
        return self.by_finding.get(int(finding_id), ())

    @property
    def unplaced(self) -> list[EdxMeasurement]:
        """The measurements that belong to no finding."""
        return [known for known in self if known.id not in self.links]

    @property
    def compositions(self) -> Mapping[int, tuple[Amount, ...]]:
        """What findings consist of, in both units: the means of their measurements, those of references left out."""
        return self._up_to_date().compositions

    def composition(self, finding_id: int, unit: str) -> tuple[Amount, ...]:
        """Return what a finding consists of in one unit, as :attr:`compositions` have it; nothing if not measured."""
        return tuple(of_unit(self.compositions.get(int(finding_id), ()), unit).values())

    def reference(self, finding_id: int, unit: str) -> tuple[Amount, ...]:
        """Return the mean of what was measured beside a finding in one unit; nothing where nothing was."""
        return tuple(of_unit(self._up_to_date().references.get(int(finding_id), ()), unit).values())

    @property
    def spectra(self) -> Mapping[int, int]:
        """The stored spectrum of each measurement that has one, by their ids."""
        return self._up_to_date().spectra

    def spectrum(self, measurement_id: int) -> XraySpectrum | None:
        """Return the counts behind a measurement; None where there are none, or they cannot be read."""
        number = self.spectra.get(int(measurement_id))
        if number is None:
            return None
        try:
            return from_text(self._spectra.by_id[number].data)
        except ValueError:  # “check” reports it
            return None

    def _up_to_date(self) -> _Known:
        read = self._records.ids, self._links.ids, self._spectra.ids  # others whenever a row changes
        if any(old is not new for old, new in zip(self._known.read, read, strict=True)):
            known = _Known(read, {link.measurement_id: link for link in self._links})
            for measurement in self:
                if (link := known.links.get(measurement.id)) is not None:
                    known.measured.setdefault(link.finding_id, []).append(measurement)
            for finding_id, found in known.measured.items():
                for means, beside in ((known.compositions, False), (known.references, True)):
                    parts = [one.amounts for one in found if (one.kind == "reference") is beside and one.amounts]
                    if parts:
                        means[finding_id] = (*mean(parts, "at"), *mean(parts, "wt"))
            known.spectra = {stored.measurement_id: stored.id for stored in self._spectra}
            self._known = known
        return self._known

    # -- commands ---------------------------------------------------------------------------------------------------

    def add(
        self,
        new: Sequence[EdxMeasurement],
        *,
        links: Links,
        replaced: Collection[int] = (),
        spectra: Mapping[int, XraySpectrum] | None = None,
        attached: Mapping[int, XraySpectrum] | None = None,
        title: str = "",
    ) -> list[int]:
        """Add measurements that came at once, as one command; return their ids.

        Parameters
        ----------
        new
            Their ids and the number of their import are set here.
        links
            For some of them, by place in ``new``: the finding, and "label", "position" or "user".
        replaced
            Earlier measurements that go, with their links and spectra.
        spectra
            For some of them, by place in ``new``: the counts behind them.
        attached
            The counts behind earlier measurements, which have none yet.

        Raises
        ------
        InputError
            When there is no such finding or earlier measurement.
        """
        self._store.require_writable()
        first = self._store.next_id(self.table)
        ids = list(range(first, first + len(new)))
        rows = [measurement_row(replace(known, id=n, import_id=first)) for n, known in zip(ids, new, strict=True)]
        going = [self._row(number) for number in replaced]
        links_going = [asdict(self.links[number]) for number in replaced if number in self.links]
        counts = {ids[n]: found for n, found in (spectra or {}).items()}
        counts |= {self.by_id(number).id: found for number, found in (attached or {}).items()}
        deltas = [
            Delta.deleted("measurement_links", links_going),
            Delta.deleted("spectra", self._spectrum_rows(replaced)),
            Delta.deleted(self.table, going),
            Delta.inserted(self.table, rows),
            Delta.inserted("spectra", self._new_spectra(counts)),
            Delta.inserted("measurement_links", self._link_rows({ids[n]: found for n, found in links.items()})),
        ]
        what = things(len(new), "measurement") if new else things(len(counts), "spectrum", "spectra")
        title = title or f"Import {what}"
        self._store.commit(title, deltas, slide_id=_only_slide(deltas))
        return ids

    def link(self, findings: Mapping[int, int | None], *, title: str = "") -> None:
        """Say which findings measurements belong to, as one command; None is no finding.

        Raises
        ------
        InputError
            When there is no such measurement or finding.
        """
        self._store.require_writable()
        known = {number: self.by_id(number) for number in findings}
        old = {number: self.links[number] for number in findings if number in self.links}
        same = {n for n, link in old.items() if link.finding_id == findings[n]}
        new = {n: (found, "user") for n, found in findings.items() if found is not None and n not in same}
        gone = [asdict(link) for n, link in old.items() if n not in same]
        deltas = [Delta.deleted("measurement_links", gone), Delta.inserted("measurement_links", self._link_rows(new))]
        if not title:
            one = next(iter(known.values())).label if len(known) == 1 else things(len(known), "measurement")
            targets = {found for found, _ in new.values()}
            to = f" to finding {targets.pop()}" if len(targets) == 1 else ""
            title = f"Link {one}{to}" if new else f"Unlink {one}"
        self._store.commit(title, deltas, slide_id=_only_slide(deltas))

    def delete(self, ids: Collection[int]) -> None:
        """Delete measurements, with their links (undoable)."""
        self._store.require_writable()
        rows = [self._row(number) for number in sorted(set(ids))]
        links = [asdict(self.links[row["id"]]) for row in rows if row["id"] in self.links]
        spectra = self._spectrum_rows([row["id"] for row in rows])
        deltas = [
            Delta.deleted("measurement_links", links),
            Delta.deleted("spectra", spectra),
            Delta.deleted(self.table, rows),
        ]
        self._store.commit(f"Delete {things(len(rows), 'measurement')}", deltas, slide_id=_only_slide(deltas))

    def unlinking(self, finding_ids: np.ndarray) -> Iterator[Delta]:
        """Deltas that give the measurements of findings free."""
        if len(self._links):
            gone = set(finding_ids.tolist())
            yield Delta.deleted("measurement_links", [asdict(link) for link in self._links if link.finding_id in gone])

    def _spectrum_rows(self, measurement_ids: Collection[int]) -> list[dict[str, Any]]:
        known = (self.spectra.get(number) for number in measurement_ids)
        return [asdict(self._spectra.by_id[number]) for number in known if number is not None]

    def _new_spectra(self, counts: Mapping[int, XraySpectrum]) -> list[dict[str, Any]]:
        taken = next((number for number in counts if number in self.spectra), None)
        if taken is not None:
            raise InputError(
                f"{self.by_id(taken).label} has a spectrum already.", hint="Delete the measurement to replace it."
            )
        first = self._store.next_id("spectra")
        return [
            {"id": number, "measurement_id": measurement_id, "data": to_text(spectrum)}
            for number, (measurement_id, spectrum) in enumerate(counts.items(), start=first)
        ]

    def _link_rows(self, links: Links) -> list[dict[str, Any]]:
        first = self._store.next_id("measurement_links")
        return [
            {
                "id": number,
                "slide_id": self._tables.slide_of(finding_id),
                "measurement_id": measurement_id,
                "finding_id": finding_id,
                "matched_by": matched_by,
            }
            for number, (measurement_id, (finding_id, matched_by)) in enumerate(links.items(), start=first)
        ]


def _only_slide(deltas: Sequence[Delta]) -> int | None:
    found = {int(n) for delta in deltas for side in (delta.before, delta.after) for n in side.get("slide_id", ())}
    return found.pop() if len(found) == 1 else None
