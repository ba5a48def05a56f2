"""The example of another package, installed as users would, and used as if it had been there from the start."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from microscope_qc.core import plugins
from microscope_qc.workflows.plugins import REGISTRIES

SOURCE = Path(__file__).with_name("example_plugin")


def installer() -> list[str]:
    """The command that installs packages, without a network."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "install", "--no-index", "--disable-pip-version-check"]
    name = "uv.exe" if sys.platform == "win32" else "uv"
    for uv in (Path(sys.prefix) / "uv" / "bin" / name, shutil.which("uv")):
        if uv is not None and Path(uv).exists():
            return [str(uv), "pip", "install", "--offline", "--no-cache", "--python", sys.executable]
    pytest.skip("neither pip nor uv is there")


def install(folder: Path, package: Path = SOURCE) -> Path:
    """Install the example, or another package, into a folder, which goes on the path."""
    source = folder / "source"  # builds leave files beside what they build
    shutil.copytree(package, source, ignore=shutil.ignore_patterns("__pycache__"))
    target = folder / "installed"
    command = [*installer(), "--quiet", "--no-deps", "--no-build-isolation", "--target", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return target


def use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the installed package in this process, as if it had been there before it began."""
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    monkeypatch.setattr(plugins, "_entry_points", plugins._entry_points.__wrapped__)
    for registry in REGISTRIES:
        monkeypatch.setattr(registry, "_plugins", None)
        monkeypatch.setattr(registry, "_problems", [])
        monkeypatch.setattr(registry, "_loaded", dict(registry._loaded))
