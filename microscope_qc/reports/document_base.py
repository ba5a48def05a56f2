"""What all parts of a report's document have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class DocumentPart(BaseModel):
    """A part of the document; numbers that are not known are null, and a ``..._reason`` says why."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)
