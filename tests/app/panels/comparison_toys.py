"""A comparison of two models as a project keeps it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from microscope_qc.workflows.detection.places import weights_fingerprint


def comparison(
    new: Path, old: Path, ids: Sequence[int], *, ahead: str | None = None, verdict: str = "No difference is shown."
) -> dict[str, Any]:
    """The document of a comparison: two findings found by the new one only, one false, one missed by both."""
    place = {"picture": "S1.png", "scene": None, "class": "ACP", "slide": 1, "box": [1, 2, 3, 4], "confidence": None}
    differ = [place | {"kind": "found by new only", "finding": number} for number in ids[:2]]
    differ.append(place | {"kind": "false in old", "confidence": 0.75, "finding": None})
    of_class = {
        "precision": 0.5, "recall": 0.5, "ap50": 0.4, "ap50_interval": [0.2, 0.6], "finds": 4, "truth": 4,
    }  # fmt: skip
    model = {
        "map50": 0.4, "map50_interval": [0.3, 0.5], "f1": 0.5, "precision": 0.5, "recall": 0.5, "finds": 4, "truth": 4,
        "seconds_per_picture": 0.021, "seconds_per_mm2": 12.0, "per_class": {"ACP": of_class},
    }  # fmt: skip
    difference = {"new": 0.4, "old": 0.4, "difference": 0.034, "interval": [0.01, 0.058], "p": 0.006}
    found = {"both": 1, "only_new": 2, "only_old": 0, "neither": 1, "p": 0.5}
    return {
        "verdict": verdict, "ahead": ahead, "truth": 4, "places": 9, "pictures": 9, "classes": ["ACP"],
        "notes": ["A note."], "new": model | {"model": new.name}, "old": model | {"model": old.name},
        "differences": {"map50": difference, "f1": difference}, "mcnemar": found,
        "class_differences": {"ACP": {"ap50": difference, "mcnemar": found}}, "disagreements": differ,
        "both_wrong": [place | {"kind": "found by none", "finding": number} for number in ids[2:3]],
        "date": "2026-03-01T09:30:00+01:00", "data": "unlike", "model_um": 0.5,
        "weights": {"new": weights_fingerprint(new), "old": weights_fingerprint(old)},
    }  # fmt: skip


def keep(project: Path, document: dict[str, Any], name: str) -> Path:
    """Keep a comparison with a project; the last name is the newest one."""
    folder = project / "comparisons" / name
    folder.mkdir(parents=True)
    (folder / "comparison.json").write_text(json.dumps(document))
    (folder / "page.html").write_text("the page")
    return folder
