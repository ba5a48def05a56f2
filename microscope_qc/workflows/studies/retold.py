"""A job that is a part of another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from microscope_qc.core.jobs import Job, Progress

T = TypeVar("T")


def retold(job: Job[T], tell: Callable[[Progress], Progress]) -> Job[T]:
    """Do a job, with its progress as the whole tells it."""
    try:
        while True:
            try:
                told = next(job)
            except StopIteration as stop:
                result: T = stop.value
                return result
            yield tell(told)
    finally:
        job.close()
