"""Rules from composition to class: which material a defect is, and what speaks for it. A person takes the class.

Compositions are in atom %. What coats the specimen for the SEM is left out, and the rest is scaled to 100 %.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from microscope_qc.core.cells import one_line
from microscope_qc.core.composition import Amount
from microscope_qc.core.elements import ATOMIC_WEIGHT, element_in
from microscope_qc.core.errors import InputError
from microscope_qc.core.files import atomic_write
from microscope_qc.core.json_files import read_json
from microscope_qc.core.resources import resource
from microscope_qc.correlation.conditions import Condition, condition

SUFFIX = ".edx-rules.json"
FORMAT = "microscope-qc edx rules"
MOST_RULES = 1000


@dataclass(frozen=True, slots=True)
class EdxRule:
    """A material and the condition under which a composition is taken for it.

    ``code`` is the class that a finding of this material should have, ``class_name`` how it is called where the project
    does not have it yet; without a code the rule only names the material. A rule that is not ``used`` is kept only.

    Raises
    ------
    InputError
        When it has no name, or its condition cannot be understood.
    """

    name: str
    when: str
    code: str = ""
    class_name: str = ""
    used: bool = True

    def __post_init__(self) -> None:
        """Check it."""
        if not self.name.strip():
            raise InputError("A rule needs a name.", hint="Write what material it is.")
        _ready(self.when)

    @property
    def condition(self) -> Condition:
        """The condition, ready to be asked."""
        return _ready(self.when)


_ready = lru_cache(maxsize=2 * MOST_RULES)(condition)


@dataclass(frozen=True, slots=True)
class HeldRule:
    """A rule that holds for a composition, and why."""

    rule: EdxRule
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EdxRules:
    """Rules in the order in which they are asked, and the elements of a coating.

    Raises
    ------
    InputError
        When the coating is none of elements.
    """

    rules: tuple[EdxRule, ...]
    coating: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the coating."""
        strange = next((symbol for symbol in self.coating if symbol not in ATOMIC_WEIGHT), None)
        if strange is not None:
            raise InputError(f"“{strange[:20]}” is not an element.", hint="Write symbols of elements, such as Au, C.")

    def held(self, amounts: Iterable[Amount], reference: Iterable[Amount] = ()) -> list[HeldRule]:
        """Return the rules that hold for a composition, the one that gives a class first.

        Parameters
        ----------
        reference
            What was measured beside it, if anything was.
        """
        percent, beside = self.percent(amounts), self.percent(reference)
        asked = ((rule, rule.condition.holds(percent, beside or None)) for rule in self.rules if rule.used)
        held = [HeldRule(rule, tuple(why)) for rule, why in asked if percent and why is not None]
        return sorted(held, key=lambda one: not one.rule.code)

    def percent(self, amounts: Iterable[Amount]) -> dict[str, float]:
        """Atom % without the coating, scaled to 100 %; {} where nothing else was measured."""
        known = {a.element: a.percent for a in amounts if a.unit == "at" and a.element not in self.coating}
        total = sum(known.values())
        return {element: 100 * percent / total for element, percent in known.items()} if total > 0 else {}


def coating_in(text: str) -> tuple[str, ...]:
    """Elements of a coating as a user writes them: "Au, C" or "gold carbon".

    Raises
    ------
    InputError
        When one of them is not an element.
    """
    words = text.replace(",", " ").replace(";", " ").split()
    found = [(word, element_in(word)) for word in words]
    strange = next((word for word, symbol in found if symbol is None), None)
    if strange is not None:
        raise InputError(f"“{strange[:20]}” is not an element.", hint="Write symbols of elements, such as Au, C.")
    return tuple(dict.fromkeys(symbol for _, symbol in found if symbol is not None))


@lru_cache(maxsize=1)
def shipped_rules() -> EdxRules:
    """Return the rules that come with the program."""
    return load_rules(resource("edx", f"shipped{SUFFIX}"))


def rules_to_json(rules: EdxRules) -> dict[str, Any]:
    """Return rules as they are stored."""
    entries = [
        {"name": r.name, "when": r.when, "class": r.code, "class_name": r.class_name, "used": r.used}
        for r in rules.rules
    ]
    return {"format": FORMAT, "version": 1, "coating": list(rules.coating), "rules": entries}


def rules_from_json(content: Any, *, where: str = "The file") -> EdxRules:
    """Return stored rules.

    Raises
    ------
    InputError
        When they are none; the message says what is wrong, and ``where``.
    """
    entries = content.get("rules") if isinstance(content, Mapping) else None
    if not isinstance(entries, list) or len(entries) > MOST_RULES:
        raise InputError(f"{where} holds no rules for compositions.", hint=f"Choose a file NAME{SUFFIX}.")
    coating = content.get("coating", [])
    if not isinstance(coating, list) or not all(isinstance(symbol, str) for symbol in coating):
        raise InputError(f"{where}: the coating is no list of elements.", hint='Such as ["Au"].')
    return EdxRules(tuple(_rule(entry, n, where) for n, entry in enumerate(entries, start=1)), tuple(coating))


def _rule(entry: Any, number: int, where: str) -> EdxRule:
    known = entry if isinstance(entry, Mapping) else {}
    texts = {key: known.get(key, "") for key in ("name", "when", "class", "class_name")}
    used = known.get("used", True)
    if not all(isinstance(text, str) for text in texts.values()) or not isinstance(used, bool):
        raise InputError(f"{where}: rule {number} cannot be read.", hint="It needs a name and a condition.")
    name, code, class_name = (one_line(texts[key]) for key in ("name", "class", "class_name"))
    try:
        return EdxRule(name, texts["when"], code, class_name, used)
    except InputError as error:
        raise InputError(f"{where}, rule {number}: {error.message}", hint=error.hint) from error


def save_rules(path: Path | str, rules: EdxRules) -> Path:
    """Write rules and return the path (``.edx-rules.json`` is added if it is missing).

    Raises
    ------
    WriteError
        When the file cannot be written.
    """
    path = Path(path)
    target = path if path.name.endswith(SUFFIX) else path.with_name(path.name.removesuffix(".json") + SUFFIX)
    atomic_write(target, json.dumps(rules_to_json(rules), ensure_ascii=False, indent=1) + "\n")
    return target


def load_rules(path: Path | str) -> EdxRules:
    """Read rules from a file.

    Raises
    ------
    InputError
        When the file holds none; the message says what is wrong.
    """
    path = Path(path)
    content = read_json(path, what="rules", suffix=SUFFIX)
    return rules_from_json(content, where=path.name)
