"""Values stored with a project; they are not part of undo."""

from __future__ import annotations

import json
from typing import Any

from microscope_qc.core.errors import InputError
from microscope_qc.project import schema
from microscope_qc.project.store import Store


class StoredSettings:
    """JSON values by key, read once and written immediately."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, ``default`` where none is stored."""
        return self._store.memory.settings.get(key, default)

    def set(self, key: str, value: object) -> None:
        """Store a JSON value.

        Raises
        ------
        InputError
            When the value cannot be JSON.
        """
        self._store.require_owner()
        try:
            stored = json.dumps(value)
        except (TypeError, ValueError) as error:
            raise InputError(f"The setting {key} cannot be stored ({error}).") from error
        with self._store.database.begin() as connection:
            connection.execute(schema.settings.delete().where(schema.settings.c.key == key))
            connection.execute(schema.settings.insert().values(key=key, value=stored))
        self._store.memory.settings[key] = json.loads(stored)
