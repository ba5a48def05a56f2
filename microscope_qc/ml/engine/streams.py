"""Several concurrent forward passes on the cores of a CPU, one on a GPU."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

from microscope_qc.ml.engine.feed import Batch

MOST_STREAMS = 4
"""Each needs memory for its own activations; with more cores every stream gets several."""


def stream_count(device: torch.device) -> int:
    """Number of concurrent forward passes.

    Cores that share one pass wait for each other after every layer, and for whichever of them a reader thread is using:
    two passes with one core each need a quarter less CPU time than one pass with two cores.
    """
    return min(MOST_STREAMS, torch.get_num_threads()) if device.type == "cpu" else 1


@contextlib.contextmanager
def as_one_stream(device: torch.device) -> Iterator[None]:
    """Compute in this thread as a stream would."""
    threads, streams = torch.get_num_threads(), stream_count(device)
    torch.set_num_threads(max(1, threads // streams))
    try:
        yield
    finally:
        torch.set_num_threads(threads)


T = TypeVar("T")


@dataclass(frozen=True)
class Done(Generic[T]):
    """A batch, its result, and how long it took."""

    batch: Batch
    result: T
    seconds: float


class Streams(Generic[T]):
    """Computes batches and returns them in order.

    Parameters
    ----------
    compute
        Called with the slots of a batch in the thread of a stream.
    """

    def __init__(self, compute: Callable[[torch.Tensor], T], *, device: torch.device) -> None:
        self._compute = compute
        self._threads = torch.get_num_threads()
        self.count = stream_count(device)
        self._pending: deque[Future[Done[T]]] = deque()
        self._pool: ThreadPoolExecutor | None = None
        if self.count > 1:
            each = max(1, self._threads // self.count)
            self._pool = ThreadPoolExecutor(
                self.count, thread_name_prefix="forward", initializer=lambda: torch.set_num_threads(each)
            )

    @property
    def ahead(self) -> int:
        """Maximum number of batches held at a time: one for each stream, and one that waits."""
        return 1 if self._pool is None else self.count + 1

    @property
    def idle(self) -> bool:
        """Whether nothing is being computed."""
        return all(future.done() for future in self._pending)

    def put(self, batch: Batch) -> None:
        """Start computing a batch."""
        if self._pool is not None:
            self._pending.append(self._pool.submit(self._work, batch))
            return
        done: Future[Done[T]] = Future()
        done.set_result(self._work(batch))
        self._pending.append(done)

    def finished(self, *, all_of_them: bool = False) -> Iterator[Done[T]]:
        """Batches in order; waits for as many as must be removed before the next is put."""
        while self._pending and (all_of_them or len(self._pending) >= self.ahead):
            yield self._pending.popleft().result()

    def _work(self, batch: Batch) -> Done[T]:
        started = time.perf_counter()
        result = self._compute(batch.slots)
        return Done(batch, result, time.perf_counter() - started)

    def close(self) -> None:
        """Stop the threads after their current batches."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            # parts of torch have one number of threads for the whole program
            torch.set_num_threads(self._threads)
