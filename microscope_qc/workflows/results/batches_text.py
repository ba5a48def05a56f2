"""Comparisons and verdicts as lines for a terminal, and as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from microscope_qc.core.numbers import rounded, short_text
from microscope_qc.core.sheets import write_sheet
from microscope_qc.core.wording import percent_text, plural
from microscope_qc.workflows.results.grouping_text import text_table

_NONE = "-"
_SAID = {True: "differs", False: "no difference shown", None: "not tested"}
_ABOUT = (
    "p is corrected for the number of comparisons (Holm), intervals are of each ratio alone. Detectable: the ratio "
    "that would be found with a probability of 80 %. 30 % found: the probability that a difference of 30 % would be "
    "found. Both allow for the number of comparisons."
)
_BEHIND = {"count": "counts", "mm2": "areas_mm2", "sections": "sections", "per_mm2": "densities"}
"""What is known of each of two groups, by the names of columns."""
_MOST_NAMED = 20
"""So many of the findings that decide are named in a line."""


def batch_lines(found: Mapping[str, Any]) -> list[str]:
    """Return the lines of :func:`~microscope_qc.workflows.results.batches.compared`."""
    lines = [f"{head['project']}  (counted: {head['included']})" for head in found["projects"]]
    pairs = dict.fromkeys((one["first"], one["second"]) for one in found["ratios"])
    for first, second in pairs:
        mine = [one for one in found["ratios"] if (one["first"], one["second"]) == (first, second)]
        lines += ["", f"{second} by {first}:", *_pair(mine)]
    if pairs:
        lines += ["", _ABOUT]
    for verdict in found["verdicts"]:
        lines += ["", f"{verdict['group']}: {verdict['verdict'].upper()}", *_checks(verdict)]
        for slide in verdict["slides"]:
            lines += [f"  {slide['slide']}: {slide['verdict']}", *(f"  {line}" for line in _checks(slide))]
    if found["verdicts"]:
        lines += ["", "Densities pass or fail by one-sided 95 % limits. What nobody has found takes no part."]
    return lines


def _pair(ratios: list[dict[str, Any]]) -> Iterator[str]:
    heads = [
        "", "findings", "mm2", "per mm2", "findings", "mm2", "per mm2", "ratio", "95 %", "p", "", "detectable",
        "30 % found",
    ]  # fmt: skip
    rows = []
    for one in ratios:
        power = one["power_30_percent"]
        behind = [
            text(one[name][place])
            for place in (0, 1)
            for name, text in (("counts", _count), ("areas_mm2", _number), ("densities", _number))
        ]
        rows.append([
            one["of"], *behind, _number(one["ratio"]), _limits(one["interval"]),
            _p(one["p_corrected"]), _SAID[one["differs"]], _number(one["detectable"]),
            _NONE if power is None else percent_text(power),
        ])  # fmt: skip
    yield from text_table(heads, rows)
    for one in ratios:
        if one["reason"]:
            yield f"  {one['of']}: {one['reason']}"


def _checks(verdict: Mapping[str, Any]) -> Iterator[str]:
    for check in verdict["checks"]:
        source = f" ({check['source']})" if check["source"] else ""
        decides = _decides(check["decides"])
        yield f"  {check['of']}, {_rule(check)}{source}: {check['verdict']}, {check['reason']}{decides}"


def _rule(check: Mapping[str, Any]) -> str:
    if check["kind"] == "none_at_all":
        return "none at all"
    limit = short_text(check["limit"], 4)
    if check["kind"] == "largest_um":
        return f"at most {limit} um, largest {_number(check['value'])}"
    bounds = f"{_number(check['value'])}, {_number(check['low'])} to {_number(check['high'])}"
    return f"at most {limit} per mm2, found {bounds if check['value'] is not None else _NONE}"


def _decides(numbers: list[int]) -> str:
    if not numbers:
        return ""
    more = len(numbers) - _MOST_NAMED
    named = ", ".join(f"#{number}" for number in numbers[:_MOST_NAMED])
    return f": {plural(len(numbers), 'finding')} {named}" + (f" and {more} more" if more > 0 else "")


def _number(value: float | None) -> str:
    return _NONE if value is None else short_text(float(value), 3)


def _count(value: int | None) -> str:
    return _NONE if value is None else str(value)


def _limits(interval: list[float | None] | None) -> str:
    if interval is None:
        return _NONE
    low, high = interval
    return f"above {_number(low)}" if high is None else f"{_number(low)} to {_number(high)}"


def _p(p: float | None) -> str:
    return _NONE if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def ratio_records(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Return one record for each class, class group and all classes, and pair of groups."""
    for one in found["ratios"]:
        low, high = one["interval"] or (None, None)
        behind = {
            f"{group}_{name}": one[key][place]
            for place, group in enumerate(("first", "second"))
            for name, key in _BEHIND.items()
        }
        yield {
            "rows": one["kind"], "of": one["of"], "first": one["first"], "second": one["second"],
            **behind, "ratio": one["ratio"], "ratio_low": low,
            "ratio_high": high, "p": one["p"], "p_corrected": one["p_corrected"], "differs": one["differs"],
            "spread": one["spread"], "freedom": one["freedom"], "detectable_ratio": one["detectable"],
            "power_30_percent": one["power_30_percent"], "reason": one["reason"],
        }  # fmt: skip


def verdict_records(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Return one record for each limit and group, and for each limit and slide."""
    for verdict in found["verdicts"]:
        for slide in ({"slide": "", **verdict}, *verdict["slides"]):
            for check in slide["checks"]:
                yield {
                    "group": verdict["group"], "slide": slide["slide"], "of": check["of"], "kind": check["kind"],
                    "limit": check["limit"], "source": check["source"], "verdict": check["verdict"],
                    "value": check["value"], "low": check["low"], "high": check["high"],
                    "decides": " ".join(map(str, check["decides"])), "reason": check["reason"],
                }  # fmt: skip


def write_batch_table(path: Path | str, found: Mapping[str, Any]) -> Path:
    """Write the comparisons, or where there are limits the verdicts, as XLSX or CSV.

    Raises
    ------
    WriteError
        When the file cannot be written.
    """
    records = list(verdict_records(found) if found["verdicts"] else ratio_records(found))
    lines = [[rounded(cell, 0) if isinstance(cell, float) else cell for cell in record.values()] for record in records]
    return write_sheet(path, list(records[0]) if records else ["rows"], lines, title="Batches")
