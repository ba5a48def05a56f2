"""Detection runs: their folders, their findings, and whether they are shown."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
from sqlalchemy import select, update

from microscope_qc.core.errors import InputError
from microscope_qc.core.wording import things
from microscope_qc.project import log, schema
from microscope_qc.project.deltas import Delta, box_columns, columns_of
from microscope_qc.project.owner import now
from microscope_qc.project.parts.box_rows import check_rows
from microscope_qc.project.parts.boxes import Boxes
from microscope_qc.project.parts.sequence import RecordPart
from microscope_qc.project.parts.slides import Slides
from microscope_qc.project.records import RUN_STATES, RunClass, RunRecord
from microscope_qc.project.runs.plan import RunPlan, SlidePlace, write_plan
from microscope_qc.project.store import Store


class Runs(RecordPart[RunRecord]):
    """The detection runs of a project, oldest first."""

    table = "runs"
    noun = "run"

    def __init__(self, store: Store, slides: Slides, boxes: Boxes) -> None:
        super().__init__(store, store.memory.runs)
        self._slides = slides
        self._boxes = boxes

    def start(self, slide_id: int, plan: RunPlan) -> RunRecord:
        """Make a run and its folder ``runs/<id>/`` with its plan.

        Parameters
        ----------
        plan
            What the run is to do; ``run_id``, ``slide`` and ``created`` are filled in.
        """
        self._store.require_writable()
        slide = self._slides.by_id(slide_id)
        folder = self._store.path / "runs"
        number = self._store.next_id("runs")
        while (folder / str(number)).exists():  # left by a crash before its row was committed: another run's journal
            number += 1
        started = now()
        where = SlidePlace(path=str(slide.path), scene=slide.scene, pixel_size_um=slide.pixel_size_um)
        plan = plan.model_copy(update={"slide": where, "created": started, "run_id": number})
        row = {
            "id": number,
            "slide_id": slide_id,
            "card": json.dumps(plan.document()),
            "settings": json.dumps(plan.settings),
            "state": "running",
            "started": started,
            "finished": None,
            "shown": True,
            "found": 0,
        }
        write_plan(folder / str(number), plan)
        title = f"Detect with {plan.title} on {slide.name}"
        try:
            self._store.commit(title, [Delta.inserted("runs", [row])], kind="run", slide_id=slide_id, run_id=number)
        except Exception:
            if number not in self._records.by_id:
                with contextlib.suppress(OSError):
                    shutil.rmtree(folder / str(number))
            raise
        return self.by_id(number)

    def add_findings(self, run_id: int, rows: np.ndarray) -> np.ndarray:
        """Add findings of a run (with class ids of the project) and return their box ids.

        They belong to the run's entry in the log and are switched on and off with the run, not undone.
        """
        self._store.require_writable()
        run = self.by_id(run_id)
        rows = rows[np.arange(len(rows))]
        first = self._store.next_id("boxes")
        rows["id"] = np.arange(first, first + len(rows))
        rows["run_id"] = run_id
        if len(rows) == 0:
            return rows["id"].copy()
        check_rows(self._store, rows)
        delta = Delta("boxes", columns_of([]), box_columns(rows, run.slide_id))
        with self._store.database.begin() as connection:
            delta.apply(connection)
            columns = schema.runs.c
            connection.execute(update(schema.runs).where(columns.id == run_id).values(found=columns.found + len(rows)))
            entry = log.add_findings(connection, run_id, rows["id"])
        self._store.follow([delta], entry, touched={"runs": [run_id]})
        return rows["id"].copy()

    def classes_of(self, run_id: int) -> dict[int, int]:
        """Return the class of each label of a run's model; a label whose class was deleted has none."""
        return {known.label: known.class_id for known in self._store.memory.run_classes if known.run_id == run_id}

    @property
    def labels(self) -> Sequence[RunClass]:
        """The class of every label of every run's model: what all runs could find, in one pass."""
        return self._store.memory.run_classes

    def know_classes(self, run_id: int, class_of: Mapping[int, int]) -> None:
        """Store the class of each label of a run's model, for labels that have none yet.

        What is stored is updated when classes are merged or deleted.
        """
        self._store.require_writable()
        run, known = self.by_id(run_id), self.classes_of(run_id)
        first = self._store.next_id("run_classes")
        new = [(label, class_id) for label, class_id in sorted(class_of.items()) if label not in known]
        rows = [
            {"id": number, "slide_id": run.slide_id, "run_id": run_id, "label": int(label), "class_id": int(class_id)}
            for number, (label, class_id) in enumerate(new, first)
        ]
        if rows:
            delta = Delta.inserted("run_classes", rows)
            with self._store.database.begin() as connection:
                delta.apply(connection)
            self._store.follow([delta], None)

    def following(self, moved: Mapping[int, int | None]) -> list[Delta]:
        """Deltas for classes that are deleted: labels of runs get the class that replaces theirs, or none.

        Parameters
        ----------
        moved
            For each deleted class, the class that its boxes get; None where they are deleted too.
        """
        deltas = []
        for known in self._store.memory.run_classes:
            if known.class_id not in moved:
                continue
            target = moved[known.class_id]
            row = asdict(known)
            if target is None:
                deltas.append(Delta.deleted("run_classes", [row]))
            else:
                deltas.append(Delta.edited("run_classes", row, {"class_id": target}))
        return deltas

    def finish(self, run_id: int, state: str) -> RunRecord:
        """Store how a run ended ("finished", "stopped", "failed"), or that it continues ("running").

        A run that continues gets findings that a deletion which was undone knows nothing of: it can then not be redone.
        """
        self._store.require_writable()
        self.by_id(run_id)
        if state not in RUN_STATES:
            raise InputError(f"A run is {', '.join(RUN_STATES)}; not {state}.")
        ended = None if state == "running" else now()
        with self._store.database.begin() as connection:
            connection.execute(
                update(schema.runs).where(schema.runs.c.id == run_id).values(state=state, finished=ended)
            )
            if state == "running" and log.drop_redo_of_deleting(connection, "runs", run_id):
                self._store.log.load(connection)
        self._store.follow([], None, touched={"runs": [run_id]})
        return self.by_id(run_id)

    def show(self, run_id: int, shown: bool) -> None:
        """Switch the findings of a run on or off (undoable)."""
        self._store.require_writable()
        run = self.by_id(run_id)
        if run.shown == bool(shown):
            return
        delta = Delta.edited("runs", {"id": run_id, "shown": run.shown}, {"shown": bool(shown)})
        self._store.commit(f"{'Show' if shown else 'Hide'} run {run_id}", [delta], slide_id=run.slide_id, run_id=run_id)

    def delete(self, run_id: int) -> None:
        """Delete a run with all its findings, judged or not, from the project (one step of undo).

        The run's folder stays where it is, so that undo restores everything.

        Raises
        ------
        InputError
            When there is no such run, or it is running.
        """
        self._store.require_writable()
        run, row = self.by_id(run_id), self._row(run_id)
        if run.state == "running":
            raise InputError(f"Run {run_id} is still running.", hint="Stop it first.")
        rows = self._boxes.table(run.slide_id).rows
        mine = rows[rows["run_id"] == run_id]
        labels = [asdict(known) for known in self._store.memory.run_classes if known.run_id == run_id]
        deltas = [*self._boxes.deleting(run.slide_id, mine), Delta.deleted("run_classes", labels)]
        deltas.append(Delta.deleted("runs", [row]))
        title = f"Delete run {run_id} with {things(len(mine), 'finding')}"
        self._store.commit(title, deltas, slide_id=run.slide_id, run_id=run_id)

    def stop_left(self) -> None:
        """Mark runs as stopped that were running when the last owner crashed or was killed."""
        with self._store.database.begin() as connection:
            left = connection.execute(select(schema.runs.c.id).where(schema.runs.c.state == "running")).scalars().all()
            if left:
                statement = update(schema.runs).where(schema.runs.c.id.in_(left))
                connection.execute(statement.values(state="stopped", finished=now()))
        if left:
            self._store.follow([], None, touched={"runs": left})
