"""Values stored with a project; they are not part of undo."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from microscope_qc.core.errors import InputError, ProjectError
from microscope_qc.project import schema
from microscope_qc.project.database import driver
from microscope_qc.project.store import Store

_log = logging.getLogger(__name__)
_KEEP_SQL = "INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


class StoredSettings:
    """JSON values by key, read once and written immediately."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, ``default`` where none is stored."""
        return self._store.memory.settings.get(key, default)

    def set(self, key: str, value: object, *, light: bool = False) -> None:
        """Store a JSON value.

        Parameters
        ----------
        light
            Do not wait for the disk: a power failure may undo it.

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
        database = self._store.database
        with database.begin_lightly() if light else database.begin() as connection:
            connection.execute(schema.settings.delete().where(schema.settings.c.key == key))
            connection.execute(schema.settings.insert().values(key=key, value=stored))
        self._store.memory.settings[key] = json.loads(stored)

    def remember(self, key: str, value: object) -> None:
        """Store where a user is, such as the slide on screen; what cannot be stored stays in memory.

        It keeps nobody from going on, or from closing the project.
        """
        try:
            self.set(key, value)
        except ProjectError as error:
            _log.warning("%s of %s was not stored: %s", key, self._store.name, error)
            self._store.memory.settings[key] = json.loads(json.dumps(value))

    def keep(self, values: Mapping[str, object]) -> None:
        """Keep what the program found out: stored at once where this may be written, else in memory."""
        store = self._store
        stored = {key: json.dumps(value) for key, value in values.items()}
        if stored and not store.read_only and store.displaced is None:
            with store.database.begin() as connection:
                driver(connection).executemany(_KEEP_SQL, list(stored.items()))
        store.memory.settings.update({key: json.loads(value) for key, value in stored.items()})
