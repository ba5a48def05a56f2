"""What a project keeps to measure on is settled before anything is learned, beside the window's thread."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from microscope_qc.workflows.learning.project_parts import dividing, store_parts

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.session.session import Session
    from microscope_qc.ml.datasets.kept import KeptParts
    from microscope_qc.project import Project
    from microscope_qc.project.parts.tables import ReadTables

log = logging.getLogger(__name__)


def divide(
    session: Session,
    jobs: JobRunner,
    project: Project,
    then: Callable[[], None],
    on_failed: Callable[[BaseException], None],
) -> None:
    """Settle what is held out, then go on, unless another project is open by then."""

    def store(parts: KeptParts) -> None:
        if session.project is project:
            store_parts(project, parts)
            then()

    def take(read: ReadTables) -> None:
        if session.project is project:
            project.boxes.take(read)
            divide(session, jobs, project, then, on_failed)

    def not_yet(error: BaseException) -> None:  # so little is divided when it is learned from
        log.info("%s", error)
        if session.project is project:
            then()

    unread = project.boxes.unread(slide.id for slide in project.slides)
    if unread:
        jobs.call(project.boxes.reading(unread), take, on_failed)
    else:
        jobs.call(dividing(project), store, not_yet)
