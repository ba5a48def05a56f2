"""Imports torchvision without torch's compiler, from which it needs only one function.

Importing both took 2.2 to 2.7 s, torchvision alone takes 0.2 to 0.3 s, on two cores after torch itself (2.9 s): every
detection would start two seconds later. Only the RoI layers call that function, when they must be deterministic, and
then they get the real one: while torchvision is imported, the compiler's module is replaced by one that loads the real
one at the first access.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

_NAME = "torch._dynamo.utils"


class _LazyCompiler(ModuleType):
    """Replaces the compiler's module until one of its functions is called or another attribute is needed."""

    @staticmethod
    def is_compile_supported(device_type: str) -> bool:
        """Call the real function."""
        return bool(importlib.import_module(_NAME).is_compile_supported(device_type))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # accessed by the import system
            raise AttributeError(name)
        if sys.modules.get(_NAME) is self:
            del sys.modules[_NAME]
        return getattr(importlib.import_module(_NAME), name)


def _import_torchvision() -> ModuleType:
    later = None
    if "torchvision" not in sys.modules and _NAME not in sys.modules:
        later = sys.modules[_NAME] = _LazyCompiler(_NAME)
    try:
        return importlib.import_module("torchvision")
    finally:
        if later is not None and sys.modules.get(_NAME) is later:
            del sys.modules[_NAME]


if TYPE_CHECKING:
    import torchvision
else:
    torchvision = _import_torchvision()

__all__ = ["torchvision"]
