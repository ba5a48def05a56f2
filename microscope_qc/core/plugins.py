"""Registries of everything that can be added to the program: built in, or in other packages through entry points.

Formats, networks, statistics and panels are found here by name. A built-in is imported when it is first used; entry
points of the group ``microscope_qc.<group>`` are added to the built-ins. A plugin that cannot be imported, is not what
it claims, or takes a name in use is left out and listed in :attr:`Registry.problems`; it never stops the program.

Modelled on how zarr-python finds its codecs (``zarr.registry``).
"""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from microscope_qc.core.errors import Cancelled, InputError, MicroscopeQCError, PluginError

T = TypeVar("T")

PREFIX = "microscope_qc"

log = logging.getLogger(__name__)


class Match(IntEnum):
    """How well a file fits a format or a reader; the best fit is taken."""

    NONE = 0
    POSSIBLE = 1
    """Nothing speaks against it: plain text, a table or a folder whose content says nothing."""
    CERTAIN = 2
    """The content says so."""


def certain(found: bool) -> Match:
    """Return ``Match.CERTAIN`` where the content says so."""
    return Match.CERTAIN if found else Match.NONE


@dataclass(frozen=True, slots=True)
class PluginProblem:
    """A plugin that was left out: its name, its package, and the reason as a sentence for the user."""

    group: str
    name: str
    package: str
    reason: str

    def __str__(self) -> str:
        return f"The plugin {self.name} of {self.package} is left out: {self.reason}"


class Registry(Generic[T]):
    """Objects of one kind by name, in order: built-ins first, then plugins by name.

    Parameters
    ----------
    group
        Entry points of ``microscope_qc.<group>`` are read.
    check
        Returns the object with its type if it is what the group contains; raises TypeError or ValueError with a reason
        otherwise.
    builtin
        Names and their locations as "module:attribute".
    what
        What an object is called in messages, such as "annotation format".
    """

    def __init__(
        self, group: str, check: Callable[[object], T], builtin: Mapping[str, str], *, what: str = "plugin"
    ) -> None:
        self.group = f"{PREFIX}.{group}"
        self.what = what
        self._check = check
        self._builtin = dict(builtin)
        self._loaded: dict[str, T] = {}
        self._plugins: dict[str, EntryPoint] | None = None
        self._problems: list[PluginProblem] = []
        self._lock = threading.RLock()

    def __contains__(self, name: object) -> bool:
        return name in self._builtin or name in self._found()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def names(self) -> list[str]:
        """All names, without importing anything; a plugin that is not usable is still among them."""
        return [*self._builtin, *sorted(self._found())]

    def get(self, name: str) -> T:
        """Return the object of this name, importing it if necessary.

        Raises
        ------
        InputError
            When there is none, or it is a plugin that is not usable.
        """
        if name in self._loaded:
            return self._loaded[name]
        if name in self._builtin:
            return self._keep(name, self._check(_resolve(self._builtin[name])))
        plugin = self._found().get(name)
        if plugin is None:
            left_out = next((problem for problem in self._problems if problem.name == name), None)
            hint = str(left_out) if left_out is not None else f"Choose one of: {', '.join(self.names())}."
            raise InputError(f"There is no {self.what} {name!r}.", hint=hint)
        try:
            return self._keep(name, self._honest(name, self._check(plugin.load())))
        except (Exception, SystemExit) as error:  # third-party code: whatever it raises, the program continues
            problem = self._leave_out(plugin, error)
            raise InputError(f"There is no {self.what} {name!r}.", hint=str(problem)) from error

    def drop(self, name: str, error: Exception) -> None:
        """Leave out a plugin that failed in use; the error of a built-in is raised instead."""
        plugin = self._found().get(name)
        if plugin is None:
            raise error
        self._loaded.pop(name, None)
        self._leave_out(plugin, error)

    @contextmanager
    def in_use(self, name: str) -> Iterator[None]:
        """Run code of a thing: what goes wrong in a plugin beyond sentences for the user is said to be its fault.

        Raises
        ------
        PluginError
            When a plugin raises anything but a ``MicroscopeQCError``.
        """
        try:
            yield
        except (MicroscopeQCError, Cancelled):
            raise
        except Exception as error:
            plugin = self._found().get(name)
            if plugin is None:
                raise
            log.info("Where the plugin %s failed:", name, exc_info=error)
            raise PluginError(
                f"The {self.what} {name} of {_package(plugin)} failed: {_reason(error)}",
                hint=f"The log of the window says more; those who made {_package(plugin)} may want to see it.",
            ) from error

    def usable(self) -> list[str]:
        """All names that can be used; plugins are imported to find out, built-ins are not."""
        return [name for name in self.names() if name in self._builtin or self._is_usable(name)]

    def items(self) -> list[tuple[str, T]]:
        """Names and objects, without plugins that are not usable."""
        found = []
        for name in self.names():
            try:
                found.append((name, self.get(name)))
            except InputError:
                if name in self._builtin:
                    raise
        return found

    def values(self) -> list[T]:
        """All objects, without plugins that are not usable."""
        return [thing for _, thing in self.items()]

    @property
    def problems(self) -> list[PluginProblem]:
        """The plugins that were left out so far, with the reasons."""
        self._found()
        return list(self._problems)

    def package_of(self, name: str) -> str:
        """Return the package that a name comes from; "" for a built-in."""
        plugin = self._found().get(name)
        return "" if plugin is None else _package(plugin)

    def _is_usable(self, name: str) -> bool:
        try:
            self.get(name)
        except InputError:
            return False
        return True

    def _keep(self, name: str, thing: T) -> T:
        self._loaded[name] = thing
        return thing

    def _honest(self, name: str, thing: T) -> T:
        stated = getattr(thing, "name", name)
        if stated != name:
            raise ValueError(f"it is registered as {name} but calls itself {stated}")
        return thing

    def _found(self) -> dict[str, EntryPoint]:
        with self._lock:
            if self._plugins is None:
                found: dict[str, EntryPoint] = {}
                for point in sorted(_entry_points(self.group), key=lambda point: (point.name, _package(point))):
                    if point.name in self._builtin:
                        self._leave_out(point, f"{point.name} is the name of a built-in {self.what}.")
                    elif point.name in found:
                        self._leave_out(point, f"{_package(found[point.name])} uses the same name.")
                    else:
                        found[point.name] = point
                self._plugins = found
            return self._plugins

    def _leave_out(self, point: EntryPoint, reason: str | BaseException) -> PluginProblem:
        said = reason if isinstance(reason, str) else _reason(reason)
        problem = PluginProblem(self.group, point.name, _package(point), said)
        with self._lock:
            if self._plugins is not None and self._plugins.get(point.name) is point:
                # another thread may be going through the old ones
                self._plugins = {name: other for name, other in self._plugins.items() if other is not point}
            elif any((known.name, known.package) == (problem.name, problem.package) for known in self._problems):
                return problem  # another thread was first
            self._problems.append(problem)
        log.warning("%s", problem)  # printed on the command line, shown in the log of the window
        if not isinstance(reason, str):
            log.info("Where the plugin %s failed:", point.name, exc_info=reason)
        return problem


@cache
def _entry_points(group: str) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=group))


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value.partition(":")[0]


def _resolve(place: str) -> object:
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _reason(error: BaseException) -> str:
    text = str(error).split("\n", 1)[0].rstrip(".")
    if isinstance(error, (TypeError, ValueError)) and text:
        return text + "."
    return f"{type(error).__name__}: {text}." if text else f"{type(error).__name__}."
