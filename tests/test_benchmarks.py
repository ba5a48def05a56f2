"""Benchmarks and scripts, which no test runs, can still start: all they import of the program is there."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = sorted((ROOT / "tests" / "benchmarks").glob("*.py"))
SCRIPTS = [ROOT / "tests" / "e2e" / name for name in ("sample_session.py", "suggestions_session.py", "screenshots.py")]
SCRIPT = re.compile(r"^\s*(from|import) microscope_qc\b", re.MULTILINE)

# names every module and attribute of a list that is not there
CHECK = """
import importlib, json, sys
for name in json.loads(sys.argv[1]):
    module, _, attribute = name.partition(":")
    try:
        found = importlib.import_module(module)
        if attribute and not hasattr(found, attribute):
            importlib.import_module(f"{module}.{attribute}")
    except ImportError as error:
        print(f"{name}: {error}")
"""


def own_imports(source: str) -> Iterator[str]:
    """What a file imports of this repository, anywhere in it and in scripts it holds as text: "module:attribute"."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names if name.name.startswith(("microscope_qc", "tests")))
            case ast.ImportFrom(module=str(module), names=names) if module.startswith(("microscope_qc", "tests")):
                yield from (f"{module}:{name.name}" for name in names)
            case ast.Constant(value=str(text)) if SCRIPT.search(text):
                yield from own_imports(textwrap.dedent(text))


def missing(names: list[str]) -> str:
    """Sentences on what cannot be imported, "" when all can."""
    command = [sys.executable, "-c", CHECK, json.dumps(names)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    return done.stdout if done.returncode == 0 else done.stderr


def test_benchmarks_and_scripts_find_what_they_import():
    names = {f"tests.benchmarks.{path.stem}" for path in BENCHMARKS}
    for path in [*BENCHMARKS, *SCRIPTS]:
        names.update(own_imports(path.read_text(encoding="utf-8")))
    assert len(names) > len(BENCHMARKS)
    assert missing(sorted(names)) == ""


def test_an_import_that_leads_nowhere_is_noticed():
    source = '''
from microscope_qc.core.jobs import run_job, walk_job
def late():
    import microscope_qc.nowhere
CHILD = """
    import sys
    from microscope_qc.core import geometry, geography
"""
'''
    names = sorted(own_imports(source))
    assert names == [
        "microscope_qc.core.jobs:run_job",
        "microscope_qc.core.jobs:walk_job",
        "microscope_qc.core:geography",
        "microscope_qc.core:geometry",
        "microscope_qc.nowhere",
    ]
    told = [line.split(": ")[0] for line in missing(names).splitlines()]
    assert told == ["microscope_qc.core.jobs:walk_job", "microscope_qc.core:geography", "microscope_qc.nowhere"]


def test_a_script_that_is_no_longer_python_is_noticed():
    with pytest.raises(SyntaxError):
        list(own_imports('CHILD = """\nimport microscope_qc.core\nprint(\n"""'))
