"""torchvision, imported without torch's compiler: importing that takes as long as importing torch does.

torchvision asks ``torch._dynamo.utils`` for one function, which only its RoI layers call, and they are not used here.
While torchvision is imported that module is one that loads the real one when something else is wanted of it.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

_NAME = "torch._dynamo.utils"


class _Later(ModuleType):
    """Stands for the compiler's module until more is wanted of it than its answer to a call."""

    @staticmethod
    def is_compile_supported(*args: Any) -> Any:
        """Ask the real one."""
        return importlib.import_module(_NAME).is_compile_supported(*args)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system's own questions
            raise AttributeError(name)
        if sys.modules.get(_NAME) is self:
            del sys.modules[_NAME]
        return getattr(importlib.import_module(_NAME), name)


def _import_torchvision() -> Any:
    later = None
    if "torchvision" not in sys.modules and _NAME not in sys.modules:
        later = sys.modules[_NAME] = _Later(_NAME)
    try:
        return importlib.import_module("torchvision")
    finally:
        if later is not None and sys.modules.get(_NAME) is later:
            del sys.modules[_NAME]


torchvision = _import_torchvision()
