"""Tables of EDX compositions as instruments and people write them.

Three layouts are read: a line for each spectrum with a column for each element; a line for each element with a column
for each spectrum; and a block of lines for each spectrum below its name, with columns such as ``Element``, ``Wt%`` and
``Atomic %``. Weight % and atom % are never taken for each other: a table that does not say which it holds is refused
until the user says it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from microscope_qc.core.composition import UNITS, Amount, in_both_units
from microscope_qc.core.elements import atomic_percent, element_in
from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.numbers import exact_text, grouping_signs, number_in
from microscope_qc.core.sheets import read_sheets
from microscope_qc.core.xray_spectrum import XraySpectrum
from microscope_qc.correlation.edx_headings import (
    LABEL_HEADS,
    STATISTICS,
    block_columns,
    block_label,
    element_columns,
    is_amount,
    is_block_head,
    is_like_element,
    is_total,
    stage_columns,
    unit_in,
)
from microscope_qc.correlation.targets import OUTSIDE

_VOLTAGE_WORDS = (
    r"acc(?:\.|elerating)?[_ ]?voltage|beam (?:energy|voltage)|primary energy|hv|eht|kv"
    r"|beschleunigungsspannung|primärenergie"
)
_KINDS = {
    "reference": re.compile(r"(?<![a-zäöü])(ref|refs|reference|referenz)(?![a-zäöü])", re.IGNORECASE),
    "area": re.compile(r"(?<![a-zäöü])(area|region|map|fläche|bereich)(?![a-zäöü])", re.IGNORECASE),
    "line": re.compile(r"(?<![a-zäöü])(line|linie)(?![a-zäöü])", re.IGNORECASE),
}
_VOLTAGE = re.compile(rf"(?:(?:{_VOLTAGE_WORDS})[_ ]?)?[(\[]?ke?v[)\]]?")
_SAID_VOLTAGE = re.compile(rf"\b(?:{_VOLTAGE_WORDS})\b[^0-9]{{0,12}}([0-9]+(?:[.,][0-9]+)?) ?ke?V\b", re.IGNORECASE)
_LEAST_SUM, _LARGEST_SUM = 50.0, 101.0
_AGREEING = 1.5
"""Atom % may differ so much from those computed of weight %; tables round both."""
_OFF_TOTAL = 1.0
"""A total may differ so much from the sum of amounts that are rounded."""


class UnitNotSaidError(ExchangeError):
    """A table holds amounts and does not say whether they are weight % or atom %."""


class NoCompositionError(ExchangeError):
    """A table holds no composition, as far as its headings tell."""


@dataclass(frozen=True, slots=True)
class Spectrum:
    """One composition in atom %, and in weight % where the table has that; ``stage_mm`` is (x, y) or None.

    ``notes`` are sentences about what is doubtful in it. Without atom % in the table they are computed from weight %.
    ``sigma`` are standard deviations by unit and element, ``row`` is the line of the table from 1, ``kv`` the voltage.
    ``energy`` are the counts, where a file holds them; such a file may know no composition. ``measured_kind`` is what
    was measured, "" where only the label tells. ``source`` and ``file_hash`` name the file. ``wrong`` are those of the
    notes that say that amounts are missing or of another unit.
    """

    label: str
    at_percent: dict[str, float]
    wt_percent: dict[str, float] = field(default_factory=dict)
    stage_mm: tuple[float, float] | None = None
    computed: bool = False
    notes: tuple[str, ...] = ()
    sigma: dict[str, dict[str, float]] = field(default_factory=dict)
    row: int = 0
    kv: float | None = None
    energy: XraySpectrum | None = None
    measured_kind: str = ""
    source: str = ""
    file_hash: str = ""
    wrong: tuple[str, ...] = ()

    @property
    def doubts(self) -> tuple[str, ...]:
        """Sentences for which its amounts are not taken unasked."""
        return tuple(filter(None, (self.unusual_sum, *self.wrong)))

    @property
    def is_measured(self) -> bool:
        """Whether it holds a composition or counts."""
        return bool(self.at_percent) or self.energy is not None

    def with_notes(self, notes: Sequence[str]) -> Spectrum:
        """The same with other notes."""
        return replace(self, notes=tuple(notes))

    @property
    def unusual_sum(self) -> str:
        """What its amounts add up to, as a sentence; "" where that is about 100 %."""
        total = sum((self.wt_percent if self.computed else self.at_percent).values())
        if not total or _LEAST_SUM <= total <= _LARGEST_SUM:
            return ""
        return f"The {UNITS['wt' if self.computed else 'at']} add up to {exact_text(round(total, 2))}."

    @property
    def kind(self) -> str:
        """What was measured, as its file or its label says it: "point" where neither does."""
        said = next((kind for kind, words in _KINDS.items() if words.search(self.label)), "")
        return "reference" if said == "reference" else self.measured_kind or said or "point"

    @property
    def amounts(self) -> tuple[Amount, ...]:
        """The composition in both units; what the table does not hold was computed."""
        given = {"wt": self.wt_percent} if self.computed else {"at": self.at_percent, "wt": self.wt_percent}
        if not self.computed and self.wt_percent.keys() != self.at_percent.keys():
            del given["wt"]
        return in_both_units(
            [
                Amount(symbol, unit, percent, self.sigma.get(unit, {}).get(symbol))
                for unit, known in given.items()
                for symbol, percent in known.items()
            ]
        )


Sheets = Sequence[Sequence[Sequence[str]]]


def read_spectra(
    path: Path | str, *, unit: str | None = None, rewrite: Callable[[Sheets], Sheets] | None = None
) -> list[Spectrum]:
    """Read a CSV or XLSX table.

    Parameters
    ----------
    unit
        "at" or "wt" for amounts of which the table does not say it.
    rewrite
        Makes tables that can be read of the cells of all sheets.

    Raises
    ------
    ExchangeError
        When it cannot be read.
    NoCompositionError
        When it holds no composition.
    UnitNotSaidError
        When it does not say whether it holds weight % or atom %.
    """
    path = Path(path)
    sheets: Sheets = read_sheets(path, what="table of compositions")
    sheets = sheets if rewrite is None else rewrite(sheets)
    spectra = _joined(spectrum for rows in sheets for spectrum in spectra_in(rows, name=path.name, unit=unit))
    if not any(spectrum.at_percent for spectrum in spectra):
        raise NoCompositionError(
            f"{path.name} holds no composition.",
            hint="It needs a column for the finding's number and one for each element, such as 'Ni at%'. Or say what "
            "its columns hold (“Columns…” in the window, --column on the command line).",
        )
    return spectra


def _joined(spectra: Iterable[Spectrum]) -> list[Spectrum]:
    """Make one spectrum of two of which one table has the weight % and another one the atom %."""
    result: list[Spectrum] = []
    for spectrum in spectra:
        for place, known in enumerate(result):
            at, wt = (spectrum, known) if known.computed else (known, spectrum)
            halves = wt.computed and not at.computed and not at.wt_percent
            if known.label == spectrum.label and halves and at.at_percent.keys() == wt.wt_percent.keys():
                apart = _disagreement(at.at_percent, wt.wt_percent)
                result[place] = replace(
                    at,
                    wt_percent=wt.wt_percent,
                    stage_mm=at.stage_mm or wt.stage_mm,
                    notes=tuple(dict.fromkeys([*at.notes, *wt.notes, *apart])),
                    wrong=tuple(dict.fromkeys([*at.wrong, *wt.wrong, *apart])),
                    sigma=wt.sigma | at.sigma,
                    row=known.row,
                    kv=at.kv or wt.kv,
                )
                break
        else:
            result.append(spectrum)
    return result


def _disagreement(at: dict[str, float], wt: dict[str, float]) -> list[str]:
    """Say that weight % and atom % of the same elements cannot both be true."""
    total, computed = sum(at.values()), atomic_percent(wt)
    apart = max((abs(100 * at[e] / total - computed[e]) for e in computed), default=0.0) if total else 0.0
    if apart <= _AGREEING:
        return []
    said = atomic_percent(at)
    swapped = max(abs(100 * wt[e] / sum(wt.values()) - said[e]) for e in said) <= _AGREEING
    return [f"Its atom % and weight % {'seem to be swapped' if swapped else 'do not agree'} (by {apart:.1f} atom %)."]


def spectra_in(rows: Sequence[Sequence[str]], *, name: str = "The table", unit: str | None = None) -> list[Spectrum]:
    """Return the compositions in the cells of a table; see :func:`read_spectra`."""
    reader = _Reader(rows, name, unit)
    if any(is_block_head(row) for row in rows):
        return list(reader.blocks())
    starts = [number for number, row in enumerate(rows) if element_columns(row) and not _has_number(row)]
    starts = [number for number in starts if len([cell for cell in rows[number] if cell]) > 1]
    if starts:
        return list(reader.wide(starts))
    return list(reader.element_rows())


_FINDING = re.compile(r"(?:defect|d|id|nr\.?|no\.?|#)?[\s_#:-]*0*(\d{1,15})(?:\s+\S+)?", re.IGNORECASE)


def finding_number(label: str) -> int | None:
    """Number of a finding in a label ("12", "D12", "#12", "defect 012", "12 AOP"); "Spectrum 12" counts spectra."""
    match = _FINDING.fullmatch(label.strip().removesuffix(OUTSIDE).strip())
    return int(match.group(1)) if match else None


class _Reader:
    """The cells, and what is known of the whole table: signs between thousands, and the voltage where it says one."""

    def __init__(self, rows: Sequence[Sequence[str]], name: str, unit: str | None) -> None:
        self.rows, self.name, self.unit = rows, name, unit
        self.grouped = grouping_signs(cell for row in rows for cell in row)
        self.kv = next((kv for row in rows if (kv := self._voltage(" ".join(row))) is not None), None)

    def _voltage(self, text: str) -> float | None:
        said = _SAID_VOLTAGE.search(text)
        kv = number_in(said.group(1), grouped=self.grouped) if said else math.nan
        return kv if kv > 0 else None

    def amounts(self, cells: dict[str, str]) -> tuple[dict[str, float], list[str]]:
        """Numbers of elements; and sentences about cells that are none."""
        found: dict[str, float] = {}
        notes: list[str] = []
        for symbol, cell in cells.items():
            value = number_in(cell, unit="%", grouped=self.grouped)
            if value >= 0:
                found[symbol] = value
            elif cell.strip("-–— "):
                why = "is negative" if value < 0 else "is not a number"
                notes.append(f"{symbol} is left out: “{cell[:20]}” {why}.")
        return found, notes

    def said_unit(self, lines: range) -> str:
        """Unit that one of some lines is about, the last one first; "" for none."""
        for number in reversed(lines):
            filled = [cell for cell in self.rows[number] if cell]
            if filled and len(filled) <= 2 and (said := unit_in(" ".join(filled))):
                return said
        return ""

    def table_unit(self, said: str) -> str:
        """Unit that the table says, or else the user; it is asked for where neither does."""
        if said:
            return said
        if self.unit is None:
            raise UnitNotSaidError(
                f"{self.name} does not say whether it holds weight % or atom %.",
                hint="Look it up in the program that made it, and choose the unit (--unit wt or --unit at on the "
                "command line).",
            )
        return self.unit

    def blocks(self) -> Iterator[Spectrum]:
        names: list[str] = []
        heads = [number for number, row in enumerate(self.rows) if is_block_head(row)]
        for start, end in zip([-1, *heads], [*heads, len(self.rows)], strict=True):
            columns = block_columns(self.rows[start]) if start >= 0 else {}
            units = [unit for unit in UNITS if unit in columns]
            if columns and not units and "any" in columns:
                unit = self.table_unit(self.said_unit(range(len(self.rows))))
                columns[unit], units = columns["any"], [unit]
            lines: dict[str, Sequence[str]] = {}
            strange: list[str] = []
            label = next((name for name in names if finding_number(name) is not None), names[-1] if names else "")
            names = []
            for row in self.rows[start + 1 : end]:
                filled = [cell for cell in row if cell]
                symbol = element_in(_at(row, columns.get("element", -1)))
                if symbol is not None and not names:
                    if lines.get(symbol, row) != row:
                        raise self.twice(symbol, f"the lines below {label}")
                    lines[symbol] = row
                elif columns and not names and self._holds_amount(row, columns):
                    strange.append(_at(row, columns["element"]))
                elif len(filled) in (1, 2) and not STATISTICS.match(filled[0]):
                    names.append(block_label(filled))
            if lines and units:
                parts = {unit: {e: _at(row, columns[unit]) for e, row in lines.items()} for unit in units}
                sigma = self._block_sigma(lines, columns)
                yield from self.spectrum(label, parts, row=start + 1, sigma=sigma, strange=strange)

    def twice(self, symbol: str, where: str) -> ExchangeError:
        """That an element is there twice: which of the two counts cannot be known."""
        return ExchangeError(
            f"{self.name} has {symbol} twice in {where[:80]}, with different amounts.",
            hint="Leave one of them out of the table, or say what its columns hold.",
        )

    def _holds_amount(self, row: Sequence[str], columns: dict[str, int]) -> bool:
        """Whether a line of a block says how much there is of something that has a name, and is no statistics."""
        name = _at(row, columns.get("element", -1))
        numbers = [number_in(_at(row, columns[unit]), grouped=self.grouped) for unit in UNITS if unit in columns]
        return bool(name) and not STATISTICS.match(name) and any(number > 0 for number in numbers)

    def _block_sigma(self, lines: dict[str, Sequence[str]], columns: dict[str, int]) -> dict[str, dict[str, float]]:
        """Standard deviations in the unit of their amounts; errors of which the table does not say how many sigma they
        are, or of what, are left out."""

        def numbers(name: str) -> dict[str, float]:
            known = {e: number_in(_at(row, columns.get(name, -1)), grouped=self.grouped) for e, row in lines.items()}
            return {e: value for e, value in known.items() if value >= 0}

        found = {
            unit: {e: value / columns[f"{unit} sigmas"] for e, value in numbers(f"{unit} sigma").items()}
            for unit in UNITS
            if f"{unit} sigma" in columns
        }
        if "wt" not in found and "error" in columns:  # of the weight % before they are normalised to 100
            before, after = numbers("raw" if "raw" in columns else "wt"), numbers("wt")
            found["wt"] = {
                e: error / columns["sigmas"] * after[e] / before[e]
                for e, error in numbers("error").items()
                if before.get(e) and e in after
            }
        return found

    def wide(self, starts: Sequence[int]) -> Iterator[Spectrum]:
        stated_above = bool(self.said_unit(range(starts[0])))  # else below, where one program writes it
        before = 0
        for start, end in zip(starts, [*starts[1:], len(self.rows)], strict=True):
            head = self.rows[start]
            if STATISTICS.match(_at(head, 0)):
                continue
            columns = element_columns(head)
            where, before = range(before, start) if stated_above else range(start + 1, end), start
            if any(not unit for _, unit in columns.values()):
                found = self.table_unit(self.said_unit(where))
                columns = {place: (symbol, unit or found) for place, (symbol, unit) in columns.items()}
            words = [cell.casefold().strip() for cell in head]
            label_at = next((words.index(word) for word in LABEL_HEADS if word in words), None)
            if label_at is None:
                label_at = next((place for place in range(len(head)) if place not in columns), None)
            kv_at = next((place for place, word in enumerate(words) if _VOLTAGE.fullmatch(word)), -1)
            strange = {
                n: cell
                for n, cell in enumerate(head)
                if n not in (*columns, label_at) and (is_amount(cell) or is_like_element(cell) or is_total(cell))
            }
            lines = range(start + 1, end)
            yield from self._wide_lines(lines, columns, label_at, stage_columns(words), kv_at, strange)

    def _wide_lines(
        self,
        lines: range,
        columns: dict[int, tuple[str, str]],
        label_at: int | None,
        stage: Sequence[tuple[int, float]],
        kv_at: int,
        strange: dict[int, str],
    ) -> Iterator[Spectrum]:
        for number in lines:
            row = self.rows[number]
            label = "" if label_at is None else _at(row, label_at)
            if STATISTICS.match(label):
                continue
            parts: dict[str, dict[str, str]] = {"at": {}, "wt": {}}
            for place, (symbol, unit) in columns.items():
                cell = _at(row, place)
                if parts[unit].get(symbol) and cell and cell != parts[unit][symbol]:
                    raise self.twice(symbol, f"line {number + 1}")
                parts[unit][symbol] = parts[unit].get(symbol) or cell
            xy = [number_in(_at(row, place), grouped=self.grouped) * factor for place, factor in stage]
            mm = (xy[0], xy[1]) if len(xy) == 2 and all(map(math.isfinite, xy)) else None
            if any(any(cells.values()) for cells in parts.values()):
                kv = number_in(_at(row, kv_at), unit="kV", grouped=self.grouped)
                others = {n: number_in(_at(row, n), unit="%", grouped=self.grouped) for n in strange}
                left_out = [strange[n] for n, value in others.items() if value > 0 and not is_total(strange[n])]
                total = next((value for n, value in others.items() if value > 0 and is_total(strange[n])), None)
                yield from self.spectrum(
                    label,
                    parts,
                    mm,
                    row=number + 1,
                    kv=kv if kv > 0 else None,
                    strange=left_out,
                    total=total,
                )

    def element_rows(self) -> Iterator[Spectrum]:
        start = next(
            (number for number, row in enumerate(self.rows) if element_in(_at(row, 0)) and _has_number(row)), 0
        )
        head = self.rows[start - 1] if start else []
        lines = [number for number in range(start, len(self.rows)) if element_in(_at(self.rows[number], 0))]
        if not head or not lines:
            return
        unit = self.table_unit(self.said_unit(range(start - 1)) or self.said_unit(range(lines[-1] + 1, len(self.rows))))
        rest = [row for row in self.rows[start:] if element_in(_at(row, 0)) is None]
        for place, label in enumerate(head):
            if place == 0 or not label or STATISTICS.match(label):
                continue
            cells: dict[str, str] = {}
            for n in lines:
                symbol, cell = element_in(_at(self.rows[n], 0)) or "", _at(self.rows[n], place)
                if cells.get(symbol) and cell and cell != cells[symbol]:
                    raise self.twice(symbol, f"the column {label}")
                cells[symbol] = cells.get(symbol) or cell
            others = [(_at(row, 0), number_in(_at(row, place), unit="%", grouped=self.grouped)) for row in rest]
            strange = [name for name, value in others if value > 0 and is_like_element(name)]
            total = next((value for name, value in others if value > 0 and is_total(name)), None)
            yield from self.spectrum(label, {unit: cells}, row=start + 1, strange=strange, total=total)

    def spectrum(
        self,
        label: str,
        parts: dict[str, dict[str, str]],
        stage_mm: tuple[float, float] | None = None,
        *,
        row: int,
        sigma: dict[str, dict[str, float]] | None = None,
        kv: float | None = None,
        strange: Sequence[str] = (),
        total: float | None = None,
    ) -> Iterator[Spectrum]:
        """Make a spectrum of the cells; ``total`` is what the table says that its amounts add up to."""
        at, notes = self.amounts(parts.get("at", {}))
        wt, more = self.amounts(parts.get("wt", {}))
        notes = list(dict.fromkeys([*notes, *more]))
        if not label.strip():
            label, notes = f"row {row}", ["It has no label.", *notes]
        wrong = [f"“{name[:20]}” is not an element and is left out." for name in strange]
        sums = [sum(found.values()) for found in (at, wt) if found]
        if total is not None and sums and min(abs(total - one) for one in sums) > _OFF_TOTAL:
            wrong.append(f"Its table says a total of {exact_text(round(total, 2))}: something is missing here.")
        notes += wrong
        if not any(sums):
            yield Spectrum(label[:200], {}, {}, stage_mm, False, (*notes, "It holds no amounts."), row=row)
            return
        if not (set(wt) <= set(at) or set(at) <= set(wt)):
            raise ExchangeError(
                f"{self.name}, {label[:60]}: some elements are in weight % and others in atom %.",
                hint="Give all of them in one of the two.",
            )
        if at and wt and 0 in sums:  # nothing of anything in one unit, but not in the other
            notes.append(f"Its {UNITS['wt' if any(at.values()) else 'at']} are all 0: they are left out.")
            at, wt = (known if any(known.values()) else {} for known in (at, wt))
        computed = not set(wt) <= set(at)
        if computed:
            at = atomic_percent(wt)
        elif at.keys() == wt.keys():
            apart = _disagreement(at, wt)
            notes, wrong = notes + apart, wrong + apart
        known = Spectrum(
            label[:200], at, wt, stage_mm, computed, sigma=sigma or {}, row=row, kv=kv or self.kv, wrong=tuple(wrong)
        )
        notes += [known.unusual_sum] * bool(known.unusual_sum)
        yield replace(known, notes=tuple(notes))


def _at(row: Sequence[str], place: int) -> str:
    return row[place] if 0 <= place < len(row) else ""


def _has_number(row: Sequence[str]) -> bool:
    return any(not math.isnan(number_in(cell, unit="%")) for cell in row[1:])
