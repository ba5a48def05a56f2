"""The project on disk: slides, classes, boxes, runs, marks and the history of every command."""

from microscope_qc.project.project import SUFFIX, Project
from microscope_qc.project.records import (
    AreaRecord,
    Change,
    EdxMeasurement,
    LogEntry,
    Mark,
    MeasurementLink,
    RegistrationRecord,
    RunRecord,
    SlideRecord,
)

__all__ = [
    "SUFFIX",
    "AreaRecord",
    "Change",
    "EdxMeasurement",
    "LogEntry",
    "Mark",
    "MeasurementLink",
    "Project",
    "RegistrationRecord",
    "RunRecord",
    "SlideRecord",
]  # fmt: skip
