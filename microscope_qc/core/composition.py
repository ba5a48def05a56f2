"""Compositions as EDX measures them: amounts of elements in atom % and weight %, with their errors."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from microscope_qc.core.elements import ATOMIC_WEIGHT

UNITS = {"at": "atom %", "wt": "weight %"}
SHORT = {"at": "at%", "wt": "wt%"}


@dataclass(frozen=True, slots=True)
class Amount:
    """How much there is of an element; ``unit`` is one of :data:`UNITS`.

    ``sigma`` is one standard deviation in the same unit, None where it is not known. What was not ``measured`` was
    computed from the other unit.
    """

    element: str
    unit: str
    percent: float
    sigma: float | None = None
    measured: bool = True


def amounts_to_json(amounts: Iterable[Amount]) -> str:
    """Return amounts as they are stored: a list for each."""
    return json.dumps([[a.element, a.unit, a.percent, a.sigma, a.measured] for a in amounts], separators=(",", ":"))


def amounts_from_json(stored: str) -> tuple[Amount, ...]:
    """Return the stored amounts.

    Raises
    ------
    ValueError
        When they cannot be read.
    """
    try:
        return tuple(_checked(*entry) for entry in json.loads(stored))
    except (TypeError, OverflowError, RecursionError) as error:
        raise ValueError("no amounts of elements") from error


def _checked(element: str, unit: str, percent: float, sigma: float | None, measured: bool) -> Amount:
    known = 0.0 if sigma is None else float(sigma)
    if element not in ATOMIC_WEIGHT or unit not in UNITS or not (math.isfinite(percent) and math.isfinite(known)):
        raise ValueError(f"no amount of an element: {element} {unit}")
    return Amount(element, unit, float(percent), None if sigma is None else known, bool(measured))


def of_unit(amounts: Iterable[Amount], unit: str) -> dict[str, Amount]:
    """Return the amounts of one unit by element."""
    return {amount.element: amount for amount in amounts if amount.unit == unit}


def in_both_units(amounts: Sequence[Amount]) -> tuple[Amount, ...]:
    """Add what the amounts are in the other unit; those that are given in both stay as they are.

    Examples
    --------
    >>> [(a.unit, round(a.percent)) for a in in_both_units([Amount("O", "wt", 47.07), Amount("Al", "wt", 52.93)])]
    [('wt', 47), ('wt', 53), ('at', 60), ('at', 40)]
    """
    at, wt = of_unit(amounts, "at"), of_unit(amounts, "wt")
    if wt.keys() - at.keys():
        return (*wt.values(), *_converted(wt, "at"))
    if at.keys() - wt.keys():
        return (*at.values(), *_converted(at, "wt"))
    return (*at.values(), *wt.values())


def _converted(known: Mapping[str, Amount], unit: str) -> list[Amount]:
    """The amounts in ``unit``, scaled to 100 %.

    With weights m the other unit is x_i = 100 w_i m_i / S, S = sum w_j m_j, so that dx_i/dw_k = m_k (100 d_ik - x_i)/S;
    the errors of the amounts are taken as independent.
    """
    factors = {e: 1 / ATOMIC_WEIGHT[e] if unit == "at" else ATOMIC_WEIGHT[e] for e in known}
    total = sum(known[e].percent * factors[e] for e in known)
    if total <= 0:
        return []
    percent = {e: 100 * known[e].percent * factors[e] / total for e in known}
    sigmas = {e: amount.sigma for e, amount in known.items() if amount.sigma is not None}

    def sigma(element: str) -> float | None:
        if len(sigmas) < len(known):
            return None
        return math.hypot(*(factors[e] * (100 * (e == element) - percent[element]) / total * sigmas[e] for e in known))

    return [Amount(e, unit, percent[e], sigma(e), measured=False) for e in known]


def mean(compositions: Sequence[Sequence[Amount]], unit: str) -> tuple[Amount, ...]:
    """Return the mean of several compositions; an element that one of them does not have counts as 0 there.

    The mean of compositions of 100 % is then one of 100 %. Its errors come from those of the amounts, without the
    spread between the compositions; they are not known where one of these is not.
    """
    if not compositions:
        return ()
    found = [of_unit(amounts, unit) for amounts in compositions]
    count = len(found)
    result = []
    for element in dict.fromkeys(element for amounts in found for element in amounts):
        known = [amounts[element] for amounts in found if element in amounts]
        sigmas = [amount.sigma for amount in known if amount.sigma is not None]
        sigma = math.hypot(*sigmas) / count if len(sigmas) == len(known) else None
        percent = sum(amount.percent for amount in known) / count
        result.append(Amount(element, unit, percent, sigma, all(amount.measured for amount in known)))
    return tuple(result)


def less_reference(amounts: Sequence[Amount], reference: Sequence[Amount]) -> tuple[Amount, ...]:
    """Return what is left when a reference measured beside it is taken away; no amount falls below 0.

    Both are of one unit. What is left is not scaled to 100 %; its errors add up in squares where both are known.
    """
    beside = {amount.element: amount for amount in reference}
    result = []
    for amount in amounts:
        other = beside.get(amount.element, Amount(amount.element, amount.unit, 0.0, 0.0))
        known = amount.sigma is not None and other.sigma is not None
        sigma = math.hypot(amount.sigma or 0.0, other.sigma or 0.0) if known else None
        result.append(Amount(amount.element, amount.unit, max(amount.percent - other.percent, 0.0), sigma, False))
    return tuple(result)


def percent_error_text(amount: Amount | None) -> str:
    """``27.8 ± 0.5``; without the error where it is not known, "–" for nothing."""
    if amount is None:
        return "–"
    return f"{amount.percent:.1f}" if amount.sigma is None else f"{amount.percent:.1f} ± {amount.sigma:.1f}"


def composition_text(amounts: Iterable[Amount]) -> str:
    """``O 61.2, Ni 27.8, Co 11.1 at%``: the largest amount first; "" for no amounts."""
    known = sorted(amounts, key=lambda amount: -amount.percent)
    return f"{', '.join(f'{a.element} {a.percent:.1f}' for a in known)} {SHORT[known[0].unit]}" if known else ""
