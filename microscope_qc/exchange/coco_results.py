"""Results of a detector as COCO writes them: a list of boxes that knows pictures and classes by number only.

The names are in the annotation file that the detector was tested with. Ultralytics says the picture's name instead of
its number.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from microscope_qc.core.errors import ExchangeError
from microscope_qc.exchange.loading import as_list, read_json

MOST_NEIGHBOURS = 20


def key_of(value: Any) -> str:
    """An id of a COCO file as text: 1, 1.0 and "1" are the same; "" for what is no id."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() if not isinstance(value, int) or abs(value) < 2**63 else ""


def are_results(root: list[Any]) -> bool:
    """Whether a list is one of results."""
    first = next((item for item in root if isinstance(item, dict)), {})
    return {"image_id", "category_id"} <= first.keys() and ("bbox" in first or "segmentation" in first)


def names_for_results(file: Path, results: list[Any]) -> dict[str, Any]:
    """``images`` and ``categories`` of the pictures and classes in a file of results.

    They come from the annotation file beside it that lists all of them, else from the results as far as they say them.

    Raises
    ------
    ExchangeError
        When they are not known.
    """
    entries = [item for item in results if isinstance(item, dict)]
    pictures = dict.fromkeys(key_of(item.get("image_id")) for item in entries)
    categories = dict.fromkeys(key_of(item.get("category_id")) for item in entries)
    found = [
        root for root in _beside(file) if _lists(root, "images", pictures) and _lists(root, "categories", categories)
    ]
    if len(found) == 1:
        return {"images": found[0]["images"], "categories": found[0]["categories"]}
    names = {key_of(item.get("image_id")): item.get("file_name") or item.get("image_id") for item in entries}
    if len(found) > 1 or (len(names) > 1 and not all(isinstance(name, str) for name in names.values())):
        raise ExchangeError(
            f"{file.name} holds results, which name pictures and classes by number only.",
            hint="Put it into one folder with the annotation file that lists them, and import it again."
            if not found
            else "Leave only the annotation file in its folder that the results were made with.",
        )
    return {
        "images": [
            {"id": key, "file_name": name if isinstance(name, str) else file.stem, "named": isinstance(name, str)}
            for key, name in names.items()
        ],
        "categories": [{"id": key, "name": f"class {key}"} for key in categories],
    }


def _beside(file: Path) -> list[dict[str, Any]]:
    found = []
    for other in sorted(file.parent.glob("*.json"))[:MOST_NEIGHBOURS]:
        if other == file:
            continue
        try:
            root = read_json(other)
        except ExchangeError:
            continue  # not the one that is wanted
        if isinstance(root, dict) and as_list(root.get("images")) and as_list(root.get("categories")):
            found.append(root)
    return found


def _lists(root: dict[str, Any], what: str, wanted: dict[str, None]) -> bool:
    listed = {key_of(entry.get("id")) for entry in root[what] if isinstance(entry, dict)}
    return wanted.keys() <= listed
