"""What models say of findings: reading it, taking in what a run found, and taking a run's opinions away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sqlalchemy import update

from microscope_qc.core.arrays import Ints, Rows
from microscope_qc.core.boxes import BOX_DTYPE, FindingFlag, ReviewState, has_flag, is_claimed
from microscope_qc.core.matching import KnownPlaces, intersections, match_places
from microscope_qc.core.opinions import OPINION_DTYPE, as_findings, box_is_users
from microscope_qc.project import findings, log, schema
from microscope_qc.project.deltas import OPINION_COLUMNS, Delta, box_columns, columns_of, row_columns
from microscope_qc.project.parts.tables import Tables
from microscope_qc.project.store import Store

_SIDES = ("y0", "x0", "y1", "x1")
_REJECTED, _DELETED, _LEFT = 1, 2, 3
"""Ranks of places that are no findings to look at: what fits one of those, too, joins that."""


@dataclass(frozen=True, slots=True)
class RunCounts:
    """``found`` findings of a run, of which ``new`` were found by no other before, ``left`` are not reviewed."""

    found: int = 0
    new: int = 0
    left: int = 0


class Opinions:
    """What the detections of a project say of its findings."""

    def __init__(self, store: Store, tables: Tables) -> None:
        self._store = store
        self._tables = tables

    # -- reading ----------------------------------------------------------------------------------------------------

    def of_slide(self, slide_id: int) -> Rows:
        """Return the opinions of a slide's findings (OPINION_DTYPE), by finding and run; do not write to them."""
        return self._tables.opinions(slide_id).rows

    def of_finding(self, finding_id: int) -> Rows:
        """Return what models say of a finding, the oldest run first.

        Raises
        ------
        InputError
            When there is no such finding.
        """
        return self._tables.opinions(self._tables.slide_of(finding_id)).of(np.array([finding_id]))

    def of_run(self, run_id: int) -> Rows:
        """Return the opinions of a run, sorted by finding; those of deleted findings are among them."""
        return self._tables.opinions(self._store.memory.runs.by_id[run_id].slide_id).of_run(run_id)

    def findings_of_run(self, run_id: int) -> Rows:
        """Return the findings of a run (BOX_DTYPE, sorted by id) with its class, box and confidence.

        State, note and number are those of the findings; what a user deleted is not among them.
        """
        said = self.of_run(run_id)
        table = self._tables.table(self._store.memory.runs.by_id[run_id].slide_id)
        said = said[table.has(said["finding_id"])]
        return as_findings(said, table.get(said["finding_id"]))

    def counts(self, slide_id: int) -> Mapping[int, RunCounts]:
        """Return what each run of a slide found; a run that found nothing is left out."""
        table, said = self._tables.table(slide_id), self._tables.opinions(slide_id)
        owners, runs = said.owners, np.ascontiguousarray(said.rows["run_id"])
        places, there = table.look_up(owners)
        left = there.copy()
        left[there] = table.states[places[there]] == ReviewState.UNREVIEWED
        # a run whose deletion was undone may have made again what a later one had made in the meantime
        new = there & said.rows["made"] & (np.diff(owners, prepend=0) != 0)
        room = int(runs.max(initial=0)) + 1
        by_run = [np.bincount(runs[which], minlength=room) for which in (there, new, left)]
        found = np.flatnonzero(by_run[0]).tolist()
        return {run_id: RunCounts(*(int(counted[run_id]) for counted in by_run)) for run_id in found}

    # -- taking in --------------------------------------------------------------------------------------------------

    def take(self, run_id: int, results: np.ndarray) -> Ints:
        """Take in results of a run (BOX_DTYPE: class, box and confidence); return the finding of each.

        A result that is at the place of a finding joins it, otherwise it is a new finding. Results may come in any
        number of portions and in any order: one that fits a finding better takes the place of an earlier one.
        """
        store = self._store
        slide_id = store.memory.runs.by_id[run_id].slide_id
        if len(results) == 0:
            return np.zeros(0, np.int64)
        new, moved = self._placed(run_id, slide_id, results)
        known = self._tables.opinions(slide_id).rows
        before = known[np.isin(known["id"], moved["id"])] if len(moved) else known[:0]
        said = np.concatenate([new, moved])
        deltas = [
            self._new_findings(slide_id, said),
            Delta("opinions", row_columns(before, slide_id, names=OPINION_COLUMNS), columns_of([])),
            Delta("opinions", columns_of([]), row_columns(said, slide_id, names=OPINION_COLUMNS)),
        ]
        deltas = [delta for delta in deltas if delta]
        with store.database.begin() as connection:
            for delta in deltas:
                delta.apply(connection)
            columns = schema.runs.c
            connection.execute(update(schema.runs).where(columns.id == run_id).values(found=columns.found + len(new)))
            entry = log.add_findings(connection, run_id, new["finding_id"])
        store.follow(deltas, entry, touched={"runs": [run_id]})
        return new["finding_id"].copy()

    def _placed(self, run_id: int, slide_id: int, results: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Opinions for results, and earlier ones of the run that have to make way, each with its finding."""
        new = np.zeros(len(results), OPINION_DTYPE)
        new["id"] = self._store.next_id("opinions") + np.arange(len(results))
        for name in ("class_id", "confidence", *_SIDES):
            new[name] = results[name]
        new["run_id"] = run_id
        said = self._tables.opinions(slide_id)
        made = said.made_by(run_id)
        pool, places = new, self._places_near(new, run_id, slide_id, made)
        while True:  # an earlier result that may lose its finding is matched again, too
            known = said.of(places.ids)  # what it made itself stays its own
            incumbent = known[(known["run_id"] == run_id) & ~known["made"] & ~np.isin(known["id"], pool["id"])]
            if len(incumbent) == 0:
                break
            pool = np.concatenate([pool, incumbent])
            places = self._places_near(pool, run_id, slide_id, made)
        before = pool["finding_id"].copy()
        boxes = np.stack([pool[side] for side in _SIDES], axis=1)
        chosen, place = match_places(boxes, pool["class_id"], pool["confidence"], places, held=before)
        pool["finding_id"] = 0
        pool["finding_id"][chosen] = place
        other = (before == 0) | (pool["finding_id"] != before)
        rank = _ranks_of(pool["finding_id"], places)
        pool["again"][other] = np.isin(rank[other], (_REJECTED, _DELETED))
        alone = pool["finding_id"] == 0
        pool["made"][other] = (alone | (rank == _LEFT))[other]
        pool["finding_id"][alone] = self._store.next_id("boxes") + np.arange(alone.sum())
        return pool[: len(new)], pool[len(new) :][other[len(new) :]]

    def _places_near(self, pool: np.ndarray, run_id: int, slide_id: int, made: np.ndarray) -> KnownPlaces:
        """Places that opinions of a run may belong to: findings and left places that others made, near them."""
        table, said = self._tables.table(slide_id), self._tables.opinions(slide_id)
        reach = np.array([pool[side].min() for side in _SIDES[:2]] + [pool[side].max() for side in _SIDES[2:]])
        absent = self._absent(slide_id)
        rows = np.concatenate([table.rows[table.inside(*reach)], absent[_meets(absent, reach)]])
        others = said.rows[said.near(*reach)]
        others = others[others["run_id"] != run_id]
        lacking = np.setdiff1d(others["finding_id"], rows["id"])  # it was moved away, or its box is not a user's
        rows = np.concatenate([rows, table.get(lacking[table.has(lacking)])])
        rows = rows[~np.isin(rows["id"], made)]
        rows = rows[np.argsort(rows["id"], kind="stable")]
        fixed = rows[box_is_users(rows) | ~said.has(rows["id"])]
        others = others[np.isin(others["finding_id"], rows["id"])]
        owner = rows[np.searchsorted(np.ascontiguousarray(rows["id"]), others["finding_id"])]
        touching = ~box_is_users(owner) | (intersections(_corners(owner), _corners(others)) > 0)
        others, owner = others[touching], owner[touching]
        return KnownPlaces(
            ids=np.concatenate([fixed["id"], others["finding_id"]]),
            boxes=np.concatenate([_corners(fixed), _corners(others)]),
            class_ids=np.concatenate([fixed["class_id"], others["class_id"]]),
            ranks=np.concatenate([_rank(fixed, said.has(fixed["id"])), _rank(owner, np.ones(len(owner), bool))]),
        )

    def _absent(self, slide_id: int) -> np.ndarray:
        """Boxes that are no findings: deleted ones, and places that were left."""
        known = self._store.memory.absent
        if slide_id not in known:
            with self._store.database.begin() as connection:
                known[slide_id] = findings.absent(connection, slide_id)
        rows = known[slide_id]
        return rows[~self._tables.table(slide_id).has(rows["id"])]

    def _new_findings(self, slide_id: int, said: np.ndarray) -> Delta:
        """The delta of the findings that opinions make."""
        made = said[said["made"]]
        rows = np.zeros(len(made), BOX_DTYPE)
        for name in ("class_id", *_SIDES):
            rows[name] = made[name]
        rows["id"], rows["confidence"], rows["reason"], rows["note"] = made["finding_id"], np.nan, "", ""
        return Delta("boxes", columns_of([]), box_columns(rows, slide_id))


def _corners(rows: np.ndarray) -> np.ndarray:
    return np.stack([rows[side] for side in _SIDES], axis=1)


def _meets(rows: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Boolean for each row: whether it meets the rectangle."""
    found: np.ndarray = (rows["y0"] < reach[2]) & (rows["y1"] > reach[0])
    found &= (rows["x0"] < reach[3]) & (rows["x1"] > reach[1])
    return found


def _ranks_of(ids: np.ndarray, places: KnownPlaces) -> Ints:
    """Rank of each place; 0 of those that are new."""
    known, first = np.unique(places.ids, return_index=True)
    found = np.zeros(len(ids), np.int64)
    if len(known):
        place = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        there = known[place] == ids
        found[there] = places.ranks[first[place[there]]]
    return found


def _rank(rows: np.ndarray, has_opinion: np.ndarray) -> Ints:
    """Which places come first: findings, then rejected ones, deleted ones, and places that were left."""
    rank = np.where(rows["state"] == ReviewState.REJECTED, _REJECTED, 0)
    rank = np.where(is_claimed(rows) | has_opinion, rank, _LEFT)
    return np.where(has_flag(rows, FindingFlag.DELETED), _DELETED, rank)
