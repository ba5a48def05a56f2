"""What a run reports about its speed, over all of its starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.project.runs import speed
from microscope_qc.project.runs.speed import Meter, Starts, figures_of, live_text, notes_of, speed_text, starts_of


class Clock:
    """A clock that is moved by hand and replaces both of Python's."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    perf_counter = monotonic


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(speed, "time", made)
    return made


def one_start(clock: Clock, before: dict[str, Any], *, tiles: int, seconds: float, **options: Any) -> dict[str, Any]:
    """A start that loads for 4 s, then computes ``tiles`` in ``seconds``, half of the time waiting."""
    starts, meter = Starts(before, began=clock.now - 1), Meter(tile_mm2=0.5)
    clock.now += 3
    starts.ready()
    meter.start()
    clock.now += seconds
    meter.add(tiles=tiles, computed_s=seconds / 2, waited_s=seconds / 2)
    return json.loads(json.dumps(starts.figures(meter.sums(), **options)))


def test_all_starts_of_a_run_count(clock: Clock) -> None:
    first = one_start(clock, {}, tiles=10, seconds=10)
    assert (first["seconds"], first["tiles_per_s"], first["mm2_per_min"], first["share_waited"]) == (14, 1, 30, 0.5)
    assert [start["starting_s"] for start in first["starts"]] == [4]
    clock.now += 5000  # it was not running overnight
    both = one_start(clock, first, tiles=90, seconds=10)
    assert both["seconds"] == 28 and [start["seconds"] for start in both["starts"]] == [14, 14]
    assert (both["tiles_per_s"], both["mm2_per_min"], both["share_computed"]) == (5, 150, 0.5)
    # a start that has nothing left to do, or fails before it has a slide, takes time but does not change the speed
    clock.now += 60
    starts = Starts(both, began=clock.now)
    clock.now += 2
    after = starts.figures(Meter().sums())
    assert after["seconds"] == 30 and after["tiles_per_s"] == 5 and after["mm2_per_min"] == 150


def test_notes_of_earlier_starts_are_not_lost(clock: Clock) -> None:
    first = one_start(clock, {}, tiles=4, seconds=1, notes=["As memory was not enough, batches are cut to 2."])
    second = one_start(clock, first, tiles=4, seconds=1, notes=["The processor computes the rest."])
    second["notes"] = ["The processor computes the rest."]
    assert notes_of(second) == ["As memory was not enough, batches are cut to 2.", "The processor computes the rest."]
    assert notes_of({"notes": ["a", "a"]}) == ["a"] and notes_of({}) == []


def test_the_speed_fits_the_tiles_and_the_time_beside_it(clock: Clock) -> None:
    starts = Starts({}, began=clock.now)
    clock.now += 20  # loading
    starts.ready()
    meter = Meter()
    meter.start()
    clock.now += 10
    meter.add(tiles=310, computed_s=9.0)
    assert speed_text(starts.figures(meter.sums())).startswith("310 tiles in 10.0 s, 31.0 tiles/s;")


def test_the_text_while_it_runs() -> None:
    assert live_text({"notes": [], "tiles_per_s": 9.04, "device_name": "Fast card"}) == "9.0 tiles/s on Fast card"
    assert live_text({"notes": ["One.", "Batches are cut."], "tiles_per_s": 31.4}) == "Batches are cut. 31.4 tiles/s"
    assert live_text({}) == ""


def test_a_run_from_before_starts_were_stored_can_be_continued() -> None:
    (before,) = starts_of({"seconds": 80.5, "tiles_per_s": 31.0})
    assert before == {"seconds": 80.5}
    assert figures_of([before]) == {}, "its speed is not known"
    assert starts_of({}) == []


WILD = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["seconds", "starts", "tiles", "working_s", "computed_s", "waited_s", "mm2", "notes"]), inner
    ),
    max_leaves=12,
)  # fmt: skip


@given(told=st.dictionaries(st.sampled_from(["starts", "seconds", "notes"]), WILD))
def test_invalid_values_in_a_status_do_no_harm(told: dict[str, Any]) -> None:
    figures = Starts(told).figures({"tiles": 2, "working_s": 1.0, "computed_s": 0.5, "waited_s": 0.1})
    assert figures["seconds"] >= 0 and figures["tiles_per_s"] >= 0
    assert all(isinstance(note, str) for note in notes_of(told))


def test_a_stopped_and_a_killed_start_are_in_the_record(tmp_path: Path) -> None:
    """With a real model: see :mod:`microscope_qc.ml.engine.engine`."""
    import cv2
    from learning_toys import draw, untrained_model

    from microscope_qc.core.jobs import run_job
    from microscope_qc.ml.engine import run_model
    from microscope_qc.project.runs.batching import Batching, write_batching
    from microscope_qc.project.runs.journal import read_status

    cv2.imwrite(str(tmp_path / "slide.png"), draw(3, size=600, count=16)[0])
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "card.json").write_text(json.dumps({
        "run_id": 1, "slide": {"path": str(tmp_path / "slide.png"), "scene": None, "pixel_size_um": [0.25, 0.25]},
        "model": str(untrained_model(tmp_path / "toy")), "region": [0, 0, 600, 600], "tile_px": 128, "overlap_px": 32,
        "candidate_confidence": 0.2, "device": "cpu",
    }))  # fmt: skip
    write_batching(folder, Batching(1, "float32"))
    job = run_model(folder)
    while next(job).done < 4:
        pass
    job.close()
    stopped = read_status(folder)
    (one,) = stopped["starts"]
    assert 4 <= one["tiles"] < 36 and stopped["seconds"] == one["seconds"] > one["starting_s"] > 0
    killed = run_model(folder)  # killed while it loads: no end is written
    assert next(killed).note == "loading the model"
    assert read_status(folder)["tiles_per_s"] == stopped["tiles_per_s"], "nothing is forgotten in the meantime"
    lost = read_status(folder)
    killed.close()
    (folder / "status.json").write_text(json.dumps(lost))
    end = run_job(run_model(folder))
    assert end == read_status(folder) and end["state"] == "finished" and len(end["starts"]) == 3
    assert end["seconds"] == pytest.approx(sum(start["seconds"] for start in end["starts"]), abs=0.01)
    assert end["seconds"] > stopped["seconds"]
    tiles, working = (sum(start.get(name, 0) for start in end["starts"]) for name in ("tiles", "working_s"))
    assert tiles >= 36 and end["tiles_per_s"] == pytest.approx(tiles / working, rel=0.02)
    assert end["mm2_per_min"] == pytest.approx(60 * end["tiles_per_s"] * 0.15**2 / 36, rel=0.02)
