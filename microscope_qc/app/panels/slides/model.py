"""The slides as a model for views: found by words, sorted by any column, read only where it is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal
from qtpy.QtGui import QBrush, QColor, QFont, QIcon

from microscope_qc.app.base import theme
from microscope_qc.app.panels.slides.columns import NAME, SlideColumn, SlideRow, SortKey, slide_columns
from microscope_qc.core.specimen import SpecimenField
from microscope_qc.core.wording import count_text, percent_text, pixel_size_text, things
from microscope_qc.project.counting import StateCounts
from microscope_qc.project.records import SlideRecord

Index: TypeAlias = QModelIndex | QPersistentModelIndex
NOWHERE = QModelIndex()
SLIDE_ID = Qt.ItemDataRole.UserRole
SECOND_LINE = Qt.ItemDataRole.UserRole + 1
"""What stands below the name where there is no room for columns."""
FEW = 50
_FLAGS = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemNeverHasChildren
_NAME_FLAGS = _FLAGS | Qt.ItemFlag.ItemIsEditable
_NOTHING = StateCounts()


class SlidesModel(QAbstractTableModel):
    """One row for each slide that the search finds.

    Parameters
    ----------
    icon_of
        Returns the picture of a slide; called for rows on screen only.
    rename
        Gives a slide another name, by its id; returns whether that was done.
    """

    repaint_wanted = Signal()  # many rows changed: telling every one takes longer than painting those on screen

    def __init__(
        self,
        icon_of: Callable[[SlideRecord], QIcon],
        rename: Callable[[int, str], bool],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._icon_of, self._rename = icon_of, rename
        self._records: dict[int, SlideRecord] = {}
        self._counts: Mapping[int, StateCounts] = {}
        self._counted = False
        self._shares: Mapping[int, float] = {}
        self._ids: list[int] = []
        self._place: dict[int, int] = {}
        self._columns: list[SlideColumn] = slide_columns(())
        self._texts: dict[int, tuple[SlideRecord, str]] = {}
        self._words: list[str] = []
        self._order: tuple[str, bool] = ("", False)
        self._keys: dict[int, SortKey] = {}
        self._other_files: frozenset[int] = frozenset()
        self.current_id = 0  # the slide on screen
        self.editable = False

    # -- content -----------------------------------------------------------------------------------------------------

    @property
    def columns(self) -> Sequence[SlideColumn]:
        """All columns, shown or not."""
        return self._columns

    @property
    def ids(self) -> Sequence[int]:
        """Ids of the listed slides, from top to bottom."""
        return self._ids

    @property
    def total(self) -> int:
        """Number of all slides, found or not."""
        return len(self._records)

    def place_of(self, slide_id: int) -> int | None:
        """Row of a slide, None where it is not listed."""
        return self._place.get(slide_id)

    def record(self, slide_id: int) -> SlideRecord | None:
        """A slide of the project by its id."""
        return self._records.get(slide_id)

    def set_slides(self, records: Sequence[SlideRecord], fields: Sequence[SpecimenField]) -> None:
        """Take over the slides and fields of the project; rows stay where they are if only their content changed."""
        columns = slide_columns(fields)
        same_columns = [(c.name, c.title) for c in columns] == [(c.name, c.title) for c in self._columns]
        before, self._records = self._records, {record.id: record for record in records}
        changed = [number for number, record in self._records.items() if before.get(number) is not record]
        if not same_columns:
            self._keys.clear()
        for number in changed:
            self._keys.pop(number, None)
        found = self._found()
        if same_columns and found == self._ids:
            self._columns = columns
            if len(changed) > FEW:
                self.repaint_wanted.emit()
            else:
                for number in changed:
                    self.tell_changed(number)
            return
        self.beginResetModel()
        self._columns = columns
        self._set_ids(found)
        self.endResetModel()

    def set_other_files(self, slide_ids: frozenset[int]) -> None:
        """Take over which slides have files that hold something else than their findings were made on."""
        before, self._other_files = self._other_files, slide_ids
        for number in before ^ slide_ids:
            self.tell_changed(number)

    def set_numbers(
        self, counts: Mapping[int, StateCounts], shares: Mapping[int, float], *, counted: bool = True
    ) -> None:
        """Take over findings and coverage.

        The order follows when they are known for the first time; later on rows keep their places until the list is
        sorted again, so that none runs away from under the mouse while its findings are judged.
        """
        first = (counted and not self._counted) or (bool(shares) and not self._shares)
        self._counts, self._shares, self._counted = dict(counts), dict(shares), counted
        if first:
            self._keys.clear()
            self._renew(self._found())
        self.repaint_wanted.emit()

    def set_current(self, slide_id: int) -> None:
        """Mark the slide on screen."""
        before, self.current_id = self.current_id, slide_id
        for number in (before, slide_id):
            self.tell_changed(number)

    def tell_changed(self, slide_id: int) -> None:
        """Repaint the row of a slide."""
        place = self._place.get(slide_id)
        if place is not None:
            self.dataChanged.emit(self.index(place, 0), self.index(place, len(self._columns) - 1))

    def search(self, text: str) -> None:
        """List only slides in whose name, file or fields all of these words occur."""
        words = text.casefold().split()
        if words != self._words:
            self._words = words
            self._renew(self._found())

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Qt: a click on a title; -1 is the order in which slides were added."""
        name = self._columns[column].name if 0 <= column < len(self._columns) else ""
        self._order = name, order == Qt.SortOrder.DescendingOrder
        self._keys.clear()  # numbers may have changed since
        self._renew(self._found())

    def _renew(self, ids: list[int]) -> None:
        if ids != self._ids:
            self.beginResetModel()
            self._set_ids(ids)
            self.endResetModel()

    def _set_ids(self, ids: list[int]) -> None:
        self._ids = ids
        self._place = {number: place for place, number in enumerate(ids)}

    def _found(self) -> list[int]:
        found = [n for n, record in self._records.items() if not self._words or self._fits(record)]
        name, downwards = self._order
        column = next((column for column in self._columns if column.name == name), None)
        if column is None:
            return found
        keys = self._keys
        for number in found:
            if number not in keys:
                keys[number] = column.sort_key(self.row(number))
        with_value = sorted((n for n in found if not keys[n][0]), key=keys.__getitem__, reverse=downwards)
        return with_value + [n for n in found if keys[n][0]]  # what is not known comes last, either way

    def _fits(self, record: SlideRecord) -> bool:
        known = self._texts.get(record.id)
        if known is None or known[0] is not record:
            values = (*map(str, record.fields.values()), record.name, record.path.name, record.scene or "")
            known = self._texts[record.id] = record, "\n".join(values).casefold()
        return all(word in known[1] for word in self._words)

    def row(self, slide_id: int) -> SlideRow:
        """What is known of a slide."""
        counts = self._counts.get(slide_id, _NOTHING) if self._counted else None
        return SlideRow(self._records[slide_id], counts, self._shares.get(slide_id), slide_id in self._other_files)

    # -- Qt ----------------------------------------------------------------------------------------------------------

    def rowCount(self, parent: Index = NOWHERE) -> int:
        """Qt: number of listed slides."""
        return 0 if parent.isValid() else len(self._ids)

    def columnCount(self, parent: Index = NOWHERE) -> int:
        """Qt: number of columns."""
        return 0 if parent.isValid() else len(self._columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: column titles."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(self._columns):
            return None
        column = self._columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.title
        if role == Qt.ItemDataRole.ToolTipRole:
            return column.help or None
        return _alignment(column) if role == Qt.ItemDataRole.TextAlignmentRole else None

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Qt: the name can be edited. Called several times for each selected row, so that nothing is computed here."""
        return _NAME_FLAGS if self.editable and index.column() == 0 else _FLAGS

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Qt: rename a slide."""
        if role != Qt.ItemDataRole.EditRole or not index.isValid() or index.column() != 0:
            return False
        slide_id = self._ids[index.row()]
        return str(value).strip() == self._records[slide_id].name or self._rename(slide_id, str(value))

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: one cell."""
        if not index.isValid() or index.row() >= len(self._ids):
            return None
        slide_id, column = self._ids[index.row()], self._columns[index.column()]
        if role == SLIDE_ID:
            return slide_id
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return column.text(self.row(slide_id))
        if role == SECOND_LINE:
            return _second_line(self.row(slide_id))
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return _tooltip(self.row(slide_id))
        record = self._records[slide_id]
        if role == Qt.ItemDataRole.DecorationRole and column.name == NAME.name:
            return self._icon_of(record)
        if role == Qt.ItemDataRole.ForegroundRole and (record.missing or slide_id in self._other_files):
            return QBrush(QColor(theme.current().quiet))
        if role == Qt.ItemDataRole.FontRole and slide_id == self.current_id and column.name == NAME.name:
            font = QFont()
            font.setBold(True)
            return font
        return None


def _alignment(column: SlideColumn) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if column.number else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter


def _second_line(row: SlideRow) -> str:
    if row.record.missing:
        return "not found: locate it"
    if row.changed:
        return "its file has changed"
    if row.counts is None:
        return ""
    if row.counts.unreviewed:
        return f"{count_text(row.counts.unreviewed)} of {count_text(row.counts.kept)} left"
    return things(row.counts.kept, "finding")


def _tooltip(row: SlideRow) -> str:
    record, counts = row.record, row.counts
    height, width = record.shape_px
    size = "pixel size not known" if record.pixel_size_um is None else pixel_size_text(record.pixel_size_um)
    lines = [record.name, str(record.path), f"{count_text(width)} × {count_text(height)} px, {size}"]
    if record.missing:
        lines.insert(2, "This file is not there any more: locate it.")
    if row.changed:
        lines.insert(2, "This file has changed since the findings were made: compare it, then accept it (menu Slide).")
    if counts is not None:
        judged = f"{count_text(counts.unreviewed)} not reviewed yet, {count_text(counts.rejected)} rejected"
        lines.append(f"{things(counts.kept, 'finding')}: {judged}")
    if row.share is not None:
        lines.append(f"{percent_text(row.share)} scanned or declared complete")
    return "\n".join(lines)
