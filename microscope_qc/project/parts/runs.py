"""Detection runs: their folders, their findings, and whether they are shown."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sqlalchemy import select, update

from microscope_qc.core.arrays import Ints
from microscope_qc.core.boxes import FindingFlag, has_flag, is_claimed
from microscope_qc.core.errors import InputError
from microscope_qc.core.outline import Outline
from microscope_qc.core.wording import count_text, plural, things
from microscope_qc.project import log, schema
from microscope_qc.project.commands import CarryOut, at_once
from microscope_qc.project.deltas import OPINION_COLUMNS, Delta, columns_of, row_columns
from microscope_qc.project.owner import now
from microscope_qc.project.parts.box_rows import check_rows
from microscope_qc.project.parts.boxes import Boxes
from microscope_qc.project.parts.opinions import Opinions
from microscope_qc.project.parts.sequence import RecordPart
from microscope_qc.project.parts.slides import Slides
from microscope_qc.project.records import RUN_STATES, RunClass, RunRecord
from microscope_qc.project.runs.plan import RunPlan, SlidePlace, write_plan
from microscope_qc.project.store import PendingCommand, Store

LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class RunDeletion:
    """What the deletion of a run does: its opinions, and the findings that go, that stay because of a user, others."""

    opinions: np.ndarray
    gone: np.ndarray
    kept: np.ndarray
    shared: int

    @property
    def words(self) -> str:
        """In numbers: what goes, and what stays."""
        words = [f"{things(len(self.gone), 'finding')} {plural(len(self.gone), 'goes', 'go')}"]
        if len(self.kept):
            words.append(f"{count_text(len(self.kept))} with work of yours {plural(len(self.kept), 'stays', 'stay')}")
        if self.shared:
            words.append(f"{count_text(self.shared)} of other detections {plural(self.shared, 'stays', 'stay')}")
        return ", ".join(words)


class Runs(RecordPart[RunRecord]):
    """The detection runs of a project, oldest first."""

    table = "runs"
    noun = "run"

    def __init__(self, store: Store, slides: Slides, boxes: Boxes, opinions: Opinions) -> None:
        super().__init__(store, store.memory.runs)
        self._slides = slides
        self._boxes = boxes
        self._opinions = opinions

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
        where = SlidePlace(
            path=str(slide.path),
            scene=slide.scene,
            pixel_size_um=slide.pixel_size_um,
            orientation=slide.orientation,
        )
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

    def add_findings(self, run_id: int, rows: np.ndarray) -> Ints:
        """Take in what a run found (rows with class ids of the project); return the number of the finding of each.

        What is at the place of a finding becomes an opinion of that finding, and the others are new findings (see
        :meth:`Opinions.take`). They belong to the run's entry in the log and are switched on and off with the run, not
        undone.
        """
        self._store.require_writable()
        self.by_id(run_id)
        check_rows(self._store, rows)
        if np.isnan(rows["confidence"]).any():
            raise InputError("What a model finds has a confidence.")
        return self._opinions.take(run_id, rows)

    def describe_findings(
        self, run_id: int, attributes: Mapping[int, Mapping[str, Any]], outlines: Mapping[int, Outline]
    ) -> None:
        """Store what a run says of findings besides their boxes, by number; like these it is not undone.

        Parameters
        ----------
        outlines
            Of findings that have none.
        """
        self._store.require_writable()
        deltas = self._boxes.describing(self.by_id(run_id).slide_id, attributes, outlines)
        if deltas:
            with self._store.database.begin() as connection:
                for delta in deltas:
                    delta.apply(connection)
            self._store.follow(deltas, None)

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

    def show(self, run_id: int, shown: bool, *, carry_out: CarryOut = at_once) -> None:
        """Switch the findings of a run on or off (undoable)."""
        self._store.require_writable()
        run = self.by_id(run_id)
        if run.shown == bool(shown):
            return
        delta = Delta.edited("runs", {"id": run_id, "shown": run.shown}, {"shown": bool(shown)})
        title = f"{'Show' if shown else 'Hide'} run {run_id}"
        self._switch(title, [delta], run.slide_id, run_id, carry_out)

    def show_only(self, run_id: int, *, carry_out: CarryOut = at_once) -> None:
        """Switch the findings of a run on and those of all other runs of its slide off (one step of undo)."""
        self._store.require_writable()
        slide_id = self.by_id(run_id).slide_id
        others = [run for run in self if run.slide_id == slide_id and run.shown != (run.id == run_id)]
        deltas = [Delta.edited("runs", {"id": run.id, "shown": run.shown}, {"shown": not run.shown}) for run in others]
        if deltas:
            self._switch(f"Show only run {run_id}", deltas, slide_id, run_id, carry_out)

    def show_all(self, run_ids: Collection[int], *, carry_out: CarryOut = at_once) -> None:
        """Switch the findings of several runs on (one step of undo)."""
        self._store.require_writable()
        off = [run for run in map(self.by_id, sorted(run_ids)) if not run.shown]
        deltas = [Delta.edited("runs", {"id": run.id, "shown": False}, {"shown": True}) for run in off]
        if deltas:
            slides = {run.slide_id for run in off}
            title = f"Show run {off[0].id}" if len(off) == 1 else f"Show {things(len(off), 'run')}"
            self._switch(title, deltas, slides.pop() if len(slides) == 1 else None, None, carry_out)

    def _switch(
        self, title: str, deltas: Sequence[Delta], slide_id: int | None, run_id: int | None, carry_out: CarryOut
    ) -> None:
        runs = [int(number) for delta in deltas for number in delta.ids]
        known = self._store.memory.opinions
        size = sum(len(known[slide].of_run(n)) for n in runs if (slide := self.by_id(n).slide_id) in known)
        carry_out(self._store.prepare(title, deltas, slide_id=slide_id, run_id=run_id, size=size))

    def rename(self, run_id: int, name: str) -> RunRecord:
        """Give a run a name, or none (undoable)."""
        self._store.require_writable()
        run, name = self.by_id(run_id), " ".join(str(name).split())
        if len(name) > LONGEST_NAME:
            raise InputError(f"The name of a run has at most {LONGEST_NAME} characters.")
        delta = [Delta.edited("runs", {"id": run_id, "name": run.name}, {"name": name})] if name != run.name else []
        self._store.commit(f"Call run {run_id} “{name}”", delta, slide_id=run.slide_id, run_id=run_id)
        return self.by_id(run_id)

    def deleting(self, run_id: int) -> RunDeletion:
        """Return what :meth:`delete` would do.

        Raises
        ------
        InputError
            When there is no such run.
        """
        run = self.by_id(run_id)
        table, said = self._boxes.table(run.slide_id), self._opinions.of_slide(run.slide_id)
        mine = said[said["run_id"] == run_id]
        ids = mine["finding_id"][table.has(mine["finding_id"])]
        alone = ids[~np.isin(ids, said["finding_id"][said["run_id"] != run_id])]
        rows = table.get(alone)
        claimed = is_claimed(rows) | np.isin(rows["id"], list(self._boxes.described(run.slide_id)))
        # by deletion, and found again by this run only: it is deleted as before
        kept = claimed & ~has_flag(rows, FindingFlag.DELETED)
        return RunDeletion(mine, alone[~claimed], alone[kept], len(ids) - len(alone))

    def delete(self, run_id: int, *, carry_out: CarryOut = at_once) -> None:
        """Delete a run with its opinions (one step of undo).

        Findings that no other run found and no user said anything of go with it. What a user drew, judged, named,
        chose, annotated or measured stays. The run's folder stays where it is, so that undo restores everything.

        Raises
        ------
        InputError
            When there is no such run, or it is running.
        """
        self._store.require_writable()
        run, row = self.by_id(run_id), self._row(run_id)
        if run.state == "running":
            raise InputError(f"Run {run_id} is still running.", hint="Stop it first.")
        labels = [asdict(known) for known in self._store.memory.run_classes if known.run_id == run_id]

        def build(command: PendingCommand) -> None:
            deletion = self.deleting(run_id)
            table = self._boxes.table(run.slide_id)
            opinions = row_columns(deletion.opinions, run.slide_id, names=OPINION_COLUMNS)
            command.deltas = [
                *self._boxes.keeping(run.slide_id, table.get(deletion.kept)),
                *self._boxes.details_dropped(run.slide_id, deletion.gone),
                Delta("opinions", opinions, columns_of([])),
                Delta.deleted("run_classes", labels),
                Delta.deleted("runs", [row]),
            ]
            command.title = f"Delete run {run_id}: {deletion.words}"

        size = int((self._opinions.of_slide(run.slide_id)["run_id"] == run_id).sum())
        carry_out(
            self._store.prepare(f"Delete run {run_id}", slide_id=run.slide_id, run_id=run_id, build=build, size=size)
        )

    def stop_left(self) -> None:
        """Mark runs as stopped that were running when the last owner crashed or was killed."""
        with self._store.database.begin() as connection:
            left = connection.execute(select(schema.runs.c.id).where(schema.runs.c.state == "running")).scalars().all()
            if left:
                statement = update(schema.runs).where(schema.runs.c.id.in_(left))
                connection.execute(statement.values(state="stopped", finished=now()))
        if left:
            self._store.follow([], None, touched={"runs": left})
