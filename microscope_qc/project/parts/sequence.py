"""What parts with records have in common: to their readers they are sequences of records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, overload

from microscope_qc.core.errors import InputError
from microscope_qc.project.memory import R, Records
from microscope_qc.project.store import Store


class RecordPart(Sequence[R]):
    """The records of one table, always up to date; a loop keeps to those it began with."""

    table: ClassVar[str]
    noun: ClassVar[str]
    """Name of a record in messages."""

    def __init__(self, store: Store, records: Records[R]) -> None:
        self._store = store
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[R]:
        return iter(self._records)

    @overload
    def __getitem__(self, place: int) -> R: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[R]: ...

    def __getitem__(self, place: int | slice) -> R | Sequence[R]:
        return self._records[place]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of the records in their order."""
        return self._records.ids

    def by_id(self, number: int) -> R:
        """Return a record by its id.

        Raises
        ------
        InputError
            When there is no such record.
        """
        found = self._records.by_id.get(number)
        if found is None:
            raise InputError(f"There is no {self.noun} {number} in {self._store.name}.")
        return found

    def _row(self, number: int) -> dict[str, Any]:
        """The stored row of a record, to be changed."""
        self.by_id(number)  # also refuses numbers that a database cannot hold
        return self._store.row(self.table, number, what=self.noun)
