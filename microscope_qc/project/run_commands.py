"""Detection runs: their folders, their finds, and whether they are shown."""

from __future__ import annotations

import contextlib
import json
import shutil
from typing import Any

import numpy as np
from sqlalchemy import select, update

from microscope_qc.core.errors import InputError
from microscope_qc.core.files import atomic_write
from microscope_qc.project import history, schema
from microscope_qc.project.box_commands import BoxCommands
from microscope_qc.project.deltas import Delta, box_columns, columns_of
from microscope_qc.project.owner import now
from microscope_qc.project.records import RUN_STATES, LogEntry, RunRecord

CARD_NAME = "card.json"


class RunCommands(BoxCommands):
    """The detection runs of a project."""

    @property
    def runs(self) -> list[RunRecord]:
        """The runs, oldest first."""
        return list(self._runs)

    def run(self, run_id: int) -> RunRecord:
        """Return one run.

        Raises
        ------
        InputError
            When there is none.
        """
        for record in self._runs:
            if record.id == run_id:
                return record
        raise InputError(f"There is no run {run_id} in {self.name}.")

    def start_run(self, slide_id: int, card: dict[str, Any], settings: dict[str, Any]) -> RunRecord:
        """Make a run and its folder ``runs/<id>/`` with ``card.json``.

        Parameters
        ----------
        card
            What the child process needs; ``run_id``, ``slide`` and ``created`` are filled in when they are missing.
        settings
            What makes two runs the same, for continuing one.
        """
        self._require_writable()
        slide = next((slide for slide in self._slides if slide.id == slide_id), None)
        if slide is None:
            raise InputError(f"There is no slide {slide_id} in {self.name}.")
        folder = self.path / "runs"
        number = self._next_id("runs")
        while (folder / str(number)).exists():  # left by a crash before its row was committed: its journal is not ours
            number += 1
        started = now()
        pixel_size = None if slide.pixel_size_um is None else list(slide.pixel_size_um)
        where = {"path": str(slide.path), "scene": slide.scene, "pixel_size_um": pixel_size}
        full = {"slide": where, "created": started, **card, "run_id": number}
        row = {
            "id": number,
            "slide_id": slide_id,
            "card": json.dumps(full),
            "settings": json.dumps(settings),
            "state": "running",
            "started": started,
            "finished": None,
            "shown": True,
            "found": 0,
        }
        atomic_write(folder / str(number) / CARD_NAME, json.dumps(full, indent=1, ensure_ascii=False))
        title = f"Detect with {card.get('model', 'a model')} on {slide.name}"
        try:
            self._commit(title, [Delta.inserted("runs", [row])], kind="run", slide_id=slide_id, run_id=number)
        except Exception:
            if not any(run.id == number for run in self._runs):
                with contextlib.suppress(OSError):
                    shutil.rmtree(folder / str(number))
            raise
        return self.run(number)

    def add_finds(self, run_id: int, rows: np.ndarray) -> np.ndarray:
        """Take finds of a run in (class ids already those of the project) and return their box ids.

        They belong to the run's entry in the log and are switched on and off with the run, not undone.
        """
        self._require_writable()
        run = self.run(run_id)
        rows = rows[np.arange(len(rows))]
        first = self._next_id("boxes")
        rows["id"] = np.arange(first, first + len(rows))
        rows["run_id"] = run_id
        if len(rows) == 0:
            return rows["id"].copy()
        self.boxes(run.slide_id)
        self._check(rows)
        delta = Delta("boxes", columns_of([]), box_columns(rows, run.slide_id))
        with self._database.begin() as connection:
            delta.apply(connection)
            columns = schema.runs.c
            connection.execute(update(schema.runs).where(columns.id == run_id).values(found=columns.found + len(rows)))
            entry = history.add_finds(connection, run_id, rows["id"])
        self._after_run([delta], entry)
        return rows["id"].copy()

    def finish_run(self, run_id: int, state: str) -> RunRecord:
        """Store how a run ended ("finished", "stopped", "failed"), or that it goes on ("running")."""
        self._require_writable()
        self.run(run_id)
        if state not in RUN_STATES:
            raise InputError(f"A run is {', '.join(RUN_STATES)}; not {state}.")
        ended = None if state == "running" else now()
        with self._database.begin() as connection:
            connection.execute(
                update(schema.runs).where(schema.runs.c.id == run_id).values(state=state, finished=ended)
            )
        self._after_run([], None)
        return self.run(run_id)

    def show_run(self, run_id: int, shown: bool) -> None:
        """Switch the finds of a run on or off (undoable)."""
        self._require_writable()
        run = self.run(run_id)
        if run.shown == bool(shown):
            return
        delta = Delta.edited("runs", {"id": run_id, "shown": run.shown}, {"shown": bool(shown)})
        self._commit(f"{'Show' if shown else 'Hide'} run {run_id}", [delta], slide_id=run.slide_id, run_id=run_id)

    def _after_run(self, deltas: list[Delta], entry: LogEntry | None) -> None:
        touched = Delta("runs", columns_of([]), columns_of([]))  # no row of the log, but memory and listeners follow
        self._follow([*deltas, touched], entry)

    def _stop_left_runs(self) -> None:
        """Runs that were going on when the last owner ended without a word are stopped now."""
        with self._database.begin() as connection:
            left = connection.execute(select(schema.runs.c.id).where(schema.runs.c.state == "running")).scalars().all()
            if left:
                statement = update(schema.runs).where(schema.runs.c.id.in_(left))
                connection.execute(statement.values(state="stopped", finished=now()))
        if left:
            self._after_run([], None)
