"""Signals of a project, sent after each commit."""

from __future__ import annotations

from psygnal import Signal, SignalGroup


class ProjectEvents(SignalGroup):
    """Signals of a project; changes of boxes come from each slide's ``BoxTable.changed``.

    Where the findings of several slides change at once, ``findings_changing`` is sent before their tables tell, and
    ``findings_changed`` when all are as they are now.

    ``history_changed`` carries the :class:`~microscope_qc.project.records.LogEntry` that was made, undone or redone
    (None after a reload).
    """

    findings_changing = Signal()
    findings_changed = Signal()
    slides_changed = Signal()
    classes_changed = Signal()
    marks_changed = Signal()
    runs_changed = Signal()
    registrations_changed = Signal()
    measurements_changed = Signal()
    model_in_use_changed = Signal()
    standards_changed = Signal()
    history_changed = Signal(object)
    inclusion_changed = Signal()
    areas_changed = Signal()
    filter_changed = Signal()
    saved_filters_changed = Signal()
