"""What other packages have brought, as a whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from microscope_qc.analysis.registry import STATISTICS
from microscope_qc.core.plugins import PluginProblem, Registry
from microscope_qc.correlation.registry import STAGE_FORMATS
from microscope_qc.exchange.registry import FORMATS
from microscope_qc.ml.architectures.base import ARCHITECTURES
from microscope_qc.ml.tasks.kinds import TASKS
from microscope_qc.slides.registry import READERS
from microscope_qc.workflows.exports import EXPORTS, export_names

REGISTRIES: tuple[Registry[Any], ...] = (
    ARCHITECTURES, TASKS, READERS, FORMATS, STAGE_FORMATS, STATISTICS, EXPORTS,
)  # fmt: skip
"""All but the panels, which only the window knows."""


def left_out() -> list[PluginProblem]:
    """Import every plugin but the panels, and return those that cannot be used."""
    for registry in REGISTRIES:
        registry.usable()
    export_names()  # an export must not be called as an annotation format is
    return [problem for registry in REGISTRIES for problem in registry.problems]


@dataclass(frozen=True, slots=True)
class InstalledPlugin:
    """One thing that another package adds, or would add.

    Attributes
    ----------
    what
        Such as "network" or "slide format".
    name
        As users type it.
    package, version, place
        The package, its version ("" where it is not known), and the folder it lies in (None where it is not known).
    refused
        Why it is left out, as a sentence; "" when it is used.
    """

    what: str
    name: str
    package: str
    version: str
    place: Path | None
    refused: str = ""


def unseen_panels() -> Registry[object]:
    """The panels of other packages by name, without importing them: only the window can."""
    return Registry("panels", lambda thing: thing, {}, what="panel")


def installed_plugins(panels: Registry[Any] | None = None) -> list[InstalledPlugin]:
    """Everything that other packages add, by package, what was refused among it; imports it to find out.

    Parameters
    ----------
    panels
        The window's panels; without them, panels are listed as used.
    """
    left_out()
    found = []
    if panels is not None:
        panels.usable()
    for registry in (*REGISTRIES, panels if panels is not None else unseen_panels()):
        for name in registry.names():
            if package := registry.package_of(name):
                found.append(_plugin(registry.what, name, package))
        found += [_plugin(registry.what, one.name, one.package, one.reason) for one in registry.problems]
    return sorted(found, key=lambda one: (one.package.casefold(), bool(one.refused)))


def with_refused(plugins: Iterable[InstalledPlugin], problems: Iterable[PluginProblem]) -> list[InstalledPlugin]:
    """Mark what was refused later, as a panel whose actions clash with others."""
    reasons = {(one.name, one.package): one.reason for one in problems if one.group == "microscope_qc.panels"}
    return [
        InstalledPlugin(one.what, one.name, one.package, one.version, one.place, reasons[one.name, one.package])
        if one.what == "panel" and not one.refused and (one.name, one.package) in reasons
        else one
        for one in plugins
    ]


def _plugin(what: str, name: str, package: str, refused: str = "") -> InstalledPlugin:
    try:
        there = distribution(package)
    except PackageNotFoundError:
        return InstalledPlugin(what, name, package, "", None, refused)
    return InstalledPlugin(what, name, package, there.version, Path(str(there.locate_file(""))), refused)
