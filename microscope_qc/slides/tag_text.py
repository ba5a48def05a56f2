"""XML and numbers in the metadata of files: whatever they hold, reading them does not fail."""

from __future__ import annotations

import math
from typing import Any

MAX_XML_CHARS = 256 << 20


def parsed_xml(text: str | None) -> Any:
    """The root of a document without entities; None where it is no such document."""
    from defusedxml import ElementTree
    from defusedxml.common import DefusedXmlException

    if not text or len(text) > MAX_XML_CHARS:
        return None
    try:
        return ElementTree.fromstring(text.strip("\0 \r\n\t"), forbid_dtd=True)
    except (ElementTree.ParseError, DefusedXmlException, ValueError):
        return None


def local_name(node: Any) -> str:
    """Name of an element without its name space."""
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""


def number(value: Any) -> float | None:
    """A finite number; None for anything else."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
