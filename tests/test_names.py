"""No two public classes of the package share a name, so that searching for a name finds one thing."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "microscope_qc"


def public_classes(root: Path) -> dict[str, list[str]]:
    """Modules by the name of each public class anywhere in a module."""
    places = defaultdict(list)
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path.relative_to(root).as_posix())
    return dict(places)


def shared_names(root: Path) -> dict[str, list[str]]:
    """Names that several public classes have, and their modules."""
    return {name: places for name, places in public_classes(root).items() if len(places) > 1}


def test_no_two_public_classes_share_a_name():
    assert len(public_classes(PACKAGE)) > 300
    assert shared_names(PACKAGE) == {}


def test_a_shared_name_is_noticed(tmp_path):
    (tmp_path / "room").mkdir()
    (tmp_path / "a.py").write_text("class Canvas: ...\nclass _Own: ...\nclass Box: ...\n")
    (tmp_path / "room" / "b.py").write_text("class _Own: ...\nclass Canvas:\n    class Box: ...\n")
    assert shared_names(tmp_path) == {"Box": ["a.py", "room/b.py"], "Canvas": ["a.py", "room/b.py"]}
