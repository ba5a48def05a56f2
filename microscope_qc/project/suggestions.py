"""What a learning model suggests on each slide: one file for a slide, replaced as a whole, beside the findings.

Suggestions are no findings: they have no numbers, and nothing counts or exports them.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.arrays import Floats, Ints
from microscope_qc.core.files import atomic_write
from microscope_qc.project.records import RunRecord, SlideRecord

FOLDER = "suggestions"
HOW_GOOD_NAME = "how_good.json"
FORETOLD_NAME = "foretold.json"
KEPT_NAME = "Learned from labels"
"""With this begins the name of the model of a detection that was made of suggestions."""
_LARGEST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class SuggestionSet:
    """What was suggested on a slide, the surest first.

    Attributes
    ----------
    boxes : (n, 4)
        y0, x0, y1, x1 in full-resolution pixels.
    scores, class_ids, class_shares : (n,)
        How sure it is that there is something; its likeliest class, and how sure that is.
    round
        Digest of what was learned from.
    made
        When, as ISO 8601.
    labels
        Number of defects that were learned from.
    """

    boxes: Floats
    scores: Floats
    class_ids: Ints
    class_shares: Floats
    round: str = ""
    made: str = ""
    labels: int = 0

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def none(cls) -> SuggestionSet:
        """Nothing is suggested."""
        return cls(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64), np.zeros(0))

    def with_more(self, more: SuggestionSet) -> SuggestionSet:
        """These, then others; round, time and labels are those of these."""
        return SuggestionSet(
            np.concatenate([self.boxes, more.boxes]), np.concatenate([self.scores, more.scores]),
            np.concatenate([self.class_ids, more.class_ids]), np.concatenate([self.class_shares, more.class_shares]),
            self.round, self.made, self.labels,
        )  # fmt: skip

    def only(self, keep: np.ndarray) -> SuggestionSet:
        """Some of them, by a mask or by indices."""
        return SuggestionSet(
            self.boxes[keep], self.scores[keep], self.class_ids[keep], self.class_shares[keep], self.round, self.made,
            self.labels,
        )  # fmt: skip


def write_suggestions(project: Path, slide: SlideRecord, found: SuggestionSet) -> None:
    """Replace what is suggested on a slide.

    Raises
    ------
    WriteError
        When it cannot be written; what was there stays.
    """
    rows = zip(found.boxes, found.scores, found.class_ids, found.class_shares, strict=True)
    document = {
        **_identity(slide), "round": found.round, "made": found.made, "labels": found.labels,
        "suggestions": [
            [*(round(float(side), 2) for side in box), round(float(score), 4), int(class_id), round(float(share), 4)]
            for box, score, class_id, share in rows
        ],
    }  # fmt: skip
    atomic_write(_path(project, slide.id), json.dumps(document))


def read_suggestions(project: Path, slide: SlideRecord) -> SuggestionSet | None:
    """What is suggested on a slide, in any thread; None where that is nothing, is damaged, or is of another file."""
    path = _path(project, slide.id)
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            return None
        document = json.loads(path.read_text(encoding="utf-8"))
        if {name: document[name] for name in _identity(slide)} != _identity(slide):
            return None
        rows = [[float(value) for value in row] for row in document["suggestions"] if len(row) == 7]
        values = np.array([row for row in rows if all(map(math.isfinite, row))], float).reshape(-1, 7)
        labels = int(document["labels"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return None
    return SuggestionSet(
        values[:, :4], values[:, 4], values[:, 5].astype(np.int64), values[:, 6], str(document.get("round", "")),
        str(document.get("made", "")), labels,
    )  # fmt: skip


def suggestions_stamp(project: Path, slide_id: int) -> tuple[int, int]:
    """When the suggestions on a slide were written, and what is said of them, in ns; 0 where there is nothing."""
    return _written(_path(project, slide_id)), _written(project / FOLDER / HOW_GOOD_NAME)


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def drop_suggestions(project: Path, slide_id: int) -> None:
    """Suggest nothing on a slide any more."""
    with contextlib.suppress(OSError):
        _path(project, slide_id).unlink(missing_ok=True)


def is_half_kept(run: RunRecord) -> bool:
    """Whether suggestions were being kept as this detection and the program was killed: no model could finish it."""
    return run.state != "finished" and run.plan.model_name.startswith(KEPT_NAME)


def write_how_good(project: Path, sentences: Sequence[str], *, made: str) -> None:
    """Keep what is to be said of how good the suggestions are.

    Raises
    ------
    WriteError
        When it cannot be written.
    """
    atomic_write(project / FOLDER / HOW_GOOD_NAME, json.dumps({"made": made, "sentences": list(sentences)}))


def read_how_good(project: Path) -> tuple[list[str], str]:
    """What was kept by :func:`write_how_good`, and when it was made, in any thread; nothing where it is damaged."""
    try:
        document = json.loads((project / FOLDER / HOW_GOOD_NAME).read_text(encoding="utf-8"))
        return [str(sentence) for sentence in document["sentences"]], str(document["made"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return [], ""


def write_foretold(project: Path, foretold: Mapping[int, float | None]) -> None:
    """Keep how surely each finding that was judged had been suggested before; None where nothing was suggested yet.

    Raises
    ------
    WriteError
        When it cannot be written; what was there stays.
    """
    rows = [[number, score if score is None else round(score, 4)] for number, score in foretold.items()]
    atomic_write(project / FOLDER / FORETOLD_NAME, json.dumps({"findings": rows}))


def read_foretold(project: Path) -> dict[int, float | None]:
    """What was kept by :func:`write_foretold`, by the numbers of findings in their order; nothing if damaged."""
    try:
        rows = json.loads((project / FOLDER / FORETOLD_NAME).read_text(encoding="utf-8"))["findings"]
        return {int(number): None if score is None else float(score) for number, score in rows}
    except (OSError, ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return {}


def _path(project: Path, slide_id: int) -> Path:
    return project / FOLDER / f"{slide_id}.json"


def _identity(slide: SlideRecord) -> Mapping[str, Any]:
    return {"fingerprint": slide.fingerprint, "orientation": slide.orientation}
