"""Concurrent forward passes: in order, bounded, and always stopped."""

from __future__ import annotations

import threading

import pytest

torch = pytest.importorskip("torch")

from microscope_qc.ml.engine.feed import Batch  # noqa: E402
from microscope_qc.ml.engine.streams import Streams, as_one_stream, stream_count  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def batch(number: int) -> Batch:
    slots = torch.full((1,), float(number))
    return Batch([number], slots, {}, slots)


def test_batches_come_back_in_order_and_few_are_held(threads: int) -> None:
    told: list[int] = []
    held: list[int] = []
    seen: set[tuple[str, int]] = set()

    def compute(slots: torch.Tensor) -> float:
        seen.add((threading.current_thread().name, torch.get_num_threads()))
        return float(slots[0]) * 2

    streams = Streams(compute, device=CPU)
    try:
        for number in range(20):
            streams.put(batch(number))
            held.append(number + 1 - len(told))
            for done in streams.finished():
                assert done.result == 2 * done.batch.tiles[0]
                told.append(done.batch.tiles[0])
        told += [done.batch.tiles[0] for done in streams.finished(all_of_them=True)]
    finally:
        streams.close()
    assert told == list(range(20))
    assert max(held) == streams.ahead and stream_count(CPU) == threads
    assert {count for _, count in seen} == {1}
    assert torch.get_num_threads() == threads, "as before"


def test_passes_really_run_concurrently() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    both = threading.Barrier(2, timeout=60)
    streams = Streams(lambda slots: both.wait(), device=CPU)
    try:
        streams.put(batch(0))
        streams.put(batch(1))
        assert len(list(streams.finished(all_of_them=True))) == 2
    finally:
        streams.close()
        torch.set_num_threads(before)


def test_errors_of_a_pass_are_raised_and_the_threads_end(threads: int) -> None:
    def compute(slots: torch.Tensor) -> None:
        raise ValueError("broken")

    streams = Streams(compute, device=CPU)
    with pytest.raises(ValueError, match="broken"):
        try:
            streams.put(batch(0))
            list(streams.finished(all_of_them=True))
        finally:
            streams.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("forward")]


def test_a_trial_computes_like_a_stream(threads: int) -> None:
    with as_one_stream(CPU):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == threads
