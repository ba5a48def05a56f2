"""The model in use: what detections use unless another one is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from microscope_qc.core.errors import InputError
from microscope_qc.project.deltas import Delta
from microscope_qc.project.records import LogEntry, ModelInUse
from microscope_qc.project.store import Store

_ROW = 1


class ModelInUsePart:
    """Which model is in use; changing it is a step of the history, so that one click takes it back."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def current(self) -> ModelInUse | None:
        """The model in use; None where nobody has chosen one."""
        return next(iter(self._store.memory.models), None)

    @property
    def argument(self) -> str:
        """What a detection takes: the name of a bundled model or the path of a folder; "" where none is chosen."""
        current = self.current
        if current is None:
            return ""
        inside = current.inside_project
        return str(self._store.path / current.model) if inside else current.model

    def use(self, model: str | Path, *, name: str) -> LogEntry | None:
        """Put a model in use (undoable); return the log entry, None where nothing changed.

        Parameters
        ----------
        model
            Name of a bundled model, or the absolute path of a folder; one in the project is found there again where
            the project is moved.
        name
            What it is called.

        Raises
        ------
        InputError
            When the model or its name is empty.
        """
        text = str(model)
        if not text or not name:
            raise InputError("A model has a name.", hint="Name the model to use.")
        path = Path(text)
        inside = path.is_absolute() and path.is_relative_to(self._store.path)
        stored = path.relative_to(self._store.path).as_posix() if inside else text
        return self._change({"id": _ROW, "model": stored, "name": name, "inside_project": inside})

    def clear(self) -> LogEntry | None:
        """Put no model in use (undoable)."""
        return self._change(None)

    def _change(self, row: dict[str, Any] | None) -> LogEntry | None:
        self._store.require_writable()
        current = self.current
        before = None if current is None else {
            "id": _ROW, "model": current.model, "name": current.name, "inside_project": current.inside_project,
        }  # fmt: skip
        if before == row:
            return None
        was = f" (was {before['name']})" if before is not None else ""
        if row is None:
            assert before is not None
            return self._store.commit(f"No model in use{was}", [Delta.deleted("model_in_use", [before])])
        delta = (
            Delta.inserted("model_in_use", [row])
            if before is None
            else Delta.edited("model_in_use", before, {name: row[name] for name in row if name != "id"})
        )
        return self._store.commit(f"Model in use: {row['name']}{was}", [delta])
