"""Documents of dictionaries and lists that are changed anywhere, for tests of what is done with untrusted files."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

DEEP: Any = []
for _ in range(300):
    DEEP = [DEEP]

ODD = st.sampled_from([
    None, True, 0, -1, 1, 2**63, 10**400, -0.5, 1e-320, 1e300, float("nan"), float("inf"), "", "x" * 5000, "0.5",
    "1e999", "\x00", "\ud800", "\u202eabc", [], [[]], [None], [1.0] * 2000, {}, {"a": 1}, {"": None}, DEEP,
])  # fmt: skip


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all nodes below this one."""
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    return [place for key in keys for place in ((*path, key), *places(node[key], (*path, key)))]


@st.composite
def changed(draw: st.DrawFn, document: Any) -> Any:
    """A copy in which one to three nodes are replaced by something odd, left out, or there twice."""
    made: Any = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        known = places(made)
        if not known:
            break
        *way, last = draw(st.sampled_from(known))
        parent = made
        for key in way:
            parent = parent[key]
        what = draw(st.sampled_from(["replace", "delete", "double"]))
        if what == "replace":
            parent[last] = copy.deepcopy(draw(ODD))
        elif what == "delete":
            del parent[last]
        elif isinstance(parent, list):
            parent.insert(last, copy.deepcopy(parent[last]))
        else:
            parent[f"{last} "] = parent[last]
    return made
