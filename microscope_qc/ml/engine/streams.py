"""Several forward passes beside each other on the processor's cores, one on a graphics card."""

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
"""Each holds its own activations in memory; with more cores every stream gets several."""


def stream_count(device: torch.device) -> int:
    """Forward passes beside each other.

    Cores that share one pass wait for each other after every layer, and for whichever of them a reader thread has just
    taken: two passes of one core each take a quarter less of the processor's time than one pass of two cores.
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
    """A batch, what became of it, and how long that took."""

    batch: Batch
    answer: T
    seconds: float


class Streams(Generic[T]):
    """Computes batches; gives them back in order.

    Parameters
    ----------
    compute
        Called with the slots of a batch, in the thread of a stream.
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
        """Most batches that are held here at a time: one for each stream, and one that waits."""
        return 1 if self._pool is None else self.count + 1

    @property
    def idle(self) -> bool:
        """Whether nothing is being computed."""
        return all(future.done() for future in self._pending)

    def put(self, batch: Batch) -> None:
        """Begin with a batch."""
        if self._pool is not None:
            self._pending.append(self._pool.submit(self._work, batch))
            return
        done: Future[Done[T]] = Future()
        done.set_result(self._work(batch))
        self._pending.append(done)

    def finished(self, *, all_of_them: bool = False) -> Iterator[Done[T]]:
        """Batches in order, waiting for as many as must be taken away before the next is put."""
        while self._pending and (all_of_them or len(self._pending) >= self.ahead):
            yield self._pending.popleft().result()

    def _work(self, batch: Batch) -> Done[T]:
        started = time.perf_counter()
        answer = self._compute(batch.slots)
        return Done(batch, answer, time.perf_counter() - started)

    def close(self) -> None:
        """End the threads, after what they are computing."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            # parts of torch keep one number for the whole program
            torch.set_num_threads(self._threads)
